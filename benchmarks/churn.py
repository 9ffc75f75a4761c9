"""Connection churn: accept, one 64 B message and its echo, an orderly close; 64 at a time, over and over."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.harness import BARE, Plan, load_on, take_turns
from benchmarks.results import Measure, Results

NAME = "churn"
CASE = "64 at a time"
CPU = "server CPU a connection"
CONNECTIONS = 64
SIZE = 64


def run(plan: Plan, results: Results) -> None:
    seconds = 0.2 if plan.quick else 0.8
    measures = [
        Measure(NAME, CASE, CPU, "us"),
        Measure(NAME, CASE, "connections", "1/s", less_is_better=False),
        Measure(NAME, CASE, "latency, median", "us", detail=True),
        Measure(NAME, CASE, "latency, p99", "us"),
        Measure(NAME, CASE, "server busy", "of a core", detail=True),
    ]

    def measure_one(peer: str) -> Mapping[str, float]:
        counted = load_on(peer, plan, "churn", CONNECTIONS, SIZE, seconds)
        return {
            CPU: counted["server_cpu_seconds"] / counted["completed"] * 1e6,
            "connections": counted["completed"] / counted["seconds"],
            "latency, median": counted["latency_us"]["p50"],
            "latency, p99": counted["latency_us"]["p99"],
            "server busy": counted["server_cpu_seconds"] / counted["seconds"],
        }

    take_turns(results, measures, plan.turns(plan.rounds, plan.without(BARE)), measure_one)
