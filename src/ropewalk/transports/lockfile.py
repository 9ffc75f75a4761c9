"""A lock between processes: a name in the file system that says which process holds it.

Facts, and what they mean here:

* symlink(2) fails when the name exists, so to make a symbolic link is to take the lock, and what it points to, the
  number of the process, is there from the first moment. Twisted's lock is the same link: the two exclude each other.
* A process that is killed leaves its link. Two others may find that at the same time, and the second must not remove
  the lock that the first has just taken. So only the one that holds the guard, a file beside the link which the kernel
  unlocks when its owner dies, may take a dead process's lock over; and it does so with rename(2), which leaves no
  moment without a lock. (A process that uses Twisted's lock knows of no guard: only ours are safe from one another.)
* Windows and some file systems (FAT) have no symbolic links for everybody. There the lock is a directory that is made
  elsewhere and renamed, with the number in a file of it, as Twisted has it on Windows.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    Name = str | bytes | os.PathLike[str]

__all__ = ["FilesystemLock", "isLocked"]


class FilesystemLock:
    """A lock that one process at a time can hold; its documented behaviour is that of twisted.python.lockfile.

    name: the path of the lock, as given. locked: whether this object holds it. clean: None until `lock` succeeded;
    then False if the process that held the lock before had died without giving it back.
    """

    def __init__(self, name: Name) -> None:
        self.name = name
        self.locked = False
        self.clean: bool | None = None
        self._path = os.fsdecode(name)

    def lock(self) -> bool:
        """Take the lock if nobody has it, or if the process that has it is dead; say whether this object has it now.

        Never waits. Raises FileExistsError when there is something by this name that is not a lock, OSError when the
        lock cannot be made.
        """
        while not _made(self._path):
            holder = _holder(self._path)
            if holder is None:
                continue  # it was given back since
            if _alive(holder) or not _taken_over(self._path):
                return False
            return self._has_it(clean=False)
        return self._has_it(clean=True)

    def unlock(self) -> None:
        """Give the lock back. Raises ValueError when this process does not hold it, OSError when it cannot be removed
        or is not there.
        """
        holder = _holder(self._path)
        if holder is None:
            raise FileNotFoundError(errno.ENOENT, "nobody holds this lock", self._path)
        if holder != os.getpid():
            raise ValueError(f"{self._path}: this lock cannot be unlocked here: process {holder} holds it")
        _remove(self._path)
        self.locked = False

    def _has_it(self, clean: bool) -> bool:
        self.locked = True
        self.clean = clean
        return True


def isLocked(name: Name) -> bool:
    """Whether a living process holds the lock `name`. Raises FileExistsError when that is not a lock.

    It only looks: it neither takes the lock for a moment nor removes a dead process's, so it is in nobody's way.
    """
    holder = _holder(os.fsdecode(name))
    return holder is not None and _alive(holder)


# What a lock looks like on disk.

_WRITTEN = "symlink"   # the file in the directory that stands for a link; Twisted's name for it
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
_EXISTS = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


def _made(path: str) -> bool:
    """Make a lock of this process; say whether, which is no when there is something already."""
    try:
        _link(path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _made_without_links(path)
    return True


def _made_without_links(path: str) -> bool:
    beside = _beside(path)
    os.mkdir(beside)
    try:
        with open(os.path.join(beside, _WRITTEN), "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
        os.rename(beside, path)
    except OSError as error:
        _empty(beside)
        if error.errno in _EXISTS or os.path.lexists(path):
            return False
        raise
    return True


def _holder(path: str) -> int | None:
    """The process that holds the lock; None when nobody does."""
    text = _read(path)
    if text is None:
        return None
    if text.isascii() and text.isdigit() and int(text):
        return int(text)
    raise FileExistsError(errno.EEXIST, f"this is not a lock: it has {text!r} for the number of a process", path)


def _read(path: str) -> str | None:
    while True:
        try:
            return os.readlink(path)
        except FileNotFoundError:
            return None
        except OSError:
            pass  # it is there, and no link
        before = _stamp(path)
        try:
            with open(os.path.join(path, _WRITTEN), encoding="ascii", errors="replace") as file:
                return file.read(100)
        except (FileNotFoundError, NotADirectoryError):
            if _stamp(path) == before is not None:  # else it was given back, and may have been taken again, meanwhile
                raise FileExistsError(errno.EEXIST, "this is not a lock", path) from None


def _stamp(path: str) -> tuple[int, int, int] | None:
    """What tells the file by this name from another one that had, or will have, the name; None if there is none."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino, status.st_ctime_ns


def _remove(path: str) -> None:
    if os.path.islink(path):
        os.unlink(path)
        return
    beside = _beside(path)
    os.rename(path, beside)  # in one step, for nobody to find it half removed
    _empty(beside)


def _empty(directory: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(directory, _WRITTEN))
    os.rmdir(directory)


def _beside(path: str) -> str:
    """A name that nobody uses."""
    return f"{path}.{os.getpid()}.{os.urandom(6).hex()}"


# Taking over the lock of a dead process.


def _taken_over(path: str) -> bool:
    """Make the lock of a dead process this one's; say whether, which is no when another process is at that."""
    with _guard(f"{path}.guard") as alone:
        if not alone:
            return False
        holder = _holder(path)
        if holder is None or _alive(holder):
            return False
        if os.path.islink(path):
            _relink(path)
            return True
        _remove(path)
        return _made(path)


def _relink(path: str) -> None:
    beside = _beside(path)
    _link(beside)
    try:
        os.rename(beside, path)
    except OSError:
        os.unlink(beside)
        raise


# The two things for which the systems differ.

if sys.platform == "win32":
    import ctypes

    _SYNCHRONIZE = 0x100000
    _ERROR_ACCESS_DENIED = 5
    _WAIT_TIMEOUT = 258

    def _link(path: str) -> None:
        """Making links takes a privilege here: all use the directory, whoever has it."""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), path)

    def _alive(pid: int) -> bool:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        process = kernel.OpenProcess(_SYNCHRONIZE, False, pid)
        if not process:
            return ctypes.get_last_error() == _ERROR_ACCESS_DENIED
        process = ctypes.c_void_p(process)
        try:
            return bool(kernel.WaitForSingleObject(process, 0) == _WAIT_TIMEOUT)
        finally:
            kernel.CloseHandle(process)

    @contextlib.contextmanager
    def _guard(path: str) -> Iterator[bool]:
        """Whether this is the one that holds the guard; the system removes it when its descriptor is gone."""
        try:
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_TEMPORARY)
        except (FileExistsError, PermissionError):
            yield False
            return
        try:
            yield True
        finally:
            os.close(fd)

else:
    import fcntl

    def _link(path: str) -> None:
        os.symlink(str(os.getpid()), path)

    def _alive(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            return True
        return True

    @contextlib.contextmanager
    def _guard(path: str) -> Iterator[bool]:
        """Whether this is the one that holds the guard."""
        fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if not _flocked(fd) or not _is_at(fd, path):
                yield False
                return
            try:
                yield True
            finally:
                os.unlink(path)
        finally:
            os.close(fd)

    def _flocked(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _is_at(fd: int, path: str) -> bool:
        """Whether the open file is still the one by that name: who had the guard before may have removed it."""
        try:
            return os.path.samestat(os.fstat(fd), os.stat(path))
        except FileNotFoundError:
            return False
