"""What a test of child processes needs: a protocol that records, programs for the child, and a look at zombies."""

from __future__ import annotations

import os
import sys
import unittest
from collections import defaultdict
from typing import Any

from ropewalk.internet.defer import Deferred
from ropewalk.internet.failure import Failure
from ropewalk.internet.protocol import ProcessProtocol

SHELL = "/bin/sh"
PYTHON = sys.executable


class Child(ProcessProtocol):
    """Records what it is told.

    events: (what, argument) in order, without the data; data: what came, by descriptor; made, exited, ended: Deferreds,
    the last two of the reason. wait_for() waits for data.
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.data: dict[int, bytes] = defaultdict(bytes)
        self.exited: Deferred[Failure[Any]] = Deferred()
        self.ended: Deferred[Failure[Any]] = Deferred()
        self._lost: dict[int, Deferred[int]] = {}
        self._awaited: list[tuple[int, bytes, Deferred[bytes]]] = []

    def connectionMade(self) -> None:
        self.events.append(("made", self.transport.pid))

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self.data[childFD] += data
        for one in list(self._awaited):
            number, wanted, arrived = one
            if number == childFD and wanted in self.data[childFD]:
                self._awaited.remove(one)
                arrived.callback(self.data[childFD])

    def childConnectionLost(self, childFD: int) -> None:
        self.events.append(("lost", childFD))
        self.lost(childFD).callback(childFD)

    def processExited(self, reason: Failure[Any]) -> None:
        self.events.append(("exited", reason.value))
        self.exited.callback(reason.value)

    def processEnded(self, reason: Failure[Any]) -> None:
        self.events.append(("ended", reason.value))
        self.ended.callback(reason.value)

    def lost(self, childFD: int) -> Deferred[int]:
        """A Deferred that fires when the pipe `childFD` is lost."""
        return self._lost.setdefault(childFD, Deferred())

    def wait_for(self, wanted: bytes, childFD: int = 1) -> Deferred[bytes]:
        """A Deferred that fires when `wanted` is a part of what came from `childFD`."""
        arrived: Deferred[bytes] = Deferred()
        if wanted in self.data[childFD]:
            arrived.callback(self.data[childFD])
        else:
            self._awaited.append((childFD, wanted, arrived))
        return arrived

    def told(self, what: str) -> list[Any]:
        """The arguments of the events `what`."""
        return [argument for kind, argument in self.events if kind == what]


def run_shell(reactor: Any, script: str, *args: str, protocol: Any = None, **how: Any) -> Child:
    """Start the shell with `script`, whose $1 and so on are `args`; how: arguments of spawnProcess(), env is ours."""
    child: Child = Child() if protocol is None else protocol
    reactor.spawnProcess(child, SHELL, ["sh", "-c", script, "sh", *args], **{"env": None, **how})
    return child


def run_python(reactor: Any, program: str, *args: str, **how: Any) -> Child:
    """Start Python with `program`, in which `os` and `sys` are imported; else as run_shell()."""
    child = Child()
    program = "import os, sys\n" + program
    reactor.spawnProcess(child, PYTHON, [PYTHON, "-S", "-c", program, *args], **{"env": None, **how})
    return child


def is_reaped(pid: int) -> bool:
    """Whether `pid` is no child of ours, not even a zombie."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def needs_children(reactor: Any) -> None:
    """Skip a test where the reactor starts no child processes."""
    if not hasattr(reactor, "spawnProcess"):
        raise unittest.SkipTest("this reactor has no spawnProcess")


def needs_root() -> None:
    """Skip a test that only root can run."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("only root may run a child as somebody else")
