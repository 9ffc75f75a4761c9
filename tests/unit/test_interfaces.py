"""Real objects have the interfaces that programs ask them for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ropewalk.core import choose
from ropewalk.core.timers import DelayedCall
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
from ropewalk.internet.protocol import ClientFactory, Factory, Protocol
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.internet.task import Clock
from ropewalk.testing.rig import Rig
from ropewalk.transports.resolver import HostResolution
from ropewalk.transports.tcp import Port, Server, TCPConnector

CLASSES: list[Any] = [SelectReactor]
if choose.why_not("poll") is None:
    CLASSES.append(PollReactor)
if choose.why_not("epoll") is None:
    from ropewalk.internet.epollreactor import EPollReactor

    CLASSES.append(EPollReactor)


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
        IReactorFDSet,
        IReactorPluggableResolver,
        IReactorPluggableNameResolver,
    ],
)
def test_a_reactor_has_the_interface(rig: Rig, interface: type) -> None:
    assert isinstance(rig.reactor, interface)
    assert not isinstance(object(), interface)


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
        for interface in (ITransport, ITCPTransport, IConsumer, IPushProducer):
            assert isinstance(transport, interface)
        assert not isinstance(transport, IListeningPort)

    made: Deferred[Any] = Deferred()
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


def test_endpoints_and_clock_have_their_interfaces() -> None:
    reactor = SelectReactor()
    assert isinstance(endpoints.TCP4ServerEndpoint(reactor, 0), IStreamServerEndpoint)
    assert isinstance(endpoints.TCP4ClientEndpoint(reactor, "localhost", 1), IStreamClientEndpoint)
    assert isinstance(Clock(), IReactorTime)


def test_a_type_checker_finds_the_signatures_right() -> None:
    """The assignments are for mypy; at run time they show that each name is there."""
    reactor = SelectReactor()
    core: IReactorCore = reactor
    time: IReactorTime = reactor
    threads: IReactorThreads = reactor
    tcp: IReactorTCP = reactor
    tcp2: IReactorTCP2 = reactor
    descriptors: IReactorFDSet = reactor
    simple: IReactorPluggableResolver = reactor
    names: IReactorPluggableNameResolver = reactor
    clock: IReactorTime = Clock()
    protocol: IProtocol = Protocol()
    factory: IProtocolFactory[Any] = Factory()
    server: IStreamServerEndpoint = endpoints.TCP4ServerEndpoint(reactor, 0)
    client: IStreamClientEndpoint = endpoints.HostnameEndpoint(reactor, "localhost", 1)
    assert None not in (core, time, threads, tcp, tcp2, descriptors, simple, names, clock)
    assert None not in (protocol, factory, server, client)


def signatures_of_what_a_reactor_makes(
    stream: Server, port: Port, connector: TCPConnector, call: DelayedCall, found: HostResolution
) -> tuple[object, ...]:
    """For mypy alone: nobody calls it."""
    transport: ITCPTransport = stream
    consumer: IConsumer = stream
    producer: IPushProducer = stream
    listening: IListeningPort = port
    connecting: IConnector = connector
    delayed: IDelayedCall = call
    resolution: interfaces.IHostResolution = found
    return transport, consumer, producer, listening, connecting, delayed, resolution
