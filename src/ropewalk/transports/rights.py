"""The channel of a UNIX socket over which descriptors are passed (SCM_RIGHTS, unix(7)).

* Descriptors travel with bytes: they wait for the next ones that are sent, and arrive before these. So they overtake
  what was written and waits, and still come before what is written after them.
* A duplicate is made at once, so that the program may close its own.
* They are received close-on-exec, as all of Python's descriptors are. Those that the process cannot have are closed by
  the kernel, which says so (MSG_CTRUNC).
"""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Callable
from typing import Any

from ropewalk.interfaces import Handler, Loop
from ropewalk.transports.channel import SocketChannel

_MOST = 253   # descriptors that Linux takes in one message
_FIRST_PART = 65536   # bytes of a file, with which descriptors travel
_SIZE = array.array("i").itemsize


class RightsChannel:
    """See interfaces.Channel.

    channel: the socket; received: called with each descriptor, which it owns from then on, says whether to go on
    reading; lost: called when some could not be received.
    """

    __slots__ = ("_channel", "_lost", "_outgoing", "_received")

    def __init__(
        self, channel: SocketChannel, received: Callable[[int], bool], lost: Callable[[], object]
    ) -> None:
        self._channel = channel
        self._received = received
        self._lost = lost
        self._outgoing: list[int] = []

    def attach(self, loop: Loop, handler: Handler) -> None:
        """From now on want() reports to `handler`."""
        self._channel.attach(loop, handler)

    @property
    def waiting(self) -> int:
        """How many descriptors wait for bytes to travel with."""
        return len(self._outgoing)

    def pass_on(self, descriptor: int) -> int:
        """Send a duplicate of `descriptor` with the next bytes; how many wait. Raises OSError if it is not open."""
        self._outgoing.append(os.dup(descriptor))
        return len(self._outgoing)

    def recv(self, size: int) -> bytes:
        space = socket.CMSG_SPACE(_MOST * _SIZE)
        data, messages, flags, _ = self._channel.recvmsg(size, space, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
        descriptors = array.array("i")
        for level, kind, content in messages:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(content[: len(content) // _SIZE * _SIZE])
        if flags & socket.MSG_CTRUNC:
            self._lost()
        wanted = [self._received(descriptor) for descriptor in descriptors]
        if not all(wanted):
            raise BlockingIOError   # the connection is over: what it received is not wanted any more
        return data

    def send(self, data: Any) -> int:
        if not self._outgoing or not data:
            return self._channel.send(data)
        batch = self._outgoing[:_MOST]
        sent = self._channel.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", batch))])
        del self._outgoing[:_MOST]
        _close_all(batch)
        return sent

    def send_file(self, descriptor: int, offset: int, count: int) -> int:
        if self._outgoing and count:   # sendfile(2) takes no descriptors along
            return self.send(os.pread(descriptor, min(count, _FIRST_PART), offset))
        return self._channel.send_file(descriptor, offset, count)

    def want(self, mask: int) -> None:
        self._channel.want(mask)

    def shutdown(self, how: int) -> None:
        self._channel.shutdown(how)

    def close(self) -> None:
        self._forget()
        self._channel.close()

    def leave(self) -> None:
        self._forget()
        self._channel.leave()

    def reset_on_close(self) -> None:
        self._channel.reset_on_close()

    def _forget(self) -> None:
        _close_all(self._outgoing)
        self._outgoing.clear()


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
