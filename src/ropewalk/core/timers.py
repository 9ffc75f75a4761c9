"""Delayed calls and the heap they wait in.

The heap holds tuples (when, serial, call), which compare in C. A call that is cancelled or moved leaves its tuple
behind: a tuple whose serial is not its call's is stale and is skipped when it comes up, and when three quarters of
the heap are stale it is rebuilt. Moving a call to a later time leaves the tuple valid: it is put back when it comes up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from typing import Any

_INFINITY = float("inf")
_LONGEST = 1e300
_STALE_ALLOWED = 50


class DelayedCall:
    """A call that was scheduled by callLater.

    Behaviour is Twisted's IDelayedCall; its two errors are AlreadyCalled and AlreadyCancelled.
    """

    __slots__ = ("_serial", "_timers", "args", "func", "kw", "when")

    # Timers.callLater fills it in: an __init__ would be half the cost of scheduling.
    _timers: Timers
    _serial: int
    when: float
    func: Any
    args: Any
    kw: Any

    def getTime(self) -> float:
        """When it is due, in the seconds of the reactor's clock."""
        return self.when

    def active(self) -> bool:
        """Whether it is still to be called."""
        return self._serial > 0

    @property
    def time(self) -> float:
        """As getTime()."""
        return self.when

    @property
    def seconds(self) -> Callable[[], float]:
        """The clock that it goes by."""
        return self._timers.seconds

    @property
    def called(self) -> bool:
        """Whether it has been called."""
        return self._serial == _CALLED

    @property
    def cancelled(self) -> bool:
        """Whether it has been cancelled."""
        return self._serial == _CANCELLED

    def cancel(self) -> None:
        """Never call it. Raises AlreadyCalled or AlreadyCancelled."""
        if self._serial <= 0:
            self._refuse()
        self._serial = _CANCELLED
        self.func = self.args = self.kw = None
        timers = self._timers
        timers.stale = stale = timers.stale + 1
        if stale > _STALE_ALLOWED and stale * 4 > len(timers.heap) * 3:
            timers.rebuild()

    def reset(self, secondsFromNow: float) -> None:
        """Call it `secondsFromNow` from now instead. Raises AlreadyCalled or AlreadyCancelled."""
        if self._serial <= 0:
            self._refuse()
        self._timers.move(self, self._timers.seconds() + check_delay(secondsFromNow))

    def delay(self, secondsLater: float) -> None:
        """Call it `secondsLater` than planned; a negative number makes it earlier.

        Raises AlreadyCalled or AlreadyCancelled, and ValueError if that is no finite time.
        """
        if self._serial <= 0:
            self._refuse()
        when = self.when + secondsLater
        check_delay(abs(when))
        self._timers.move(self, when)

    def _refuse(self) -> None:
        errors = self._timers.errors
        if self._serial == _CALLED:
            raise errors.AlreadyCalled("this delayed call has run already")
        raise errors.AlreadyCancelled("this delayed call has been cancelled already")

    def __lt__(self, other: DelayedCall) -> bool:
        return self.when < other.when

    def __repr__(self) -> str:
        if not self.active():
            return f"<DelayedCall {'called' if self.called else 'cancelled'}>"
        name = getattr(self.func, "__qualname__", repr(self.func))
        return f"<DelayedCall in {self.when - self._timers.seconds():.3f} s: {name}>"


_CALLED, _CANCELLED = 0, -1


def check_delay(delay: float) -> float:
    """`delay` if it is a finite number of seconds, 0 or more; else TypeError or ValueError."""
    try:
        if 0 <= delay < _LONGEST:
            return delay
    except TypeError:
        raise TypeError(f"a delay is a number of seconds, not {type(delay).__name__}: {delay!r}") from None
    raise ValueError(f"a delay is a finite number of seconds, 0 or more, not {delay!r}")


class Timers:
    """The delayed calls of one clock.

    seconds: tells the time; errors: a namespace with AlreadyCalled and AlreadyCancelled; sooner: called when a call
    was scheduled while nobody was looking, so that whoever waits can wait for less.
    """

    __slots__ = ("_serial", "attended", "errors", "heap", "seconds", "sooner", "stale")

    def __init__(self, seconds: Callable[[], float], errors: Any, sooner: Callable[[], None]) -> None:
        self.seconds = seconds
        self.errors = errors
        self.sooner = sooner
        self.attended = True
        self.heap: list[tuple[float, int, DelayedCall]] = []
        self.stale = 0
        self._serial = 0

    def callLater(self, delay: float, callable: Callable[..., object], *args: Any, **kw: Any) -> DelayedCall:
        """Call `callable(*args, **kw)` in `delay` seconds (0 or more: at the next turn, never at once).

        Returns the DelayedCall. Raises ValueError or TypeError for a delay that is negative, not finite or no
        number, and TypeError for something that cannot be called. Twisted's IReactorTime.callLater.
        """
        now = self.seconds()
        try:
            when = now + delay
        except (TypeError, OverflowError):
            when = _INFINITY
        if not now <= when < _INFINITY:
            check_delay(delay)
        if not _can_call(callable):
            raise TypeError(f"callLater takes something to call, not {type(callable).__name__}: {callable!r}")
        self._serial = serial = self._serial + 1
        call = _new(DelayedCall)
        call._timers = self
        call._serial = serial
        call.when = when
        call.func = callable
        call.args = args
        call.kw = kw
        heappush(self.heap, (when, serial, call))
        if not self.attended:
            self.sooner()
        return call

    def move(self, call: DelayedCall, when: float) -> None:
        """`call` is due at `when` instead."""
        if when < call.when:
            self._serial = call._serial = self._serial + 1
            heappush(self.heap, (when, call._serial, call))
            self.stale += 1
            if self.stale > _STALE_ALLOWED and self.stale * 4 > len(self.heap) * 3:
                self.rebuild()
        call.when = when
        if not self.attended:
            self.sooner()

    def rebuild(self) -> None:
        """Drop the stale tuples."""
        self.heap[:] = [entry for entry in self.heap if entry[1] == entry[2]._serial]
        heapify(self.heap)
        self.stale = 0

    def next(self) -> float | None:
        """When the next call may be due; None if there is none."""
        heap = self.heap
        while heap:
            when, serial, call = heap[0]
            if serial != call._serial:
                heappop(heap)
                self.stale -= 1
            elif call.when > when:
                heappop(heap)
                heappush(heap, (call.when, serial, call))
            else:
                return when
        return None

    def due(self, now: float) -> Iterator[DelayedCall]:
        """The calls that are due at `now`, in order, each to be run at once; none that is scheduled meanwhile."""
        heap = self.heap
        newest = self._serial
        while heap and heap[0][0] <= now and heap[0][1] <= newest:
            heap_when, serial, call = heappop(heap)
            if serial != call._serial:
                self.stale -= 1
            elif call.when > heap_when:
                heappush(heap, (call.when, serial, call))
            else:
                call._serial = _CALLED
                yield call

    def pending(self) -> list[DelayedCall]:
        """The calls that are still to be made, the next one first."""
        return sorted(call for _, serial, call in self.heap if serial == call._serial)


_can_call = callable
_new = object.__new__
