"""How the callbacks of Deferreds are called, and how an outcome gets from one Deferred to those that wait for it.

Three things a reader should know before changing it:

* A Deferred that meets a Deferred never calls into it: `_runner` goes from one to the other, so chains of any length
  need no stack.
* A Deferred that would only pass a result on to one that waits for it steps aside (`State.FORWARDED`): a loop made of
  callbacks that return the next Deferred runs in constant memory.
* A traceback holds its frames, and each frame its callers, with all their variables. One of those is the Deferred that
  holds the Failure: a cycle, which would put off the report of an unhandled error until a garbage collection. So
  callbacks are called from generators (`_runner`, `_caller`): a generator that has yielded has no caller. The frames
  of these let go of what they refer to, and are cut off the tracebacks.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from ropewalk.internet.failure import Failure, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from ropewalk.internet.deferred import Deferred

T = TypeVar("T")

_MANY = 1000   # callbacks; a list that gives away the first of more spends most of the time moving the rest

Entry = tuple[Any, Any]
"""What a Deferred has in its list of callbacks: what to call for a result, and what for a Failure.

That is a callable; or (callable, args, keywords); or (None, waiter, arrive), which hands the result to someone who
waits: arrive(deferred, waiter) does that, and returns the Deferred that has callbacks to call now, before the others of
this one; or None.
"""


def to_call(function: Callable[..., object], args: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
    """The half of an Entry that calls a function. Raises TypeError for what cannot be called."""
    if not callable(function):
        raise TypeError(f"a callback must be callable, which {function!r} is not")
    return (function, args, keywords) if args or keywords else function


class State(Enum):
    """Where a Deferred stands."""

    PENDING = "has not been fired"
    RUNNING = "its callbacks are being called, further up the stack"
    WAITING = "result is the Deferred that one of its callbacks returned"
    FORWARDED = "as WAITING, but the outcome goes straight to the Deferred that waits for this one"
    IDLE = "has its result and no callback to call, or is paused"


# An Enum's attribute costs a call of Python code on 3.11.
PENDING = State.PENDING
RUNNING = State.RUNNING
WAITING = State.WAITING
FORWARDED = State.FORWARDED
IDLE = State.IDLE


def passthru(arg: T) -> T:
    """Return `arg`: a callback that changes nothing."""
    return arg


def _runner() -> Generator[None, Any, None]:
    """Call the callbacks of each Deferred that is sent in, and of all those that this wakes.

    One that is pending is a coroutine to be started.
    """
    interrupted: list[Deferred[Any]] = []
    while True:
        current = yield
        if current._state is PENDING and current._advance(None) is None:
            current = None
            continue
        while current is not None:
            current._state = RUNNING
            if current._watch is not None:
                current._watch.failure = None
            result: Any = current.result
            failed = isinstance(result, Outcome)
            woken: Any = None
            callbacks: Any = current._callbacks
            if callbacks and len(callbacks) > _MANY and type(callbacks) is list:
                callbacks = current._callbacks = deque(callbacks)
            while callbacks and not current.paused:
                call: Any = callbacks[0][failed]
                del callbacks[0]
                if call is passthru:
                    continue
                try:
                    if type(call) is not tuple:
                        result = call(result)
                    else:
                        function, args, keywords = call
                        if function is not None:
                            result = function(result, *args, **keywords)
                        else:
                            woken = keywords(current, args)
                            result = current.result
                except BaseException as error:
                    result = _raised(error, current.result)
                if not isinstance(result, Outcome):
                    current.result = result
                    failed = False
                elif _settled(current, result):
                    result = current.result
                    failed = isinstance(result, Failure)
                else:
                    break
                if woken is not None:
                    break
            if current._state is RUNNING:
                current._state = IDLE
                if woken is not None and callbacks:
                    interrupted.append(current)
                elif failed:
                    current._watched().guard(result)
            current = woken
            if woken is None and interrupted:
                current = interrupted.pop()
        result = woken = callbacks = call = function = args = keywords = None


def _caller() -> Generator[None, Any, None]:
    """Call what is sent in, [function, args, keywords]; the first item is then the outcome."""
    while True:
        box = yield
        try:
            box[0] = box[0](*box[1], **box[2])
        except BaseException as error:
            box[0] = caught(error)
        del box


def _pool(make: Callable[[], Generator[None, Any, None]]) -> Callable[[Any], None]:
    """A function that sends to a generator that is free; as many are made as calls are nested."""
    free: list[Callable[[Any], None]] = []

    def send(item: Any) -> None:
        try:
            use = free.pop()
        except IndexError:
            generator = make()
            next(generator)
            use = generator.send
        use(item)
        free.append(use)

    return send


run = _pool(_runner)
"""run(deferred): call the callbacks of a Deferred that has its result, or start a coroutine."""

_call = _pool(_caller)


def attempt(function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Return what a function returns, or the Failure of what it raises."""
    box: list[Any] = [function, args, keywords]
    _call(box)
    return box[0]


def caught(error: BaseException) -> Failure[Any]:
    """The Failure of an exception just caught, without the frame that caught it."""
    tb = error.__traceback__
    if tb is not None:
        error.__traceback__ = tb.tb_next
    return Failure(error)


def _raised(error: BaseException, given: Any) -> Failure[Any]:
    """The Failure of what a callback raised; when it raised what it was given, that same Failure."""
    if not isinstance(given, Failure) or given.value is not error:
        return caught(error)
    error.__traceback__ = given.tb
    return given


def _settled(deferred: Deferred[Any], result: Any) -> bool:
    """Make what a callback returned the result; say whether that can go on to the next one."""
    if isinstance(result, Failure):
        deferred.result = result
        return True
    return _joined(deferred, result)


def _joined(deferred: Deferred[Any], other: Deferred[Any]) -> bool:
    """Take the outcome of a Deferred that a callback returned, or wait for it; say whether it is here."""
    if other is deferred:
        deferred.result = Failure(RuntimeError(f"a callback of {deferred!r} returned that same Deferred"))
        return True
    if other._state is IDLE and not other.paused:
        deferred.result = other._take()
        return True
    waiter = _only_waiter(deferred)
    if waiter is None:
        deferred._state = WAITING
        waiter = deferred
    else:
        deferred._callbacks = None
        deferred._state = FORWARDED
    deferred.result = waiter.result = other
    other._add_waiter(waiter, _hand_over)
    return False


def _only_waiter(deferred: Deferred[Any]) -> Deferred[Any] | None:
    """The Deferred that waits for this one, when all that is left to do here is to wake it."""
    callbacks = deferred._callbacks
    if not callbacks or len(callbacks) > 1:
        return None
    call = callbacks[0][0]
    if type(call) is not tuple or call[2] is not _hand_over:
        return None
    waiter: Deferred[Any] = call[1]
    return waiter


def rejoin(deferred: Deferred[Any]) -> None:
    """Wait again, with nothing to get: callbacks were added after the outcome was forwarded."""
    deferred._state = WAITING  # first, for a ring of Deferreds that wait for one another to have an end
    target = deferred.result
    while target._state is FORWARDED:
        target = target.result
    deferred.result = target
    target._add_waiter(deferred, _wake_empty)


# What an entry (None, waiter, arrive) has for `arrive`; see `_runner`.


def _hand_over(source: Deferred[Any], waiter: Deferred[Any]) -> Deferred[Any]:
    """A callback of the waiter returned the source."""
    waiter.result = source._take()
    waiter._state = IDLE
    return waiter


def _wake_empty(source: Deferred[Any], waiter: Deferred[Any]) -> Deferred[Any]:
    """The waiter's outcome went to somebody else, but it must not go on before the source has fired."""
    waiter.result = None
    waiter._state = IDLE
    return waiter


def fire_chained(source: Deferred[Any], waiter: Deferred[Any]) -> Deferred[Any] | None:
    """The waiter was chained to the source with chainDeferred."""
    accepted = waiter._accept(source.result)
    source._take()
    return waiter if accepted else None
