"""SIGHUP: the service is loaded anew and takes the place of the one that runs, in the same process.

The new one is started before the old one is stopped, with its sockets (ropewalk.application.runner.handover): so a
client is always served by one of them, and if the new one cannot start, nothing has happened to the old one.

A terminal that goes away sends the same signal. Whoever runs the command there means it to end then, so a process that
had a controlling terminal looks whether that is still there.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

from ropewalk.application import program
from ropewalk.application.runner.handover import handing_over
from ropewalk.internet.defer import Deferred, maybeDeferred

_log = logging.getLogger("ropewalk.runner")


class Reloader:
    """Calls `reload`, which returns an awaitable, when SIGHUP wants that; one at a time.

    reactor: is stopped, as by the signal, if the terminal has gone away.
    """

    def __init__(self, reactor: Any, reload: Callable[[], Awaitable[None]]) -> None:
        self._reactor = reactor
        self._reload = reload
        self._had_terminal = _has_terminal()
        self._busy = False
        self._ended = False

    def hang_up(self, number: int) -> None:
        """The signal `number`, SIGHUP, has come."""
        if self._ended or self._busy:
            return
        if self._had_terminal and not _has_terminal():
            self._reactor.exitSignal = number
            self._reactor.stop()
            return
        self._busy = True
        Deferred.fromCoroutine(self._run()).addErrback(log_failure, "reloading failed")

    def end(self) -> None:
        """The service stops: reload no more."""
        self._ended = True

    async def _run(self) -> None:
        try:
            await self._reload()
        finally:
            self._busy = False


async def replace(reactor: Any, old: Any, load: Callable[[], Any]) -> Any:
    """Let the service that `load` makes take the place of `old`; returns the one that runs then, which may be `old`."""
    new: Any = None
    with handing_over(reactor):
        try:
            new = load()
            await maybeDeferred(new.privilegedStartService)
            await maybeDeferred(new.startService)
        except (Exception, SystemExit) as error:
            cause = error.__cause__ if isinstance(error, program.Failed) else error
            _log.error("not reloaded, the service goes on as it was: %s", cause, exc_info=cause)
            if new is not None:
                await maybeDeferred(new.stopService).addErrback(log_failure, "the new service could not be stopped")
            return old
    await maybeDeferred(old.stopService).addErrback(log_failure, "the service before could not be stopped")
    _log.info("reloaded")
    return new


def log_failure(failure: Any, what: str) -> None:
    """An errback: log `failure`, and `what` it means."""
    _log.error("%s: %s", what, failure.value, exc_info=failure.value)


def _has_terminal() -> bool:
    """Whether the process has a controlling terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True
