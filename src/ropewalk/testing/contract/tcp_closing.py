"""How TCP connections end: orderly, half by half, aborted, reset, or because the reactor stops; and what is told."""

from __future__ import annotations

import logging
import socket
from typing import Any

from ropewalk.errors import ConnectionAborted, ConnectionDone, ConnectionLost
from ropewalk.testing.contract import behaviour
from ropewalk.testing.contract.tcp_streams import pattern
from ropewalk.testing.features import needs
from ropewalk.testing.peers import (
    Echo,
    HalfCloser,
    Recorder,
    dial,
    in_reactor,
    listen,
    log_records,
    pair,
    passes,
    plain_pair,
    plain_socket,
    reset,
    waits,
)
from ropewalk.testing.rig import Rig


@behaviour
@in_reactor
async def lose_connection_delivers_what_was_written_first(rig: Rig) -> None:
    client, server = await pair(rig)
    data = pattern(5_000_000)
    client.transport.write(data)
    client.transport.loseConnection()
    assert client.transport.disconnecting
    assert client.reason is None
    await server.gets(data)
    assert isinstance(await client.ends(), ConnectionDone)
    assert isinstance(await server.ends(), ConnectionDone)


@behaviour
@in_reactor
async def a_connection_can_be_closed_in_data_received_after_an_answer(rig: Rig) -> None:
    class Answers(Recorder):
        def dataReceived(self, data: bytes) -> None:
            self.transport.write(b"answer to ")
            self.transport.write(data)
            self.transport.loseConnection()
            assert self.reason is None

    client, server = await pair(rig, server=Answers)
    client.transport.write(b"question")
    await client.gets(b"answer to question")
    assert isinstance(await server.ends(), ConnectionDone)
    assert isinstance(await client.ends(), ConnectionDone)


@behaviour
@in_reactor
async def a_connection_can_be_closed_in_connection_made(rig: Rig) -> None:
    class Brief(Recorder):
        def connectionMade(self) -> None:
            self.transport.write(b"bye")
            self.transport.loseConnection()
            super().connectionMade()

    port = listen(rig, Brief)
    client = await dial(rig, port.getHost()).connects()
    server = await port.factory.accepts()
    await client.gets(b"bye")
    for end in (client, server):
        assert isinstance(await end.ends(), ConnectionDone)
        assert end.events == ["made", "lost"]


@behaviour
@in_reactor
async def every_way_to_close_tells_the_protocol_once(rig: Rig) -> None:
    ways = ("loseConnection", "abortConnection", "loseWriteConnection", "stopProducing")
    for first in ways:
        for second in ways:
            client, server = await pair(rig)
            client.transport.write(b"x")
            getattr(client.transport, first)()
            getattr(client.transport, second)()
            await client.ends()
            await server.ends()
            for way in ways:
                getattr(client.transport, way)()
            await passes(rig)
            assert client.events.count("lost") == server.events.count("lost") == 1, (first, second)


@behaviour
@in_reactor
async def connection_lost_is_never_called_within_a_call_of_the_transport(rig: Rig) -> None:
    inside = False

    class Watches(Recorder):
        def connectionLost(self, reason: Any) -> None:
            assert not inside
            super().connectionLost(reason)

    for way in ("write", "loseConnection", "abortConnection"):
        plain, server = await plain_pair(rig, Watches)
        server.transport.pauseProducing()
        await passes(rig)
        reset(plain)
        await passes(rig, 0.005)
        inside = True
        if way == "write":
            for _ in range(3):
                server.transport.write(b"x")
        else:
            getattr(server.transport, way)()
        inside = False
        assert server.events == ["made"]
        await server.ends()


@behaviour
@needs("resets")
@in_reactor
async def abort_connection_resets_the_peer(rig: Rig) -> None:
    plain, server = await plain_pair(rig)
    server.transport.write(b"x" * 10_000_000)
    server.transport.abortConnection()
    assert not server.transport.connected
    assert server.events == ["made"]
    assert isinstance(await server.ends(), ConnectionAborted)
    try:
        while plain.recv(1_000_000):
            pass
    except ConnectionResetError:
        plain.close()
    else:
        raise AssertionError("the peer saw an orderly end")


@behaviour
@in_reactor
async def abort_connection_ends_a_close_that_waits_for_the_peer(rig: Rig) -> None:
    _, server = await plain_pair(rig)
    server.transport.write(b"x" * 10_000_000)
    server.transport.loseConnection()
    await passes(rig, 0.01)
    assert server.reason is None
    server.transport.abortConnection()
    assert isinstance(await server.ends(), ConnectionAborted)


@behaviour
@needs("resets")
@in_reactor
async def abort_connection_in_data_received_ends_the_connection_when_that_returns(rig: Rig) -> None:
    class Refuses(Recorder):
        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            self.transport.write(b"never sent")
            self.transport.abortConnection()
            self.transport.write(b"nor this")
            assert self.reason is None

    client, server = await pair(rig, server=Refuses)
    client.transport.write(b"x")
    assert isinstance(await server.ends(), ConnectionAborted)
    assert isinstance(await client.ends(), ConnectionLost)
    assert server.received == b"x"


@behaviour
@needs("resets")
@in_reactor
async def a_reset_by_the_peer_is_a_connection_lost(rig: Rig) -> None:
    plain, server = await plain_pair(rig)
    reset(plain)
    error = await server.ends()
    assert isinstance(error, ConnectionLost)
    assert "reset" in str(error)


@behaviour
@in_reactor
async def a_close_by_the_peer_is_a_connection_done_after_its_last_bytes(rig: Rig) -> None:
    plain, server = await plain_pair(rig)
    plain.sendall(b"last words")
    plain.close()
    assert isinstance(await server.ends(), ConnectionDone)
    assert server.received == b"last words"


@behaviour
@needs("resets")
@in_reactor
async def a_peer_that_resets_before_the_first_read_does_not_disturb_the_port(rig: Rig) -> None:
    port = listen(rig, Echo)
    for _ in range(5):
        reset(plain_socket(rig, port))
    client = await dial(rig, port.getHost()).connects()
    client.transport.write(b"x")
    await client.gets(b"x")
    for protocol in port.factory.protocols[:-1]:
        await protocol.ends()


@behaviour
@in_reactor
async def a_peer_that_resets_while_much_is_queued_is_a_connection_lost(rig: Rig) -> None:
    plain, server = await plain_pair(rig)
    server.transport.write(b"x" * 10_000_000)
    server.transport.loseConnection()
    reset(plain)
    assert isinstance(await server.ends(), ConnectionLost)


@behaviour
@in_reactor
async def the_read_side_may_end_while_the_write_side_goes_on(rig: Rig) -> None:
    plain, server = await plain_pair(rig, HalfCloser)
    plain.sendall(b"question")
    plain.shutdown(socket.SHUT_WR)
    await server.happens("read lost")
    count = await waits(rig, 0.05)
    assert count < 20, f"the poller was asked {count} times in 0.05 s"
    assert server.events == ["made", "read lost"]
    server.transport.write(b"answer, later")
    server.transport.loseConnection()
    assert isinstance(await server.ends(), ConnectionDone)
    assert server.received == b"question"
    assert plain.recv(100) == b"answer, later"
    assert plain.recv(100) == b""


@behaviour
@in_reactor
async def the_write_side_may_end_while_the_read_side_goes_on(rig: Rig) -> None:
    client, server = await pair(rig, client=HalfCloser, server=HalfCloser)
    data = pattern(1_000_000)
    client.transport.write(data)
    client.transport.loseWriteConnection()
    await server.gets(data)
    await server.happens("read lost")
    await client.happens("write lost")
    server.transport.write(data)
    await client.gets(data)
    assert client.events == ["made", "write lost"]
    server.transport.loseConnection()
    assert isinstance(await client.ends(), ConnectionDone)
    assert isinstance(await server.ends(), ConnectionDone)
    assert client.events == ["made", "write lost", "read lost", "lost"]
    assert server.events == ["made", "read lost", "lost"]


@behaviour
@in_reactor
async def a_protocol_that_knows_no_halves_is_lost_when_the_peer_ends_its_half(rig: Rig) -> None:
    plain, server = await plain_pair(rig)
    plain.shutdown(socket.SHUT_WR)
    assert isinstance(await server.ends(), ConnectionDone)
    assert plain.recv(1) == b""


@behaviour
@in_reactor
async def a_protocol_that_knows_no_halves_may_end_its_own(rig: Rig) -> None:
    plain, server = await plain_pair(rig)
    server.transport.write(b"all there is")
    server.transport.loseWriteConnection()
    await passes(rig)
    assert plain.recv(100) == b"all there is"
    assert plain.recv(100) == b""
    plain.sendall(b"understood")
    await server.gets(b"understood")
    assert server.reason is None
    plain.close()
    assert isinstance(await server.ends(), ConnectionDone)


@behaviour
@in_reactor
async def what_is_written_after_lose_connection_is_dropped_and_said_in_the_log(rig: Rig) -> None:
    client, server = await pair(rig)
    with log_records(logging.WARNING) as records:
        client.transport.write(b"in time")
        client.transport.loseConnection()
        client.transport.write(b"too late")
    assert [record.levelno for record in records] == [logging.WARNING]
    assert "8 bytes" in records[0].getMessage()
    await client.ends()
    await server.ends()
    assert server.received == b"in time"


@behaviour
@in_reactor
async def what_is_written_after_the_loss_is_dropped_quietly(rig: Rig) -> None:
    class LastWord(Recorder):
        def connectionLost(self, reason: Any) -> None:
            self.transport.write(b"wait")
            self.transport.loseConnection()
            super().connectionLost(reason)

    client, server = await pair(rig, server=LastWord)
    with log_records(logging.DEBUG) as records:
        client.transport.loseConnection()
        await client.ends()
        await server.ends()
        client.transport.writeSequence([b"is", b"it"])
    dropped = [record for record in records if "bytes" in record.getMessage()]
    assert [record.levelno for record in dropped] == [logging.DEBUG] * 2


@behaviour
def stop_closes_every_connection_and_tells_its_protocol(rig: Rig) -> None:
    ends: list[Any] = []

    async def connect() -> None:
        for _ in range(3):
            ends.extend(await pair(rig))
        ends[0].transport.write(b"x" * 10_000_000)
        ends[1].transport.pauseProducing()

    rig.play(connect)
    for end in ends:
        assert end.events == ["made", "lost"]
        assert isinstance(end.reason, ConnectionLost)
    assert rig.reactor.getReaders() == rig.reactor.getWriters() == []
    assert not rig.reactor.transports


@behaviour
def a_reactor_that_runs_again_makes_new_connections(rig: Rig) -> None:
    async def talk() -> None:
        client, server = await pair(rig)
        client.transport.write(b"x")
        await server.gets(b"x")

    rig.play(talk)
    rig.play(talk)
