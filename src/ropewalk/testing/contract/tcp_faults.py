"""Faults on TCP: programs that raise, peers and descriptors that vanish; the rest of the program goes on."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

from ropewalk.errors import ConnectError, ConnectionDone, ConnectionLost
from ropewalk.testing.contract import behaviour
from ropewalk.testing.contract.tcp_connecting import dead_address
from ropewalk.testing.features import needs, require
from ropewalk.testing.peers import (
    IPV4,
    PATIENCE,
    Client,
    Echo,
    HalfCloser,
    Recorder,
    Server,
    dial,
    in_reactor,
    listen,
    pair,
    passes,
    plain_pair,
    plain_socket,
    waits,
)
from ropewalk.testing.rig import Rig, raises


class Made(Exception):
    """What the broken programs here raise."""


def broken(base: type, method: str) -> Any:
    """A subclass of `base` whose `method` raises."""

    def fails(self: Any, *_: object) -> None:
        raise Made(method)

    return type(f"Broken{base.__name__}", (base,), {method: fails})


async def answers(client: Recorder) -> None:
    """Assert that the connection of `client`, to an Echo, works."""
    client.received.clear()
    client.transport.write(b"still there?")
    await client.gets(b"still there?")


def expect_made(rig: Rig, method: str) -> BaseException:
    """The one error that was logged; `method` raised it, and the traceback tells."""
    [error] = rig.expect_errors(Made)
    assert error.args == (method,)
    assert error.__traceback__ is not None
    return error


# -- protocols that raise


@behaviour
@in_reactor
async def a_protocol_that_fails_when_it_is_connected_loses_its_connection_only(rig: Rig) -> None:
    other, _ = await pair(rig, server=Echo)
    for method in ("makeConnection", "connectionMade"):
        client, server = await pair(rig, server=broken(Recorder, method))
        await client.ends()
        assert await server.ends() is expect_made(rig, method)
        await answers(other)


@behaviour
@in_reactor
async def a_protocol_that_fails_when_it_receives_loses_its_connection_only(rig: Rig) -> None:
    other, _ = await pair(rig, server=Echo)
    client, server = await pair(rig, server=broken(Recorder, "dataReceived"))
    client.transport.write(b"x")
    await client.ends()
    assert await server.ends() is expect_made(rig, "dataReceived")
    assert server.events == ["made", "lost"]
    await answers(other)


@behaviour
@in_reactor
async def a_protocol_that_fails_when_it_is_lost_is_logged_and_its_factory_is_told(rig: Rig) -> None:
    other, _ = await pair(rig, server=Echo)
    port = listen(rig)
    factory = dial(rig, port.getHost(), broken(Recorder, "connectionLost"))
    (await factory.connects()).transport.loseConnection()
    await factory.happens("stop")
    assert isinstance(factory.reasons[0], ConnectionDone)
    expect_made(rig, "connectionLost")
    await answers(other)


@behaviour
@in_reactor
async def a_protocol_that_fails_when_a_half_ends_loses_its_connection_only(rig: Rig) -> None:
    other, _ = await pair(rig, server=Echo)
    for method, end in (("readConnectionLost", 0), ("writeConnectionLost", 1)):
        ends = await pair(rig, client=HalfCloser, server=broken(HalfCloser, method))
        ends[end].transport.loseWriteConnection()
        assert await ends[1].ends() is expect_made(rig, method)
        ends[0].transport.loseConnection()
        await ends[0].ends()
        await answers(other)


class _Producer:
    """A producer that does nothing."""

    def pauseProducing(self) -> None:
        pass

    def resumeProducing(self) -> None:
        pass

    def stopProducing(self) -> None:
        pass


@behaviour
@in_reactor
async def a_producer_that_fails_loses_its_connection_only(rig: Rig) -> None:
    other, _ = await pair(rig, server=Echo)
    for method, streaming in (("resumeProducing", False), ("pauseProducing", True), ("resumeProducing", True)):
        client, server = await pair(rig)
        client.transport.registerProducer(broken(_Producer, method)(), streaming)
        client.transport.write(b"x" * 10_000_000)
        assert (await client.ends()).args == (method,)
        expect_made(rig, method)
        await server.ends()
        await answers(other)


@behaviour
@needs("resets")
@in_reactor
async def a_producer_that_fails_to_stop_is_logged_and_the_protocol_is_told_of_the_loss(rig: Rig) -> None:
    client, server = await pair(rig)
    client.transport.registerProducer(broken(_Producer, "stopProducing")(), True)
    server.transport.abortConnection()
    assert isinstance(await client.ends(), ConnectionLost)
    expect_made(rig, "stopProducing")


@behaviour
@in_reactor
async def what_is_no_protocol_at_all_is_logged_and_its_connection_closed(rig: Rig) -> None:
    other, _ = await pair(rig, server=Echo)
    plain = plain_socket(rig, port := listen(rig, object))
    await port.factory.accepts()
    await passes(rig)
    assert rig.take_errors()
    plain.settimeout(0)
    assert plain.recv(1) == b""
    plain.close()
    assert not [one for one in rig.reactor.transports if type(getattr(one, "protocol", None)) is object]
    await answers(other)


@behaviour
@in_reactor
async def a_protocol_that_knows_one_half_only_does_not_stop_the_reactor(rig: Rig) -> None:
    class OneHalf(Recorder):
        def readConnectionLost(self) -> None:
            self.note("read lost")

    other, _ = await pair(rig, server=Echo)
    plain, server = await plain_pair(rig, OneHalf)
    server.transport.loseWriteConnection()
    await passes(rig)
    assert plain.recv(1) == b""
    plain.close()
    await server.ends()
    await answers(other)
    rig.take_errors()


# -- factories that raise


@behaviour
@in_reactor
async def a_client_factory_that_fails_to_build_is_told_that_its_connection_is_lost(rig: Rig) -> None:
    port = listen(rig)
    factory = broken(Client, "buildProtocol")()
    rig.reactor.connectTCP(IPV4, port.getHost().port, factory)
    await factory.happens("stop")
    assert factory.reasons == [expect_made(rig, "buildProtocol")]
    assert factory.events == ["start", "started", "lost", "stop"]


@behaviour
@in_reactor
async def a_factory_that_fails_when_an_attempt_starts_is_logged_and_gets_its_connection(rig: Rig) -> None:
    port = listen(rig)
    factory = broken(Client, "startedConnecting")()
    rig.reactor.connectTCP(IPV4, port.getHost().port, factory)
    expect_made(rig, "startedConnecting")
    await factory.connects()


@behaviour
@in_reactor
async def a_factory_that_fails_when_its_attempt_failed_is_logged_and_stops(rig: Rig) -> None:
    address = await dead_address(rig)
    factory = broken(Client, "clientConnectionFailed")()
    rig.reactor.connectTCP(address.host, address.port, factory)
    await factory.happens("stop")
    expect_made(rig, "clientConnectionFailed")


@behaviour
@in_reactor
async def a_factory_that_fails_when_its_connection_is_lost_is_logged_and_stops(rig: Rig) -> None:
    factory = broken(Client, "clientConnectionLost")()
    rig.reactor.connectTCP(IPV4, listen(rig).getHost().port, factory)
    (await factory.connects()).transport.loseConnection()
    await factory.happens("stop")
    expect_made(rig, "clientConnectionLost")


@behaviour
@in_reactor
async def a_factory_that_cannot_start_is_told_to_the_caller_and_nothing_stays_open(rig: Rig) -> None:
    for use in ("listenTCP", "connectTCP"):
        factory = broken(Server if use == "listenTCP" else Client, "startFactory")()
        with raises(Made):
            if use == "listenTCP":
                rig.reactor.listenTCP(0, factory, interface=IPV4)
            else:
                rig.reactor.connectTCP(IPV4, 9, factory)
        assert not rig.reactor.transports, use


@behaviour
@in_reactor
async def a_factory_that_fails_to_stop_is_logged_and_the_port_has_stopped(rig: Rig) -> None:
    port = rig.reactor.listenTCP(0, broken(Server, "stopFactory")(), interface=IPV4)
    await port.stopListening()
    expect_made(rig, "stopFactory")


# -- what is written


@behaviour
@in_reactor
async def what_is_not_bytes_is_refused_to_its_writer_and_the_connection_lives(rig: Rig) -> None:
    client, server = await pair(rig)
    for before in (b"", b"x"):   # at once, and behind something that was written
        for wrong in ("text", 5, None, ["list"], object()):
            client.transport.write(before)
            for write, data in ((client.transport.write, wrong), (client.transport.writeSequence, [wrong])):
                with raises(TypeError):
                    write(data)
    client.transport.write(b"!")
    await server.gets(b"xxxxx!")


@behaviour
@in_reactor
async def buffers_are_sent_as_they_were_when_they_were_written(rig: Rig) -> None:
    client, server = await pair(rig)
    filler = bytes(10_000_000)   # so that what follows has to wait
    data = bytearray(b"a" * 1000)
    view = memoryview(bytearray(b"b" * 1000))
    client.transport.write(data)
    client.transport.write(filler)
    client.transport.write(data)
    client.transport.write(view)
    client.transport.writeSequence([data, view])
    data[:] = b"X" * len(data)
    view[:] = b"Y" * len(view)
    await server.gets(b"a" * 1000 + filler + (b"a" * 1000 + b"b" * 1000) * 2)


@behaviour
@in_reactor
async def a_buffer_of_wide_items_is_sent_whole(rig: Rig) -> None:
    client, server = await pair(rig)
    wide = memoryview(bytearray(range(240)) * 10_000).cast("Q")
    client.transport.write(wide)
    client.transport.write(wide)
    await server.gets(bytes(wide) * 2)


# -- descriptors that vanish


@behaviour
@in_reactor
async def a_connection_whose_descriptor_was_closed_is_lost_when_it_is_used(rig: Rig) -> None:
    other, _ = await pair(rig, server=Echo)
    for use in ("write", "loseConnection", "abortConnection", "loseWriteConnection", "pauseProducing"):
        plain, server = await plain_pair(rig)
        socket.close(server.transport.getHandle().fileno())
        if use == "write":
            server.transport.write(b"x")
        else:
            getattr(server.transport, use)()
        if use == "pauseProducing":
            server.transport.resumeProducing()
            server.transport.abortConnection()
        await server.ends()
        assert server.events == ["made", "lost"]
        plain.close()
        await answers(other)


@behaviour
@needs("descriptor table")
@in_reactor
async def a_connection_whose_descriptor_was_closed_does_not_keep_the_reactor_busy(rig: Rig) -> None:
    other, _ = await pair(rig, server=Echo)
    plain, server = await plain_pair(rig)
    os.close(server.transport.getHandle().fileno())
    plain.close()
    count = await waits(rig, 0.05)
    assert count < 20, f"the poller was asked {count} times in 0.05 s"
    await answers(other)
    server.transport.abortConnection()
    await server.ends()


@behaviour
@needs("descriptor table")
@in_reactor
async def a_number_that_was_closed_and_used_again_belongs_to_its_new_owner(rig: Rig) -> None:
    _, old = await plain_pair(rig)
    port = listen(rig, Echo)
    client = rig.keep(socket.socket())
    number = old.transport.getHandle().fileno()
    os.close(number)
    client.settimeout(PATIENCE)
    client.connect((IPV4, port.getHost().port))
    new = await port.factory.accepts()
    assert new.transport.getHandle().fileno() == number
    assert isinstance(await old.ends(), ConnectionLost)
    client.sendall(b"x")
    await new.gets(b"x")
    assert client.recv(1) == b"x"


@behaviour
@in_reactor
async def a_connection_whose_socket_was_closed_is_lost_when_it_is_used(rig: Rig) -> None:
    other, _ = await pair(rig, server=Echo)
    for use in ("write", "loseConnection", "abortConnection"):
        plain, server = await plain_pair(rig)
        server.transport.getHandle().close()
        await passes(rig)
        if use == "write":
            server.transport.write(b"x")
        else:
            getattr(server.transport, use)()
        await server.ends()
        assert plain.recv(1) == b""
        plain.close()
        await answers(other)


@behaviour
@needs("descriptor table")
@in_reactor
async def a_connection_whose_socket_was_closed_leaves_the_new_owner_of_its_number_alone(rig: Rig) -> None:
    for use in ("write", "resumeProducing", "loseConnection", "abortConnection"):
        plain, old = await plain_pair(rig)
        port = listen(rig, Echo)
        client = rig.keep(socket.socket())
        number = old.transport.getHandle().fileno()
        old.transport.getHandle().close()
        client.settimeout(PATIENCE)
        client.connect((IPV4, port.getHost().port))
        new = await port.factory.accepts()
        assert new.transport.getHandle().fileno() == number
        if use == "write":
            old.transport.write(b"not for the new one")
        else:
            getattr(old.transport, use)()
        await passes(rig)
        client.sendall(b"x")
        await new.gets(b"x")
        assert client.recv(100) == b"x"
        old.transport.abortConnection()
        await old.ends()
        client.close()
        plain.close()


@behaviour
@needs("descriptor table")
@in_reactor
async def a_port_whose_descriptor_was_closed_can_still_be_stopped(rig: Rig) -> None:
    other, _ = await pair(rig, server=Echo)
    port = listen(rig)
    os.close(port.channel.fileno())
    await passes(rig, 0.01)
    rig.take_errors()   # some pollers notice by themselves
    await port.stopListening()
    assert port.factory.events == ["start", "stop"]
    await answers(other)


# -- no descriptors left


@contextlib.contextmanager
def few_descriptors(spare: int = 0) -> Iterator[None]:
    """Only `spare` more descriptors can be opened."""
    require("descriptor limit")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[0] + 30, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(spare):
            os.close(held.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for one in held:
            os.close(one)


@behaviour
@in_reactor
async def without_descriptors_a_port_turns_its_callers_away_and_then_goes_on(rig: Rig) -> None:
    other, _ = await pair(rig, server=Echo)
    port = listen(rig)
    callers = [plain_socket(rig, port) for _ in range(3)]
    with few_descriptors():
        count = await waits(rig, 0.1)
        assert count < 20, f"the poller was asked {count} times in 0.1 s"
        for caller in callers:
            caller.settimeout(0)
            assert caller.recv(1) == b"", "it is closed, not left waiting"
            caller.close()
        await answers(other)
    errors = rig.take_errors()
    assert 1 <= len(errors) <= 3, errors
    await dial(rig, port.getHost()).connects()
    await port.factory.accepts()


@behaviour
@in_reactor
async def a_port_that_has_no_descriptor_in_reserve_rests_and_then_serves_who_waited(rig: Rig) -> None:
    caller = rig.keep(socket.socket())
    with few_descriptors(spare=1):
        port = listen(rig)
        caller.settimeout(PATIENCE)
        caller.connect((IPV4, port.getHost().port))
        count = await waits(rig, 0.3)
        assert count < 20, f"the poller was asked {count} times in 0.3 s"
    caller.sendall(b"x")
    await (await port.factory.accepts()).gets(b"x")
    caller.close()
    errors = rig.take_errors()
    assert 1 <= len(errors) <= 4, errors


@behaviour
@in_reactor
async def a_port_that_rests_can_be_stopped(rig: Rig) -> None:
    caller = rig.keep(socket.socket())
    with few_descriptors(spare=1):
        port = listen(rig)
        caller.settimeout(PATIENCE)
        caller.connect((IPV4, port.getHost().port))
        await passes(rig, 0.05)
        await port.stopListening()
        assert rig.take_errors()
    await passes(rig, 0.25)
    caller.close()
    assert port.factory.events == ["start", "stop"]


@behaviour
@in_reactor
async def without_descriptors_an_attempt_to_connect_fails(rig: Rig) -> None:
    port = listen(rig)
    factory = Client()
    with few_descriptors():
        rig.reactor.connectTCP(IPV4, port.getHost().port, factory)
        assert isinstance(await factory.fails(), ConnectError)
    assert factory.events[:3] == ["start", "started", "failed"]
