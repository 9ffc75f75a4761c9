"""Timers: the CPU time of one that is scheduled and fires, and of one that is scheduled and cancelled."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.harness import BARE, C, Plan, answer_of, child_command, take_turns
from benchmarks.results import Measure, Results

NAME = "timers"
CPU = "CPU a timer"
FIRE = "schedule and fire"
CANCEL = "schedule and cancel"
WORKLOADS = {FIRE: "fire", CANCEL: "cancel"}


def run(plan: Plan, results: Results) -> None:
    count = "20000" if plan.quick else "100000"
    for case, workload in WORKLOADS.items():

        def measure_one(peer: str, workload: str = workload) -> Mapping[str, float]:
            return {CPU: answer_of(plan.cores.server, child_command(peer, workload, count))}

        orders = plan.turns(plan.rounds, plan.without(C, BARE))
        take_turns(results, [Measure(NAME, case, CPU, "ns")], orders, measure_one)
