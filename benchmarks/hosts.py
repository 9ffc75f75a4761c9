"""TCP echo and latencies inside the main loops of GUI toolkits and of asyncio, on an X server in memory.

A row is a toolkit: Ropewalk's reactor for it, and Twisted's where that has one. Beside them run Ropewalk's epoll
reactor, which owns its loop, and for Qt qasync, which is asyncio on Qt; the targets compare with these. CoreFoundation
runs on the testbed that `make corefoundation` makes, and so does the epoll reactor beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from benchmarks.harness import PEERS, BenchmarkError, Plan, answer_of, child_command, load_on, take_turns
from benchmarks.results import Measure, Results
from ropewalk.testing.display import virtual_display

NAME = "hosts"
CPU = "server CPU a request"
THROUGHPUT = "throughput"
READABLE = "readable socket to its answer, median"
POST = "callFromThread, median"
CONNECTIONS = 64
SIZE = 64

OWN_LOOP = "ropewalk-epoll"
QASYNC = "qasync"


@dataclass(frozen=True)
class Host:
    """A toolkit.

    name: its reactor's; twisted: that of Twisted's reactor for it; bed: the testbed that it needs; dearer: how many
    times what a request costs in a loop of our own it may cost.
    """

    title: str
    name: str
    twisted: str = ""
    qasync: bool = False
    bed: str = ""
    dearer: float = 1.15

    def runners(self, peers: Iterable[str]) -> dict[str, str]:
        """Return the reactors to run, by the names under which they are reported."""
        bed = f"@{self.bed}" if self.bed else ""
        runners = {"ropewalk": f"ropewalk-{self.name}{bed}", OWN_LOOP: f"{OWN_LOOP}{bed}"}
        if self.twisted:
            runners["twisted"] = f"twisted-{self.twisted}"
        if self.qasync:
            runners[QASYNC] = QASYNC
        return {peer: runner for peer, runner in runners.items() if peer in peers or peer not in PEERS}


HOSTS = (
    Host("GLib", "gi", "gi"),
    Host("GTK 2", "gtk2"),
    Host("GTK 3", "gtk3", "gtk3"),
    Host("GTK 4", "gtk4", "gi"),
    Host("Qt", "qt", qasync=True),
    Host("wx", "wx", "wx"),
    Host("Tk", "tk", "tk"),
    Host("pygame", "pygame", dearer=1.4),   # a thread watches
    Host("PyUI", "pyui"),
    Host("asyncio", "asyncio", "asyncio"),
    Host("CoreFoundation", "cf", bed="corefoundation", dearer=1.3),
)


def run(plan: Plan, results: Results) -> None:
    with _display():
        for host in HOSTS:
            _run_host(plan, results, host)


@contextmanager
def _display() -> Iterator[None]:
    try:
        with virtual_display():
            yield
    except RuntimeError as error:
        raise BenchmarkError(str(error)) from None


def _run_host(plan: Plan, results: Results, host: Host) -> None:
    seconds = 0.2 if plan.quick else 1.0
    posts = "100" if plan.quick else "500"
    measures = [
        Measure(NAME, host.title, CPU, "us"),
        Measure(NAME, host.title, THROUGHPUT, "1/s", less_is_better=False),
        Measure(NAME, host.title, READABLE, "us"),
        Measure(NAME, host.title, POST, "us"),
    ]
    runners = host.runners(plan.peers)

    def measure_one(peer: str) -> Mapping[str, float]:
        runner = runners[peer]
        counted = load_on(runner, plan, "echo", CONNECTIONS, SIZE, seconds)
        alone = load_on(runner, plan, "echo", 1, SIZE, seconds / 2)
        latencies = answer_of(plan.cores.server, child_command(runner, "post", posts))
        return {
            CPU: counted["server_cpu_seconds"] / counted["completed"] * 1e6,
            THROUGHPUT: counted["completed"] / counted["seconds"],
            READABLE: alone["latency_us"]["p50"],
            POST: median(latencies) / 1e3,
        }

    take_turns(results, measures, plan.turns(plan.rounds_of(5), list(runners)), measure_one)
