"""Connected pairs: what the pump moves, what the two sides see, and that it is what real sockets show."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import ConnectionAborted, ConnectionDone, ConnectionLost
from ropewalk.internet.defer import Deferred, ensureDeferred
from ropewalk.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from ropewalk.internet.protocol import Factory, Protocol
from ropewalk.internet.task import deferLater
from ropewalk.testing import AccumulatingProtocol, MemoryReactorClock, connectedPair
from ropewalk.transports.stream import BUFFER_SIZE
from ropewalk.transports.tcp import Client, Server


class Noting(Protocol):
    """Keeps what it is told, data joined."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.data = bytearray()
        self.reason: Any = None

    def connectionMade(self) -> None:
        self.events.append("made")

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any) -> None:
        self.reason = reason.value
        self.events.append(type(reason.value).__name__)


class Half(Noting):
    """Knows half-closed connections."""

    def readConnectionLost(self) -> None:
        self.events.append("read lost")

    def writeConnectionLost(self) -> None:
        self.events.append("write lost")


class Echo(Noting):
    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.transport.write(data)


class Producer:
    """A push producer that writes a block whenever it may."""

    block = b"." * 10_000

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.events: list[str] = []
        transport.registerProducer(self, True)

    def pauseProducing(self) -> None:
        self.events.append("pause")

    def resumeProducing(self) -> None:
        self.events.append("resume")

    def stopProducing(self) -> None:
        self.events.append("stop")


# -- the pump


def test_what_is_sent_arrives_at_the_next_step_and_its_answer_at_the_one_after() -> None:
    client, server, pump = connectedPair(Noting(), Echo())
    client.transport.write(b"ping")
    assert server.data == b""
    assert pump.pump()
    assert (server.data, client.data) == (b"ping", b"")
    assert pump.pump()
    assert client.data == b"ping"
    assert not pump.pump()
    assert (pump.clientSent, pump.serverSent) == (b"ping", b"ping")


def test_all_that_is_written_before_a_step_arrives_in_it() -> None:
    client, server, pump = connectedPair(Noting(), Noting())
    for piece in (b"a", b"b", b"c"):
        client.transport.write(piece)
    pump.pump()
    assert server.data == b"abc"


def test_bytes_arrive_one_by_one_if_the_test_wants_that() -> None:
    client, server, pump = connectedPair(Noting(), Noting(), piece=1)
    client.transport.write(b"abc")
    seen = []
    while pump.pump():
        seen.append(bytes(server.data))
    assert seen == [b"a", b"ab", b"abc"]
    pump.wire.piece = None
    client.transport.write(b"def")
    pump.pump()
    assert server.data == b"abcdef"


def test_each_side_is_made_of_a_protocol_a_class_or_a_factory() -> None:
    made: list[Any] = []

    class Building(Factory):
        def buildProtocol(self, addr: Any) -> Any:
            made.append(addr)
            return Noting()

    for source in (Noting(), Noting, lambda: Noting(), Factory.forProtocol(Noting), Building()):
        client, server, _ = connectedPair(Noting, source)
        assert client.events == server.events == ["made"]
    assert made == [server.transport.getPeer()]


def test_a_side_that_makes_no_protocol_is_an_error_that_says_what_does() -> None:
    with pytest.raises(TypeError, match=r"a side is a protocol, .* or a factory, which 3 is not"):
        connectedPair(Noting, 3)


def test_a_factory_that_refuses_closes_the_connection() -> None:
    class Refusing(Factory):
        def buildProtocol(self, addr: Any) -> None:
            return None

    client, server, pump = connectedPair(Noting(), Refusing())
    pump.flush()
    assert server is None
    assert client.events == ["made", "ConnectionDone"]
    client, server, pump = connectedPair(Refusing(), Noting())
    pump.flush()
    assert client is None
    assert server.events == ["made", "ConnectionDone"]


def test_the_transports_are_those_of_tcp_with_addresses_that_fit() -> None:
    client, server, _ = connectedPair(Noting(), Noting())
    assert isinstance(client.transport, Client)
    assert isinstance(server.transport, Server)
    assert client.transport.getPeer() == server.transport.getHost()
    assert server.transport.getPeer() == client.transport.getHost() != client.transport.getPeer()
    client.transport.setTcpNoDelay(True)
    assert (client.transport.getTcpNoDelay(), server.transport.getTcpNoDelay()) == (True, False)
    client.transport.setTcpKeepAlive(True)
    assert client.transport.getTcpKeepAlive()


def test_two_that_never_stop_talking_are_reported() -> None:
    client, _, pump = connectedPair(Echo(), Echo())
    client.transport.write(b"ball")
    with pytest.raises(AssertionError, match="still busy after 50 turns"):
        pump.flush(50)


def test_a_call_is_made_at_its_time_and_what_it_sends_has_arrived_before_the_next() -> None:
    client, server, pump = connectedPair(Noting(), Noting())
    seen: list[tuple[float, bytes]] = []
    call_later = client.transport.reactor.callLater
    call_later(1, client.transport.write, b"a")
    call_later(2, lambda: seen.append((pump.clock.seconds(), bytes(server.data))))
    call_later(4, seen.append, (0, b"too late"))
    pump.advance(3)
    assert seen == [(2, b"a")]
    assert pump.clock.seconds() == 3


def test_pairs_on_one_reactor_share_its_time() -> None:
    reactor = MemoryReactorClock()
    first, second = (connectedPair(Noting(), Noting(), reactor=reactor) for _ in range(2))
    reactor.callLater(1, first.client.transport.write, b"1")
    reactor.callLater(1, second.client.transport.write, b"2")
    first.pump.advance(1)
    assert (first.server.data, second.server.data) == (b"1", b"2")
    assert second.client.transport.reactor is reactor


def test_an_assertion_in_a_protocol_fails_the_test() -> None:
    class Strict(Noting):
        def dataReceived(self, data: bytes) -> None:
            assert data == b"right"

    client, server, pump = connectedPair(Noting(), Strict())
    client.transport.write(b"wrong")
    with pytest.raises(AssertionError, match="right"):
        pump.flush()
    pump.flush()
    assert isinstance(server.reason, AssertionError)
    assert client.events == ["made", "ConnectionDone"]


def test_another_error_of_a_protocol_closes_its_connection(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Noting):
        def dataReceived(self, data: bytes) -> None:
            raise LookupError(data)

    client, server, pump = connectedPair(Noting(), Broken())
    client.transport.write(b"x")
    pump.flush()
    assert isinstance(server.reason, LookupError)
    assert client.events == ["made", "ConnectionDone"]
    assert "dataReceived failed" in caplog.text


def test_nothing_is_left_of_a_connection_that_is_over() -> None:
    reactor = MemoryReactorClock()
    client, _, pump = connectedPair(Noting(), Noting(), reactor=reactor)
    client.transport.loseConnection()
    pump.flush()
    assert (reactor.wires, reactor.channels, reactor.transports) == ([], [], set())


# -- what the two sides see


def test_a_peer_that_does_not_read_slows_the_producer_down() -> None:
    client, server, pump = connectedPair(Noting(), Noting(), capacity=20_000)
    producer = Producer(client.transport)
    server.transport.pauseProducing()
    written = 0
    while "pause" not in producer.events:
        client.transport.write(producer.block)
        written += len(producer.block)
        pump.pump()
    assert len(pump.clientSent) == 20_000
    assert BUFFER_SIZE < written - 20_000 <= BUFFER_SIZE + 2 * len(producer.block)
    assert server.data == b""
    server.transport.resumeProducing()
    pump.flush()
    assert producer.events == ["pause", "resume"]
    assert len(server.data) == written


def test_a_network_that_breaks_is_noticed_on_both_sides() -> None:
    client, server, pump = connectedPair(Noting(), Noting())
    client.transport.write(b"lost")
    pump.cut()
    assert client.events == server.events == ["made"]
    pump.flush()
    assert client.events == server.events == ["made", "ConnectionLost"]
    assert client.reason.__cause__.errno == errno.ETIMEDOUT
    assert server.data == b""


def test_the_network_breaks_as_the_test_says() -> None:
    client, server, pump = connectedPair(Noting(), Noting())
    pump.cut(OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH)))
    pump.flush()
    assert client.reason.__cause__.errno == server.reason.__cause__.errno == errno.ENETUNREACH


def test_a_file_is_sent_in_order() -> None:
    client, server, pump = connectedPair(Noting(), Noting(), capacity=1000)
    sent: list[int] = []
    with tempfile.TemporaryFile() as file:
        file.write(b"0123456789" * 1000)
        file.flush()
        client.transport.write(b"<")
        client.transport.sendfile(file, 5, 6000).addCallback(sent.append)
        client.transport.write(b">")
        pump.flush()
    assert server.data == b"<" + (b"0123456789" * 1000)[5:6005] + b">"
    assert sent == [6000]


def test_a_protocol_that_takes_descriptors_can_be_connected_by_unix() -> None:
    class Taking(Noting):
        def fileDescriptorReceived(self, descriptor: int) -> None:
            self.events.append("descriptor")

    port = MemoryReactorClock().listenUNIX("/run/service", Factory.forProtocol(Taking))
    client, server, pump = port.connect(Noting())
    client.transport.write(b"data")
    pump.flush()
    assert server.data == b"data"
    client.transport.sendFileDescriptor(0)
    client.transport.write(b"with a descriptor")
    pump.flush()
    assert isinstance(client.reason, ConnectionLost)
    assert "descriptor" not in server.events


@given(
    pieces=st.lists(st.binary(max_size=300), max_size=20),
    piece=st.none() | st.integers(1, 50),
    capacity=st.integers(1, 400),
    steps=st.lists(st.integers(0, 3), min_size=20, max_size=20),
)
def test_whatever_is_written_arrives_whole_and_in_order_then_the_end(
    pieces: list[bytes], piece: int | None, capacity: int, steps: list[int]
) -> None:
    client, server, pump = connectedPair(Noting(), Echo(), piece=piece, capacity=capacity)
    for data, pumps in zip(pieces, steps, strict=False):
        client.transport.write(data)
        for _ in range(pumps):
            pump.pump()
    pump.flush()
    assert server.data == client.data == b"".join(pieces)
    client.transport.loseConnection()
    pump.flush()
    assert client.events == server.events == ["made", "ConnectionDone"]


# -- the same as with real sockets


Until = Callable[[Callable[[], bool]], Awaitable[Any]]
Scenario = Callable[[Any, Any, Until], Awaitable[None]]


async def one_closes(client: Any, server: Any, until: Until) -> None:
    client.transport.write(b"bye")
    client.transport.loseConnection()
    await until(lambda: "read lost" in server.events or server.reason is not None)
    server.transport.loseConnection()


async def one_aborts(client: Any, server: Any, until: Until) -> None:
    client.transport.abortConnection()


async def one_aborts_after_it_wrote(client: Any, server: Any, until: Until) -> None:
    client.transport.write(b"data")
    await until(lambda: server.data == b"data")
    server.transport.write(b"unread")
    server.transport.abortConnection()


async def both_close(client: Any, server: Any, until: Until) -> None:
    client.transport.loseConnection()
    server.transport.loseConnection()


async def one_closes_with_something_unread(client: Any, server: Any, until: Until) -> None:
    server.transport.pauseProducing()
    client.transport.write(b"unread")
    client.transport.write(b"more")
    server.transport.write(b"go")
    await until(lambda: client.data == b"go")
    server.transport.loseConnection()


async def one_side_ends_then_the_other(client: Any, server: Any, until: Until) -> None:
    client.transport.write(b"question")
    client.transport.loseWriteConnection()
    await until(lambda: "read lost" in server.events or server.reason is not None)
    server.transport.write(b"answer")
    server.transport.loseWriteConnection()


async def one_side_ends_and_the_other_aborts(client: Any, server: Any, until: Until) -> None:
    client.transport.loseWriteConnection()
    await until(lambda: "read lost" in server.events or server.reason is not None)
    server.transport.abortConnection()


async def one_goes_on_writing_to_a_peer_that_has_gone(client: Any, server: Any, until: Until) -> None:
    server.transport.loseConnection()
    await until(lambda: "read lost" in client.events or client.reason is not None)
    while client.reason is None:
        client.transport.write(b"x")
        await until(lambda: True)


SCENARIOS: list[Scenario] = [
    one_closes,
    one_aborts,
    one_aborts_after_it_wrote,
    both_close,
    one_closes_with_something_unread,
    one_side_ends_then_the_other,
    one_side_ends_and_the_other_aborts,
    one_goes_on_writing_to_a_peer_that_has_gone,
]


def in_memory(scenario: Scenario, kind: type[Noting]) -> tuple[Noting, Noting]:
    client, server, pump = connectedPair(kind, kind)

    async def until(condition: Callable[[], bool]) -> None:
        pump.flush()
        assert condition()

    ensureDeferred(scenario(client, server, until))  # type: ignore[arg-type]
    pump.flush()
    return client, server


@pytest.mark.parametrize("kind", [Noting, Half], ids=["plain", "half-closeable"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_memory_shows_what_real_sockets_show(
    scenario: Scenario, kind: type[Noting], reactor: Any, run_until: Any
) -> None:
    async def until(condition: Callable[[], bool]) -> None:
        await deferLater(reactor, 0)
        while not condition():
            await deferLater(reactor, 0)

    async def on_sockets() -> tuple[Noting, Noting]:
        accepted: Deferred[Noting] = Deferred()

        class Accepting(Factory):
            def buildProtocol(self, addr: Any) -> Noting:
                protocol = kind()
                reactor.callLater(0, accepted.callback, protocol)
                return protocol

        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Accepting())
        client = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port), kind())
        server = await accepted
        port.stopListening()
        await scenario(client, server, until)
        await until(lambda: client.reason is not None and server.reason is not None)
        return client, server

    expected = run_until(on_sockets())
    for real, fake in zip(expected, in_memory(scenario, kind), strict=True):
        assert (fake.events, fake.data) == (real.events, real.data)


def test_the_scenarios_end_in_different_ways() -> None:
    reasons = {type(end.reason) for scenario in SCENARIOS for end in in_memory(scenario, Half)}
    assert reasons == {ConnectionDone, ConnectionLost, ConnectionAborted}


def test_an_accumulating_protocol_makes_a_peer_to_play_by_hand() -> None:
    client, peer, pump = connectedPair(Echo(), AccumulatingProtocol())
    peer.transport.write(b"by hand")
    pump.flush()
    assert peer.data == b"by hand"
    assert client.data == b"by hand"
