"""What a test of child processes needs: a protocol that records, programs for the child, and a look at zombies."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import unittest
from collections import defaultdict
from typing import Any

from ropewalk.internet.defer import Deferred
from ropewalk.internet.failure import Failure
from ropewalk.internet.protocol import ProcessProtocol
from ropewalk.testing.features import require
from ropewalk.testing.rig import LIMIT

SHELL = "/bin/sh"
PYTHON = sys.executable
COPY = "while data := os.read(0, 65536): sys.stdout.buffer.write(data); sys.stdout.flush()"
"""A program that writes what it reads."""
_BEGINNING = "import os, sys\ndef say(text, number=1): os.write(number, text.encode())\n"


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
    require("shell")
    child: Child = Child() if protocol is None else protocol
    reactor.spawnProcess(child, SHELL, ["sh", "-c", script, "sh", *args], **{"env": None, **how})
    return child


def in_python(program: str) -> list[str]:
    """The arguments that let Python run `program`, in which `os`, `sys` and say(text, descriptor=1) are there."""
    return ["-S", "-c", _BEGINNING + program]


def run_python(reactor: Any, program: str, *args: str, protocol: Any = None, **how: Any) -> Child:
    """Start Python with `program`, as in_python(), and `args`; else as run_shell()."""
    child: Child = Child() if protocol is None else protocol
    reactor.spawnProcess(child, PYTHON, [PYTHON, *in_python(program), *args], **{"env": None, **how})
    return child


class Gate:
    """What a child waits at until it is opened, while its descriptors do something else. A context manager."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        port = self._listening.getsockname()[1]
        self.connect = f"import socket; gate = socket.create_connection(('127.0.0.1', {port}))\n"
        """The beginning of the child's program, before it tells that it is there."""
        self.wait = "gate.recv(1)\n"

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def open(self) -> None:
        """Let the child go on; it has come to the gate."""
        self._listening.accept()[0].close()


if sys.platform == "win32":
    import _winapi

    def _exits_within(pid: int, seconds: float) -> bool:
        """Whether `pid` exits, on Windows."""
        try:
            handle = _winapi.OpenProcess(_winapi.SYNCHRONIZE, False, pid)
        except OSError:   # there is no such process any more
            return True
        try:
            return _winapi.WaitForSingleObject(handle, int(seconds * 1000)) == _winapi.WAIT_OBJECT_0
        finally:
            _winapi.CloseHandle(handle)


def is_reaped(pid: int) -> bool:
    """Whether `pid` is no child of ours, not even a zombie; on Windows, which has none: whether it has exited."""
    if sys.platform == "win32":
        return _exits_within(pid, 0)
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def wait_for_exit(pid: int) -> None:
    """Wait until `pid` has exited, which may be known already."""
    if sys.platform == "win32":
        assert _exits_within(pid, LIMIT)
    else:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def has_children() -> bool:
    """Whether a child of this process is left, were it a zombie; always False where no system could tell."""
    if not hasattr(os, "WNOHANG"):
        return False
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def needs_children(reactor: Any) -> None:
    """Skip a test where the reactor starts no child processes."""
    if not hasattr(reactor, "spawnProcess"):
        raise unittest.SkipTest("this reactor has no spawnProcess")


def needs_root() -> None:
    """Skip a test that only root can run."""
    require("users")
    if os.geteuid() != 0:
        raise unittest.SkipTest("only root may run a child as somebody else")
