"""Running a service: from the first privilege to the last byte.

    begin    systemd's sockets and variables are taken; process 1 splits; the daemon forks; umask, log, reactor
    load     the service is made
    start    chroot, folder, pidfile, privilegedStartService, privileges are given up, startService
    run      the reactor runs; ready: the ports are said, and systemd and whoever waits for the daemon are told
    stop     the service is stopped, connections finish, the reactor ends; the pidfile goes, the process ends

What fails before the reactor runs ends the command with a line and an exit code. A service that comes up later than its
start (it returned a Deferred) and fails ends it in the same way.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from ropewalk.application import program
from ropewalk.application.exits import CommandFailed, Exit
from ropewalk.application.runner import logs, places, reactors, stopping
from ropewalk.application.runner.activation import PassedSockets
from ropewalk.application.runner.notify import Notifier
from ropewalk.application.runner.options import Settings
from ropewalk.application.runner.pidfile import PidFile
from ropewalk.application.runner.reloading import Reloader, log_failure, replace
from ropewalk.internet import base
from ropewalk.internet import main as installation
from ropewalk.internet.defer import Deferred, maybeDeferred
from ropewalk.internet.error import CannotListenError, ReactorNotRunning

if sys.platform != "win32":
    from ropewalk.application.runner import daemon, init, privileges

_log = logging.getLogger("ropewalk.runner")
_DAEMONS_UMASK = 0o077
_STOPPING = 10.0   # seconds that a service may take to stop, besides those that its clients have


class Runner:
    """One run of the command, as `settings` say.

    load: makes the service; called again to reload. Raises what ropewalk.application.program raises.
    """

    def __init__(self, settings: Settings, load: Callable[[], Any]) -> None:
        self._settings = settings
        self._load = load
        self._service: Any = None
        self._reactor: Any = None
        self._failure: BaseException | None = None
        self._reloader: Reloader | None = None
        self._log_handler: logging.Handler | None = None
        self._identity: Any = None   # looked up before a chroot, where there may be no accounts
        self._pidfile = PidFile(settings.pidfile) if settings.pidfile and not settings.check else None

    # -- begin

    def begin(self) -> None:
        """What has to be done before anything is loaded. Raises CommandFailed."""
        settings = self._settings
        self._passed = PassedSockets()
        self._notifier = Notifier.from_environment()
        if sys.platform != "win32" and os.getpid() == 1:
            init.split()
        self._check()
        if sys.platform != "win32" and settings.daemon:
            daemon.daemonize()
        if settings.umask is not None:
            os.umask(settings.umask)
        elif settings.daemon:
            os.umask(_DAEMONS_UMASK)
        self._log_handler = logs.begin(settings)
        reactors.install(settings.reactor)
        if settings.spew:
            from ropewalk.application.runner import profiling

            profiling.spew()

    def _check(self) -> None:
        """Find out early what would be in vain."""
        settings = self._settings
        if self._pidfile is not None:
            self._pidfile.check()
        if settings.profile is not None:
            from ropewalk.application.runner import profiling

            profiling.check(settings.profile)
        if settings.uid is not None or settings.gid is not None:
            self._identify()

    # -- run

    def run(self, service: Any) -> None:
        """Run `service` to its end; returns if nothing but itself ended it, else the process dies by the signal.

        A service that has an attribute `failure`, an exception, when the reactor has stopped, failed by that. Raises
        that, CommandFailed, program.Failed, and what leaves the reactor.
        """
        self._service = None if isinstance(service, program.Bare) else service
        self._reactor = base.current()
        if self._service is None and self._reactor.runs:   # the program has run it itself
            installation.die_by_exit_signal(self._reactor)
            return
        try:
            self._prepare()
            self._handle_signals()
            self._begin_service()
            self._turn()
        finally:
            if self._pidfile is not None:
                self._pidfile.remove()
            self._notifier.close()
        if self._failure is not None:
            raise self._failure
        installation.die_by_exit_signal(self._reactor)
        ended_by: Exception | None = getattr(self._service, "failure", None)
        if ended_by is not None:
            raise ended_by

    def _prepare(self) -> None:
        settings = self._settings
        if self._pidfile is not None:
            self._pidfile.write()
        if settings.chroot is not None:
            self._change_root(settings.chroot)
        if settings.rundir is not None:
            try:
                os.chdir(settings.rundir)
            except OSError as error:
                why = (error.strerror or str(error)).lower()
                raise CommandFailed(f"--rundir {settings.rundir}: {why}", Exit.USAGE) from error
        name = getattr(self._service, "processName", None)
        if name and not settings.originalname:
            _name_process(name)

    def _change_root(self, folder: str) -> None:
        if sys.platform != "win32":
            self._identify()
            privileges.change_root(folder)
            if isinstance(self._log_handler, logs.LogFile):
                self._log_handler.root_changed(folder)

    def _give_privileges_up(self) -> None:
        if sys.platform != "win32":
            if self._settings.chroot is None:
                self._identify()
            privileges.become(self._identity, self._settings.euid)

    def _identify(self) -> None:
        """Look up whom to become: what the options do not say, the application may."""
        if sys.platform != "win32":
            self._identity = privileges.identity(self._settings.uid, self._settings.gid, self._service)

    def _begin_service(self) -> None:
        starting = Deferred.fromCoroutine(self._start(self._service))
        self._reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        starting.addCallbacks(lambda _: self._reactor.callWhenRunning(self._ready), self._cannot_start)

    async def _start(self, service: Any) -> None:
        """Start `service`, giving privileges up when its ports are bound."""
        if service is None:
            self._give_privileges_up()
            return
        await maybeDeferred(service.privilegedStartService)
        self._give_privileges_up()
        await maybeDeferred(service.startService)

    def _cannot_start(self, failure: Any) -> None:
        error = failure.value
        if isinstance(error, CannotListenError):
            self._failure = CommandFailed(f"cannot listen on {error}", Exit.IO)
        elif isinstance(error, CommandFailed):
            self._failure = error
        else:
            self._failure = program.Failed("the service could not start")
            self._failure.__cause__ = program.without_ours(error)
        with contextlib.suppress(ReactorNotRunning):   # it is not run at all then
            self._reactor.stop()

    def _turn(self) -> None:
        if self._failure is not None:
            if self._service is not None:   # what it has bound
                maybeDeferred(self._service.stopService).addErrback(log_failure, "the service could not be stopped")
            return
        run = self._reactor.run
        if self._settings.profile is not None or self._settings.debug:
            from ropewalk.application.runner import profiling

            if self._settings.profile is not None:
                run = profiling.profiled(run, self._settings.profile, self._settings.profiler, self._settings.savestats)
            if self._settings.debug:
                run = profiling.debugged(run)
        run()

    def _ready(self) -> None:
        listening = places.places(self._reactor)
        places.log(listening)
        if self._service is not None:   # a bare program has its own words
            places.announce(listening)
        if self._settings.check:
            self._reactor.stop()
            return
        self._notifier.ready(places.status(listening))
        self._notifier.feed_watchdog(self._reactor)
        if sys.platform != "win32":
            daemon.is_up()

    # -- stop

    def _stop(self) -> Deferred[Any]:
        if self._reloader is not None:
            self._reloader.end()
        self._passed.close()
        self._notifier.stopping()
        return Deferred.fromCoroutine(self._stop_gracefully())

    async def _stop_gracefully(self) -> None:
        if self._service is not None:
            await self._stop_service()
        await stopping.finished(self._reactor, self._settings.grace, self._closing)

    async def _stop_service(self) -> None:
        """Stop the service, which may take longer than its clients, as one that ends children, but not for ever."""
        limit = self._settings.grace + _STOPPING
        over: Deferred[bool] = Deferred()
        timer = self._reactor.callLater(limit, over.callback, False)

        def stopped(_: Any) -> None:
            if timer.active():
                timer.cancel()
                over.callback(True)

        begun = maybeDeferred(self._service.stopService)
        begun.addErrback(log_failure, "the service could not be stopped").addCallback(stopped)
        if not await over:
            _log.warning("%r has not stopped within %g seconds, and is left as it is", self._service, limit)

    def _closing(self, left: int) -> None:
        if self._settings.grace:
            _log.warning("%d connections have not ended within %g seconds, and are closed", left, self._settings.grace)

    # -- signals

    def _handle_signals(self) -> None:
        self._reloader = Reloader(self._reactor, self._reload)
        for name, handle in (("SIGUSR1", self._rotate), ("SIGHUP", self._reloader.hang_up)):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:   # as nohup has it
                signal.signal(number, partial(self._soon, handle))

    def _soon(self, handle: Callable[[int], object], number: int, frame: object) -> None:
        self._reactor.callFromThread(handle, number)

    def _rotate(self, number: int) -> None:
        if isinstance(self._log_handler, logs.LogFile):
            self._log_handler.rotate()

    async def _reload(self) -> None:
        self._notifier.reloading()
        self._passed.pass_again()
        if self._service is None:
            _log.warning("not reloaded: the program has no application that could be stopped and started")
        else:
            self._service = await replace(self._reactor, self._service, self._load)
        self._notifier.ready(places.status(places.places(self._reactor)))


def _name_process(name: str) -> None:
    """Have ps and top call the process `name`, cut to 15 bytes: proc(5), where there is such a file."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="utf-8") as file:
        file.write(name)
