"""Locks inside a program: DeferredLock and DeferredSemaphore, for which one waits by Deferred."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from ropewalk.internet.deferred import Deferred
from ropewalk.internet.making import maybeDeferred, succeed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Self

T = TypeVar("T")
P = ParamSpec("P")


class _Turns:
    """What a limited number of holders may have at a time; who comes first is served first.

    A callback that gets a turn may give it back at once, and so may the next. One loop, in the first release() on the
    stack, serves them all: no number of them nests.

    waiting: the Deferreds of those who wait.
    """

    def __init__(self, limit: int) -> None:
        self.waiting: deque[Deferred[Any]] = deque()
        self._limit = limit
        self._free = limit
        self._returned = 0   # turns that were given back and are not free: somebody waits for each
        self._serving = False

    def acquire(self) -> Deferred[Self]:
        """Return a Deferred that fires with this object when it is the caller's turn; cancel it to wait no more."""
        if self._free:
            self._free -= 1
            return succeed(self)
        turn: Deferred[Self] = Deferred(self.waiting.remove)
        self.waiting.append(turn)
        return turn

    def release(self) -> None:
        """End a turn: the one who has waited longest gets it. Raises AssertionError when nobody has a turn."""
        if self._free + self._returned == self._limit:
            raise AssertionError(f"{self!r} cannot be released: nobody has acquired it")
        if not self.waiting:
            self._free += 1
            return
        self._returned += 1
        if not self._serving:
            self._serve()

    def _serve(self) -> None:
        self._serving = True
        try:
            while self._returned:
                self._returned -= 1
                if self.waiting:
                    self.waiting.popleft().callback(self)
                else:
                    self._free += 1
        finally:
            self._serving = False

    @overload
    def run(self, f: Callable[P, Deferred[T]], /, *args: P.args, **kwargs: P.kwargs) -> Deferred[T]: ...
    @overload
    def run(self, f: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> Deferred[T]: ...
    @overload
    def run(self, f: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Deferred[T]: ...

    def run(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Deferred[Any]:
        """Acquire, call f(*args, **kwargs), and release when that is done: when its Deferred or coroutine is.

        Returns a Deferred of what it gives or fails with. Cancelling that stops the wait, or cancels what `f` returned.
        """
        def call() -> Any:
            return f(*args, **kwargs)   # whose keywords may have the names that maybeDeferred has for its own

        return self.acquire().addCallback(lambda _: maybeDeferred(call).addBoth(self._release_after))

    def _release_after(self, outcome: T) -> T:
        self.release()
        return outcome

    async def __aenter__(self) -> Self:
        turn = self.acquire()
        try:
            return await turn
        except BaseException:
            # A task of asyncio may be cancelled between its turn coming and its going on.
            if turn.called and turn.result is self:
                self.release()
            raise

    async def __aexit__(self, *error: object) -> None:
        self.release()


class DeferredLock(_Turns):
    """A lock that one holder has at a time, for programs of one thread; Twisted's documented DeferredLock.

    In a coroutine, `async with lock:` acquires and releases it.
    """

    def __init__(self) -> None:
        super().__init__(1)

    @property
    def locked(self) -> bool:
        """Whether somebody has it."""
        return not self._free

    def __repr__(self) -> str:
        return f"<DeferredLock {'locked' if self.locked else 'free'}, {len(self.waiting)} waiting>"


class DeferredSemaphore(_Turns):
    """A lock that a limited number of holders have at a time; Twisted's documented DeferredSemaphore.

    In a coroutine, `async with semaphore:` acquires and releases it.
    """

    def __init__(self, tokens: int) -> None:
        """tokens: how many may have it at a time. Raises ValueError for less than 1."""
        if tokens < 1:
            raise ValueError(f"a DeferredSemaphore needs at least 1 token, not {tokens!r}")
        super().__init__(tokens)

    @property
    def limit(self) -> int:
        """How many may have it at a time."""
        return self._limit

    @property
    def tokens(self) -> int:
        """How many more could have it now."""
        return self._free

    def __repr__(self) -> str:
        return f"<DeferredSemaphore {self.tokens} of {self.limit} free, {len(self.waiting)} waiting>"
