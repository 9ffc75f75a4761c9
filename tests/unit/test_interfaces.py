"""Real objects have the interfaces that programs ask them for."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ropewalk.core import choose
from ropewalk.internet import endpoints, interfaces
from ropewalk.internet.defer import Deferred
from ropewalk.internet.interfaces import (
    IConnector,
    IConsumer,
    IDelayedCall,
    IHalfCloseableProtocol,
    IHostnameResolver,
    IListeningPort,
    ILoggingContext,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IReactorCore,
    IReactorFDSet,
    IReactorPluggableNameResolver,
    IReactorPluggableResolver,
    IReactorTCP,
    IReactorTCP2,
    IReactorThreads,
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
    ITCPTransport,
    ITransport,
)
from ropewalk.internet.pollreactor import PollReactor
from ropewalk.internet.protocol import ClientFactory, ConnectedDatagramProtocol, DatagramProtocol, Factory, Protocol
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.internet.task import Clock
from ropewalk.testing.rig import Rig
from ropewalk.testing.watched import Watched

CLASSES: list[Any] = [SelectReactor]
if choose.why_not("poll") is None:
    CLASSES.append(PollReactor)
if choose.why_not("epoll") is None:
    from ropewalk.internet.epollreactor import EPollReactor

    CLASSES.append(EPollReactor)

needs_unix_sockets = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no UNIX sockets")


@pytest.fixture(params=CLASSES, ids=lambda cls: cls.__name__)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with Rig(request.param) as made:
        yield made


@pytest.mark.parametrize(
    "interface",
    [
        IReactorCore,
        IReactorTime,
        interfaces.IReactorFromThreads,
        interfaces.IReactorInThreads,
        IReactorThreads,
        IReactorTCP,
        IReactorTCP2,
        interfaces.IReactorSSL,
        interfaces.IReactorUDP,
        interfaces.IReactorMulticast,
        interfaces.IReactorSocket,
        IReactorFDSet,
        IReactorPluggableResolver,
        IReactorPluggableNameResolver,
    ],
)
def test_a_reactor_has_the_interface(rig: Rig, interface: type) -> None:
    assert isinstance(rig.reactor, interface)
    assert not isinstance(object(), interface)


@needs_unix_sockets
@pytest.mark.parametrize("interface", [interfaces.IReactorUNIX, interfaces.IReactorUNIXDatagram])
def test_a_reactor_has_the_interfaces_of_unix_sockets_where_there_are_any(rig: Rig, interface: type) -> None:
    assert isinstance(rig.reactor, interface)


def test_ports_connectors_and_transports_have_their_interfaces(rig: Rig) -> None:
    class Client(Protocol):
        def connectionMade(self) -> None:
            made.callback(self.transport)

    async def scenario() -> None:
        port = rig.reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
        assert isinstance(port, IListeningPort)
        connector = rig.reactor.connectTCP("127.0.0.1", port.getHost().port, ClientFactory.forProtocol(Client))
        assert isinstance(connector, IConnector)
        assert not isinstance(port, IConnector)
        transport = await made
        for interface in (
            ITransport, ITCPTransport, IConsumer, IPushProducer, interfaces.ISystemHandle, interfaces.ITLSTransport,
            interfaces.INegotiated,
        ):  # fmt: skip
            assert isinstance(transport, interface)
        assert not isinstance(transport, IListeningPort)
        assert not isinstance(transport, interfaces.IUNIXTransport)

    made: Deferred[Any] = Deferred()
    rig.play(scenario)


@needs_unix_sockets
def test_what_listens_and_connects_at_a_path_has_its_interfaces(rig: Rig, tmp_path: Path) -> None:
    class Client(Protocol):
        def connectionMade(self) -> None:
            made.callback(self.transport)

    async def scenario() -> None:
        address = str(tmp_path / "socket")
        port = rig.reactor.listenUNIX(address, Factory.forProtocol(Protocol))
        assert isinstance(port, IListeningPort)
        assert isinstance(rig.reactor.connectUNIX(address, ClientFactory.forProtocol(Client)), IConnector)
        transport = await made
        for interface in (ITransport, interfaces.IUNIXTransport, IConsumer, IPushProducer, interfaces.ISystemHandle):
            assert isinstance(transport, interface)

    made: Deferred[Any] = Deferred()
    rig.play(scenario)


def test_ports_of_datagrams_are_their_transports(rig: Rig) -> None:
    async def scenario() -> None:
        udp = rig.reactor.listenUDP(0, DatagramProtocol(), "127.0.0.1")
        multicast = rig.reactor.listenMulticast(0, DatagramProtocol())
        for port in (udp, multicast):
            assert isinstance(port, IListeningPort)
            assert isinstance(port, interfaces.ISystemHandle)
            assert isinstance(port, interfaces.IUDPTransport)
        assert isinstance(multicast, interfaces.IMulticastTransport)
        assert not isinstance(udp, interfaces.IMulticastTransport)

    rig.play(scenario)


@needs_unix_sockets
def test_unix_ports_of_datagrams_are_their_transports(rig: Rig, tmp_path: Path) -> None:
    async def scenario() -> None:
        address = str(tmp_path / "socket")
        port = rig.reactor.listenUNIXDatagram(address, DatagramProtocol())
        connected = rig.reactor.connectUNIXDatagram(address, ConnectedDatagramProtocol())
        for one in (port, connected):
            assert isinstance(one, IListeningPort)
            assert isinstance(one, interfaces.IUNIXDatagramTransport)
        assert isinstance(connected, interfaces.IUNIXDatagramConnectedTransport)
        assert not isinstance(port, interfaces.IUNIXDatagramConnectedTransport)

    rig.play(scenario)


def test_the_rest_of_what_a_reactor_hands_out_has_its_interfaces(rig: Rig) -> None:
    call = rig.reactor.callLater(60, list)
    assert isinstance(call, IDelayedCall)
    call.cancel()
    assert isinstance(rig.reactor.nameResolver, IHostnameResolver)


def test_a_protocol_is_half_closeable_if_it_has_the_methods() -> None:
    class Half(Protocol):
        def readConnectionLost(self) -> None: ...

        def writeConnectionLost(self) -> None: ...

    assert isinstance(Half(), IHalfCloseableProtocol)
    assert not isinstance(Protocol(), IHalfCloseableProtocol)
    assert isinstance(Protocol(), IProtocol)
    assert isinstance(Protocol(), ILoggingContext)
    assert isinstance(Factory(), IProtocolFactory)


def test_a_protocol_takes_descriptors_if_it_has_the_method() -> None:
    class Taking(Protocol):
        def fileDescriptorReceived(self, descriptor: int) -> None: ...

    assert isinstance(Taking(), interfaces.IFileDescriptorReceiver)
    assert not isinstance(Protocol(), interfaces.IFileDescriptorReceiver)


def test_a_parser_of_endpoints_is_known_by_its_method() -> None:
    class Parser:
        def parseStreamServer(self, reactor: Any, *args: str, **kwargs: str) -> IStreamServerEndpoint:
            raise NotImplementedError

    assert isinstance(Parser(), interfaces.IStreamServerEndpointStringParser)
    assert not isinstance(Parser(), interfaces.IStreamClientEndpointStringParserWithReactor)


def test_what_reads_and_writes_is_a_reader_and_a_writer() -> None:
    both = Watched(None)
    for interface in (interfaces.IReadDescriptor, interfaces.IWriteDescriptor, interfaces.IReadWriteDescriptor):
        assert isinstance(both, interface)
        assert not isinstance(Protocol(), interface)


def test_every_interface_is_a_runtime_checkable_protocol() -> None:
    for name in interfaces.__all__:
        interface = getattr(interfaces, name)
        assert getattr(interface, "_is_protocol", False), name
        assert interface is interfaces.IAddress or not isinstance(object(), interface)


def test_importing_a_reactor_imports_no_interfaces() -> None:
    program = "import sys, ropewalk.internet.reactor; assert 'ropewalk.internet.interfaces' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_endpoints_and_clock_have_their_interfaces() -> None:
    reactor = SelectReactor()
    assert isinstance(endpoints.TCP4ServerEndpoint(reactor, 0), IStreamServerEndpoint)
    assert isinstance(endpoints.TCP4ClientEndpoint(reactor, "localhost", 1), IStreamClientEndpoint)
    assert isinstance(Clock(), IReactorTime)
