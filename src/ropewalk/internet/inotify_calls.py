"""The kernel's side of inotify(7): an instance of it, through ctypes, and the records that reading it gives.

* A record is 16 bytes (watch, mask, cookie, length of the name), then the name, padded with NUL bytes. A read gives
  whole records; one that has no room for the next record fails with EINVAL.
* The number of a watch is free when that is removed, but the records that wait for it are not taken back: the last of
  them is IN_IGNORED. Linux counts the numbers up, and begins again at 1 after two thousand million of them.
* One inode has one watch an instance, whatever paths it was watched by: adding it again gives the same number.
"""

from __future__ import annotations

import errno
import functools
import io
import os
import struct
from pathlib import Path
from typing import Any, NamedTuple

from ropewalk.internet.inotify_masks import IN_MASK_ADD
from ropewalk.transports.missing import missing

READ_SIZE = 8192   # bytes; at most 512 records
LONGEST_NAME = 4096   # bytes; no file system of Linux allows as much

_HEAD = struct.Struct("=iIII")
_LIMITS = Path("/proc/sys/fs/inotify")


class INotifyError(OSError):
    """A call of inotify failed: `errno` is the system's number, `strerror` what to do, `filename` the path."""


class Event(NamedTuple):
    """One record. wd: the number of the watch (-1: none); size: how many bytes it took."""

    wd: int
    mask: int
    cookie: int
    name: bytes
    size: int


class Records:
    """Cuts what is read into records."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Event]:
        """The records that `data` completes; what is left over waits for more.

        Raises ValueError for a name that is longer than LONGEST_NAME: that is not inotify's.
        """
        data = self._rest + data
        events, at = [], 0
        while len(data) - at >= _HEAD.size:
            wd, mask, cookie, length = _HEAD.unpack_from(data, at)
            if length > LONGEST_NAME:
                raise ValueError(f"no record of inotify: its name would have {length} bytes")
            end = at + _HEAD.size + length
            if end > len(data):
                break
            events.append(Event(wd, mask, cookie, data[at + _HEAD.size : end].rstrip(b"\0"), end - at))
            at = end
        self._rest = data[at:]
        return events


class Instance:
    """An inotify instance. Raises INotifyError where the system has none, or gives no more of them."""

    def __init__(self) -> None:
        self._libc = _libc()
        fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if fd < 0:
            raise _error()
        self._file = io.FileIO(fd, "rb")

    def fileno(self) -> int:
        """Its descriptor; -1 once it is closed."""
        return -1 if self._file.closed else self._file.fileno()

    def add(self, path: Path, mask: int) -> int:
        """Watch `path` for `mask` too; the number of its watch. Raises INotifyError, or ValueError for a NUL byte."""
        encoded = os.fsencode(path)
        if b"\0" in encoded:
            raise ValueError(f"a path cannot have a NUL byte in it: {path!r}")
        wd: int = self._libc.inotify_add_watch(self.fileno(), encoded, mask | IN_MASK_ADD)
        if wd < 0:
            raise _error(path)
        return wd

    def remove(self, wd: int) -> None:
        """Remove a watch; that the kernel has done so already, because its file is gone, is no error."""
        self._libc.inotify_rm_watch(self.fileno(), wd)

    def read(self) -> bytes:
        """Some of the records that wait; b"" if none does. Raises OSError."""
        return self._file.read(READ_SIZE) or b""

    def waiting(self) -> int:
        """How many bytes of records wait."""
        import fcntl  # not on every system that this module can be imported on
        import termios

        number: int = struct.unpack("i", fcntl.ioctl(self.fileno(), termios.FIONREAD, bytes(4)))[0]
        return number

    def close(self) -> None:
        """Give it back, with all its watches. Raises OSError if somebody else has closed the descriptor."""
        self._file.close()


def limit(name: str) -> str:
    """The setting fs.inotify.`name` with its value, as text."""
    try:
        return f"fs.inotify.{name} = {(_LIMITS / name).read_text().strip()}"
    except OSError:
        return f"fs.inotify.{name}"


@functools.cache
def _libc() -> Any:
    """The C library. Raises INotifyError if it knows no inotify."""
    try:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        libc.inotify_init1.argtypes = [ctypes.c_int]
        libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
        libc.inotify_rm_watch.argtypes = [ctypes.c_int, ctypes.c_int]
    except (ImportError, OSError, TypeError, AttributeError) as error:
        raise INotifyError(errno.ENOSYS, f"{missing('inotify')} ({error})") from error
    return libc


def _error(path: Path | None = None) -> INotifyError:
    """The error of the call that has just failed."""
    import ctypes

    number = ctypes.get_errno()
    text = os.strerror(number)
    if number == errno.ENOSPC:
        text = f"no watch is left; raise {limit('max_user_watches')}, or watch less"
    elif number == errno.EMFILE:
        text = f"no inotify instance is left; raise {limit('max_user_instances')}, or the limit of files (ulimit -n)"
    elif number == errno.EBADF:
        text = "this INotify is closed"
    return INotifyError(number, text) if path is None else INotifyError(number, text, str(path))
