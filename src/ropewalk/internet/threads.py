"""Threads: work in a thread as a Deferred, and work in the reactor for a thread that waits."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar, overload

from ropewalk.core.reactor import running_here
from ropewalk.core.threads import ThreadPool
from ropewalk.internet.base import current
from ropewalk.internet.defer import Deferred, maybeDeferred
from ropewalk.internet.failure import Failure
from ropewalk.internet.interfaces import IReactorFromThreads

__all__ = ["blockingCallFromThread", "callMultipleInThread", "deferToThread", "deferToThreadPool"]

P = ParamSpec("P")
T = TypeVar("T")


def deferToThread(f: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
    """Call `f(*args, **kwargs)` in a thread of the reactor's pool; a Deferred of what it returns or raises.

    The reactor is the one that runs in this thread, else the installed one; the Deferred fires in its thread. A call
    that is at work cannot be stopped: cancelling the Deferred only lets go of its result. Twisted's deferToThread.
    """
    reactor = current()
    return deferToThreadPool(reactor, reactor.getThreadPool(), f, *args, **kwargs)


def deferToThreadPool(
    reactor: IReactorFromThreads, threadpool: ThreadPool, f: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> Deferred[T]:
    """Call `f(*args, **kwargs)` in a thread of `threadpool`; a Deferred that fires in the thread of `reactor`.

    Raises RuntimeError if the pool was stopped. Twisted's deferToThreadPool.
    """
    deferred: Deferred[T] = Deferred()

    def done(succeeded: bool, result: Any) -> None:
        reactor.callFromThread(deferred.callback if succeeded else deferred.errback, result)

    threadpool.callInThreadWithCallback(done, f, *args, **kwargs)
    return deferred


@overload
def blockingCallFromThread(
    reactor: IReactorFromThreads, f: Callable[P, Deferred[T]], *args: P.args, **kwargs: P.kwargs
) -> T: ...
@overload
def blockingCallFromThread(
    reactor: IReactorFromThreads, f: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
) -> T: ...
@overload
def blockingCallFromThread(
    reactor: IReactorFromThreads, f: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T: ...


def blockingCallFromThread(reactor: IReactorFromThreads, f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `f(*args, **kwargs)` in the thread of `reactor`, which has to run, and wait for the result.

    A Deferred or a coroutine that `f` returns is waited for. Returns the result; raises what was raised, with the
    frames of both threads in its traceback. Raises RuntimeError in the reactor's own thread, which would wait for
    itself. Twisted's blockingCallFromThread.
    """
    if running_here() is reactor:
        raise RuntimeError(
            f"blockingCallFromThread({f!r}) in the thread of {reactor!r} would wait for itself: call it directly, or "
            "await what it returns"
        )
    outcomes: SimpleQueue[Any] = SimpleQueue()

    def call() -> None:
        maybeDeferred(f, *args, **kwargs).addBoth(outcomes.put)

    reactor.callFromThread(call)
    outcome = outcomes.get()
    if not isinstance(outcome, Failure):
        return outcome
    try:
        outcome.raiseException()
    finally:
        del outcome   # the traceback holds this frame, which would hold the exception


def callMultipleInThread(
    tupleList: Iterable[tuple[Callable[..., object], Sequence[Any], Mapping[str, Any]]],
) -> None:
    """Make calls one after the other in one thread of the reactor's pool.

    tupleList: tuples (function, arguments, keyword arguments). An exception is logged and ends the list. The reactor
    is the one that runs in this thread, else the installed one. Twisted's callMultipleInThread.
    """
    current().callInThread(_call_all, tupleList)


def _call_all(calls: Iterable[tuple[Callable[..., object], Sequence[Any], Mapping[str, Any]]]) -> None:
    for function, args, kwargs in calls:
        function(*args, **kwargs)
