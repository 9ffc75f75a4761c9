"""TCP echo: server CPU a request, throughput and latency, by number of connections and size of message.

Every connection has one message outstanding (a closed loop). Where the load generator's core is busier than
the server's, the throughput is the generator's and says little; `server busy` in the JSON tells.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.harness import BARE, Plan, load_on, take_turns
from benchmarks.results import Measure, Results

NAME = "echo"
CPU = "server CPU a request"
THROUGHPUT = "throughput"
CONNECTIONS = (1, 64, 512)
SIZES = {64: "64 B", 1024: "1 kB", 65536: "64 kB"}
WITH_TARGETS = {(64, 64), (512, 1024)}


def case_name(connections: int, size: int) -> str:
    return f"{connections} x {SIZES[size]}"


def run(plan: Plan, results: Results) -> None:
    for size in SIZES:
        for connections in CONNECTIONS:
            _run_case(plan, results, connections, size)


def _run_case(plan: Plan, results: Results, connections: int, size: int) -> None:
    important = (connections, size) in WITH_TARGETS
    seconds = 0.2 if plan.quick else (1.0 if important else 0.5)
    rounds = plan.rounds if important else plan.rounds_of(3)
    case = case_name(connections, size)
    measures = [
        Measure(NAME, case, CPU, "us"),
        Measure(NAME, case, THROUGHPUT, "1/s", less_is_better=False),
        Measure(NAME, case, "latency, median", "us", detail=True),
        Measure(NAME, case, "latency, p99", "us"),
        Measure(NAME, case, "server busy", "of a core", detail=True),
        Measure(NAME, case, "load generator busy", "of a core", detail=True),
    ]

    def measure_one(peer: str) -> Mapping[str, float]:
        counted = load_on(peer, plan, "echo", connections, size, seconds)
        return {
            CPU: counted["server_cpu_seconds"] / counted["completed"] * 1e6,
            THROUGHPUT: counted["completed"] / counted["seconds"],
            "latency, median": counted["latency_us"]["p50"],
            "latency, p99": counted["latency_us"]["p99"],
            "server busy": counted["server_cpu_seconds"] / counted["seconds"],
            "load generator busy": counted["load_cpu_seconds"] / counted["seconds"],
        }

    take_turns(results, measures, plan.turns(rounds, plan.without(BARE)), measure_one)
