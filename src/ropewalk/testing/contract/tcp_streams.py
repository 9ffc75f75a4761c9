"""TCP streams: what is written at one end comes out at the other, and what a transport tells of itself."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import sys
from typing import Any

from ropewalk.internet.address import IPv4Address, IPv6Address
from ropewalk.testing.contract import behaviour
from ropewalk.testing.features import needs, why_missing
from ropewalk.testing.peers import (
    IPV4,
    IPV6,
    Echo,
    Recorder,
    dial,
    in_reactor,
    listen,
    need_ipv6,
    pair,
    passes,
    plain_pair,
    reset,
    waits,
)
from ropewalk.testing.rig import Rig

_ODD_SIZES = (1, 0, 2, 3, 1021, 4097, 65535, 65536, 65537, 131071, 131073, 999_983)


def pattern(size: int) -> bytes:
    """`size` bytes that do not look the same at any shift."""
    block = b"".join(number.to_bytes(4, "big") for number in range(16384))
    return (block * (size // len(block) + 1))[:size]


@behaviour
@in_reactor
async def bytes_arrive_whole_and_in_order_whatever_the_sizes_written(rig: Rig) -> None:
    client, server = await pair(rig)
    data = pattern(sum(_ODD_SIZES))
    start = 0
    for size in _ODD_SIZES:
        client.transport.write(data[start : start + size])
        start += size
    await server.gets(data)


@behaviour
@in_reactor
async def ten_megabytes_go_both_ways_at_once(rig: Rig) -> None:
    client, server = await pair(rig)
    there, back = pattern(10_000_000), pattern(10_000_001)[1:]
    client.transport.write(there)
    for start in range(0, len(back), 100_003):
        server.transport.write(back[start : start + 100_003])
    await server.gets(there)
    await client.gets(back)


@behaviour
@in_reactor
async def an_echo_over_ipv6_returns_what_was_sent(rig: Rig) -> None:
    need_ipv6()
    client, server = await pair(rig, server=Echo, interface=IPV6)
    data = pattern(300_001)
    client.transport.write(data)
    await client.gets(data)
    assert server.received == data


@behaviour
@in_reactor
async def single_bytes_travel_in_a_ping_pong(rig: Rig) -> None:
    client, _ = await pair(rig, server=Echo)
    for number in range(200):
        client.transport.write(bytes([number]))
        await client.until(lambda number=number: len(client.received) == number + 1)
    assert client.received == bytes(range(200))


@behaviour
@in_reactor
async def the_writes_of_one_callback_travel_as_few_segments(rig: Rig) -> None:
    client, server = await pair(rig)
    client.transport.setTcpNoDelay(True)
    for _ in range(100):
        client.transport.write(b"x" * 10)
    await server.gets(b"x" * 1000)
    assert len(server.pieces) <= 2, server.pieces
    if why_missing("TCP_INFO") is None:
        assert _segments_sent(client.transport.getHandle()) <= 2


def _segments_sent(handle: socket.socket) -> int:
    """How many segments with data went out, without those that a busy machine made the kernel send again.

    Linux's struct tcp_info: tcpi_data_segs_out, less tcpi_total_retrans.
    """
    info = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
    out, again = (int.from_bytes(info[offset : offset + 4], sys.byteorder) for offset in (156, 100))
    return out - again


@behaviour
@in_reactor
async def write_sequence_sends_the_pieces_in_order(rig: Rig) -> None:
    client, server = await pair(rig)
    client.transport.writeSequence([b"a", b"", b"bc", bytearray(b"d")])
    client.transport.writeSequence(piece for piece in (b"e", b"f"))
    await server.gets(b"abcdef")


@behaviour
@in_reactor
async def a_write_is_sent_from_a_timer_and_from_a_thread(rig: Rig) -> None:
    client, server = await pair(rig)
    rig.reactor.callLater(0, client.transport.write, b"timer")
    await server.gets(b"timer")
    rig.reactor.callInThread(rig.reactor.callFromThread, client.transport.write, b" thread")
    await server.gets(b"timer thread")


@behaviour
@in_reactor
async def what_is_written_in_connection_made_arrives_first(rig: Rig) -> None:
    class Greeter(Recorder):
        def connectionMade(self) -> None:
            self.transport.write(b"hello ")
            self.transport.write(b"you")
            super().connectionMade()

    client, server = await pair(rig, client=Greeter, server=Greeter)
    client.transport.write(b"!")
    await server.gets(b"hello you!")
    await client.gets(b"hello you")


@behaviour
@in_reactor
async def the_two_ends_agree_on_their_addresses_also_when_the_connection_is_lost(rig: Rig) -> None:
    told: list[Any] = []

    class Asks(Recorder):
        def connectionLost(self, reason: Any) -> None:
            told.append((self.transport.getHost(), self.transport.getPeer()))
            super().connectionLost(reason)

    port = listen(rig, Asks)
    client = await dial(rig, port.getHost(), Asks).connects()
    server = await port.factory.accepts()
    assert client.transport.getPeer() == server.transport.getHost() == port.getHost()
    assert client.transport.getHost() == server.transport.getPeer()
    assert client.transport.getPeer() == IPv4Address("TCP", IPV4, port.getHost().port)
    ends = {(end.transport.getHost(), end.transport.getPeer()) for end in (client, server)}
    client.transport.loseConnection()
    await client.ends()
    await server.ends()
    assert set(told) == ends


@behaviour
@in_reactor
async def an_address_that_nobody_asked_for_can_be_asked_for_when_the_connection_is_lost(rig: Rig) -> None:
    plain, server = await plain_pair(rig)
    expected = plain.getpeername()
    reset(plain)
    await server.ends()
    host = server.transport.getHost()
    assert (host.host, host.port) == expected


@behaviour
@in_reactor
async def the_ends_of_an_ipv6_connection_have_ipv6_addresses(rig: Rig) -> None:
    need_ipv6()
    client, server = await pair(rig, interface=IPV6)
    peer = client.transport.getPeer()
    assert isinstance(peer, IPv6Address)
    assert (peer.type, peer.host) == ("TCP", IPV6)
    assert peer == server.transport.getHost()
    assert client.transport.getHost() == server.transport.getPeer()


@behaviour
@in_reactor
async def options_of_the_socket_can_be_set_and_asked(rig: Rig) -> None:
    client, _ = await pair(rig)
    transport, handle = client.transport, client.transport.getHandle()
    for on in (True, False):
        transport.setTcpNoDelay(on)
        transport.setTcpKeepAlive(on)
        assert transport.getTcpNoDelay() is on
        assert transport.getTcpKeepAlive() is on
        assert bool(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) is on
        assert bool(handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) is on


@behaviour
@in_reactor
async def the_handle_is_the_socket(rig: Rig) -> None:
    client, _ = await pair(rig)
    handle = client.transport.getHandle()
    assert isinstance(handle, socket.socket)
    host = client.transport.getHost()
    assert handle.getsockname() == (host.host, host.port)


@behaviour
@in_reactor
async def a_protocol_may_be_replaced_in_mid_stream(rig: Rig) -> None:
    client, first = await pair(rig)
    client.transport.write(b"first")
    await first.gets(b"first")
    second = Recorder()
    second.transport = first.transport
    first.transport.protocol = second
    client.transport.write(b"second")
    await second.gets(b"second")
    client.transport.loseConnection()
    await second.ends()
    assert first.received == b"first"
    assert "lost" not in first.events


@behaviour
@in_reactor
async def a_protocol_may_replace_itself_while_it_receives(rig: Rig) -> None:
    second = Recorder()

    class Switches(Recorder):
        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            self.transport.protocol = second
            second.makeConnection(self.transport)

    client, first = await pair(rig, server=Switches)
    client.transport.write(b"first")
    await second.happens("made")
    client.transport.write(b"second")
    await second.gets(b"second")
    assert first.received == b"first"


@behaviour
@in_reactor
async def data_received_may_be_replaced_on_the_instance(rig: Rig) -> None:
    client, server = await pair(rig)
    client.transport.write(b"class")
    await server.gets(b"class")
    instead = Recorder()
    server.dataReceived = instead.dataReceived
    client.transport.write(b"instance")
    await instead.gets(b"instance")
    assert server.received == b"class"


@behaviour
@in_reactor
async def a_paused_transport_slows_its_peer_down_until_it_resumes(rig: Rig) -> None:
    client, server = await pair(rig)
    server.transport.pauseProducing()
    await passes(rig)
    already = len(server.received)
    data = pattern(20_000_000)
    client.transport.write(data)
    client.transport.loseConnection()
    await passes(rig, 0.05)
    assert len(server.received) == already == 0
    assert client.reason is None, "20 MB cannot have left while the peer does not read"
    server.transport.resumeProducing()
    await server.gets(data)
    await client.ends()


@behaviour
@in_reactor
async def a_protocol_that_pauses_gets_no_more_than_it_asked_for(rig: Rig) -> None:
    class OneAtATime(Recorder):
        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            self.transport.pauseProducing()

    client, server = await pair(rig, server=OneAtATime)
    data = pattern(1_000_000)
    client.transport.write(data)
    while len(server.received) < len(data):
        count = len(server.pieces)
        await server.until(lambda count=count: len(server.pieces) > count)
        await passes(rig)
        assert len(server.pieces) == count + 1
        server.transport.resumeProducing()
    assert server.received == data


@behaviour
@in_reactor
async def a_paused_transport_whose_peer_resets_does_not_keep_the_reactor_busy(rig: Rig) -> None:
    plain, server = await plain_pair(rig)
    server.transport.pauseProducing()
    await passes(rig)
    reset(plain)
    count = await waits(rig, 0.1)
    assert count < 20, f"the poller was asked {count} times in 0.1 s"
    server.transport.resumeProducing()
    await server.ends()


@behaviour
@in_reactor
async def a_paused_transport_whose_peer_closes_hears_of_it_when_it_resumes(rig: Rig) -> None:
    plain, server = await plain_pair(rig)
    server.transport.pauseProducing()
    plain.sendall(b"last words")
    plain.close()
    count = await waits(rig, 0.1)
    assert count < 20, f"the poller was asked {count} times in 0.1 s"
    assert server.events == ["made"]
    server.transport.resumeProducing()
    await server.gets(b"last words")
    await server.ends()


@behaviour
@needs("signals")
@in_reactor
async def a_signal_in_the_middle_of_a_transfer_does_no_harm(rig: Rig) -> None:
    number = signal.SIGUSR1
    caught: list[int] = []
    client, server = await pair(rig)
    data = pattern(10_000_000)
    before = signal.signal(number, lambda *_: caught.append(1))
    try:
        client.transport.write(data)
        rig.reactor.callInThread(_kill_ourselves, number)
        await server.gets(data)
        while not caught:
            await passes(rig)
    finally:
        await passes(rig, 0.01)
        signal.signal(number, before)


def _kill_ourselves(number: int) -> None:
    for _ in range(200):
        os.kill(os.getpid(), number)


@behaviour
@in_reactor
async def many_connections_at_once_do_not_mix_their_bytes(rig: Rig) -> None:
    port = listen(rig, Echo)
    clients = [await dial(rig, port.getHost()).connects() for _ in range(50)]
    texts = [hashlib.sha256(bytes([number])).digest() * 1000 for number in range(50)]
    for client, text in zip(clients, texts, strict=True):
        client.transport.write(text)
    for client, text in zip(clients, texts, strict=True):
        await client.gets(text)
