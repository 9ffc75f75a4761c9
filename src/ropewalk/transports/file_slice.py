"""A part of a file in the queue of a stream.

os.sendfile copies from the page cache to the socket in the kernel. Where it does not work (the file is no regular one,
the channel is no plain socket, the file system refuses), and wherever it fails, the file is read and sent: that also
shows whose error it was, where the error itself does not. Each step is bounded, so that a fast peer starves nobody.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from operator import index
from typing import Any

from ropewalk.interfaces import Kit
from ropewalk.transports.pieces import Step

_SENDFILE_SIZE = 524288
_READ_SIZE = 131072


class FileSlice(Step):
    """`count` bytes of `file`, a binary one, from `offset` on; None: up to its end.

    Raises ValueError below 0, TypeError for what is no whole number.

    done: a Deferred of the number of bytes, which fires when the kernel has them all, or the file has no more; it fails
    with the error of reading, or the reason of the connection's end. Cancelling it sends no more.
    """

    __slots__ = (
        "_cancelled", "_descriptor", "_error", "_file", "_kit", "_left", "_offset", "_promised", "_rest", "_sent",
        "done",
    )  # fmt: skip

    def __init__(self, kit: Kit, file: Any, offset: int, count: int | None) -> None:
        offset, left = index(offset), sys.maxsize if count is None else index(count)
        if offset < 0 or left < 0:
            raise ValueError(f"a file is sent from 0 on, and 0 bytes or more: not from {offset} on, {count} bytes")
        self.done: Any = kit.deferred(self._cancel)
        self._kit = kit
        self._file = file
        self._descriptor = _regular(file)   # for os.sendfile; -1: the file is to be read
        self._offset = offset
        self._left = left
        self._rest = memoryview(b"")   # was read and not sent
        self._promised = 0   # so much of it has to be offered again, whatever happens
        self._sent = 0
        self._error: Exception | None = None
        self._cancelled = False

    def send_some(self, channel: Any) -> bool:
        """Send a part; whether there is nothing left to send. Raises OSError for an error of `channel`."""
        if self._descriptor >= 0 and self._file.closed:   # the number may be another's; reading says what is wrong
            self._descriptor = -1
        if self._descriptor >= 0 and hasattr(channel, "send_file"):
            try:
                sent = channel.send_file(self._descriptor, self._offset, min(self._left, _SENDFILE_SIZE))
            except (BlockingIOError, ConnectionError):   # not the file's
                raise
            except OSError:
                self._descriptor = -1
            else:
                self._count(sent)
                return not (sent and self._left)
        return self._read_and_send(channel)

    def _read_and_send(self, channel: Any) -> bool:
        if not self._rest and self._left:
            try:
                self._file.seek(self._offset)
                self._rest = memoryview(self._file.read(min(self._left, _READ_SIZE)))
            except Exception as error:
                self._error = error
        if not self._rest:
            return True
        try:
            sent = channel.send(self._rest)
        except BlockingIOError:
            self._promised = getattr(channel, "promised", 0)
            raise
        self._promised = 0
        self._rest = self._rest[sent:]
        self._count(sent)
        return not self._left

    def _count(self, sent: int) -> None:
        self._sent += sent
        self._offset += sent
        self._left -= sent

    def settle(self) -> None:
        """All is sent, or as much as there was: tell the program, when the callback in hand has returned."""
        if self._cancelled:
            return
        if self._error is None:
            self.done.callback(self._sent)
        else:
            self.done.errback(self._kit.failure(self._error))

    def fail(self, failure: Any) -> None:
        """The connection is over: tell the program."""
        if not self._cancelled:
            self.done.errback(failure)

    def _cancel(self, done: Any) -> None:
        self._cancelled = True
        self._left, self._rest = self._promised, self._rest[: self._promised]


def _regular(file: Any) -> int:
    """The descriptor of `file`, if reading it gives what the system has in a regular file; else -1.

    A GzipFile, too, has the descriptor of one.
    """
    raw = file.raw if type(file) in (io.BufferedReader, io.BufferedRandom) else file
    if type(raw) is not io.FileIO or raw.closed:
        return -1
    try:
        file.flush()
        return raw.fileno() if stat.S_ISREG(os.fstat(raw.fileno()).st_mode) else -1
    except OSError:   # closed behind its back, or its disk is full: reading says so in time
        return -1
