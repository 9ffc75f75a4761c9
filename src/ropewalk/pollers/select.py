"""The select poller, for every system.

Facts of select(2), and what they mean for us:
* A descriptor of 1024 or above does not fit (CPython raises ValueError; Windows takes 512 sockets): that is said
  when it is set, not when the reactor waits.
* One bad descriptor fails the whole call (EBADF): then each is tried alone, and a bad one is reported as INVALID.
* Windows refuses three empty lists; the waker is always in the first.
* Errors are reported as readable; Windows reports a failed connect as exceptional only.
"""

from __future__ import annotations

import errno
import select
import sys

from ropewalk.interfaces import INVALID, READ, WRITE
from ropewalk.pollers.table import Table
from ropewalk.pollers.waker import make_waker

_LIMIT = 1024
_MOST = 512   # sockets in one list, on Windows
_DEAD = {errno.EBADF, getattr(errno, "WSAENOTSOCK", errno.EBADF)}


class Select(Table):
    """Waits by select(2)."""

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be used here; None if it can."""
        return None

    def __init__(self) -> None:
        super().__init__()
        self._waker = make_waker()
        _check(self._waker.fd)
        self.parked = False
        self.wake = self._waker.wake
        self._readers = {self._waker.fd}
        self._writers: set[int] = set()

    def change(self, fd: int, old: int, new: int) -> None:
        _check(fd)
        if new and sys.platform == "win32" and fd not in self.masks and len(self.masks) >= _MOST - 1:   # and the waker
            raise OSError(errno.EMFILE, f"select on Windows takes {_MOST} sockets: use the iocp or wfmo reactor")
        for ready, bit in ((self._readers, READ), (self._writers, WRITE)):
            if new & bit:
                ready.add(fd)
            else:
                ready.discard(fd)
        if self.parked:
            self.wake()

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        self.stale.clear()
        try:
            return self._select(timeout)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in _DEAD:
                raise
            dead = self._dead()
            if self._waker.fd in dead or (not dead and isinstance(error, ValueError)):   # no handler can end that
                raise
            return [(fd, INVALID) for fd in dead]

    def _select(self, timeout: float | None) -> list[tuple[int, int]]:
        writers = self._writers
        readable, writable, failed = select.select(self._readers, writers, writers, timeout)
        masks = dict.fromkeys(readable, READ)
        for fd in {*writable, *failed}:
            masks[fd] = masks.get(fd, 0) | WRITE
        if masks.pop(self._waker.fd, 0):
            self._waker.calm()
        return list(masks.items())

    def _dead(self) -> list[int]:
        dead = []
        for fd in (self._waker.fd, *self.masks):
            try:
                select.select([fd], [], [], 0)
            except (OSError, ValueError):
                dead.append(fd)
        return dead

    def fileno(self) -> int | None:
        return None

    def park(self, timeout: float | None) -> None:
        self.parked = True
        try:
            select.select(self._readers.copy(), self._writers.copy(), [], timeout)
        finally:
            self.parked = False

    def alarm(self, seconds: float | None) -> None:
        """There is no descriptor that could tell; park() is given its limit."""

    def calm(self) -> None:
        self._waker.calm()

    def close(self) -> None:
        self._waker.close()


def _check(fd: int) -> None:
    """Raise OSError for a descriptor that does not fit."""
    if fd >= _LIMIT and sys.platform != "win32":
        raise OSError(
            errno.EMFILE, f"select(2) takes descriptors below {_LIMIT}, not {fd}: use the epoll or poll reactor"
        )
