"""The place of a UNIX socket: a path in the file system, or an abstract name, taken and given back.

* A path outlives its socket. Who binds a path that a dead process has left gets EADDRINUSE, as if somebody were there;
  to connect to it tells the two apart: nobody listens. Only such a socket is removed, never another kind of file, and
  never one whose owner answers. (Between bind and listen an owner does not answer; a lock excludes that, too.)
* The lock is a file beside the path that says which process has it; Twisted makes and respects the same one.
* What is removed when the port stops is what this port has made: a successor may have taken the path meanwhile. In the
  child of a fork nothing is: path and lock are the parent's.
* A name that begins with a zero byte is abstract (Linux): no file, no mode, and it vanishes with its socket.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat

from ropewalk.transports.channel import SocketChannel
from ropewalk.transports.lockfile import FilesystemLock, isLocked

Name = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def name_of(address: Name) -> bytes:
    """The name of a UNIX socket as the system has it. Raises ValueError for a path with a zero byte in it."""
    name = os.fsencode(address)
    if b"\0" in name[1:] and name[:1] != b"\0":
        raise ValueError(f"a path has no zero bytes: {name!r}")
    return name


def lock_name(name: bytes) -> bytes:
    """The lock beside the path `name`."""
    return name + b".lock"


def is_held(name: bytes) -> bool:
    """Whether a living process has the lock of the path `name`."""
    try:
        return name[:1] != b"\0" and isLocked(lock_name(name))
    except OSError:   # what is there is no lock
        return False


class Place:
    """Where one socket at a time is bound. mode: of the file; wantPID: whether to take the lock beside it."""

    def __init__(self, name: bytes, mode: int, wantPID: bool = False) -> None:
        self.name = name
        self.mode = mode
        self.wantPID = wantPID
        self._is_path = name[:1] not in (b"", b"\0")
        self._lock: FilesystemLock | None = None
        self._made: os.stat_result | None = None
        self._process = 0   # that has it

    def take(self, channel: SocketChannel) -> None:
        """Bind `channel`. Raises OSError, which says who is in the way."""
        if not self._is_path:
            channel.bind(self.name)
            return
        self._process = os.getpid()
        if self.wantPID:
            self._take_lock()
        try:
            self._bind(channel)
            self._made = os.lstat(self.name)
            os.chmod(self.name, self.mode)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Remove the path, if it is still the one that was made, and give the lock back.

        Raises OSError, or ValueError if another process has taken the lock meanwhile.
        """
        made, self._made = self._made, None
        lock, self._lock = self._lock, None
        if self._process != os.getpid():
            return
        try:
            if made is not None:
                self._remove(made)
        finally:
            if lock is not None:
                lock.unlock()

    def _remove(self, made: os.stat_result) -> None:
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(made, os.lstat(self.name)):
                os.unlink(self.name)

    def _take_lock(self) -> None:
        lock = FilesystemLock(lock_name(self.name))
        if not lock.lock():
            raise OSError(errno.EADDRINUSE, f"a living process holds {os.fsdecode(lock_name(self.name))}")
        self._lock = lock

    def _bind(self, channel: SocketChannel) -> None:
        try:
            channel.bind(self.name)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            self._remove_dead(channel.type)
            channel.bind(self.name)

    def _remove_dead(self, kind: int) -> None:
        """Make room, if it is a dead process's socket that is in the way."""
        if not stat.S_ISSOCK(os.lstat(self.name).st_mode):
            raise OSError(errno.EADDRINUSE, "what has this path is not a socket, so it was left alone")
        with socket.socket(socket.AF_UNIX, kind) as probe:
            probe.setblocking(False)
            found = probe.connect_ex(self.name)
        if found != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, "another socket has this path, and it is alive")
        os.unlink(self.name)
