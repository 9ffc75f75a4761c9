"""The channel of a pipe, a pseudo terminal or a pair of descriptors: os.read and os.write, with want().

Facts, and what they mean for us:
* The writing end of a pipe is never readable while somebody can read it. When the last reader has gone, epoll and poll
  report ERR, select reports it readable: so a writing end is watched for READ, too, and that is the end of its peer.
  On any other descriptor that is written READ means input, which nobody would take: the next write tells of those.
* The master of a pseudo terminal whose last slave was closed is read with EIO on Linux, as the end of input elsewhere.
  What is written to it goes nowhere until its buffer is full, and then fails with EAGAIN for ever, while epoll and poll
  report HUP without end, and select nothing: so it goes nowhere then, too.
* Whether a descriptor blocks belongs to the open file, which other processes may share. So nobody but the owner may
  change it: this file does not, see os.set_blocking.
* os.write to a reader that has gone raises BrokenPipeError, since Python ignores SIGPIPE.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import stat
from collections.abc import Callable
from functools import partial
from typing import Any

from ropewalk.interfaces import INVALID, READ, WRITE, Handler, Loop

_NONE = -1


class PipeChannel:
    """One descriptor that is read and one that is written, which it owns: it closes them.

    reader: its number, or -1 to read nothing; writer: its number, or -1 to write nothing; the two may be the same. They
    should not block. A channel that only writes a pipe is at the end of its input when nobody reads the pipe any more;
    one that reads, too, is broken then (BrokenPipeError).
    """

    tells_end = True   # nobody reads what it writes: without being asked to write
    __slots__ = ("_handler", "_notice", "_poller", "_writing", "reader", "recv", "send", "writer")

    def __init__(self, reader: int, writer: int) -> None:
        self.reader = reader
        self.writer = writer
        self.recv: Callable[[int], bytes] = partial(_read, reader) if reader >= 0 else partial(_until_left, writer)
        self.send: Callable[[Any], int] = partial(_write if reader == writer else os.write, writer)
        self._notice = READ if reader != writer and _is_writing_end(writer) else 0
        self._handler: Any = None

    def attach(self, loop: Loop, handler: Handler) -> None:
        """From now on want() reports to `handler`."""
        self._poller = loop.poller
        self._handler = handler
        self._writing: Any = _WritingEnd(self, handler) if self.reader >= 0 else handler

    def want(self, mask: int) -> None:
        """Ask for handler.ready(mask); 0 asks for silence. Raises OSError if the system refuses a descriptor."""
        if self._handler is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self.reader == self.writer:
            self._poller.set(self.reader, mask, self._handler)
            return
        if self.reader >= 0:
            self._poller.set(self.reader, mask & READ, self._handler)
        if self.writer >= 0:
            self._poller.set(self.writer, mask & (WRITE | self._notice), self._writing)

    def shutdown(self, how: int) -> None:
        """Close the descriptor that is written. Raises OSError if it is read, too: it has no end of its own."""
        if self.writer == self.reader:
            raise OSError(errno.EOPNOTSUPP, "what is one descriptor for both directions cannot be closed for one")
        self._close_writer()

    def close(self) -> None:
        """Silence and close; lets go of the handler, so that the two need no garbage collector."""
        if self._handler is None:
            return
        if self.writer != self.reader:
            self._close_writer()
        reader = self._forget_reader()
        _close(reader)

    def leave(self) -> None:
        """Forget the descriptor that was closed behind our back; its number may be another's. The other is closed."""
        if self._handler is None:
            return
        if self.reader < 0:
            self._forget_writer()
        elif self.writer != self.reader:
            self._close_writer()
        self._forget_reader()

    def reset_on_close(self) -> None:
        """A pipe has no reset: what was written can be read after it is closed."""

    def writer_left(self) -> None:
        """The descriptor that is written was closed behind our back."""
        self._forget_writer()
        handler, reader = self._handler, self._forget_reader()
        _close(reader)
        handler.ready(INVALID)

    def reader_left(self) -> None:
        """Nobody reads what we write, while we would still read: the next recv() says so."""
        self.recv = _broken
        self._handler.ready(READ)

    def _close_writer(self) -> None:
        _close(self._forget_writer())

    def _forget_writer(self) -> int:
        writer, self.writer = self.writer, _NONE
        self.send = partial(os.write, _NONE)
        if writer >= 0:
            self._poller.set(writer, 0, self._writing)
        return writer

    def _forget_reader(self) -> int:
        """Silence the descriptor that is read, and let go of the handler."""
        reader, self.reader = self.reader, _NONE
        handler, self._handler = self._handler, None
        self._writing = None
        self.recv = partial(os.read, _NONE)
        if reader >= 0:
            self._poller.set(reader, 0, handler)
        return reader


def open_pipe(use: str) -> tuple[PipeChannel, int]:
    """A pipe to a child: our end, and a descriptor of the child's. Raises OSError.

    use: 'r' if we read it, 'w' if we write it.
    """
    reader, writer = os.pipe()
    ours, theirs = (reader, writer) if use == "r" else (writer, reader)
    os.set_blocking(ours, False)
    return PipeChannel(ours, _NONE) if use == "r" else PipeChannel(_NONE, ours), theirs


class _WritingEnd:
    """The handler of the descriptor that is written, where another one is read."""

    __slots__ = ("_channel", "_handler")

    def __init__(self, channel: PipeChannel, handler: Handler) -> None:
        self._channel = channel
        self._handler = handler

    def ready(self, mask: int) -> None:
        if mask & INVALID:
            self._channel.writer_left()
        elif mask & WRITE:
            self._handler.ready(WRITE)
        elif _left(self._channel.writer):
            self._channel.reader_left()


def _read(reader: int, size: int) -> bytes:
    try:
        return os.read(reader, size)
    except OSError as error:
        if error.errno == errno.EIO and os.isatty(reader):
            return b""
        raise


def _write(terminal: int, data: Any) -> int:
    try:
        return os.write(terminal, data)
    except BlockingIOError:
        if _left(terminal):
            return len(data)
        raise


def _until_left(writer: int, size: int) -> bytes:
    """What is read of a writing end: its end."""
    if _left(writer):
        return b""
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def _left(writer: int) -> bool:
    """Whether nobody has the other end of `writer` open any more, to read what is written."""
    asking = select.poll()
    asking.register(writer, 0)   # errors are reported unasked
    return bool(asking.poll(0))


def _broken(size: int) -> bytes:
    raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def _is_writing_end(writer: int) -> bool:
    """Whether `writer` is the writing end of a pipe, and nothing else."""
    if writer < 0 or not stat.S_ISFIFO(os.fstat(writer).st_mode):
        return False
    return fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY


def _close(descriptor: int) -> None:
    """Close what is ours; it may have been closed behind our back."""
    if descriptor >= 0:
        with contextlib.suppress(OSError):
            os.close(descriptor)
