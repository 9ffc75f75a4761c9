"""The channel of a socket: the socket itself, with want() added.

So recv, send, accept and the rest are the socket's own C methods. Would-block is BlockingIOError, other errors are
OSError.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from typing import Any

from ropewalk.interfaces import Handler, Loop


class SocketChannel(socket.socket):
    """A non-blocking socket that a poller watches for one handler."""

    __slots__ = ("_fd", "_handler", "_poller")

    def attach(self, loop: Loop, handler: Handler) -> None:
        """From now on want() reports to `handler`."""
        self._poller = loop.poller
        self._fd = self.fileno()
        self._handler: Any = handler

    def want(self, mask: int) -> None:
        """Ask for handler.ready(mask); 0 asks for silence. Raises OSError if the system refuses the descriptor."""
        if self._handler is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        self._poller.set(self._fd, mask, self._handler)

    def close(self) -> None:
        """Silence and close; lets go of the handler, so that the two need no garbage collector."""
        handler = self._handler
        if handler is not None:
            self._handler = None
            self._poller.set(self._fd, 0, handler)
            try:
                socket.socket.close(self)
            except OSError:   # closed behind our back
                return

    def dup(self) -> socket.socket:  # type: ignore[override]
        """A plain socket over a duplicate of the descriptor: the program's, which no poller watches."""
        copy = socket.socket(self.family, self.type, self.proto, fileno=socket.dup(self.fileno()))
        copy.settimeout(self.gettimeout())
        return copy

    def leave(self) -> None:
        """Forget the descriptor without closing it: it was closed behind our back, its number may be another's."""
        handler, self._handler = self._handler, None
        self._poller.set(self._fd, 0, handler)
        self.detach()

    def reset_on_close(self) -> None:
        """Let close() discard what is unsent and reset the connection."""
        self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)

    if hasattr(os, "sendfile"):

        def send_file(self, descriptor: int, offset: int, count: int) -> int:
            """Send at most `count` bytes of a regular file from `offset` on; how many were taken. Raises OSError."""
            return os.sendfile(self._fd, descriptor, offset, count)


_LINGER_ZERO = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


def open_socket(family: int, kind: int, loop: Loop, handler: Handler) -> SocketChannel:
    """A new non-blocking socket. Raises OSError."""
    channel = SocketChannel(family, kind)
    channel.setblocking(False)
    channel.attach(loop, handler)
    return channel


def accept(listener: SocketChannel, family: int) -> tuple[SocketChannel, Any]:
    """The next connection of `listener`, not yet attached, and its peer's address. Raises OSError.

    As socket.accept(), less the wrapper that would have to be taken apart again.
    """
    fd, peer = listener._accept()  # type: ignore[attr-defined]
    channel = SocketChannel(family, socket.SOCK_STREAM, 0, fileno=fd)
    channel.setblocking(False)
    return channel, peer
