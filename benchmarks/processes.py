"""Child processes: the CPU time from starting one to knowing that it has exited and its pipes are closed."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.harness import BARE, C, Plan, answer_of, child_command, take_turns
from benchmarks.results import Measure, Results

NAME = "processes"
CASE = "/bin/true, three pipes"
CPU = "CPU a child"


def run(plan: Plan, results: Results) -> None:
    count = "100" if plan.quick else "500"

    def measure_one(peer: str) -> Mapping[str, float]:
        return {CPU: answer_of(plan.cores.server, child_command(peer, "spawn", count))}

    take_turns(results, [Measure(NAME, CASE, CPU, "us")], plan.turns(plan.rounds, plan.without(C, BARE)), measure_one)
