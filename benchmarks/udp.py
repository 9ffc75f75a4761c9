"""UDP echo: server CPU a datagram, throughput and latency, by number of sockets and size of datagram.

Every server socket has one client with one datagram outstanding (a closed loop). One that is lost is sent again
after 100 ms; `sent again` in the JSON counts them.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.harness import Plan, answer_beside, child_command, compiled, serving, take_turns
from benchmarks.results import Measure, Results

NAME = "udp"
CPU = "server CPU a datagram"
THROUGHPUT = "throughput"
MANY = 64
SOCKETS = (1, MANY)
SIZES = {64: "64 B", 1024: "1 kB"}
WARM_UP = 0.1


def case_name(sockets: int, size: int) -> str:
    return f"{sockets} x {SIZES[size]}"


def run(plan: Plan, results: Results) -> None:
    for size in SIZES:
        for sockets in SOCKETS:
            _run_case(plan, results, sockets, size)


def _run_case(plan: Plan, results: Results, sockets: int, size: int) -> None:
    many = sockets == MANY
    seconds = 0.1 if plan.quick else (0.4 if many else 0.2)
    case = case_name(sockets, size)
    measures = [
        Measure(NAME, case, CPU, "us"),
        Measure(NAME, case, THROUGHPUT, "1/s", less_is_better=False),
        Measure(NAME, case, "latency, median", "us", detail=True),
        Measure(NAME, case, "latency, p99", "us"),
        Measure(NAME, case, "sent again", "datagrams", detail=True),
        Measure(NAME, case, "server busy", "of a core", detail=True),
        Measure(NAME, case, "load generator busy", "of a core", detail=True),
    ]

    def measure_one(peer: str) -> Mapping[str, float]:
        command = child_command(peer, "udp", str(sockets))
        with serving(peer, plan.cores.server, command) as server:
            ports = ",".join(map(str, server.ports))
            generator = [compiled("udp_load.c"), ports, *map(str, (size, WARM_UP, seconds, server.pid))]
            counted = answer_beside(server, plan.cores.load, generator)
        return {
            CPU: counted["server_cpu_seconds"] / counted["completed"] * 1e6,
            THROUGHPUT: counted["completed"] / counted["seconds"],
            "latency, median": counted["latency_us"]["p50"],
            "latency, p99": counted["latency_us"]["p99"],
            "sent again": counted["resent"],
            "server busy": counted["server_cpu_seconds"] / counted["seconds"],
            "load generator busy": counted["load_cpu_seconds"] / counted["seconds"],
        }

    rounds = plan.rounds_of(5) if many else plan.rounds_of(3)
    take_turns(results, measures, plan.turns(rounds, plan.peers), measure_one)
