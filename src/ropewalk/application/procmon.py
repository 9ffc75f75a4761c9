"""A service that keeps child processes alive. Names and behaviour are those of twisted.runner.procmon.

Beyond it: a child has ended when it has exited, even if children of its own still hold its pipes; and a stop returns a
Deferred, which fires when the children have exited, so that none is left behind.
"""

from __future__ import annotations

import contextlib
import enum
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from ropewalk.application.service import Eventually, Service, all_up
from ropewalk.internet.base import current
from ropewalk.internet.defer import Deferred
from ropewalk.internet.error import ProcessExitedAlready
from ropewalk.internet.failure import Failure
from ropewalk.internet.protocol import ProcessProtocol

__all__ = ["ProcessMonitor"]

_log = logging.getLogger("ropewalk.application.procmon")
_LONGEST = 16384   # bytes of a line, before it is cut
_NOTHING: Mapping[Any, Any] = {}


class ProcessMonitor(Service):
    """Runs processes as long as it runs itself, and starts those that end again. What they write is logged, by lines.

    threshold: seconds; a process that ends sooner is started again only after a delay, which begins with
    minRestartDelay, is doubled each time, and is maxRestartDelay at most; another one at once.
    killTime: seconds that a process has to end by itself, when it is to end; then it is killed.
    reactor: None for the one that runs in this thread, else the installed one.
    """

    threshold: float = 1
    killTime: float = 5
    minRestartDelay: float = 1
    maxRestartDelay: float = 3600

    def __init__(self, reactor: Any = None) -> None:
        self._reactor = reactor
        self._processes: dict[str, _Monitored] = {}

    def addProcess(
        self,
        name: str,
        args: Sequence[str],
        uid: int | None = None,
        gid: int | None = None,
        env: Mapping[str, str] | None = _NOTHING,
        cwd: str | None = None,
    ) -> None:
        """Run `args`, the program and its arguments, from now on, or from the start of this service.

        name: what it is called here; uid, gid, env, cwd: as spawnProcess() has them. Raises KeyError if there is one of
        that name.
        """
        if name in self._processes:
            raise KeyError(f"there is a process called {name!r} already; remove it first")
        how = {"uid": uid, "gid": gid, "env": env, "path": cwd}
        process = self._processes[name] = _Monitored(self, name, args, how)
        if self.running:
            process.start()

    def removeProcess(self, name: str) -> Eventually:
        """End the process, and do not start it again. Raises KeyError. Returns what stopProcess() does."""
        process = self._processes.pop(name)
        return process.stop()

    def startProcess(self, name: str) -> None:
        """Start the process, unless it runs. Raises KeyError."""
        self._processes[name].start()

    def stopProcess(self, name: str) -> Eventually:
        """End the process; while this service runs, it is started again. Raises KeyError.

        Returns a Deferred that fires when it has exited; None if it does not run.
        """
        return self._processes[name].stop()

    def restartAll(self) -> Eventually:
        """End every process, to be started again; returns a Deferred that fires when all have exited, or None."""
        return all_up([process.stop() for process in self._processes.values()])

    def startService(self) -> Eventually:
        """Start every process."""
        super().startService()
        for process in list(self._processes.values()):
            process.start()
        return None

    def stopService(self) -> Eventually:
        """End every process; returns a Deferred that fires when all have exited, or None if none runs."""
        super().stopService()
        return self.restartAll()

    def keeps(self, process: _Monitored) -> bool:
        """Whether `process` is to be started when it ends."""
        return bool(self.running) and self._processes.get(process.name) is process

    @property
    def reactor(self) -> Any:
        """What starts processes and tells the time."""
        return current() if self._reactor is None else self._reactor

    def __repr__(self) -> str:
        commands = ", ".join(f"{name!r}: {process.args!r}" for name, process in self._processes.items())
        return f"<{type(self).__name__} {{{commands}}}>"


class _State(enum.Enum):
    IDLE = "not started"
    RUNNING = "running"
    ENDING = "running, and told to end"
    WAITING = "ended, and started again in a while"


class _Monitored:
    """One process of a monitor. how: the further arguments of spawnProcess()."""

    def __init__(self, monitor: ProcessMonitor, name: str, args: Sequence[str], how: Mapping[str, Any]) -> None:
        self.name = name
        self.args = args
        self._monitor = monitor
        self._how = how
        self._state = _State.IDLE
        self._delay = monitor.minRestartDelay
        self._started = 0.0
        self._timer: Any = None   # kills it while it ends, starts it while it waits
        self._child: Any = None
        self._to_tell: list[Deferred[None]] = []

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._state in (_State.RUNNING, _State.ENDING):
            return
        self._stop_timer()
        reactor = self._monitor.reactor
        self._state = _State.RUNNING
        self._started = reactor.seconds()
        self._child = _Child(self)
        try:
            reactor.spawnProcess(self._child, self.args[0], self.args, **self._how)
        except Exception as error:
            _log.error("%s cannot be started: %s", self.name, error)
            self.exited()

    def stop(self) -> Eventually:
        """Tell it to end; returns a Deferred that fires when it has, or None if it does not run."""
        if self._state is _State.WAITING and not self._monitor.keeps(self):
            self._stop_timer()
            self._state = _State.IDLE
        if self._state in (_State.IDLE, _State.WAITING):
            return None
        if self._state is _State.RUNNING:
            self._state = _State.ENDING
            self._timer = self._monitor.reactor.callLater(self._monitor.killTime, self._signal, "KILL")
            self._signal("TERM")
        ended: Deferred[None] = Deferred()
        self._to_tell.append(ended)
        return ended

    def exited(self) -> None:
        """It runs no more."""
        self._stop_timer()
        delay = self._next_delay()
        self._state = _State.IDLE
        if self._monitor.keeps(self):
            _log.info("%s is started again in %g seconds", self.name, delay)
            self._state = _State.WAITING
            self._timer = self._monitor.reactor.callLater(delay, self.start)
        to_tell, self._to_tell = self._to_tell, []
        for ended in to_tell:
            ended.callback(None)

    def _next_delay(self) -> float:
        monitor = self._monitor
        if monitor.reactor.seconds() - self._started >= monitor.threshold:
            self._delay = monitor.minRestartDelay
            return 0.0
        delay, self._delay = self._delay, min(self._delay * 2, monitor.maxRestartDelay)
        return delay

    def _signal(self, signal: str) -> None:
        with contextlib.suppress(ProcessExitedAlready):
            self._child.transport.signalProcess(signal)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


class _Child(ProcessProtocol):
    """A process, from one start to its end."""

    def __init__(self, monitored: _Monitored) -> None:
        self._monitored = monitored
        self._begun = {1: b"", 2: b""}   # by descriptor: the line that has yet to end

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        *lines, rest = (self._begun[childFD] + data).split(b"\n")
        for line in lines:
            self._log(line)
        if len(rest) > _LONGEST:
            self._log(rest)
            rest = b""
        self._begun[childFD] = rest

    def processExited(self, reason: Failure[Any]) -> None:
        _log.info("%s has ended: %s", self._monitored.name, reason.value)
        self._monitored.exited()

    def processEnded(self, reason: Failure[Any]) -> None:
        for rest in self._begun.values():
            if rest:
                self._log(rest)

    def _log(self, line: bytes) -> None:
        _log.info("[%s] %s", self._monitored.name, line.decode("utf-8", "backslashreplace").rstrip("\r"))
