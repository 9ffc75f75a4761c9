"""Faults on TLS: peers that stop, send garbage or too much, and programs that turn the loop; the others go on."""

from __future__ import annotations

import ssl
from typing import Any

from ropewalk.errors import ConnectionDone, ConnectionLost, ConnectionTruncated, TLSError
from ropewalk.testing.contract import behaviour
from ropewalk.testing.peers import IPV4, Client, Echo, in_reactor, listen, passes, plain_socket, waits
from ropewalk.testing.rig import Rig
from ropewalk.testing.tls_peers import (
    ALERT,
    VERSIONS,
    ByHand,
    Secured,
    by_hand,
    client_options,
    listen_tls,
    server_options,
    tls_pair,
)

_GARBAGE = (
    b"\0" * 64,
    b"\xff" * 64,
    b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    b"\x16\x03\x01\x00\x05hello",                      # a handshake record with no handshake in it
    b"\x16\x03\x01\xff\xff" + b"x" * 70_000,           # longer than a record may be
    b"\x17\x03\x03\x00\x10" + b"x" * 16,               # data before any handshake
    b"\x15\x03\x01\x00\x02\x02\x28",                   # a fatal alert
    b"\x80\x2e\x01\x00\x02" + b"\0" * 44,              # SSL 2.0
)


class Hurried:
    """A server's context factory whose handshakes have to be done in `handshakeTimeout` seconds."""

    handshakeTimeout = 0.05

    def getContext(self) -> ssl.SSLContext:
        return server_options().getContext()


class HurriedClient:
    """The same for clients."""

    handshakeTimeout = 0.05
    hostname = "localhost"

    def getContext(self) -> ssl.SSLContext:
        return client_options("localhost").getContext()


async def shaking(rig: Rig, context: Any = None) -> tuple[Any, Any]:
    """A plain socket, and the protocol of the TLS server that waits for its handshake."""
    port = listen_tls(rig, Secured, context)
    plain = plain_socket(rig, port)
    server = await port.factory.accepts()
    await passes(rig)
    await port.stopListening()
    return plain, server


# -- handshakes


@behaviour
@in_reactor
async def a_peer_that_says_nothing_or_stops_in_the_middle_of_a_handshake_is_given_up(rig: Rig) -> None:
    hello = ByHand(rig, rig.socket_pair()[0], client_options().context).hello()
    for said in (b"", hello[:1], hello[:-1], hello):
        plain, server = await shaking(rig, Hurried())
        plain.send(said)
        reason = await server.ends()
        assert isinstance(reason, TLSError), (said, reason)
        assert "no handshake within 0.05 seconds" in str(reason)
        assert server.events == ["made", "lost"]
        plain.close()


@behaviour
@in_reactor
async def a_server_that_does_not_shake_hands_is_given_up_and_what_was_written_is_lost(rig: Rig) -> None:
    class Writes(Secured):
        def connectionMade(self) -> None:
            super().connectionMade()
            self.transport.write(b"x" * 1_000_000)
            self.transport.loseConnection()

    port = listen(rig)
    factory = Client(Writes)
    rig.reactor.connectSSL(IPV4, port.getHost().port, factory, HurriedClient())
    client = await factory.connects()
    reason = await client.ends()
    assert isinstance(reason, TLSError)
    assert "no handshake within" in str(reason)
    server = await port.factory.accepts()
    await server.ends()
    assert 0 < len(server.received) < 5000, "the hello, and nothing in the clear"


@behaviour
@in_reactor
async def a_program_that_reads_nothing_is_told_that_the_handshake_failed(rig: Rig) -> None:
    for said in (b"", b"garbage" * 10):
        plain, server = await shaking(rig, Hurried())
        server.transport.pauseProducing()
        plain.send(said)
        assert isinstance(await server.ends(), TLSError)
        plain.close()


@behaviour
@in_reactor
async def a_handshake_in_time_is_not_given_up_later(rig: Rig) -> None:
    client, server = await tls_pair(rig, serverContext=Hurried())
    await server.happens("secured")
    await passes(rig, 0.1)
    client.transport.write(b"x")
    await server.gets(b"x")


@behaviour
@in_reactor
async def garbage_instead_of_a_handshake_is_a_tls_error(rig: Rig) -> None:
    other, _ = await tls_pair(rig, server=Echo)
    for garbage in _GARBAGE:
        plain, server = await shaking(rig)
        plain.sendall(garbage)
        reason = await server.ends()
        assert isinstance(reason, TLSError | ConnectionTruncated), (garbage[:20], reason)
        assert server.events == ["made", "lost"]
        assert server.received == b""
        plain.close()
    other.transport.write(b"x")
    await other.gets(b"x")


@behaviour
@in_reactor
async def garbage_from_a_server_is_a_tls_error(rig: Rig) -> None:
    for garbage in _GARBAGE:
        port = listen(rig)
        factory = Client(Secured)
        rig.reactor.connectSSL(IPV4, port.getHost().port, factory, client_options())
        client = await factory.connects()
        server = await port.factory.accepts()
        server.transport.write(garbage)
        assert isinstance(await client.ends(), TLSError), garbage[:20]
        assert client.events == ["made", "lost"]
        server.transport.abortConnection()
        await server.ends()
        await port.stopListening()


@behaviour
@in_reactor
async def http_in_the_clear_to_a_tls_port_is_told_as_that(rig: Rig) -> None:
    plain, server = await shaking(rig)
    plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    reason = await server.ends()
    assert isinstance(reason, TLSError)
    assert "HTTP" in str(reason)


@behaviour
@in_reactor
async def a_handshake_that_is_cut_short_is_told_as_a_truncation(rig: Rig) -> None:
    hello = ByHand(rig, rig.socket_pair()[0], client_options().context).hello()
    for said in (b"", hello[:1], hello[:100], hello):
        plain, server = await shaking(rig)
        plain.send(said)
        await passes(rig, 0.002)
        plain.settimeout(0)
        if said == hello:   # what is unread would make it a reset
            plain.recv(10_000)
        plain.close()
        reason = await server.ends()
        assert type(reason) is ConnectionTruncated, reason
        assert "in the middle of the handshake" in str(reason)


@behaviour
@in_reactor
async def a_peer_whose_handshake_fails_is_sent_an_alert(rig: Rig) -> None:
    peer, server = await shaking(rig)
    peer.sendall(b"\x16\x03\x01\x00\x05hello")
    await server.ends()
    answer = peer.recv(100)
    assert answer[0] == ALERT
    assert peer.recv(100) == b""


# -- records


@behaviour
@in_reactor
async def a_corrupted_record_loses_nothing_that_came_before_it_and_delivers_nothing_of_it(rig: Rig) -> None:
    for version in VERSIONS:
        for at in (0, 1, 3, 4, 5, 20, -1):
            peer, server = await by_hand(rig, serverContext=server_options(version))
            good = peer.encrypt(b"good")
            bad = bytearray(peer.encrypt(b"bad" * 100))
            bad[at] ^= 0x40
            peer.send(good + bytes(bad) + peer.encrypt(b"after"))
            if at in (3, 4):   # the length: what is missing never comes
                await server.gets(b"good")
                peer.send(b"z" * 40_000)
            reason = await server.ends()
            assert isinstance(reason, TLSError), (version, at, reason)
            assert server.received == b"good", (version, at)
            await peer.closes()
            peer.close()


@behaviour
@in_reactor
async def a_record_that_comes_twice_is_refused(rig: Rig) -> None:
    for version in VERSIONS:
        peer, server = await by_hand(rig, serverContext=server_options(version))
        peer.send(peer.encrypt(b"once") * 2)
        assert isinstance(await server.ends(), TLSError)
        assert server.received == b"once"


@behaviour
@in_reactor
async def a_million_tiny_records_starve_nobody(rig: Rig) -> None:
    """100,000 of them, ten times: the longest turn is measured by who waits for a turn."""
    peer, server = await by_hand(rig)
    other, _ = await tls_pair(rig, server=Echo)
    await other.happens("secured")
    turns = 0
    records = 0
    while records < 1_000_000:
        flight = peer.encrypt(*[b"."] * 20_000)
        records += 20_000
        peer.send(flight)
        while len(server.received) < records:
            peer.step()
            before = rig.reactor.seconds()
            await passes(rig)
            turns += 1
            assert rig.reactor.seconds() - before < 1.0
    assert server.received == b"." * 1_000_000
    assert turns >= 100, "a turn takes a bounded number of them"
    other.transport.write(b"x")
    await other.gets(b"x")


@behaviour
@in_reactor
async def empty_records_are_no_data(rig: Rig) -> None:
    peer, server = await by_hand(rig)
    peer.write(b"x")
    for _ in range(10):
        peer.send(peer.encrypt(b""))
    await server.gets(b"x")
    await passes(rig, 0.01)
    assert 0 not in server.pieces
    peer.send(peer.goodbye())
    assert isinstance(await server.ends(), ConnectionDone)


@behaviour
@in_reactor
async def a_tls_connection_without_traffic_does_not_keep_the_reactor_busy(rig: Rig) -> None:
    client, server = await tls_pair(rig)
    await client.happens("secured")
    await server.happens("secured")
    await passes(rig, 0.01)
    assert await waits(rig, 0.1) < 10


# -- programs


@behaviour
@in_reactor
async def a_protocol_that_fails_on_the_first_of_many_records_loses_its_connection_only(rig: Rig) -> None:
    class Fails(Secured):
        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            raise ZeroDivisionError

    other, _ = await tls_pair(rig, server=Echo)
    peer, server = await by_hand(rig, Fails)
    peer.send(peer.encrypt(*[b"x" * 1000] * 200))
    assert isinstance(await server.ends(), ZeroDivisionError)
    rig.expect_errors(ZeroDivisionError)
    assert len(server.pieces) == 1
    other.transport.write(b"x")
    await other.gets(b"x")


@behaviour
@in_reactor
async def a_nested_loop_in_data_received_enters_the_protocol_no_second_time(rig: Rig) -> None:
    """Not even for the end, which came with the data and which no poller will report."""
    inside = False

    class Nests(Secured):
        def dataReceived(self, data: bytes) -> None:
            nonlocal inside
            assert not inside
            super().dataReceived(data)
            inside = True
            for _ in range(20):
                rig.reactor.iterate(0.001)
            assert self.reason is None
            inside = False

        def connectionLost(self, reason: Any) -> None:
            assert not inside
            super().connectionLost(reason)

    for ending, kind in ((lambda peer: peer.goodbye(), ConnectionDone), (lambda peer: b"no record at all", TLSError)):
        peer, server = await by_hand(rig, Nests)
        peer.send(peer.encrypt(b"last", b" words") + ending(peer))
        assert isinstance(await server.ends(), kind)
        assert server.received == b"last words"
        peer.close()


@behaviour
@in_reactor
async def a_nested_loop_behind_data_that_came_with_the_handshake_enters_the_protocol_no_second_time(rig: Rig) -> None:
    """These data are told by no poller, which therefore does not know that the protocol is on the stack."""
    inside = False

    class Nests(Secured):
        def dataReceived(self, data: bytes) -> None:
            nonlocal inside
            assert not inside
            super().dataReceived(data)
            inside = True
            peer.write(b", more")
            for _ in range(5):
                rig.reactor.iterate(0.001)
            inside = False
            if len(self.pieces) == 3:
                self.transport.loseConnection()

    port = listen_tls(rig, Nests)
    peer = ByHand(rig, plain_socket(rig, port), client_options().context)
    peer.early = b"early"
    await peer.shakes()
    server = await port.factory.accepts()
    assert isinstance(await server.ends(), ConnectionDone)
    assert server.pieces == [5, 6, 6]
    peer.close()


@behaviour
@in_reactor
async def what_a_nested_loop_puts_off_is_told_as_soon_as_the_protocol_returns(rig: Rig) -> None:
    class Nests(Secured):
        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            for _ in range(5):
                rig.reactor.iterate(0.001)
            rig.reactor.callLater(0, self.note, "a turn later")

    peer, server = await by_hand(rig, Nests)
    peer.send(peer.encrypt(b"last") + peer.goodbye())
    await server.happens("a turn later")
    assert server.events == ["made", "secured", "lost", "a turn later"]
    peer.close()


@behaviour
@in_reactor
async def a_nested_loop_serves_other_tls_connections(rig: Rig) -> None:
    other, _ = await tls_pair(rig, server=Echo)

    class Nests(Secured):
        def dataReceived(self, data: bytes) -> None:
            other.transport.write(b"in between")
            while other.received != b"in between":
                rig.reactor.iterate(0.01)
            super().dataReceived(data)

    peer, server = await by_hand(rig, Nests)
    peer.write(b"x")
    await server.gets(b"x")
    assert other.received == b"in between"


@behaviour
@in_reactor
async def a_tls_peer_that_vanishes_while_much_is_written_is_a_connection_lost(rig: Rig) -> None:
    peer, server = await by_hand(rig)
    server.transport.write(b"x" * 20_000_000)
    await passes(rig, 0.01)
    peer.plain.close()
    assert isinstance(await server.ends(), ConnectionLost)


@behaviour
@in_reactor
async def a_tls_transport_refuses_what_is_no_bytes_and_lives(rig: Rig) -> None:
    client, server = await tls_pair(rig)
    for wrong in ("text", 5, None, ["list"]):
        try:
            client.transport.write(wrong)
        except TypeError:
            continue
        raise AssertionError(f"{wrong!r} was taken")
    data = bytearray(b"buffer")
    client.transport.write(data)
    data[:] = b"XXXXXX"
    client.transport.write(memoryview(bytearray(range(16))).cast("Q"))
    await server.gets(b"buffer" + bytes(range(16)))
