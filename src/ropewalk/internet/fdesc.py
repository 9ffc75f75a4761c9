"""Descriptors of the system: whether they block and are inherited, and one read or write of them.

A descriptor is a number, or an object whose fileno() gives it. Whether it blocks belongs to what is open, and so to all
duplicates of the descriptor, in other processes too (fcntl(2), O_NONBLOCK): a program that makes its standard input
non-blocking does that to the shell's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from ropewalk.internet.main import CONNECTION_DONE, CONNECTION_LOST
from ropewalk.transports.missing import missing

__all__ = ["readFromFD", "setBlocking", "setNonBlocking", "writeToFD"]

_READ_SIZE = 8192   # bytes


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


Descriptor = int | _HasFileno


def setNonBlocking(fd: Descriptor) -> None:
    """Have reads and writes of `fd` return at once. Raises OSError if it is not open. Twisted's, as all in here.

    Raises NotImplementedError on Windows before Python 3.12; later that has it for pipes.
    """
    _set_blocking(_number(fd), False)


def setBlocking(fd: Descriptor) -> None:
    """Have reads and writes of `fd` wait. Raises OSError if it is not open."""
    _set_blocking(_number(fd), True)


def _set_blocking(fd: int, blocking: bool) -> None:
    if not hasattr(os, "set_blocking"):
        raise NotImplementedError(missing("mode in which reads of a descriptor return at once"))
    os.set_blocking(fd, blocking)


def _setCloseOnExec(fd: Descriptor) -> None:
    os.set_inheritable(_number(fd), False)


def _unsetCloseOnExec(fd: Descriptor) -> None:
    os.set_inheritable(_number(fd), True)


def _number(fd: Descriptor) -> int:
    return fd if isinstance(fd, int) else fd.fileno()


def readFromFD(fd: int, callback: Callable[[bytes], object]) -> Exception | None:
    """Read once from `fd`, a non-blocking descriptor, and call `callback` with what came, at most 8192 bytes.

    Returns None, also if there was nothing to read now; CONNECTION_DONE of internet.main at the end of it, and
    CONNECTION_LOST if reading failed; `callback` is not called then. Raises what `callback` raises.
    """
    try:
        data = os.read(fd, _READ_SIZE)
    except BlockingIOError:
        return None
    except OSError:
        return CONNECTION_LOST
    if not data:
        return CONNECTION_DONE
    callback(data)
    return None


def writeToFD(fd: int, data: bytes) -> int | Exception:
    """Write once to `fd`, a non-blocking descriptor.

    data: bytes, or another bytes-like object. Returns how many bytes were taken, 0 if it takes none now;
    CONNECTION_LOST of internet.main if writing failed.
    """
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
    except OSError:
        return CONNECTION_LOST
