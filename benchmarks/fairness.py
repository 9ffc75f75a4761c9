"""Whether a window keeps painting while the network is busy: `python -m benchmarks.fairness [--seconds S] [HOST ...]`.

On each host an echo server of ours and a window share a process. Under the load of 64 connections, 64 bytes a message,
from a C program: how many of the 60 repaints a second that the window asks for does it get, how long does it wait for
one at most, and what do they cost the network? Throughput is counted in requests a second of the server's CPU time,
painting included, since a shared machine gives it now more and now less of a core; the measure is the same window
standing still. The two take turns; medians. `epoll`, without a window, is there to compare.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

from benchmarks.harness import Cores, PeerError, Server, answer_beside, compiled, line_of, serving
from benchmarks.painters import PAINTERS, RATE, Frames

CONNECTIONS, SIZE = 64, 64
WARM_UP = 0.5
ROUNDS = 3
STILL, PAINTING = "still", "painting"
BARE = "epoll"


class Measured(NamedTuple):
    """One server under load: requests a second of its CPU time; repaints a second, and the longest time without one."""

    requests: float
    repaints: float
    longest: float
    busy: float   # of a core


def serve(host: str, how: str) -> None:
    """In a process of its own: echo, and paint, until SIGTERM comes; print the port, and then when it was painted."""
    from ropewalk.core.choose import choice
    from ropewalk.internet.protocol import Protocol, ServerFactory

    class Echo(Protocol):
        def dataReceived(self, data: bytes) -> None:
            self.transport.write(data)

    frames = Frames()
    begin: Callable[[], object] = (lambda: None) if host == BARE else PAINTERS[host](frames)
    importlib.import_module(f"ropewalk.internet.{choice(host).module}").install()
    from ropewalk.internet import reactor

    def started() -> None:
        if how == PAINTING:
            begin()
        port = reactor.listenTCP(0, ServerFactory.forProtocol(Echo), interface="127.0.0.1")
        print(port.getHost().port, flush=True)

    reactor.callWhenRunning(started)
    reactor.run()
    print(json.dumps(frames.times), flush=True)
    os._exit(0)   # whatever the toolkit still has is nobody's concern


def measure(host: str, how: str, seconds: float, cores: Cores) -> Measured:
    """Raises PeerError if the server does not start, or ends early."""
    command = [sys.executable, "-m", "benchmarks.fairness", "--serve", host, how]
    with serving(host, cores.server, command) as server:
        load = ("echo", server.port, CONNECTIONS, SIZE, WARM_UP, seconds, server.pid)
        counted = answer_beside(server, cores.load, [compiled("load.c"), *map(str, load)])
        ended = time.monotonic()
        times = [when for when in _frames(server) if ended - seconds < when < ended]
    gaps = [later - sooner for sooner, later in itertools.pairwise([ended - seconds, *times, ended])]
    used = counted["server_cpu_seconds"]
    return Measured(counted["completed"] / used, len(times) / seconds, max(gaps), used / counted["seconds"])


def _frames(server: Server) -> list[float]:
    os.kill(server.pid, signal.SIGTERM)
    told = line_of(server.output)
    if not told:
        raise PeerError(server.last_words() or "it did not say when it painted")
    times: list[float] = json.loads(told)
    return times


@contextlib.contextmanager
def display() -> Iterator[None]:
    """A display in memory, where Xvfb is installed."""
    from ropewalk.testing.display import missing, virtual_display

    if missing() is not None:
        yield
        return
    with virtual_display():
        yield


def compare(host: str, seconds: float, cores: Cores) -> str:
    """Return the line of the table for `host`."""
    turns = [{how: measure(host, how, seconds, cores) for how in (STILL, PAINTING)} for _ in range(ROUNDS)]

    def of(how: str, quantity: Callable[[Measured], float]) -> float:
        return median(quantity(turn[how]) for turn in turns)

    loss = median(1 - turn[PAINTING].requests / turn[STILL].requests for turn in turns)
    cells = [
        f"{of(PAINTING, lambda one: one.repaints):.1f}",
        f"{of(PAINTING, lambda one: one.longest) * 1000:.0f} ms",
        f"{of(STILL, lambda one: one.requests):.0f}",
        f"{of(PAINTING, lambda one: one.requests):.0f}",
        f"{loss:.1%}",
        f"{of(PAINTING, lambda one: one.busy):.0%}",
    ]
    return row(host, *cells)


def row(host: str, *cells: str) -> str:
    return host.ljust(10) + "".join(cell.rjust(15) for cell in cells)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fairness", description=__doc__)
    parser.add_argument("hosts", nargs="*", metavar="HOST", help=f"of {', '.join(PAINTERS)}; else all")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each measurement takes (%(default)s)")
    parser.add_argument("--serve", nargs=2, metavar=("HOST", "HOW"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        serve(*options.serve)
    unknown = set(options.hosts) - set(PAINTERS)
    if unknown:
        parser.error(f"nobody paints on {', '.join(sorted(unknown))}; there are {', '.join(PAINTERS)}")
    cores = Cores.of_this_machine()
    print(row("host", f"of {RATE}/s", "longest wait", "still", "painting", "loss", "busy"))
    failed = False
    with display():
        bare = measure(BARE, STILL, options.seconds, cores)
        print(row(BARE, "", "", f"{bare.requests:.0f}", "", "", f"{bare.busy:.0%}"), flush=True)
        for host in options.hosts or PAINTERS:
            try:
                print(compare(host, options.seconds, cores), flush=True)
            except PeerError as error:
                failed = True
                print(row(host), error, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
