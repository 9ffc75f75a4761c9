"""Connections behind a proxy: when the protocol is built, what it sees, and how bad headers end, in memory."""

from __future__ import annotations

from typing import Any

import pytest

from ropewalk.errors import ConnectionDone
from ropewalk.internet.address import IPv4Address
from ropewalk.internet.defer import Deferred, succeed
from ropewalk.internet.failure import Failure
from ropewalk.internet.protocol import Factory, Protocol
from ropewalk.internet.task import Clock
from ropewalk.protocols.haproxy import HAProxyWrappingFactory, proxyEndpoint
from ropewalk.protocols.policies import LimitConnectionsByPeer, TimeoutFactory, WrappingFactory
from ropewalk.testing.strings import StringTransport, StringTransportWithDisconnection

HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 443\r\n"
CLIENT, SERVER = IPv4Address("TCP", "192.0.2.1", 4000), IPv4Address("TCP", "192.0.2.2", 443)
PROXY, HERE = IPv4Address("TCP", "10.0.0.9", 50000), IPv4Address("TCP", "10.0.0.1", 80)


class Kept(Protocol):
    """Keeps what it is told, and the addresses that it sees then."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def connectionMade(self) -> None:
        self.events.append(("made", self.transport.getPeer(), self.transport.getHost()))

    def dataReceived(self, data: bytes) -> None:
        self.events.append(data)

    def connectionLost(self, reason: Failure[Any]) -> None:  # type: ignore[override]
        self.events.append(reason.type)


class Pausing(Kept):
    def connectionMade(self) -> None:
        self.events.append("made")
        self.transport.pauseProducing()


class Builds(Factory):
    """Keeps the addresses that it builds protocols for, and the protocols."""

    def __init__(self, protocol: Any = Kept) -> None:
        self.protocol = protocol
        self.addresses: list[Any] = []
        self.built: list[Any] = []

    def buildProtocol(self, addr: Any) -> Any:
        self.addresses.append(addr)
        self.built.append(super().buildProtocol(addr))
        return self.built[-1]


class Bench:
    """A connection from the proxy."""

    def __init__(self, factory: Any = None) -> None:
        self.clock = Clock()
        self.program: Any = Builds() if factory is None else factory
        self.factory = HAProxyWrappingFactory(self.program)
        self.factory.callLater = self.clock.callLater  # type: ignore[method-assign]
        self.transport = StringTransport(hostAddress=HERE, peerAddress=PROXY)
        self.wrapper = self.factory.buildProtocol(PROXY)
        self.wrapper.makeConnection(self.transport)

    def lose(self) -> None:
        self.wrapper.connectionLost(Failure(ConnectionDone()))


def test_the_protocol_is_built_and_connected_when_the_header_has_come() -> None:
    bench = Bench()
    for at in range(len(HEADER) - 1):
        bench.wrapper.dataReceived(HEADER[at : at + 1])
    assert bench.program.addresses == []
    bench.wrapper.dataReceived(HEADER[-1:] + b"hello")
    bench.wrapper.dataReceived(b"again")
    assert bench.program.addresses == [CLIENT]
    assert bench.program.built[0].events == [("made", CLIENT, SERVER), b"hello", b"again"]
    assert bench.program.built[0].transport.proxyInfo == (HEADER, CLIENT, SERVER)
    bench.lose()
    assert bench.program.built[0].events[-1] is ConnectionDone


@pytest.mark.parametrize(
    "header", [b"PROXY UNKNOWN\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"], ids=["unknown", "local"]
)
def test_without_addresses_in_the_header_those_of_the_connection_are_seen(header: bytes) -> None:
    bench = Bench()
    assert (bench.wrapper.getPeer(), bench.wrapper.getHost()) == (PROXY, HERE)
    bench.wrapper.dataReceived(header)
    assert bench.program.addresses == [PROXY]
    assert bench.program.built[0].events == [("made", PROXY, HERE)]


def test_a_factory_refuses_a_client_by_its_own_address() -> None:
    limit = LimitConnectionsByPeer(Builds())
    limit.maxConnectionsPerPeer = 1
    first, second = Bench(limit), Bench(limit)
    for bench in (first, second):
        bench.wrapper.dataReceived(HEADER + b"hello")
    assert not first.transport.disconnecting
    assert second.transport.disconnecting
    second.wrapper.dataReceived(b"more")
    second.lose()
    assert limit.peerConnections == {"192.0.2.1": 1}
    first.lose()
    assert limit.peerConnections == {}


def test_a_bad_header_closes_the_connection_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    for header, why in (
        (b"GET / HTTP/1.1\r\n", "InvalidProxyHeader: this is no PROXY header: b'GET / HTTP/1.1"),
        (b"PROXY UDP4 x\r\n", "InvalidNetworkProtocol: the protocol is to be TCP4"),
        (b"PROXY TCP4 1.2.3.4\r\n", "MissingAddressData: two addresses and two ports"),
    ):
        caplog.clear()
        bench = Bench()
        bench.wrapper.dataReceived(header)
        assert bench.transport.disconnecting
        bench.wrapper.dataReceived(b"PROXY UNKNOWN\r\n")   # of a transport that had it already
        bench.lose()
        assert bench.program.addresses == []
        assert not bench.factory.protocols
        assert not bench.clock.getDelayedCalls()
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert "10.0.0.9" in record.getMessage()
        assert why in record.getMessage()


def test_the_rest_of_a_bad_header_is_ignored_by_a_transport_that_ends_at_once() -> None:
    factory = HAProxyWrappingFactory(Builds())
    factory.headerTimeout = None
    transport = StringTransportWithDisconnection()
    transport.protocol = wrapper = factory.buildProtocol(PROXY)
    wrapper.makeConnection(transport)
    for data in (b"PROXY TCP4 1.1.1.1\r\n", b"2.2.2.2 8080\r\n"):
        wrapper.dataReceived(data)
        assert not transport.connected


def test_a_header_that_takes_too_long_closes_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.wrapper.dataReceived(b"PROXY ")
    bench.clock.advance(9.9)
    bench.wrapper.dataReceived(b"UNKNOWN")
    assert not bench.transport.disconnecting
    bench.clock.advance(0.1)
    assert bench.transport.disconnecting
    assert "no whole PROXY header came within 10.0 seconds" in caplog.text
    bench.wrapper.dataReceived(b"\r\n")
    bench.lose()
    assert bench.program.addresses == []


def test_the_time_limit_ends_with_the_header_and_with_the_connection() -> None:
    whole, lost = Bench(), Bench()
    whole.wrapper.dataReceived(HEADER)
    lost.lose()
    assert not whole.clock.getDelayedCalls()
    assert not lost.clock.getDelayedCalls()
    assert not lost.factory.protocols


def test_there_may_be_no_time_limit() -> None:
    class Patient(HAProxyWrappingFactory):
        headerTimeout = None

    factory = Patient(Builds())
    clock = Clock()
    factory.callLater = clock.callLater  # type: ignore[method-assign]
    factory.buildProtocol(PROXY).makeConnection(StringTransport())
    assert not clock.getDelayedCalls()


def test_a_protocol_takes_part_in_half_close_once_it_is_there() -> None:
    class Halves(Kept):
        def readConnectionLost(self) -> None:
            self.events.append("read lost")

    bench = Bench(Builds(Halves))
    assert not hasattr(bench.wrapper, "readConnectionLost")
    bench.wrapper.dataReceived(HEADER)
    bench.wrapper.readConnectionLost()
    assert bench.program.built[0].events[-1] == "read lost"


def test_what_came_with_the_header_waits_for_a_protocol_that_pauses() -> None:
    bench = Bench(Builds(Pausing))
    bench.wrapper.dataReceived(HEADER + b"hello")
    (protocol,) = bench.program.built
    assert protocol.events == ["made"]
    bench.wrapper.dataReceived(b" again")   # of a transport that had it already
    protocol.transport.resumeProducing()
    protocol.transport.resumeProducing()
    assert protocol.events == ["made"], "it was entered from within its own call"
    assert bench.transport.producerState == "paused"
    bench.clock.advance(0)
    assert protocol.events == ["made", b"hello again"]
    assert bench.transport.producerState == "producing"
    protocol.transport.pauseProducing()
    protocol.transport.resumeProducing()
    assert bench.transport.producerState == "producing"
    assert not bench.clock.getDelayedCalls()


def test_a_protocol_that_pauses_again_keeps_waiting() -> None:
    class Slow(Pausing):
        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            self.transport.pauseProducing()

    bench = Bench(Builds(Slow))
    bench.wrapper.dataReceived(HEADER + b"hello")
    (protocol,) = bench.program.built
    protocol.transport.resumeProducing()
    protocol.transport.pauseProducing()
    bench.clock.advance(0)
    assert protocol.events == ["made"]
    protocol.transport.resumeProducing()
    bench.clock.advance(0)
    assert protocol.events == ["made", b"hello"]
    assert bench.transport.producerState == "paused"


def test_what_waits_for_a_protocol_is_dropped_with_the_connection() -> None:
    for end in ("loseConnection", "abortConnection"):
        bench = Bench(Builds(Pausing))
        bench.wrapper.dataReceived(HEADER + b"hello")
        (protocol,) = bench.program.built
        protocol.transport.resumeProducing()
        getattr(protocol.transport, end)()
        bench.clock.advance(0)
        bench.lose()
        assert protocol.events == ["made", ConnectionDone]

    class Resuming(Pausing):
        def connectionLost(self, reason: Failure[Any]) -> None:  # type: ignore[override]
            self.transport.resumeProducing()

    resumed = Bench(Builds(Resuming))
    resumed.wrapper.dataReceived(HEADER + b"hello")
    resumed.lose()
    assert not resumed.clock.getDelayedCalls()
    lost = Bench(Builds(Pausing))
    lost.wrapper.dataReceived(HEADER + b"hello")
    lost.program.built[0].transport.resumeProducing()
    lost.lose()
    assert not lost.clock.getDelayedCalls()


def test_a_protocol_that_closes_at_once_hears_nothing_that_came_with_the_header() -> None:
    class Brief(Kept):
        def connectionMade(self) -> None:
            self.transport.loseConnection()

    bench = Bench(Builds(Brief))
    bench.wrapper.dataReceived(HEADER + b"hello")
    assert bench.program.built[0].events == []

    class Aborts(Kept):
        def connectionMade(self) -> None:
            self.transport.transport.connected = False   # as a stream is then, until the callback returns

    bench = Bench(Builds(Aborts))
    bench.wrapper.dataReceived(HEADER + b"hello")
    assert bench.program.built[0].events == []


def test_a_protocol_that_fails_on_what_waited_ends_its_connection(caplog: pytest.LogCaptureFixture) -> None:
    class Fails(Pausing):
        def dataReceived(self, data: bytes) -> None:
            raise LookupError("mine")

    bench = Bench(Builds(Fails))
    bench.wrapper.dataReceived(HEADER + b"hello")
    bench.program.built[0].transport.resumeProducing()
    bench.clock.advance(0)
    assert bench.transport.aborted
    (record,) = caplog.records
    assert "dataReceived failed; the connection is closed" in record.getMessage()


def test_a_wrapper_outside_or_inside_sees_what_it_has_to() -> None:
    bench = Bench(TimeoutFactory(WrappingFactory(Builds()), None))
    bench.wrapper.dataReceived(HEADER + b"hello")
    protocol = bench.program.wrappedFactory.wrappedFactory.built[0]
    assert protocol.events == [("made", CLIENT, SERVER), b"hello"]
    assert protocol.transport.proxyInfo.source == CLIENT
    assert bench.wrapper.transport.getPeer() == PROXY


def test_the_log_prefix_says_that_there_is_a_proxy() -> None:
    assert Bench().factory.logPrefix() == "Builds (PROXY)"


def test_a_proxy_endpoint_listens_with_a_wrapping_factory() -> None:
    class Place:
        def __init__(self) -> None:
            self.factory: Any = None

        def listen(self, factory: Any) -> Deferred[Any]:
            self.factory = factory
            return succeed("the port")

        def __repr__(self) -> str:
            return "<Place>"

    place, factory, ports = Place(), Factory(), []  # type: ignore[var-annotated]
    endpoint = proxyEndpoint(place)
    endpoint.listen(factory).addCallback(ports.append)
    assert ports == ["the port"]
    assert isinstance(place.factory, HAProxyWrappingFactory)
    assert place.factory.wrappedFactory is factory
    assert repr(endpoint) == "<proxyEndpoint of <Place>>"
