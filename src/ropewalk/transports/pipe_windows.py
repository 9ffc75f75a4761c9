"""The channel of a pipe to a child on Windows: overlapped reads and writes of our end, a named pipe's server.

Facts, and what they mean for us:
* The pipes of CreatePipe, as os.pipe() makes them, cannot be used without blocking, and no poller can watch a pipe. A
  named pipe can be opened for overlapped operations on our side and as an ordinary file on the child's: so our end is
  one, with a name that nobody can guess, of which there is one instance, and which nobody else has opened before.
* A read fails with ERROR_BROKEN_PIPE when nobody has the other end open to write; but a child may also write nothing,
  and a read of nothing is not the end.
* An end that only writes does not tell when nobody reads any more. So the end that we write can be read, too, while
  the child's cannot be written: a read is over when that is closed, and only then.
* What was written before our end is closed can still be read.
"""

from __future__ import annotations

import sys

assert sys.platform == "win32"   # type checkers pass over the rest on other systems

import _overlapped
import _winapi
import msvcrt
import os
import secrets
from functools import partial
from typing import Any

from ropewalk.transports.completions_windows import BROKEN_PIPE, completions
from ropewalk.transports.posted import READ_SIZE, PostedChannel

_BUFFER = 65536   # bytes that the system keeps in each direction
_ONLY_INSTANCE = _winapi.FILE_FLAG_FIRST_PIPE_INSTANCE
_NO_REMOTE_CLIENTS = 8   # PIPE_REJECT_REMOTE_CLIENTS
_NONE = -1


class OverlappedPipe(PostedChannel):
    """One end of a pipe: `handle`, which it owns. reader: the handle if it is read, else -1; writer: if it is written.

    One that is written is at the end of its input when nobody reads the pipe any more.
    """

    def __init__(self, handle: int, written: bool) -> None:
        super().__init__()
        self.reader, self.writer = (_NONE, handle) if written else (handle, _NONE)
        self._handle = handle
        self._begun: set[Any] = set()
        completions.join(handle)

    def begin_read(self, size: int) -> None:
        operation = _overlapped.Overlapped(0)
        try:
            self._begin(operation, partial(operation.ReadFile, self._handle, size), self._have_read)
        except BrokenPipeError:
            self.read(b"")
        except OSError as error:
            self.read(error)

    def _have_read(self, operation: Any) -> None:
        try:
            data: bytes = operation.getresult()
        except OSError as error:
            self.read(error)
            return
        if data or operation.error == BROKEN_PIPE:
            self.read(data)
        else:
            self.begin_read(READ_SIZE)

    def begin_write(self, data: bytes) -> None:
        operation = _overlapped.Overlapped(0)
        try:
            self._begin(operation, partial(operation.WriteFile, self._handle, data), self._have_written)
        except OSError as error:
            self.wrote(error)
            return
        if not operation.pending:
            self._over(operation, self._have_written)

    def _have_written(self, operation: Any) -> None:
        try:
            self.wrote(operation.getresult())
        except OSError as error:
            self.wrote(error)

    def _begin(self, operation: Any, start: Any, done: Any) -> None:
        completions.begin(operation, start, partial(self._loop.callFromThread, self._over, operation, done))
        self._begun.add(operation)

    def _over(self, operation: Any, done: Any) -> None:
        """`operation` is over; done() is told once, and not after the channel was closed."""
        if operation in self._begun:
            self._begun.remove(operation)
            done(operation)

    def release(self) -> None:
        for operation in self._begun:
            operation.cancel()
        self._begun.clear()
        self.reader = self.writer = _NONE
        _winapi.CloseHandle(self._handle)


def open_pipe(use: str) -> tuple[OverlappedPipe, int]:
    """A pipe to a child: our end, and a descriptor of the child's. Raises OSError.

    use: 'r' if we read it, 'w' if we write it.
    """
    name = rf"\\.\pipe\ropewalk-{os.getpid()}-{secrets.token_hex(16)}"
    mode = _winapi.PIPE_ACCESS_INBOUND if use == "r" else _winapi.PIPE_ACCESS_DUPLEX
    access = _winapi.GENERIC_WRITE if use == "r" else _winapi.GENERIC_READ
    handle = _winapi.CreateNamedPipe(
        name,
        mode | _winapi.FILE_FLAG_OVERLAPPED | _ONLY_INSTANCE,
        _winapi.PIPE_WAIT | _NO_REMOTE_CLIENTS,
        1,
        _BUFFER,
        _BUFFER,
        _winapi.NMPWAIT_WAIT_FOREVER,
        _winapi.NULL,
    )
    try:
        theirs = _winapi.CreateFile(name, access, 0, _winapi.NULL, _winapi.OPEN_EXISTING, 0, _winapi.NULL)
    except OSError:
        _winapi.CloseHandle(handle)
        raise
    try:
        return OverlappedPipe(handle, use == "w"), msvcrt.open_osfhandle(theirs, 0)
    except OSError:
        _winapi.CloseHandle(theirs)
        _winapi.CloseHandle(handle)
        raise
