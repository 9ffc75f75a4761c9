"""transport.sendfile: parts of files go out in order with what is written, and say what became of them."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Any

from ropewalk.internet.defer import CancelledError
from ropewalk.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from ropewalk.testing.contract import behaviour
from ropewalk.testing.contract.tcp_streams import pattern
from ropewalk.testing.peers import in_reactor, pair, passes, waits
from ropewalk.testing.rig import Rig, raises
from ropewalk.testing.unix_peers import need_unix_sockets, unix_pair


def regular(rig: Rig, content: bytes) -> IO[bytes]:
    """A regular file, which os.sendfile takes."""
    file: IO[bytes] = rig.keep(_temporary())
    file.write(content)
    file.flush()
    return file


@contextlib.contextmanager
def _temporary() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        yield file


def in_memory(rig: Rig, content: bytes) -> IO[bytes]:
    """A file without a descriptor, which has to be read."""
    return io.BytesIO(content)


_KINDS: tuple[Callable[[Rig, bytes], IO[bytes]], ...] = (regular, in_memory)


@behaviour
@in_reactor
async def a_file_goes_out_whole_between_what_was_written_before_and_after(rig: Rig) -> None:
    content = pattern(1_500_007)
    for make in _KINDS:
        client, server = await pair(rig)
        client.transport.write(b"before")
        sent = client.transport.sendfile(make(rig, content))
        client.transport.write(b"after")
        assert await sent == len(content)
        await server.gets(b"before" + content + b"after")


@behaviour
@in_reactor
async def a_part_of_a_file_can_be_sent(rig: Rig) -> None:
    content = pattern(700_000)
    for make in _KINDS:
        client, server = await pair(rig)
        file = make(rig, content)
        assert await client.transport.sendfile(file, 100, 600_000) == 600_000
        assert await client.transport.sendfile(file, offset=5, count=3) == 3
        assert await client.transport.sendfile(file, 699_990) == 10
        await server.gets(content[100:600_100] + content[5:8] + content[-10:])


@behaviour
@in_reactor
async def a_file_that_ends_early_or_is_empty_tells_how_much_was_sent(rig: Rig) -> None:
    for make in _KINDS:
        client, server = await pair(rig)
        assert await client.transport.sendfile(make(rig, b"short"), 2, 100) == 3
        assert await client.transport.sendfile(make(rig, b"")) == 0
        assert await client.transport.sendfile(make(rig, b"nothing of it"), count=0) == 0
        assert await client.transport.sendfile(make(rig, b"beyond"), 100) == 0
        client.transport.write(b".")
        await server.gets(b"ort.")


@behaviour
@in_reactor
async def a_connection_that_is_being_closed_sends_its_files_first(rig: Rig) -> None:
    content = pattern(2_000_000)
    for make in _KINDS:
        client, server = await pair(rig)
        sent = client.transport.sendfile(make(rig, content))
        client.transport.loseConnection()
        assert await sent == len(content)
        assert isinstance(await server.ends(), ConnectionDone)
        await server.gets(content)


@behaviour
@in_reactor
async def a_producer_may_send_a_file_after_the_connection_was_to_be_closed(rig: Rig) -> None:
    client, server = await pair(rig)
    producer = SendsOneFile(client.transport, regular(rig, b"a file"))
    client.transport.registerProducer(producer, False)
    client.transport.loseConnection()
    assert isinstance(await server.ends(), ConnectionDone)
    assert server.received == b"a file"


class SendsOneFile:
    """A pull producer of the bytes of `file`."""

    def __init__(self, transport: Any, file: IO[bytes]) -> None:
        self._transport = transport
        self._file = file

    def resumeProducing(self) -> None:
        self._transport.sendfile(self._file)
        self._transport.unregisterProducer()

    def stopProducing(self) -> None:
        raise AssertionError("the connection ended too early")


@behaviour
@in_reactor
async def a_file_waits_for_a_slow_reader_without_a_busy_loop(rig: Rig) -> None:
    content = pattern(20_000_000)
    client, server = await pair(rig)
    server.transport.pauseProducing()
    sent = client.transport.sendfile(regular(rig, content))
    await passes(rig, 0.05)
    assert await waits(rig, 0.05) < 30
    assert not sent.called
    server.transport.resumeProducing()
    assert await sent == len(content)
    await server.gets(content)


@behaviour
@in_reactor
async def a_fast_file_does_not_keep_others_waiting(rig: Rig) -> None:
    client, server = await pair(rig)
    other, answering = await pair(rig)
    sent = client.transport.sendfile(regular(rig, pattern(50_000_000)))
    other.transport.write(b"meanwhile")
    await answering.gets(b"meanwhile")
    assert not sent.called
    client.transport.abortConnection()
    with raises(ConnectionAborted):
        await sent
    await server.ends()


@behaviour
@in_reactor
async def the_end_of_the_connection_fails_every_file_that_waits(rig: Rig) -> None:
    for make in _KINDS:
        client, server = await pair(rig)
        server.transport.pauseProducing()
        waiting = [client.transport.sendfile(make(rig, pattern(9_000_000))) for _ in range(2)]
        await passes(rig)
        client.transport.abortConnection()
        for sent in waiting:
            with raises(ConnectionAborted):
                await sent
        server.transport.abortConnection()
        await server.ends()


@behaviour
@in_reactor
async def a_closed_connection_takes_no_file(rig: Rig) -> None:
    client, server = await pair(rig)
    client.transport.loseConnection()
    with raises(ConnectionLost):
        await client.transport.sendfile(regular(rig, b"too late"))
    await server.ends()
    with raises(ConnectionLost):
        await client.transport.sendfile(regular(rig, b"far too late"))


@behaviour
@in_reactor
async def a_file_that_cannot_be_read_fails_and_the_connection_goes_on(rig: Rig) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "the disk is broken")

    client, server = await pair(rig)
    with raises(OSError):
        await client.transport.sendfile(Broken(b"unreadable"))
    closed = regular(rig, b"closed")
    closed.close()
    with raises(ValueError):
        await client.transport.sendfile(closed)
    with open(os.devnull, "rb") as device:   # has a descriptor, and is no regular file
        assert await client.transport.sendfile(device) == 0
    client.transport.write(b"unharmed")
    await server.gets(b"unharmed")


@behaviour
@in_reactor
async def a_cancelled_file_stops_where_it_is(rig: Rig) -> None:
    client, server = await pair(rig)
    server.transport.pauseProducing()
    sent = client.transport.sendfile(regular(rig, pattern(30_000_000)))
    await passes(rig)
    sent.cancel()
    with raises(CancelledError):
        await sent
    client.transport.loseConnection()
    server.transport.resumeProducing()
    await server.ends()
    assert server.received == pattern(30_000_000)[: len(server.received)]
    assert len(server.received) < 30_000_000


@behaviour
@in_reactor
async def a_file_part_that_cannot_be_is_refused(rig: Rig) -> None:
    client, _ = await pair(rig)
    for offset, count in ((-1, None), (0, -1)):
        with raises(ValueError):
            client.transport.sendfile(io.BytesIO(b"x"), offset, count)
    with raises(TypeError):
        client.transport.sendfile(io.BytesIO(b"x"), 0, 0.5)


@behaviour
@in_reactor
async def a_file_goes_over_a_unix_socket_with_descriptors_around_it(rig: Rig) -> None:
    need_unix_sockets()
    content = pattern(800_000)
    client, server = await unix_pair(rig)
    file = regular(rig, content)
    client.transport.sendFileDescriptor(file.fileno())
    client.transport.write(b"with a descriptor")
    assert await client.transport.sendfile(file) == len(content)
    await server.gets(b"with a descriptor" + content)


@behaviour
def the_end_of_the_reactor_fails_a_file_that_is_being_sent(rig: Rig) -> None:
    ended: list[Any] = []

    async def send() -> None:
        client, server = await pair(rig)
        server.transport.pauseProducing()
        client.transport.sendfile(regular(rig, pattern(30_000_000))).addErrback(ended.append)
        await passes(rig)

    rig.play(send)
    assert [failure.type for failure in ended] == [ConnectionLost]
