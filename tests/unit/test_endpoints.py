"""Endpoints: listening, connecting, and the strings that describe them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ropewalk.errors import (
    CannotListenError,
    ConnectingCancelledError,
    ConnectionRefusedError,
    NoProtocol,
    TimeoutError,
)
from ropewalk.internet import endpoints
from ropewalk.internet.defer import Deferred
from ropewalk.internet.failure import Failure
from ropewalk.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
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


class Recording:
    """In the place of a reactor: notes what it is asked to connect or to listen to."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> str:
        self.asked.append((port, backlog, interface))
        return "port"

    def connectTCP(self, host: str, port: int, factory: Any, **options: Any) -> None:
        self.asked.append((host, port, options["timeout"], options["bindAddress"]))


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
    class Driven(Recording):
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


# -- strings


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("tcp:8080", (8080, 50, "")),
        ("tcp:port=8080", (8080, 50, "")),
        ("tcp:8080:interface=127.0.0.1", (8080, 50, "127.0.0.1")),
        ("tcp:8080:backlog=7:interface=127.0.0.1", (8080, 7, "127.0.0.1")),
        ("tcp:backlog=7:8080", (8080, 7, "")),
        (r"tcp:0:interface=\:\:1", (0, 50, "::1")),
        ("tcp6:8080", (8080, 50, "::")),
        (r"tcp6:8080:interface=fe80\:\:1%eth0:backlog=1", (8080, 1, "fe80::1%eth0")),
    ],
)
def test_a_server_string_is_listened_to_as_it_says(text: str, asked: tuple[Any, ...]) -> None:
    reactor = Recording()
    endpoint = endpoints.serverFromString(reactor, text)
    assert isinstance(endpoint, IStreamServerEndpoint)
    endpoint.listen(Factory())
    assert reactor.asked == [asked]


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("tcp:localhost:80", ("localhost", 80, 30.0, None)),
        ("tcp:host=localhost:port=80", ("localhost", 80, 30.0, None)),
        ("tcp:host=localhost:80", ("localhost", 80, 30.0, None)),
        ("tcp:localhost:port=80", ("localhost", 80, 30.0, None)),
        ("tcp:localhost:80:5", ("localhost", 80, 5.0, None)),
        ("tcp:localhost:80:timeout=2.5:bindAddress=10.0.0.1", ("localhost", 80, 2.5, ("10.0.0.1", 0))),
        (r"tcp:\:\:1:80", ("::1", 80, 30.0, None)),
    ],
)
def test_a_client_string_is_connected_to_as_it_says(text: str, asked: tuple[Any, ...]) -> None:
    reactor = Recording()
    endpoint = endpoints.clientFromString(reactor, text)
    assert isinstance(endpoint, IStreamClientEndpoint)
    endpoint.connect(Factory())
    assert reactor.asked == [asked]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("tcp:80x", "position 4: port is to be a number from 0 to 65535, not '80x'"),
        ("tcp:65536", "position 4: port is"),
        ("tcp:-1", "position 4: port is"),
        ("tcp:", "position 4: port is"),
        ("tcp:\u0668\u0660", "position 4: port is"),
        ("tcp", "position 3: port is missing"),
        ("tcp:interface=::1", "position 15: port is"),
        ("tcp:80:127.0.0.1:5:6", "position 19: one argument too many"),
        ("tcp:80:backlog=many", "position 15: backlog is"),
        ("tcp:80:backlog=99999999999999999999999", "position 15: backlog is"),
        ("tcp:80:port=81", "position 12: port is given twice"),
        ("tcp:80:interfaces=127.0.0.1", "position 18: there is no argument 'interfaces', but port, interface, backlog"),
        ("tcp:port=80:port=81", "position 17: port is given twice"),
        ("tcp:80\\", "position 6: a backslash quotes the character after it"),
        ("", "position 0: this is no kind of endpoint that is known; there are: tcp, tcp6"),
        ("8080", "position 0: this is no kind"),
        ("udp:53", "position 0: this is no kind"),
        ("tcp=80", "position 0: this is no kind"),
        ("TCP:80", "position 0: this is no kind"),
    ],
)
def test_a_fault_in_a_server_string_is_named_with_its_place(text: str, fault: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        endpoints.serverFromString(Recording(), text)
    assert str(caught.value).startswith(f"{text}: {fault}")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("tcp:localhost", "position 13: port is missing"),
        ("tcp::80", "position 4: host is to be a name or an address, not ''"),
        ("tcp:localhost:0", "position 14: port is"),
        ("tcp:localhost:80:timeout=soon", "position 25: timeout is to be a number of seconds, not 'soon'"),
        ("tcp:localhost:80:timeout=nan", "position 25: timeout is"),
        ("tcp:localhost:80:timeout=-1", "position 25: timeout is"),
        ("tcp6:localhost:80", "position 0: this is no kind of endpoint that is known; there are: tcp"),
    ],
)
def test_a_fault_in_a_client_string_is_named_with_its_place(text: str, fault: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        endpoints.clientFromString(Recording(), text)
    assert str(caught.value).startswith(f"{text}: {fault}")


@pytest.mark.parametrize(
    ("parse", "text", "meant"),
    [
        (endpoints.serverFromString, "8007", "tcp:8007"),
        (endpoints.serverFromString, "8007:interface=127.0.0.1", "tcp:8007:interface=127.0.0.1"),
        (endpoints.clientFromString, "localhost:80", "tcp:localhost:80"),
    ],
)
def test_a_string_that_lacks_but_its_kind_is_answered_with_what_was_meant(
    parse: Callable[[Any, str], Any], text: str, meant: str
) -> None:
    with pytest.raises(ValueError, match=f"; did you mean {meant}[?]$"):
        parse(Recording(), text)


@pytest.mark.parametrize("text", ["", "udp:53", "localhost", "80000"])
def test_a_string_that_lacks_more_than_its_kind_gets_no_such_hint(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        endpoints.serverFromString(Recording(), text)
    assert "did you mean" not in str(caught.value)


NEARLY = st.lists(
    st.sampled_from(["tcp", "tcp6", ":", "=", "\\", "port", "interface", "backlog", "host", "timeout", "80", "x", "-"])
)


@given(st.text() | NEARLY.map("".join) | st.text().map("tcp:".__add__))
@example("tcp:" + "9" * 5000)
@example("tcp:a:80:timeout=" + "9" * 5000)
@pytest.mark.parametrize("parse", [endpoints.serverFromString, endpoints.clientFromString])
def test_garbage_raises_nothing_but_ValueError(parse: Callable[[Any, str], Any], text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse(Recording(), text), IStreamServerEndpoint | IStreamClientEndpoint)


@given(st.text(min_size=1), st.text())
def test_a_quoted_argument_stands_for_itself(host: str, local: str) -> None:
    quoted = map(endpoints.quoteStringArgument, (host, local))
    reactor = Recording()
    endpoints.clientFromString(reactor, "tcp:{}:80:bindAddress={}".format(*quoted)).connect(Factory())
    assert reactor.asked == [(host, 80, 30.0, (local, 0) if local else None)]


def test_quoting_is_done_with_backslashes() -> None:
    assert endpoints.quoteStringArgument(r"C:\some=path") == r"C\:\\some\=path"
