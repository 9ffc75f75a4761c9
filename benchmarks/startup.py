"""Start-up: how long after it was started a service's command takes a connection.

Ropewalk's is `ropewalk echo tcp:PORT`, Twisted's `twistd -n -y` with a file that does the same, as twistd has no such
subcommand. The connection is tried again and again until it is made, so the kernel's answer counts, not the service's.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.harness import PATIENCE, PeerError, Plan, last_words, on_core, take_turns
from benchmarks.results import Measure, Results

NAME = "startup"
TIME = "start-up time"
CASE = "echo, until it accepts"
REPEATS = 3
TWISTD = "import sys; from twisted.scripts.twistd import run; sys.exit(run())"
TAC = """
from twisted.application import service, strports
from twisted.internet.protocol import Factory, Protocol

class Echo(Protocol):
    def dataReceived(self, data):
        self.transport.write(data)

application = service.Application("echo")
strports.service("tcp:{port}:interface=127.0.0.1", Factory.forProtocol(Echo)).setServiceParent(application)
"""


def run(plan: Plan, results: Results) -> None:
    peers = [peer for peer in plan.peers if peer in ("twisted", "ropewalk")]
    with tempfile.TemporaryDirectory(prefix="ropewalk-startup-") as folder:
        for peer in peers:   # once before it counts, and so that the .pyc files are there, whatever the settings forbid
            with _started(peer, Path(folder), plan.cores.server, writing=True):
                pass

        def measure_one(peer: str) -> Mapping[str, float]:
            return {TIME: median(_seconds(peer, Path(folder), plan.cores.server) for _ in range(REPEATS)) * 1e3}

        take_turns(results, [Measure(NAME, CASE, TIME, "ms")], plan.turns(plan.rounds, peers), measure_one)


def _seconds(peer: str, folder: Path, core: int) -> float:
    with _started(peer, folder, core) as seconds:
        return seconds


@contextmanager
def _started(peer: str, folder: Path, core: int, writing: bool = False) -> Iterator[float]:
    """How long `peer` took until it accepted; it runs meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = _command(peer, folder, port)
    before = os.environ.pop("PYTHONDONTWRITEBYTECODE", None) if writing else None
    began = time.perf_counter()
    process = on_core(core, command)
    if before is not None:
        os.environ["PYTHONDONTWRITEBYTECODE"] = before
    try:
        _connect(port, process)
        yield time.perf_counter() - began
    finally:
        process.kill()
        process.communicate()


def _command(peer: str, folder: Path, port: int) -> list[str]:
    if peer == "ropewalk":
        return [sys.executable, "-m", "ropewalk", "echo", f"tcp:{port}:interface=127.0.0.1"]
    file = folder / "echo.tac"
    file.write_text(TAC.format(port=port), encoding="utf-8")
    return [sys.executable, "-c", TWISTD, "-n", "--pidfile=", f"--logfile={os.devnull}", "-y", str(file)]


def _connect(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.perf_counter() + PATIENCE
    while time.perf_counter() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if process.poll() is not None:
                raise PeerError(last_words(process.communicate()[1])) from None
            time.sleep(0.0005)
    raise PeerError(f"it did not accept within {PATIENCE:.0f} s")
