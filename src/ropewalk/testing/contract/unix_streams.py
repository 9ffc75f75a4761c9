"""UNIX stream sockets: listening at a path, connecting, what travels over a connection, who is at the other end."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
import tempfile
import unittest
from typing import Any

from ropewalk.internet.address import UNIXAddress
from ropewalk.internet.error import (
    BadFileError,
    CannotListenError,
    ConnectError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionRefusedError,
    TimeoutError,
    UserError,
)
from ropewalk.internet.protocol import ClientCreator
from ropewalk.testing.contract import behaviour
from ropewalk.testing.contract.tcp_streams import pattern
from ropewalk.testing.features import needs, why_missing
from ropewalk.testing.peers import Client, Echo, HalfCloser, Recorder, Server, in_reactor, passes, waits
from ropewalk.testing.rig import Rig, raises
from ropewalk.testing.unix_peers import dial_unix, folder, listen_unix, need_unix_sockets, unix_pair

_HOLDS_A_PATH = """
import os, socket, sys
held = socket.socket(socket.AF_UNIX)
held.bind(sys.argv[1])
held.listen()
if len(sys.argv) > 2:
    os.symlink(str(os.getpid()), sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


def holder(rig: Rig, *paths: str) -> subprocess.Popen[str]:
    """A process that listens at the first path, and has the second as its lock; it lives until its stdin ends."""
    command = [sys.executable, "-c", _HOLDS_A_PATH, *paths]
    process: subprocess.Popen[str] = rig.keep(
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


# -- what travels


@behaviour
@in_reactor
async def a_megabyte_goes_both_ways_over_a_unix_socket(rig: Rig) -> None:
    client, server = await unix_pair(rig)
    there, back = pattern(1_000_003), pattern(1_000_001)[1:]
    client.transport.write(there)
    server.transport.writeSequence([back[:10], back[10:]])
    await server.gets(there)
    await client.gets(back)


@behaviour
@in_reactor
async def both_ends_of_a_unix_connection_learn_of_an_orderly_end(rig: Rig) -> None:
    client, server = await unix_pair(rig)
    client.transport.loseConnection()
    assert isinstance(await client.ends(), ConnectionDone)
    assert isinstance(await server.ends(), ConnectionDone)


@behaviour
@in_reactor
async def one_side_of_a_unix_connection_may_end_before_the_other(rig: Rig) -> None:
    client, server = await unix_pair(rig, HalfCloser, HalfCloser)
    client.transport.loseWriteConnection()
    await server.happens("read lost")
    server.transport.write(b"still here")
    await client.gets(b"still here")
    server.transport.loseConnection()
    assert isinstance(await client.ends(), ConnectionDone)


@behaviour
@in_reactor
async def aborting_a_unix_connection_ends_both_sides(rig: Rig) -> None:
    client, server = await unix_pair(rig)
    client.transport.abortConnection()
    assert isinstance(await client.ends(), ConnectionAborted)
    await server.ends()


@behaviour
@in_reactor
async def the_addresses_of_a_unix_connection_are_those_of_its_ends(rig: Rig) -> None:
    port = listen_unix(rig)
    name = port.getHost().name
    client = await dial_unix(rig, name).connects()
    server = await port.factory.accepts()
    assert client.transport.getPeer() == UNIXAddress(name)
    assert client.transport.getHost() == UNIXAddress(None)
    assert server.transport.getHost() == UNIXAddress(name)
    assert server.transport.getPeer() == UNIXAddress(None)
    assert client.transport.getHandle().family == socket.AF_UNIX
    assert client.transport.getTcpNoDelay() is False
    client.transport.setTcpNoDelay(True)
    client.transport.loseConnection()
    await client.ends()
    assert client.transport.getHost() == UNIXAddress(None)


@behaviour
@in_reactor
async def a_unix_transport_says_which_process_is_at_the_other_end(rig: Rig) -> None:
    need_unix_sockets()
    client, server = await unix_pair(rig)
    if why_missing("peer credentials"):
        with raises(OSError):
            client.transport.getPeerCredentials()
        return
    expected = (os.getpid(), os.getuid(), os.getgid())
    assert client.transport.getPeerCredentials() == expected
    assert server.transport.getPeerCredentials().pid == expected[0]


# -- listening


@behaviour
@in_reactor
async def a_unix_port_makes_its_file_and_removes_it(rig: Rig) -> None:
    port = listen_unix(rig, mode=0o640)
    path = port.getHost().name
    found = os.stat(path)
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o640
    assert os.fsdecode(path) in repr(port)
    await port.stopListening()
    assert not os.path.lexists(path)
    port.startListening()
    assert os.path.lexists(path)
    await port.stopListening()
    assert port.factory.events == ["start", "stop", "start", "stop"]


@behaviour
@in_reactor
async def without_a_mode_everybody_may_connect_to_a_unix_port(rig: Rig) -> None:
    port = listen_unix(rig)
    assert stat.S_IMODE(os.stat(port.getHost().name).st_mode) == 0o666


@behaviour
@in_reactor
async def a_unix_port_takes_its_backlog(rig: Rig) -> None:
    port = listen_unix(rig, backlog=1)
    waiting = [rig.keep(socket.socket(socket.AF_UNIX)) for _ in range(2)]
    refused = rig.keep(socket.socket(socket.AF_UNIX))
    for plain in (*waiting, refused):
        plain.setblocking(False)
    answers = [plain.connect_ex(port.getHost().name) for plain in (*waiting, refused)]
    assert answers[0] == 0
    assert answers[-1] in (errno.EAGAIN, errno.ECONNREFUSED)


@behaviour
@in_reactor
async def the_end_of_the_reactor_removes_the_file_of_a_unix_port(rig: Rig) -> None:
    port = listen_unix(rig, wantPID=True)
    path = os.fsdecode(port.getHost().name)
    assert os.path.lexists(f"{path}.lock")

    def look() -> None:
        assert os.listdir(os.path.dirname(path)) == []

    rig.reactor.addSystemEventTrigger("after", "shutdown", look)


@behaviour
@in_reactor
async def a_unix_port_refuses_a_path_that_is_in_use(rig: Rig) -> None:
    port = listen_unix(rig, Echo)
    path = os.fsdecode(port.getHost().name)
    for arguments in ({}, {"wantPID": True}):
        with raises(CannotListenError) as raised:
            rig.reactor.listenUNIX(path, Server(), **arguments)
        assert path in str(raised[0])
        assert "it is alive" in str(raised[0])
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]
    client = await dial_unix(rig, path).connects()
    client.transport.write(b"undisturbed")
    await client.gets(b"undisturbed")


@behaviour
@in_reactor
async def a_unix_port_refuses_a_path_whose_lock_a_living_process_has(rig: Rig) -> None:
    path = os.path.join(folder(rig), "port")
    with holder(rig, path, f"{path}.lock") as process:
        with raises(CannotListenError) as raised:
            rig.reactor.listenUNIX(path, Server(), wantPID=True)
        assert f"a living process holds {path}.lock" in str(raised[0])
        client = await dial_unix(rig, path, checkPID=True).connects()
        client.transport.abortConnection()
        await client.ends()
        process.kill()


@behaviour
@in_reactor
async def what_a_dead_process_left_is_replaced(rig: Rig) -> None:
    for arguments in ({}, {"wantPID": True}):
        path = os.path.join(folder(rig), "port")
        with holder(rig, path, f"{path}.lock") as process:
            process.kill()
        assert os.path.lexists(path)
        failed = await dial_unix(rig, path, checkPID=True).fails()
        assert isinstance(failed, BadFileError)
        port = rig.reactor.listenUNIX(path, Server(Echo), **arguments)
        client = await dial_unix(rig, path, checkPID="wantPID" in arguments).connects()
        client.transport.write(b"the new one")
        await client.gets(b"the new one")
        client.transport.abortConnection()
        await client.ends()
        await port.stopListening()
        assert not os.path.lexists(path)


@behaviour
@in_reactor
async def another_kind_of_file_in_the_place_of_a_unix_port_is_left_alone(rig: Rig) -> None:
    path = os.path.join(folder(rig), "port")
    with open(path, "w", encoding="ascii") as file:
        file.write("precious")
    for arguments in ({}, {"wantPID": True}):
        with raises(CannotListenError) as raised:
            rig.reactor.listenUNIX(path, Server(), **arguments)
        assert "not a socket" in str(raised[0])
    with open(path, encoding="ascii") as file:
        assert file.read() == "precious"
    assert os.listdir(os.path.dirname(path)) == ["port"]


@behaviour
@in_reactor
async def a_unix_port_leaves_the_file_of_its_successor(rig: Rig) -> None:
    port = listen_unix(rig)
    path = port.getHost().name
    os.unlink(path)
    successor = rig.reactor.listenUNIX(path, Server(Echo))
    await port.stopListening()
    client = await dial_unix(rig, path).connects()
    client.transport.write(b"the successor's")
    await client.gets(b"the successor's")
    await successor.stopListening()


@behaviour
@in_reactor
async def a_path_that_cannot_be_bound_is_named_with_the_reason(rig: Rig) -> None:
    place = folder(rig)
    faults = {
        os.path.join(place, "x" * 200): "too long",
        os.path.join(place, "nowhere", "port"): "no such file or directory",
    }
    for path, reason in faults.items():
        factory = Server()
        with raises(CannotListenError) as raised:
            rig.reactor.listenUNIX(path, factory)
        assert reason in str(raised[0])
        assert path in str(raised[0])
        assert factory.events == []
    with raises(ValueError):
        rig.reactor.listenUNIX("a\0path", Server())
    with raises(TypeError):
        rig.reactor.listenUNIX(os.path.join(place, "port"), Server(), backlog="many", wantPID=True)
    assert os.listdir(place) == []


@behaviour
@in_reactor
async def a_unix_port_stops_also_where_its_lock_was_taken_from_it(rig: Rig) -> None:
    port = listen_unix(rig, wantPID=True)
    lock = os.fsdecode(port.getHost().name) + ".lock"
    os.unlink(lock)
    os.symlink(str(os.getppid()), lock)
    await port.stopListening()
    rig.expect_errors(ValueError)
    assert port.factory.events == ["start", "stop"]
    assert os.path.lexists(lock)


@behaviour
@needs("abstract names")
@in_reactor
async def an_abstract_name_has_no_file(rig: Rig) -> None:
    name = f"\0ropewalk-{os.getpid()}-{id(rig)}"
    port = rig.reactor.listenUNIX(name, Server(Echo), wantPID=True)
    assert port.getHost() == UNIXAddress(name)
    assert "@ropewalk-" in repr(port)
    client = await dial_unix(rig, name).connects()
    client.transport.write(b"from nowhere")
    await client.gets(b"from nowhere")
    with raises(CannotListenError):
        rig.reactor.listenUNIX(name, Server())
    assert isinstance(await dial_unix(rig, name, checkPID=True).fails(), BadFileError)   # it can have no lock


# -- connecting


@behaviour
@in_reactor
async def a_unix_connection_that_cannot_be_made_names_the_path_and_the_reason(rig: Rig) -> None:
    place = folder(rig)
    dead = os.path.join(place, "dead")
    with socket.socket(socket.AF_UNIX) as plain:
        plain.bind(dead)
    faults: dict[str, type[Exception]] = {
        os.path.join(place, "nothing"): ConnectError,
        dead: ConnectionRefusedError,
        os.path.join(place, "x" * 200): ConnectError,
    }
    for path, kind in faults.items():
        factory = dial_unix(rig, path)
        assert factory.events == ["start", "started"]
        failed = await factory.fails()
        assert isinstance(failed, kind)
        assert path in str(failed)
        assert factory.events == ["start", "started", "failed", "stop"]


@behaviour
@in_reactor
async def a_unix_connection_waits_for_room_in_the_backlog(rig: Rig) -> None:
    path = os.path.join(folder(rig), "port")
    listener = rig.keep(socket.socket(socket.AF_UNIX))
    listener.bind(path)
    listener.listen(0)
    first = rig.keep(socket.socket(socket.AF_UNIX))
    first.connect(path)
    factory = dial_unix(rig, path)
    turns = await waits(rig, 0.05)
    if factory.reasons:
        raise unittest.SkipTest("this system refuses at once where the backlog is full")
    assert factory.events == ["start", "started"]
    assert turns < 30
    accepted = [rig.keep(listener.accept()[0])]
    await factory.connects()
    accepted.append(rig.keep(listener.accept()[0]))


@behaviour
@in_reactor
async def a_unix_connection_gives_up_when_its_time_is_over(rig: Rig) -> None:
    path = os.path.join(folder(rig), "port")
    listener = rig.keep(socket.socket(socket.AF_UNIX))
    listener.bind(path)
    listener.listen(0)
    rig.keep(socket.socket(socket.AF_UNIX)).connect(path)
    factory = dial_unix(rig, path, timeout=0.03)
    failed = await factory.fails()
    assert isinstance(failed, TimeoutError | ConnectionRefusedError)


@behaviour
@in_reactor
async def a_unix_attempt_can_be_given_up(rig: Rig) -> None:
    port = listen_unix(rig)
    for give_up in ("stopConnecting", "disconnect"):
        factory = dial_unix(rig, port.getHost().name)
        getattr(factory.connector, give_up)()
        assert isinstance(await factory.fails(), UserError)
    await passes(rig)
    assert port.factory.protocols == [] or all(one.reason for one in port.factory.protocols)


@behaviour
@in_reactor
async def a_client_creator_connects_to_a_unix_socket(rig: Rig) -> None:
    port = listen_unix(rig, wantPID=True)
    client = await ClientCreator(rig.reactor, Recorder).connectUNIX(port.getHost().name, checkPID=True)
    client.transport.write(b"x")
    await (await port.factory.accepts()).gets(b"x")
    with raises(BadFileError):
        await ClientCreator(rig.reactor, Recorder).connectUNIX(os.path.join(folder(rig), "nothing"), checkPID=True)


@behaviour
@in_reactor
async def a_unix_connector_connects_again(rig: Rig) -> None:
    port = listen_unix(rig)
    factory = dial_unix(rig, port.getHost().name)
    first = await factory.connects()
    assert factory.connector.getDestination() == port.getHost()
    factory.connector.disconnect()
    await first.ends()
    factory.connector.connect()
    second = await factory.connects(2)
    assert second is not first
    second.transport.loseConnection()
    await second.ends()


@behaviour
@in_reactor
async def the_end_of_the_reactor_ends_an_attempt_at_a_unix_socket(rig: Rig) -> None:
    path = os.path.join(folder(rig), "port")
    listener = rig.keep(socket.socket(socket.AF_UNIX))
    listener.bind(path)
    listener.listen(0)
    rig.keep(socket.socket(socket.AF_UNIX)).connect(path)
    factory: Client = dial_unix(rig, path, timeout=None)

    def look() -> None:
        assert factory.events[-2:] == ["failed", "stop"]

    rig.reactor.addSystemEventTrigger("after", "shutdown", look)


# -- descriptors that travel


class Taker(Echo):
    """Keeps the descriptors it is sent, and in `order` what came when."""

    def __init__(self) -> None:
        super().__init__()
        self.descriptors: list[int] = []
        self.order: list[Any] = []

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self.descriptors.append(descriptor)
        self.order.append("descriptor")
        self.note("descriptor")

    def dataReceived(self, data: bytes) -> None:
        self.order.append(bytes(data))
        super().dataReceived(data)

    def connectionLost(self, reason: Any) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        super().connectionLost(reason)


def some_descriptor(rig: Rig) -> int:
    """One that is open, and is not that of the connection: that would keep it open at the other end."""
    return rig.socket_pair()[0].fileno()


@behaviour
@in_reactor
async def a_descriptor_arrives_before_the_bytes_it_was_sent_with(rig: Rig) -> None:
    client, server = await unix_pair(rig, server=Taker)
    reading, writing = os.pipe()
    client.transport.sendFileDescriptor(writing)
    client.transport.write(b"here you are")
    os.close(writing)
    await server.gets(b"here you are")
    assert server.order == ["descriptor", b"here you are"]
    assert not os.get_inheritable(server.descriptors[0])
    os.write(server.descriptors[0], b"through the copy")
    assert os.read(reading, 100) == b"through the copy"
    os.close(reading)
    client.transport.loseConnection()
    await server.ends()


@behaviour
@in_reactor
async def a_descriptor_arrives_before_the_file_that_is_sent_next(rig: Rig) -> None:
    client, server = await unix_pair(rig, server=Taker)
    content = pattern(800_000)
    client.transport.sendFileDescriptor(some_descriptor(rig))
    with tempfile.TemporaryFile() as file:
        file.write(content)
        assert await client.transport.sendfile(file) == len(content)
    await server.gets(content)
    assert server.order[0] == "descriptor"
    client.transport.loseConnection()
    await server.ends()


@behaviour
@in_reactor
async def many_descriptors_arrive_in_order(rig: Rig) -> None:
    client, server = await unix_pair(rig, server=Taker)
    pipes = [os.pipe() for _ in range(20)]
    for _, writing in pipes:
        client.transport.sendFileDescriptor(writing)
    client.transport.write(b"all")
    await server.happens("descriptor", len(pipes))
    for (reading, writing), received in zip(pipes, server.descriptors, strict=True):
        assert os.path.samestat(os.fstat(writing), os.fstat(received))
        os.close(reading)
        os.close(writing)
    client.transport.loseConnection()
    await server.ends()


@behaviour
@in_reactor
async def a_descriptor_that_is_sent_while_data_waits_arrives(rig: Rig) -> None:
    client, server = await unix_pair(rig, server=Taker)
    server.transport.pauseProducing()
    much = pattern(3_000_000)
    client.transport.write(much)
    client.transport.sendFileDescriptor(some_descriptor(rig))
    client.transport.write(b"end")
    server.transport.resumeProducing()
    await server.happens("descriptor")
    await server.until(lambda: len(server.received) == len(much) + 3)
    client.transport.loseConnection()
    await server.ends()


@behaviour
@in_reactor
async def a_protocol_that_takes_no_descriptors_gets_none_and_nothing_leaks(rig: Rig) -> None:
    client, server = await unix_pair(rig)
    client.transport.sendFileDescriptor(some_descriptor(rig))
    client.transport.write(b"only bytes")
    await server.gets(b"only bytes")


@behaviour
@in_reactor
async def a_descriptor_that_is_not_open_cannot_be_sent(rig: Rig) -> None:
    client, server = await unix_pair(rig, server=Taker)
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    with raises(OSError):
        client.transport.sendFileDescriptor(reading)
    client.transport.write(b"unharmed")
    await server.gets(b"unharmed")
    client.transport.loseConnection()
    await server.ends()


@behaviour
@in_reactor
async def a_descriptor_that_was_never_sent_does_not_stay_open(rig: Rig) -> None:
    client, server = await unix_pair(rig)
    client.transport.sendFileDescriptor(some_descriptor(rig))
    client.transport.loseConnection()
    assert isinstance(await server.ends(), ConnectionDone)
    client.transport.sendFileDescriptor(0)


@behaviour
@in_reactor
async def a_failure_with_a_descriptor_ends_its_connection_alone(rig: Rig) -> None:
    class Failing(Taker):
        def fileDescriptorReceived(self, descriptor: int) -> None:
            super().fileDescriptorReceived(descriptor)
            raise LookupError("no use for it")

    other, kept = await unix_pair(rig, server=Echo)
    client, server = await unix_pair(rig, server=Failing)
    client.transport.sendFileDescriptor(some_descriptor(rig))
    client.transport.write(b"bytes")
    assert isinstance(await server.ends(), LookupError)
    assert server.order == ["descriptor"]
    rig.expect_errors(LookupError)
    other.transport.write(b"the other goes on")
    await other.gets(b"the other goes on")
    assert kept.reason is None


@behaviour
@in_reactor
async def nothing_more_is_received_after_a_connection_was_given_up_over_a_descriptor(rig: Rig) -> None:
    class Leaving(Taker):
        def fileDescriptorReceived(self, descriptor: int) -> None:
            super().fileDescriptorReceived(descriptor)
            self.transport.abortConnection()

    client, server = await unix_pair(rig, server=Leaving)
    for _ in range(3):
        client.transport.sendFileDescriptor(some_descriptor(rig))
    client.transport.write(b"bytes")
    assert isinstance(await server.ends(), ConnectionAborted)
    assert server.order == ["descriptor"]
    await client.ends()
