"""Deferred: a result that is not there yet, and the callbacks that will work on it.

The behaviour is Twisted's documented Deferred. How callbacks are called is in running.py; what waits for a Deferred
other than by callbacks, in coroutines.py.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from ropewalk.errors import TimeoutError
from ropewalk.internet import unhandled
from ropewalk.internet.failure import Failure, Outcome
from ropewalk.internet.running import FORWARDED, IDLE, PENDING, WAITING, fire_chained, passthru, rejoin, run, to_call

if TYPE_CHECKING:
    import asyncio
    from collections import deque
    from collections.abc import Callable, Coroutine, Generator, Mapping

    from ropewalk.interfaces import Clock
    from ropewalk.internet.running import Entry

T = TypeVar("T")
U = TypeVar("U")
P = ParamSpec("P")


class AlreadyCalledError(Exception):
    """callback() or errback() of a Deferred that has been fired was called."""


class CancelledError(Exception):
    """The Deferred was cancelled."""


class Deferred(Outcome, Generic[T]):
    """A result of type T, or an error, that will come, and the callbacks that it passes through.

    Twisted's documented Deferred. The result or the error (a Failure) goes through the pairs of callback and errback
    in the order they were added. What one returns goes to the next callback; what it raises goes to the next errback,
    and so does a Failure it returns; when it returns a Deferred, the chain goes on with the outcome of that one, whose
    own result is then None.

    An error that is still there when the Deferred is garbage-collected is logged, by the logger "ropewalk.defer".

    A coroutine may `await` it under `ensureDeferred` or in an asyncio task. That leaves the result in place: several
    may await one Deferred, and each gets the result or the error.

    Attributes to read: `called`; `paused`, how many `pause()` have no `unpause()` yet; `result`, where the chain has
    come to, which does not exist before the Deferred is called.
    """

    __slots__ = ("__weakref__", "_callbacks", "_canceller", "_state", "_swallow", "_watch", "paused", "result")

    def __init__(self, canceller: Callable[[Deferred[Any]], object] | None = None) -> None:
        """Make a Deferred that has not been called.

        canceller: called with this Deferred by `cancel()`, to stop what would bring the result. It may call `callback`
        or `errback`; if it does not, the Deferred fails with CancelledError.
        """
        self.paused = 0
        self.result: Any
        self._state = PENDING
        self._callbacks: list[Entry] | deque[Entry] | None = None
        self._canceller = canceller
        self._swallow = False
        self._watch: unhandled.Watch | None = None
        if unhandled.debugging:
            self._watched().created = unhandled.stack()

    @property
    def called(self) -> bool:
        """Whether `callback` or `errback` has been called."""
        return self._state is not PENDING

    def addCallbacks(
        self,
        callback: Callable[..., U | Deferred[U] | Failure[Any]],
        errback: Callable[..., U | Deferred[U] | Failure[Any]] | None = None,
        callbackArgs: tuple[Any, ...] | None = None,
        callbackKeywords: Mapping[str, Any] | None = None,
        errbackArgs: tuple[Any, ...] | None = None,
        errbackKeywords: Mapping[str, Any] | None = None,
    ) -> Deferred[U]:
        """Add a callback for a result and an errback for an error; of this pair, only one will be called.

        They are called with the result or the Failure, then the arguments given here; at once when the result is
        there. Without an errback, an error passes by. Returns this Deferred. Raises TypeError when one of them cannot
        be called.
        """
        on_result = to_call(callback, callbackArgs or (), callbackKeywords or {})
        on_error = passthru if errback is None else to_call(errback, errbackArgs or (), errbackKeywords or {})
        self._add((on_result, on_error))
        return self  # type: ignore[return-value]

    @overload
    def addCallback(
        self, callback: Callable[Concatenate[T, P], Deferred[U]], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[U]: ...
    @overload
    def addCallback(
        self, callback: Callable[Concatenate[T, P], Failure[Any]], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[Any]: ...
    @overload
    def addCallback(
        self,
        callback: Callable[Concatenate[T, P], U | Deferred[U] | Failure[Any]],
        *args: P.args, **kwargs: P.kwargs,
    ) -> Deferred[U]: ...

    def addCallback(self, callback: Any, *args: Any, **kwargs: Any) -> Deferred[Any]:
        """Add a function that is called as callback(result, *args, **kwargs); an error passes by.

        Returns this Deferred, whose result is now what the function returns. Raises TypeError when it cannot be called.
        """
        # The commonest of these calls: to_call and _add are written out, for a twentieth of a Deferred's time.
        call = callback if callable(callback) and not args and not kwargs else to_call(callback, args, kwargs)
        if self._callbacks is None:
            self._callbacks = [(call, passthru)]
        else:
            self._callbacks.append((call, passthru))
        if self._state is not PENDING:
            self._wake()
        return self

    @overload
    def addErrback(
        self, errback: Callable[Concatenate[Failure[Any], P], Failure[Any]], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]: ...
    @overload
    def addErrback(
        self, errback: Callable[Concatenate[Failure[Any], P], Deferred[U]], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T | U]: ...
    @overload
    def addErrback(
        self,
        errback: Callable[Concatenate[Failure[Any], P], U | Deferred[U] | Failure[Any]],
        *args: P.args, **kwargs: P.kwargs,
    ) -> Deferred[T | U]: ...

    def addErrback(self, errback: Any, *args: Any, **kwargs: Any) -> Deferred[Any]:
        """Add a function that is called as errback(failure, *args, **kwargs); a result passes by.

        Returns this Deferred. Raises TypeError when the function cannot be called.
        """
        self._add((passthru, to_call(errback, args, kwargs)))
        return self

    @overload
    def addBoth(
        self, callback: Callable[Concatenate[T | Failure[Any], P], Deferred[U]], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[U]: ...
    @overload
    def addBoth(
        self,
        callback: Callable[Concatenate[T | Failure[Any], P], U | Deferred[U] | Failure[Any]],
        *args: P.args, **kwargs: P.kwargs,
    ) -> Deferred[U]: ...
    @overload
    def addBoth(
        self,
        callback: Callable[Concatenate[T | Failure[Any], P], T | Failure[Any]],
        *args: P.args, **kwargs: P.kwargs,
    ) -> Deferred[T]: ...

    def addBoth(self, callback: Any, *args: Any, **kwargs: Any) -> Deferred[Any]:
        """Add a function that is called as callback(result or failure, *args, **kwargs).

        Returns this Deferred. Raises TypeError when the function cannot be called.
        """
        call = to_call(callback, args, kwargs)
        self._add((call, call))
        return self

    def chainDeferred(self, d: Deferred[T]) -> Deferred[None]:
        """Fire `d` with the outcome of this Deferred, which it returns and whose own result is then None."""
        self._add_waiter(d, fire_chained)
        return self  # type: ignore[return-value]

    def addTimeout(
        self,
        timeout: float,
        clock: Clock,
        onTimeoutCancel: Callable[[T | Failure[Any], float], U | Deferred[U] | Failure[Any]] | None = None,
    ) -> Deferred[T | U]:
        """Cancel this Deferred if the callbacks added so far have no outcome after `timeout` seconds.

        clock: what measures them, such as the reactor.
        onTimeoutCancel: called as onTimeoutCancel(outcome, timeout) after such a cancellation; what it returns or
        raises is the outcome. Without it, a CancelledError becomes a TimeoutError. Returns this Deferred.
        """
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            self.cancel()

        delayed = clock.callLater(timeout, expire)

        def settle(outcome: Any) -> Any:
            if expired:
                return (onTimeoutCancel or _timed_out)(outcome, timeout)
            if delayed.active():
                delayed.cancel()
            return outcome

        return self.addBoth(settle)

    def callback(self, result: T | Failure[Any]) -> None:
        """Fire with `result`, which goes through the callbacks. A Failure goes through the errbacks.

        Raises AlreadyCalledError when the Deferred has been fired, TypeError when `result` is a Deferred (return one
        from a callback, or use chainDeferred).
        """
        if self._accept(result) and (self._callbacks or isinstance(result, Outcome)):
            run(self)

    def errback(self, fail: Failure[Any] | BaseException | None = None) -> None:
        """Fire with an error: a Failure, an exception, or None for the exception that is being handled.

        Raises AlreadyCalledError when the Deferred has been fired, NoCurrentExceptionError when `fail` is None and no
        exception is being handled.
        """
        if self._accept(fail if isinstance(fail, Failure) else Failure(fail)):
            run(self)

    def pause(self) -> None:
        """Call no more callbacks until `unpause()` was called as often as `pause()`."""
        self.paused += 1

    def unpause(self) -> None:
        """Take one `pause()` back; when it was the last, go on with the callbacks."""
        self.paused -= 1
        if not self.paused:
            self._wake()

    def cancel(self) -> None:
        """Say that nobody wants the result any more.

        Not yet fired: the canceller is called, and unless that fires the Deferred, it fails with CancelledError.
        Without a canceller, one late `callback` or `errback` is then ignored. Fired, and waiting for a Deferred that a
        callback returned, or for a coroutine: that one is cancelled. Otherwise nothing happens.
        """
        target: Deferred[Any] = self
        passed = set()
        while (awaited := target._awaits()) is not None:
            passed.add(target)
            if awaited in passed:
                return  # a ring of Deferreds that wait for one another; there is nothing to stop
            target = awaited
        if target is self:
            self._cancel()
        else:
            target.cancel()

    def _awaits(self) -> Deferred[Any] | None:
        """The Deferred that must fire before this one can go on."""
        if self._state is WAITING or self._state is FORWARDED:
            return self.result  # type: ignore[no-any-return]
        return None

    def _cancel(self) -> None:
        if self._state is not PENDING:
            return
        if self._canceller is None:
            self._swallow = True
        else:
            self._canceller(self)
        if self._state is PENDING:
            self.errback(CancelledError())

    def _accept(self, result: Any) -> bool:
        """Take the result with which the Deferred is fired; say whether to go on with the callbacks."""
        if self._state is not PENDING:
            if not self._swallow:
                raise AlreadyCalledError(self._fired_twice())
            self._swallow = False
            return False
        if isinstance(result, Deferred):
            told = f"{self!r} cannot be fired with {result!r}"
            raise TypeError(f"{told}: return that from a callback, await it, or chain it with chainDeferred")
        if unhandled.debugging:
            self._watched().fired = unhandled.stack()
        self._canceller = None
        self.result = result
        self._state = IDLE
        return True

    def _fired_twice(self) -> str:
        history = self._watch.history() if self._watch else ""
        told = f"{self!r} has been fired, and a Deferred fires once"
        return told + (history or "; setDebugging(True) shows where it was made and fired")

    def _add(self, entry: Any) -> None:
        if self._callbacks is None:
            self._callbacks = [entry]
        else:
            self._callbacks.append(entry)
        if self._state is not PENDING:
            self._wake()

    def _add_waiter(self, waiter: Any, arrive: Callable[[Deferred[Any], Any], Deferred[Any] | None]) -> None:
        call = (None, waiter, arrive)
        self._add((call, call))

    def _wake(self) -> None:
        if self._state is IDLE:
            run(self)
        elif self._state is FORWARDED:
            rejoin(self)

    def _take(self) -> Any:
        """Give the result away; the one who gets it is who answers for an error."""
        result = self.result
        self.result = None
        if self._watch is not None:
            self._watch.failure = None
        return result

    def _watched(self) -> unhandled.Watch:
        if self._watch is None:
            self._watch = unhandled.Watch()
        return self._watch

    def _delivered(self, failure: Failure[Any]) -> None:
        """Note that a coroutine gets this error, which is then handled, though it stays the result."""
        watch = self._watched()
        watch.failure = None
        watch.delivered = failure

    # Coroutines and asyncio.

    def __await__(self) -> Generator[Any, Any, T]:
        """Wait for the result inside a coroutine; the error is raised there."""
        result: Any = None
        wait = None
        try:
            if self._state is IDLE and not self.paused:
                result = self.result
                if isinstance(result, Failure):
                    self._delivered(result)
                    raise result.value.with_traceback(result.tb)
                return result  # type: ignore[no-any-return]
            loop = _asyncio_loop()
            if loop is None:
                return (yield self)  # type: ignore[no-any-return]
            from ropewalk.internet.coroutines import AsyncioWait  # see fromCoroutine

            wait = AsyncioWait(self, loop)
            value = yield wait
            return wait.result() if wait.used else value  # type: ignore[no-any-return]
        finally:
            del self, wait, result  # the traceback of an error holds this frame, which would hold the error

    __iter__ = __await__   # for `yield from` in the generator of an inlineCallbacks function

    @staticmethod
    def fromCoroutine(coro: Coroutine[Any, Any, U] | Generator[Any, Any, U]) -> Deferred[U]:
        """Run a coroutine that awaits Deferreds, or a generator that yields them.

        It runs at once, up to the first Deferred without a result, in a copy of the current context (contextvars).
        Returns a Deferred for what it returns or raises; cancelling that cancels the Deferred it is waiting for.
        Raises NotACoroutineError when `coro` is neither.
        """
        from ropewalk.internet.coroutines import started  # that file is built on this one, which works without it

        return started(coro)

    def asFuture(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[T]:
        """Return a future of the asyncio event loop `loop` for the outcome of this Deferred.

        The Deferred's own outcome is then None. Cancelling the future cancels the Deferred.
        """
        from ropewalk.internet.coroutines import as_future  # see fromCoroutine

        return as_future(self, loop)

    @staticmethod
    def fromFuture(future: asyncio.Future[U]) -> Deferred[U]:
        """Return a Deferred for the outcome of an asyncio future or task, whose event loop must run.

        Cancelling the Deferred cancels the future; a cancelled future is the error CancelledError.
        """
        from ropewalk.internet.coroutines import FutureDeferred  # see fromCoroutine

        return FutureDeferred(future)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x}{self._told()}>"

    def _told(self) -> str:
        if self._state is PENDING:
            return ""
        if isinstance(self.result, Deferred):
            return f" waiting on Deferred at {id(self.result):#x}"
        return f" current result: {self.result!r}"


def _timed_out(outcome: Any, timeout: float) -> Any:
    if not isinstance(outcome, Failure):
        return outcome
    outcome.trap(CancelledError)
    raise TimeoutError(string=f"the Deferred had no result within {timeout:g} seconds")


def _asyncio_loop() -> asyncio.AbstractEventLoop | None:
    """The asyncio event loop that runs in this thread.

    Asked of the module only if somebody has imported it: importing it costs more than all the rest of this package.
    """
    events: Any = sys.modules.get("asyncio.events")
    return events._get_running_loop() if events else None
