"""The waker: a descriptor that another thread or a signal handler makes readable.

eventfd(2) where there is one (Linux): one descriptor, 8 bytes a wake. Elsewhere a socket pair, since select on
Windows takes nothing but sockets. Neither blocks: a waker that is full will wake anyway.
"""

from __future__ import annotations

import contextlib
import os
import socket
from functools import partial


class EventWaker:
    """A waker on eventfd."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Full after 2**64 - 2 wakes that nobody read: no need to guard against that.
        self.wake = partial(os.eventfd_write, self.fd, 1)

    def calm(self) -> None:
        """Undo what wake() did."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    __del__ = close


class SocketWaker:
    """A waker on a socket pair; `writer` also suits signal.set_wakeup_fd."""

    def __init__(self) -> None:
        self._reader, self.writer = socket.socketpair()
        self._reader.setblocking(False)
        self.writer.setblocking(False)
        self.fd = self._reader.fileno()

    def wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.writer.send(b"\0")

    def calm(self) -> None:
        """Undo what wake() did."""
        with contextlib.suppress(BlockingIOError):
            self._reader.recv(4096)

    def close(self) -> None:
        self._reader.close()
        self.writer.close()

    __del__ = close


def make_waker() -> EventWaker | SocketWaker:
    """The best waker of this system."""
    return EventWaker() if hasattr(os, "eventfd") else SocketWaker()
