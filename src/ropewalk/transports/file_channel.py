"""The channel of what is always ready, such as a regular file: os.read and os.write, one turn of the loop apart.

Facts, and what they mean for us:
* epoll refuses regular files, directories, block devices and /dev/null (EPERM), kqueue reports no end of a file, and
  under a foreign host nobody asks a poller that has only such a file. So no poller is asked: a delayed call of zero
  seconds is pending while something is wanted, and none otherwise.
* Reading and writing wait for the disk. So a turn reads one bounded piece; what is written goes to the system at once.
"""

from __future__ import annotations

import errno
import os
from functools import partial
from typing import Any

from ropewalk.interfaces import Handler, Loop


class FileChannel:
    """The descriptor `fd`, which it owns: it closes it."""

    __slots__ = ("_call", "_fd", "_handler", "_in_turn", "_loop", "_mask", "recv", "send")

    def __init__(self, fd: int) -> None:
        self.recv = partial(os.read, fd)
        self.send = partial(os.write, fd)
        self._fd = fd
        self._handler: Any = None
        self._mask = 0
        self._call: Any = None
        self._in_turn = False

    def attach(self, loop: Loop, handler: Handler) -> None:
        """From now on want() reports to `handler`."""
        self._loop: Any = loop
        self._handler = handler

    def want(self, mask: int) -> None:
        """Ask for handler.ready(mask), once a turn; 0 asks for silence. Raises OSError when it is closed."""
        if self._handler is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        self._mask = mask
        if not self._in_turn:   # else a loop nested in the handler would enter it again
            self._schedule()

    def _schedule(self) -> None:
        if self._mask and self._call is None:
            self._call = self._loop.callLater(0, self._turn)
        elif self._call is not None and not self._mask:
            self._call.cancel()
            self._call = None

    def _turn(self) -> None:
        self._call = None
        self._in_turn = True
        try:
            self._handler.ready(self._mask)
        finally:
            self._in_turn = False
            self._schedule()

    def shutdown(self, how: int) -> None:
        """A file has no end of its own for one direction."""

    def close(self) -> None:
        """Silence and close; lets go of the handler, so that the two need no garbage collector."""
        if self._handler is not None:
            self.leave()
            os.close(self._fd)

    def leave(self) -> None:
        """Silence, and forget the descriptor without closing it."""
        self._mask = 0
        self._schedule()
        self._handler = self._loop = None

    def reset_on_close(self) -> None:
        """What was written stays written."""
