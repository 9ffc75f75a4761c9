"""Watching a child: it is told of once, when it has exited, and reaped then. watch() decides how.

Facts, and what they mean for us:
* wait(-1) and SIGCHLD are the whole process's: they reap, or wake, other people's children, and signals reach the main
  thread alone. Here only the very child is waited for, and no signal handler is touched.
* A poller may watch a process itself (kqueue's EVFILT_PROC).
* A pidfd (Linux 5.3) polls readable when its process has exited, in every thread and on every poller.
* Where there is none a thread waits for each child. It leaves the child a zombie (WNOWAIT), so that its number cannot
  be another's before the reactor's thread knows.
* A child that somebody else has reaped (wait(-1), or SIGCHLD ignored) has ended in a way that nobody can tell.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from typing import Protocol

from ropewalk.interfaces import INVALID, READ, Loop

Exited = Callable[[int | None], object]
"""Called in the reactor's thread with the status as of waitpid(2), or None if nobody can tell it."""


class Watch(Protocol):
    """A child that is watched."""

    def signal(self, number: int) -> None:
        """Send the signal `number` to the child. Raises ProcessLookupError if it is gone, or another OSError."""


def signal_number(signalID: str | int) -> int:
    """The number of a signal. Raises ValueError for a name that is none."""
    if isinstance(signalID, int):
        return signalID
    try:
        return signal.Signals["SIG" + signalID.removeprefix("SIG")]
    except KeyError:
        raise ValueError(f"{signalID!r} is no signal of this system") from None


def watch(loop: Loop, pid: int, exited: Exited) -> Watch:
    """Watch the child `pid` in the best way that works here; `exited` is called once.

    Raises RuntimeError if not even a thread can be started.
    """
    if hasattr(loop.poller, "child"):
        return ByPoller(loop, pid, exited)
    if hasattr(os, "pidfd_open"):
        try:
            return ByDescriptor(loop, pid, exited)
        except OSError:   # an older kernel, a sandbox, no descriptor left, or one too high for the poller
            pass
    return ByThread(loop, pid, exited)


class ByPoller:
    """Watches a child by the poller. Raises OSError."""

    __slots__ = ("_exited", "_pid")

    def __init__(self, loop: Loop, pid: int, exited: Exited) -> None:
        self._pid = pid
        self._exited = exited
        try:
            loop.poller.child(pid, self._reap)  # type: ignore[attr-defined]   # not every poller has it
        except ProcessLookupError:   # it was quicker
            loop.callFromThread(self._reap)

    def signal(self, number: int) -> None:
        os.kill(self._pid, number)

    def _reap(self) -> None:
        """It is about to be waited for: the kernel may tell a moment too early, so this waits for that moment."""
        self._exited(_wait(self._pid))


class ByDescriptor:
    """Watches a child by a pidfd. Raises OSError."""

    __slots__ = ("_exited", "_fd", "_loop", "_pid", "_poller")

    def __init__(self, loop: Loop, pid: int, exited: Exited) -> None:
        self._fd = -1
        self._loop = loop
        self._poller = loop.poller
        self._pid = pid
        self._exited: Exited | None = exited
        self._fd = os.pidfd_open(pid)
        self._poller.set(self._fd, READ, self)

    def signal(self, number: int) -> None:
        if self._fd < 0:
            os.kill(self._pid, number)
        else:
            signal.pidfd_send_signal(self._fd, number)

    def ready(self, mask: int) -> None:
        exited = self._exited
        if exited is None:
            return
        if mask & INVALID:
            self._poller.set(self._fd, 0, self)
            self._fd = -1
            self._exited = None
            ByThread(self._loop, self._pid, exited)
            return
        ended, status = _reap(self._pid)
        if ended:
            self._exited = None
            self._poller.set(self._fd, 0, self)
            self._close()
            exited(status)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):   # closed behind our back
                os.close(fd)

    __del__ = _close   # of a reactor that is not run any more


class ByThread:
    """Watches a child by a thread that waits for it. Raises RuntimeError if there can be no more threads."""

    __slots__ = ("_pid",)

    def __init__(self, loop: Loop, pid: int, exited: Exited) -> None:
        self._pid = pid
        wait = _wait_and_leave if hasattr(os, "waitid") else _wait_and_reap
        threading.Thread(target=wait, args=(loop, pid, exited), name=f"child-{pid}", daemon=True).start()

    def signal(self, number: int) -> None:
        os.kill(self._pid, number)


def _wait_and_leave(loop: Loop, pid: int, exited: Exited) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    loop.callFromThread(lambda: exited(_reap(pid)[1]))


def _wait_and_reap(loop: Loop, pid: int, exited: Exited) -> None:
    loop.callFromThread(exited, _wait(pid))


def _wait(pid: int) -> int | None:
    """Reap the child when it has ended; its status, or None if somebody else has reaped it."""
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, 0)[1]
    return None


def _reap(pid: int) -> tuple[bool, int | None]:
    """Whether the child has ended, and with what status; None if somebody else has reaped it."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return True, None
    return ended == pid, status
