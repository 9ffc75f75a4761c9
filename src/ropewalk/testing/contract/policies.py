"""Policies on real connections: wrappers are not to be seen, limits hold, and nothing is left behind."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

from ropewalk.errors import ConnectionDone, ConnectionRefusedError
from ropewalk.protocols.policies import (
    LimitConnectionsByPeer,
    LimitTotalConnectionsFactory,
    SpewingFactory,
    ThrottlingFactory,
    TimeoutFactory,
    TimeoutMixin,
    TrafficLoggingFactory,
    WrappingFactory,
)
from ropewalk.testing.contract import behaviour
from ropewalk.testing.contract.tcp_streams import pattern
from ropewalk.testing.features import needs
from ropewalk.testing.peers import (
    IPV4,
    Client,
    Echo,
    HalfCloser,
    Recorder,
    Server,
    dial,
    in_reactor,
    log_records,
    passes,
    plain_socket,
    waits,
)
from ropewalk.testing.rig import Rig


def _listen(rig: Rig, factory: Any) -> Any:
    return rig.reactor.listenTCP(0, factory, interface=IPV4)


def _wrapped(factory: Any) -> Any:
    """`factory` under several wrappers that change nothing."""
    for wrapper in (WrappingFactory, LimitConnectionsByPeer, ThrottlingFactory, TimeoutFactory, SpewingFactory):
        factory = wrapper(factory)
    return factory


def _connect(rig: Rig, address: Any, factory: Any) -> Client:
    """Connect a client of peers.Client through `factory`, which wraps it."""
    rig.reactor.connectTCP(address.host, address.port, factory)
    client: Client = factory
    while isinstance(client, WrappingFactory):
        client = client.wrappedFactory
    return client


@behaviour
@in_reactor
async def wrapped_protocols_talk_and_end_as_if_there_were_no_wrapper(rig: Rig) -> None:
    server, client_factory = _wrapped(Server(Echo)), _wrapped(Client())
    port = _listen(rig, server)
    program = _connect(rig, port.getHost(), client_factory)
    client = await program.connects()
    data = pattern(3_000_000)
    client.transport.write(data[:1])
    client.transport.writeSequence([data[1:1000], data[1000:]])
    assert client.transport.getPeer() == port.getHost()
    client.transport.setTcpNoDelay(True)
    assert client.transport.getTcpNoDelay()
    await client.gets(data)
    client.transport.loseConnection()
    assert client.transport.disconnecting
    assert isinstance(await client.ends(), ConnectionDone)
    await program.happens("stop")
    assert program.events == ["start", "started", "connected", "lost", "stop"]
    assert client.events == ["made", "lost"]
    assert not client.transport.connected
    factory = server
    while isinstance(factory, WrappingFactory):
        (wrapper,) = factory.protocols
        factory = factory.wrappedFactory
    await factory.protocols[0].ends()
    assert not server.protocols
    assert wrapper.wrappedProtocol is None


@behaviour
@in_reactor
async def a_wrapped_client_factory_is_told_that_nobody_listens(rig: Rig) -> None:
    with socket.socket() as nobody:
        nobody.bind((IPV4, 0))
        host, port = nobody.getsockname()
        program = Client()
        rig.reactor.connectTCP(host, port, _wrapped(program))
        assert isinstance(await program.fails(), ConnectionRefusedError)
    await program.happens("stop")
    assert program.events == ["start", "started", "failed", "stop"]


@behaviour
@in_reactor
async def a_wrapped_protocol_takes_part_in_half_close_only_if_it_knows_halves(rig: Rig) -> None:
    for make in (HalfCloser, Recorder):
        program = Server(make)
        plain = plain_socket(rig, _listen(rig, _wrapped(program)))
        server = await program.accepts()
        plain.shutdown(socket.SHUT_WR)
        if make is HalfCloser:
            await server.happens("read lost")
            server.transport.write(b"more")
            server.transport.loseWriteConnection()
        await server.ends()
        assert plain.recv(10) == (b"more" if make is HalfCloser else b"")
        assert server.events[1:-1] == (["read lost"] if make is HalfCloser else [])


@behaviour
@needs("UNIX sockets")
@in_reactor
async def a_wrapped_protocol_is_given_the_descriptors_that_it_is_sent(rig: Rig) -> None:
    class Receives(Recorder):
        def fileDescriptorReceived(self, descriptor: int) -> None:
            os.close(descriptor)
            self.note("descriptor")

    for make in (Receives, Recorder):
        program = Server(make)
        path = os.path.join(rig.keep(tempfile.TemporaryDirectory()), "socket")
        rig.reactor.listenUNIX(path, _wrapped(program))
        client = Client()
        rig.reactor.connectUNIX(path, _wrapped(client))
        connected = await client.connects()
        server = await program.accepts()
        connected.transport.sendFileDescriptor(0)
        connected.transport.write(b"x")
        await server.gets(b"x")
        assert ("descriptor" in server.events) == (make is Receives)


@behaviour
@in_reactor
async def an_exception_of_a_wrapped_protocol_ends_its_connection_and_is_logged_once(rig: Rig) -> None:
    class Fails(Recorder):
        failing = ""

        def _fail_in(self, method: str) -> None:
            if self.failing == method:
                raise LookupError(method)

        def connectionMade(self) -> None:
            super().connectionMade()
            self._fail_in("connectionMade")

        def dataReceived(self, data: bytes) -> None:
            self._fail_in("dataReceived")
            self.transport.write(data)

        def connectionLost(self, reason: Any) -> None:
            super().connectionLost(reason)
            self._fail_in("connectionLost")

    program = Server(Fails)
    factory = _wrapped(program)
    port = _listen(rig, factory)
    bystander = await dial(rig, port.getHost()).connects()
    for method in ("connectionMade", "dataReceived", "connectionLost"):
        Fails.failing = method
        plain = plain_socket(rig, port)
        plain.sendall(b"x")
        plain.shutdown(socket.SHUT_WR)
        server = await program.accepts(len(program.protocols) + 1)
        await server.ends()
        await passes(rig)
        (error,) = rig.expect_errors(LookupError)
        assert str(error) == method
        assert len(factory.protocols) == 1
    Fails.failing = ""
    bystander.transport.write(b"still there")
    await bystander.gets(b"still there")


@behaviour
@in_reactor
async def a_peer_that_does_not_read_pauses_a_producer_behind_a_wrapper(rig: Rig) -> None:
    class Produces(Recorder):
        """Writes until it is paused."""

        paused = False

        def connectionMade(self) -> None:
            super().connectionMade()
            self.transport.registerProducer(self, True)
            self.resumeProducing()

        def pauseProducing(self) -> None:
            self.paused = True
            self.note("paused")

        def resumeProducing(self) -> None:
            self.paused = False
            while not self.paused:
                self.transport.write(b"x" * 10_000)

        def stopProducing(self) -> None:
            self.note("stopped")

    program = Server(Produces)
    plain = plain_socket(rig, _listen(rig, _wrapped(program)))
    server = await program.accepts()
    assert server.events == ["made", "paused"]
    plain.setblocking(False)
    while server.events.count("paused") < 3:
        await passes(rig)
        try:
            plain.recv(1_000_000)
        except BlockingIOError:
            continue
    server.transport.abortConnection()
    await server.ends()
    assert server.events[-2:] == ["stopped", "lost"]


@behaviour
@in_reactor
async def reading_beyond_the_limit_waits_without_work_and_goes_on(rig: Rig) -> None:
    program = Server()
    factory = ThrottlingFactory(program, readLimit=20_000)
    plain = plain_socket(rig, _listen(rig, factory))
    server = await program.accepts()
    began = rig.reactor.seconds()
    plain.sendall(b"x" * 24_000)
    await server.gets(b"x" * 24_000)
    plain.sendall(b"y")
    assert await waits(rig, 0.3) < 20
    assert server.pieces[-1] != 1
    await server.gets(b"x" * 24_000 + b"y")
    assert rig.reactor.seconds() - began >= 1.2
    plain.close()
    await server.ends()
    assert not rig.reactor.getDelayedCalls()


@behaviour
@in_reactor
async def writing_beyond_the_limit_waits_without_work_and_goes_on(rig: Rig) -> None:
    class Pulled(Recorder):
        """Writes 24,000 bytes, then a byte, when it is asked."""

        left = 2

        def connectionMade(self) -> None:
            super().connectionMade()
            self.transport.registerProducer(self, False)

        def resumeProducing(self) -> None:
            self.left -= 1
            self.transport.write(b"x" * 24_000 if self.left else b"y")
            if not self.left:
                self.transport.unregisterProducer()
                self.transport.loseConnection()

        def stopProducing(self) -> None:
            raise AssertionError("it was stopped")

    factory = ThrottlingFactory(Server(Pulled), writeLimit=20_000)
    began = rig.reactor.seconds()
    client = await dial(rig, _listen(rig, factory).getHost()).connects()
    await client.until(lambda: len(client.received) == 24_000)
    assert await waits(rig, 0.3) < 20
    await client.ends()
    assert client.received == b"x" * 24_000 + b"y"
    assert rig.reactor.seconds() - began >= 1.2
    while factory.protocols:
        await passes(rig)
    assert not rig.reactor.getDelayedCalls()


@behaviour
def a_reactor_stops_while_throttled_connections_wait(rig: Rig) -> None:
    program = Server()

    async def scenario() -> None:
        plain = plain_socket(rig, _listen(rig, ThrottlingFactory(program, readLimit=1)))
        server = await program.accepts()
        plain.sendall(b"too much")
        await server.gets(b"too much")

    rig.play(scenario)
    assert program.protocols[0].events == ["made", "lost"]
    assert not rig.reactor.getDelayedCalls()


@behaviour
@in_reactor
async def connections_beyond_a_limit_are_closed_until_there_is_room_again(rig: Rig) -> None:
    by_peer = LimitConnectionsByPeer(Server(Echo))
    by_peer.maxConnectionsPerPeer = 1
    total = LimitTotalConnectionsFactory()
    total.protocol = Echo
    total.connectionLimit = 1
    for factory in (by_peer, total, ThrottlingFactory(Server(Echo), maxConnectionCount=1)):
        port = _listen(rig, factory)
        first = await dial(rig, port.getHost()).connects()
        first.transport.write(b"x")
        await first.gets(b"x")
        second = await dial(rig, port.getHost()).connects()
        await second.ends()
        first.transport.loseConnection()
        await first.ends()
        await passes(rig)
        third = await dial(rig, port.getHost()).connects()
        third.transport.write(b"x")
        await third.gets(b"x")


@behaviour
@in_reactor
async def an_overflow_protocol_answers_the_connections_beyond_the_limit(rig: Rig) -> None:
    class Full(Recorder):
        def connectionMade(self) -> None:
            self.transport.write(b"come back later")
            self.transport.loseConnection()

    factory = LimitTotalConnectionsFactory()
    factory.protocol = Echo
    factory.connectionLimit = 0
    factory.overflowProtocol = Full
    client = await dial(rig, _listen(rig, factory).getHost()).connects()
    await client.gets(b"come back later")
    assert isinstance(await client.ends(), ConnectionDone)


@behaviour
@in_reactor
async def an_idle_connection_is_closed_after_its_timeout(rig: Rig) -> None:
    class Impatient(TimeoutMixin, Recorder):
        def connectionMade(self) -> None:
            super().connectionMade()
            self.setTimeout(0.02)

    mixed, wrapping = Server(Impatient), Server()
    for factory, program in ((mixed, mixed), (TimeoutFactory(wrapping, 0.02), wrapping)):
        client = await dial(rig, _listen(rig, factory).getHost()).connects()
        assert isinstance(await client.ends(), ConnectionDone)
        assert isinstance(await program.protocols[0].ends(), ConnectionDone)
    assert not rig.reactor.getDelayedCalls()


@behaviour
@in_reactor
async def the_traffic_of_each_connection_goes_to_a_file_of_its_own(rig: Rig) -> None:
    folder = Path(rig.keep(tempfile.TemporaryDirectory()))
    program = Server(Echo)
    port = _listen(rig, TrafficLoggingFactory(program, str(folder / "traffic")))
    for number in (1, 2):
        client = await dial(rig, port.getHost()).connects()
        client.transport.write(b"hello")
        await client.gets(b"hello")
        client.transport.loseConnection()
        await program.protocols[-1].ends()
        lines = (folder / f"traffic-{number}").read_text(encoding="utf-8").splitlines()
        assert lines[:3] == ["*", f"C {number}: b'hello'", f"S {number}: b'hello'"]
        assert "ConnectionDone" in lines[3]


@behaviour
@in_reactor
async def spewing_logs_both_directions(rig: Rig) -> None:
    port = _listen(rig, SpewingFactory(Server(Echo)))
    client = await dial(rig, port.getHost()).connects()
    with log_records(logging.INFO) as records:
        client.transport.write(b"hello")
        await client.gets(b"hello")
    assert [record.getMessage() for record in records] == ["Received: b'hello'", "Sending: b'hello'"]
