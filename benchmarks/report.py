"""The report of a run: one table with ratios as Markdown, and everything as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.harness import BARE, C, Cores, Plan
from benchmarks.results import Measure, Results
from benchmarks.targets import SUBJECT, TARGETS, Target

LABELS = {
    C: "C",
    BARE: "bare Python",
    "uvloop": "uvloop",
    "asyncio": "asyncio",
    "twisted": "Twisted",
    "ropewalk": "Ropewalk",
}
COMPARED_WITH = (C, "uvloop", "twisted")
UNITS = {"us": "µs", "1/s": "/s"}
ABSENT = "-"
TIMES = "\N{MULTIPLICATION SIGN}"
VERDICTS = {True: "met", False: "**not met**", None: "not measured"}

ABOUT = """\
A value is the median over the rounds of this run, a ratio the median of the ratios within each round: the
peers take turns in every round, so that a change in the machine's speed meets all of them. Each turn is a
fresh process. The server has one core, the load generator (a C program, closed loop, one message
outstanding a connection) another. A request is one whole message echoed; its CPU time is what
`/proc/PID/schedstat` of the server grew by, user and kernel. C, asyncio and uvloop set TCP_NODELAY, Twisted
and Ropewalk leave it off: each as it comes. Twisted and Ropewalk use their epollreactor.

Bare Python is what the system calls cost from Python: for UDP a loop of epoll, recvfrom and sendto, for a file
os.sendfile; there is nothing around them that a program would need.

TLS is 1.3 with one cipher (AES-256-GCM) and one certificate (ECDSA, P-256) for all; asyncio, uvloop and Ropewalk use
Python's OpenSSL, Twisted that of the package cryptography. Ropewalk, too, sets TCP_NODELAY here. Twisted does not: its
64 kB wait for acknowledgements of 40 ms, so that its CPU tells more than its throughput. A handshake is a new
connection without resumption, one message of 64 B and its echo, and an orderly end. It costs the client more than the
server, so that all are as fast as the load generator, and here, too, the CPU tells more.

A UDP socket has one client with one
datagram outstanding; a lost one would be sent again after 100 ms, and counted.

A file lies in memory, and goes over loopback to a C program that throws it away, after one of 100 MB that is
compared. Twisted and Ropewalk send by FileSender, asyncio by loop.sendfile. Over loopback the sender wakes the
receiver, which over a network it would not, so that one sleeps until 256 kB have come. The memory is the growth of
the sender's peak (VmHWM) while it sends the second file.

A host is a toolkit's main loop on an X server in memory, without windows where it runs without; 64 connections, 64 B.
Ropewalk's and Twisted's reactors are those for that toolkit, for GTK 4 Twisted's gireactor; the targets compare with
Ropewalk's epollreactor and, for Qt, with qasync (asyncio on PySide6), in the same rounds.

The bridge is Twisted with Ropewalk's reactor (ropewalk.twisted): in its rows the columns are the same program, under
the same Twisted, with Twisted's own reactor and with Ropewalk's. wrk asks for the page; its Site makes its access log
as it does by default, and nobody reads it.

Import time is that of a process that imports, less that of one that does not. Start-up time is that of a command,
`ropewalk echo` and `twistd -n -y`, from its start until a connection to it is made.

asyncio asks for 256 kB in every read, and so does uvloop over TLS. glibc maps and unmaps that much memory each
time until the process has once freed as large a block, and such an echo then costs about a quarter: a server of
short messages may run either way for long. The numbers are those of a fresh process."""


def label(peer: str) -> str:
    """Return a peer's name as readers know it: `ropewalk-poll` is "Ropewalk (poll)"."""
    family, _, variant = peer.partition("-")
    return f"{LABELS.get(family, family)} ({variant})" if variant else LABELS.get(family, family)


def machine() -> dict[str, Any]:
    """Return the facts that a reader needs to judge the numbers, none of which names the machine."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: _version(name) for name in ("uvloop", "twisted", "scrapy", "ropewalk")},
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def as_json(plan: Plan, results: Results, took: float) -> str:
    return json.dumps(
        {
            "machine": machine(),
            "run": {
                "rounds": plan.rounds,
                "quick": plan.quick,
                "seconds": round(took),
                "one_core": _one_core(plan.cores),
            },
            "measures": [_measure_as_json(measure) for measure in results.measures],
            "targets": [_target_as_json(target, results) for target in TARGETS],
            "failures": results.failures,
            "notes": results.notes,
        },
        indent=1,
        ensure_ascii=False,
    )


def _one_core(cores: Cores) -> bool:
    return cores.server == cores.load


def _measure_as_json(measure: Measure) -> dict[str, Any]:
    return {
        "benchmark": measure.benchmark,
        "case": measure.case,
        "quantity": measure.quantity,
        "unit": measure.unit,
        "better": "less" if measure.less_is_better else "more",
        "peers": {
            peer: {
                "median": _rounded(measure.of(peer)),
                "ratio_to": {
                    other: _rounded(measure.ratio(peer, other))
                    for other in COMPARED_WITH
                    if other != peer and other in measure.rounds
                },
                "rounds": [_rounded(value) for value in values],
            }
            for peer, values in measure.rounds.items()
        },
    }


def _target_as_json(target: Target, results: Results) -> dict[str, Any]:
    return {
        "target": target_text(target, results),
        "limit": target.limit,
        "measured": _rounded(target.value(results)),
        "met": target.met(results),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def target_text(target: Target, results: Results) -> str:
    sign = {"<=": "≤", "<": "<", ">=": "≥"}[target.bound]
    where = f"{target.benchmark} {target.case}".strip()
    if target.other is None:
        return f"{where}: {target.quantity} {sign} {target.limit:g} {target.unit}"
    return f"{where}: {target.quantity} {sign} {target.limit:.2f} {TIMES} {label(target.other)}"


def as_markdown(plan: Plan, results: Results) -> str:
    sections = [
        "# Benchmarks",
        _machine_line(plan, results),
        _main_table(plan, results),
        "![the same as a plot](results.png)",
    ]
    if results.notes or results.failures:
        sections += ["## Left out", _failure_list(results)]
    sections += ["## How it is measured", ABOUT, "## Targets", _target_table(results)]
    return "\n\n".join(sections) + "\n"


def _machine_line(plan: Plan, results: Results) -> str:
    facts = machine()
    text = (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['kernel']}, {facts['python']}; "
        f"uvloop {facts['uvloop']}, Twisted {facts['twisted']}, Ropewalk {facts['ropewalk']}; "
        f"{_rounds(plan, results)}."
    )
    if _one_core(plan.cores):
        text += " Server and load generator share one core: throughput and latency mean little."
    return text


def _rounds(plan: Plan, results: Results) -> str:
    """Say how many rounds there were, and which cases had another number of them."""
    cases: dict[str, dict[str, int]] = {}
    for measure in results.measures:
        cases.setdefault(measure.benchmark, {})[measure.case] = max(map(len, measure.rounds.values()), default=0)
    others: dict[int, list[str]] = {}
    for benchmark, rounds in cases.items():
        for number in sorted(set(rounds.values()) - {plan.rounds}):
            others.setdefault(number, []).append(_cases_with(number, benchmark, rounds))
    text = f"{plan.rounds} round{'s' * (plan.rounds != 1)}"
    return "; ".join([text, *(f"{number} for {', '.join(names)}" for number, names in sorted(others.items()))])


def _cases_with(number: int, benchmark: str, rounds: Mapping[str, int]) -> str:
    """Name the cases of `benchmark` that have `number` of rounds, in the fewest words."""
    these = [case for case, its in rounds.items() if its == number]
    rest = [case for case, its in rounds.items() if its != number]
    if not rest:
        return benchmark
    if len(rest) < len(these):
        return f"{benchmark} (apart from {' and '.join(rest)})"
    return f"{benchmark} {' and '.join(these)}"


def _main_table(plan: Plan, results: Results) -> str:
    others = [peer for peer in COMPARED_WITH if peer in plan.peers] if SUBJECT in plan.peers else []
    head = [
        "",
        *(label(peer) for peer in plan.peers),
        *(f"{label(SUBJECT)} ÷ {label(peer)}" for peer in others),
    ]
    rows = []
    for measure in results.measures:
        if measure.detail:
            continue
        name = f"{measure.benchmark} {measure.case}: {measure.quantity}, {UNITS.get(measure.unit, measure.unit)}"
        values = [_number(measure.of(peer)) for peer in plan.peers]
        ratios = [_ratio(measure.ratio(SUBJECT, peer)) for peer in others]
        rows.append([name, *values, *ratios])
    return _table(head, rows)


def _target_table(results: Results) -> str:
    rows = []
    for target in TARGETS:
        value = target.value(results)
        measured = ABSENT if value is None else f"{value:.3f}" if target.other else f"{value:.1f} {target.unit}"
        rows.append([target_text(target, results), measured, VERDICTS[target.met(results)]])
    return _table(["target", "measured", ""], rows)


def _failure_list(results: Results) -> str:
    wheres: dict[tuple[str, str], list[str]] = {}
    for where, reasons in results.failures.items():
        for peer, reason in reasons.items():
            wheres.setdefault((peer, reason), []).append(where)
    failed = [f"- {label(peer)}: {reason} ({', '.join(where)})" for (peer, reason), where in wheres.items()]
    return "\n".join([*(f"- {note}" for note in results.notes), *failed])


def _number(value: float | None) -> str:
    if value is None:
        return ABSENT
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ratio(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.2f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a Markdown table whose columns are aligned, so that it also reads well in a terminal."""
    rows = list(rows)
    widths = [max(3, *map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        return "| " + " | ".join([first, *map(str.rjust, cells[1:], widths[1:])]) + " |"

    return "\n".join([line(head), line(rule), *map(line, rows)])
