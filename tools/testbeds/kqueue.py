"""select.kqueue on Linux, for tests: the semantics of kqueue(2) on nested epoll sets, timerfd and pidfd.

install() gives the select module the names that it has on macOS and the BSDs, and takes away what they lack: epoll,
eventfd, pidfd_open. As a plugin of pytest it does so before any test is collected: `python -m pytest -p
tools.testbeds.kqueue`; any other program is run so by `python tools/testbeds/kqueue.py PROGRAM...`. What is emulated,
by the man pages of macOS and FreeBSD, the stricter of the two where they differ:

* EVFILT_READ and EVFILT_WRITE, apart for each descriptor, level-triggered or EV_CLEAR, EV_ONESHOT; the number of bytes
  in `data`; EV_EOF at the end of input, and on the writing side when nobody reads. Regular files are readable before
  their end, the writing end of a pipe never is, and devices like /dev/null are refused (EINVAL), and /dev/tty, as by
  macOS.
* EVFILT_TIMER in milliseconds. EVFILT_PROC with NOTE_EXIT; a process that has exited is as one that never was (ESRCH).
* To add a filter that is there changes neither its EV_CLEAR nor the time of a timer.
* Every other filter is refused with EINVAL, as by a kernel that lacks it. A change of what is not there is ENOENT, a
  descriptor that is not open EBADF; the changes before it hold.
* Closing a descriptor removes its filters. The child of a fork has no queue.
* The queue is a descriptor that polls readable when it has something. It may be used by several threads at a time.

So a poller is judged here as far as it goes by the man pages; the systems themselves are another test.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import math
import os
import runpy
import select
import stat
import struct
import sys
import termios
import threading
import weakref
from collections.abc import Iterable, Iterator
from os import pidfd_open
from select import epoll
from typing import Any

READ, WRITE, PROC, TIMER = -1, -2, -5, -7
ADD, DELETE, ENABLE, DISABLE, ONESHOT, CLEAR, EOF = 1, 2, 4, 8, 0x10, 0x20, 0x8000
NOTE_EXIT = 0x80000000
NAMES: dict[str, Any] = {
    "KQ_FILTER_READ": READ, "KQ_FILTER_WRITE": WRITE, "KQ_FILTER_AIO": -3, "KQ_FILTER_VNODE": -4,
    "KQ_FILTER_PROC": PROC, "KQ_FILTER_SIGNAL": -6, "KQ_FILTER_TIMER": TIMER,
    "KQ_EV_ADD": ADD, "KQ_EV_DELETE": DELETE, "KQ_EV_ENABLE": ENABLE, "KQ_EV_DISABLE": DISABLE,
    "KQ_EV_ONESHOT": ONESHOT, "KQ_EV_CLEAR": CLEAR, "KQ_EV_EOF": EOF, "KQ_EV_ERROR": 0x4000, "KQ_NOTE_EXIT": NOTE_EXIT,
}  # fmt: skip
_queues: weakref.WeakSet[kqueue] = weakref.WeakSet()
_GONE = select.EPOLLHUP | select.EPOLLERR
_TTY = os.makedev(5, 0)   # /dev/tty, on Linux
_libc = ctypes.CDLL(None, use_errno=True)


def install() -> None:
    """Make this process's interfaces those of macOS, as far as waiting goes."""
    if hasattr(select, "kqueue"):
        return
    for name, value in NAMES.items():
        setattr(select, name, value)
    for module, name in ((select, "epoll"), (os, "eventfd"), (os, "pidfd_open")):
        if hasattr(module, name):
            delattr(module, name)


def pytest_configure() -> None:
    install()


def _close_all() -> None:
    """In the child of a fork. CPython's object does not know, and closes a number that is nobody's."""
    for queue in list(_queues):
        queue.vanish()


class kevent:
    """A change, or an event: select.kevent."""

    __slots__ = ("data", "fflags", "filter", "flags", "ident", "udata")

    def __init__(
        self, ident: Any, filter: int = READ, flags: int = ADD, fflags: int = 0, data: int = 0, udata: int = 0
    ) -> None:
        self.ident: int = ident if isinstance(ident, int) else ident.fileno()
        self.filter = filter
        self.flags = flags
        self.fflags = fflags
        self.data = data
        self.udata = udata


class kqueue:
    """A queue: select.kqueue.

    One set for readers and one for writers are in the outer set, which is the descriptor of the queue, beside a
    descriptor for each timer and process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vanished = False
        self._outer: select.epoll | None = epoll()
        self._sets = {READ: epoll(), WRITE: epoll()}
        for inner in self._sets.values():
            self._outer.register(inner.fileno(), select.EPOLLIN)
        self._timers = [_timer()]   # those that are idle: a timer takes no descriptor of the program's
        self._notes: dict[tuple[int, int], _Note] = {}
        _queues.add(self)

    @property
    def closed(self) -> bool:
        return self._outer is None

    def fileno(self) -> int:
        return self._open().fileno()

    def close(self) -> None:
        outer, self._outer = self._outer, None
        if outer is not None:
            self._release(outer)
        if self._vanished:
            self._vanished = False
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def vanish(self) -> None:
        """Be closed by the kernel."""
        if self._outer is not None:
            self._release(self._outer)
            self._vanished = True

    def _release(self, outer: select.epoll) -> None:
        for note in self._notes.values():
            note.close()
        for one in (outer, *self._sets.values()):
            one.close()
        while self._timers:
            os.close(self._timers.pop())
        self._notes.clear()

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self.close()

    def control(
        self, changelist: Iterable[kevent] | None, max_events: int, timeout: float | None = None
    ) -> list[kevent]:
        outer = self._open()
        with self._lock:
            for change in changelist or ():
                self._change(outer, change)
            if not max_events:
                return []
            told = self._told(outer, max_events)
        if told or timeout == 0:
            return told
        waited = select.poll()
        waited.register(outer, select.POLLIN)
        waited.poll(None if timeout is None else math.ceil(timeout * 1000))
        with self._lock:
            return self._told(outer, max_events)

    def _open(self) -> select.epoll:
        if self._outer is None:
            raise ValueError("I/O operation on closed kqueue object")
        return self._outer

    # -- changes

    def _change(self, outer: select.epoll, change: kevent) -> None:
        key = change.ident, change.filter
        note = self._notes.get(key)
        if note is not None and not note.is_current():   # the descriptor was closed, which removes its filters
            self._drop(note)
            note = None
        if change.flags & DELETE:
            self._drop(self._there(note, change))
            return
        if note is None and change.flags & ADD:
            note = self._made(outer, change)
        enabled = not change.flags & DISABLE
        note = self._there(note, change)
        if note.enabled != enabled:
            note.enable(enabled)
        self._notes[key] = note

    def _there(self, note: _Note | None, change: kevent) -> _Note:
        if note is None:
            if change.filter in self._sets:
                os.fstat(change.ident)   # EBADF
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return note

    def _made(self, outer: select.epoll, change: kevent) -> _Note:
        if change.filter == TIMER:
            return _Timer(outer, change, self._timers)
        kinds: dict[int, type[_Note]] = {READ: _Reading, WRITE: _Writing, PROC: _Process}
        if change.filter not in kinds:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return kinds[change.filter](self._sets.get(change.filter, outer), change)

    def _drop(self, note: _Note) -> None:
        del self._notes[note.asked.ident, note.asked.filter]
        note.enable(False)
        note.close()

    # -- events

    def _told(self, outer: select.epoll, count: int) -> list[kevent]:
        told: list[kevent] = []
        for note, mask in self._ready(outer, count):
            event = note.event(mask) if len(told) < count and note.is_current() else None
            if event is not None:
                told.append(event)
                if event.flags & ONESHOT:
                    self._drop(note)
        return told

    def _ready(self, outer: select.epoll, count: int) -> Iterator[tuple[_Note, int]]:
        yield from [(note, 0) for note in self._notes.values() if note.is_file and note.enabled]
        for fd, _ in outer.poll(0):
            kind = next((kind for kind, one in self._sets.items() if one.fileno() == fd), None)
            for number, mask in [(fd, 0)] if kind is None else self._sets[kind].poll(0, count):
                note = self._note_of(number, kind)
                if note is not None:
                    yield note, mask

    def _note_of(self, fd: int, kind: int | None) -> _Note | None:
        if kind is not None:
            return self._notes.get((fd, kind))
        return next((note for note in self._notes.values() if note.fd == fd and note.owned), None)


class _Note:
    """What one filter of one identifier waits for, by a descriptor in one of the sets."""

    owned = True   # the descriptor is the note's own
    is_file = False
    mask = select.EPOLLIN

    def __init__(self, watching: select.epoll, change: kevent) -> None:
        self._watching = watching
        self.enabled = False
        self.asked = change
        self.fd = self.open()

    def open(self) -> int:
        raise NotImplementedError

    def event(self, mask: int) -> kevent | None:
        """What is to be told; None for nothing."""
        raise NotImplementedError

    def is_current(self) -> bool:
        return True

    def enable(self, enabled: bool) -> None:
        with contextlib.suppress(OSError):   # it is not there, or closed
            self._watching.unregister(self.fd)
        self.enabled = enabled
        if enabled:
            edge = select.EPOLLET if self.asked.flags & CLEAR else 0
            self._watching.register(self.fd, self.mask | edge)

    def close(self) -> None:
        os.close(self.fd)

    def told(self, flags: int, fflags: int, data: int) -> kevent:
        asked = self.asked
        flags |= asked.flags & (ADD | ONESHOT | CLEAR)
        return kevent(asked.ident, asked.filter, flags, fflags, data, asked.udata)


class _Descriptor(_Note):
    """Base of reading and writing."""

    owned = False

    def open(self) -> int:
        status = os.fstat(self.asked.ident)
        self._file = status.st_dev, status.st_ino
        self.is_file = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
        self._is_end = stat.S_ISFIFO(status.st_mode) and (
            fcntl.fcntl(self.asked.ident, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
        )
        return self.asked.ident

    def is_current(self) -> bool:
        try:
            status = os.fstat(self.fd)
        except OSError:
            return False
        return self._file == (status.st_dev, status.st_ino)

    def enable(self, enabled: bool) -> None:
        if self.is_file or (self._is_end and self.asked.filter == READ):
            self.enabled = enabled
            return
        if os.fstat(self.fd).st_rdev == _TTY:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        try:
            super().enable(enabled)
        except PermissionError:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from None

    def close(self) -> None:
        """It is the program's."""


class _Reading(_Descriptor):
    mask = select.EPOLLIN | select.EPOLLRDHUP

    def event(self, mask: int) -> kevent | None:
        if self.is_file:
            left = os.fstat(self.fd).st_size - os.lseek(self.fd, 0, os.SEEK_CUR)
            return self.told(0, 0, left) if left else None
        ended = EOF if mask & (select.EPOLLRDHUP | _GONE) else 0
        return self.told(ended, 0, _waiting(self.fd))


class _Writing(_Descriptor):
    mask = select.EPOLLOUT

    def event(self, mask: int) -> kevent | None:
        return self.told(EOF if mask & _GONE else 0, 0, 1)


class _Timer(_Note):
    def __init__(self, watching: select.epoll, change: kevent, idle: list[int]) -> None:
        self._idle = idle
        super().__init__(watching, change)

    def open(self) -> int:
        fd = self._idle.pop() if self._idle else _timer()
        seconds, milliseconds = divmod(max(self.asked.data, 1), 1000)
        first = seconds, milliseconds * 1_000_000
        again = (0, 0) if self.asked.flags & ONESHOT else first
        _libc.timerfd_settime(fd, 0, struct.pack("4q", *again, *first), None)
        return fd

    def close(self) -> None:
        self._idle.append(self.fd)

    def event(self, mask: int) -> kevent | None:
        try:
            return self.told(CLEAR, 0, int.from_bytes(os.read(self.fd, 8), "little"))
        except BlockingIOError:
            return None


class _Process(_Note):
    def open(self) -> int:
        try:
            fd = pidfd_open(self.asked.ident)
        except OSError as error:
            number = errno.ESRCH if error.errno == errno.EINVAL else error.errno
            raise OSError(number, os.strerror(number or 0)) from None
        if select.select([fd], [], [], 0)[0]:
            os.close(fd)
            raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
        return fd

    def event(self, mask: int) -> kevent:
        return self.told(EOF | ONESHOT, NOTE_EXIT, _status(self.fd))


def _timer() -> int:
    made: int = _libc.timerfd_create(1, os.O_CLOEXEC | os.O_NONBLOCK)   # CLOCK_MONOTONIC
    return made


def _waiting(fd: int) -> int:
    """How many bytes can be read; 1 where the system does not tell, of a port that listens."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0])
    except OSError:
        return 1


def _status(process: int) -> int:
    """How the process of a pidfd has ended, as of waitpid(2); 0 if somebody else has reaped it."""
    with contextlib.suppress(ChildProcessError):
        ended = os.waitid(os.P_PIDFD, process, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if ended is not None:
            return ended.si_status << 8 if ended.si_code == os.CLD_EXITED else ended.si_status
    return 0


NAMES |= {"kqueue": kqueue, "kevent": kevent}
os.register_at_fork(after_in_child=_close_all)

if __name__ == "__main__":
    install()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
