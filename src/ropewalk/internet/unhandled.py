"""Errors that no callback handled, and others to be logged: their report, and where Deferreds were made and fired."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logging import Logger
    from traceback import StackSummary

    from ropewalk.internet.failure import Failure

debugging = False   # see setDebugging; read by Deferred

_MACHINERY = {
    f"ropewalk.internet.{name}" for name in ("coroutines", "deferred", "gathering", "making", "running", "unhandled")
}


def setDebugging(on: bool) -> None:
    """Have every Deferred remember where it was made and fired, for error messages; slow. `on`: whether."""
    global debugging
    debugging = bool(on)


def getDebugging() -> bool:
    """Return whether Deferreds remember where they were made and fired."""
    return debugging


@cache
def log() -> Logger:
    """The logger that errors without a handler go to."""
    import logging  # with what it imports in turn, a tenth of the time that importing a reactor takes

    return logging.getLogger("ropewalk.defer")


def logError(err: Failure[Any]) -> Failure[Any]:
    """An errback that logs the failure and passes it on; if nothing handles it then, it is logged again. Twisted's."""
    log().critical("Error in Deferred", exc_info=(err.type, err.value, err.tb))
    return err


class Watch:
    """Reports the error of a Deferred that is gone; made only for one that fails or is being debugged."""

    __slots__ = ("created", "delivered", "failure", "fired")

    def __init__(self) -> None:
        self.failure: Failure[Any] | None = None
        self.delivered: Failure[Any] | None = None
        self.created: StackSummary | None = None
        self.fired: StackSummary | None = None
        log()  # an interpreter that is ending imports nothing any more, and __del__ may be called then

    def guard(self, failure: Failure[Any]) -> None:
        """Report this error in the end, unless a coroutine got it or somebody takes it before."""
        if failure is not self.delivered:
            self.failure = failure
            self.delivered = None

    def history(self) -> str:
        """Say where the Deferred was made and fired, as far as is known."""
        return _told("made", self.created) + _told("fired", self.fired)

    def __del__(self) -> None:
        failure = self.failure
        if failure is not None:
            where = (failure.type, failure.value, failure.tb)
            log().critical("Unhandled error in Deferred%s", self.history(), exc_info=where)


def stack() -> StackSummary:
    """Where the program is, without the frames that are only how Deferreds work."""
    import traceback  # see log()

    frames = traceback.walk_stack(sys._getframe())
    program = [found for found in frames if found[0].f_globals.get("__name__") not in _MACHINERY]
    return traceback.StackSummary.extract(reversed(program))


def _told(what: str, where: StackSummary | None) -> str:
    if where is None:
        return ""
    return f"\n{what} at (most recent call last):\n" + "".join(where.format()).rstrip()
