"""How TLS connections end: with close_notify, half by half, cut short, aborted, or because the reactor stops."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from ropewalk.errors import ConnectionAborted, ConnectionDone, ConnectionLost, ConnectionTruncated
from ropewalk.testing.contract import behaviour
from ropewalk.testing.contract.tcp_streams import pattern
from ropewalk.testing.features import needs
from ropewalk.testing.peers import HalfCloser, in_reactor, passes, plain_socket, reset, waits
from ropewalk.testing.rig import Rig
from ropewalk.testing.tls_peers import (
    VERSIONS,
    ByHand,
    Secured,
    authority,
    by_hand,
    client_options,
    dial_tls,
    listen_tls,
    server_options,
    tls_pair,
)


class HalfSecured(HalfCloser, Secured):
    """Is told of each end on its own, and of the handshake."""


def farewells(rig: Rig) -> int:
    """How many connections are over for the program, but not for their peers."""
    return sum(type(transport).__name__ == "Farewell" for transport in rig.reactor.transports)


async def no_farewell(rig: Rig) -> None:
    """Wait until no connection is left that is over for the program."""
    while farewells(rig):
        await passes(rig)


# -- orderly


@behaviour
@in_reactor
async def lose_connection_delivers_what_was_written_and_then_close_notify(rig: Rig) -> None:
    data = pattern(3_000_000)
    for version in VERSIONS:
        peer, server = await by_hand(rig, serverContext=server_options(version))
        await server.happens("secured")
        server.transport.write(data)
        server.transport.loseConnection()
        assert server.reason is None
        await peer.gets(data)
        await peer.ends()
        assert isinstance(await server.ends(), ConnectionDone)
        await peer.closes()
        assert peer.error is None
        peer.send(peer.goodbye())
        peer.close()
        await no_farewell(rig)


@behaviour
@in_reactor
async def both_ends_of_a_tls_connection_learn_of_an_orderly_end(rig: Rig) -> None:
    for version in VERSIONS:
        for closes in (0, 1):
            ends = await tls_pair(rig, serverContext=server_options(version))
            ends[0].transport.write(b"x")
            await ends[1].gets(b"x")
            ends[closes].transport.loseConnection()
            for end in ends:
                assert isinstance(await end.ends(), ConnectionDone)
                assert end.events == ["made", "secured", "lost"]
    await no_farewell(rig)


@behaviour
@in_reactor
async def an_answer_and_the_end_in_data_received_are_the_last_though_more_records_wait(rig: Rig) -> None:
    class Answers(Secured):
        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            self.transport.write(b"answer")
            self.transport.loseConnection()
            assert self.reason is None

    peer, server = await by_hand(rig, Answers)
    peer.send(b"".join(peer.encrypt(b"x" * 1000) for _ in range(500)))
    assert isinstance(await server.ends(), ConnectionDone)
    await peer.ends()
    assert peer.received == b"answer"
    assert len(server.pieces) == 1
    peer.close()


@behaviour
@in_reactor
async def a_tls_connection_can_be_closed_in_connection_made_after_a_last_word(rig: Rig) -> None:
    class Brief(Secured):
        def connectionMade(self) -> None:
            self.transport.write(b"bye")
            self.transport.loseConnection()
            super().connectionMade()

    client, server = await tls_pair(rig, server=Brief)
    await client.gets(b"bye")
    for end in (client, server):
        assert isinstance(await end.ends(), ConnectionDone)
        assert end.events == ["made", "secured", "lost"]


@behaviour
@in_reactor
async def close_notify_behind_the_last_data_is_told_after_them(rig: Rig) -> None:
    peer, server = await by_hand(rig)
    peer.send(peer.encrypt(b"last", b" words") + peer.goodbye())
    assert isinstance(await server.ends(), ConnectionDone)
    assert server.received == b"last words"
    peer.close()


@behaviour
@in_reactor
async def what_the_peer_sends_behind_its_close_notify_is_not_delivered(rig: Rig) -> None:
    peer, server = await by_hand(rig, HalfSecured)
    peer.send(peer.encrypt(b"last") + peer.goodbye() + b"\x17\x03\x03\x00\x05rogue")
    await server.happens("read lost")
    server.transport.write(b"answer")
    await peer.gets(b"answer")
    assert server.received == b"last"
    server.transport.loseConnection()
    await server.ends()


@behaviour
@in_reactor
async def every_way_to_close_tells_a_tls_protocol_once(rig: Rig) -> None:
    ways = ("loseConnection", "abortConnection", "loseWriteConnection", "stopProducing")
    for first in ways:
        for second in ways:
            client, server = await tls_pair(rig)
            await client.happens("secured")
            client.transport.write(b"x")
            getattr(client.transport, first)()
            getattr(client.transport, second)()
            await client.ends()
            await server.ends()
            for way in ways:
                getattr(client.transport, way)()
            await passes(rig)
            assert client.events.count("lost") == server.events.count("lost") == 1, (first, second)


# -- half by half


@behaviour
@in_reactor
async def one_side_of_a_tls_connection_may_end_before_the_other(rig: Rig) -> None:
    data = pattern(2_000_000)
    for version in VERSIONS:
        for first in (0, 1):
            ends = await tls_pair(rig, HalfSecured, HalfSecured, serverContext=server_options(version))
            ender, other = ends[first], ends[1 - first]
            ender.transport.write(b"all I have to say")
            ender.transport.loseWriteConnection()
            await other.gets(b"all I have to say")
            await other.happens("read lost")
            await ender.happens("write lost")
            other.transport.write(data)
            await ender.gets(data)
            other.transport.loseConnection()
            assert isinstance(await ender.ends(), ConnectionDone)
            assert isinstance(await other.ends(), ConnectionDone)
            assert ender.events.count("read lost") == other.events.count("read lost") == 1
    await no_farewell(rig)


@behaviour
@in_reactor
async def a_half_that_is_ended_before_the_handshake_ends_after_it(rig: Rig) -> None:
    class Brief(HalfSecured):
        def connectionMade(self) -> None:
            super().connectionMade()
            self.transport.loseWriteConnection()

    client, server = await tls_pair(rig, Brief, HalfSecured)
    await server.happens("read lost")
    server.transport.write(b"heard")
    await client.gets(b"heard")
    server.transport.loseConnection()
    assert isinstance(await client.ends(), ConnectionDone)
    assert isinstance(await server.ends(), ConnectionDone)


@behaviour
@in_reactor
async def a_half_that_is_ended_while_data_wait_to_be_read_loses_none(rig: Rig) -> None:
    class Ends(HalfSecured):
        def handshakeCompleted(self) -> None:
            super().handshakeCompleted()
            self.transport.pauseProducing()
            self.transport.loseWriteConnection()

    class Sends(HalfSecured):
        def connectionMade(self) -> None:
            super().connectionMade()
            self.transport.write(b"early")

    client, server = await tls_pair(rig, Sends, Ends)
    await client.happens("read lost")
    client.transport.write(b" and late")
    client.transport.loseConnection()
    await passes(rig, 0.01)
    assert server.received == b""
    server.transport.resumeProducing()
    await server.gets(b"early and late")
    assert isinstance(await server.ends(), ConnectionDone)


@behaviour
@in_reactor
async def a_peer_that_ends_its_half_gets_a_long_answer_and_close_notify(rig: Rig) -> None:
    data = pattern(3_000_000)

    class Answers(HalfSecured):
        def readConnectionLost(self) -> None:
            super().readConnectionLost()
            self.transport.write(data)
            self.transport.loseConnection()

    peer, server = await by_hand(rig, Answers)
    server.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    peer.send(peer.encrypt(b"question") + peer.goodbye())
    await server.happens("read lost")
    await peer.gets(data)
    await peer.ends()
    assert isinstance(await server.ends(), ConnectionDone)


# -- cut short


@behaviour
@in_reactor
async def an_end_without_close_notify_is_told_as_one_whatever_the_context(rig: Rig) -> None:
    shown = authority().issue("127.0.0.1").options()
    lenient = shown.newServerContext()
    lenient.options |= getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    for context in (server_options(VERSIONS[0]), server_options(VERSIONS[1]), lenient):
        for make in (Secured, HalfSecured):
            peer, server = await by_hand(rig, make, serverContext=context)
            peer.write(b"last words")
            await server.gets(b"last words")
            peer.close()
            reason = await server.ends()
            assert type(reason) is ConnectionTruncated, reason
            assert "close_notify" in str(reason)
            assert "read lost" not in server.events


@behaviour
@in_reactor
async def an_end_in_the_middle_of_a_record_is_told_as_a_truncation(rig: Rig) -> None:
    peer, server = await by_hand(rig)
    peer.send(peer.encrypt(b"whole") + peer.encrypt(b"never whole")[:-1])
    await server.gets(b"whole")
    peer.close()
    assert type(await server.ends()) is ConnectionTruncated
    assert server.received == b"whole"


@behaviour
@in_reactor
async def an_end_without_close_notify_after_ours_is_told_as_one(rig: Rig) -> None:
    peer, server = await by_hand(rig, HalfSecured)
    server.transport.loseWriteConnection()
    await peer.ends()
    peer.plain.close()
    assert isinstance(await server.ends(), ConnectionLost)


@behaviour
@needs("resets")
@in_reactor
async def abort_connection_resets_the_tls_peer_without_close_notify(rig: Rig) -> None:
    client, server = await tls_pair(rig)
    await client.happens("secured")
    client.transport.write(b"x")
    await server.gets(b"x")
    client.transport.abortConnection()
    assert isinstance(await client.ends(), ConnectionAborted)
    reason = await server.ends()
    assert isinstance(reason, ConnectionLost)
    assert "reset" in str(reason)
    assert not farewells(rig)


@behaviour
@in_reactor
async def abort_connection_ends_a_close_that_waits_for_the_tls_peer(rig: Rig) -> None:
    _, server = await by_hand(rig)
    server.transport.write(b"x" * 10_000_000)
    server.transport.loseConnection()
    await passes(rig, 0.01)
    assert server.reason is None
    server.transport.abortConnection()
    assert isinstance(await server.ends(), ConnectionAborted)
    assert not farewells(rig)


@behaviour
@needs("resets")
@in_reactor
async def a_reset_by_the_tls_peer_is_a_connection_lost(rig: Rig) -> None:
    peer, server = await by_hand(rig)
    await passes(rig, 0.005)
    peer.step()
    peer.plain.setblocking(True)
    reset(peer.plain)
    error = await server.ends()
    assert isinstance(error, ConnectionLost)
    assert "reset" in str(error)


# -- while the handshake lasts


@behaviour
@in_reactor
async def a_connection_that_is_closed_or_aborted_while_it_shakes_hands_is_over_at_once(rig: Rig) -> None:
    for way, kind in (("loseConnection", ConnectionDone), ("abortConnection", ConnectionAborted)):
        port = listen_tls(rig)
        plain = plain_socket(rig, port)
        server = await port.factory.accepts()
        await server.happens("made")
        await passes(rig)
        getattr(server.transport, way)()
        assert isinstance(await server.ends(), kind)
        plain.close()
        assert not farewells(rig)
        await port.stopListening()
    assert not rig.reactor.getDelayedCalls()


@behaviour
@in_reactor
async def a_reset_in_the_middle_of_a_handshake_is_a_connection_lost(rig: Rig) -> None:
    port = listen_tls(rig)
    plain = plain_socket(rig, port)
    server = await port.factory.accepts()
    await passes(rig)
    reset(plain)
    assert isinstance(await server.ends(), ConnectionLost)
    assert server.events == ["made", "lost"]


# -- when the reactor stops


@behaviour
def a_reactor_that_stops_ends_tls_connections_with_close_notify_and_leaves_nothing(rig: Rig) -> None:
    rig.play(lambda: _leave(rig, "open"))
    assert not rig.reactor.transports


@behaviour
def a_reactor_that_stops_ends_handshakes_and_farewells(rig: Rig) -> None:
    for state in ("handshake", "farewell"):
        rig.play(lambda state=state: _leave(rig, state))   # type: ignore[misc]
        assert not rig.reactor.transports, state


async def _leave(rig: Rig, state: str) -> None:
    """Return, whereupon the reactor stops, with a connection in that state."""
    if state == "handshake":
        port = listen_tls(rig)
        plain_socket(rig, port)
        await port.factory.accepts()
        await passes(rig)
        return
    peer, server = await by_hand(rig)
    await server.happens("secured")
    if state == "farewell":
        server.transport.loseConnection()
        await server.ends()
        assert farewells(rig) == 1
        return
    before = len(peer.records)
    rig.reactor.addSystemEventTrigger("after", "shutdown", _assert_said_goodbye, peer, server, before)


def _assert_said_goodbye(peer: ByHand, server: Any, before: int) -> None:
    assert isinstance(server.reason, ConnectionLost)
    while not peer.closed:
        peer.step()
    assert peer.ended


@behaviour
@in_reactor
async def a_farewell_takes_what_the_peer_still_sends_and_ends_with_it(rig: Rig) -> None:
    peer, server = await by_hand(rig)
    server.transport.write(b"x" * 1000)
    server.transport.loseConnection()
    assert isinstance(await server.ends(), ConnectionDone)
    for _ in range(50):
        peer.plain.send(peer.encrypt(b"y" * 10_000))
        await passes(rig)
    assert await waits(rig, 0.05) < 30
    await peer.gets(b"x" * 1000)
    await peer.closes()
    assert peer.ended
    peer.close()
    await no_farewell(rig)


@behaviour
@in_reactor
async def a_client_that_ends_at_once_does_no_harm_to_a_server_that_still_writes(rig: Rig) -> None:
    port = listen_tls(rig)
    client = await dial_tls(rig, port, context=client_options()).connects()
    server = await port.factory.accepts()
    await server.happens("secured")
    server.transport.write(b"x" * 10_000_000)
    client.transport.loseConnection()
    assert isinstance(await client.ends(), ConnectionDone)
    await server.ends()
    await no_farewell(rig)
