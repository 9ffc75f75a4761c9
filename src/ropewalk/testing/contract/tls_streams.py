"""TLS streams: what is written at one end comes out at the other, in few records, as fast as the peer takes it."""

from __future__ import annotations

import gc
import socket
import weakref
from typing import Any

from ropewalk.errors import ConnectionDone
from ropewalk.testing.contract import behaviour
from ropewalk.testing.contract.sendfile import in_memory, regular
from ropewalk.testing.contract.tcp_producers import Digester, Pull, Push, is_stuck
from ropewalk.testing.contract.tcp_streams import pattern
from ropewalk.testing.peers import Echo, in_reactor, passes, waits
from ropewalk.testing.rig import Rig
from ropewalk.testing.tls_peers import (
    DATA,
    VERSIONS,
    Secured,
    by_hand,
    client_options,
    dial_tls,
    listen_tls,
    server_options,
    tls_pair,
)

_ODD_SIZES = (1, 0, 2, 3, 1021, 4097, 16383, 16384, 16385, 65535, 65537, 131071, 131073, 999_983)


@behaviour
@in_reactor
async def bytes_arrive_whole_over_tls_whatever_the_sizes_written(rig: Rig) -> None:
    for version in VERSIONS:
        client, server = await tls_pair(rig, server=Echo, serverContext=server_options(version))
        data = pattern(sum(_ODD_SIZES))
        start = 0
        for size in _ODD_SIZES:
            client.transport.write(data[start : start + size])
            start += size
        await client.gets(data)
        assert server.received == data
        assert client.transport.channel.session.version() == version.name.replace("_", ".")


@behaviour
@in_reactor
async def ten_megabytes_go_both_ways_at_once_over_tls(rig: Rig) -> None:
    client, server = await tls_pair(rig)
    there, back = pattern(10_000_000), pattern(10_000_001)[1:]
    client.transport.write(there)
    for start in range(0, len(back), 100_003):
        server.transport.write(back[start : start + 100_003])
    await server.gets(there)
    await client.gets(back)


@behaviour
@in_reactor
async def single_bytes_travel_in_a_ping_pong_over_tls(rig: Rig) -> None:
    client, _ = await tls_pair(rig, server=Echo)
    for number in range(200):
        client.transport.write(bytes([number]))
        await client.until(lambda number=number: len(client.received) == number + 1)
    assert client.received == bytes(range(200))


@behaviour
@in_reactor
async def the_small_writes_of_one_callback_are_one_record(rig: Rig) -> None:
    class Chatters(Secured):
        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            for _ in range(100):
                self.transport.write(b"0123456789")

    peer, _ = await by_hand(rig, Chatters)
    peer.write(b"?")
    await peer.gets(b"0123456789" * 100)
    before = _data_records(peer)   # session tickets have come, too, which TLS 1.3 sends as data
    peer.write(b"?")
    await peer.gets(b"0123456789" * 200)
    assert _data_records(peer) - before == 1


def _data_records(peer: Any) -> int:
    return sum(record.kind == DATA for record in peer.records)


@behaviour
@in_reactor
async def a_long_write_is_full_records(rig: Rig) -> None:
    peer, server = await by_hand(rig)
    server.transport.write(b"x" * 160_000)
    await peer.gets(b"x" * 160_000)
    full = [record for record in peer.records if record.size >= 16384]
    assert len(full) == 160_000 // 16384, peer.records


@behaviour
@in_reactor
async def what_is_written_in_connection_made_arrives_first_over_tls(rig: Rig) -> None:
    class Greeter(Secured):
        def connectionMade(self) -> None:
            self.transport.write(b"hello ")
            self.transport.write(b"you")
            super().connectionMade()

    client, server = await tls_pair(rig, client=Greeter, server=Greeter)
    client.transport.write(b"!")
    await server.gets(b"hello you!")
    await client.gets(b"hello you")


@behaviour
@in_reactor
async def a_write_from_a_timer_and_one_from_a_thread_travel_over_tls(rig: Rig) -> None:
    client, server = await tls_pair(rig)
    rig.reactor.callLater(0, client.transport.write, b"timer")
    await server.gets(b"timer")
    rig.reactor.callInThread(rig.reactor.callFromThread, client.transport.write, b" thread")
    await server.gets(b"timer thread")


@behaviour
@in_reactor
async def many_tls_connections_at_once_do_not_mix_their_bytes(rig: Rig) -> None:
    port, context = listen_tls(rig, Echo), client_options()
    factories = [dial_tls(rig, port, context=context) for _ in range(20)]
    clients = [await factory.connects() for factory in factories]
    for number, client in enumerate(clients):
        client.transport.write(bytes([number]) * 20_000)
    for number, client in enumerate(clients):
        await client.gets(bytes([number]) * 20_000)


@behaviour
@in_reactor
async def no_record_waits_for_an_acknowledgement(rig: Rig) -> None:
    """Nagle's algorithm would hold back the end of one, without which nothing of it can be decrypted."""
    for end in await tls_pair(rig):
        assert end.transport.getTcpNoDelay()


# -- back-pressure


@behaviour
@in_reactor
async def a_paused_tls_transport_slows_its_peer_down_until_it_resumes(rig: Rig) -> None:
    client, server = await tls_pair(rig)
    client.transport.write(b"first")
    await server.gets(b"first")
    server.transport.pauseProducing()
    data = pattern(20_000_000)
    client.transport.write(data)
    client.transport.loseConnection()
    await passes(rig, 0.05)
    count = await waits(rig, 0.05)
    assert count < 20, f"the poller was asked {count} times in 0.05 s"
    assert server.received == b"first"
    assert client.reason is None, "20 MB cannot have left while the peer does not read"
    server.transport.resumeProducing()
    await server.gets(b"first" + data)
    assert isinstance(await client.ends(), ConnectionDone)


@behaviour
@in_reactor
async def a_protocol_that_pauses_gets_no_more_than_was_decrypted(rig: Rig) -> None:
    class OneAtATime(Secured):
        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            self.transport.pauseProducing()

    client, server = await tls_pair(rig, server=OneAtATime)
    data = pattern(1_000_000)
    client.transport.write(data)
    client.transport.loseConnection()
    while len(server.received) < len(data):
        count = len(server.pieces)
        await server.until(lambda count=count: len(server.pieces) > count)
        await passes(rig)
        assert len(server.pieces) == count + 1
        assert server.reason is None
        server.transport.resumeProducing()
    assert server.received == data
    assert isinstance(await server.ends(), ConnectionDone)


@behaviour
@in_reactor
async def a_push_producer_is_paused_when_its_tls_peer_does_not_read_and_memory_is_bounded(rig: Rig) -> None:
    client, server = await tls_pair(rig, server=Digester)
    await client.happens("secured")
    client.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    server.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    server.transport.pauseProducing()
    producer = Push(rig, client.transport, 1_000_000_000)
    await is_stuck(rig, producer)
    assert 0 < producer.produced < 4_000_000, "that much is held by the transport and the system"
    server.transport.resumeProducing()
    await server.until(lambda: server.count > 10_000_000)
    server.transport.pauseProducing()
    await passes(rig, 0.05)
    assert producer.produced - server.count < 4_000_000


@behaviour
@in_reactor
async def thirty_megabytes_of_a_push_producer_arrive_unchanged_over_tls(rig: Rig) -> None:
    client, server = await tls_pair(rig, server=Digester)
    producer = Push(rig, client.transport, 30_000_000)
    assert isinstance(await server.ends(), ConnectionDone)
    assert server.count == 30_000_000
    assert server.digest.digest() == producer.digest.digest()


@behaviour
@in_reactor
async def a_producer_that_began_before_the_handshake_is_held_back_until_it_is_done(rig: Rig) -> None:
    made: list[Push] = []

    class Produces(Secured):
        def connectionMade(self) -> None:
            super().connectionMade()
            made.append(Push(rig, self.transport, 5_000_000))

    _, server = await tls_pair(rig, client=Produces, server=Digester)
    assert isinstance(await server.ends(), ConnectionDone)
    assert server.digest.digest() == made[0].digest.digest()
    assert made[0].events[0] == "pause"


@behaviour
@in_reactor
async def a_pull_producer_is_asked_as_often_as_the_tls_peer_takes_it(rig: Rig) -> None:
    client, server = await tls_pair(rig, server=Digester)
    server.transport.pauseProducing()
    producer = Pull(client.transport, 400)
    await passes(rig, 0.05)
    assert producer.asked < 400
    server.transport.resumeProducing()
    assert isinstance(await server.ends(), ConnectionDone)
    assert server.count == 400 * 65536


# -- files


@behaviour
@in_reactor
async def a_file_goes_out_encrypted_between_what_was_written_before_and_after(rig: Rig) -> None:
    content = pattern(1_500_007)
    for make in (regular, in_memory):
        client, server = await tls_pair(rig)
        client.transport.write(b"before")
        sent = client.transport.sendfile(make(rig, content))
        client.transport.write(b"after")
        assert await sent == len(content)
        await server.gets(b"before" + content + b"after")


@behaviour
@in_reactor
async def what_is_written_behind_a_file_that_was_cancelled_in_its_middle_arrives_over_tls(rig: Rig) -> None:
    client, server = await tls_pair(rig)
    client.transport.write(b"begin")
    await server.gets(b"begin")
    server.transport.pauseProducing()
    content = pattern(30_000_000)
    sent = client.transport.sendfile(in_memory(rig, content))
    sent.addErrback(lambda _: None)
    await passes(rig, 0.05)
    sent.cancel()
    client.transport.write(b"what comes behind it")
    client.transport.loseConnection()
    server.transport.resumeProducing()
    assert isinstance(await server.ends(), ConnectionDone)
    assert server.received.endswith(b"what comes behind it")
    part = server.received[5:-20]
    assert 0 < len(part) < len(content)
    assert content.startswith(part)


# -- memory


@behaviour
@in_reactor
async def a_tls_connection_that_is_over_is_freed_without_the_garbage_collector(rig: Rig) -> None:
    for way in ("loseConnection", "abortConnection"):
        port = listen_tls(rig, Echo)
        factory = dial_tls(rig, port)
        client = await factory.connects()
        client.transport.write(b"x")
        await client.gets(b"x")
        server = port.factory.protocols[0]
        await passes(rig)
        gc.disable()
        try:
            parts = [end.transport for end in (client, server)] + [end.transport.channel for end in (client, server)]
            refs = [weakref.ref(parts[0]), weakref.ref(parts[1])]
            sessions = [weakref.ref(parts[2].session), weakref.ref(parts[3].session)]
            del parts
            getattr(client.transport, way)()
            await client.ends()
            await server.ends()
            await port.stopListening()
            for end in (client, server):
                end.transport = None
                end.reason = None
            for made in (factory, port.factory):
                made.protocols.clear()
            if factory.reasons:
                factory.reasons.clear()
            factory.connector = None
            del client, server, end
            await passes(rig)
            await passes(rig)
            assert [ref() for ref in refs + sessions] == [None] * 4, way
        finally:
            gc.enable()
