"""The classes of endpoints: listening and connecting."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ropewalk.errors import (
    AlreadyListened,
    CannotListenError,
    ConnectingCancelledError,
    ConnectionRefusedError,
    NoProtocol,
    TimeoutError,
)
from ropewalk.internet import endpoints
from ropewalk.internet.defer import Deferred
from ropewalk.internet.failure import Failure
from ropewalk.internet.protocol import Factory, Protocol
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.testing.rig import Rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(SelectReactor) as made:
        yield made


class Noting(Protocol):
    """Notes what happens to it."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.got: Deferred[bytes] = Deferred()
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.events.append("made")

    def dataReceived(self, data: bytes) -> None:
        self.events.append(data)
        self.got.callback(data)

    def connectionLost(self, reason: Failure[Any]) -> None:
        self.events.append(reason.type)
        self.lost.callback(None)


class Greeting(Protocol):
    """Says hello and waits for the other side to close."""

    def connectionMade(self) -> None:
        self.transport.write(b"hello")


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback")


def free_port() -> int:
    """The number of a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


PAIRS: list[Any] = [
    pytest.param(endpoints.TCP4ServerEndpoint, "127.0.0.1", endpoints.TCP4ClientEndpoint, "127.0.0.1", id="IPv4"),
    pytest.param(
        endpoints.TCP6ServerEndpoint, "::1", endpoints.TCP6ClientEndpoint, "::1", id="IPv6", marks=needs_ipv6
    ),
    pytest.param(endpoints.TCP4ServerEndpoint, "127.0.0.1", endpoints.HostnameEndpoint, "localhost", id="name"),
    pytest.param(endpoints.TCP4ServerEndpoint, "127.0.0.1", endpoints.HostnameEndpoint, b"localhost", id="bytes"),
]


# -- listening and connecting


@pytest.mark.parametrize(("server", "interface", "client", "host"), PAIRS)
def test_a_client_endpoint_reaches_a_server_endpoint(
    rig: Rig, server: Any, interface: str, client: Any, host: str
) -> None:
    async def scenario() -> None:
        port = await server(rig.reactor, 0, interface=interface).listen(Factory.forProtocol(Greeting))
        protocol = await client(rig.reactor, host, port.getHost().port).connect(Factory.forProtocol(Noting))
        assert protocol.events == ["made"]
        assert await protocol.got == b"hello"
        protocol.transport.loseConnection()
        await protocol.lost
        await port.stopListening()

    rig.play(scenario)


def test_the_strings_describe_endpoints_that_work(rig: Rig) -> None:
    async def scenario() -> None:
        server = endpoints.serverFromString(rig.reactor, "tcp:0:interface=127.0.0.1:backlog=5")
        port = await server.listen(Factory.forProtocol(Greeting))
        client = endpoints.clientFromString(rig.reactor, f"tcp:localhost:{port.getHost().port}:timeout=5")
        protocol = await client.connect(Factory.forProtocol(Noting))
        assert await protocol.got == b"hello"
        protocol.transport.loseConnection()
        await protocol.lost

    rig.play(scenario)


@needs_ipv6
def test_a_quoted_ipv6_interface_is_listened_on(rig: Rig) -> None:
    async def scenario() -> None:
        port = await endpoints.serverFromString(rig.reactor, r"tcp:0:interface=\:\:1").listen(Factory())
        assert port.getHost().host == "::1"

    rig.play(scenario)


def test_connectProtocol_connects_the_very_protocol(rig: Rig) -> None:
    async def scenario() -> None:
        port = await endpoints.serverFromString(rig.reactor, "tcp:0").listen(Factory.forProtocol(Greeting))
        mine = Noting()
        endpoint = endpoints.TCP4ClientEndpoint(rig.reactor, "127.0.0.1", port.getHost().port)
        assert await endpoints.connectProtocol(endpoint, mine) is mine
        assert mine.transport.protocol is mine
        assert await mine.got == b"hello"

    rig.play(scenario)


def test_connect_binds_the_local_address(rig: Rig) -> None:
    async def scenario() -> None:
        seen: Deferred[Any] = Deferred()
        factory = Factory()
        factory.buildProtocol = seen.callback  # type: ignore[assignment,method-assign]
        port = await endpoints.TCP4ServerEndpoint(rig.reactor, 0, interface="127.0.0.1").listen(factory)
        local = "127.0.0.1", free_port()
        endpoint = endpoints.HostnameEndpoint(rig.reactor, "127.0.0.1", port.getHost().port, bindAddress=local)
        protocol = await endpoints.connectProtocol(endpoint, Noting())
        address = await seen
        assert (address.host, address.port) == local
        await protocol.lost

    rig.play(scenario)


def test_listen_fails_when_the_port_is_taken(rig: Rig) -> None:
    async def scenario() -> None:
        port = await endpoints.TCP4ServerEndpoint(rig.reactor, 0, interface="127.0.0.1").listen(Factory())
        with pytest.raises(CannotListenError):
            await endpoints.TCP4ServerEndpoint(rig.reactor, port.getHost().port, interface="127.0.0.1").listen(
                Factory()
            )

    rig.play(scenario)


def test_connect_fails_when_nobody_listens(rig: Rig) -> None:
    async def scenario() -> None:
        with pytest.raises(ConnectionRefusedError):
            await endpoints.TCP4ClientEndpoint(rig.reactor, "127.0.0.1", free_port()).connect(Factory())

    rig.play(scenario)


def test_connect_fails_when_the_reactor_refuses_to_begin(rig: Rig) -> None:
    async def scenario() -> None:
        endpoint = endpoints.TCP4ClientEndpoint(rig.reactor, "127.0.0.1", "no-such-service")  # type: ignore[arg-type]
        with pytest.raises(Exception, match="no-such-service"):
            await endpoint.connect(Factory())

    rig.play(scenario)


class Silent:
    """A name resolver that never answers."""

    def __init__(self) -> None:
        self.name = "anywhere"
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def resolveHostName(self, receiver: Any, *args: Any, **kwargs: Any) -> Silent:
        receiver.resolutionBegan(self)
        return self


def test_a_cancelled_connect_gives_up(rig: Rig) -> None:
    async def scenario() -> None:
        resolver = Silent()
        rig.reactor.installNameResolver(resolver)
        attempt = endpoints.HostnameEndpoint(rig.reactor, "anywhere", 80).connect(Factory())
        rig.reactor.callLater(0, attempt.cancel)
        with pytest.raises(ConnectingCancelledError) as caught:
            await attempt
        address: Any = caught.value.address
        assert address.port == 80
        assert resolver.cancelled

    rig.play(scenario)


def test_connect_fails_after_its_timeout(rig: Rig) -> None:
    async def scenario() -> None:
        rig.reactor.installNameResolver(Silent())
        with pytest.raises(TimeoutError):
            await endpoints.clientFromString(rig.reactor, "tcp:anywhere:80:timeout=0.01").connect(Factory())

    rig.play(scenario)


def connecting(rig: Rig, build: Callable[[Any], Any]) -> Callable[[], Any]:
    """A scenario that connects a protocol that `build` builds; the server's protocol is awaited to be lost."""

    async def scenario() -> None:
        served = Noting()
        factory = Factory()
        factory.buildProtocol = lambda addr: served  # type: ignore[method-assign]
        port = await endpoints.TCP4ServerEndpoint(rig.reactor, 0, interface="127.0.0.1").listen(factory)
        building = Factory()
        building.buildProtocol = build  # type: ignore[assignment,method-assign]
        try:
            await endpoints.TCP4ClientEndpoint(rig.reactor, "127.0.0.1", port.getHost().port).connect(building)
        finally:
            await served.lost

    return scenario


def test_connect_fails_when_the_factory_builds_no_protocol(rig: Rig) -> None:
    with pytest.raises(NoProtocol):
        rig.play(connecting(rig, lambda addr: None))


def test_connect_fails_with_what_buildProtocol_raises(rig: Rig) -> None:
    with pytest.raises(LookupError, match="cannot build"):
        rig.play(connecting(rig, lambda addr: (_ for _ in ()).throw(LookupError("cannot build"))))


def test_connect_fails_with_what_connectionMade_raises_and_closes(rig: Rig) -> None:
    class Breaking(Noting):
        def connectionMade(self) -> None:
            raise LookupError("cannot begin")

    protocol = Breaking()
    with pytest.raises(LookupError, match="cannot begin"):
        rig.play(connecting(rig, lambda addr: protocol))
    assert protocol.events == [LookupError]
    rig.expect_errors(LookupError)


def test_cancelling_in_connectionMade_closes_the_connection(rig: Rig) -> None:
    async def scenario() -> None:
        port = await endpoints.TCP4ServerEndpoint(rig.reactor, 0, interface="127.0.0.1").listen(
            Factory.forProtocol(Greeting)
        )

        class Wavering(Noting):
            def connectionMade(self) -> None:
                attempt.cancel()

        mine = Wavering()
        endpoint = endpoints.TCP4ClientEndpoint(rig.reactor, "127.0.0.1", port.getHost().port)
        attempt = endpoints.connectProtocol(endpoint, mine)
        with pytest.raises(ConnectingCancelledError):
            await attempt
        await mine.lost

    rig.play(scenario)


def test_cancelling_in_buildProtocol_closes_the_connection(rig: Rig) -> None:
    async def scenario() -> None:
        served = Noting()
        serving = Factory()
        serving.buildProtocol = lambda addr: served  # type: ignore[method-assign]
        port = await endpoints.TCP4ServerEndpoint(rig.reactor, 0, interface="127.0.0.1").listen(serving)
        mine = Noting()
        factory = Factory()
        factory.buildProtocol = lambda addr: attempt.cancel() or mine  # type: ignore[method-assign,func-returns-value]
        attempt = endpoints.TCP4ClientEndpoint(rig.reactor, "127.0.0.1", port.getHost().port).connect(factory)
        with pytest.raises(ConnectingCancelledError):
            await attempt
        await served.lost
        assert mine.events == []

    rig.play(scenario)


def test_the_factory_is_started_and_stopped_with_the_connection(rig: Rig) -> None:
    async def scenario() -> None:
        port = await endpoints.TCP4ServerEndpoint(rig.reactor, 0, interface="127.0.0.1").listen(
            Factory.forProtocol(Greeting)
        )
        factory = Factory.forProtocol(Noting)
        endpoint = endpoints.TCP4ClientEndpoint(rig.reactor, "127.0.0.1", port.getHost().port)
        protocol = await endpoint.connect(factory)
        assert factory.numPorts == 1
        assert protocol.factory is factory
        stopped: Deferred[None] = Deferred()
        factory.stopFactory = lambda: stopped.callback(None)
        protocol.transport.loseConnection()
        await stopped
        assert factory.numPorts == 0

    rig.play(scenario)


def test_who_drives_the_built_protocol_by_hand_drives_the_programs() -> None:
    class Driven:
        factory: Any = None

        def connectTCP(self, host: str, port: int, factory: Any, **options: Any) -> None:
            self.factory = factory

    class Transport:
        protocol: Any = None

    reactor, mine = Driven(), Noting()
    connected: list[Any] = []
    endpoint = endpoints.TCP4ClientEndpoint(reactor, "anywhere", 80)  # type: ignore[arg-type]
    endpoints.connectProtocol(endpoint, mine).addCallback(connected.append)
    built = reactor.factory.buildProtocol("an address")
    assert connected == []
    built.makeConnection(Transport())
    assert connected == [mine]
    built.dataReceived(b"data")
    assert mine.events == ["made", b"data"]


# -- UNIX sockets


class Asked:
    """In the place of a reactor: keeps what was asked of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def listenUNIX(self, address: str, factory: Any, **options: Any) -> str:
        self.calls.append(("listenUNIX", (address,), options))
        return "port"

    def connectUNIX(self, address: str, factory: Any, **options: Any) -> None:
        self.calls.append(("connectUNIX", (address,), options))

    def adoptStreamPort(self, descriptor: int, family: int, factory: Any) -> str:
        self.calls.append(("adoptStreamPort", (descriptor, family), {}))
        if factory is None:
            raise LookupError("there is no factory")
        return "port"


def test_a_unix_server_endpoint_asks_for_what_it_was_made_with() -> None:
    reactor = Asked()
    plain = endpoints.UNIXServerEndpoint(reactor, "/run/my.sock")
    plain.listen(Factory())
    endpoints.UNIXServerEndpoint(reactor, "/run/my.sock", 7, 0o600, True).listen(Factory())
    assert reactor.calls == [
        ("listenUNIX", ("/run/my.sock",), {"backlog": 50, "mode": 0o666, "wantPID": False}),
        ("listenUNIX", ("/run/my.sock",), {"backlog": 7, "mode": 0o600, "wantPID": True}),
    ]
    assert "/run/my.sock" in repr(plain)


def test_a_unix_client_endpoint_asks_for_what_it_was_made_with() -> None:
    reactor = Asked()
    plain = endpoints.UNIXClientEndpoint(reactor, "/run/my.sock")
    plain.connect(Factory())
    endpoints.UNIXClientEndpoint(reactor, "/run/my.sock", 5, True).connect(Factory())
    assert reactor.calls == [
        ("connectUNIX", ("/run/my.sock",), {"timeout": 30, "checkPID": False}),
        ("connectUNIX", ("/run/my.sock",), {"timeout": 5, "checkPID": True}),
    ]
    assert "/run/my.sock" in repr(plain)


# -- adopted sockets


@pytest.fixture
def descriptor() -> Iterator[int]:
    """A descriptor that nobody else owns; closed afterwards if it is still open."""
    number = os.open(os.devnull, os.O_RDONLY)
    yield number
    if is_open(number):
        os.close(number)


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def open_as(number: int) -> None:
    """Open a file under that descriptor."""
    made = os.open(os.devnull, os.O_RDONLY)
    if made != number:
        os.dup2(made, number)
        os.close(made)


def results(deferred: Deferred[Any]) -> list[Any]:
    """What `deferred` has fired with."""
    fired: list[Any] = []
    deferred.addBoth(fired.append)
    return fired


def test_an_adopted_descriptor_is_closed_once_the_reactor_has_its_own(descriptor: int) -> None:
    reactor = Asked()
    endpoint = endpoints.AdoptedStreamServerEndpoint(reactor, descriptor, socket.AF_INET)
    assert f"descriptor {descriptor}" in repr(endpoint)
    assert results(endpoint.listen(Factory())) == ["port"]
    assert reactor.calls == [("adoptStreamPort", (descriptor, socket.AF_INET), {})]
    assert not is_open(descriptor)


def test_an_adopted_descriptor_stays_open_when_the_reactor_does_not_take_it(descriptor: int) -> None:
    endpoint = endpoints.AdoptedStreamServerEndpoint(Asked(), descriptor, socket.AF_INET)
    [failure] = results(endpoint.listen(None))  # type: ignore[arg-type]
    assert failure.type is LookupError
    assert is_open(descriptor)


@pytest.mark.parametrize("first", [Factory(), None])
def test_a_descriptor_is_adopted_once_and_a_later_owner_of_its_number_is_left_alone(
    first: Factory | None, descriptor: int
) -> None:
    reactor = Asked()
    endpoint = endpoints.AdoptedStreamServerEndpoint(reactor, descriptor, socket.AF_INET)
    results(endpoint.listen(first))  # type: ignore[arg-type]
    open_as(descriptor)
    [failure] = results(endpoint.listen(Factory()))
    assert failure.type is AlreadyListened
    assert len(reactor.calls) == 1
    assert is_open(descriptor)


def test_of_two_endpoints_for_a_descriptor_the_second_leaves_the_later_owner_of_the_number_alone(
    rig: Rig,
) -> None:
    reactor = Asked()
    number = socket.socket().detach()
    first, second, third = (
        endpoints.AdoptedStreamServerEndpoint(reactor, number, socket.AF_INET) for _ in range(3)
    )
    results(first.listen(Factory()))
    [nobody] = results(second.listen(Factory()))
    rig.socket_pair_at(number)
    [another] = results(third.listen(Factory()))
    assert [nobody.type, another.type] == [AlreadyListened, AlreadyListened]
    assert len(reactor.calls) == 1
    assert is_open(number)
