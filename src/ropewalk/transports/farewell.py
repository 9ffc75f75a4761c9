"""The farewell of a connection: what is left is sent, and the peer's end is waited for, without the stream.

A socket that is closed while bytes for it are unread, or on their way, resets the connection; the peer may then lose
what it has yet to read. So only our side is ended, and the other is read until it ends too, or the time is over.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from ropewalk.interfaces import INVALID, READ, WRITE, Loop

LIMIT = 5.0   # seconds
_READ_SIZE = 65536


class Farewell:
    """Closes `channel` in good order. unsent: bytes that it has yet to send."""

    def __init__(self, loop: Loop, channel: Any, unsent: bytes | memoryview) -> None:
        self.reactor = loop
        self.channel = channel
        self._unsent = unsent
        self._timer = loop.callLater(LIMIT, self._end)
        loop.transports.add(self)
        try:
            channel.want(0)
            channel.attach(loop, self)
            self._send()
        except OSError:
            self._end()

    def ready(self, mask: int) -> None:
        """The poller's report."""
        if mask & INVALID:
            self.channel.leave()
            self._forget()
            return
        try:
            if mask & ~WRITE and not self.channel.recv(_READ_SIZE):
                self._end()
            elif self._unsent:
                self._send()
        except BlockingIOError:
            return
        except OSError:
            self._end()

    def _send(self) -> None:
        if self._unsent:
            with contextlib.suppress(BlockingIOError):
                self._unsent = self._unsent[self.channel.send(self._unsent) :]
        if self._unsent:
            self.channel.want(READ | WRITE)
        else:
            self.channel.shutdown(socket.SHUT_WR)
            self.channel.want(READ)

    def drop(self, reason: Exception) -> None:
        """The reactor shuts down: wait no longer."""
        self._end()

    def _end(self) -> None:
        self.channel.close()
        self._forget()

    def _forget(self) -> None:
        if self._timer.active():
            self._timer.cancel()
        self.reactor.transports.discard(self)

    def __repr__(self) -> str:
        return f"<Farewell on {self.channel!r}>"
