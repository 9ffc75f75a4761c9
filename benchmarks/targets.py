"""The targets of the project, each judged by what this run measured: met, not met, or not measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks import (
    bridge,
    churn,
    echo,
    files,
    hosts,
    imports,
    memory,
    processes,
    startup,
    threads,
    timers,
    tls,
    udp,
)
from benchmarks.results import Measure, Results

SUBJECT = "ropewalk"


@dataclass(frozen=True)
class Target:
    """A bound on Ropewalk's value, in `unit`, or on its ratio to another peer's; both the median over the rounds."""

    benchmark: str
    case: str
    quantity: str
    other: str | None
    bound: Literal["<=", "<", ">="]
    limit: float
    unit: str = ""

    def value(self, results: Results) -> float | None:
        measure = self._measure(results)
        if measure is None:
            return None
        return measure.ratio(SUBJECT, self.other) if self.other else measure.of(SUBJECT)

    def met(self, results: Results) -> bool | None:
        value = self.value(results)
        if value is None:
            return None
        if self.bound == "<":
            return value < self.limit
        return value <= self.limit if self.bound == "<=" else value >= self.limit

    def _measure(self, results: Results) -> Measure | None:
        if self.case:
            return results.find(self.benchmark, self.case, self.quantity)
        return next(iter(results.cases(self.benchmark, self.quantity)), None)


def _echo_targets(connections: int, size: int) -> list[Target]:
    case = echo.case_name(connections, size)
    return [
        Target(echo.NAME, case, echo.CPU, "c", "<=", 1.40),
        Target(echo.NAME, case, echo.THROUGHPUT, "uvloop", ">=", 0.90),
        Target(echo.NAME, case, echo.THROUGHPUT, "twisted", ">=", 2.8),
    ]


def _tls_targets(case: tls.Case) -> list[Target]:
    return [
        Target(tls.NAME, case.name, tls.THROUGHPUT, "asyncio", ">=", 1.3),
        Target(tls.NAME, case.name, tls.THROUGHPUT, "uvloop", ">=", 0.95),
        Target(tls.NAME, case.name, tls.THROUGHPUT, "twisted", ">=", 2.0),
    ]


def _udp_targets(size: int) -> list[Target]:
    case = udp.case_name(udp.MANY, size)
    return [
        Target(udp.NAME, case, udp.CPU, "uvloop", "<=", 1.0),
        Target(udp.NAME, case, udp.THROUGHPUT, "twisted", ">=", 1.3),
    ]


def _host_targets(host: hosts.Host) -> list[Target]:
    """Tk's equivalent in Twisted, which looks at a clock, is to be beaten at all."""

    def cpu(other: str, bound: Literal["<=", "<"], limit: float) -> Target:
        return Target(hosts.NAME, host.title, hosts.CPU, other, bound, limit)

    targets = [cpu(hosts.OWN_LOOP, "<=", host.dearer)]
    if host.twisted:
        targets.append(cpu("twisted", "<", 1.0) if host.name == "tk" else cpu("twisted", "<=", 1 / 2.5))
    if host.qasync:
        targets.append(cpu(hosts.QASYNC, "<", 1.0))
    for quantity in (hosts.READABLE, hosts.POST):
        targets.append(Target(hosts.NAME, host.title, quantity, None, "<=", 1000.0, "us"))
    return targets


TARGETS = [
    *_echo_targets(64, 64),
    *_echo_targets(512, 1024),
    Target(timers.NAME, timers.FIRE, timers.CPU, "uvloop", "<", 1.0),
    Target(timers.NAME, timers.CANCEL, timers.CPU, "uvloop", "<", 1.0),
    Target(threads.NAME, threads.CASE, threads.MEDIAN, "uvloop", "<=", 1.0),
    Target(threads.NAME, threads.CROSS, threads.MEDIAN, "uvloop", "<=", 1.0),
    Target(churn.NAME, churn.CASE, churn.CPU, "uvloop", "<=", 1.2),
    *(target for case in tls.ECHOES for target in _tls_targets(case)),
    Target(tls.NAME, tls.HANDSHAKE.name, tls.THROUGHPUT, "uvloop", ">=", 0.95),
    Target(tls.NAME, tls.HANDSHAKE.name, tls.CPU, "uvloop", "<=", 1.05),
    *_udp_targets(64),
    *_udp_targets(1024),
    Target(files.NAME, files.CASE, files.THROUGHPUT, "twisted", ">=", 1.3),
    Target(files.NAME, files.CASE, files.GROWTH, None, "<=", 8.0, "MB"),
    Target(processes.NAME, processes.CASE, processes.CPU, "twisted", "<=", 1.0),
    Target(processes.NAME, processes.CASE, processes.CPU, "asyncio", "<=", 1.0),
    *(target for host in hosts.HOSTS for target in _host_targets(host)),
    Target(bridge.NAME, bridge.ECHO, bridge.THROUGHPUT, "twisted", ">=", 2.5),
    Target(bridge.NAME, bridge.PAGE, bridge.THROUGHPUT, "twisted", ">=", 1.08),
    Target(bridge.NAME, bridge.CRAWL, bridge.WALL_TIME, "twisted", "<=", 1.05),
    Target(memory.NAME, "", memory.MEMORY, "twisted", "<=", 1.0),
    Target(imports.NAME, imports.CASE, imports.TIME, None, "<=", 50.0, "ms"),
    Target(startup.NAME, startup.CASE, startup.TIME, "twisted", "<=", 0.5),
]
