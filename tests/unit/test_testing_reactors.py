"""The memory reactors: what they keep, and how a test drives their connectors and ports."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from ropewalk.errors import (
    AlreadyListened,
    CannotListenError,
    ConnectError,
    ConnectionDone,
    ConnectionRefusedError,
    NotConnectingError,
    ReactorAlreadyRunning,
    TimeoutError,
    UnsupportedAddressFamily,
    UserError,
)
from ropewalk.internet import endpoints, interfaces
from ropewalk.internet.address import IPv4Address, IPv6Address, UNIXAddress
from ropewalk.internet.defer import Deferred
from ropewalk.internet.protocol import ClientFactory, DatagramProtocol, Factory, Protocol, ReconnectingClientFactory
from ropewalk.internet.tcp import makeBinding
from ropewalk.testing import (
    AccumulatingProtocol,
    Clock,
    MemoryReactor,
    MemoryReactorClock,
    RaisingMemoryReactor,
    StringTransport,
)


class Noting(ClientFactory):
    """A client factory that keeps what it is told."""

    noisy = False
    protocol = AccumulatingProtocol

    def __init__(self) -> None:
        self.events: list[Any] = []

    def startFactory(self) -> None:
        self.events.append("start")

    def stopFactory(self) -> None:
        self.events.append("stop")

    def startedConnecting(self, connector: Any) -> None:
        self.events.append("connecting")

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self.events.append(reason.type)

    def clientConnectionLost(self, connector: Any, reason: Any) -> None:
        self.events.append(("lost", reason.type))


@pytest.fixture
def factory() -> Noting:
    return Noting()


INTERFACES = [
    "IReactorCore", "IReactorTCP", "IReactorUDP", "IReactorMulticast", "IReactorUNIX", "IReactorUNIXDatagram",
    "IReactorSocket", "IReactorFDSet", "IReactorPluggableNameResolver", "IReactorTime", "IReactorSSL",
]  # fmt: skip


@pytest.mark.parametrize("name", INTERFACES)
def test_a_memory_reactor_clock_has_the_interfaces_of_a_reactor(name: str) -> None:
    assert isinstance(MemoryReactorClock(), getattr(interfaces, name))


# -- what is kept, in Twisted's layouts


def test_what_is_asked_of_it_is_kept(factory: Noting) -> None:
    reactor, protocol = MemoryReactor(), DatagramProtocol()
    reactor.listenTCP(80, factory)
    reactor.listenTCP(81, factory, 7, interface="127.0.0.1")
    reactor.connectTCP("example.com", 80, factory)
    reactor.connectTCP("::1", 81, factory, 5, ("::1", 0))
    reactor.listenUNIX("/a", factory, wantPID=True)
    reactor.connectUNIX("/b", factory, 3, True)
    reactor.listenUDP(53, protocol).stopListening()
    reactor.listenMulticast(5353, protocol, listenMultiple=True).stopListening()
    reactor.listenUNIXDatagram("/c", protocol).stopListening()
    reactor.connectUNIXDatagram("/d", protocol, bindAddress="/e").stopListening()
    reactor.adoptStreamPort(3, socket.AF_INET, factory)
    reactor.adoptStreamConnection(4, socket.AF_INET, factory)
    reactor.adoptDatagramPort(5, socket.AF_INET6, protocol)
    assert reactor.tcpServers == [(80, factory, 50, ""), (81, factory, 7, "127.0.0.1")]
    assert reactor.tcpClients == [("example.com", 80, factory, 30, None), ("::1", 81, factory, 5, ("::1", 0))]
    assert reactor.unixServers == [("/a", factory, 50, 0o666, True)]
    assert reactor.unixClients == [("/b", factory, 3, True)]
    assert reactor.udpPorts == [(53, protocol, "", 8192)]
    assert reactor.multicastPorts == [(5353, protocol, "", 8192, True)]
    assert reactor.unixDatagramServers == [("/c", protocol, 8192, 0o666)]
    assert reactor.unixDatagramClients == [("/d", protocol, 8192, 0o666, "/e")]
    assert reactor.adoptedPorts == [(3, socket.AF_INET, factory), (5, socket.AF_INET6, protocol, 8192)]
    assert reactor.adoptedStreamConnections == [(4, socket.AF_INET, factory)]
    assert [connector.getDestination() for connector in reactor.connectors] == [
        IPv4Address("TCP", "example.com", 80), IPv6Address("TCP", "::1", 81), UNIXAddress(b"/b"),
    ]  # fmt: skip
    assert [port.getHost() for port in reactor.ports] == [
        IPv4Address("TCP", "0.0.0.0", 80), IPv4Address("TCP", "127.0.0.1", 81), UNIXAddress(b"/a"),
        IPv4Address("TCP", "0.0.0.0", 1234),
    ]  # fmt: skip


def test_what_is_asked_of_it_for_tls_is_kept_and_connects_in_the_clear(factory: Noting) -> None:
    reactor, context = MemoryReactor(), object()
    port = reactor.listenSSL(443, factory, context, 7, interface="127.0.0.1")
    reactor.listenSSL(makeBinding(interface="::1"), factory, context)
    connector = reactor.connectSSL("example.com", 443, factory, context, 5, ("127.0.0.1", 0))
    assert reactor.sslServers[0] == (443, factory, context, 7, "127.0.0.1")
    assert reactor.sslClients == [("example.com", 443, factory, context, 5, ("127.0.0.1", 0))]
    assert (reactor.tcpServers, reactor.tcpClients) == ([], [])
    assert connector.getDestination() == IPv4Address("TCP", "example.com", 443)
    assert port.getHost() == IPv4Address("TCP", "127.0.0.1", 443)
    client, server, pump = connector.accept(AccumulatingProtocol())
    client.transport.write(b"hello")
    pump.flush()
    assert server.data == b"hello"
    assert not client.transport.TLS


def test_a_port_without_a_number_gets_one_of_its_own(factory: Noting) -> None:
    reactor = MemoryReactor()
    ports = [
        reactor.listenTCP(0, factory),
        reactor.listenTCP(makeBinding(interface="::1"), factory),
        reactor.listenUDP(0, DatagramProtocol()),
    ]
    assert len({port.getHost().port for port in ports} - {0}) == 3
    assert ports[1].getHost().host == "::1"


@pytest.mark.parametrize("adopt", ["adoptStreamPort", "adoptDatagramPort"])
def test_a_family_that_is_not_of_the_internet_is_not_adopted(adopt: str, factory: Noting) -> None:
    with pytest.raises(UnsupportedAddressFamily):
        getattr(MemoryReactor(), adopt)(3, socket.AF_UNSPEC, factory)


def test_descriptors_are_kept() -> None:
    reactor, reader, writer = MemoryReactor(), object(), object()
    reactor.addReader(reader)
    reactor.addWriter(writer)
    assert (reactor.getReaders(), reactor.getWriters()) == ([reader], [writer])
    reactor.removeReader(reader)
    reactor.removeReader(reader)
    assert reactor.readers == set()
    assert reactor.removeAll() == [writer]
    reactor.removeWriter(writer)
    assert reactor.writers == set()


def test_running_makes_the_calls_that_waited_for_it_and_stops() -> None:
    reactor, calls = MemoryReactor(), list[Any]()
    reactor.callWhenRunning(lambda word, *, times: calls.append((reactor.running, word * times)), "a", times=2)
    assert (calls, reactor.hasRun) == ([], False)
    reactor.run()
    assert calls == [(True, "aa")]
    assert (reactor.running, reactor.hasRun, reactor.hasStopped, reactor.hasCrashed) == (False, True, True, False)
    reactor.callWhenRunning(calls.append, "at once")
    assert calls[1:] == ["at once"]
    reactor.crash()
    reactor.install()
    assert reactor.hasCrashed
    assert reactor.hasInstalled


def test_it_cannot_run_within_its_run() -> None:
    reactor = MemoryReactor()
    reactor.callWhenRunning(reactor.run)
    with pytest.raises(ReactorAlreadyRunning):
        reactor.run()


def test_triggers_are_kept_until_the_test_fires_them() -> None:
    reactor, fired, ready = MemoryReactor(), list[str](), Deferred[None]()
    for phase in ("after", "during", "before"):
        reactor.addSystemEventTrigger(phase, "shutdown", fired.append, phase)
    removed = reactor.addSystemEventTrigger("before", "shutdown", fired.append, "removed")
    reactor.addSystemEventTrigger("before", "shutdown", lambda: ready)
    reactor.removeSystemEventTrigger(removed)
    assert reactor.triggers["before"]["shutdown"][0] == (fired.append, ("before",), {})
    with pytest.raises(ValueError, match="not in list"):
        reactor.removeSystemEventTrigger(removed)
    reactor.fireSystemEvent("shutdown")
    assert fired == ["before"]
    ready.callback(None)
    assert fired == ["before", "during", "after"]
    reactor.fireSystemEvent("shutdown")
    assert len(fired) == 3


def test_names_are_resolved_at_once() -> None:
    reactor, found = MemoryReactor(), list[str]()
    reactor.resolve("example.com").addCallback(found.append)
    assert found == ["127.0.0.1"]
    first = reactor.nameResolver
    other: Any = object()
    assert reactor.installNameResolver(other) is first
    assert reactor.nameResolver is other


# -- time


def test_its_time_passes_when_the_test_says_so() -> None:
    reactor, calls = MemoryReactorClock(), list[float]()
    assert isinstance(reactor, Clock)
    for delay in (3, 1, 2):
        reactor.callLater(delay, lambda: calls.append(reactor.seconds()))
    assert len(reactor.getDelayedCalls()) == 3
    reactor.pump([1, 1])
    assert calls == [1, 2]
    reactor.advance(1)
    assert calls == [1, 2, 3]


def test_an_iteration_makes_the_calls_that_are_due() -> None:
    reactor, calls = MemoryReactorClock(), list[str]()
    reactor.callFromThread(calls.append, "posted")
    reactor.callLater(1, calls.append, "later")
    reactor.iterate()
    assert calls == ["posted"]


# -- connectors


def test_an_attempt_that_is_accepted_connects_two_protocols(factory: Noting) -> None:
    reactor = MemoryReactorClock()
    connector = reactor.connectTCP("example.com", 80, factory)
    assert factory.events == ["start", "connecting"]
    client, server, pump = connector.accept(AccumulatingProtocol)
    assert client.factory is factory
    assert client.transport.getPeer() == server.transport.getHost() == IPv4Address("TCP", "127.0.0.1", 80)
    assert client.transport.reactor is server.transport.reactor is reactor
    client.transport.write(b"data")
    pump.flush()
    assert server.data == b"data"
    connector.disconnect()
    pump.flush()
    assert server.closedReason.check(ConnectionDone)
    assert factory.events == ["start", "connecting", ("lost", ConnectionDone), "stop"]


@pytest.mark.parametrize("error", [None, TimeoutError()])
def test_an_attempt_fails_as_the_test_says(error: Exception | None, factory: Noting) -> None:
    connector = MemoryReactor().connectTCP("127.0.0.1", 80, factory)
    connector.fail(error)
    assert factory.events == ["start", "connecting", type(error) if error else ConnectionRefusedError, "stop"]
    for end in (connector.fail, lambda: connector.accept(Protocol)):
        with pytest.raises(RuntimeError, match="it is disconnected"):
            end()


def test_an_attempt_can_be_given_up(factory: Noting) -> None:
    connector = MemoryReactor().connectTCP("127.0.0.1", 80, factory)
    assert not connector.stoppedConnecting
    connector.stopConnecting()
    assert connector.stoppedConnecting
    assert factory.events[2:] == [UserError, "stop"]
    with pytest.raises(NotConnectingError):
        connector.stopConnecting()


def test_time_alone_ends_no_attempt(factory: Noting) -> None:
    reactor = MemoryReactorClock()
    reactor.connectTCP("127.0.0.1", 80, factory, timeout=1)
    reactor.advance(2)
    assert factory.events == ["start", "connecting"]


def test_a_client_factory_that_builds_nothing_is_disconnected(factory: Noting) -> None:
    factory.buildProtocol = lambda addr: None  # type: ignore[method-assign]
    client, server, pump = MemoryReactor().connectTCP("127.0.0.1", 80, factory).accept(AccumulatingProtocol)
    pump.flush()
    assert client is None
    assert server.closed
    assert factory.events[-1] == "stop"


def test_a_factory_reconnects_in_its_own_time() -> None:
    reactor = MemoryReactorClock()
    factory = ReconnectingClientFactory.forProtocol(AccumulatingProtocol)
    factory.jitter = None
    connector = reactor.connectTCP("127.0.0.1", 80, factory)
    connector.fail()
    reactor.advance(factory.delay / 2)
    assert connector.state == "disconnected"
    reactor.advance(factory.delay / 2)
    assert connector.state == "connecting"
    _, server, pump = connector.accept(AccumulatingProtocol)
    server.transport.abortConnection()
    pump.flush()
    assert connector.state == "disconnected"
    pump.advance(factory.delay)
    assert connector.state == "connecting"


def test_a_test_may_play_the_network_by_hand_as_with_twisted() -> None:
    reactor = MemoryReactorClock()
    factory = ReconnectingClientFactory.forProtocol(AccumulatingProtocol)
    reactor.connectTCP("127.0.0.1", 80, factory)
    host, port, given, _, _ = reactor.tcpClients[0]
    transport = StringTransport()
    protocol = given.buildProtocol(IPv4Address("TCP", host, port))
    protocol.makeConnection(transport)
    assert protocol.made
    given.clientConnectionLost(reactor.connectors[0], None)
    reactor.advance(factory.delay * 2)
    assert reactor.connectors[0].state == "connecting"
    assert factory.numPorts == 1


@pytest.mark.parametrize(
    ("host", "local", "peer"), [("::1", "::1", "::1"), ("10.0.0.1", "127.0.0.1", "10.0.0.1")]
)
def test_literal_addresses_are_those_of_the_connection(host: str, local: str, peer: str, factory: Noting) -> None:
    client, _, _ = MemoryReactor().connectTCP(host, 80, factory).accept(AccumulatingProtocol)
    assert (client.transport.getHost().host, client.transport.getPeer().host) == (local, peer)


def test_unix_connections_have_the_addresses_of_unix(factory: Noting) -> None:
    client, server, _ = MemoryReactor().connectUNIX("/run/service", factory).accept(AccumulatingProtocol)
    assert client.transport.getPeer() == server.transport.getHost() == UNIXAddress(b"/run/service")
    assert client.transport.getHost() == server.transport.getPeer() == UNIXAddress(None)


# -- ports


@pytest.mark.parametrize(("interface", "host"), [("", "127.0.0.1"), ("::", "::1"), ("10.0.0.1", "10.0.0.1")])
def test_a_port_is_connected_to(interface: str, host: str) -> None:
    reactor = MemoryReactorClock()
    factory = Factory.forProtocol(AccumulatingProtocol)
    port = reactor.listenTCP(0, factory, interface=interface)
    client, server, pump = port.connect(AccumulatingProtocol, piece=2)
    assert server.factory is factory
    assert client.transport.getPeer() == server.transport.getHost()
    assert server.transport.getHost()[1:3] == (host, port.getHost().port)
    client.transport.write(b"data")
    pump.pump()
    assert server.data == b"da"


def test_a_connector_and_a_port_of_one_reactor_are_joined(factory: Noting) -> None:
    reactor = MemoryReactorClock()
    port = reactor.listenTCP(80, Factory.forProtocol(AccumulatingProtocol))
    reactor.connectTCP("127.0.0.1", 80, factory)
    client, server, pump = reactor.connectors[0].accept(port.factory)
    server.transport.write(b"hello")
    pump.flush()
    assert client.data == b"hello"


def test_a_port_listens_until_it_is_stopped(factory: Noting) -> None:
    port = MemoryReactor().listenTCP(80, factory)
    client, server, pump = port.connect(AccumulatingProtocol)
    stopped: list[Any] = []
    with pytest.raises(AlreadyListened):
        port.startListening()
    for _ in range(2):
        port.stopListening().addCallback(stopped.append)
    assert (factory.events, stopped, port.connected) == (["start", "stop"], [None, None], False)
    with pytest.raises(ConnectionRefusedError, match="does not listen"):
        port.connect(AccumulatingProtocol)
    client.transport.write(b"still there")
    pump.flush()
    assert server.data == b"still there"
    port.startListening()
    assert port.connect(AccumulatingProtocol).server.made


def test_a_datagram_port_starts_and_stops_its_protocol() -> None:
    events: list[str] = []

    class Keeping(DatagramProtocol):
        def startProtocol(self) -> None:
            events.append("start")

        def stopProtocol(self) -> None:
            events.append("stop")

        def datagramReceived(self, datagram: bytes, addr: Any) -> None:
            self.transport.write(datagram.upper(), addr)

    protocol = Keeping()
    port = MemoryReactor().listenUDP(0, protocol, "127.0.0.1")
    protocol.datagramReceived(b"question", ("127.0.0.1", 9))
    assert port.written == [(b"QUESTION", ("127.0.0.1", 9))]
    port.stopListening()
    port.stopListening()
    assert events == ["start", "stop"]


# -- endpoints on a memory reactor


@pytest.mark.parametrize("kind", ["TCP4ClientEndpoint", "HostnameEndpoint"])
def test_a_client_endpoint_connects_in_memory(kind: str) -> None:
    reactor, connected = MemoryReactorClock(), list[Any]()
    endpoint = getattr(endpoints, kind)(reactor, "example.com", 80)
    mine = AccumulatingProtocol()
    endpoints.connectProtocol(endpoint, mine).addCallback(connected.append)
    reactor.iterate()
    _, server, pump = reactor.connectors[0].accept(AccumulatingProtocol)
    pump.flush()
    assert connected == [mine]
    server.transport.write(b"data")
    pump.flush()
    assert mine.data == b"data"


def test_a_server_endpoint_listens_in_memory() -> None:
    reactor, ports = MemoryReactorClock(), list[Any]()
    factory = Factory.forProtocol(AccumulatingProtocol)
    endpoints.serverFromString(reactor, "tcp:80").listen(factory).addCallback(ports.append)
    assert ports == reactor.ports
    assert ports[0].connect(AccumulatingProtocol).server.made


# -- nothing succeeds


@pytest.mark.parametrize("name", ["TCP", "UNIX", "UDP", "Multicast", "UNIXDatagram"])
def test_a_raising_reactor_listens_nowhere(name: str) -> None:
    mine = CannotListenError("mine", 1, OSError())
    with pytest.raises(CannotListenError, match="mine"):
        getattr(RaisingMemoryReactor(listenException=mine), f"listen{name}")(80, Factory())
    with pytest.raises(CannotListenError):
        getattr(RaisingMemoryReactor(), f"listen{name}")(80, Factory())


@pytest.mark.parametrize("method", ["connectTCP", "connectUNIX", "connectUNIXDatagram", "adoptStreamConnection"])
def test_a_raising_reactor_connects_nowhere(method: str) -> None:
    with pytest.raises(LookupError, match="mine"):
        getattr(RaisingMemoryReactor(connectException=LookupError("mine")), method)("host", 80, Factory())
    with pytest.raises(ConnectError):
        getattr(RaisingMemoryReactor(), method)("host", 80, Factory())


def test_a_raising_reactor_resolves_names() -> None:
    reactor, other = RaisingMemoryReactor(), object()
    before = reactor.nameResolver
    assert reactor.installNameResolver(other) is before
    assert reactor.nameResolver is other
