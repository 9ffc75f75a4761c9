"""The epoll poller, for Linux.

Facts of epoll(7), and what they mean for us:
* Interest is the kernel's, so a change costs a system call when it is made and wait() costs nothing a descriptor.
* It reports ERR and HUP whether asked or not: a paused descriptor has to leave the set, or it spins.
* Closing the last copy of an open file removes it from the set without a word; then EPOLL_CTL_MOD and DEL answer
  ENOENT or EBADF, which Table forgives.
* Regular files and directories are refused (EPERM), since they are always ready: so we report them ourselves.
* An eventfd that is watched edge-triggered reports every write, and never has to be read; nor has a timerfd, which is
  made when somebody sets an alarm.
* The set is itself a descriptor that polls readable: a host can watch it, a helper thread can poll it.
* Timeouts are whole milliseconds, which CPython rounds up: a timer is never early.
"""

from __future__ import annotations

import math
import select

from ropewalk.interfaces import Handler
from ropewalk.pollers.alarm import TimerDescriptor
from ropewalk.pollers.table import Table
from ropewalk.pollers.waker import make_waker

_BATCH = 1024


class _Woken:
    """The handler of an edge-triggered waker or timer: it has done its work by ending the wait."""

    def ready(self, mask: int) -> None:
        pass


class EPoll(Table):
    """Waits by epoll_wait(2), level-triggered."""

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be used here; None if it can."""
        return None if hasattr(select, "epoll") else "select.epoll is not there: epoll(7) is Linux's"

    def __init__(self) -> None:
        super().__init__()
        self._epoll = select.epoll()
        self._poll = self._epoll.poll
        self._files: dict[int, int] = {}
        self._timer: TimerDescriptor | None = None
        self._waker = make_waker()
        self.wake = self._waker.wake
        self._register_edge(self._waker.fd)

    def _register_edge(self, fd: int) -> None:
        woken: Handler = _Woken()
        self.handlers[fd] = woken
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)

    def change(self, fd: int, old: int, new: int) -> None:
        if self._files and fd in self._files:
            self._change_file(fd, new)
        elif not new:
            self._epoll.unregister(fd)
        elif old:
            self._epoll.modify(fd, new)
        else:
            try:
                self._epoll.register(fd, new)
            except PermissionError:
                self._files[fd] = new
                self.wake()

    def _change_file(self, fd: int, new: int) -> None:
        if new:
            self._files[fd] = new
            self.wake()
        else:
            del self._files[fd]

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        self.stale.clear()
        if self._files:
            return self._poll(0, _BATCH) + list(self._files.items())
        return self._poll(timeout, _BATCH)

    def fileno(self) -> int | None:
        return self._epoll.fileno()

    def park(self, timeout: float | None) -> None:
        waiting = select.poll()
        waiting.register(self._epoll, select.POLLIN)
        waiting.poll(None if timeout is None else math.ceil(timeout * 1000))

    def alarm(self, seconds: float | None) -> None:
        if self._timer is None:
            self._timer = TimerDescriptor()
            self._register_edge(self._timer.fd)
        self._timer.set(seconds)

    def calm(self) -> None:
        self._waker.calm()
        if self._files:   # always ready, which the set cannot tell
            self.wake()

    def close(self) -> None:
        self._epoll.close()
        self._waker.close()
        if self._timer is not None:
            self._timer.close()
