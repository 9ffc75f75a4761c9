"""The loop: a host, a poller, timers and posted calls, turned by tick(); the engine under the reactor."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ropewalk.core.attention import Attention, attract
from ropewalk.core.timers import DelayedCall, Timers
from ropewalk.interfaces import Handler, Host, Kit, Poller

_LONGEST_WAIT = 86400.0   # seconds; what any system's wait accepts
_NEVER = float("inf")
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
        self._muted: Handler | None = None   # the active one, once a nested turn has left it out
        self._attention: Attention | None = None   # of a foreign host
        self._alarm = _NEVER   # what it was asked for
        self._timers = Timers(_seconds, kit.error, self._attend)
        self.callLater = self._timers.callLater
        self._set_host(make_host(self))

    def _set_host(self, host: Host) -> None:
        self._host = host
        self._asleep = host.foreign
        self._timers.attended = not host.foreign
        self.settle_soon: Callable[[Any], None] = self._settle_soon if host.foreign else self.late.append

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
        if self._attention is not None:
            self._attention.calm()
            poller.apply()
            self._attend()

    def _turn(self, poller: Poller, patience: float | None) -> None:
        timers = self._timers
        timers.attended = True
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
            if self._attention is not None:
                poller.wake()   # should a callback open a nested loop of the host's, that serves us at once
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
            if self._muted is not None:
                poller.unmute(self._active_fd, self._muted)
            self._batch = self._active = self._muted = None
            self._asleep = self._host.foreign
            timers.attended = not self._asleep

    @contextmanager
    def _nested(self, poller: Poller) -> Iterator[None]:
        """Within a tick: finish its batch, and leave out the handler that is on the stack, until that returns.

        It returns when this batch is finished, which is the end of the outer turn.
        """
        batch, handler, fd = self._batch, self._active, self._active_fd
        if handler is not None:
            if self._muted is None:
                poller.mute(fd, handler)
            if hasattr(handler, "nested"):
                handler.nested()
        self._muted = None
        try:
            self.flush()
            self._dispatch(poller)
            yield
        finally:
            self._batch, self._active, self._active_fd, self._muted = batch, handler, fd, handler

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
        """Something may have become due while nobody looked: the host is told when to tick."""
        if self._attention is None:
            return
        if self._calls or self.late:
            self._wake()
            return
        due = self._timers.next()
        now = self._timers.seconds()
        if due is not None and (due < self._alarm or self._alarm <= now):
            self._alarm = due
            self._attention.alarm(min(max(0.0, due - now), _LONGEST_WAIT))

    @contextmanager
    def _attended(self, serve: Callable[[], object]) -> Iterator[None]:
        """Meanwhile the host, a foreign one, calls `serve` whenever a turn is due."""
        with attract(self._host, self.poller, serve) as self._attention:
            self._alarm = _NEVER
            self._attend()
            try:
                yield
            finally:
                self._attention = None

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
