"""What waits for Deferreds other than by callbacks: coroutines, generators, and asyncio's tasks and futures."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from contextvars import copy_context
from functools import wraps
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from ropewalk.internet.deferred import CancelledError, Deferred
from ropewalk.internet.failure import Failure
from ropewalk.internet.running import IDLE, PENDING, caught, run

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from contextvars import Context

T = TypeVar("T")
P = ParamSpec("P")


class NotACoroutineError(TypeError):
    """Something that is not a coroutine was given where one is needed."""


def inlineCallbacks(f: Callable[P, Generator[Any, Any, T]]) -> Callable[P, Deferred[T]]:
    """Turn a generator function into one that returns a Deferred; Twisted's documented inlineCallbacks.

    Where the generator yields a Deferred (or a coroutine), it goes on with the result, or the error is raised there;
    any other thing it yields comes back at once. What it returns is the Deferred's result, what it raises the error.
    Cancelling the Deferred cancels the one that the generator is waiting for.

    The function returned raises TypeError when `f` returns something else than a generator.
    """

    @wraps(f)
    def start(*args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        generator: Any
        try:
            generator = f(*args, **kwargs)
        except _Returned as returned:
            generator = returned.value
        if not isinstance(generator, (GeneratorType, Generator)):
            raise TypeError(f"inlineCallbacks needs a function with a yield; {f!r} returned {generator!r}")
        return started(generator)

    return start


def returnValue(val: object) -> NoReturn:
    """End the generator of an inlineCallbacks function, with the result `val`: what `return val` does there.

    For programs from before generators could return. Twisted's documented returnValue: it raises a BaseException,
    which an `except:` of the program must let through.
    """
    raise _Returned(val)


class _Returned(BaseException):
    """returnValue() was called."""

    def __init__(self, value: object) -> None:
        super().__init__(value)
        self.value = value


def ensureDeferred(coro: Coroutine[Any, Any, T] | Generator[Any, Any, T] | Deferred[T]) -> Deferred[T]:
    """Return a Deferred for a coroutine, as `Deferred.fromCoroutine` does; a Deferred is returned as it is.

    Raises NotACoroutineError when `coro` is neither.
    """
    return coro if isinstance(coro, Deferred) else started(coro)


def started(coro: Coroutine[Any, Any, T] | Generator[Any, Any, T]) -> Deferred[T]:
    """See Deferred.fromCoroutine."""
    if not isinstance(coro, _COROUTINES):
        raise NotACoroutineError(f"{coro!r} is not a coroutine")
    running = _Coroutine(coro)
    run(running)
    return running


_COROUTINES = (CoroutineType, GeneratorType, Coroutine, Generator)


class _Coroutine(Deferred[T]):
    """The Deferred of a running coroutine or generator, which also drives it."""

    __slots__ = ("_awaited", "_cancel_asked", "_context", "_generator")

    def __init__(self, generator: Coroutine[Any, Any, T] | Generator[Any, Any, T]) -> None:
        Deferred.__init__(self)
        self._generator: Any = generator
        self._context: Context | None = copy_context()
        self._awaited: Deferred[Any] | None = None
        self._cancel_asked = False

    def _advance(self, result: Any) -> Deferred[Any] | None:
        """Send `result` in, and go on until a Deferred without a result is awaited.

        Returns this Deferred when the coroutine has ended, for its callbacks to be called.
        """
        generator = self._generator
        inside = self._context.run  # type: ignore[union-attr]
        awaited = yielded = None
        self._awaited = None
        try:
            while True:
                try:
                    if isinstance(result, Failure):
                        yielded = inside(generator.throw, result.value.with_traceback(result.tb))
                    else:
                        yielded = inside(generator.send, result)
                except StopIteration as stop:
                    return self._ended(stop.value)
                except _Returned as returned:
                    return self._ended(returned.value)
                except BaseException as error:
                    return self._ended(caught(error))
                awaited = yielded if isinstance(yielded, Deferred) else _awaitable(yielded)
                if awaited is None:
                    result = _answer(yielded)
                elif awaited._state is not IDLE or awaited.paused:
                    self._suspend(awaited)
                    return None
                else:
                    result = awaited.result
                    if isinstance(result, Failure):
                        awaited._delivered(result)
        finally:
            del self, generator, inside, awaited, yielded, result

    def _suspend(self, awaited: Deferred[Any]) -> None:
        self._awaited = awaited
        awaited._add_waiter(self, _resume)
        if self._cancel_asked:
            self._cancel_asked = False
            awaited.cancel()

    def _ended(self, result: Any) -> Deferred[Any] | None:
        self._generator = self._context = None
        try:
            accepted = self._accept(result)
        except TypeError as error:
            accepted = self._accept(Failure(error))
        return self if accepted else None

    def _awaits(self) -> Deferred[Any] | None:
        return self._awaited if self._state is PENDING else super()._awaits()

    def _cancel(self) -> None:
        """The coroutine is running: it has asked for this itself, and gets it when it awaits something."""
        self._cancel_asked = self._state is PENDING


def _awaitable(yielded: object) -> Deferred[Any] | None:
    """The Deferred to wait for when a coroutine has yielded something that is none."""
    if type(yielded) is AsyncioWait:
        return yielded.deferred
    if isinstance(yielded, _COROUTINES):
        return started(yielded)
    if _runs_here(yielded):
        future: Any = yielded
        future._asyncio_future_blocking = False   # as asyncio's own tasks answer
        return FutureDeferred(future)
    return None


def _runs_here(yielded: Any) -> bool:
    """Whether `yielded` is a future of the asyncio loop that runs in this thread."""
    if getattr(yielded, "_asyncio_future_blocking", None) is None:
        return False
    from asyncio import _get_running_loop

    return yielded.get_loop() is _get_running_loop()


def _answer(yielded: object) -> object:
    """What a coroutine gets for something that it cannot wait for: the thing itself."""
    if getattr(yielded, "_asyncio_future_blocking", None) is None:
        return yielded
    told = f"a coroutine run by ensureDeferred or inlineCallbacks cannot await the asyncio future {yielded!r}"
    return Failure(TypeError(f"{told}: its loop does not run here; use the reactor of asyncioreactor"))


def _resume(source: Deferred[Any], waiter: _Coroutine[Any]) -> Deferred[Any] | None:
    """The waiter's coroutine awaits the source."""
    result = source.result
    if isinstance(result, Failure):
        source._delivered(result)
    try:
        return waiter._advance(result)
    finally:
        del source, waiter, result


_NONE_YET = object()


class AsyncioWait:
    """What `Deferred.__await__` yields while an asyncio loop runs: what a task of that loop takes for a future.

    Nobody can tell there whether a task drives the coroutine or `_Coroutine`, which takes `deferred` from here. That a
    task waits for anything with these methods is how asyncio lets other implementations of futures in.
    """

    __slots__ = ("_asyncio_future_blocking", "_cancelled", "_loop", "_outcome", "_wake", "deferred")

    def __init__(self, deferred: Deferred[Any], loop: asyncio.AbstractEventLoop) -> None:
        self.deferred = deferred
        self._asyncio_future_blocking = True
        self._cancelled = False
        self._loop = loop
        self._outcome: Any = _NONE_YET
        self._wake: tuple[Callable[[Any], object], Context | None] | None = None

    @property
    def used(self) -> bool:
        """Whether it was a task that waited."""
        return self._wake is not None

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(self, wake: Callable[[Any], object], *, context: Context | None = None) -> None:
        self._wake = wake, context
        self.deferred._add_waiter(self, _wake_asyncio)

    def arrived(self, outcome: Any) -> None:
        """Take what the task was waiting for, and have its loop wake it."""
        self._outcome = outcome
        if self._wake is not None:
            wake, context = self._wake
            self._loop.call_soon(wake, self, context=context)

    def cancel(self, msg: object = None) -> bool:
        if self._outcome is not _NONE_YET:
            return False
        self._cancelled = True
        self.deferred.cancel()
        return True

    def result(self) -> Any:
        outcome = self._outcome
        if not isinstance(outcome, Failure):
            return outcome
        try:
            if self._cancelled and outcome.check(CancelledError):
                raise _asyncio_cancelled()
            raise outcome.value.with_traceback(outcome.tb)
        finally:
            del self, outcome  # as in Deferred.__await__


def _asyncio_cancelled() -> BaseException:
    from asyncio import CancelledError

    return CancelledError()


def _wake_asyncio(source: Deferred[Any], waiter: AsyncioWait) -> None:
    """An asyncio task awaits the source."""
    result = source.result
    if isinstance(result, Failure):
        source._delivered(result)
    waiter.arrived(result)


def as_future(deferred: Deferred[T], loop: asyncio.AbstractEventLoop) -> asyncio.Future[T]:
    """See Deferred.asFuture."""
    future: asyncio.Future[T] = loop.create_future()

    def succeeded(result: T) -> None:
        if not future.done():
            future.set_result(result)

    def failed(failure: Failure[Any]) -> None:
        if not future.done():
            future.set_exception(failure.value)

    def done(future: asyncio.Future[T]) -> None:
        if future.cancelled():
            deferred.cancel()

    deferred.addCallbacks(succeeded, failed)
    future.add_done_callback(done)
    return future


class FutureDeferred(Deferred[T]):
    """The Deferred of an asyncio future."""

    __slots__ = ("_future",)

    def __init__(self, future: asyncio.Future[T]) -> None:
        super().__init__()
        self._future = future
        future.add_done_callback(self._done)

    def _done(self, future: asyncio.Future[T]) -> None:
        if future.cancelled():
            return self.errback(CancelledError())
        error = future.exception()
        if error is not None:
            return self.errback(error)
        return self.callback(future.result())

    def _cancel(self) -> None:
        """The future may take its time to be cancelled, or refuse: its outcome counts."""
        self._future.cancel()
