"""Sending files over connections: all of it, in order, as fast as the peer takes it, and in little memory."""

from __future__ import annotations

import hashlib
import io
import os
import random
import tempfile
import tracemalloc
from collections.abc import Callable
from typing import Any

from ropewalk.errors import ConnectionDone, ConnectionLost
from ropewalk.internet.defer import CancelledError
from ropewalk.protocols.basic import FileSender, TransferStopped
from ropewalk.testing.contract import behaviour
from ropewalk.testing.contract.tcp_producers import Digester
from ropewalk.testing.features import why_missing
from ropewalk.testing.peers import in_reactor, pair, passes, plain_pair, reset, waits
from ropewalk.testing.rig import Rig, raises

_MEGABYTE = random.Random(1).randbytes(1_000_000)
_LITTLE = 4_000_000   # bytes of memory: less than a file that is sent in whole
_MUCH = 32   # megabytes: more than the system's buffers hold


def _file(rig: Rig, megabytes: int) -> Any:
    """A regular file of so many megabytes, at its beginning."""
    file = rig.keep(tempfile.TemporaryFile())   # noqa: SIM115 the rig closes it
    for _ in range(megabytes):
        file.write(_MEGABYTE)
    file.seek(0)
    return file


def _unlike_a_file(rig: Rig, megabytes: int) -> Any:
    """Something to read so many megabytes from, which is no regular file."""
    return io.BufferedReader(_Repeated(megabytes * len(_MEGABYTE)))


class _Repeated(io.RawIOBase):
    """The megabyte again and again, `size` bytes in all."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        start = self._at % len(_MEGABYTE)
        piece = _MEGABYTE[start : start + min(len(buffer), self._size - self._at)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def _digest(megabytes: int) -> bytes:
    digest = hashlib.sha256()
    for _ in range(megabytes):
        digest.update(_MEGABYTE)
    return digest.digest()


async def _arrives_whole(rig: Rig, file: Any) -> None:
    client, server = await pair(rig, server=Digester)
    assert await FileSender().beginFileTransfer(file, client.transport) == _MEGABYTE[-1:]
    client.transport.loseConnection()
    assert isinstance(await server.ends(), ConnectionDone)
    assert server.digest.digest() == _digest(_MUCH)
    assert file.read() == b""


@behaviour
@in_reactor
async def a_file_arrives_whole(rig: Rig) -> None:
    await _arrives_whole(rig, _file(rig, _MUCH))


@behaviour
@in_reactor
async def what_is_no_regular_file_arrives_whole_too(rig: Rig) -> None:
    await _arrives_whole(rig, _unlike_a_file(rig, _MUCH))


@behaviour
@in_reactor
async def a_file_arrives_between_what_was_written_before_and_what_is_written_when_it_is_sent(rig: Rig) -> None:
    client, server = await pair(rig)
    file = _file(rig, 1)
    file.seek(900_000)
    client.transport.write(b"before")
    await FileSender().beginFileTransfer(file, client.transport)
    client.transport.write(b"after")
    await server.gets(b"before" + _MEGABYTE[900_000:] + b"after")
    assert file.tell() == len(_MEGABYTE)


@behaviour
@in_reactor
async def a_connection_that_is_told_to_close_sends_the_file_first(rig: Rig) -> None:
    client, server = await pair(rig, server=Digester)
    done = FileSender().beginFileTransfer(_file(rig, _MUCH), client.transport)
    client.transport.loseConnection()
    assert await done == _MEGABYTE[-1:]
    assert isinstance(await server.ends(), ConnectionDone)
    assert server.digest.digest() == _digest(_MUCH)


@behaviour
@in_reactor
async def an_empty_file_sends_nothing_and_has_no_last_byte(rig: Rig) -> None:
    client, server = await pair(rig)
    for empty in (_file(rig, 0), io.BytesIO()):
        assert await FileSender().beginFileTransfer(empty, client.transport) == b""
    client.transport.write(b"after")
    await server.gets(b"after")


@behaviour
@in_reactor
async def a_file_is_transformed_piece_by_piece(rig: Rig) -> None:
    client, server = await pair(rig)
    swapped = bytes.maketrans(b"\x00\xff", b"\xff\x00")
    sent = FileSender().beginFileTransfer(_file(rig, 1), client.transport, lambda piece: piece.translate(swapped))
    assert await sent == _MEGABYTE[-1:].translate(swapped)
    await server.gets(_MEGABYTE.translate(swapped))


async def _waits_for_a_slow_peer(rig: Rig, file: Any, transform: Callable[[bytes], bytes] | None = None) -> None:
    client, server = await pair(rig, server=Digester)
    server.transport.pauseProducing()
    tracemalloc.start()
    try:
        done = FileSender().beginFileTransfer(file, client.transport, transform)
        counts = [await waits(rig, 0.05)]
        while counts[-1] >= 20 and len(counts) < 40:   # a busy machine takes long to fill its buffers
            counts.append(await waits(rig, 0.05))
        assert counts[-1] < 20, f"the poller was asked {counts} times in 0.05 s"
        assert not done.called
        server.transport.resumeProducing()
        await done
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < _LITTLE, f"{peak} bytes of memory were used"
    client.transport.loseConnection()
    await server.ends()
    assert server.digest.digest() == _digest(_MUCH)


@behaviour
@in_reactor
async def a_file_to_a_slow_peer_waits_for_it_and_takes_little_memory(rig: Rig) -> None:
    await _waits_for_a_slow_peer(rig, _file(rig, _MUCH))


@behaviour
@in_reactor
async def a_file_that_is_transformed_takes_little_memory_too(rig: Rig) -> None:
    await _waits_for_a_slow_peer(rig, _file(rig, _MUCH), lambda piece: piece)


@behaviour
@in_reactor
async def what_is_no_regular_file_takes_little_memory_too(rig: Rig) -> None:
    await _waits_for_a_slow_peer(rig, _unlike_a_file(rig, _MUCH))


async def _fails_when_the_peer_vanishes(rig: Rig, file: Any) -> None:
    plain, accepted = await plain_pair(rig)
    done = FileSender().beginFileTransfer(file, accepted.transport)
    await passes(rig, 0.02)
    reset(plain)
    with raises(TransferStopped):
        await done
    # Sending tells of a reset everywhere; where receiving does not, and is first, it looks like an end.
    kinds = (ConnectionLost, ConnectionDone) if why_missing("resets") else ConnectionLost
    assert isinstance(await accepted.ends(), kinds)
    assert not file.closed


@behaviour
@in_reactor
async def a_transfer_fails_when_the_peer_vanishes(rig: Rig) -> None:
    await _fails_when_the_peer_vanishes(rig, _file(rig, _MUCH))


@behaviour
@in_reactor
async def a_transfer_of_what_is_no_regular_file_fails_when_the_peer_vanishes(rig: Rig) -> None:
    await _fails_when_the_peer_vanishes(rig, _unlike_a_file(rig, _MUCH))


@behaviour
@in_reactor
async def a_file_that_shrinks_meanwhile_ends_where_it_ends_now(rig: Rig) -> None:
    client, server = await pair(rig, server=Digester)
    server.transport.pauseProducing()
    file = _file(rig, _MUCH)
    done = FileSender().beginFileTransfer(file, client.transport)
    await passes(rig, 0.05)
    file.truncate(len(_MEGABYTE))
    server.transport.resumeProducing()
    await done
    client.transport.write(b"after")
    client.transport.loseConnection()
    assert isinstance(await server.ends(), ConnectionDone)
    assert len(_MEGABYTE) < server.count < _MUCH * len(_MEGABYTE)


@behaviour
@in_reactor
async def a_file_that_grows_meanwhile_is_sent_to_its_end(rig: Rig) -> None:
    client, server = await pair(rig, server=Digester)
    server.transport.pauseProducing()
    file = _file(rig, _MUCH - 1)
    done = FileSender().beginFileTransfer(file, client.transport)
    await passes(rig, 0.05)
    here = os.lseek(file.fileno(), 0, os.SEEK_CUR)
    os.lseek(file.fileno(), 0, os.SEEK_END)
    os.write(file.fileno(), _MEGABYTE)
    os.lseek(file.fileno(), here, os.SEEK_SET)
    server.transport.resumeProducing()
    await done
    client.transport.loseConnection()
    await server.ends()
    assert server.digest.digest() == _digest(_MUCH)


@behaviour
@in_reactor
async def a_transfer_that_is_cancelled_stops_and_leaves_the_connection(rig: Rig) -> None:
    for file in (_file(rig, _MUCH), _unlike_a_file(rig, _MUCH)):
        client, server = await pair(rig)
        server.transport.pauseProducing()
        done = FileSender().beginFileTransfer(file, client.transport)
        await passes(rig, 0.05)
        done.cancel()
        with raises(CancelledError):
            await done
        server.transport.resumeProducing()
        client.transport.write(b"after")
        client.transport.loseConnection()
        assert isinstance(await server.ends(), ConnectionDone)
        assert server.received.endswith(b"after")
        assert len(server.received) < _MUCH * len(_MEGABYTE)


@behaviour
@in_reactor
async def two_senders_to_two_peers_go_on_side_by_side(rig: Rig) -> None:
    slow, stuck = await pair(rig)
    stuck.transport.pauseProducing()
    first = FileSender().beginFileTransfer(_file(rig, _MUCH), slow.transport)
    await _arrives_whole(rig, _file(rig, _MUCH))
    assert not first.called
    first.addErrback(lambda failure: failure.trap(TransferStopped))
    slow.transport.abortConnection()
    await first
