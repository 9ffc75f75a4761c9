"""What the tests of toolkits share: behaviours that are played in a process of their own, and traffic for them.

A test file makes a Play, adds behaviours to it and ends with `play.main()`: as a program, that plays one of them.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ropewalk.internet.protocol import ClientFactory, Protocol, ServerFactory
from ropewalk.testing.features import why_missing

PATIENCE = 60   # seconds that a child may take
SETTLED = 0.2   # seconds; on GLib the last event is followed by one thing more to do
WATCHED = 2.0   # seconds
TRIES = 5
WARNINGS = ["error", "ignore::ImportWarning"]

Behaviour = Callable[[str], None]


class Play:
    """The behaviours of one test file, each on some `kinds` of its toolkit, which it takes by name.

    warnings: of those that are errors, what is none, as -W takes it. python: what plays them.
    """

    def __init__(self, file: str, *warnings: str, python: str = sys.executable) -> None:
        self.cases: dict[tuple[str, str], Behaviour] = {}
        self._file = file
        self._python = python
        self._warnings = [f"-W{warning}" for warning in (*WARNINGS, *warnings)]

    def on(self, *kinds: str) -> Callable[[Behaviour], Behaviour]:
        """What is decorated holds on these."""

        def add(behaviour: Behaviour) -> Behaviour:
            self.cases.update({(behaviour.__name__, kind): behaviour for kind in kinds})
            return behaviour

        return add

    def child(self, name: str, kind: str) -> subprocess.Popen[str]:
        """Begin to play one in a process of its own."""
        command = [self._python, "-Xfaulthandler", *self._warnings, self._file, name, kind]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def check(self, name: str, kind: str) -> None:
        """Play one to its end, which has to be a good one."""
        ends_well(self.child(name, kind))

    def main(self) -> None:
        name, kind = sys.argv[1:]
        self.cases[name, kind](kind)


def ends_well(process: subprocess.Popen[str]) -> None:
    try:
        _, said = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        if why_missing("signals") is None:
            process.send_signal(signal.SIGABRT)   # faulthandler says where it is stuck
        else:
            process.kill()
        _, said = process.communicate()
    assert process.returncode == 0, f"ended by {process.returncode}: {said}"
    assert not re.search("Traceback|CRITICAL", said), said


def sleeps(process: subprocess.Popen[str]) -> None:
    """Once it has said a line, no thread of `process` may wake up within WATCHED seconds; then its input ends."""
    assert process.stdout is not None
    with process:
        said = process.stdout.readline()
        time.sleep(SETTLED)
        before = _wake_ups(process.pid)
        time.sleep(WATCHED)
        after = _wake_ups(process.pid)
        ends_well(process)
    assert said
    assert after == before


def _wake_ups(pid: int) -> int:
    counts = [status.read_text() for status in Path(f"/proc/{pid}/task").glob("*/status")]
    found = [re.findall(r"^voluntary_ctxt_switches:\s*(\d+)", text, re.MULTILINE) for text in counts]
    return sum(int(number) for (number,) in found)


def say_and_await_end_of_input(reactor: Any) -> None:
    """For the child of sleeps(), once all is quiet: it stops the reactor when its input ends."""

    def wait() -> None:
        sys.stdin.read()
        reactor.callFromThread(reactor.stop)

    reactor.callInThread(wait)
    reactor.callLater(0.5, print, "idle", flush=True)


class Echo(Protocol):
    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


class Asker(Protocol):
    def connectionMade(self) -> None:
        self.transport.write(b"Who is there?")

    def dataReceived(self, data: bytes) -> None:
        self.transport.loseConnection()
        self.factory.then()


def round_trip(reactor: Any, then: Callable[[], object]) -> None:
    """Send something over TCP and back; `then` is called where it has arrived, in dataReceived()."""
    port = reactor.listenTCP(0, ServerFactory.forProtocol(Echo), interface="127.0.0.1")
    factory: Any = ClientFactory.forProtocol(Asker)
    factory.then = then
    reactor.connectTCP("127.0.0.1", port.getHost().port, factory)


def refused(call: Callable[[], object], *kinds: type[BaseException]) -> str:
    """What the exception says that `call` raises."""
    try:
        call()
    except kinds as error:
        return str(error)
    raise AssertionError("it was not refused")


def refused_in_a_thread(call: Callable[[], object], *kinds: type[BaseException]) -> str:
    """As refused(), called in another thread."""
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(refused(call, *kinds)))
    thread.start()
    thread.join()
    return said[0]


def without_display() -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        os.environ.pop(name, None)


def busy(reactor: Any) -> None:
    """From now on there is always something to do."""
    reactor.callFromThread(busy, reactor)


class Rate:
    """How often a second something happens, which is told by seen(); `then` is called when it is `enough`.

    It is measured some times, `count` events each: another program may have taken the processor.
    """

    def __init__(self, then: Callable[[], object], enough: float, count: int = 60) -> None:
        self._then = then
        self._enough = enough
        self._count = count
        self._times: list[float] = []
        self._rates: list[float] = []

    def seen(self) -> None:
        self._times.append(time.perf_counter())
        if len(self._times) <= self._count:
            return
        self._rates.append(self._count / (self._times[-1] - self._times[0]))
        self._times.clear()
        if self._rates[-1] >= self._enough or len(self._rates) == TRIES:
            self._then()

    def check(self) -> None:
        assert max(self._rates) >= self._enough, self._rates
