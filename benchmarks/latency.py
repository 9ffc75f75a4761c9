"""How soon a sleeping loop answers, and what its sleep costs: `python -m benchmarks.latency [--seconds S] [HOST ...]`.

On each host, in microseconds: from callFromThread in another thread to the call, and from a byte that is written to a
socket to dataReceived; median and 99th percentile. Then the wake-ups of a process, all its threads, whose window is
open and connected and in which nothing happens: the chat of examples/chat, woken by its toolkit and the reactor alone.
PyUI draws 60 frames a second by a clock of its own. `twisted-tk` is Twisted's tksupport, with an empty window.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.harness import PATIENCE, ROOT
from benchmarks.toolkits import install

CHAT = ROOT / "examples" / "chat"
WINDOWS = {
    "gtk2": "gtk2chat", "gtk3": "gtk3chat", "gtk4": "gtk4chat", "qt": "qtchat", "wx": "wxdemo", "tk": "tkchat",
    "pygame": "pygamechat", "pyui": "pyuidemo", "asyncio": "asynciochat",
}  # fmt: skip
HOSTS = ("ropewalk-epoll", "ropewalk-gi", *(f"ropewalk-{host}" for host in WINDOWS), "twisted-tk")
COUNT = 1000
PAUSE = 0.002   # seconds between two, in which the loop falls asleep
SETTLED = 3.0   # seconds after which a new window is painted and the pages of its program are there
TWISTED_WINDOW = "from benchmarks.toolkits import install; install('twisted', 'tk'); " \
    "from twisted.internet import reactor; reactor.run()"


# -- in the process of a host


def latencies(host: str) -> dict[str, list[int]]:
    """Return nanoseconds: of calls from a thread, and of bytes to a socket."""
    package, _, name = host.partition("-")
    install(package, name)
    reactor: Any = importlib.import_module(f"{package}.internet.reactor")
    protocol: Any = importlib.import_module(f"{package}.internet.protocol")
    here, there = socket.socketpair()
    here.setblocking(False)
    answered = threading.Semaphore(0)
    clock = time.perf_counter_ns
    taken: dict[str, list[int]] = {"post": [], "readable": []}
    sent = [0]

    def arrived(what: str) -> None:
        taken[what].append(clock() - sent[0])
        answered.release()

    class Listener(protocol.Protocol):  # type: ignore[misc]
        def dataReceived(self, data: bytes) -> None:
            arrived("readable")

    factory = protocol.ServerFactory()
    factory.buildProtocol = lambda address: Listener()

    def ask() -> None:
        doings: list[Callable[[], object]] = [
            lambda: reactor.callFromThread(arrived, "post"),
            lambda: there.send(b"x"),
        ]
        for doing in doings:
            for _ in range(COUNT):
                time.sleep(PAUSE)
                sent[0] = clock()
                doing()
                answered.acquire()
        reactor.callFromThread(reactor.stop)

    def begin() -> None:
        reactor.adoptStreamConnection(here.fileno(), socket.AF_UNIX, factory)
        here.close()
        threading.Thread(target=ask, daemon=True).start()

    reactor.callWhenRunning(begin)
    reactor.run()
    there.close()
    return taken


# -- outside of it


def answers(host: str) -> dict[str, list[int]]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.latency", "--child", host]
    told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=PATIENCE)
    found: dict[str, list[int]] = json.loads(told.stdout)
    return found


def wakeups(pid: int) -> int:
    """Return how often the threads of a process have slept and gone on (proc(5): voluntary_ctxt_switches)."""
    count = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                count += int(line.split()[1])
    return count


@contextlib.contextmanager
def chat_server() -> Iterator[str]:
    command = [sys.executable, str(CHAT / "chatlogic.py"), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def window_command(host: str, server: str) -> list[str]:
    """Return what opens the window of `host`, connected to the chat; an empty list if it has none."""
    if host == "twisted-tk":
        return [sys.executable, "-c", TWISTED_WINDOW]
    program = WINDOWS.get(host.removeprefix("ropewalk-"))
    return [sys.executable, "-W", "ignore", str(CHAT / f"{program}.py"), "--connect", server] if program else []


def idle_wakeups(host: str, server: str, seconds: float) -> int | None:
    """Return the wake-ups of `seconds` in which nothing happens; None for a host without a window."""
    command = window_command(host, server)
    if not command:
        return None
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        time.sleep(SETTLED)
        before = wakeups(process.pid)
        time.sleep(seconds)
        if process.poll() is not None:
            raise subprocess.CalledProcessError(process.returncode, command)
        count = wakeups(process.pid) - before
        process.kill()
    return count


def line(host: str, server: str, seconds: float) -> str:
    cells = []
    for taken in answers(host).values():
        cells += [f"{median(taken) / 1e3:.0f}", f"{quantiles(taken, n=100)[98] / 1e3:.0f}"]
    woken = idle_wakeups(host, server, seconds)
    return row(host, *cells, "-" if woken is None else str(woken))


def row(host: str, *cells: str) -> str:
    return host.ljust(18) + "".join(cell.rjust(16) for cell in cells)


def main(arguments: list[str]) -> int:
    from ropewalk.testing.display import virtual_display

    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("hosts", nargs="*", metavar="HOST", help=f"of {', '.join(HOSTS)}; else all")
    parser.add_argument("--seconds", type=float, default=10.0, help="of idleness (%(default)s)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        print(json.dumps(latencies(options.child)), flush=True)
        os._exit(0)   # whatever the toolkit still has is nobody's concern
    print(row("", "call, us", "p99", "readable, us", "p99", f"wake-ups/{options.seconds:.0f} s"))
    failed = False
    with virtual_display(), chat_server() as server:
        for host in options.hosts or HOSTS:
            try:
                print(line(host, server, options.seconds), flush=True)
            except (subprocess.SubprocessError, OSError) as error:
                failed = True
                print(row(host), error, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
