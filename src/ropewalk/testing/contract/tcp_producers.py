"""Producers on TCP: who writes much writes as fast as the peer takes it, and no faster."""

from __future__ import annotations

import hashlib
import socket
from typing import Any

from ropewalk.errors import ConnectionDone
from ropewalk.testing.contract import behaviour
from ropewalk.testing.contract.tcp_streams import pattern
from ropewalk.testing.peers import Recorder, in_reactor, pair, passes, plain_pair, reset, waits
from ropewalk.testing.rig import Rig, raises

_BLOCK = pattern(64 * 1024)
_ROOM = 16_000_000   # bytes: more than the system's buffers and ours hold


class Push:
    """A push producer that writes block after block until it is paused.

    limit: how many bytes there are; it then unregisters and closes.
    """

    def __init__(self, rig: Rig, transport: Any, limit: int) -> None:
        self._reactor = rig.reactor
        self._transport = transport
        self._limit = limit
        self.events: list[str] = []
        self.produced = 0
        self.digest = hashlib.sha256()
        self.going = True
        transport.registerProducer(self, True)
        self._reactor.callLater(0, self._produce)

    def pauseProducing(self) -> None:
        self.events.append("pause")
        self.going = False

    def resumeProducing(self) -> None:
        self.events.append("resume")
        self.going = True
        self._reactor.callLater(0, self._produce)

    def stopProducing(self) -> None:
        self.events.append("stop")
        self.going = False
        self._limit = self.produced

    def _produce(self) -> None:
        while self.going and self.produced < self._limit:
            block = _BLOCK[: self._limit - self.produced]
            self.digest.update(block)
            self.produced += len(block)
            self._transport.write(block)
        if self.going:
            self.going = False
            self._transport.unregisterProducer()
            self._transport.loseConnection()


async def is_stuck(rig: Rig, producer: Push) -> None:
    """Wait until `producer` is paused and stays so for 0.05 s: all that there is between it and its peer is full."""
    produced = -1
    while producer.produced != produced or producer.events[-1:] != ["pause"]:
        produced = producer.produced
        await passes(rig, 0.05)


class Pull:
    """A pull producer of `count` blocks; it then unregisters and closes."""

    def __init__(self, transport: Any, count: int) -> None:
        self._transport = transport
        self._left = count
        self.asked = 0
        self.stopped = 0
        transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        self.asked += 1
        self._left -= 1
        self._transport.write(_BLOCK)
        if self._left == 0:
            self._transport.unregisterProducer()
            self._transport.loseConnection()

    def stopProducing(self) -> None:
        self.stopped += 1


class Digester(Recorder):
    """Keeps only the number and the digest of the bytes that come."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.digest = hashlib.sha256()

    def dataReceived(self, data: bytes) -> None:
        self.digest.update(data)
        self.count += len(data)
        self.stir()


@behaviour
@in_reactor
async def a_push_producer_is_paused_when_the_peer_does_not_read_and_resumed_when_it_does(rig: Rig) -> None:
    client, server = await pair(rig, server=Digester)
    server.transport.pauseProducing()
    producer = Push(rig, client.transport, _ROOM * 2)
    await is_stuck(rig, producer)
    count = await waits(rig, 0.05)
    assert count < 20, f"the poller was asked {count} times in 0.05 s"
    assert producer.produced < _ROOM
    server.transport.resumeProducing()
    assert isinstance(await server.ends(), ConnectionDone)
    assert server.count == producer.produced == _ROOM * 2
    assert server.digest.digest() == producer.digest.digest()
    pauses = [event for event in producer.events if event != "stop"]
    assert pauses == ["pause", "resume"] * (len(pauses) // 2)
    assert "stop" not in producer.events


@behaviour
@in_reactor
async def a_producer_without_end_takes_little_memory_while_the_peer_is_stuck(rig: Rig) -> None:
    client, server = await pair(rig, server=Digester)
    client.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    server.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    server.transport.pauseProducing()
    producer = Push(rig, client.transport, 1_000_000_000)
    await passes(rig, 0.05)
    assert 0 < producer.produced < 4_000_000, "that much is held by the transport and the system"
    server.transport.resumeProducing()
    await server.until(lambda: server.count > 10_000_000)
    server.transport.pauseProducing()
    await passes(rig, 0.05)
    assert producer.produced - server.count < 4_000_000


@behaviour
@in_reactor
async def a_hundred_megabytes_of_a_push_producer_arrive_unchanged(rig: Rig) -> None:
    client, server = await pair(rig, server=Digester)
    producer = Push(rig, client.transport, 100_000_000)
    await server.ends()
    assert server.count == 100_000_000
    assert server.digest.digest() == producer.digest.digest()


@behaviour
@in_reactor
async def a_pull_producer_is_asked_as_fast_as_the_peer_takes_it(rig: Rig) -> None:
    client, server = await pair(rig, server=Digester)
    server.transport.pauseProducing()
    producer = Pull(client.transport, 400)
    asked = -1
    while producer.asked != asked:   # until all that there is between it and its peer is full
        asked = producer.asked
        await passes(rig, 0.05)
    count = await waits(rig, 0.05)
    assert count < 20, f"the poller was asked {count} times in 0.05 s"
    assert 0 < producer.asked < _ROOM // len(_BLOCK)
    server.transport.resumeProducing()
    assert isinstance(await server.ends(), ConnectionDone)
    assert (producer.asked, producer.stopped) == (400, 0)
    assert server.digest.digest() == hashlib.sha256(_BLOCK * 400).digest()


@behaviour
@in_reactor
async def a_pull_producer_that_writes_small_pieces_is_asked_until_it_has_no_more(rig: Rig) -> None:
    class Small:
        left = 100

        def resumeProducing(self) -> None:
            self.left -= 1
            client.transport.write(b"%03d" % self.left)
            if not self.left:
                client.transport.unregisterProducer()

        def stopProducing(self) -> None:
            raise AssertionError("the connection is not lost")

    client, server = await pair(rig)
    client.transport.registerProducer(Small(), False)
    await server.gets(b"".join(b"%03d" % number for number in reversed(range(100))))


@behaviour
@in_reactor
async def a_second_producer_is_refused_until_the_first_is_gone(rig: Rig) -> None:
    client, _ = await pair(rig)
    Push(rig, client.transport, 0).going = False
    with raises(RuntimeError):
        Push(rig, client.transport, 0)
    client.transport.unregisterProducer()
    client.transport.unregisterProducer()
    Push(rig, client.transport, 0).going = False


@behaviour
@in_reactor
async def a_producer_is_stopped_once_when_the_connection_is_lost(rig: Rig) -> None:
    order: list[str] = []

    class Ordered(Recorder):
        def connectionLost(self, reason: Any) -> None:
            order.extend(producer.events)
            super().connectionLost(reason)

    plain, server = await plain_pair(rig, Ordered)
    producer = Push(rig, server.transport, _ROOM)
    await passes(rig, 0.01)
    reset(plain)
    await server.ends()
    await passes(rig)
    assert producer.events.count("stop") == 1
    assert order[-1] == "stop"


@behaviour
@in_reactor
async def a_pull_producer_is_stopped_once_when_the_connection_is_lost(rig: Rig) -> None:
    client, server = await pair(rig)
    server.transport.pauseProducing()
    producer = Pull(client.transport, _ROOM)
    await passes(rig, 0.01)
    client.transport.abortConnection()
    await client.ends()
    asked = producer.asked
    await passes(rig)
    assert (producer.asked, producer.stopped) == (asked, 1)


@behaviour
@in_reactor
async def a_producer_that_is_registered_after_the_loss_is_stopped(rig: Rig) -> None:
    client, _ = await pair(rig)
    client.transport.abortConnection()
    await client.ends()
    assert Push(rig, client.transport, _ROOM).events == ["stop"]


@behaviour
@in_reactor
async def lose_connection_waits_for_the_producer_to_finish(rig: Rig) -> None:
    client, server = await pair(rig, server=Digester)
    producer = Pull(client.transport, 50)
    client.transport.loseConnection()
    await server.ends()
    assert (producer.asked, producer.stopped) == (50, 0)
    assert server.count == 50 * len(_BLOCK)


@behaviour
@in_reactor
async def a_stream_can_be_the_producer_of_another(rig: Rig) -> None:
    source, relay_in = await pair(rig)
    relay_out, sink = await pair(rig, server=Digester)
    relay_in.dataReceived = relay_out.transport.write
    relay_out.transport.registerProducer(relay_in.transport, True)
    sink.transport.pauseProducing()
    data = pattern(_ROOM * 3)
    source.transport.write(data)
    source.transport.loseConnection()
    await passes(rig, 0.1)
    assert source.reason is None, "the relay should have slowed the source down"
    sink.transport.resumeProducing()
    await relay_in.ends()
    relay_out.transport.unregisterProducer()
    relay_out.transport.loseConnection()
    await sink.ends()
    assert sink.digest.digest() == hashlib.sha256(data).digest()
