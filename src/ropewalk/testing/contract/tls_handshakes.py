"""TLS handshakes: who is believed to be whom, what the two sides agree on, and what they are told when they do not."""

from __future__ import annotations

import ssl
import warnings
from typing import Any

from ropewalk.errors import CertificateError, ConnectionDone, TLSError
from ropewalk.internet.ssl import CertificateOptions, PrivateCertificate, SNIMap, trustRootFromCertificates
from ropewalk.testing.certificates import Authority, selfSigned
from ropewalk.testing.contract import behaviour
from ropewalk.testing.peers import IPV4, Client, Echo, in_reactor, passes, plain_socket
from ropewalk.testing.rig import Rig, raises
from ropewalk.testing.tls_peers import (
    VERSIONS,
    ByHand,
    Secured,
    authority,
    client_options,
    dial_tls,
    listen_tls,
    server_options,
    tls_pair,
)


async def fails(rig: Rig, client: Any, server: Any) -> tuple[Any, Any]:
    """Why the client and the server with these contexts part; the server's handshake is never done."""
    connected, accepted = await tls_pair(rig, clientContext=client, serverContext=server)
    connected.transport.write(b"never read")
    reasons = await connected.ends(), await accepted.ends()
    assert accepted.received == b""
    assert accepted.events == ["made", "lost"]
    return reasons


# -- whom a client believes


@behaviour
@in_reactor
async def a_certificate_that_is_not_believed_is_a_reason_that_says_why_and_whose_on_both_sides(rig: Rig) -> None:
    trusted = authority()
    cases: tuple[tuple[str, PrivateCertificate, tuple[str, ...], str], ...] = (
        ("localhost", selfSigned("localhost"), ("self-signed",), "unknown ca"),
        ("localhost", trusted.expired("localhost"), ("expired",), "certificate expired"),
        ("localhost", Authority("Nobody").issue("localhost"), ("local issuer",), "unknown ca"),
        ("localhost", trusted.issue("example.org"), ("mismatch", "not valid for 'localhost'"), "certificate"),
        (IPV4, trusted.issue("127.0.0.2"), ("mismatch", "not valid for '127.0.0.1'"), "certificate"),
        (IPV4, trusted.issue("localhost"), ("mismatch", "not valid for '127.0.0.1'"), "certificate"),
    )
    for name, shown, whys, told in cases:
        for version in VERSIONS:
            server = CertificateOptions(shown.privateKey, shown, raiseMinimumTo=version, lowerMaximumSecurityTo=version)
            reason, others = await fails(rig, client_options(name), server)
            assert type(reason) is CertificateError, reason
            assert f"the certificate of {name} is not accepted" in str(reason)
            for why in whys:
                assert why in str(reason), reason
            assert isinstance(reason.__cause__, ssl.SSLCertVerificationError)
            assert isinstance(others, TLSError), others
            assert "the peer does not accept our certificate" in str(others)
            assert told in str(others), others


@behaviour
@in_reactor
async def a_plain_context_verifies_the_name_that_is_connected_to(rig: Rig) -> None:
    context = ssl.create_default_context(cadata=authority().pem.decode())
    client, _ = await tls_pair(rig, server=Echo, clientContext=context)
    client.transport.write(b"x")
    await client.gets(b"x")
    other = authority().issue("example.org").options()
    reason, _ = await fails(rig, context, other)
    assert isinstance(reason, CertificateError)


@behaviour
@in_reactor
async def what_is_no_context_is_refused_to_the_caller_and_nothing_stays_open(rig: Rig) -> None:
    for wrong in (None, "context", object(), CertificateOptions):
        with raises(TypeError):
            rig.reactor.connectSSL(IPV4, 9, Client(), wrong)
        with raises(TypeError):
            rig.reactor.listenSSL(0, Client(), wrong, interface=IPV4)
    assert not rig.reactor.transports


@behaviour
@in_reactor
async def a_context_that_cannot_be_had_for_one_connection_loses_that_connection_only(rig: Rig) -> None:
    class Moody:
        asked = 0

        def getContext(self) -> ssl.SSLContext:
            self.asked += 1
            if self.asked == 2:
                raise ZeroDivisionError
            return server_options().getContext()

    port = listen_tls(rig, Secured, Moody())
    client = await dial_tls(rig, port).connects()
    await client.ends()
    assert isinstance(await port.factory.protocols[0].ends(), ZeroDivisionError)
    rig.expect_errors(ZeroDivisionError)
    client = await dial_tls(rig, port).connects()
    await client.happens("secured")


@behaviour
@in_reactor
async def a_name_that_is_none_loses_the_connection_and_says_so(rig: Rig) -> None:
    context = ssl.create_default_context(cadata=authority().pem.decode())
    port = listen_tls(rig)

    class Nameless:
        hostname = ""

        def getContext(self) -> ssl.SSLContext:
            return context

    factory = dial_tls(rig, port, context=Nameless())
    await factory.happens("lost")
    assert isinstance(factory.reasons[0], ValueError)
    rig.expect_errors(ValueError)


@behaviour
@in_reactor
async def a_factory_that_builds_no_protocol_for_tls_is_told_and_nothing_stays(rig: Rig) -> None:
    port = listen_tls(rig)
    factory = dial_tls(rig, port, make=lambda: None)
    await factory.happens("stop")
    assert factory.events[-2:] == ["lost", "stop"]
    await port.factory.protocols[0].ends()
    refusing = listen_tls(rig, lambda: None)
    assert await (await dial_tls(rig, refusing).connects()).ends()
    assert not rig.reactor.getDelayedCalls()


# -- client certificates


@behaviour
@in_reactor
async def a_server_that_asks_for_a_certificate_gets_it(rig: Rig) -> None:
    mine = authority().issue("me")
    for version in VERSIONS:
        client, server = await tls_pair(
            rig, clientContext=client_options(clientCertificate=mine), serverContext=_asking(version)
        )
        client.transport.write(b"x")
        await server.gets(b"x")
        assert server.transport.getPeerCertificate(True) == mine.dump()
        assert server.transport.getPeerCertificate()["subject"] == ((("commonName", "me"),),)
        client.transport.loseConnection()
        await server.ends()


def _asking(version: Any) -> CertificateOptions:
    shown = authority().issue(IPV4)
    trust = trustRootFromCertificates([authority().certificate])
    return CertificateOptions(
        shown.privateKey, shown, trustRoot=trust, raiseMinimumTo=version, lowerMaximumSecurityTo=version
    )


@behaviour
@in_reactor
async def a_client_without_the_certificate_that_is_required_is_told_so(rig: Rig) -> None:
    for version in VERSIONS:
        client, server = await tls_pair(rig, serverContext=_asking(version))
        reason = await server.ends()
        assert isinstance(reason, CertificateError)
        assert "the client showed no certificate" in str(reason)
        told = await client.ends()
        assert isinstance(told, TLSError)
        assert "the peer says" in str(told), told


@behaviour
@in_reactor
async def a_client_with_a_certificate_of_nobody_known_is_refused_and_told_so(rig: Rig) -> None:
    mine = Authority("Nobody").issue("me")
    for version in VERSIONS:
        client, server = await tls_pair(
            rig, clientContext=client_options(clientCertificate=mine), serverContext=_asking(version)
        )
        reason = await server.ends()
        assert type(reason) is CertificateError
        assert "the certificate of the client is not accepted" in str(reason)
        assert "the peer does not accept our certificate: unknown ca" in str(await client.ends())


# -- what is agreed on


@behaviour
@in_reactor
async def the_certificate_of_the_peer_and_the_protocol_are_known_when_the_handshake_is_done(rig: Rig) -> None:
    known: list[Any] = []

    class Asks(Secured):
        def connectionMade(self) -> None:
            assert self.transport.TLS
            known.append((self.transport.getPeerCertificate(), self.transport.negotiatedProtocol))
            super().connectionMade()

        def handshakeCompleted(self) -> None:
            super().handshakeCompleted()
            known.append((self.transport.getPeerCertificate(True), self.transport.negotiatedProtocol))

        def connectionLost(self, reason: Any) -> None:
            known.append((self.transport.getPeerCertificate(True), self.transport.negotiatedProtocol))
            super().connectionLost(reason)

    shown = authority().issue(IPV4)
    server = CertificateOptions(shown.privateKey, shown, acceptableProtocols=["h2", "http/1.1"])
    client, _ = await tls_pair(
        rig, client=Asks, clientContext=client_options(acceptableProtocols=["http/1.1", "h2"]), serverContext=server
    )
    await client.happens("secured")
    client.transport.loseConnection()
    await client.ends()
    assert known == [(None, None), (shown.dump(), b"h2"), (shown.dump(), b"h2")]


@behaviour
@in_reactor
async def without_a_protocol_in_common_there_is_none_and_the_connection_works(rig: Rig) -> None:
    shown = authority().issue(IPV4)
    server = CertificateOptions(shown.privateKey, shown, acceptableProtocols=["h2"])
    client, accepted = await tls_pair(
        rig, clientContext=client_options(acceptableProtocols=["spdy/3"]), serverContext=server
    )
    await client.happens("secured")
    await accepted.happens("secured")
    assert client.transport.negotiatedProtocol is None
    assert accepted.transport.negotiatedProtocol is None


@behaviour
@in_reactor
async def what_the_factories_accept_is_negotiated_too(rig: Rig) -> None:
    class Knows(Client):
        def acceptableProtocols(self) -> list[bytes]:
            return [b"http/1.1"]

    shown = authority().issue(IPV4)
    server = CertificateOptions(shown.privateKey, shown, acceptableProtocols=["http/1.1"])
    plain = ssl.create_default_context(cadata=authority().pem.decode())
    for context in (client_options(), plain):
        port = listen_tls(rig, Secured, server)
        factory = Knows(Secured)
        rig.reactor.connectSSL(IPV4, port.getHost().port, factory, context)
        client = await factory.connects()
        await client.happens("secured")
        assert client.transport.negotiatedProtocol == b"http/1.1"


@behaviour
@in_reactor
async def the_server_hears_the_name_that_the_client_asks_for_and_chooses_by_it(rig: Rig) -> None:
    heard: list[Any] = []
    context = server_options().newServerContext()
    context.sni_callback = lambda tls, name, _: heard.append(name)
    for name in ("localhost", IPV4):
        client, _ = await tls_pair(rig, clientContext=client_options(name), serverContext=context)
        await client.happens("secured")
    assert heard == ["localhost", None], "an address is no name (RFC 6066)"


@behaviour
@in_reactor
async def a_name_that_a_server_has_no_certificate_for_is_told_to_both_sides(rig: Rig) -> None:
    client, server = await fails(rig, client_options("localhost"), SNIMap({"example.org": server_options()}))
    assert type(client) is type(server) is TLSError
    assert "unrecognized name" in str(client)
    assert "no certificate for the name that the client asks for" in str(server)


@behaviour
@in_reactor
async def a_second_connection_resumes_the_session_of_the_first(rig: Rig) -> None:
    for version in VERSIONS:
        server = server_options(version)
        options = client_options()
        port = listen_tls(rig, Echo, server)
        for resumed in (False, True):
            client = await dial_tls(rig, port, context=options).connects()
            client.transport.write(b"x")
            await client.gets(b"x")
            assert client.transport.channel.session.session_reused is resumed, version
            client.transport.loseConnection()
            assert isinstance(await client.ends(), ConnectionDone)


@behaviour
@in_reactor
async def both_speak_the_newest_version_that_both_know_and_none_below_1_2(rig: Rig) -> None:
    for version in VERSIONS:
        client, server = await tls_pair(rig, serverContext=server_options(version))
        for end in (client, server):
            await end.happens("secured")
            assert end.transport.channel.session.version() == version.name.replace("_", ".")
    port = listen_tls(rig)
    peer = ByHand(rig, plain_socket(rig, port), _old())
    await peer.until(lambda: peer.error is not None)
    reason = await port.factory.protocols[0].ends()
    assert isinstance(reason, TLSError)
    assert "version" in str(reason), reason


def _old() -> ssl.SSLContext:
    """A client's context that knows nothing newer than TLS 1.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@behaviour
@in_reactor
async def sides_without_a_version_in_common_part_and_say_so(rig: Rig) -> None:
    newest = ssl.create_default_context(cadata=authority().pem.decode())
    newest.minimum_version = ssl.TLSVersion.TLSv1_3
    reason, others = await fails(rig, newest, server_options(VERSIONS[0]))
    for why in (reason, others):
        assert isinstance(why, TLSError)
        assert "version" in str(why), why


# -- when it is done


@behaviour
@in_reactor
async def handshake_completed_is_told_once_after_connection_made_and_before_data(rig: Rig) -> None:
    class Notes(Secured):
        def connectionMade(self) -> None:
            super().connectionMade()
            self.transport.write(b"at once")

        def dataReceived(self, data: bytes) -> None:
            self.note("data")
            super().dataReceived(data)

    for version in VERSIONS:
        client, server = await tls_pair(rig, Notes, Notes, serverContext=server_options(version))
        await client.gets(b"at once")
        await server.gets(b"at once")
        client.transport.loseConnection()
        await client.ends()
        await server.ends()
        for end in (client, server):
            assert [event for event in end.events if event != "data"] == ["made", "secured", "lost"]
            assert end.events.index("secured") < end.events.index("data")


@behaviour
@in_reactor
async def what_is_written_when_the_handshake_is_done_arrives_behind_what_was_written_before(rig: Rig) -> None:
    class Writes(Secured):
        def connectionMade(self) -> None:
            super().connectionMade()
            self.transport.write(b"first ")

        def handshakeCompleted(self) -> None:
            self.transport.write(b"second")
            super().handshakeCompleted()

    client, server = await tls_pair(rig, Writes, Writes)
    await client.gets(b"first second")
    await server.gets(b"first second")


@behaviour
@in_reactor
async def a_protocol_that_fails_when_the_handshake_is_done_loses_its_connection_only(rig: Rig) -> None:
    class Fails(Secured):
        def handshakeCompleted(self) -> None:
            raise ZeroDivisionError

    other, _ = await tls_pair(rig, server=Echo)
    client, server = await tls_pair(rig, server=Fails)
    assert isinstance(await server.ends(), ZeroDivisionError)
    rig.expect_errors(ZeroDivisionError)
    await client.ends()
    other.transport.write(b"x")
    await other.gets(b"x")


@behaviour
@in_reactor
async def a_program_that_reads_nothing_yet_gets_its_handshake_and_no_data(rig: Rig) -> None:
    class Pauses(Secured):
        def connectionMade(self) -> None:
            super().connectionMade()
            self.transport.pauseProducing()

    class Sends(Secured):
        def connectionMade(self) -> None:
            super().connectionMade()
            self.transport.write(b"early")

    client, server = await tls_pair(rig, client=Sends, server=Pauses)
    await server.happens("secured")
    await client.happens("secured")
    await passes(rig, 0.02)
    assert server.received == b""
    server.transport.resumeProducing()
    await server.gets(b"early")


@behaviour
@in_reactor
async def a_protocol_that_pauses_when_the_handshake_is_done_gets_what_came_with_it_later(rig: Rig) -> None:
    class Pauses(Secured):
        def handshakeCompleted(self) -> None:
            self.transport.pauseProducing()
            super().handshakeCompleted()

    class Sends(Secured):
        def connectionMade(self) -> None:
            super().connectionMade()
            self.transport.write(b"early")
            self.transport.loseConnection()

    _, server = await tls_pair(rig, client=Sends, server=Pauses)
    await server.happens("secured")
    await passes(rig, 0.02)
    assert server.events == ["made", "secured"]
    assert server.received == b""
    server.transport.resumeProducing()
    await server.gets(b"early")
    assert isinstance(await server.ends(), ConnectionDone)


@behaviour
@in_reactor
async def a_handshake_that_comes_byte_by_byte_is_done_all_the_same(rig: Rig) -> None:
    port = listen_tls(rig, Echo)
    peer = ByHand(rig, plain_socket(rig, port), client_options().context)
    for byte in peer.hello():
        peer.send(bytes([byte]))
        await passes(rig)
    await peer.shakes()
    for byte in peer.encrypt(b"slowly"):
        peer.send(bytes([byte]))
        await passes(rig)
    await peer.gets(b"slowly")


@behaviour
@in_reactor
async def a_nested_loop_when_the_handshake_is_done_enters_the_protocol_no_second_time(rig: Rig) -> None:
    inside = False

    class Nests(Secured):
        def handshakeCompleted(self) -> None:
            nonlocal inside
            inside = True
            for _ in range(20):
                rig.reactor.iterate(0.001)
            inside = False
            super().handshakeCompleted()

        def dataReceived(self, data: bytes) -> None:
            assert not inside
            super().dataReceived(data)

        def connectionLost(self, reason: Any) -> None:
            assert not inside
            super().connectionLost(reason)

    class Sends(Secured):
        def connectionMade(self) -> None:
            super().connectionMade()
            self.transport.write(b"early")
            self.transport.loseConnection()

    _, server = await tls_pair(rig, client=Sends, server=Nests)
    assert isinstance(await server.ends(), ConnectionDone)
    assert server.received == b"early"
    assert server.events == ["made", "secured", "lost"]
