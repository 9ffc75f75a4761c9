"""A service that keeps a connection: it connects, and connects again when that fails or is lost.

    NEW/STOPPED --start--> CONNECTING --up--> CONNECTED
                            ^      |down         |down
                            |      v             v
                            +--- WAITING <-------+         stop: --> CLOSING --> STOPPED, or CONNECTING if it was
                                                                    started again meanwhile

Names and behaviour are those of Twisted's ClientService. Beyond it: a connection that prepareConnection rejects is
aborted, one that is lost while that works counts as failed, and a stop waits for neither.
"""

from __future__ import annotations

import enum
import logging
import random
from collections.abc import Callable
from typing import Any

from ropewalk.application.service import Service
from ropewalk.internet.base import current
from ropewalk.internet.defer import CancelledError, Deferred, fail, maybeDeferred, succeed
from ropewalk.internet.failure import Failure

_log = logging.getLogger("ropewalk.application")
_ENOUGH = 100   # powers of the factor; further ones may be too large for a float


def backoffPolicy(
    initialDelay: float = 1.0,
    maxDelay: float = 60.0,
    factor: float = 1.5,
    jitter: Callable[[], float] = random.random,
) -> Callable[[int], float]:
    """A retry policy: delays that grow from try to try.

    The delay, in seconds, is initialDelay * factor ** failures, or maxDelay if that is less; jitter() is added to it,
    so that the clients of a server that was restarted do not come at once.
    """

    def delay(failures: int) -> float:
        try:
            grown = initialDelay * factor ** min(failures, _ENOUGH)
        except OverflowError:
            grown = maxDelay
        return min(grown, maxDelay) + jitter()

    return delay


class _State(enum.Enum):
    NEW = "was never started"
    CONNECTING = "is connecting"
    CONNECTED = "is connected"
    WAITING = "waits until it connects again"
    CLOSING = "closes its connection, or gives it up"
    STOPPED = "is stopped"


class ClientService(Service):
    """Keeps a connection to `endpoint` with a protocol of `factory`, as long as it runs.

    endpoint: an IStreamClientEndpoint; factory: builds a protocol for each connection.
    retryPolicy: takes the number of failures since the last connection, its loss included, and returns how many seconds
    to wait before the next attempt; None for backoffPolicy().
    clock: calls later; None for the reactor that runs in this thread, else the installed one.
    prepareConnection: called with each new protocol; may return a Deferred. Only then is the service connected; if it
    raises or fails, the connection is aborted, which counts as a failure.
    """

    def __init__(
        self,
        endpoint: Any,
        factory: Any,
        retryPolicy: Callable[[int], float] | None = None,
        clock: Any = None,
        prepareConnection: Callable[[Any], Any] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._factory = factory
        self._policy = backoffPolicy() if retryPolicy is None else retryPolicy
        self._clock = clock
        self._prepare = prepareConnection
        self._state = _State.NEW
        self._attempt: Any = None
        self._retry: Any = None
        self._failures = 0
        self._waiting: list[_Waiting] = []
        self._stopping: list[Deferred[None]] = []

    def whenConnected(self, failAfterFailures: int | None = None) -> Deferred[Any]:
        """A Deferred of the protocol that is connected, or of the next one that is.

        It fails with CancelledError if the service is stopped; and, given a number, with the error of the attempt after
        so many that failed.
        """
        if self._state is _State.CONNECTED:
            return succeed(self._attempt.protocol)
        if self._state is _State.STOPPED:
            return fail(CancelledError())
        waiting = _Waiting(failAfterFailures)
        self._waiting.append(waiting)
        return waiting.deferred

    def startService(self) -> None:
        """Connect; while an earlier connection is being closed, as soon as it is."""
        if self.running:
            _log.warning("%r is started already", self)
            return
        super().startService()
        if self._state in (_State.NEW, _State.STOPPED):
            self._connect()

    def stopService(self) -> Deferred[None]:
        """Connect no more, and close the connection. Returns a Deferred that fires when it is closed."""
        super().stopService()
        if self._state in (_State.NEW, _State.STOPPED):
            self._state = _State.STOPPED
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._stopping.append(stopped)
        before, self._state = self._state, _State.CLOSING
        if before is _State.WAITING:
            self._retry.cancel()
            self._closed()
        elif before is not _State.CLOSING:
            self._attempt.end()
        return stopped

    def _connect(self) -> None:
        self._state = _State.CONNECTING
        self._attempt = _Attempt(self._factory, self._prepare, self._up, self._down)
        self._attempt.begin(self._endpoint)

    def _up(self) -> None:
        self._state = _State.CONNECTED
        self._failures = 0
        protocol = self._attempt.protocol
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.deferred.callback(protocol)

    def _down(self, reason: Failure[Any]) -> None:
        before, self._attempt = self._state, None
        if before is _State.CLOSING:
            self._closed()
            return
        self._state = _State.WAITING
        self._failures += 1
        delay = self._policy(self._failures)
        _log.info("%r connects again in %.3g seconds: %s", self, delay, reason.value)
        clock = current() if self._clock is None else self._clock
        self._retry = clock.callLater(delay, self._connect)
        if before is _State.CONNECTING:
            self._tell_of_failure(reason)

    def _tell_of_failure(self, reason: Failure[Any]) -> None:
        waiting, self._waiting = self._waiting, []
        tired = [one for one in waiting if one.is_tired()]
        self._waiting = [one for one in waiting if one not in tired]
        for one in tired:
            one.deferred.errback(reason)

    def _closed(self) -> None:
        stopping, self._stopping = self._stopping, []
        if self.running:
            self._connect()
        else:
            self._state = _State.STOPPED
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.deferred.errback(CancelledError())
        for stopped in stopping:
            stopped.callback(None)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or self._endpoint!r}: {self._state.value}>"


class _Waiting:
    """Somebody who asked for the connection. patience: the failures they accept; None: any number."""

    def __init__(self, patience: int | None) -> None:
        self.deferred: Deferred[Any] = Deferred()
        self._patience = patience

    def is_tired(self) -> bool:
        """Count a failure; whether that was one too many."""
        if self._patience is None:
            return False
        self._patience -= 1
        return self._patience <= 0


class _Stage(enum.Enum):
    CONNECTING = "the endpoint is at work"
    PREPARING = "prepareConnection is at work"
    UP = "connected and prepared"
    REFUSED = "connected, not wanted, and being closed"
    OVER = "not connected any more"


class _Attempt:
    """One connection, from the attempt to its end; for the endpoint it is the factory, and has all that one has.

    up: called once it is connected and prepared; down: called with a Failure, last. protocol: the program's.
    """

    def __init__(
        self,
        factory: Any,
        prepare: Callable[[Any], Any] | None,
        up: Callable[[], None],
        down: Callable[[Failure[Any]], None],
    ) -> None:
        self.protocol: Any = None
        self._factory = factory
        self._prepare = prepare
        self._up = up
        self._down = down
        self._stage = _Stage.CONNECTING
        self._transport: Any = None   # while it is connected
        self._reason: Any = None   # the first one for which it is not, or has not to be
        self._pending: Deferred[Any] = Deferred()

    def begin(self, endpoint: Any) -> None:
        """Connect, and prepare the connection."""
        self._pending = maybeDeferred(endpoint.connect, self)
        self._pending.addCallback(self._connected).addCallback(self._prepared).addErrback(self._failed)

    def end(self) -> None:
        """Give it up, or close it."""
        if self._stage in (_Stage.CONNECTING, _Stage.PREPARING):
            self._reason = Failure(CancelledError())
            self._pending.cancel()
        elif self._stage is _Stage.UP:
            self._transport.loseConnection()

    def buildProtocol(self, addr: Any) -> _Watched | None:
        """The factory's protocol, watched; None if that builds none."""
        self.protocol = self._factory.buildProtocol(addr)
        return None if self.protocol is None else _Watched(self.protocol, self)

    def made(self, transport: Any) -> None:
        """The protocol is about to be told that it is connected."""
        self._transport = transport

    def lost(self, reason: Failure[Any]) -> None:
        """The protocol was told that it is not connected any more."""
        self._transport = None
        self._reason = self._reason or reason
        if self._stage is _Stage.PREPARING:
            self._pending.cancel()
        elif self._stage is not _Stage.CONNECTING:   # else the endpoint tells
            self._over()

    def _connected(self, _: object) -> Any:
        if self._reason is not None:
            return self._reason
        self._stage = _Stage.PREPARING
        return None if self._prepare is None else maybeDeferred(self._prepare, self.protocol)

    def _prepared(self, _: object) -> Any:
        if self._reason is not None:
            return self._reason
        self._stage = _Stage.UP
        self._up()
        return None

    def _failed(self, failure: Failure[Any]) -> None:
        is_given_up = self._reason is not None
        self._reason = self._reason or failure
        transport = self._transport
        if transport is None:
            self._over()
            return
        self._stage = _Stage.REFUSED
        if is_given_up:
            transport.loseConnection()
        else:   # a peer that does not read must not keep the next attempt from being made
            getattr(transport, "abortConnection", transport.loseConnection)()

    def _over(self) -> None:
        self._stage = _Stage.OVER
        self._down(self._reason)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)


class _Watched:
    """The program's protocol, whose attempt is told of its beginning and its end. The transport sees no difference."""

    def __init__(self, protocol: Any, attempt: _Attempt) -> None:
        self._protocol = protocol
        self._attempt = attempt

    def makeConnection(self, transport: Any) -> None:
        self._attempt.made(transport)
        self._protocol.makeConnection(transport)

    def connectionLost(self, reason: Failure[Any]) -> None:
        try:
            self._protocol.connectionLost(reason)
        finally:
            self._attempt.lost(reason)

    def dataReceived(self, data: bytes) -> None:
        self._protocol.dataReceived(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)

    def __repr__(self) -> str:
        return repr(self._protocol)
