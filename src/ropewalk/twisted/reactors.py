"""The reactor classes that Twisted is given: our reactor with Twisted's kit, and what Twisted's programs ask of one."""

from __future__ import annotations

import functools
import importlib
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ReactorAlreadyInstalledError
from twisted.internet.main import installReactor
from twisted.python import context, log, threadable
from twisted.python.log import ILogContext
from twisted.python.threadpool import ThreadPool
from zope.interface import classImplements

from ropewalk.core import choose
from ropewalk.core.reactor import POOL_SIZE, Phase
from ropewalk.internet.base import ReactorBase
from ropewalk.internet.main import caller
from ropewalk.transports.connector import Connector
from ropewalk.transports.stream import Stream
from ropewalk.transports.tcp import Binding
from ropewalk.twisted import tls
from ropewalk.twisted.declarations import REACTOR, declare
from ropewalk.twisted.kit import KIT
from ropewalk.twisted.logs import RunningContext

_NOTHING: dict[str, str] = {}
_MODULE = "twisted.internet.reactor"


class TwistedPool(ThreadPool):
    """Twisted's pool of threads, which can end without the reactor's waiting for it."""

    def end(self, then: Callable[[], object] | None = None) -> None:
        """Begin to stop, return at once, and call `then`, in another thread, when the threads have ended."""
        threading.Thread(target=_stop_pools, args=([self], then), name=f"{self.name}-end").start()


def _stop_pools(pools: list[TwistedPool], then: Callable[[], object] | None) -> None:
    while pools:
        pools.pop().stop()
    if then is not None:
        then()


class TwistedReactor(ReactorBase):
    """One of our reactors, for Twisted. It is made without an argument; `name` says which one."""

    kit = KIT
    installed_by: str | None = None
    """The file and line of the program that installed it."""

    @classmethod
    def install(cls) -> None:
        """Make one, and make it twisted.internet.reactor. Raises ReactorAlreadyInstalledError."""
        present = sys.modules.get(_MODULE)
        if present is not None:
            raise ReactorAlreadyInstalledError(_already(cls, present))
        reactor = cls()
        installReactor(reactor)
        reactor.installed_by = caller()

    def run(self, installSignalHandlers: bool = True) -> None:
        """As Reactor.run(); Twisted's isInIOThread() knows this thread from now on.

        Raises ReactorNotRestartable while it stops.
        """
        if self._phase is Phase.STOPPING:
            raise self.kit.error.ReactorNotRestartable(f"{self!r} can be run again when run() has returned")
        threadable.registerAsIOThread()
        context.call({ILogContext: self._log_context()}, super().run, installSignalHandlers)

    def _log_context(self) -> RunningContext:
        return RunningContext(context.get(ILogContext), lambda: self._active)

    # -- events

    def addSystemEventTrigger(
        self, phase: str, eventType: str, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """As Reactor.addSystemEventTrigger(); its identity is a tuple of Twisted's form. Raises KeyError."""
        try:
            trigger = super().addSystemEventTrigger(phase, eventType, callable, *args, **kwargs)
        except ValueError as error:
            raise KeyError(str(error)) from None
        return eventType, (phase, trigger)

    def removeSystemEventTrigger(self, triggerID: Any) -> None:
        """As Reactor.removeSystemEventTrigger(). Raises KeyError for a phase that it is not of, too."""
        _, (phase, trigger) = triggerID
        if phase != trigger.phase:
            raise KeyError(f"the trigger is of the phase {trigger.phase!r}, not {phase!r}")
        super().removeSystemEventTrigger(trigger)

    # -- events of Windows

    def _act(self, owner: Any, action: str) -> Any:
        """As Win32Events._act(), where Twisted's log says whose action it is."""
        return log.callWithContext({"system": owner.logPrefix()}, getattr(owner, action))

    # -- TCP and TLS

    def listenTCP(self, port: Any, factory: Any, backlog: int = 50, interface: str | None = None) -> Any:
        """As Networking.listenTCP(); `port` may be what Twisted's makeBinding() returns."""
        return super().listenTCP(_own_binding(port, interface), factory, backlog, interface)

    def connectTCP(
        self, host: str, port: Any, factory: Any, timeout: float | None = 30.0, bindAddress: Any = None, **ours: Any
    ) -> Any:
        """As Networking.connectTCP(); `bindAddress` may be what Twisted's makeBinding() returns."""
        if hasattr(bindAddress, "_reusePort"):
            bindAddress = _own_binding(bindAddress, None)
        return super().connectTCP(host, port, factory, timeout, bindAddress, **ours)

    def listenSSL(
        self, port: Any, factory: Any, contextFactory: Any, backlog: int = 50, interface: str | None = None
    ) -> Any:
        """As Networking.listenSSL(), for our context factories; TLS is Twisted's with all others."""
        if tls.is_ours(contextFactory):
            return super().listenSSL(_own_binding(port, interface), factory, contextFactory, backlog, interface)
        listening = self.listenTCP(port, tls.wrapped(factory, contextFactory, False), backlog, interface)
        listening._type = "TLS"
        return listening

    def connectSSL(
        self,
        host: str,
        port: Any,
        factory: Any,
        contextFactory: Any,
        timeout: float | None = 30.0,
        bindAddress: Any = None,
    ) -> Any:
        """As Networking.connectSSL(), for our context factories; TLS is Twisted's with all others."""
        if tls.is_ours(contextFactory):
            return super().connectSSL(host, port, factory, contextFactory, timeout, bindAddress)
        return self.connectTCP(host, port, tls.wrapped(factory, contextFactory, True), timeout, bindAddress)

    # -- processes

    if hasattr(os, "fork"):   # elsewhere Twisted's own children take pywin32: ours do

        def spawnProcess(
            self,
            processProtocol: Any,
            executable: Any,
            args: Any = (),
            env: Any = _NOTHING,
            path: Any = None,
            uid: int | None = None,
            gid: int | None = None,
            usePTY: Any = False,
            childFDs: Any = None,
        ) -> Any:
            """Start a program in a child process, as Twisted's reactors do it.

            What cannot be started is told by the child's exit code, 1, and standard error; ours would raise OSError.
            """
            from ropewalk.twisted.processes import spawn

            return spawn(self, processProtocol, executable, args, env, path, uid, gid, usePTY, childFDs)

    # -- our transports among Twisted's descriptors

    def addReader(self, reader: Any) -> None:
        """As Reactor.addReader(); a transport of ours goes on to read."""
        if isinstance(reader, Stream):
            reader.resumeProducing()
        else:
            super().addReader(reader)

    def removeReader(self, reader: Any) -> None:
        """As Reactor.removeReader(); a transport of ours reads no more until addReader()."""
        if isinstance(reader, Stream):
            reader.pauseProducing()
        else:
            super().removeReader(reader)

    # -- the end

    def _end_threads(self, then: Callable[[], object] | None = None) -> None:
        """The threads end at the shutdown alone: what crash() leaves goes on, as with Twisted."""
        if then is not None:
            super()._end_threads(then)

    def fireSystemEvent(self, eventType: str) -> None:
        """As Reactor.fireSystemEvent(); "shutdown" also clears a reactor up that does not run (trial does that)."""
        super().fireSystemEvent(eventType)
        if eventType == "shutdown" and self._phase is Phase.STOPPED:
            self.disconnectAll()
            if self._pool is not None:
                self._stopThreadPool()
            super()._end_threads()

    def make_pool(self, size: int) -> Any:
        return TwistedPool(0, size, "reactor-thread")

    # -- what trial, and Twisted's tests, ask of a reactor

    @property
    def threadpool(self) -> Any:
        """The pool of threads, None if there is none yet."""
        return self._pool

    def _stopThreadPool(self) -> None:
        """End the threads of the pool; the next use makes a new one, of the size that there is at first."""
        pool, self._pool, self._pool_size = self._pool, None, POOL_SIZE
        pool.stop()

    @property
    def _exitSignal(self) -> int | None:
        """The signal that stopped it, by which twistd then ends its process."""
        return self.exitSignal

    def disconnectAll(self) -> None:
        """Close every connection and port, end every reader and writer, and forget who is still connecting.

        The factories of the latter hear nothing: this is what Twisted's tests do to a reactor that has run.
        """
        for transport in list(self.transports):
            if isinstance(transport, Connector):
                transport.abandon()
                transport._attempt_ended()
        self._disconnect_all()

    def _uninstallHandler(self) -> None:
        """run() has put back the signal handlers when it returned."""


def reactor_class(name: str) -> type[TwistedReactor]:
    """The class of the reactor `name`. Raises ReactorNotAvailableError if it is unknown or cannot be used here."""
    row = choose.choice(name)
    choose.parts(name)
    return _made(row.module, row.reactor, choose.default_name() if name == "default" else name)


@functools.cache
def _made(module: str, class_name: str, name: str) -> type[TwistedReactor]:
    """With what the preset adds, such as registerGApplication().

    Twisted's tests, and programs, look at the name of a reactor's class.
    """
    preset = getattr(importlib.import_module(f"ropewalk.internet.{module}"), class_name)
    return type(class_name, (TwistedReactor, preset), {"name": name, "__module__": "ropewalk.twisted"})


def _own_binding(port: Any, interface: str | None) -> Any:
    """`port`, a number or what Twisted's makeBinding() returns, as our Binding. Raises ValueError."""
    if isinstance(port, Binding):
        return port
    if not hasattr(port, "_reusePort"):   # Twisted says only that it is opaque, and old ones have no such thing
        return Binding(interface or "", port, reuseAddress=os.name == "posix")
    if interface not in (None, "", port._address):
        raise ValueError(f"the interface {interface!r} is not that of {port!r}: give it once")
    return Binding(port._address or "", port._port, port._reuseAddress, port._reusePort)


def _already(cls: type[TwistedReactor], present: Any) -> str:
    """Why `cls` cannot be installed: which reactor is there, who installed ours, and which modules have imported it."""
    kind = type(present)
    by = f", installed by {present.installed_by}" if isinstance(present, TwistedReactor) else ""
    holders = [f"{name} ({_file(module)})" for name, module in list(sys.modules.items()) if _holds(module, present)]
    where = f"imported by {', '.join(holders)}" if holders else "no module that is loaded has imported it"
    return (
        f"{cls.__name__} of ropewalk.twisted cannot be installed: twisted.internet.reactor is {kind.__name__} of "
        f"{kind.__module__} already{by}, {where}; install a reactor once, and before anything imports {_MODULE}"
    )


def _holds(module: Any, reactor: Any) -> bool:
    """Whether `reactor` is a global name of `module`, which is a program's."""
    names = getattr(module, "__dict__", {})   # what is in sys.modules need not be a module: a reactor is there
    return module is not reactor and names.get("__name__") != "twisted.internet" and names.get("reactor") is reactor


def _file(module: Any) -> str:
    return getattr(module, "__file__", None) or "no file"


declare()
classImplements(TwistedReactor, *REACTOR)
