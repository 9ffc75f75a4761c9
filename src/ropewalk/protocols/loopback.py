"""Loopback: two protocols joined until their connection is over, in memory, over TCP or over a UNIX socket.

For tests of protocols. The connection in memory has no limits: nothing is paused, and what one side writes the other
gets in the reactor's next turn; testing.connectedPair() has the real transports' behaviour instead.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from tempfile import TemporaryDirectory
from typing import Any

from ropewalk.internet.base import current
from ropewalk.internet.defer import Deferred, ensureDeferred
from ropewalk.internet.failure import Failure
from ropewalk.internet.main import CONNECTION_DONE
from ropewalk.internet.protocol import ClientFactory, Factory
from ropewalk.internet.task import deferLater
from ropewalk.protocols.wrapping import ProtocolWrapper, WrappingFactory

__all__ = ["collapsingPumpPolicy", "identityPumpPolicy", "loopbackAsync", "loopbackTCP", "loopbackUNIX"]

_LOCALHOST = "127.0.0.1"


# -- in memory


class LoopbackQueue:
    """What one side has written and the other has not got yet, as a pump policy sees it. True if there is anything."""

    def __init__(self, written: Callable[[], object]) -> None:
        self._chunks: deque[bytes | None] = deque()
        self._written = written

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def get(self) -> bytes | None:
        """The next piece; None where the side closed the connection. Raises IndexError if there is nothing."""
        return self._chunks.popleft()

    def put(self, chunk: bytes | None) -> None:
        self._chunks.append(chunk)
        self._written()


PumpPolicy = Callable[[LoopbackQueue, Any], object]


def identityPumpPolicy(queue: LoopbackQueue, target: Any) -> None:
    """Give the protocol `target` each piece as it was written. Twisted's."""
    while queue:
        chunk = queue.get()
        if chunk is None:
            return
        target.dataReceived(chunk)


def collapsingPumpPolicy(queue: LoopbackQueue, target: Any) -> None:
    """Give the protocol `target` all that was written as one piece. Twisted's."""
    chunks: list[bytes] = []
    while queue:
        chunk = queue.get()
        if chunk is None:
            break
        chunks.append(chunk)
    if chunks:
        target.dataReceived(b"".join(chunks))


def loopbackAsync(server: Any, client: Any, pumpPolicy: PumpPolicy = identityPumpPolicy) -> Deferred[None]:
    """Connect two protocols in memory; a Deferred of None, which fires when one has closed and both know.

    pumpPolicy: called as pumpPolicy(queue, protocol) when something was written for `protocol`; it empties the queue.
    What is written at once, in connectionMade(), is delivered at once, all else in the next turn of the reactor, which
    is the one that runs in this thread, else the installed one. Whoever closes, with loseConnection() or
    abortConnection(), has what it wrote before delivered; both sides lose the connection by a ConnectionDone. The
    Deferred fails with what a protocol raises; cancelling it ends the deliveries. Twisted's loopbackAsync.
    """
    bell = _Bell()
    to_client = _Direction(client, pumpPolicy, bell)
    to_server = _Direction(server, pumpPolicy, bell)
    server.makeConnection(to_client.transport)
    client.makeConnection(to_server.transport)
    return ensureDeferred(_converse(to_client, to_server, bell))


async def _converse(to_client: _Direction, to_server: _Direction, bell: _Bell) -> None:
    directions = (to_client, to_server)
    while True:
        delivered = [direction.deliver() for direction in directions]
        closed = [direction for direction in directions if direction.transport.disconnecting]
        if closed:
            closed[0].deliver()   # it may have written and closed just now
            break
        if not any(delivered):
            await bell.rung()
            await deferLater(current(), 0)   # no transport enters dataReceived() within a write()
    to_server.target.connectionLost(Failure(CONNECTION_DONE))
    to_client.target.connectionLost(Failure(CONNECTION_DONE))


class _Bell:
    """Rings when a side writes."""

    def __init__(self) -> None:
        self._waiting: Deferred[None] | None = None

    def rung(self) -> Deferred[None]:
        self._waiting = Deferred()
        return self._waiting

    def ring(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.called:   # it was cancelled
            waiting.callback(None)


class _Direction:
    """From the transport of one side to the protocol `target` of the other."""

    def __init__(self, target: Any, policy: PumpPolicy, bell: _Bell) -> None:
        self.target = target
        self._policy = policy
        self._queue = LoopbackQueue(bell.ring)
        self.transport = LoopbackTransport(self._queue)

    def deliver(self) -> bool:
        """Have the policy deliver what was written. Returns whether there was anything."""
        if not self._queue:
            return False
        self._policy(self._queue, self.target)
        if not self._queue:
            self.transport.ask_producer()
        return True


class LoopbackAddress:
    """Where a connection in memory leads. Twisted's IAddress."""


class LoopbackTransport:
    """The transport of one side of a connection in memory. Twisted's ITransport and IConsumer.

    disconnecting: whether this side closed the connection; producer: what is registered, or None.
    """

    def __init__(self, queue: LoopbackQueue) -> None:
        self._queue = queue
        self._streaming = False
        self.disconnecting = False
        self.producer: Any = None

    def write(self, data: bytes) -> None:
        """Send `data`, a bytes-like object; after loseConnection() it is dropped. Raises TypeError for another."""
        chunk = bytes(memoryview(data))
        if not self.disconnecting:
            self._queue.put(chunk)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send the pieces of `iovec` as one."""
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        """Close when everything has been delivered."""
        if not self.disconnecting:
            self.disconnecting = True
            self._queue.put(None)

    def abortConnection(self) -> None:
        """The same."""
        self.loseConnection()

    def getPeer(self) -> LoopbackAddress:
        """An address that tells nothing."""
        return LoopbackAddress()

    def getHost(self) -> LoopbackAddress:
        """An address that tells nothing."""
        return LoopbackAddress()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Ask `producer` now, and whenever everything was delivered, unless it is a push producer (`streaming`).

        A push producer is never paused. Raises RuntimeError if there is one already.
        """
        if self.producer is not None:
            raise RuntimeError(f"{producer!r} cannot be registered with {self!r}: {self.producer!r} still is")
        self.producer = producer
        self._streaming = streaming
        self.ask_producer()

    def unregisterProducer(self) -> None:
        """There is no producer any more."""
        self.producer = None

    def ask_producer(self) -> None:
        if self.producer is not None and not self._streaming:
            self.producer.resumeProducing()


# -- over sockets


def loopbackTCP(server: Any, client: Any, port: int = 0, noisy: bool = True) -> Deferred[None]:
    """Connect two protocols over TCP on 127.0.0.1; a Deferred of None, which fires when both have lost the connection.

    port: where to listen meanwhile (0: any free one); noisy: that of the two factories. Raises CannotListenError. The
    Deferred fails if the connection does; cancelling it closes. The reactor is the one that runs in this thread, else
    the installed one. Twisted's loopbackTCP.
    """
    reactor = current()
    accepting, connecting = _Accepting(server, noisy), _Connecting(client, noisy)
    listening = reactor.listenTCP(port, accepting, interface=_LOCALHOST)
    reactor.connectTCP(_LOCALHOST, listening.getHost().port, connecting)
    return ensureDeferred(_until_over(listening, accepting, connecting))


def loopbackUNIX(server: Any, client: Any, noisy: bool = True) -> Deferred[None]:
    """Connect two protocols over a UNIX socket in a directory of its own; otherwise as loopbackTCP().

    Where there can be no such socket, the Deferred fails with the CannotListenError.
    """
    return ensureDeferred(_over_unix(_Accepting(server, noisy), _Connecting(client, noisy)))


async def _over_unix(accepting: _Accepting, connecting: _Connecting) -> None:
    reactor = current()
    with TemporaryDirectory(prefix="loopback-") as directory:
        path = os.path.join(directory, "socket")
        listening = reactor.listenUNIX(path, accepting)
        reactor.connectUNIX(path, connecting)
        await _until_over(listening, accepting, connecting)


async def _until_over(listening: Any, accepting: _Accepting, connecting: _Connecting) -> None:
    try:
        await connecting.over
        await accepting.over
    finally:
        connecting.connector.disconnect()
        await listening.stopListening()


class _TellingWhenLost(ProtocolWrapper):
    """Tells its factory when the connection is lost and the protocol knows."""

    def connectionLost(self, reason: Failure[Any]) -> None:
        try:
            super().connectionLost(reason)
        finally:
            self.factory.over.callback(None)


class _Accepting(WrappingFactory):
    """The server's side. over: fires when its connection is."""

    def __init__(self, server: Any, noisy: bool) -> None:
        super().__init__(Factory())
        self.noisy = self.wrappedFactory.noisy = noisy
        self.over: Deferred[None] = Deferred()
        self._server = server

    def buildProtocol(self, addr: Any) -> Any:
        server, self._server = self._server, None
        return None if server is None else _TellingWhenLost(self, server)


class _Connecting(ClientFactory):
    """The client's side. over: fires when its connection is, or fails if there is none."""

    def __init__(self, client: Any, noisy: bool) -> None:
        self.noisy = noisy
        self.over: Deferred[None] = Deferred()
        self.connector: Any = None
        self._client = client

    def startedConnecting(self, connector: Any) -> None:
        self.connector = connector

    def buildProtocol(self, addr: Any) -> Any:
        return self._client

    def clientConnectionFailed(self, connector: Any, reason: Failure[Any]) -> None:
        self.over.errback(reason)

    def clientConnectionLost(self, connector: Any, reason: Failure[Any]) -> None:
        self.over.callback(None)
