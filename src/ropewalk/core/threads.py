"""The thread pool: threads for calls that block.

A thread is started when work is waiting and no thread is idle, up to the maximum; it stays. stop() lets the work
that is queued finish. The interface is that of twisted.python.threadpool.ThreadPool.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from ropewalk.interfaces import Kit

_OnResult = Callable[[bool, Any], object]
_Job = tuple[_OnResult | None, Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class ThreadPool:
    """At most `maxthreads` threads that run calls in the order in which they were given.

    kit: makes the failures and logs what nobody asked for; daemon: whether the interpreter may end without them.
    """

    def __init__(
        self, kit: Kit, minthreads: int = 0, maxthreads: int = 10, name: str = "pool", daemon: bool = False
    ) -> None:
        _check_sizes(minthreads, maxthreads)
        self.min = minthreads
        self.max = maxthreads
        self.name = name
        self.started = False
        self.joined = False
        self._kit = kit
        self._daemon = daemon
        self._lock = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._idle = 0
        self._made = 0
        self._threads: set[threading.Thread] = set()
        self._when_ended: list[Callable[[], object]] = []

    @property
    def threads(self) -> list[threading.Thread]:
        """The threads there are."""
        with self._lock:
            return list(self._threads)

    def start(self) -> None:
        """Work from now on; what was queued before is done now. A stopped pool may be started again."""
        with self._lock:
            self.started, self.joined = True, False
            self._spawn()

    def stop(self) -> None:
        """Finish the queued work, end the threads, and wait until they have ended."""
        self.end()
        for thread in self.threads:
            thread.join()

    def end(self, then: Callable[[], object] | None = None) -> None:
        """Begin to stop and return at once; the last thread calls `then`, here if there is no thread."""
        with self._lock:
            self.started, self.joined = False, True
            self._lock.notify_all()
            if self._threads:
                self._when_ended += [then] if then else []
                return
        if then:
            then()

    def adjustPoolsize(self, minthreads: int | None = None, maxthreads: int | None = None) -> None:
        """Change the limits. Raises ValueError unless 0 <= minthreads <= maxthreads."""
        low = self.min if minthreads is None else minthreads
        high = self.max if maxthreads is None else maxthreads
        _check_sizes(low, high)
        with self._lock:
            self.min, self.max = low, high
            self._lock.notify_all()
            if self.started:
                self._spawn()

    def callInThread(self, func: Callable[..., object], *args: Any, **kw: Any) -> None:
        """Call `func(*args, **kw)` in a thread; what it raises is logged."""
        self.callInThreadWithCallback(None, func, *args, **kw)

    def callInThreadWithCallback(
        self, onResult: _OnResult | None, func: Callable[..., Any], *args: Any, **kw: Any
    ) -> None:
        """Call `func(*args, **kw)` in a thread, then there onResult(True, result) or onResult(False, failure)."""
        with self._lock:
            if self.joined:
                raise RuntimeError(f"the thread pool {self.name!r} has stopped: it takes no more calls")
            self._jobs.append((onResult, func, args, kw))
            if self.started:
                self._spawn()
                self._lock.notify()

    def _spawn(self) -> None:
        wanted = max(self.min, len(self._threads) + len(self._jobs) - self._idle)
        while len(self._threads) < min(wanted, self.max):
            self._made += 1
            thread = threading.Thread(target=self._work, name=f"{self.name}-{self._made}", daemon=self._daemon)
            try:
                thread.start()
            except RuntimeError:   # the system has no more: those there are will do, if there are any
                if not self._threads:
                    raise
                return
            self._threads.add(thread)
            self._idle += 1

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            self._do(*job)
            del job   # an idle thread keeps nothing alive
            with self._lock:
                self._idle += 1

    def _next_job(self) -> _Job | None:
        with self._lock:
            self._lock.wait_for(lambda: self._jobs or self.joined or len(self._threads) > self.max)
            self._idle -= 1
            if self._jobs and len(self._threads) <= self.max:
                return self._jobs.popleft()
            self._threads.discard(threading.current_thread())
            ended, self._when_ended = ([], self._when_ended) if self._threads else (self._when_ended, [])
        for then in ended:
            then()
        return None

    def _do(
        self, onResult: _OnResult | None, func: Callable[..., Any], args: tuple[Any, ...], kw: dict[str, Any]
    ) -> None:
        try:
            result = func(*args, **kw)
        except BaseException as error:
            if onResult is None:
                self._kit.report(error, "a call in a thread failed", func)
                return
            succeeded, result = False, self._kit.failure(error)
        else:
            succeeded = True
        if onResult is None:
            return
        try:
            onResult(succeeded, result)
        except BaseException as error:
            self._kit.report(error, "the callback of a call in a thread failed", onResult)


def _check_sizes(low: int, high: int) -> None:
    if not 0 <= low <= high:
        raise ValueError(f"a thread pool needs 0 <= minthreads <= maxthreads, not {low} and {high}")
