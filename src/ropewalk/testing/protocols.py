"""Protocols and a producer that keep what happens to them. Names and behaviour are those of Twisted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ropewalk.internet.defer import Deferred
from ropewalk.internet.failure import Failure
from ropewalk.internet.protocol import Protocol
from ropewalk.internet.task import LoopingCall


class AccumulatingProtocol(Protocol):
    """A protocol that keeps what it receives.

    made, closed: 1 once connectionMade, connectionLost was called; data: all bytes received; closedReason: the Failure
    of connectionLost; closedDeferred: a Deferred that a test may set, fired with None by connectionLost. If its factory
    has a Deferred `protocolConnectionMade`, connectionMade takes it away and fires it with the protocol.
    """

    made = 0
    closed = 0
    data = b""
    closedReason: Failure[Any] | None = None
    closedDeferred: Deferred[None] | None = None

    def connectionMade(self) -> None:
        self.made = 1
        waiting = getattr(self.factory, "protocolConnectionMade", None)
        if waiting is not None:
            self.factory.protocolConnectionMade = None
            waiting.callback(self)

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure[Any] | None = None) -> None:
        self.closed = 1
        self.closedReason = reason
        waiting, self.closedDeferred = self.closedDeferred, None
        if waiting is not None:
            waiting.callback(None)


class NonStreamingProducer:
    """A pull producer that writes the digits from 0 to 9, one each time it is asked, then unregisters itself.

    consumer: what it writes to; it is None when the producer has ended. counter: how many digits it has written.
    stopped: whether stopProducing() was called. result: a Deferred that fires with None at the end.
    """

    def __init__(self, consumer: Any) -> None:
        self.consumer = consumer
        self.counter = 0
        self.stopped = False
        self.result: Deferred[None] = Deferred()

    def resumeProducing(self) -> None:
        """Write the next digit. Raises RuntimeError after the end."""
        if self.consumer is None:
            raise RuntimeError("this producer has ended, and must not be resumed")
        self.consumer.write(b"%d" % self.counter)
        self.counter += 1
        if self.counter == 10:
            self.consumer.unregisterProducer()
            self._end()

    def pauseProducing(self) -> None:
        """Raises RuntimeError: a pull producer is never paused."""
        raise RuntimeError("a pull producer must not be paused")

    def stopProducing(self) -> None:
        """End."""
        self.stopped = True
        self._end()

    def _end(self) -> None:
        self.consumer = None
        self.result.callback(None)


def waitUntilAllDisconnected(reactor: Any, protocols: Iterable[Any]) -> Deferred[Any]:
    """A Deferred that fires when the transports of all `protocols` are not connected any more.

    reactor: tells the time; it looks every hundredth of a second.
    """
    waiting = list(protocols)

    def look() -> None:
        if not any(protocol.transport.connected for protocol in waiting):
            looking.stop()

    looking = LoopingCall(look)
    looking.clock = reactor
    return looking.start(0.01)
