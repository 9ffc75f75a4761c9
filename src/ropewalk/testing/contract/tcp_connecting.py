"""TCP connectors: attempts that fail, are given up, or succeed, what the factory hears, and connecting again."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from ropewalk.errors import (
    ConnectBindError,
    ConnectError,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    NoRouteError,
    NotConnectingError,
    ServiceNameUnknownError,
    TimeoutError,
    UserError,
)
from ropewalk.internet.address import IPv4Address
from ropewalk.internet.defer import CancelledError
from ropewalk.internet.protocol import ClientCreator, ReconnectingClientFactory
from ropewalk.internet.tcp import makeBinding
from ropewalk.testing.contract import behaviour
from ropewalk.testing.peers import (
    IPV4,
    IPV6,
    Client,
    Recorder,
    dial,
    in_reactor,
    listen,
    need_ipv6,
    passes,
)
from ropewalk.testing.rig import Rig, raises

_NOT_OURS = "198.51.100.1"   # TEST-NET-2 of RFC 5737


async def dead_address(rig: Rig, interface: str = IPV4) -> Any:
    """An address where nobody listens."""
    port = listen(rig, interface=interface)
    address = port.getHost()
    await port.stopListening()
    return address


@contextlib.contextmanager
def silent_address(host: str = IPV4, port: int = 0) -> Iterator[Any]:
    """An address that answers no attempt: its queue of waiting connections is full."""
    with contextlib.ExitStack() as opened:
        listening = opened.enter_context(socket.socket())
        listening.bind((host, port))
        listening.listen(0)
        for _ in range(4):
            filler = opened.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield IPv4Address("TCP", *listening.getsockname())


@behaviour
@in_reactor
async def a_connection_that_nobody_takes_is_refused(rig: Rig) -> None:
    address = await dead_address(rig)
    factory = dial(rig, address)
    error = await factory.fails()
    assert isinstance(error, ConnectionRefusedError)
    assert f"{IPV4}:{address.port}" in str(error)
    await factory.happens("stop")
    assert factory.events == ["start", "started", "failed", "stop"]


@behaviour
@in_reactor
async def a_refusal_over_ipv6_names_the_address(rig: Rig) -> None:
    need_ipv6()
    address = await dead_address(rig, IPV6)
    error = await dial(rig, address).fails()
    assert isinstance(error, ConnectionRefusedError)
    assert f"[{IPV6}]:{address.port}" in str(error)


@behaviour
@in_reactor
async def an_attempt_that_is_not_answered_times_out(rig: Rig) -> None:
    with silent_address() as address:
        factory = Client()
        rig.reactor.connectTCP(address.host, address.port, factory, timeout=0.05)
        error = await factory.fails()
        assert isinstance(error, TimeoutError)
        assert "0.05 seconds" in str(error)
        await passes(rig, 0.05)
        assert factory.events == ["start", "started", "failed", "stop"]


@behaviour
@in_reactor
async def an_address_that_the_system_refuses_at_once_fails_later_not_in_connect(rig: Rig) -> None:
    factory = Client()
    rig.reactor.connectTCP("255.255.255.255", 9, factory)
    assert factory.events == ["start", "started"]
    assert isinstance(await factory.fails(), ConnectError)


@behaviour
@in_reactor
async def an_address_without_a_route_is_no_route(rig: Rig) -> None:
    with socket.socket() as probe:
        probe.setblocking(False)
        refused = probe.connect_ex(("255.255.255.255", 9))
    error = await _failure_of("255.255.255.255", rig)
    assert error.osError == refused
    assert isinstance(error, NoRouteError) or refused not in (101, 113)


async def _failure_of(host: str, rig: Rig) -> Any:
    factory = Client()
    rig.reactor.connectTCP(host, 9, factory, timeout=5)
    return await factory.fails()


@behaviour
@in_reactor
async def a_port_that_cannot_exist_fails_the_attempt(rig: Rig) -> None:
    factory = Client()
    rig.reactor.connectTCP(IPV4, 70_000, factory)
    await factory.fails()
    assert factory.events[:3] == ["start", "started", "failed"]


@behaviour
@in_reactor
async def a_literal_address_with_an_unknown_zone_fails_the_attempt(rig: Rig) -> None:
    factory = Client()
    rig.reactor.connectTCP("fe80::1%nosuchzone", 9, factory)
    assert isinstance(await factory.fails(), Exception)


@behaviour
@in_reactor
async def the_local_address_of_a_connection_can_be_chosen(rig: Rig) -> None:
    port = listen(rig)
    with socket.socket() as probe:
        probe.bind((IPV4, 0))
        number = probe.getsockname()[1]
    for binding in ((IPV4, 0), makeBinding(IPV4, number, reuseAddress=True)):
        factory = Client()
        rig.reactor.connectTCP(IPV4, port.getHost().port, factory, bindAddress=binding)
        client = await factory.connects()
        assert client.transport.getHost().host == IPV4
    assert client.transport.getHost().port == number


@behaviour
@in_reactor
async def a_local_address_that_cannot_be_bound_is_an_error_that_names_it(rig: Rig) -> None:
    port = listen(rig)
    factory = Client()
    rig.reactor.connectTCP(IPV4, port.getHost().port, factory, bindAddress=(_NOT_OURS, 0))
    error = await factory.fails()
    assert isinstance(error, ConnectBindError)
    assert _NOT_OURS in str(error)


@behaviour
@in_reactor
async def a_service_name_stands_for_its_port(rig: Rig) -> None:
    connector = rig.reactor.connectTCP(IPV4, "http", Client())
    assert connector.getDestination() == IPv4Address("TCP", IPV4, 80)
    connector.disconnect()


@behaviour
@in_reactor
async def an_unknown_service_name_is_an_error_at_once(rig: Rig) -> None:
    factory = Client()
    with raises(ServiceNameUnknownError) as raised:
        rig.reactor.connectTCP(IPV4, "no-such-service", factory)
    assert "no-such-service" in str(raised[0])
    assert factory.events == []


@behaviour
@in_reactor
async def a_connector_tells_its_state_and_destination(rig: Rig) -> None:
    port = listen(rig)
    factory = dial(rig, port.getHost())
    connector = factory.connector
    assert connector.getDestination() == port.getHost()
    assert connector.state == "connecting"
    client = await factory.connects()
    assert connector.state == "connected"
    client.transport.loseConnection()
    await factory.happens("lost")
    assert connector.state == "disconnected"
    assert connector.getDestination() == port.getHost()


@behaviour
@in_reactor
async def a_connector_that_is_busy_cannot_connect(rig: Rig) -> None:
    port = listen(rig)
    factory = dial(rig, port.getHost())
    for _ in range(2):
        with raises(RuntimeError):
            factory.connector.connect()
        await factory.connects()


@behaviour
@in_reactor
async def an_attempt_can_be_given_up(rig: Rig) -> None:
    port = listen(rig)
    for give_up in ("stopConnecting", "disconnect"):
        factory = dial(rig, port.getHost())
        getattr(factory.connector, give_up)()
        assert isinstance(await factory.fails(), UserError)
        await passes(rig, 0.01)
        assert factory.events == ["start", "started", "failed", "stop"]


@behaviour
@in_reactor
async def an_attempt_can_be_given_up_in_started_connecting(rig: Rig) -> None:
    class Doubts(Client):
        def startedConnecting(self, connector: Any) -> None:
            super().startedConnecting(connector)
            connector.stopConnecting()

    factory = Doubts()
    rig.reactor.connectTCP(IPV4, listen(rig).getHost().port, factory)
    assert isinstance(await factory.fails(), UserError)
    await passes(rig, 0.01)
    assert factory.events == ["start", "started", "failed", "stop"]


@behaviour
@in_reactor
async def there_is_nothing_to_stop_when_nothing_connects(rig: Rig) -> None:
    factory = dial(rig, listen(rig).getHost())
    client = await factory.connects()
    for _ in range(2):
        with raises(NotConnectingError):
            factory.connector.stopConnecting()
        client.transport.loseConnection()
        await factory.happens("lost")


@behaviour
@in_reactor
async def disconnect_closes_the_connection(rig: Rig) -> None:
    factory = dial(rig, listen(rig).getHost())
    client = await factory.connects()
    client.transport.write(b"x")
    factory.connector.disconnect()
    assert isinstance(await client.ends(), ConnectionDone)
    await factory.happens("stop")
    assert factory.events == ["start", "started", "connected", "lost", "stop"]
    factory.connector.disconnect()


@behaviour
@in_reactor
async def a_factory_is_told_of_a_loss_after_its_protocol(rig: Rig) -> None:
    order: list[str] = []

    class Ordered(Client):
        def clientConnectionLost(self, connector: Any, reason: Any) -> None:
            order.extend(self.protocols[0].events)
            assert reason.value is self.protocols[0].reason
            super().clientConnectionLost(connector, reason)

    port = listen(rig)
    factory = Ordered()
    rig.reactor.connectTCP(IPV4, port.getHost().port, factory)
    await factory.connects()
    (await port.factory.accepts()).transport.loseConnection()
    await factory.happens("lost")
    assert order == ["made", "lost"]


@behaviour
@in_reactor
async def a_factory_can_connect_again_when_its_connection_is_lost(rig: Rig) -> None:
    class Again(Client):
        def clientConnectionLost(self, connector: Any, reason: Any) -> None:
            super().clientConnectionLost(connector, reason)
            if len(self.protocols) < 3:
                connector.connect()

    port = listen(rig)
    factory = Again()
    rig.reactor.connectTCP(IPV4, port.getHost().port, factory)
    for number in range(1, 4):
        (await factory.connects(number)).transport.loseConnection()
    await factory.happens("stop")
    assert factory.events == ["start", *["started", "connected", "lost"] * 3, "stop"]


@behaviour
@in_reactor
async def a_factory_can_connect_again_when_its_attempt_failed(rig: Rig) -> None:
    class Again(Client):
        def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
            super().clientConnectionFailed(connector, reason)
            if len(self.reasons) < 3:
                connector.connect()

    address = await dead_address(rig)
    factory = Again()
    rig.reactor.connectTCP(address.host, address.port, factory)
    await factory.happens("stop")
    assert factory.events == ["start", *["started", "failed"] * 3, "stop"]


class _Reconnecting(ReconnectingClientFactory, Client):
    """Reconnects fast."""

    initialDelay = delay = 0.001
    factor = 2
    jitter = None

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        Client.clientConnectionFailed(self, connector, reason)
        ReconnectingClientFactory.clientConnectionFailed(self, connector, reason)

    def clientConnectionLost(self, connector: Any, reason: Any) -> None:
        Client.clientConnectionLost(self, connector, reason)
        ReconnectingClientFactory.clientConnectionLost(self, connector, reason)

    buildProtocol = Client.buildProtocol
    startedConnecting = Client.startedConnecting
    startFactory = Client.startFactory
    stopFactory = Client.stopFactory


@behaviour
@in_reactor
async def a_reconnecting_factory_connects_again_with_a_delay_that_grows(rig: Rig) -> None:
    address = await dead_address(rig)
    factory = _Reconnecting()
    rig.reactor.connectTCP(address.host, address.port, factory)
    await factory.happens("failed", 4)
    assert factory.delay == 0.001 * 2**4
    port = rig.reactor.listenTCP(address.port, Client(), interface=IPV4)
    await factory.happens("connected")
    factory.resetDelay()
    factory.protocols[0].transport.abortConnection()
    await factory.happens("connected", 2)
    assert factory.delay == 0.002
    factory.stopTrying()
    await port.stopListening()
    factory.protocols[1].transport.loseConnection()
    await factory.happens("lost", 2)
    await passes(rig, 0.02)
    assert factory.events.count("started") == factory.events.count("failed") + 2


@behaviour
@in_reactor
async def a_reconnecting_factory_gives_up_after_its_retries(rig: Rig) -> None:
    address = await dead_address(rig)
    factory = _Reconnecting()
    factory.maxRetries = 2
    rig.reactor.connectTCP(address.host, address.port, factory)
    await factory.happens("failed", 3)
    await passes(rig, 0.02)
    assert factory.events.count("failed") == 3


@behaviour
@in_reactor
async def a_reconnecting_factory_that_stops_trying_gives_up_its_attempt(rig: Rig) -> None:
    with silent_address() as address:
        factory = _Reconnecting()
        connector = rig.reactor.connectTCP(address.host, address.port, factory)
        factory.connector = connector
        await passes(rig)
        factory.stopTrying()
        assert isinstance(await factory.fails(), UserError)
        assert factory.events == ["start", "started", "failed", "stop"]


@behaviour
@in_reactor
async def a_factory_that_builds_no_protocol_is_told_of_the_loss(rig: Rig) -> None:
    port = listen(rig)
    factory = dial(rig, port.getHost(), lambda: None)
    await factory.happens("stop")
    assert factory.events == ["start", "started", "connected", "lost", "stop"]
    assert isinstance(await (await port.factory.accepts()).ends(), ConnectionDone)


@behaviour
@in_reactor
async def a_client_creator_gives_the_protocol_when_it_is_connected(rig: Rig) -> None:
    port = listen(rig)
    creator = ClientCreator(rig.reactor, Recorder)
    client = await creator.connectTCP(IPV4, port.getHost().port)
    client.transport.write(b"x")
    await (await port.factory.accepts()).gets(b"x")


@behaviour
@in_reactor
async def a_client_creator_gives_the_reason_when_it_cannot_connect(rig: Rig) -> None:
    address = await dead_address(rig)
    with raises(ConnectionRefusedError):
        await ClientCreator(rig.reactor, Recorder).connectTCP(address.host, address.port)


@behaviour
@in_reactor
async def a_client_creator_that_is_cancelled_gives_up(rig: Rig) -> None:
    with silent_address() as address:
        connecting = ClientCreator(rig.reactor, Recorder).connectTCP(address.host, address.port)
        rig.reactor.callLater(0, connecting.cancel)
        with raises(CancelledError):
            await connecting


@behaviour
def stop_gives_up_the_attempts_and_tells_their_factories(rig: Rig) -> None:
    with silent_address() as address:
        factory = dial(rig, address)
        rig.reactor.callWhenRunning(rig.reactor.stop)
        rig.run()
    assert factory.events == ["start", "started", "failed", "stop"]
    assert isinstance(factory.reasons[0], ConnectionLost)
    assert rig.reactor.getDelayedCalls() == []


@behaviour
def a_timeout_that_is_no_time_is_refused_and_leaves_nothing_behind(rig: Rig) -> None:
    factory = Client()
    for timeout in (-1, float("nan"), "soon"):
        with raises(ValueError, TypeError):
            rig.reactor.connectTCP("127.0.0.1", 9, factory, timeout=timeout)
    assert not rig.reactor.transports
    assert factory.numPorts == 0
