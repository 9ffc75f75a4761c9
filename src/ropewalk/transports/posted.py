"""The base of channels that no poller can watch: what they are ready for is told by a call posted to the loop.

A read is begun when READ is wanted, and no earlier: what is paused reads nothing more than was begun. A write is begun
by send(), which refuses the bytes (BlockingIOError) until the system has taken them; see interfaces.Channel. So a
stream over such a channel has back-pressure, order and errors as over a socket, and a close that waits for what was
written waits until it has been written.
"""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from ropewalk.interfaces import READ, WRITE, Handler, Loop

READ_SIZE = WRITE_SIZE = 65536   # bytes at a time


class PostedChannel(ABC):
    """A subclass begins to read and to write, and tells what came of it in the loop's thread.

    promised: how many bytes are being written, or were, and have yet to be offered again.
    """

    def __init__(self) -> None:
        self.promised = 0
        self._loop: Any = None
        self._handler: Any = None
        self._mask = 0
        self._reading = False
        self._came: bytes | OSError | None = None
        self._writing = False
        self._taken: int | OSError | None = None   # what came of the last write, which has yet to be told
        self._posted = False
        self._telling = False   # the handler is on the stack

    # -- what a subclass does

    @abstractmethod
    def begin_read(self, size: int) -> None:
        """Begin to read at most `size` bytes; read() tells what came of it."""

    @abstractmethod
    def begin_write(self, data: bytes) -> None:
        """Begin to write; wrote() tells what came of it, perhaps at once."""

    @abstractmethod
    def release(self) -> None:
        """Cancel what was begun, and close."""

    def read(self, came: bytes | OSError) -> None:
        """`came` was read; b"" is the end."""
        self._reading = False
        self._came = came
        self._tell()

    def wrote(self, taken: int | OSError) -> None:
        """So many bytes of what was to be written were."""
        self._writing = False
        self._taken = taken
        if isinstance(taken, int):
            self.promised = taken
        self._tell()

    # -- interfaces.Channel

    def attach(self, loop: Loop, handler: Handler) -> None:
        """From now on want() reports to `handler`."""
        self._loop = loop
        self._handler = handler

    def recv(self, size: int) -> bytes:
        """What was read, at most `size` bytes; b"" at the end. Raises BlockingIOError, OSError."""
        came = self._came
        if came is None:
            raise _would_block()
        if isinstance(came, OSError):
            raise came
        if came:
            self._came = came[size:] or None
        return came[:size]

    def send(self, data: Any) -> int:
        """Write the beginning of `data`; how many bytes were taken. Raises BlockingIOError, OSError."""
        if not self.promised:
            piece = bytes(memoryview(data)[:WRITE_SIZE])
            self.promised = len(piece)
            self._writing = True
            self._quietly(self.begin_write, piece)
        taken, self._taken = self._taken, None
        if taken is None:
            raise _would_block()
        self.promised = 0
        if isinstance(taken, OSError):
            raise taken
        return taken

    def _quietly(self, begin: Callable[[Any], object], what: Any) -> None:
        """Begin; if that is over at once, the handler, which may be on the stack, is told later."""
        outer, self._telling = self._telling, True
        try:
            begin(what)
        finally:
            self._telling = outer

    def want(self, mask: int) -> None:
        """Ask for handler.ready(mask), once a turn; 0 asks for silence. Raises OSError when it is closed."""
        if self._handler is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        self._mask = mask
        if not self._telling:
            self._go_on()

    def _go_on(self) -> None:
        """Read what is wanted, and post what there is to tell."""
        if self._mask & READ and self._came is None and not self._reading:
            self._reading = True
            self._quietly(self.begin_read, READ_SIZE)
        if self._due() and not self._posted:
            self._posted = True
            self._loop.callFromThread(self._tell_posted)

    def _due(self) -> int:
        """What it is ready for, of what is wanted."""
        ready = (READ if self._came is not None else 0) | (0 if self._writing else WRITE)
        return self._mask & ready

    def _tell_posted(self) -> None:
        self._posted = False
        self._tell()

    def _tell(self) -> None:
        due = self._due()
        if not due or self._telling:   # the latter in a nested loop
            return
        self._telling = True
        try:
            self._handler.ready(due)
        finally:
            self._telling = False
            if self._handler is not None:
                self._go_on()

    def shutdown(self, how: int) -> None:
        """Close: what is written has no other end."""
        self.close()

    def close(self) -> None:
        """Silence and close; lets go of the handler, so that the two need no garbage collector."""
        if self._handler is not None:
            self.leave()
            self.release()

    def leave(self) -> None:
        """Silence."""
        self._mask = 0
        self._handler = self._loop = None

    def reset_on_close(self) -> None:
        """What was written can be read after it is closed."""


def _would_block() -> BlockingIOError:
    return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
