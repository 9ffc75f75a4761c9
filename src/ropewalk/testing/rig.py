"""The rig: a fresh reactor, and what a behaviour of the contract needs to drive it and to judge it.

It fails a behaviour that does not end, that logs an error nobody expected, or that leaves a transport or a
descriptor open, or a thread alive.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any

from ropewalk.internet.defer import Deferred, ensureDeferred

LIMIT = 20.0   # seconds that a behaviour may run
_THREAD_LIMIT = 5.0   # seconds that a thread may take to end
_LAST_LOOKS, _BETWEEN_LOOKS = 20, 0.05   # times, and seconds


class Rig:
    """Use it as a context manager.

    make_reactor: makes a reactor without installing it, such as epollreactor.EPollReactor.
    """

    def __init__(self, make_reactor: Callable[[], Any]) -> None:
        self.make_reactor = make_reactor
        self.reactor: Any = None
        self._errors = _Errors(self._assertion_failed)
        self._open_before: set[str] = set()
        self._threads_before: set[threading.Thread] = set()
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> Rig:
        importlib.import_module("ropewalk.transports.process")   # what it opens once, on Windows, is no leak
        gc.collect()
        self._open_before = open_descriptors()
        self._threads_before = set(threading.enumerate())
        logging.getLogger("ropewalk").addHandler(self._errors)
        self.reactor = self.make_reactor()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            left = list(self.reactor.transports)
            described = ", ".join(map(repr, left))
            for transport in left:
                transport.drop(ConnectionAbortedError("the behaviour is over"))
            self.reactor.flush()
            self._resources.close()
            alive = self._threads_left()
            self.reactor = None
            gc.collect()
        finally:
            logging.getLogger("ropewalk").removeHandler(self._errors)
        if error is not None:
            return
        assert not self._errors.caught, f"logged, and nobody expected it: {self._errors.caught!r}"
        assert not left, f"left open: {described}"
        leaked = self._leaked()
        assert not leaked, f"left open: {sorted(leaked)}"
        assert not alive, f"left alive: {alive!r}"

    def _leaked(self) -> set[str]:
        """What is open and was not before. The system may close what was a thread's a moment after join()."""
        over = threading.Event()
        for _ in range(_LAST_LOOKS):
            leaked = open_descriptors() - self._open_before
            if not leaked:
                break
            over.wait(_BETWEEN_LOOKS)
        return leaked

    def _threads_left(self) -> list[threading.Thread]:
        """The threads that would keep the interpreter from ending."""
        started = [thread for thread in threading.enumerate() if thread not in self._threads_before]
        left = [thread for thread in started if not thread.daemon]
        for thread in started:   # the frames of a daemon that is about to end keep the reactor, too
            thread.join(_THREAD_LIMIT)
        return [thread for thread in left if thread.is_alive()]

    def run(self, limit: float = LIMIT, **arguments: Any) -> None:
        """reactor.run(**arguments); an AssertionError if it has not come back after `limit` seconds.

        An assertion that fails in a callback ends the run and is raised here.
        """
        with self.time_limit(limit):
            self.reactor.run(**arguments)
        for error in self._errors.caught:
            if isinstance(error, AssertionError):
                raise error

    def _assertion_failed(self) -> None:
        self.reactor.callFromThread(self.reactor.crash)

    @contextlib.contextmanager
    def time_limit(self, limit: float = LIMIT) -> Iterator[None]:
        """Crash the reactor, and fail, if what is inside takes longer than `limit` seconds."""
        over = threading.Event()
        reactor = self.reactor

        def give_up() -> None:
            over.set()
            faulthandler.dump_traceback(sys.stderr if sys.__stderr__ is None else sys.__stderr__)
            reactor.callFromThread(reactor.crash)

        timer = threading.Timer(limit, give_up)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
        assert not over.is_set(), f"still running after {limit} seconds"

    def run_until(self, deferred: Any, limit: float = LIMIT) -> Any:
        """Run until `deferred` fires, then stop; its result, or its exception raised."""
        results: list[Any] = []

        def fired(result: Any) -> None:
            results.append(result)
            self.reactor.stop()

        self.reactor.callWhenRunning(deferred.addBoth, fired)
        self.run(limit)
        assert results, "the reactor stopped before the Deferred fired"
        if hasattr(results[0], "raiseException"):
            results[0].raiseException()
        return results[0]

    def play(self, scenario: Callable[[], Coroutine[Any, Any, Any]], limit: float = LIMIT) -> Any:
        """Run the coroutine function `scenario` in the running reactor, then stop; what it returns, or raises."""
        played: Deferred[Any] = Deferred()
        played.addCallback(lambda _: ensureDeferred(scenario()))
        self.reactor.callWhenRunning(played.callback, None)
        return self.run_until(played, limit)

    def in_run(self, call: Callable[[], object]) -> None:
        """Run, call `call` once running, then stop; what it raises is raised here."""
        raised: list[Exception] = []

        def once() -> None:
            try:
                call()
            except Exception as error:
                raised.append(error)
            self.reactor.stop()

        self.reactor.callWhenRunning(once)
        self.run()
        if raised:
            raise raised[0]

    def keep(self, resource: Any) -> Any:
        """Close `resource`, a context manager such as a socket, when the behaviour is over; returns it."""
        return self._resources.enter_context(resource)

    def socket_pair(self) -> tuple[socket.socket, socket.socket]:
        """Two connected sockets that do not block; closed when the behaviour is over."""
        pair = socket.socketpair()
        for one in pair:
            one.setblocking(False)
            self._resources.enter_context(one)
        return pair

    def socket_pair_at(self, number: int) -> tuple[socket.socket, socket.socket]:
        """As socket_pair(); the first one has the descriptor `number`, which must be free (POSIX only)."""
        made, peer = self.socket_pair()
        if made.fileno() == number:
            return made, peer
        if peer.fileno() == number:
            return peer, made
        placed = self._resources.enter_context(socket.socket(fileno=os.dup2(made.fileno(), number, inheritable=False)))
        made.close()
        placed.setblocking(False)
        return placed, peer

    def expect_errors(self, *kinds: type[BaseException]) -> list[BaseException]:
        """Take the errors that were logged; they must be of these classes, in this order."""
        caught = self.take_errors()
        assert [type(error) for error in caught] == list(kinds), f"logged: {caught!r}"
        return caught

    def take_errors(self) -> list[BaseException]:
        """Take the errors that were logged, whatever they are; a message without an exception is a RuntimeError."""
        caught, self._errors.caught = self._errors.caught, []
        return caught


@contextlib.contextmanager
def raises(*kinds: type[BaseException]) -> Iterator[list[BaseException]]:
    """An AssertionError unless what is inside raises one of `kinds`; yields a list that will hold what was raised."""
    raised: list[BaseException] = []
    try:
        yield raised
    except kinds as error:
        raised.append(error)
        return
    raise AssertionError(f"none of these was raised: {[kind.__name__ for kind in kinds]}")


class _Errors(logging.Handler):
    """Keeps the exceptions of what is logged as an error.

    Handlers after it get the traceback as text: its frames, in a record that is kept, would keep the reactor.
    """

    def __init__(self, assertion_failed: Callable[[], object]) -> None:
        super().__init__(logging.ERROR)
        self.caught: list[BaseException] = []
        self._assertion_failed = assertion_failed

    def emit(self, record: logging.LogRecord) -> None:
        error = None
        if record.exc_info:
            error = record.exc_info[1]
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        self.caught.append(error or RuntimeError(record.getMessage()))
        if isinstance(error, AssertionError):
            self._assertion_failed()


def open_descriptors() -> set[str]:
    """The descriptors that this process has open, where the system tells; on Windows its handles."""
    if sys.platform == "win32":
        from ropewalk.testing.handles import open_handles

        return open_handles()
    for folder in ("/proc/self/fd", "/dev/fd"):
        if os.path.isdir(folder):
            return {_described(folder, name) for name in os.listdir(folder)} - {""}
    return set()


def _described(folder: str, name: str) -> str:
    """What the descriptor `name` is; '' for the one that listed the others, and is closed by now."""
    try:
        os.fstat(int(name))
    except OSError:
        return ""
    with contextlib.suppress(OSError):
        return f"{name}: {os.readlink(os.path.join(folder, name))}"
    return name
