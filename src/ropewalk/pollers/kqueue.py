"""The kqueue poller, for macOS and the BSDs.

Facts of kqueue(2), FreeBSD's and macOS's, and what they mean for us:
* Reading and writing are two filters of one descriptor, reported apart: wait() puts them together again.
* A filter is level-triggered unless told otherwise. Interest is the kernel's; a change costs a system call. A change
  of several filters ends at the first that fails, and leaves those before it.
* To add a filter that is there changes nothing, but its EV_CLEAR may stay as it was. Closing a descriptor removes its
  filters without a word; then EV_DELETE answers ENOENT or EBADF, which Table forgives. So whatever is wanted is added
  at each change: it may be another file by now.
* EV_EOF comes with data that is still to be read, and reading tells the rest. On EVFILT_WRITE it says that nobody
  reads any more; so do refused connections: that is HANGUP.
* A writing end of a pipe is not readable when its reader leaves: FreeBSD never reports EVFILT_READ there. Who asks for
  READ of one gets EV_EOF of EVFILT_WRITE, by EV_CLEAR, since room to write is no news.
* A regular file is "readable" only before its end, for `tail -f`: as with poll(2) it shall always be ready, so we
  report it ourselves. So is a device that refuses to be waited for, such as /dev/null (EINVAL, FreeBSD: ENODEV). A
  terminal is for waiting, and macOS refuses /dev/tty: that is an error, which names what works.
* EVFILT_PROC tells of the exit of a child, once; its number is no descriptor's. Whoever has exited already may be
  refused (ESRCH, on macOS), and the event may come before waitpid(2) knows.
* EVFILT_TIMER counts milliseconds; its finer units have other numbers on each system. To add one that is there
  restarts it on some of them only. EVFILT_USER is not among the names of Python's select module: a waker's descriptor
  wakes.
* The queue is a descriptor that polls readable. Whether it does so truly within another poller differs by system and
  version: it is tried before a host may watch it.
* A child of fork has no queue: its number there is free, and the next open()'s.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import math
import os
import select
import stat
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from ropewalk.interfaces import HANGUP, READ, WRITE
from ropewalk.pollers.table import Table
from ropewalk.pollers.waker import make_waker

assert not TYPE_CHECKING or sys.platform == "darwin"   # where a type checker knows it: mypy --platform darwin

_BATCH = 1024
_ALARM = 1   # the identifier of our only timer
_REFUSED = {errno.EINVAL, errno.ENODEV, errno.EPERM, errno.EOPNOTSUPP}


class KQueue(Table):
    """Waits by kevent(2), level-triggered."""

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be used here; None if it can."""
        return None if hasattr(select, "kqueue") else "select.kqueue is not there: kqueue(2) is macOS's and the BSDs'"

    def __init__(self) -> None:
        super().__init__()
        self._kqueue = select.kqueue()
        self._control = self._kqueue.control
        self._files: dict[int, int] = {}   # always ready, with what they are watched for
        self._ends: set[int] = set()   # of pipes, that are written
        self._heard: list[select.kevent] = []   # by park(), of what is told once
        self._alarm_is_set = False
        self._waker = make_waker()
        self.wake = self._waker.wake
        self.change(self._waker.fd, 0, READ)

    # -- interest

    def change(self, fd: int, old: int, new: int) -> None:
        if not old:
            self._meet(fd)
        if fd in self._files:
            self._change_file(fd, new)
        else:
            self._change_filters(fd, old, new)
        if not new:
            self._ends.discard(fd)

    def _meet(self, fd: int) -> None:
        """Note what the descriptor is, if it is one to be treated differently. Raises OSError if it is not open."""
        self._ends.discard(fd)   # the one that had its number was refused
        mode = os.fstat(fd).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            self._files[fd] = 0
        elif stat.S_ISFIFO(mode) and _is_written(fd):
            self._ends.add(fd)

    def _change_file(self, fd: int, new: int) -> None:
        if new:
            self._files[fd] = new
            self.wake()
        else:
            del self._files[fd]

    def _change_filters(self, fd: int, old: int, new: int) -> None:
        before, after = self._filters(fd, old), self._filters(fd, new)
        gone = [select.kevent(fd, kind, select.KQ_EV_DELETE) for kind in before if before[kind] != after.get(kind)]
        wanted = [select.kevent(fd, kind, flags) for kind, flags in after.items()]
        try:
            self._control(gone + wanted, 0)
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            self._refused(fd, old, new, error)

    def _filters(self, fd: int, mask: int) -> dict[int, int]:
        """The filters, with their flags, that report `mask`."""
        add = select.KQ_EV_ADD
        if fd in self._ends:
            kind = add if mask & WRITE else add | select.KQ_EV_CLEAR
            return {select.KQ_FILTER_WRITE: kind} if mask else {}
        by_bit = ((READ, select.KQ_FILTER_READ), (WRITE, select.KQ_FILTER_WRITE))
        return {kind: add for bit, kind in by_bit if mask & bit}

    def _refused(self, fd: int, old: int, new: int, error: OSError) -> None:
        """The system cannot wait for the descriptor, or not for all of that."""
        if not old and stat.S_ISCHR(os.fstat(fd).st_mode) and not os.isatty(fd):
            self._change_file(fd, new)
            return
        for kind in self._filters(fd, new).keys() - self._filters(fd, old).keys():
            with contextlib.suppress(OSError):   # what came after the one that was refused
                self._control([select.kevent(fd, kind, select.KQ_EV_DELETE)], 0)
        raise OSError(
            error.errno,
            f"kqueue cannot watch descriptor {fd} ({error.strerror}): use the select or poll reactor, or for /dev/tty "
            "the device that os.ttyname() tells",
        ) from error

    # -- waiting

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        self.stale.clear()
        heard, self._heard = self._heard, []
        if self._files or heard:
            timeout = 0
        ready: dict[int, int] = {}
        for event in [*self._wanted(heard), *self._control(None, _BATCH, timeout)]:
            kind = event.filter
            number = event.ident
            if kind == select.KQ_FILTER_READ:
                ready[number] = ready.get(number, 0) | READ
            elif kind == select.KQ_FILTER_WRITE:
                mask = self._writable(number, event.flags & select.KQ_EV_EOF)
                if mask:
                    ready[number] = ready.get(number, 0) | mask
            elif kind == select.KQ_FILTER_PROC:
                ready[_child(number)] = READ
            else:
                self._alarm_is_set = False
        if ready.pop(self._waker.fd, 0):
            self._waker.calm()
        return [*ready.items(), *self._files.items()]

    def _wanted(self, heard: list[select.kevent]) -> list[select.kevent]:
        """Those whose descriptor nobody has forgotten since."""
        return [event for event in heard if event.filter == select.KQ_FILTER_PROC or event.ident in self.masks]

    def _writable(self, fd: int, ended: int) -> int:
        told = WRITE | HANGUP if ended else WRITE
        if fd in self._ends and not self.masks.get(fd, 0) & WRITE:
            told &= ~WRITE
        return told

    def fileno(self) -> int | None:
        return self._kqueue.fileno() if _can_be_watched() else None

    def park(self, timeout: float | None) -> None:
        once = select.KQ_EV_ONESHOT | select.KQ_EV_CLEAR
        told = self._control(None, 1, timeout)   # not select(), which takes descriptors below 1024
        self._heard += [event for event in told if event.flags & once]

    def alarm(self, seconds: float | None) -> None:
        changes = []
        if self._alarm_is_set:
            changes.append(select.kevent(_ALARM, select.KQ_FILTER_TIMER, select.KQ_EV_DELETE))
        if seconds is not None:
            once = select.KQ_EV_ADD | select.KQ_EV_ONESHOT
            milliseconds = max(1, math.ceil(seconds * 1000))
            changes.append(select.kevent(_ALARM, select.KQ_FILTER_TIMER, once, 0, milliseconds))
        if changes:
            self._control(changes, 0)
        self._alarm_is_set = seconds is not None

    def calm(self) -> None:
        self._waker.calm()
        if self._files:   # always ready, which the queue cannot tell
            self.wake()

    # -- children

    def child(self, pid: int, exited: Callable[[], object]) -> None:
        """Call `exited` when the child `pid` exits. Raises OSError; ProcessLookupError if it has exited already."""
        exit_of = (select.KQ_FILTER_PROC, select.KQ_EV_ADD | select.KQ_EV_ONESHOT, select.KQ_NOTE_EXIT)
        self._control([select.kevent(pid, *exit_of)], 0)
        self.handlers[_child(pid)] = _Exit(functools.partial(self._end_of, pid, exited))

    def _end_of(self, pid: int, exited: Callable[[], object]) -> None:
        del self.handlers[_child(pid)]
        exited()

    def close(self) -> None:
        with contextlib.suppress(OSError):   # in the child of a fork, where it is not open
            self._kqueue.close()
        self._waker.close()


class _Exit:
    """The handler of a child."""

    def __init__(self, exited: Callable[[], object]) -> None:
        self._exited = exited

    def ready(self, mask: int) -> None:
        self._exited()


def _child(pid: int) -> int:
    """What stands for a child among the descriptors, which are not negative."""
    return -pid


@functools.cache
def _can_be_watched() -> bool:
    """Whether a queue is readable for select(), poll() and another queue when, and only when, it has something."""
    reader, writer = os.pipe()
    inner, outer = select.kqueue(), select.kqueue()
    try:
        inner.control([select.kevent(reader, select.KQ_FILTER_READ, select.KQ_EV_ADD)], 0)
        outer.control([select.kevent(inner.fileno(), select.KQ_FILTER_READ, select.KQ_EV_ADD)], 0)
        before = _seen(inner, outer)
        os.write(writer, b"\0")
        between = _seen(inner, outer)
        os.read(reader, 1)
        return not any(before) and all(between) and not any(_seen(inner, outer))
    except (OSError, ValueError):   # ValueError: select() takes descriptors below 1024
        return False
    finally:
        inner.close()
        outer.close()
        os.close(reader)
        os.close(writer)


def _seen(inner: select.kqueue, outer: select.kqueue) -> list[bool]:
    """Who sees that `inner` has something."""
    polled = select.poll()
    polled.register(inner.fileno(), select.POLLIN)
    return [bool(select.select([inner], [], [], 0)[0]), bool(polled.poll(0)), bool(outer.control(None, 1, 0))]


def _is_written(fd: int) -> bool:
    """Whether `fd` is open for writing only."""
    import fcntl  # not on every system that this module is imported on

    return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
