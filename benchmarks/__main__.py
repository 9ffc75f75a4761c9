"""The command: `python -m benchmarks [BENCHMARK ...]` measures, and keeps a table, JSON and a plot."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    bridge,
    churn,
    echo,
    files,
    hosts,
    imports,
    memory,
    plot,
    processes,
    report,
    startup,
    threads,
    timers,
    tls,
    udp,
)
from benchmarks.harness import PEERS, ROOT, BenchmarkError, Plan
from benchmarks.results import Results

BENCHMARKS: dict[str, Callable[[Plan, Results], None]] = {
    "echo": echo.run,
    "churn": churn.run,
    "tls": tls.run,
    "udp": udp.run,
    "files": files.run,
    "timers": timers.run,
    "threads": threads.run,
    "processes": processes.run,
    "hosts": hosts.run,
    "bridge": bridge.run,
    "memory": memory.run,
    "imports": imports.run,
    "startup": startup.run,
}


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("benchmarks", nargs="*", metavar="BENCHMARK", help=f"of {', '.join(BENCHMARKS)}; else all")
    parser.add_argument(
        "--peers",
        nargs="+",
        default=PEERS,
        metavar="PEER",
        help=f"of {', '.join(PEERS)}, twisted-REACTOR and ropewalk-REACTOR (ropewalk-poll); else those six",
    )
    parser.add_argument("--rounds", type=int, default=7, help="how often each peer has its turn (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="two short rounds: to see that all works")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "docs" / "benchmarks", help="where to keep it (docs/benchmarks)"
    )
    options = parser.parse_args(arguments)
    unknown = set(options.benchmarks) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    if options.rounds < 1:
        parser.error("--rounds is a number of 1 or more")
    return options


def main(arguments: list[str]) -> int:
    options = parsed(arguments)
    if not sys.platform.startswith("linux"):
        print("The benchmarks need Linux: epoll, /proc/PID/schedstat and pinning to a core.", file=sys.stderr)
        return 1
    rounds = min(options.rounds, 2) if options.quick else options.rounds
    plan = Plan(peers=tuple(options.peers), rounds=rounds, quick=options.quick)
    results = Results()
    failed = False
    began = time.monotonic()
    for name in options.benchmarks or BENCHMARKS:
        print(f"{time.monotonic() - began:4.0f} s  {name} ...", file=sys.stderr, flush=True)
        try:
            BENCHMARKS[name](plan, results)
        except BenchmarkError as error:
            failed = True
            results.notes.append(f"{name}: {error}")
            print(f"        {name}: {error}", file=sys.stderr)
    keep(plan, results, options.out, time.monotonic() - began)
    return 1 if failed else 0


def keep(plan: Plan, results: Results, folder: Path, took: float) -> None:
    """Print the table, and write it, the JSON and the plot into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    table = report.as_markdown(plan, results)
    (folder / "results.md").write_text(table, encoding="utf-8")
    (folder / "results.json").write_text(report.as_json(plan, results, took) + "\n", encoding="utf-8")
    plot.draw(plan, results, folder / "results.png")
    print(table)
    print(f"{took:.0f} s; kept as results.md, results.json and results.png in {folder}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
