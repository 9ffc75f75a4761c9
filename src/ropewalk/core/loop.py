"""The loop: a host, a poller, timers and posted calls, turned by tick(); the engine under the reactor."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ropewalk.core.timers import DelayedCall, Timers
from ropewalk.interfaces import Handler, Host, Kit, Poller

_LONGEST_WAIT = 86400.0   # seconds; what any system's wait accepts
_TOGETHER = 8   # transports; with more of them data leaves the cache, and peers wait for nothing
_seconds = time.perf_counter if sys.platform == "win32" else time.monotonic


class Loop:
    """What turns.

    make_host, make_poller: its two parts; the poller is made at first use, so that a program may fork before.
    kit: makes the objects that programs see.
    """

    callLater: Callable[..., DelayedCall]
    """callLater(delay, callable, *args, **kw): see Timers.callLater, which this is."""

    def __init__(self, make_host: Callable[[Any], Host], make_poller: Callable[[], Poller], kit: Kit) -> None:
        self.kit = kit
        self.late: list[Any] = []
        self._gathered: list[Any] = []
        self._make_poller = make_poller
        self._poller: Poller | None = None
        self._wake: Callable[[], object] = _nobody_waits
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] = deque()
        self._batch: Iterator[tuple[int, int]] | None = None   # of the tick in hand
        self._active: Handler | None = None   # on the stack
        self._active_fd = -1
        self._host = make_host(self)
        self._asleep = self._host.foreign
        self._timers = Timers(_seconds, kit.error, self._attend)
        self._timers.attended = not self._host.foreign
        self.settle_soon: Callable[[Any], None] = self._settle_soon if self._host.foreign else self.late.append
        self.callLater = self._timers.callLater

    @property
    def poller(self) -> Poller:
        """The poller, made when it is first asked for."""
        if self._poller is None:
            self._poller = self._make_poller()
            self._wake = self._poller.wake
        return self._poller

    def forget_poller(self) -> None:
        """In the child of a fork: the next use makes a new poller; the waker's number may be another's by now."""
        self._poller = None
        self._wake = _nobody_waits
        self._asleep = self._host.foreign

    def tick(self, patience: float | None = 0.0) -> None:
        """One turn: wait at most `patience` seconds, then posted calls, due timers, and what is ready.

        patience: None to wait until there is something to do. Only what was there at the start of a part runs in
        it, so nothing starves. A tick within a tick (a nested loop that a callback opened) goes on with the rest of
        the batch; the handler on the stack is left out until it returns.
        """
        poller = self._poller or self.poller
        if self._batch is None:
            self._turn(poller, patience)
        else:
            with self._nested(poller):
                self._turn(poller, patience)
        if self._host.foreign:
            poller.apply()
            self._attend()

    def _turn(self, poller: Poller, patience: float | None) -> None:
        timers = self._timers
        attended, timers.attended = timers.attended, True
        try:
            if self._gathered:   # by a turn that was left, or by the one that this is nested in
                self._settle_all(self._gathered)
            if self._calls or self.late:
                patience = 0
            elif timers.heap or patience:
                patience = self._patience(patience)
            self._asleep = True
            ready = poller.wait(0 if self._calls else patience)
            self._asleep = False
            self._batch = iter(ready)
            if self._calls:
                self._run_calls()
            if timers.heap:
                self._run_timers()
            if self.late:
                self.flush()
            if ready:
                self._dispatch(poller)
            if self._gathered:
                self._settle_all(self._gathered)
        finally:
            self._batch = self._active = None
            timers.attended = attended
            self._asleep = self._host.foreign

    @contextmanager
    def _nested(self, poller: Poller) -> Iterator[None]:
        """Within a tick: finish its batch, and leave out the handler that is on the stack."""
        batch, handler, fd = self._batch, self._active, self._active_fd
        if handler is not None:
            poller.mute(fd, handler)
        try:
            self.flush()
            self._dispatch(poller)
            yield
        finally:
            self._batch, self._active, self._active_fd = batch, handler, fd
            if handler is not None:
                poller.unmute(fd, handler)

    def _dispatch(self, poller: Poller) -> None:
        """Tell each handler of the batch; the path of every event."""
        handlers, stale, late = poller.handlers, poller.stale, self.late
        for fd, mask in self._batch or ():
            if stale and fd in stale:
                continue
            self._active_fd = fd
            self._active = handler = handlers[fd]
            try:
                handler.ready(mask)
            except Exception as error:
                self.kit.report(error, "a handler failed", handler)
            if late:
                self.flush()
        self._active = None

    def _run_calls(self) -> None:
        """Run the calls that are posted by now."""
        calls = self._calls
        for _ in range(len(calls)):
            if not calls:   # a nested tick has run them
                return
            call, args, kwargs = calls.popleft()
            try:
                call(*args, **kwargs)
            except Exception as error:
                self.kit.report(error, "a call from a thread failed", call)

    def _run_timers(self) -> None:
        """Run the calls that are due."""
        timers = self._timers
        for call in timers.due(timers.seconds()):
            try:
                call.func(*call.args, **call.kw)
            except Exception as error:
                self.kit.report(error, "a delayed call failed", call.func)
            call.func = call.args = call.kw = None

    def _patience(self, patience: float | None) -> float | None:
        """How long to wait for what is ready: `patience`, or until the next call is due."""
        due = self._timers.next()
        if due is None:
            return patience and min(patience, _LONGEST_WAIT)
        left = min(max(0.0, due - self._timers.seconds()), _LONGEST_WAIT)
        return left if patience is None else min(patience, left)

    def flush(self) -> None:
        """Settle the transports that a callback has used from outside."""
        self._settle_all(self.late)

    def settle_together(self, transport: Any) -> None:
        """See ropewalk.interfaces.Loop. A send to a peer that sleeps costs three times one that follows on another."""
        self._gathered.append(transport)
        if len(self._gathered) >= _TOGETHER:
            self._settle_all(self._gathered)

    def _settle_all(self, transports: list[Any]) -> None:
        """Settle `transports`, and empty the list."""
        due = transports.copy()
        transports.clear()
        for transport in due:
            try:
                transport.settle()
            except Exception as error:
                self.kit.report(error, "a transport failed", transport)

    def _settle_soon(self, transport: Any) -> None:
        """Under a foreign host: a callback of its toolkit may use a transport between two ticks."""
        self.late.append(transport)
        if not self._timers.attended:
            self._attend()

    def _attend(self) -> None:
        """Something became due while nobody looked: the host is told when to tick."""
        if self._calls or self.late:
            self._host.alarm(0)
            return
        due = self._timers.next()
        self._host.alarm(None if due is None else max(0.0, due - self._timers.seconds()))

    def callFromThread(self, callable: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Call `callable(*args, **kwargs)` in the reactor's thread at its next turn.

        From any thread, and from signal handlers. Raises TypeError for something that cannot be called.
        """
        if not _can_call(callable):
            raise TypeError(f"callFromThread takes something to call, not {type(callable).__name__}: {callable!r}")
        self._calls.append((callable, args, kwargs))
        if self._asleep:
            self._asleep = False
            self._wake()


def _nobody_waits() -> None:
    """There is no poller yet, so nobody is to be woken."""


_can_call = callable
