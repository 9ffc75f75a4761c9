"""Channels of descriptors that block, such as standard input and output on Windows: threads read and write them.

Facts, and what they mean for us:
* An anonymous pipe and a console can only be used by calls that block, and no poller can watch them: so a thread reads,
  or writes, a piece when one is wanted, and not before. It is a daemon: a read of a console that nobody types at does
  not keep the program from ending.
* To close a file waits for whoever reads it, so the thread closes its own; CancelSynchronousIo ends what it is waiting
  for, if it is in the system already. So that is tried again for some milliseconds; what cannot be ended is left to
  its thread, until there is input or the program ends.
* A console's bytes are of a code page, and Ctrl-C makes a read of it look like the end. Python's own file of a console
  has an answer to both: UTF-8, and it reads on.
* An end that is written does not tell when nobody reads any more: the next write does. The C
  library has two errors for that, of which one, EINVAL, says nothing.
* The file of a disk never lets one wait for long: see file_channel.
"""

from __future__ import annotations

import sys

assert sys.platform == "win32"   # type checkers pass over the rest on other systems

import ctypes
import errno
import os
import stat
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any

from ropewalk.transports.file_channel import FileChannel
from ropewalk.transports.posted import PostedChannel

_THREAD_TERMINATE = 1   # the right to cancel what it waits for
_TRIES, _PATIENCE = 4, 0.005   # seconds
_kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
_kernel32.OpenThread.restype = ctypes.c_void_p

End = FileChannel | PostedChannel


def reading_end(number: int) -> End:
    """A channel that reads what the descriptor `number` does, through a descriptor of its own. Raises OSError."""
    if stat.S_ISREG(os.fstat(number).st_mode):
        return FileChannel(os.dup(number))
    return BlockingChannel(open(os.dup(number), "rb", buffering=0))


def writing_end(number: int) -> End:
    """A channel that writes where the descriptor `number` does, through a descriptor of its own. Raises OSError."""
    if stat.S_ISREG(os.fstat(number).st_mode):
        return FileChannel(os.dup(number))
    return BlockingChannel(open(os.dup(number), "wb", buffering=0))


class BlockingChannel(PostedChannel):
    """Reads or writes `file`, unbuffered, in a thread; it owns it."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file
        self._worker = _Worker(file)

    def begin_read(self, size: int) -> None:
        self._begin(partial(self._file.read, size), self.read)

    def begin_write(self, data: bytes) -> None:
        self._begin(partial(_write, self._file, data), self.wrote)

    def _begin(self, call: Callable[[], Any], done: Callable[[Any], object]) -> None:
        self._worker.do(call, partial(self._loop.callFromThread, done))

    def release(self) -> None:
        self._worker.end()


def _write(file: Any, data: bytes) -> int:
    try:
        written: int = file.write(data)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None
        raise
    return written


class _Worker:
    """A thread that does one thing after another with `file`, and closes it in the end; made when it is needed."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def do(self, call: Callable[[], Any], tell: Callable[[Any], object]) -> None:
        """tell() what call() returns, or the OSError that it raises. Raises RuntimeError if there is no thread."""
        if self._thread is None:
            thread = threading.Thread(target=_work, args=(self._jobs, self._file), name="blocking", daemon=True)
            thread.start()
            self._thread = thread
        self._jobs.put(partial(_do, call, tell))

    def end(self) -> None:
        """Close the file, at once if what is done with it can be interrupted."""
        if self._thread is None:
            self._file.close()
        else:
            self._jobs.put(None)
            _interrupt(self._thread)


def _work(jobs: SimpleQueue[Callable[[], object] | None], file: Any) -> None:
    with file:
        while _next(jobs):
            pass


def _next(jobs: SimpleQueue[Callable[[], object] | None]) -> bool:
    """Do what comes next, in a frame that is left before the next wait; whether there was something."""
    job = jobs.get()
    if job is None:
        return False
    job()
    return True


def _do(call: Callable[[], Any], tell: Callable[[Any], object]) -> None:
    try:
        came = call()
    except OSError as error:
        came = error
    tell(came)


def _interrupt(thread: threading.Thread) -> None:
    """End what `thread` is waiting for, and wait for its end, but not for long."""
    handle = ctypes.c_void_p(_kernel32.OpenThread(_THREAD_TERMINATE, False, thread.native_id))
    for _ in range(_TRIES):
        _kernel32.CancelSynchronousIo(handle)
        thread.join(_PATIENCE)
        if not thread.is_alive():
            break
    _kernel32.CloseHandle(handle)
