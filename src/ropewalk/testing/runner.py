"""The runner: one test's reactor, run until what the test waits for is there; at the end it judges what was left.

The pytest plugin has one for each test that uses a reactor; it serves other test frameworks as well.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ropewalk.internet.defer import Deferred, ensureDeferred
from ropewalk.internet.failure import Failure
from ropewalk.testing.rig import Rig

T = TypeVar("T")

TIMEOUT = 20.0   # seconds
_GRACE = 0.5   # seconds in which connections that are being closed may end
_PAUSE = 0.005   # seconds between two looks at them
_MARGIN = 10.0   # seconds after which a reactor that does not come back is given up


class Runner:
    """Runs a reactor for one test. make_reactor: makes it, without installing it.

        runner = Runner(EPollReactor)
        with runner.test():
            assert runner.run_until(deferred) == 3

    reactor: the reactor, from the beginning of test() to its end; it stays as it is between two runs.
    """

    def __init__(self, make_reactor: Callable[[], Any]) -> None:
        self._rig = Rig(make_reactor)
        self.reactor: Any = None
        self.failed = False
        """Whether the test has failed: set, nothing more is asked of it."""

    @contextmanager
    def test(self) -> Iterator[Runner]:
        """The time of the test. At its end the reactor is shut down.

        Raises AssertionError, unless the test has failed anyway, if it left a connection or a port open, a descriptor,
        a thread, or logged an error that expect_errors() did not take.
        """
        rig = self._rig.__enter__()
        self.reactor = rig.reactor
        failure: BaseException | None = None
        try:
            yield self
            self._shut_down()
        except BaseException as error:
            failure = error
            raise
        finally:
            self._close_reactor()
            if self.failed and failure is None:
                failure = AssertionError("the test failed")
            rig.__exit__(type(failure) if failure else None, failure, None)

    def run_until(self, awaited: Deferred[T] | Coroutine[Any, Any, T], timeout: float = TIMEOUT) -> T:
        """Run the reactor until `awaited` has its result, and return it, or raise its error.

        awaited: a Deferred, or a coroutine, which begins in the running reactor; timeout: seconds, after which it is
        cancelled. Raises AssertionError if it was, or if the reactor was stopped before; an assertion that fails in a
        callback is raised here, too. TypeError for anything else, RuntimeError in a reactor that runs already.
        """
        __tracebackhide__ = True   # pytest then shows the test's line
        if not (inspect.iscoroutine(awaited) or isinstance(awaited, Deferred)):
            raise TypeError(f"run_until() waits for a Deferred or a coroutine, not for {awaited!r}")
        if self.reactor.running:
            if inspect.iscoroutine(awaited):
                awaited.close()
            raise RuntimeError("run_until() is for the test, outside the reactor; what runs inside it can await")
        waiting = _Waiting(self.reactor, awaited, timeout)
        self.reactor.callWhenRunning(waiting.begin)
        self._rig.run(timeout + _MARGIN, installSignalHandlers=False)
        return waiting.result()  # type: ignore[no-any-return]

    def expect_errors(self, *kinds: type[BaseException]) -> list[BaseException]:
        """Take the errors that were logged. Raises AssertionError unless they are of these classes, in this order."""
        return self._rig.expect_errors(*kinds)

    def _shut_down(self) -> None:
        """Stop the reactor, once the connections that are being closed had a moment to end."""
        reactor = self.reactor
        left: list[str] = []
        until = reactor.seconds() + _GRACE

        def look() -> None:
            if reactor.transports and reactor.seconds() < until and not self.failed:
                reactor.callLater(_PAUSE, look)
                return
            left.extend(sorted(map(repr, reactor.transports)))
            reactor.stop()

        reactor.callWhenRunning(look)
        with contextlib.suppress(AssertionError) if self.failed else contextlib.nullcontext():
            self._rig.run(_MARGIN, installSignalHandlers=False)
            assert not left, f"left open: {', '.join(left)}"

    def _close_reactor(self) -> None:
        """The framework may still hold the reactor: it is not left to the garbage collector."""
        reactor, self.reactor = self.reactor, None
        for transport in list(reactor.transports):   # if the shutdown failed
            transport.drop(ConnectionAbortedError("the test is over"))
        reactor.flush()
        reactor.poller.close()
        reactor.forget_poller()


class _Waiting:
    """What run_until() waits for."""

    def __init__(self, reactor: Any, awaited: Any, timeout: float) -> None:
        self._reactor = reactor
        self._awaited = awaited
        self._timeout = timeout
        self._what = repr(awaited)
        self._timer: Any = None
        self._results: list[Any] = []
        self._timed_out = False

    def begin(self) -> None:
        self._timer = self._reactor.callLater(self._timeout, self._give_up)
        if inspect.iscoroutine(self._awaited):
            self._awaited = ensureDeferred(self._awaited)
        self._awaited.addBoth(self._fired)

    def _fired(self, result: Any) -> None:
        self._results.append(result)
        if self._timer.active():
            self._timer.cancel()
        self._reactor.crash()

    def _give_up(self) -> None:
        self._timed_out = True
        self._reactor.callLater(0, self._reactor.crash)
        self._awaited.cancel()

    def result(self) -> Any:
        __tracebackhide__ = True
        if self._timed_out:   # no assert: pytest would add what it found in this object
            raise AssertionError(f"there was no result after {self._timeout} seconds: {self._what}")
        if not self._results:
            raise AssertionError(f"the reactor was stopped before there was a result: {self._what}")
        result = self._results.pop()
        if isinstance(result, Failure):
            result.raiseException()
        return result
