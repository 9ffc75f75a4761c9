"""DeferredFilesystemLock: a lock between processes, for which one waits by Deferred."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ropewalk.errors import TimeoutError
from ropewalk.internet.deferred import Deferred
from ropewalk.internet.making import fail
from ropewalk.transports.lockfile import FilesystemLock

if TYPE_CHECKING:
    import os

    from ropewalk.interfaces import Clock


class AlreadyTryingToLockError(Exception):
    """deferUntilLocked() was called while the call before still waits."""


class DeferredFilesystemLock(FilesystemLock):
    """A FilesystemLock to wait for; Twisted's documented DeferredFilesystemLock.

    The system tells nobody that a lock has been given back: it is tried once a second.
    """

    _INTERVAL = 1.0

    def __init__(self, name: str | bytes | os.PathLike[str], scheduler: Clock | None = None) -> None:
        """name: the path of the lock. scheduler: calls later; None for the reactor that runs in this thread when the
        wait begins, else the installed one.
        """
        super().__init__(name)
        self._scheduler = scheduler
        self._wanted: Deferred[None] | None = None   # what deferUntilLocked returned, while it waits
        self._retry: Any = None
        self._limit: Any = None

    def deferUntilLocked(self, timeout: float | None = None) -> Deferred[None]:
        """Take the lock, now or as soon as a try finds it free.

        timeout: seconds after which the wait ends, with a last try; None for no end. Returns a Deferred that fires with
        None when this object has the lock, and fails with TimeoutError when the wait is over, with OSError when the
        lock cannot be made, with AlreadyTryingToLockError when this object waits already. Cancelling it ends the wait.
        """
        if self._wanted is not None:
            return fail(AlreadyTryingToLockError(f"{self._path}: this object waits for the lock already"))
        clock = self._scheduler or _reactor()
        wanted = self._wanted = Deferred(lambda _: self._stop())
        self._try_until_locked(clock)
        if timeout is not None and not wanted.called:
            self._limit = clock.callLater(timeout, self._give_up, timeout)
        return wanted

    def _try_until_locked(self, clock: Clock) -> None:
        self._retry = None
        if not self._try():
            self._retry = clock.callLater(self._INTERVAL, self._try_until_locked, clock)

    def _try(self) -> bool:
        """Try to take the lock; say whether the wait is over."""
        try:
            locked = self.lock()
        except OSError as error:
            self._stop().errback(error)
            return True
        if locked:
            self._stop().callback(None)
        return locked

    def _give_up(self, timeout: float) -> None:
        self._limit = None
        if not self._try():
            told = f"{self._path}: another process did not give the lock back within {timeout:g} seconds"
            self._stop().errback(TimeoutError(string=told))

    def _stop(self) -> Deferred[None]:
        """End the wait; returns the Deferred to fire."""
        wanted = self._wanted
        assert wanted is not None
        for call in (self._retry, self._limit):
            if call is not None:
                call.cancel()
        self._wanted = self._retry = self._limit = None
        return wanted


def _reactor() -> Clock:
    from ropewalk.internet.base import current  # the face of Deferreds works without a reactor

    return current()
