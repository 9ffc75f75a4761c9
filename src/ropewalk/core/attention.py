"""How a loop that is somebody else's comes to serve the reactor: it watches the poller, or a thread watches for it.

* A poller that is a descriptor itself (epoll) is watched by the host, and its alarm is in its set: one descriptor tells
  of I/O, timers, calls from threads and signals, and the host need not know what any of them is.
* Otherwise a helper thread parks on the poller and posts to the host. It owns nothing. It waits for the turn to be
  over, but not for longer than a nested loop, opened in that turn, may go unserved.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter  # as exact on Windows as elsewhere, where it is the clock of time.monotonic
from typing import Protocol

from ropewalk.interfaces import Host, Poller

_NESTED = 0.02   # seconds
_LOST = 0.1   # seconds after which a host is told again, at first
_ENDING = 5.0   # seconds that the helper may take to end


class Attention(Protocol):
    """The reactor has the attention of its host."""

    def alarm(self, seconds: float) -> None:
        """Serve the reactor in `seconds`, too; replaces the alarm before it."""

    def calm(self) -> None:
        """A turn is over: undo what woke it."""


@contextmanager
def attract(host: Host, poller: Poller, serve: Callable[[], object]) -> Iterator[Attention]:
    """Meanwhile `host` calls `serve`, in its thread, whenever `poller` has something."""
    host.begin()
    try:
        poller.apply()
        fd = poller.fileno()
        if fd is not None and host.watch(fd, serve):
            poller.alarm(None)   # takes what it needs while there are descriptors
            yield poller
            return
        helper = Helper(host.post, poller, serve)
        try:
            yield helper
        finally:
            helper.end()
    finally:
        host.end()


class Helper:
    """A thread watches.

    post: runs a call in the host's thread; poller: what it parks on; serve: what is posted.
    """

    def __init__(self, post: Callable[[Callable[[], object]], object], poller: Poller, serve: Callable[[], object]):
        self._post = post
        self._poller = poller
        self._serve = serve
        self._due: float | None = None
        self._parked_until: float | None = None
        self._going = True
        self._parked = False
        self._begun = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="reactor-helper", daemon=True)
        self._thread.start()

    def alarm(self, seconds: float) -> None:
        self._due = perf_counter() + seconds
        if self._parked:
            self._poller.wake()

    def calm(self) -> None:
        self._poller.calm()
        if self._parked and self._parked_until != self._due:   # a turn that was not of its own: iterate()
            self._poller.wake()

    def end(self) -> None:
        """Post no more."""
        self._going = False
        self._begun.set()
        self._over.set()
        self._poller.wake()
        self._thread.join(_ENDING)

    def _work(self) -> None:
        while self._going:
            self._parked = True
            self._parked_until = due = self._due
            self._poller.park(None if due is None else max(0.0, due - perf_counter()))
            self._parked = False
            self._begun.clear()
            if not self._going:
                return
            self._post(self._served)
            patience = _LOST
            while not self._begun.wait(patience):   # it is busy; or the post is lost, as one in 50,000 is by SDL 2.32
                patience *= 2
                self._post(self._served)
            self._over.wait(_NESTED)

    def _served(self) -> None:
        if self._begun.is_set():   # told twice
            return
        self._over.clear()   # not by the thread: the end of a longer turn, which this one waited for, comes before this
        self._begun.set()
        if self._due is not None and self._due <= perf_counter():
            self._due = None
        try:
            if self._going:   # it may have ended since this was posted
                self._serve()
        finally:
            self._over.set()
