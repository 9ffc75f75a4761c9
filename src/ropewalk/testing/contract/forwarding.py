"""Port forwarding: bytes, ends and resets pass through, and neither side can drown the other."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from ropewalk.internet.defer import Deferred
from ropewalk.internet.error import ConnectionDone, ConnectionLost
from ropewalk.internet.protocol import ClientCreator, Factory, Protocol
from ropewalk.protocols.portforward import Forwarder, ProxyFactory
from ropewalk.testing.contract import behaviour
from ropewalk.testing.features import needs
from ropewalk.testing.rig import Rig

_MEGABYTE = random.Random(1).randbytes(1_000_000)
_MUCH = 32 * len(_MEGABYTE)   # more than all the buffers between two ends hold


class _End(Protocol):
    """One end of a forwarded connection: keeps what comes, and tells when it ends."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.input_ended: Deferred[None] = Deferred()
        self.lost: Deferred[BaseException] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def readConnectionLost(self) -> None:
        self.input_ended.callback(None)

    def writeConnectionLost(self) -> None:
        """Its own doing."""

    def connectionLost(self, reason: Any) -> None:
        self.lost.callback(reason.value)


class _Kept(Factory):
    """Hands out one protocol, made before."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: Any) -> Any:
        return self._protocol


def _listen(reactor: Any, factory: Any) -> int:
    port: int = reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port
    return port


class _Line:
    """A client, a forwarder and a destination, connected: client -> server | onward -> destination."""

    client: _End
    destination: _End
    server: Any

    @classmethod
    async def connected(cls, reactor: Any) -> _Line:
        line = cls()
        line.destination = _End()
        forwarder = ProxyFactory("127.0.0.1", _listen(reactor, _Kept(line.destination)))
        line.server = forwarder.buildProtocol(None)
        port = _listen(reactor, _Kept(line.server))
        line.client = await ClientCreator(reactor, _End).connectTCP("127.0.0.1", port)
        await _until(reactor, lambda: line.server.peer is not None)
        return line


def _until(reactor: Any, condition: Callable[[], bool]) -> Deferred[None]:
    """Fires when `condition()` holds."""
    holds: Deferred[None] = Deferred()

    def look() -> None:
        if condition():
            holds.callback(None)
        else:
            reactor.callLater(0.001, look)

    look()
    return holds


def _run(rig: Rig, scenario: Coroutine[Any, Any, None]) -> None:
    rig.run_until(Deferred.fromCoroutine(scenario))


@behaviour
def a_forwarder_passes_on_what_each_side_sends_and_the_end_of_each_by_itself(rig: Rig) -> None:
    async def scenario() -> None:
        line = await _Line.connected(rig.reactor)
        line.client.transport.write(_MEGABYTE)
        line.client.transport.loseWriteConnection()
        await line.destination.input_ended
        assert line.destination.received == _MEGABYTE
        line.destination.transport.write(_MEGABYTE[::-1])
        line.destination.transport.loseConnection()
        assert isinstance(await line.client.lost, ConnectionDone)
        assert line.client.received == _MEGABYTE[::-1]

    _run(rig, scenario())


@behaviour
def a_forwarder_passes_on_the_end_of_the_destinations_output_too(rig: Rig) -> None:
    async def scenario() -> None:
        line = await _Line.connected(rig.reactor)
        line.destination.transport.write(b"greeting")
        line.destination.transport.loseWriteConnection()
        await line.client.input_ended
        assert line.client.received == b"greeting"
        line.client.transport.write(b"answer")
        line.client.transport.loseConnection()
        assert isinstance(await line.destination.lost, ConnectionDone)
        assert line.destination.received == b"answer"

    _run(rig, scenario())


@behaviour
def a_forwarder_does_not_hold_back_small_pieces(rig: Rig) -> None:
    async def scenario() -> None:
        line = await _Line.connected(rig.reactor)
        assert line.server.transport.getTcpNoDelay()
        assert line.server.peer.transport.getTcpNoDelay()

    _run(rig, scenario())


@behaviour
@needs("resets")
def a_forwarder_passes_on_a_reset_of_the_client(rig: Rig) -> None:
    async def scenario() -> None:
        line = await _Line.connected(rig.reactor)
        line.client.transport.abortConnection()
        assert isinstance(await line.destination.lost, ConnectionLost)
        assert not line.destination.input_ended.called

    _run(rig, scenario())


@behaviour
@needs("resets")
def a_forwarder_passes_on_a_reset_of_the_destination(rig: Rig) -> None:
    async def scenario() -> None:
        line = await _Line.connected(rig.reactor)
        line.destination.transport.abortConnection()
        assert isinstance(await line.client.lost, ConnectionLost)
        assert not line.client.input_ended.called

    _run(rig, scenario())


@behaviour
def a_forwarder_stops_reading_from_a_side_that_sends_more_than_the_other_takes(rig: Rig) -> None:
    async def scenario() -> None:
        line = await _Line.connected(rig.reactor)
        line.destination.transport.pauseProducing()
        sender = _Sender(line.client.transport)
        await _until(rig.reactor, lambda: line.server.transport not in rig.reactor.getReaders())
        assert sender.left > 0, "all of it was taken in"
        line.destination.transport.resumeProducing()
        await line.destination.input_ended
        assert line.destination.received == _MEGABYTE * (_MUCH // len(_MEGABYTE))

    _run(rig, scenario())


class _Sender:
    """A pull producer that writes a lot, then ends its side."""

    def __init__(self, transport: Any) -> None:
        self.left = _MUCH
        self._transport = transport
        transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        self._transport.write(_MEGABYTE)
        self.left -= len(_MEGABYTE)
        if not self.left:
            self._transport.unregisterProducer()
            self._transport.loseWriteConnection()

    def stopProducing(self) -> None:
        self.left = 0


@behaviour
def a_forwarder_stops_reading_from_the_destination_too_and_loses_nothing_when_that_closes(rig: Rig) -> None:
    async def scenario() -> None:
        line = await _Line.connected(rig.reactor)
        line.client.transport.pauseProducing()
        sender = _Sender(line.destination.transport)
        await _until(rig.reactor, lambda: line.server.peer.transport not in rig.reactor.getReaders())
        assert sender.left > 0, "all of it was taken in"
        line.client.transport.resumeProducing()
        await line.client.input_ended
        assert line.client.received == _MEGABYTE * (_MUCH // len(_MEGABYTE))

    _run(rig, scenario())


@behaviour
def a_forwarder_that_closes_one_side_closes_the_other(rig: Rig) -> None:
    async def scenario() -> None:
        line = await _Line.connected(rig.reactor)
        line.server.transport.loseConnection()
        await line.client.input_ended
        await line.destination.input_ended

    _run(rig, scenario())


@behaviour
def a_forwarder_reads_nothing_before_the_destination_is_connected(rig: Rig) -> None:
    asked: Deferred[Any] = Deferred()
    answer: Deferred[Any] = Deferred()

    class Slow:
        """An endpoint that connects when the test wants it."""

        def connect(self, factory: Any) -> Deferred[Any]:
            asked.callback(factory)
            return answer

    async def scenario() -> None:
        destination = _End()
        server = Forwarder(Slow()).buildProtocol(None)
        port = _listen(rig.reactor, _Kept(server))
        client = await ClientCreator(rig.reactor, _End).connectTCP("127.0.0.1", port)
        client.transport.write(b"early")
        factory = await asked
        for _ in range(3):   # turns, in which it could be read
            await _until(rig.reactor, iter([False, True]).__next__)
        rig.reactor.connectTCP("127.0.0.1", _listen(rig.reactor, _Kept(destination)), factory)
        await _until(rig.reactor, lambda: destination.received == b"early")

    _run(rig, scenario())


@behaviour
@needs("resets")
def a_forwarder_resets_a_client_whose_destination_refuses(rig: Rig) -> None:
    async def scenario() -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            port = _listen(rig.reactor, ProxyFactory("127.0.0.1", nobody.getsockname()[1]))
            client = await ClientCreator(rig.reactor, _End).connectTCP("127.0.0.1", port)
            assert isinstance(await client.lost, ConnectionLost)

    _run(rig, scenario())


@behaviour
@needs("resets")
def a_forwarder_gives_up_the_destination_of_a_connection_that_is_over(rig: Rig) -> None:
    given_up: list[object] = []

    class Silent:
        """An endpoint that never answers."""

        def connect(self, factory: Any) -> Deferred[Any]:
            rig.reactor.callLater(0, server.transport.abortConnection)
            return Deferred(given_up.append)

    async def scenario() -> None:
        port = _listen(rig.reactor, _Kept(server))
        client = await ClientCreator(rig.reactor, _End).connectTCP("127.0.0.1", port)
        await client.lost

    server = Forwarder(Silent()).buildProtocol(None)
    _run(rig, scenario())
    assert len(given_up) == 1
