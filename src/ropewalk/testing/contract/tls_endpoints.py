"""Endpoints of TLS: over TCP, UNIX sockets and a proxy, as objects and as strings; names, protocols and sessions."""

from __future__ import annotations

import os
import pathlib
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from ropewalk.errors import (
    CertificateError,
    ConnectingCancelledError,
    ConnectionDone,
    ConnectionRefusedError,
    NoProtocol,
)
from ropewalk.internet.address import IPv4Address
from ropewalk.internet.endpoints import (
    HostnameEndpoint,
    SSL4ClientEndpoint,
    SSL4ServerEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    clientFromString,
    connectProtocol,
    quoteStringArgument,
    serverFromString,
    wrapClientTLS,
    wrapServerTLS,
)
from ropewalk.internet.protocol import Factory
from ropewalk.internet.ssl import FILETYPE_PEM, PEMFolder, PrivateCertificate, SNIMap
from ropewalk.internet.ssl_names import server_name
from ropewalk.internet.stdio import StandardIO
from ropewalk.protocols.haproxy import proxyEndpoint
from ropewalk.protocols.portforward import Forwarder
from ropewalk.testing.contract import behaviour
from ropewalk.testing.features import needs, require
from ropewalk.testing.peers import IPV4, Client, Echo, Recorder, Server, in_reactor, log_records, plain_socket
from ropewalk.testing.rig import Rig, raises
from ropewalk.testing.tls_peers import VERSIONS, ByHand, Secured, authority, client_options, server_options

_WARNING = 30   # logging's level


class _Echo(Echo, Secured):
    """Sends back what comes."""


class _Speaks(Factory):
    """A factory of a program whose protocols speak `names`."""

    protocol = Secured
    noisy = False

    def __init__(self, *names: bytes, protocol: Any = Secured) -> None:
        self.names = list(names)
        self.protocol = protocol

    def acceptableProtocols(self) -> list[bytes]:
        return self.names


class _Context:
    """A context factory of a program's own, which has one context."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def getContext(self) -> ssl.SSLContext:
        return self._context


async def _converse(server: Any, client_of: Callable[[Any], Any]) -> None:
    """Listen at `server`, connect to what `client_of` its address says, exchange some bytes, and end everything."""
    port = await server.listen(Server(_Echo))
    protocol = await client_of(port.getHost()).connect(Factory.forProtocol(Secured))
    assert type(protocol) is Secured
    assert protocol.transport.TLS
    assert protocol.events[0] == "made"
    protocol.transport.write(b"under the rope")
    await protocol.gets(b"under the rope")
    assert protocol.events == ["made", "secured"]
    protocol.transport.loseConnection()
    assert isinstance(await protocol.ends(), ConnectionDone)
    await port.stopListening()


def _folder(rig: Rig) -> pathlib.Path:
    return pathlib.Path(rig.keep(tempfile.TemporaryDirectory()))


def _plain_client() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority().pem.decode())


def _plain_server() -> ssl.SSLContext:
    return server_options().newServerContext()


# -- over TCP


@behaviour
@in_reactor
async def an_endpoint_of_tls_is_reached_by_its_class_and_by_wrapping_one_of_tcp(rig: Rig) -> None:
    reactor = rig.reactor
    clients: list[Callable[[Any], Any]] = [
        lambda at: SSL4ClientEndpoint(reactor, at.host, at.port, client_options(), 10, (IPV4, 0)),
        lambda at: wrapClientTLS(client_options("localhost"), HostnameEndpoint(reactor, "localhost", at.port)),
        lambda at: wrapClientTLS(client_options(), TCP4ClientEndpoint(reactor, at.host, at.port), clock=reactor),
    ]
    for client in clients:
        await _converse(SSL4ServerEndpoint(reactor, 0, server_options(), 5, IPV4), client)
        await _converse(wrapServerTLS(server_options(), TCP4ServerEndpoint(reactor, 0, interface=IPV4)), client)
    endpoint = TCP4ServerEndpoint(reactor, 0, interface=IPV4)
    await _converse(wrapServerTLS(_plain_server(), endpoint, clock=reactor), clients[0])


@behaviour
@in_reactor
async def a_tls_connection_is_made_from_the_address_that_is_asked_for(rig: Rig) -> None:
    with socket.socket() as probe:
        probe.bind((IPV4, 0))
        free = probe.getsockname()[1]
    port = rig.reactor.listenSSL(0, Server(_Echo), server_options(), backlog=5, interface=IPV4)
    factory = Client(Secured)
    rig.reactor.connectSSL(IPV4, port.getHost().port, factory, client_options(), timeout=10, bindAddress=(IPV4, free))
    client = await factory.connects()
    await client.happens("secured")
    assert client.transport.getHost().port == free
    assert (await port.factory.accepts()).transport.getPeer().port == free
    await port.stopListening()


@behaviour
@in_reactor
async def an_endpoint_of_tls_is_reached_by_strings(rig: Rig) -> None:
    reactor, folder = rig.reactor, _folder(rig)
    shown = authority().issue(IPV4, "localhost")
    (folder / "key.pem").write_bytes(shown.privateKey.dump(FILETYPE_PEM))
    (folder / "cert.pem").write_bytes(shown.dump(FILETYPE_PEM))
    (folder / "roots").mkdir()
    (folder / "roots" / "root.pem").write_bytes(authority().pem)
    (folder / "all.pem").write_bytes(shown.dumpPEM())
    at = quoteStringArgument(str(folder))
    servers = [
        f"ssl:0:privateKey={at}/key.pem:certKey={at}/cert.pem:interface={IPV4}:backlog=5",
        f"ssl:0:{at}/all.pem:interface={IPV4}:sslmethod=TLSv1_2_METHOD",
        f"tls:{at}:port=0:interface={IPV4}",
    ]
    clients: list[Callable[[Any], str]] = [
        lambda host: f"tls:{IPV4}:{host.port}:trustRoots={at}/roots:timeout=10",
        lambda host: f"tls:localhost:{host.port}:trustRoots={at}/roots/root.pem:bindAddress={IPV4}",
        lambda host: f"tls:localhost:trustRoots={at}/roots:endpoint=tcp\\:{IPV4}\\:{host.port}",
        lambda host: f"ssl:{IPV4}:{host.port}:caCertsDir={at}/roots:certKey={at}/all.pem",
    ]
    with log_records(_WARNING):   # one says that ssl: is old
        for server, client in zip([*servers, servers[0]], clients, strict=True):
            await _converse(serverFromString(reactor, server), _client_from(reactor, client))


def _client_from(reactor: Any, text_of: Callable[[Any], str]) -> Callable[[Any], Any]:
    return lambda host: clientFromString(reactor, text_of(host))


@behaviour
@in_reactor
async def the_files_of_a_folder_serve_each_its_own_host_and_renewed_ones_too(rig: Rig) -> None:
    folder, now = _folder(rig), [0.0]
    first = {name: _shows(folder, name) for name in ("one.example", "two.example")}
    served = PEMFolder(folder, seconds=lambda: now[0])
    endpoint = wrapServerTLS(served, TCP4ServerEndpoint(rig.reactor, 0, interface=IPV4))
    port: Any = await endpoint.listen(Server(_Echo))
    for name, shown in first.items():
        assert await _certificate(rig, port, name) == shown.dump()
    renewed = _shows(folder, "one.example")
    assert await _certificate(rig, port, "one.example") == first["one.example"].dump()
    now[0] += 1
    assert await _certificate(rig, port, "one.example") == renewed.dump()
    await port.stopListening()


def _shows(folder: pathlib.Path, name: str) -> PrivateCertificate:
    shown = authority().issue(name)
    (folder / f"{name}.pem").write_bytes(shown.dumpPEM())
    return shown


async def _certificate(rig: Rig, port: Any, name: str) -> bytes:
    """What the server at `port` shows to a client that wants `name`."""
    client = wrapClientTLS(client_options(name), TCP4ClientEndpoint(rig.reactor, IPV4, port.getHost().port))
    protocol = await connectProtocol(client, Secured())
    await protocol.happens("secured")
    shown: bytes = protocol.transport.getPeerCertificate(binary=True)
    protocol.transport.loseConnection()
    await protocol.ends()
    return shown


@behaviour
@in_reactor
async def a_wrong_certificate_ends_the_connection_that_an_endpoint_has_made(rig: Rig) -> None:
    reactor = rig.reactor
    elsewhere = authority().issue("example.org").options()
    for endpoint in (
        SSL4ServerEndpoint(reactor, 0, elsewhere, interface=IPV4),
        wrapServerTLS(elsewhere, TCP4ServerEndpoint(reactor, 0, interface=IPV4)),
    ):
        port: Any = await endpoint.listen(Server())
        number = port.getHost().port
        for client in (
            SSL4ClientEndpoint(reactor, "localhost", number, client_options("localhost")),
            SSL4ClientEndpoint(reactor, "localhost", number, _plain_client()),
            wrapClientTLS(client_options("localhost"), HostnameEndpoint(reactor, "localhost", number)),
            wrapClientTLS(_plain_client(), HostnameEndpoint(reactor, "localhost", number)),
        ):
            protocol: Any = await client.connect(Factory.forProtocol(Secured))
            reason = await protocol.ends()
            assert isinstance(reason, CertificateError)
            assert "the certificate of localhost is not accepted" in str(reason), reason
            assert protocol.events == ["made", "lost"]
        await port.stopListening()


@behaviour
@needs("resets")
@in_reactor
async def a_forwarder_that_does_not_believe_its_destination_says_so_and_resets_the_client(rig: Rig) -> None:
    elsewhere = authority().issue("example.org").options()
    port = rig.reactor.listenSSL(0, Server(), elsewhere, interface=IPV4)
    destination = SSL4ClientEndpoint(rig.reactor, "localhost", port.getHost().port, client_options("localhost"))
    forwarder = rig.reactor.listenTCP(0, Forwarder(destination), interface=IPV4)
    with log_records(_WARNING) as records:
        client = await connectProtocol(TCP4ClientEndpoint(rig.reactor, IPV4, forwarder.getHost().port), Recorder())
        client.transport.write(b"never read")
        assert "reset" in str(await client.ends())
    (said,) = (record.getMessage() for record in records)
    assert "cannot be forwarded: TLS failed: the certificate of localhost is not accepted" in said


@behaviour
@in_reactor
async def an_attempt_over_a_wrapped_endpoint_can_be_cancelled_and_fails_as_the_endpoint_does(rig: Rig) -> None:
    port: Any = await TCP4ServerEndpoint(rig.reactor, 0, interface=IPV4).listen(Server())
    wrapped = wrapClientTLS(client_options(), TCP4ClientEndpoint(rig.reactor, IPV4, port.getHost().port))
    attempt = wrapped.connect(Factory.forProtocol(Secured))
    attempt.cancel()
    with raises(ConnectingCancelledError):
        await attempt

    class Refuses(Factory):
        def buildProtocol(self, addr: Any) -> None:
            """None refuses."""

    with raises(NoProtocol):
        await wrapped.connect(Refuses())
    await port.stopListening()
    with raises(ConnectionRefusedError):
        await wrapped.connect(Factory.forProtocol(Secured))


@behaviour
@in_reactor
async def a_context_that_cannot_be_had_fails_listen_and_connect(rig: Rig) -> None:
    class Broken:
        def getContext(self) -> ssl.SSLContext:
            raise ZeroDivisionError

    for wrong, kind in ((None, TypeError), (Broken(), ZeroDivisionError)):
        for server in (
            SSL4ServerEndpoint(rig.reactor, 0, wrong, interface=IPV4),
            wrapServerTLS(wrong, TCP4ServerEndpoint(rig.reactor, 0, interface=IPV4)),
        ):
            with raises(kind):
                await server.listen(Server())
        for client in (
            SSL4ClientEndpoint(rig.reactor, IPV4, 9, wrong),
            wrapClientTLS(wrong, TCP4ClientEndpoint(rig.reactor, IPV4, 9)),
        ):
            with raises(kind):
                await client.connect(Factory.forProtocol(Secured))
    assert not rig.reactor.transports


# -- over other endpoints


def _place(rig: Rig) -> str:
    require("UNIX sockets")
    return os.path.join(rig.keep(tempfile.TemporaryDirectory()), "sock")


@behaviour
@in_reactor
async def tls_goes_over_unix_sockets(rig: Rig) -> None:
    reactor, path = rig.reactor, _place(rig)
    root = _folder(rig) / "root.pem"
    root.write_bytes(authority().pem)
    clients: list[Callable[[Any], Any]] = [
        lambda at: wrapClientTLS(client_options("localhost"), UNIXClientEndpoint(reactor, path)),
        lambda at: clientFromString(reactor, f"tls:localhost:trustRoots={root}:endpoint=unix\\:{path}"),
    ]
    for client in clients:
        await _converse(wrapServerTLS(server_options(), UNIXServerEndpoint(reactor, path)), client)


@behaviour
@in_reactor
async def a_protocol_that_takes_descriptors_gets_none_within_tls(rig: Rig) -> None:
    class Takes(Secured):
        def fileDescriptorReceived(self, descriptor: int) -> None:
            raise AssertionError("descriptors travel beside the bytes, not within TLS")

    path, factory = _place(rig), Server(Takes)
    await wrapServerTLS(server_options(), UNIXServerEndpoint(rig.reactor, path)).listen(factory)
    plain = rig.keep(socket.socket(socket.AF_UNIX))
    plain.connect(path)
    peer = ByHand(rig, plain, client_options("localhost").context, name="localhost")
    socket.send_fds(plain, [peer.hello()], [plain.fileno()])
    accepted = await factory.accepts()
    await peer.shakes()
    peer.write(b"x")
    await accepted.gets(b"x")
    with raises(OSError):
        accepted.transport.sendFileDescriptor(plain.fileno())


@behaviour
@in_reactor
async def a_plain_context_over_an_endpoint_without_a_host_fails_the_attempt(rig: Rig) -> None:
    path = _place(rig)
    await wrapServerTLS(server_options(), UNIXServerEndpoint(rig.reactor, path)).listen(Server())
    with raises(ValueError):
        await wrapClientTLS(_plain_client(), UNIXClientEndpoint(rig.reactor, path)).connect(
            Factory.forProtocol(Secured)
        )
    rig.expect_errors(ValueError)


@behaviour
@in_reactor
async def tls_goes_on_behind_a_proxy_whose_header_came_with_the_first_records(rig: Rig) -> None:
    class Asks(_Echo):
        seen: Any = None

        def connectionMade(self) -> None:
            self.seen = self.transport.getPeer().host
            super().connectionMade()

    for rest in (slice(0, 0), slice(0, 40), slice(0, None)):
        factory = Server(Asks)
        endpoint = wrapServerTLS(server_options(), proxyEndpoint(TCP4ServerEndpoint(rig.reactor, 0, interface=IPV4)))
        port: Any = await endpoint.listen(factory)
        peer = ByHand(rig, plain_socket(rig, port), client_options().context)
        hello = peer.hello()
        peer.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 443\r\n" + hello[rest])
        accepted = await factory.accepts()
        peer.send(hello[len(hello[rest]) :])
        await peer.shakes()
        peer.write(b"hello")
        await peer.gets(b"hello")
        assert accepted.seen == "192.0.2.1"
        assert accepted.events == ["made", "secured"]
        await port.stopListening()


@behaviour
@in_reactor
async def what_came_with_a_header_is_never_taken_for_what_came_by_tls(rig: Rig) -> None:
    factory = Server(_Echo)
    endpoint = wrapServerTLS(server_options(), proxyEndpoint(TCP4ServerEndpoint(rig.reactor, 0, interface=IPV4)))
    port: Any = await endpoint.listen(factory)
    plain_socket(rig, port).sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 443\r\nMAIL FROM:<>\r\n")
    accepted = await factory.accepts()
    await accepted.ends()
    assert accepted.received == b""
    await port.stopListening()


# -- what both sides speak


def _server_contexts(rig: Rig) -> Iterator[tuple[str, Any]]:
    """Every kind of context factory that a server may have; each is for 127.0.0.1 and localhost."""
    options, folder = server_options(), _folder(rig)
    (folder / "localhost.pem").write_bytes(authority().issue(IPV4, "localhost").dumpPEM())
    yield "CertificateOptions", options
    yield "SNIMap", SNIMap({"localhost": options}, default=options)
    yield "SNIMap of plain contexts", SNIMap({"localhost": _plain_server()}, default=_plain_server())
    yield "PEMFolder", PEMFolder(folder)
    yield "a plain context", _plain_server()
    yield "a factory of one's own", _Context(_plain_server())


@behaviour
@in_reactor
async def what_a_factory_speaks_is_negotiated_with_every_kind_of_context(rig: Rig) -> None:
    reactor = rig.reactor
    for kind, context in _server_contexts(rig):
        for server in (
            SSL4ServerEndpoint(reactor, 0, context, interface=IPV4),
            wrapServerTLS(context, TCP4ServerEndpoint(reactor, 0, interface=IPV4)),
        ):
            port: Any = await server.listen(_Speaks(b"h2", b"http/1.1", protocol=_Echo))
            number = port.getHost().port
            for client in (
                SSL4ClientEndpoint(reactor, "localhost", number, client_options("localhost")),
                SSL4ClientEndpoint(reactor, "localhost", number, _plain_client()),
                wrapClientTLS(_Context(_plain_client()), HostnameEndpoint(reactor, "localhost", number)),
            ):
                protocol = await client.connect(_Speaks(b"spdy/3", b"http/1.1"))
                await protocol.happens("secured")
                assert protocol.transport.negotiatedProtocol == b"http/1.1", kind
                protocol.transport.loseConnection()
                await protocol.ends()
            await port.stopListening()


@behaviour
@in_reactor
async def what_a_factory_speaks_does_not_change_the_options_that_others_use_too(rig: Rig) -> None:
    both = [b"h2", b"http/1.1"]
    options = authority().issue(IPV4).options()
    for factory, expected in ((_Speaks(b"h2"), b"h2"), (Server(Secured), None), (_Speaks(b"http/1.1"), b"http/1.1")):
        port = rig.reactor.listenSSL(0, factory, options, interface=IPV4)
        client = SSL4ClientEndpoint(rig.reactor, IPV4, port.getHost().port, client_options(acceptableProtocols=both))
        protocol: Any = await connectProtocol(client, Secured())
        await protocol.happens("secured")
        assert protocol.transport.negotiatedProtocol == expected
        protocol.transport.loseConnection()
        await protocol.ends()
        await port.stopListening()


@behaviour
@in_reactor
async def the_names_of_the_context_stay_behind_those_of_the_factory(rig: Rig) -> None:
    options = server_options().withProtocols([b"http/1.1"])
    port = rig.reactor.listenSSL(0, _Speaks(b"h2"), options, interface=IPV4)
    for offered, chosen in (([b"http/1.1"], b"http/1.1"), ([b"http/1.1", b"h2"], b"h2")):
        client = SSL4ClientEndpoint(
            rig.reactor, IPV4, port.getHost().port, client_options(acceptableProtocols=offered)
        )
        protocol: Any = await connectProtocol(client, Secured())
        await protocol.happens("secured")
        assert protocol.transport.negotiatedProtocol == chosen
        protocol.transport.loseConnection()
        await protocol.ends()
    await port.stopListening()


@behaviour
@in_reactor
async def a_plain_context_is_refused_for_two_factories_that_speak_different_protocols(rig: Rig) -> None:
    for context in (shared := _plain_server(), _Context(shared)):
        for _ in range(2):
            port = rig.reactor.listenSSL(0, _Speaks(b"h2"), context, interface=IPV4)
            await port.stopListening()
        with raises(ValueError) as refused:
            rig.reactor.listenSSL(0, _Speaks(b"smtp"), context, interface=IPV4)
        assert "use one context for each list" in str(refused[0])
        with raises(ValueError):
            await wrapServerTLS(context, TCP4ServerEndpoint(rig.reactor, 0, interface=IPV4)).listen(_Speaks(b"smtp"))


# -- sessions


@behaviour
@in_reactor
async def a_session_is_resumed_whoever_ended_the_connection_before(rig: Rig) -> None:
    class Hangs(Secured):
        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            self.transport.write(data)
            self.transport.loseConnection()

    for version in VERSIONS:
        for make in (_Echo, Hangs):
            options, expected = client_options("localhost"), False
            endpoint = wrapServerTLS(server_options(version), TCP4ServerEndpoint(rig.reactor, 0, interface=IPV4))
            port: Any = await endpoint.listen(Server(make))
            wrapped = wrapClientTLS(options, TCP4ClientEndpoint(rig.reactor, IPV4, port.getHost().port))
            for _ in range(3):
                protocol: Any = await connectProtocol(wrapped, Secured())
                protocol.transport.write(b"x")
                await protocol.gets(b"x")
                session = protocol.transport.channel.session
                assert session.session_reused is expected, (version, make)
                assert session.version() == version.name.replace("_", ".")
                assert protocol.transport.getPeerCertificate()["subject"] == ((("commonName", IPV4),),)
                if make is _Echo:
                    protocol.transport.loseConnection()
                assert isinstance(await protocol.ends(), ConnectionDone)
                expected = True
            await port.stopListening()


@behaviour
@in_reactor
async def a_session_is_resumed_by_factories_that_speak_the_same_protocols(rig: Rig) -> None:
    port = rig.reactor.listenSSL(0, _Speaks(b"h2", b"http/1.1", protocol=_Echo), server_options(), interface=IPV4)
    number = port.getHost().port
    for client in (
        SSL4ClientEndpoint(rig.reactor, IPV4, number, client_options()),
        wrapClientTLS(client_options(), TCP4ClientEndpoint(rig.reactor, IPV4, number)),
    ):
        for names, resumed in (([b"h2"], False), ([b"h2"], True), ([b"http/1.1"], False), ([b"h2"], True)):
            protocol: Any = await client.connect(_Speaks(*names))
            protocol.transport.write(b"x")
            await protocol.gets(b"x")
            assert protocol.transport.channel.session.session_reused is resumed, names
            assert protocol.transport.negotiatedProtocol == names[0]
            protocol.transport.loseConnection()
            await protocol.ends()
    await port.stopListening()


@behaviour
@in_reactor
async def the_limit_of_a_context_factory_holds_whatever_is_negotiated(rig: Rig) -> None:
    shown = authority().issue(IPV4).options()
    contexts: list[Any] = [shown, SNIMap({}, default=shown), _Context(_plain_server())]
    for context in contexts:
        context.handshakeTimeout = 0.05
        for speaking in (Server(Secured), _Speaks(b"h2")):
            port = rig.reactor.listenSSL(0, speaking, context, interface=IPV4)
            endpoint = TCP4ClientEndpoint(rig.reactor, IPV4, port.getHost().port)
            silent: Any = await connectProtocol(endpoint, Recorder())
            await silent.ends()
            await port.stopListening()


@behaviour
@in_reactor
async def a_session_of_a_server_that_was_not_believed_is_not_kept(rig: Rig) -> None:
    for version in VERSIONS:
        options = client_options("example.org")
        port = rig.reactor.listenSSL(0, Server(), server_options(version), interface=IPV4)
        client = SSL4ClientEndpoint(rig.reactor, IPV4, port.getHost().port, options)
        for _ in range(2):
            protocol: Any = await connectProtocol(client, Secured())
            assert isinstance(await protocol.ends(), CertificateError)
            assert options.session is None
        await port.stopListening()


# -- names


class _Resolver:
    """Finds 127.0.0.1, and keeps the names that were asked for in `asked`."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        self.asked.append(hostName)
        resolutionReceiver.resolutionBegan(self)
        resolutionReceiver.addressResolved(IPv4Address("TCP", IPV4, portNumber))
        resolutionReceiver.resolutionComplete()
        return self

    name = "all"

    def cancel(self) -> None:
        """It is done at once."""


@behaviour
@in_reactor
async def an_international_name_is_looked_up_as_it_is_verified(rig: Rig) -> None:
    reactor, resolver = rig.reactor, _Resolver()
    reactor.installNameResolver(resolver)
    for name in ("bücher.example", "Faß.example"):
        verified = server_name(name)   # for 'ß' it depends on what is installed
        options = authority().issue(verified).options()
        port = reactor.listenSSL(0, Server(_Echo), options, interface=IPV4)
        number = port.getHost().port
        for client in (
            SSL4ClientEndpoint(reactor, name, number, client_options(name)),
            SSL4ClientEndpoint(reactor, name, number, _plain_client()),
            wrapClientTLS(client_options(name), HostnameEndpoint(reactor, name, number)),
            wrapClientTLS(_plain_client(), HostnameEndpoint(reactor, name, number)),
        ):
            protocol: Any = await connectProtocol(client, Secured())
            protocol.transport.write(b"x")
            await protocol.gets(b"x")
            protocol.transport.loseConnection()
            await protocol.ends()
            assert resolver.asked.pop() == verified
        await port.stopListening()


@behaviour
@in_reactor
async def what_tls_is_told_to_prove_in_the_middle_of_a_stream_may_be_any_spelling_of_a_host(rig: Rig) -> None:
    class Turns(Secured):
        def dataReceived(self, data: bytes) -> None:
            if not self.transport.TLS:
                self.transport.write(b"do")
                self.transport.startTLS(server_options())
            super().dataReceived(data)

    for name in ("localhost", "LocalHost.", IPV4):
        port: Any = await TCP4ServerEndpoint(rig.reactor, 0, interface=IPV4).listen(Server(Turns))
        client: Any = await connectProtocol(TCP4ClientEndpoint(rig.reactor, IPV4, port.getHost().port), Secured())
        client.transport.write(b"shall we?")
        await client.gets(b"do")
        client.transport.startTLS(_plain_client(), serverHostname=name)
        await client.happens("secured")
        client.transport.loseConnection()
        await client.ends()
        await port.stopListening()


@behaviour
@in_reactor
async def the_side_that_was_connected_to_may_be_the_client_of_tls(rig: Rig) -> None:
    class Asks(Secured):
        def connectionMade(self) -> None:
            super().connectionMade()
            self.transport.startTLS(client_options(), normal=False)

    class Answers(Secured):
        def connectionMade(self) -> None:
            super().connectionMade()
            self.transport.startTLS(server_options(), normal=False)

    factory = Server(Asks)
    port: Any = await TCP4ServerEndpoint(rig.reactor, 0, interface=IPV4).listen(factory)
    answering = await connectProtocol(TCP4ClientEndpoint(rig.reactor, IPV4, port.getHost().port), Answers())
    asking = await factory.accepts()
    asking.transport.write(b"over the rope")
    await answering.gets(b"over the rope")
    assert asking.transport.getPeerCertificate()["subject"] == ((("commonName", IPV4),),)
    assert answering.transport.getPeerCertificate() is None
    await port.stopListening()


@behaviour
@in_reactor
async def a_name_that_is_none_is_not_looked_up(rig: Rig) -> None:
    resolver = _Resolver()
    rig.reactor.installNameResolver(resolver)
    with raises(OSError) as failed:
        await HostnameEndpoint(rig.reactor, "ü..example", 9).connect(Factory.forProtocol(Recorder))
    assert "is no name of a host" in str(failed[0])
    assert resolver.asked == []


@behaviour
@in_reactor
async def tls_goes_over_a_pair_of_pipes(rig: Rig) -> None:
    class Client(Secured):
        def connectionMade(self) -> None:
            self.transport.startTLS(client_options("localhost"))
            super().connectionMade()

    class Serving(_Echo):
        def connectionMade(self) -> None:
            self.transport.startTLS(server_options(), normal=False)   # neither has connected to the other
            super().connectionMade()

    (there_in, there_out), (back_in, back_out) = os.pipe(), os.pipe()
    serving, client = Serving(), Client()
    StandardIO(serving, there_in, back_out, rig.reactor)
    StandardIO(client, back_in, there_out, rig.reactor)
    much = b"over pipes " * 50_000
    client.transport.write(much)
    await client.gets(much)
    assert "secured" in client.events
    assert client.transport.getPeerCertificate()
    client.transport.loseConnection()
    assert isinstance(await client.ends(), ConnectionDone)
    assert isinstance(await serving.ends(), ConnectionDone)
