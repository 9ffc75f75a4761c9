"""The reactor: the loop with everything that a program asks of it, the IReactor* methods."""

from __future__ import annotations

import enum
import os
import signal
import socket
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

from ropewalk.core.debug import check_threads, debugging
from ropewalk.core.descriptors import Descriptors
from ropewalk.core.events import Win32Events
from ropewalk.core.networking import Networking
from ropewalk.core.processes import Processes
from ropewalk.core.signals import STOPPING, handle_signals
from ropewalk.core.threads import ThreadPool
from ropewalk.core.timers import DelayedCall
from ropewalk.core.triggers import Trigger, Triggers
from ropewalk.interfaces import READ, WRITE, Host, Kit, Poller
from ropewalk.transports.address import literal_family
from ropewalk.transports.resolver import FirstAddress, FromSimple, ThreadedResolver

_WARNING = 30   # logging's level
_FINISHING = 10.0   # seconds that a shutdown may take once the host's loop has ended
POOL_SIZE = 10   # threads, unless a program suggests another number


class Phase(enum.Enum):
    """Where a reactor stands."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class Reactor(Networking, Processes, Win32Events):
    """One reactor: Twisted's IReactorCore, IReactorTime, IReactorThreads, IReactorFDSet, and what its bases have.

    The arguments are those of Loop.
    """

    def __init__(self, make_host: Callable[[Any], Host], make_poller: Callable[[], Poller], kit: Kit) -> None:
        super().__init__(make_host, make_poller, kit)
        self.transports = set()
        self.exitSignal: int | None = None
        self.runs = 0   # how often it was run
        self._phase = Phase.STOPPED
        self._thread: int | None = None
        self._attached: ExitStack | None = None
        self._escaped: BaseException | None = None
        self._handle_signals: Callable[[], Any] = nullcontext   # from "during startup" on
        self._own: Host | None = None   # while another one is used instead
        self._triggers = Triggers(kit)
        self._descriptors = Descriptors(kit, lambda: self.poller)
        self._pool: Any = None
        self._pool_size = POOL_SIZE
        self._names: ThreadPool | None = None
        self.nameResolver = ThreadedResolver(self, self._in_names_thread)
        self._simple_resolver: Any = FirstAddress(self, self.nameResolver)
        _reactors.add(self)
        if debugging():
            check_threads(self, lambda: self._thread)

    # -- running: IReactorCore

    @property
    def running(self) -> bool:
        """Whether it runs: from "during startup" to "after shutdown"."""
        return self._phase in (Phase.RUNNING, Phase.STOPPING)

    def run(self, installSignalHandlers: bool = True) -> None:
        """Run until stop() or crash(); afterwards it may be run again.

        installSignalHandlers: whether SIGINT, SIGTERM and SIGBREAK stop it, from "during startup" on; has no effect in
        a thread other than the main one. The signal that stopped it is then `exitSignal`. Raises ReactorAlreadyRunning.
        KeyboardInterrupt and SystemExit of a callback leave run(); every other exception is logged.
        """
        with self._running_here(installSignalHandlers):
            self._calls.appendleft((self._if_same_run, (self.runs, self._start_up), {}))   # in the host's loop
            while self._phase is not Phase.STOPPED:   # the host may be replaced
                self._run_host()

    def attach(self, installSignalHandlers: bool = False) -> None:
        """Run inside a loop that the program itself runs: a GUI toolkit's. Fires "startup", and returns.

        From then on the loop serves the reactor. stop() fires "shutdown" and leaves the loop alone. When the loop ends
        first, the reactor is stopped; but a bare loop of GLib or GTK tells nobody that it ends, so there the program
        calls stop() before. installSignalHandlers: whether signals stop it, as in run(). Call it in the loop's thread,
        before or while the loop runs. Raises ReactorAlreadyRunning, and RuntimeError if the reactor has no loop but its
        own.
        """
        if not self._host.foreign:
            raise RuntimeError(
                f"{self!r} cannot be attached: its only loop is its own, which run() runs; use a reactor of a toolkit"
            )
        with ExitStack() as entered:
            entered.enter_context(self._running_here(installSignalHandlers, attached=True))
            entered.enter_context(self._attended(self._serve))
            self._attached = entered.pop_all()
        self._start_up()

    def use(self, make_host: Callable[[Any], Host]) -> None:
        """Be served by the host that `make_host(reactor)` returns, instead of by our own loop; while running, too.

        Raises RuntimeError if another loop serves it already.
        """
        if self._host.foreign:
            raise RuntimeError(f"{self!r} is served by {self._host!r} already, and can have no other host")
        own = self._host
        self._set_host(make_host(self))
        self._own = own
        own.quit()

    def use_own(self) -> None:
        """Undo use(): be served by our own loop again; while running, too. An attached reactor is stopped before.

        Raises RuntimeError if there was no use().
        """
        if self._own is None:
            raise RuntimeError(f"{self!r} has no other loop than that of {self._host!r}")
        self.host_ended()
        other, own, self._own = self._host, self._own, None
        self._set_host(own)
        other.quit()

    def host_ended(self) -> None:
        """For a host: the loop that serves an attached reactor ends, so the reactor is stopped, before this returns."""
        if self._attached is None:
            return
        try:
            self._finish()
        except BaseException as error:
            self._detach(error)

    def _run_host(self) -> None:
        if not self._host.foreign:
            self._host.run()
            return
        host = self._host
        with self._attended(self._serve):
            host.run()
        escaped, self._escaped = self._escaped, None
        if escaped is not None:
            raise escaped
        if host is self._host:
            self._finish()

    def _serve(self) -> None:
        """One turn, called by the host. What leaves it must not pass through a toolkit, which would end or abort."""
        try:
            self.tick()
        except BaseException as error:
            if self._attached is not None:
                self._detach(error)
            else:
                self._escaped = error
                self._host.quit()

    def _detach(self, error: BaseException) -> None:
        self.kit.report(error, "the reactor is detached from its host, because of this", self._host)
        self.crash()

    def _finish(self) -> None:
        """The host's loop has ended by itself: stop, and turn until that is done, but not for ever."""
        if self._phase in (Phase.STARTING, Phase.RUNNING):
            self.stop()
        limit = self.seconds() + _FINISHING
        while self._phase is not Phase.STOPPED and self.seconds() < limit:
            self.tick(limit - self.seconds())
        if self._phase is not Phase.STOPPED:
            self.kit.log(_WARNING, f"{self!r}: the shutdown is given up after {_FINISHING:.0f} seconds")
            self.crash()

    @contextmanager
    def _running_here(self, installSignalHandlers: bool, attached: bool = False) -> Iterator[None]:
        if self._phase is not Phase.STOPPED:
            raise self.kit.error.ReactorAlreadyRunning(f"{self!r} runs already")
        if installSignalHandlers:
            handling: Any = handle_signals(self.poller, STOPPING, self._stop_by_signal)
        elif self._host.foreign and not attached:
            handling = handle_signals(self.poller, [signal.SIGINT], self._interrupted)
        else:
            handling = nullcontext(nullcontext)   # nothing, and again
        self._phase = Phase.STARTING
        self.runs += 1
        self._thread = threading.get_ident()
        self.exitSignal = None
        try:
            with running_as(self), ExitStack() as entered:
                self._handle_signals = partial(entered.enter_context, handling)
                if self._host.foreign:   # its loop has signals of its own to handle, and begins before "startup"
                    self._handle_signals = self._handle_signals()
                yield
        finally:
            self._phase = Phase.STOPPED
            self._thread = None
            self._end_threads()

    def stop(self) -> None:
        """Fire "shutdown" at the next turn, close every connection, leave run(). Raises ReactorNotRunning."""
        if self._phase in (Phase.STOPPED, Phase.STOPPING):
            raise self.kit.error.ReactorNotRunning(f"{self!r} cannot be stopped: it is {self._phase.value}")
        self._phase = Phase.STOPPING
        self.callFromThread(self._if_same_run, self.runs, self._triggers.fire, "shutdown", self._shut_down)

    def has_work(self) -> bool:
        """Whether it has, or would have if it ran, something to do or to wait for."""
        return bool(
            self.transports
            or self._calls
            or self.getDelayedCalls()
            or self._descriptors.readers()
            or self._descriptors.writers()
            or self._triggers.waiting("startup")
            or self._pool is not None
        )

    def crash(self) -> None:
        """Leave run() at the end of this turn; nothing is fired, nothing is closed."""
        self._phase = Phase.STOPPED
        attached, self._attached = self._attached, None
        if attached is None:
            self._host.quit()
        else:
            attached.close()

    def iterate(self, delay: float = 0.0) -> None:
        """One turn by hand, waiting at most `delay` seconds for something to do."""
        self._host.step()
        self.tick(delay)

    def fireSystemEvent(self, eventType: str) -> None:
        """Fire the triggers of `eventType`; "shutdown" also stops a reactor that runs."""
        if eventType == "shutdown" and self._phase in (Phase.STARTING, Phase.RUNNING):
            self._phase = Phase.STOPPING
            self._triggers.fire("shutdown", self._shut_down)
        else:
            self._triggers.fire(eventType)

    def addSystemEventTrigger(
        self, phase: str, eventType: str, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Trigger:
        """Call `callable(*args, **kwargs)` when `eventType` fires; once.

        phase: "before" (a Deferred it returns delays the rest), "during" or "after". Returns what
        removeSystemEventTrigger takes. Raises ValueError for another phase.
        """
        return self._triggers.add(phase, eventType, callable, *args, **kwargs)

    def removeSystemEventTrigger(self, triggerID: Trigger) -> None:
        """Undo addSystemEventTrigger. Raises ValueError if it has fired or was removed, TypeError if it is none."""
        self._triggers.remove(triggerID)

    def callWhenRunning(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> Trigger | None:
        """Call `callable(*args, **kwargs)` now if the reactor runs, else after its next startup."""
        if self.running:
            callable(*args, **kwargs)
            return None
        return self.addSystemEventTrigger("after", "startup", callable, *args, **kwargs)

    def _start_up(self) -> None:
        self._triggers.fire("startup", partial(self._start, self.runs))

    def _start(self, run: int, then: Callable[[], None]) -> None:
        if run != self.runs or self._phase is Phase.STOPPED:   # left while a "before" trigger was waited for
            return
        self._handle_signals()
        if self._phase is Phase.STARTING:
            self._phase = Phase.RUNNING
        for pool in (self._pool, self._names):
            if pool is not None:
                pool.start()
        then()

    def _if_same_run(self, run: int, call: Callable[..., object], *args: Any) -> None:
        """What one run decided must not happen to the next, if this one was left in between."""
        if run == self.runs and self._phase is not Phase.STOPPED:
            call(*args)

    def _shut_down(self, then: Callable[[], None]) -> None:
        """End the threads while the loop still serves them, then every connection."""
        if self._phase is not Phase.STOPPING:   # left while a "before" trigger was waited for
            return

        def rest() -> None:
            self._disconnect_all()
            then()
            self.crash()

        self._end_threads(partial(self.callFromThread, self._if_same_run, self.runs, rest))

    def _end_threads(self, then: Callable[[], object] | None = None) -> None:
        """Let the threads finish what they have; `then` is called when those of the pool have ended."""
        pool, self._pool = self._pool, None
        names, self._names = self._names, None
        if names is not None:
            names.end()
        if pool is not None:
            pool.end(then)
        elif then is not None:
            then()

    def _disconnect_all(self) -> None:
        lost = self.kit.error.ConnectionLost("the reactor was stopped")
        for transport in list(self.transports):
            try:
                transport.drop(lost)
            except Exception as error:
                self.kit.report(error, "a transport failed", transport)
        for descriptor in self.removeAll():
            if descriptor in self.transports:   # on the stack: it ends when its callback returns
                continue
            try:
                descriptor.connectionLost(self.kit.failure(lost))
            except Exception as error:
                self.kit.report(error, "connectionLost failed", descriptor)
        self.flush()

    def _stop_by_signal(self, number: int) -> None:
        """In a signal handler. A second signal, while a shutdown takes its time, ends the reactor at once."""
        self.exitSignal = number
        self.callFromThread(self._if_same_run, self.runs, self._stop_or_crash)

    def _interrupted(self, number: int) -> None:
        """In the handler of SIGINT, where nobody else has one: KeyboardInterrupt, but not into a toolkit's C code."""
        self._escaped = KeyboardInterrupt()
        self._host.quit()

    def _stop_or_crash(self) -> None:
        if self._phase is Phase.STOPPING:
            self.crash()
        else:
            self.stop()

    # -- time: IReactorTime

    @property
    def seconds(self) -> Callable[[], float]:
        """seconds(): the time of the clock that callLater goes by; only differences mean something."""
        return self._timers.seconds

    @seconds.setter
    def seconds(self, clock: Callable[[], float]) -> None:
        self._timers.seconds = clock

    def getDelayedCalls(self) -> Sequence[DelayedCall]:
        """The delayed calls that are still to be made, the next one first."""
        return self._timers.pending()

    # -- threads: IReactorThreads, with callFromThread of the loop

    def callInThread(self, callable: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Call `callable(*args, **kwargs)` in a thread of the pool; what it raises is logged."""
        self.getThreadPool().callInThread(callable, *args, **kwargs)

    def getThreadPool(self) -> Any:
        """The reactor's pool of threads; it works while the reactor runs."""
        if self._pool is None:
            self._pool = self.make_pool(self._pool_size)
            if self.running:
                self._pool.start()
        return self._pool

    def make_pool(self, size: int) -> Any:
        """A pool of at most `size` threads, which the reactor starts and ends."""
        return ThreadPool(self.kit, 0, size, "reactor-thread")

    def suggestThreadPoolSize(self, size: int) -> None:
        """Let the pool have at most `size` threads."""
        self.getThreadPool().adjustPoolsize(0, size)
        self._pool_size = size

    def _in_names_thread(self, onResult: Callable[[bool, Any], object], call: Callable[..., Any], *args: Any) -> None:
        if self._names is None:
            self._names = ThreadPool(self.kit, 0, 10, "name-thread", daemon=True)
            if self.running:   # else later: a program may fork before it runs
                self._names.start()
        self._names.callInThreadWithCallback(onResult, call, *args)

    # -- names: IReactorPluggableNameResolver, IReactorPluggableResolver

    def resolve(self, name: str, timeout: Sequence[int] = (1, 3, 11, 45)) -> Any:
        """A Deferred of the IPv4 address of `name`, as text; DNSLookupError if there is none.

        timeout: seconds; their sum is the limit. A literal address is not looked up, '' is 0.0.0.0.
        """
        if name and literal_family(name) != socket.AF_INET:
            return self._simple_resolver.getHostByName(name, timeout)
        known = self.kit.deferred()
        known.callback(name or "0.0.0.0")
        return known

    def installResolver(self, resolver: Any) -> Any:
        """Resolve by `resolver`, an IResolverSimple; returns the one before."""
        before, self._simple_resolver = self._simple_resolver, resolver
        self.nameResolver = FromSimple(self, resolver)
        return before

    def installNameResolver(self, resolver: Any) -> Any:
        """Resolve by `resolver`, an IHostnameResolver; returns the one before."""
        before, self.nameResolver = self.nameResolver, resolver
        self._simple_resolver = FirstAddress(self, resolver)
        return before

    # -- descriptors: IReactorFDSet

    def addReader(self, reader: Any) -> None:
        """Call reader.doRead() while reader.fileno() is readable. Raises OSError if it cannot be watched."""
        self._descriptors.add_reader(reader)

    def addWriter(self, writer: Any) -> None:
        """Call writer.doWrite() while writer.fileno() is writable. Raises OSError if it cannot be watched."""
        self._descriptors.add_writer(writer)

    def removeReader(self, reader: Any) -> None:
        """Undo addReader; a reader that is not watched is ignored."""
        self._descriptors.remove_reader(reader)

    def removeWriter(self, writer: Any) -> None:
        """Undo addWriter; a writer that is not watched is ignored."""
        self._descriptors.remove_writer(writer)

    def removeAll(self) -> list[Any]:
        """Watch nothing any more; returns every reader, writer and transport that was watched."""
        watched = self._transports_watched_for(READ | WRITE)
        for transport in watched:
            transport.channel.want(0)
        return self._descriptors.remove_all() + watched

    def getReaders(self) -> list[Any]:
        """Every reader, and every transport that is being read."""
        return self._descriptors.readers() + self._transports_watched_for(READ)

    def getWriters(self) -> list[Any]:
        """Every writer, and every transport that waits to write."""
        return self._descriptors.writers() + self._transports_watched_for(WRITE)

    def _transports_watched_for(self, mask: int) -> list[Any]:
        poller = self.poller
        watched = [poller.handlers[fd] for fd, wanted in poller.masks.items() if wanted & mask]
        return [handler for handler in watched if handler in self.transports]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {self._phase.value}>"


_here = threading.local()
_reactors: weakref.WeakSet[Reactor] = weakref.WeakSet()


def running_here() -> Reactor | None:
    """The reactor that runs in this thread."""
    return getattr(_here, "reactor", None)


@contextmanager
def running_as(reactor: Any) -> Iterator[None]:
    """Let `reactor` be the one that runs in this thread, meanwhile."""
    outer, _here.reactor = running_here(), reactor
    try:
        yield
    finally:
        _here.reactor = outer


def _after_fork_in_child() -> None:
    """A poller's kernel objects are shared with the parent: an idle reactor gets new ones, one in use refuses."""
    for reactor in list(_reactors):
        poller = reactor._poller
        if poller is None:
            continue
        reactor.forget_poller()
        if poller.masks or reactor._phase is not Phase.STOPPED:
            poller.abandon()
            reactor._poller = poller
        else:
            poller.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
