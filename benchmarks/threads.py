"""Latency of a call from a thread to a sleeping loop: callFromThread, or call_soon_threadsafe."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median, quantiles

from benchmarks.harness import BARE, C, Plan, answer_of, child_command, take_turns
from benchmarks.results import Measure, Results

NAME = "callFromThread"
CASE = "to a sleeping loop"
CROSS = "to a sleeping loop on another core"
MEDIAN = "latency, median"
P99 = "latency, p99"


def run(plan: Plan, results: Results) -> None:
    _run_case(plan, results, CASE, "post")
    _run_case(plan, results, CROSS, "cross")


def _run_case(plan: Plan, results: Results, case: str, workload: str) -> None:
    count = "300" if plan.quick else "1000"
    measures = [Measure(NAME, case, MEDIAN, "us"), Measure(NAME, case, P99, "us")]

    def measure_one(peer: str) -> Mapping[str, float]:
        latencies = answer_of(plan.cores.server, child_command(peer, workload, count))
        return {MEDIAN: median(latencies) / 1e3, P99: quantiles(latencies, n=100)[98] / 1e3}

    take_turns(results, measures, plan.turns(plan.rounds, plan.without(C, BARE)), measure_one)
