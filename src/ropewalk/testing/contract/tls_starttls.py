"""startTLS: a stream that goes on over TLS in its middle, on TCP and UNIX sockets, with either side as the client."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from ropewalk.errors import CertificateError, ConnectionDone, TLSError
from ropewalk.internet.ssl import CertificateOptions
from ropewalk.testing.contract import behaviour
from ropewalk.testing.contract.sendfile import in_memory, regular
from ropewalk.testing.contract.tcp_streams import pattern
from ropewalk.testing.features import needs, why_missing
from ropewalk.testing.peers import Echo, Recorder, in_reactor, pair, passes, plain_pair, waits
from ropewalk.testing.rig import Rig, raises
from ropewalk.testing.tls_peers import (
    VERSIONS,
    ByHand,
    Secured,
    authority,
    client_options,
    server_options,
    split_records,
)
from ropewalk.testing.unix_peers import unix_pair

Pair = Callable[..., Coroutine[Any, Any, tuple[Any, Any]]]
_PAIRS: tuple[Pair, ...] = (pair, unix_pair) if why_missing("UNIX sockets") is None else (pair,)


class Upgrades(Secured):
    """Answers STARTTLS in the clear, and goes on over TLS."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if data == b"STARTTLS":
            self.transport.write(b"go ahead")
            self.transport.startTLS(server_options())


async def upgraded(rig: Rig, connect: Pair, server: Callable[[], Any] = Upgrades) -> tuple[Any, Any]:
    """The two ends of a connection that has begun in the clear and goes on over TLS."""
    client, accepted = await connect(rig, Secured, server)
    client.transport.write(b"STARTTLS")
    await client.gets(b"go ahead")
    client.transport.startTLS(client_options())
    return client, accepted


@behaviour
@in_reactor
async def a_stream_goes_on_over_tls_in_its_middle(rig: Rig) -> None:
    data = pattern(2_000_003)
    for connect in _PAIRS:
        client, server = await upgraded(rig, connect)
        assert client.transport.TLS
        client.transport.write(data)
        server.transport.write(data[1:])
        await server.gets(b"STARTTLS" + data)
        await client.gets(b"go ahead" + data[1:])
        assert client.transport.getPeerCertificate()
        client.transport.loseConnection()
        for end in (client, server):
            assert isinstance(await end.ends(), ConnectionDone)
            assert end.events == ["made", "secured", "lost"]


@behaviour
@in_reactor
async def what_was_written_before_start_tls_goes_out_in_the_clear_and_first(rig: Rig) -> None:
    plain, server = await plain_pair(rig)
    data = pattern(5_000_000)
    server.transport.write(data)
    server.transport.startTLS(server_options())
    server.transport.write(b"secret")
    peer = ByHand(rig, plain, client_options().context)
    clear = bytearray()
    while len(clear) < len(data):
        try:
            clear += plain.recv(len(data) - len(clear))
        except BlockingIOError:
            await passes(rig)
    assert clear == data
    peer.send(peer.hello())
    await peer.gets(b"secret")


@behaviour
@in_reactor
async def nothing_that_is_written_after_start_tls_goes_out_in_the_clear(rig: Rig) -> None:
    plain, server = await plain_pair(rig)
    server.transport.write(b"clear")
    server.transport.startTLS(server_options())
    for _ in range(3):
        server.transport.write(b"secret")
        await passes(rig)
    server.transport.sendfile(in_memory(rig, b"secret")).addErrback(lambda _: None)
    await passes(rig, 0.01)
    assert plain.recv(1000) == b"clear"
    server.transport.loseConnection()
    plain.close()
    await server.ends()


@behaviour
@in_reactor
async def a_file_before_start_tls_goes_out_in_the_clear_and_one_after_it_encrypted(rig: Rig) -> None:
    content = pattern(700_001)
    for make in (regular, in_memory):
        client, server = await pair(rig, Secured, Secured)
        sent = server.transport.sendfile(make(rig, content))
        server.transport.startTLS(server_options())
        again = server.transport.sendfile(make(rig, content))
        await client.gets(content)
        client.transport.startTLS(client_options())
        assert (await sent, await again) == (len(content),) * 2
        await client.gets(content * 2)


@behaviour
@in_reactor
async def the_ciphertext_that_comes_while_plaintext_is_still_queued_is_not_taken_for_data(rig: Rig) -> None:
    plain, server = await plain_pair(rig, Secured)
    data = pattern(5_000_000)
    server.transport.write(data)
    server.transport.startTLS(server_options())
    peer = ByHand(rig, plain, client_options().context)
    peer.send(peer.hello())
    count = await waits(rig, 0.05)
    assert count < 20, f"the poller was asked {count} times in 0.05 s"
    assert server.received == b""
    clear = bytearray()
    while len(clear) < len(data):
        try:
            clear += plain.recv(len(data) - len(clear))
        except BlockingIOError:
            await passes(rig)
    assert clear == data
    await peer.shakes()
    peer.write(b"secret")
    await server.gets(b"secret")


@behaviour
@in_reactor
async def the_roles_can_be_reversed(rig: Rig) -> None:
    for connect in _PAIRS:
        client, server = await connect(rig, Secured, Secured)
        client.transport.startTLS(server_options(), normal=False)
        server.transport.startTLS(client_options(), normal=False)
        client.transport.write(b"from the side that connected")
        await server.gets(b"from the side that connected")
        assert server.transport.getPeerCertificate()
        assert not client.transport.getPeerCertificate()


@behaviour
@in_reactor
async def start_tls_twice_is_refused_and_the_connection_lives(rig: Rig) -> None:
    client, server = await upgraded(rig, pair)
    with raises(ValueError):
        client.transport.startTLS(client_options())
    client.transport.write(b"x")
    await server.gets(b"STARTTLSx")
    with raises(ValueError):
        server.transport.startTLS(server_options())
    client.transport.write(b"y")
    await server.gets(b"STARTTLSxy")


@behaviour
@in_reactor
async def start_tls_with_what_is_no_context_is_refused_and_the_connection_goes_on_in_the_clear(rig: Rig) -> None:
    client, server = await pair(rig)
    for wrong in (None, "context", object()):
        with raises(TypeError):
            client.transport.startTLS(wrong)
    assert not client.transport.TLS
    client.transport.write(b"clear")
    await server.gets(b"clear")


@behaviour
@in_reactor
async def start_tls_on_a_connection_that_is_lost_does_nothing(rig: Rig) -> None:
    client, server = await pair(rig)
    client.transport.abortConnection()
    client.transport.startTLS(client_options())
    await client.ends()
    client.transport.startTLS(client_options())
    await server.ends()
    assert not client.transport.TLS
    await passes(rig)
    assert not rig.reactor.getDelayedCalls()


@behaviour
@in_reactor
async def a_plain_context_verifies_the_name_that_start_tls_is_given_else_the_address(rig: Rig) -> None:
    context = ssl.create_default_context(cadata=authority().pem.decode())
    for certified, name, accepted in (
        ("localhost", "localhost", True),
        ("127.0.0.1", None, True),
        ("localhost", None, False),
        ("example.org", "localhost", False),
    ):
        shown = authority().issue(certified)
        client, server = await pair(rig, Secured, Secured)
        server.transport.startTLS(CertificateOptions(shown.privateKey, shown))
        client.transport.startTLS(context, serverHostname=name)
        if accepted:
            await client.happens("secured")
            client.transport.loseConnection()
        else:
            assert isinstance(await client.ends(), CertificateError)
        await server.ends()


@behaviour
@needs("UNIX sockets")
@in_reactor
async def over_a_unix_socket_a_context_that_wants_a_name_must_be_given_one(rig: Rig) -> None:
    context = ssl.create_default_context(cadata=authority().pem.decode())
    client, server = await unix_pair(rig, Secured, Secured)
    with raises(ValueError):
        client.transport.startTLS(context)
    client.transport.startTLS(context, serverHostname="localhost")
    server.transport.startTLS(server_options())
    client.transport.write(b"x")
    await server.gets(b"x")


@behaviour
@needs("UNIX sockets")
@in_reactor
async def descriptors_do_not_travel_with_tls_and_nothing_leaves_it(rig: Rig) -> None:
    client, server = await upgraded(rig, unix_pair)
    with raises(OSError):
        client.transport.sendFileDescriptor(0)
    client.transport.write(b"still secret")
    await server.gets(b"STARTTLSstill secret")
    assert client.transport.TLS


@behaviour
@in_reactor
async def a_peer_that_goes_on_in_the_clear_is_refused(rig: Rig) -> None:
    plain, server = await plain_pair(rig, Upgrades)
    plain.sendall(b"STARTTLS")
    await server.gets(b"STARTTLS")
    plain.sendall(b"MAIL FROM:<me@example.org>\r\n" * 10)
    reason = await server.ends()
    assert isinstance(reason, TLSError)
    assert server.received == b"STARTTLS"


class _SecuredEcho(Echo, Secured):
    """An Echo that notes the handshake, too."""


@behaviour
@in_reactor
async def start_tls_from_outside_of_a_callback_begins_too(rig: Rig) -> None:
    for version in VERSIONS:
        client, server = await pair(rig, Secured, _SecuredEcho)
        rig.reactor.callLater(0, server.transport.startTLS, server_options(version))
        rig.reactor.callLater(0.01, client.transport.startTLS, client_options())
        await client.happens("secured")
        client.transport.write(b"x")
        await client.gets(b"x")


@behaviour
@in_reactor
async def lose_connection_behind_start_tls_waits_for_what_was_written(rig: Rig) -> None:
    client, server = await pair(rig, Secured, Secured)
    client.transport.write(b"clear ")
    await server.gets(b"clear ")
    client.transport.startTLS(client_options())
    client.transport.write(b"secret")
    client.transport.loseConnection()
    server.transport.startTLS(server_options())
    await server.gets(b"clear secret")
    assert isinstance(await client.ends(), ConnectionDone)
    assert isinstance(await server.ends(), ConnectionDone)


@behaviour
@in_reactor
async def a_nested_loop_behind_start_tls_enters_the_protocol_no_second_time(rig: Rig) -> None:
    inside = False

    class Nests(Upgrades):
        def dataReceived(self, data: bytes) -> None:
            nonlocal inside
            assert not inside
            super().dataReceived(data)
            inside = True
            for _ in range(20):
                rig.reactor.iterate(0.001)
            inside = False

        def handshakeCompleted(self) -> None:
            assert not inside
            super().handshakeCompleted()

    plain, server = await plain_pair(rig, Nests)
    peer = ByHand(rig, plain, client_options().context)
    plain.send(b"STARTTLS")
    await server.gets(b"STARTTLS")
    clear = b""
    while len(clear) < 8:
        try:
            clear += plain.recv(8 - len(clear))
        except BlockingIOError:
            await passes(rig)
    peer.send(peer.hello())
    await peer.shakes()
    peer.write(b"secret")
    await server.gets(b"STARTTLSsecret")


@behaviour
@in_reactor
async def the_first_bytes_of_tls_are_a_client_hello_of_the_side_that_connected(rig: Rig) -> None:
    plain, server = await plain_pair(rig, Recorder)
    server.transport.startTLS(client_options("localhost"), normal=False)
    await passes(rig, 0.005)
    [hello], rest = split_records(plain.recv(10_000))
    assert hello.kind == 22
    assert not rest
    server.transport.abortConnection()
    await server.ends()
