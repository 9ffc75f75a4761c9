"""Import time: how much longer a Python process takes for having imported a peer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from statistics import median

from benchmarks.harness import ROOT, PeerError, Plan, last_words, on_core, take_turns
from benchmarks.results import Measure, Results

NAME = "import"
TIME = "import time"
STATEMENTS = {
    "uvloop": "import uvloop",
    "asyncio": "import asyncio",
    "twisted": "import twisted.internet.reactor",
    "ropewalk": "import ropewalk.internet.reactor",
}
CASE = "the reactor or loop"
REPEATS = 3


def run(plan: Plan, results: Results) -> None:
    peers = [peer for peer in plan.peers if peer in STATEMENTS]
    for statement in ("pass", *(STATEMENTS[peer] for peer in peers)):
        # Once before it counts: the first import writes the .pyc files, wherever the machine's settings forbid it too.
        writing = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        subprocess.run([sys.executable, "-c", statement], cwd=ROOT, capture_output=True, env=writing)

    def measure_one(peer: str) -> Mapping[str, float]:
        differences = [_seconds(plan, STATEMENTS[peer]) - _seconds(plan, "pass") for _ in range(REPEATS)]
        return {TIME: median(differences) * 1e3}

    take_turns(results, [Measure(NAME, CASE, TIME, "ms")], plan.turns(plan.rounds, peers), measure_one)


def _seconds(plan: Plan, statement: str) -> float:
    began = time.perf_counter()
    process = on_core(plan.cores.server, [sys.executable, "-c", statement])
    _, errors = process.communicate()
    elapsed = time.perf_counter() - began
    if process.returncode:
        raise PeerError(last_words(errors))
    return elapsed
