"""Deferreds for what is already there: a result, an error, or what a call returns or raises."""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from ropewalk.internet.coroutines import started
from ropewalk.internet.deferred import Deferred
from ropewalk.internet.failure import Outcome
from ropewalk.internet.running import IDLE, attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ropewalk.internet.failure import Failure

T = TypeVar("T")
P = ParamSpec("P")


def succeed(result: T) -> Deferred[T]:
    """Return a Deferred that has been fired with `result`."""
    deferred: Deferred[T] = Deferred()
    if isinstance(result, Outcome):
        deferred.callback(result)
    else:  # what callback() comes to, for a quarter of the time
        deferred.result = result
        deferred._state = IDLE
    return deferred


def fail(result: Failure[Any] | BaseException | None = None) -> Deferred[Any]:
    """Return a Deferred that has failed with `result`: what `Deferred.errback` takes, and raises for."""
    deferred: Deferred[Any] = Deferred()
    deferred.errback(result)
    return deferred


def execute(callable: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
    """Call callable(*args, **kwargs); return a Deferred fired with what it returned or raised."""
    return succeed(attempt(callable, args, kwargs))


@overload
def maybeDeferred(f: Callable[P, Deferred[T]], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]: ...
@overload
def maybeDeferred(f: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]: ...
@overload
def maybeDeferred(f: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]: ...


def maybeDeferred(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
    """Call f(*args, **kwargs), and return a Deferred whatever it does.

    A Deferred that it returns is returned as it is, a coroutine is run as `ensureDeferred` does, a Failure or
    something raised is the error, and any other thing is the result.
    """
    result = attempt(f, args, kwargs)
    if isinstance(result, Deferred):
        return result
    if type(result) is CoroutineType:
        return started(result)
    return succeed(result)
