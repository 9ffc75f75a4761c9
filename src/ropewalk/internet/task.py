"""Calls that repeat, calls that come later, programs that are one call, and a clock that tests move by hand.

Work in small pieces, by a Cooperator, is in cooperation.py.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, overload

from ropewalk import errors
from ropewalk.core.timers import DelayedCall, Timers, check_delay
from ropewalk.internet.base import current
from ropewalk.internet.cooperation import (
    CooperativeTask,
    Cooperator,
    NotPaused,
    SchedulerError,
    SchedulerStopped,
    TaskDone,
    TaskFailed,
    TaskFinished,
    TaskStopped,
    coiterate,
    cooperate,
)
from ropewalk.internet.defer import Deferred, ensureDeferred, maybeDeferred
from ropewalk.internet.failure import Failure

if TYPE_CHECKING:
    from ropewalk.interfaces import Clock as AnyClock

__all__ = [
    "Clock",
    "CooperativeTask",
    "Cooperator",
    "LoopingCall",
    "NotPaused",
    "SchedulerError",
    "SchedulerStopped",
    "TaskDone",
    "TaskFailed",
    "TaskFinished",
    "TaskStopped",
    "coiterate",
    "cooperate",
    "deferLater",
    "react",
]

P = ParamSpec("P")
T = TypeVar("T")


class LoopingCall:
    """Calls a function again and again, at the multiples of an interval after its start.

    A call is never late because the ones before were: it does not drift. Multiples that pass while the function is at
    work, or while the reactor is busy, are left out. The function may return a Deferred or be a coroutine function;
    then it is at work until that has fired. If it fails, the loop ends. Behaviour is that of Twisted's LoopingCall.

    clock: tells the time and calls later; may be set before start(), which otherwise takes the reactor that runs in
    this thread, else the installed one. interval: seconds, as given to start().
    """

    def __init__(self, f: Callable[P, object], *a: P.args, **kw: P.kwargs) -> None:
        self.f: Callable[..., object] = f
        self.a: tuple[Any, ...] = a
        self.kw: dict[str, Any] = kw
        self.clock: AnyClock | None = None
        self.interval: float | None = None
        self._round: _Round | None = None

    @classmethod
    def withCount(cls, countCallable: Callable[[int], object]) -> LoopingCall:
        """A loop that tells its function how many intervals have begun since the call before: 1, or more if some
        were left out. With an interval of 0 it is always 1.
        """

        @wraps(countCallable)
        def counting() -> object:
            return countCallable(loop._running_round("called").count)

        loop = cls(counting)  # type: ignore[call-arg,arg-type]  # mypy takes the P of cls for a bound one
        return loop

    @property
    def running(self) -> bool:
        """Whether it was started and has neither been stopped nor failed."""
        return self._round is not None

    @property
    def deferred(self) -> Deferred[LoopingCall] | None:
        """What the last start() returned; None unless it runs."""
        return None if self._round is None else self._round.ended

    def start(self, interval: float, now: bool = True) -> Deferred[LoopingCall]:
        """Begin to call the function every `interval` seconds (0: at every turn of the reactor).

        now: whether the first call is made at once, else it is made after one interval. Returns a Deferred that fires
        with this object when it has been stopped and the function is not at work any more, and that fails if the
        function does. Raises AssertionError if it runs already, ValueError or TypeError for an interval that is
        negative, not finite or no number.
        """
        if self._round is not None:
            raise AssertionError(f"{self!r} cannot be started: it runs already")
        self.interval = check_delay(interval)
        if self.clock is None:
            self.clock = current()
        beginning = self._round = _Round(self, self.clock, interval)
        if now:
            beginning.last = -1
            beginning.call()
        else:
            beginning.schedule()
        return beginning.ended

    def stop(self) -> None:
        """Call the function no more. Raises AssertionError if it does not run."""
        ending = self._running_round("stopped")
        self._round = None
        if ending.waiting is not None:
            ending.waiting.cancel()
            ending.ended.callback(self)

    def reset(self) -> None:
        """Begin the interval anew: the next call is made one interval from now. Has no effect while the function is
        at work. Raises AssertionError if it does not run.
        """
        resetting = self._running_round("reset")
        if resetting.waiting is not None:
            resetting.waiting.cancel()
            resetting.begin()
            resetting.schedule()

    def _running_round(self, verb: str) -> _Round:
        if self._round is None:
            raise AssertionError(f"{self!r} cannot be {verb}: it does not run")
        return self._round

    def __repr__(self) -> str:
        name = getattr(self.f, "__qualname__", None) or repr(self.f)
        return f"LoopingCall<{self.interval!r}>({name}, *{self.a!r}, **{self.kw!r})"


_ROUNDING = 1e-6   # of an interval; so little before its end it has passed, else rounding would call twice


class _Round:
    """A LoopingCall from its start to its end; one that was stopped at work may overlap with the next."""

    def __init__(self, loop: LoopingCall, clock: AnyClock, interval: float) -> None:
        self.ended: Deferred[LoopingCall] = Deferred()
        self.waiting: Any = None   # the delayed call; None while the function is at work
        self.count = 0             # how many intervals the call in hand stands for
        self._loop = loop
        self._clock = clock
        self._interval = interval
        self.begin()

    def begin(self) -> None:
        """Intervals are counted from now."""
        self.last = 0      # the interval in which the function was called last
        self._next = 0     # and the one in which it will be
        self._began = self._clock.seconds()

    def schedule(self) -> None:
        """Wait for the next interval that has not begun."""
        self._next = max(self.last, self._passed()) + 1
        delay = self._began + self._next * self._interval - self._clock.seconds()
        self.waiting = self._clock.callLater(max(0.0, delay), self.call)

    def call(self) -> None:
        """Call the function; once it is done, go on or end."""
        self.waiting = None
        current_interval = max(self._next, self._passed())
        self.count = current_interval - self.last
        self.last = current_interval
        loop = self._loop
        maybeDeferred(loop.f, *loop.a, **loop.kw).addCallbacks(self._done, self._failed)

    def _passed(self) -> int:
        """How many intervals have passed."""
        if not self._interval:
            return 0
        return int((self._clock.seconds() - self._began) / self._interval + _ROUNDING)

    def _done(self, _: object) -> None:
        if self._loop._round is self:
            self.schedule()
        else:
            self.ended.callback(self._loop)

    def _failed(self, failure: Failure[Any]) -> None:
        if self._loop._round is self:
            self._loop._round = None
        self.ended.errback(failure)


@overload
def deferLater(clock: AnyClock, delay: float) -> Deferred[None]: ...
@overload
def deferLater(
    clock: AnyClock, delay: float, callable: Callable[P, Deferred[T]], *args: P.args, **kw: P.kwargs
) -> Deferred[T]: ...
@overload
def deferLater(
    clock: AnyClock, delay: float, callable: Callable[P, T], *args: P.args, **kw: P.kwargs
) -> Deferred[T]: ...


def deferLater(
    clock: AnyClock, delay: float, callable: Callable[..., Any] | None = None, *args: Any, **kw: Any
) -> Deferred[Any]:
    """A Deferred of what `callable(*args, **kw)` gives in `delay` seconds; of None without a callable.

    clock: calls later, such as the reactor. Cancelling the Deferred cancels the call. Twisted's deferLater.
    """
    later: Deferred[Any] = Deferred(lambda _: waiting.cancel())
    waiting = clock.callLater(delay, later.callback, None)
    if callable is not None:
        called = callable
        later.addCallback(lambda _: called(*args, **kw))
    return later


def react(
    main: Callable[..., Deferred[Any] | Coroutine[Any, Any, Any]], argv: Iterable[object] = (), _reactor: Any = None
) -> NoReturn:
    """Run a program that is one call: `main(reactor, *argv)`, and the reactor until that is done; then exit.

    main: returns a Deferred or is a coroutine function. The exit status is 0 if it succeeds, the code of a
    SystemExit that it fails with, or 1 for any other error, whose traceback is printed. _reactor: the reactor; None
    for the installed one. Raises NotACoroutineError if `main` returns something else. Twisted's react.
    """
    reactor = current() if _reactor is None else _reactor
    code: Any = 0

    def done(outcome: object) -> None:
        nonlocal code
        if isinstance(outcome, Failure):
            code = _exit_code(outcome)
        reactor.callWhenRunning(stop)

    def stop() -> None:
        with contextlib.suppress(errors.ReactorNotRunning):
            reactor.stop()

    ensureDeferred(main(reactor, *argv)).addBoth(done)
    reactor.run()
    sys.exit(code)


def _exit_code(failure: Failure[Any]) -> Any:
    """What sys.exit takes for `failure`, which is printed unless it is itself a wish to exit."""
    if isinstance(failure.value, SystemExit):
        return failure.value.code
    failure.printTraceback(sys.stderr)
    return 1


class Clock:
    """Time that passes only when it is told to: Twisted's IReactorTime for tests.

    rightNow: the time, in seconds.
    """

    rightNow = 0.0

    callLater: Callable[..., DelayedCall]
    """callLater(delay, callable, *args, **kw): see Timers.callLater, which this is."""

    def __init__(self) -> None:
        self._timers = Timers(self.seconds, errors, _nobody_waits)
        self.callLater = self._timers.callLater

    def seconds(self) -> float:
        """The time, in seconds."""
        return self.rightNow

    def getDelayedCalls(self) -> Sequence[DelayedCall]:
        """The calls that are still to be made, the next one first."""
        return self._timers.pending()

    @property
    def calls(self) -> Sequence[DelayedCall]:
        """The same; tests of Twisted programs look at this."""
        return self.getDelayedCalls()

    def advance(self, amount: float) -> None:
        """Let `amount` seconds pass, at once, and make the calls that are due, in their order.

        Calls that these schedule for the new time are made too. What a call raises leaves advance(); the calls that
        are left are made by the next one.
        """
        self.rightNow += amount
        while (first := self._timers.next()) is not None and first <= self.rightNow:
            for call in self._timers.due(self.rightNow):
                call.func(*call.args, **call.kw)

    def pump(self, timings: Iterable[float]) -> None:
        """advance() by each of `timings`, in seconds."""
        for amount in timings:
            self.advance(amount)


def _nobody_waits() -> None:
    """A clock that is moved by hand needs not be told of a new call."""
