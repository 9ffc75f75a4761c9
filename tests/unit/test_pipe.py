"""The channel of a pipe, under the stream: both ends, their ends, and descriptors that vanish."""

from __future__ import annotations

import errno
import os
import socket
import tty
from collections.abc import Iterator
from typing import Any

import pytest

from ropewalk.core import choose
from ropewalk.internet import error
from ropewalk.internet.defer import Deferred
from ropewalk.internet.protocol import Protocol
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.testing.rig import Rig
from ropewalk.testing.watched import Watched
from ropewalk.transports.pipe import PipeChannel
from ropewalk.transports.stream import Stream

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")

CLASSES: list[Any] = [SelectReactor]
if choose.why_not("poll") is None:
    from ropewalk.internet.pollreactor import PollReactor

    CLASSES.append(PollReactor)
if choose.why_not("epoll") is None:
    from ropewalk.internet.epollreactor import EPollReactor

    CLASSES.append(EPollReactor)
NONE = -1
MUCH = 1_000_000


@pytest.fixture(params=CLASSES, ids=lambda cls: cls.__name__)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with Rig(request.param) as made:
        yield made


class Record(Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.arrived: Deferred[None] = Deferred()
        self.lost: Deferred[Any] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if not self.arrived.called:
            self.arrived.callback(None)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(reason.value)


def stream(rig: Rig, reader: int, writer: int, protocol: Any = None, kind: type[Stream] = Stream) -> Record:
    """A protocol over a stream over these descriptors, which do not block from now on."""
    for one in {reader, writer} - {NONE}:
        os.set_blocking(one, False)
    record: Record = protocol or Record()
    channel = PipeChannel(reader, writer)
    made = kind(rig.reactor, channel)
    channel.attach(rig.reactor, made)
    made.start(record)
    return record


def soon(rig: Rig) -> Deferred[None]:
    """A Deferred that fires when what there is to report has been reported."""
    waited: Deferred[None] = Deferred()
    rig.reactor.callLater(0.02, waited.callback, None)
    return waited


def is_open(*descriptors: int) -> bool:
    for one in descriptors:
        try:
            os.fstat(one)
        except OSError:
            return False
    return True


def test_what_comes_out_of_a_pipe_is_received_to_its_end(rig: Rig) -> None:
    async def scenario() -> None:
        reader, writer = os.pipe()
        record = stream(rig, reader, NONE)
        os.write(writer, b"some")
        await record.arrived
        os.write(writer, b" more")
        os.close(writer)
        assert isinstance(await record.lost, error.ConnectionDone)
        assert record.data == b"some more"
        assert not is_open(reader)

    rig.play(scenario)


def test_what_is_written_goes_into_a_pipe_as_it_is_read(rig: Rig) -> None:
    async def scenario() -> None:
        reader, writer = os.pipe()
        source = stream(rig, NONE, writer)
        sink = stream(rig, reader, NONE)
        source.transport.write(bytes(MUCH))
        source.transport.write(b"end")
        source.transport.loseConnection()
        assert isinstance(await source.lost, error.ConnectionDone)
        assert isinstance(await sink.lost, error.ConnectionDone)
        assert sink.data == bytes(MUCH) + b"end"

    rig.play(scenario)


@pytest.mark.parametrize("unsent", [0, MUCH])
def test_a_pipe_that_nobody_reads_any_more_is_lost(rig: Rig, unsent: int) -> None:
    async def scenario() -> None:
        reader, writer = os.pipe()
        source = stream(rig, NONE, writer)
        source.transport.write(bytes(unsent))
        os.close(reader)
        await source.lost
        assert not is_open(writer)

    rig.play(scenario)


@pytest.mark.parametrize("unsent", [0, 10, MUCH])
def test_a_pipe_that_nobody_reads_wakes_nobody_while_it_is_in_order(rig: Rig, unsent: int) -> None:
    class Counting(Stream):
        def ready(self, mask: int) -> None:
            reports.append(mask)
            super().ready(mask)

    reports: list[int] = []

    async def scenario() -> None:
        reader, writer = os.pipe()
        source = stream(rig, NONE, writer, kind=Counting)
        source.transport.write(bytes(unsent))
        await soon(rig)
        assert reports == []
        os.close(reader)
        await source.lost

    rig.play(scenario)


def test_two_pipes_are_one_connection(rig: Rig) -> None:
    async def scenario() -> None:
        there, back = os.pipe(), os.pipe()
        here = stream(rig, back[0], there[1])
        peer = stream(rig, there[0], back[1])
        here.transport.write(b"ping")
        await peer.arrived
        peer.transport.write(b"pong")
        await here.arrived
        assert (peer.data, here.data) == (b"ping", b"pong")
        here.transport.loseConnection()
        assert isinstance(await here.lost, error.ConnectionDone)
        await peer.lost
        assert not is_open(*there, *back)

    rig.play(scenario)


def test_a_connection_is_lost_when_nobody_reads_what_it_writes(rig: Rig) -> None:
    async def scenario() -> None:
        there, back = os.pipe(), os.pipe()
        here = stream(rig, back[0], there[1])
        os.close(there[0])
        lost = await here.lost
        assert isinstance(lost, error.ConnectionLost)
        assert isinstance(lost.__cause__, BrokenPipeError)
        assert not is_open(back[0])
        os.close(back[1])

    rig.play(scenario)


def test_a_paused_connection_hears_of_its_loss_when_it_reads_again(rig: Rig) -> None:
    async def scenario() -> None:
        there, back = os.pipe(), os.pipe()
        here = stream(rig, back[0], there[1])
        here.transport.pauseProducing()
        os.close(there[0])
        await soon(rig)
        assert not here.lost.called
        here.transport.resumeProducing()
        assert isinstance(await here.lost, error.ConnectionLost)
        os.close(back[1])

    rig.play(scenario)


def test_the_writing_side_of_two_pipes_can_be_closed_alone(rig: Rig) -> None:
    class Half(Record):
        def readConnectionLost(self) -> None:
            self.transport.loseConnection()

        def writeConnectionLost(self) -> None:
            told.append("shut")

    told: list[str] = []

    async def scenario() -> None:
        there, back = os.pipe(), os.pipe()
        here = stream(rig, back[0], there[1], Half())
        peer = stream(rig, there[0], back[1], Half())
        here.transport.write(b"last")
        here.transport.loseWriteConnection()
        await peer.arrived
        assert isinstance(await here.lost, error.ConnectionDone)
        assert isinstance(await peer.lost, error.ConnectionDone)
        assert peer.data == b"last"
        assert told == ["shut"]
        assert not is_open(*there, *back)

    rig.play(scenario)


def test_a_terminal_is_one_descriptor_for_both_directions(rig: Rig) -> None:
    async def scenario() -> None:
        master, slave = os.openpty()
        here = stream(rig, master, master)
        os.write(slave, b"out")
        await here.arrived
        here.transport.write(b"in\n")
        os.set_blocking(slave, False)
        assert os.read(slave, 100) == b"in\n"
        os.close(slave)
        assert isinstance(await here.lost, error.ConnectionDone)
        assert here.data.startswith(b"out")
        assert not is_open(master)

    rig.play(scenario)


def test_what_is_written_to_a_terminal_that_nobody_has_open_goes_nowhere(rig: Rig) -> None:
    """Even when its buffer is full; a pause does not make the reactor spin, and what can still be read is."""

    async def scenario() -> None:
        master, slave = os.openpty()
        tty.setraw(slave)
        here = stream(rig, master, master)
        os.write(slave, b"last words")
        here.transport.pauseProducing()
        here.transport.write(bytes(MUCH))
        await soon(rig)
        assert rig.reactor.poller.masks[master]
        os.close(slave)
        if not isinstance(rig.reactor, SelectReactor):   # select does not tell
            await soon(rig)
            assert master not in rig.reactor.poller.masks
        here.transport.resumeProducing()
        await here.lost
        assert here.data == b"last words"

    rig.play(scenario)


def test_one_descriptor_for_both_directions_is_not_closed_for_one(rig: Rig) -> None:
    async def scenario() -> None:
        master, slave = os.openpty()
        here = stream(rig, master, master)
        here.transport.loseWriteConnection()
        lost = await here.lost
        assert isinstance(lost, error.ConnectionLost)
        assert isinstance(lost.__cause__, OSError)
        assert lost.__cause__.errno == errno.EOPNOTSUPP
        os.close(slave)

    rig.play(scenario)


def test_input_on_a_socket_that_is_only_written_does_not_wake_anybody(rig: Rig) -> None:
    async def scenario() -> None:
        reader, writer = os.pipe()
        ours, peer = socket.socketpair()
        here = stream(rig, reader, ours.fileno())
        assert ours.detach() not in rig.reactor.poller.masks
        peer.send(b"nobody takes this")
        await soon(rig)
        assert not here.lost.called
        here.transport.write(b"but this arrives")
        assert peer.recv(100) == b"but this arrives"
        here.transport.loseConnection()
        await here.lost
        os.close(writer)
        peer.close()

    rig.play(scenario)


@pytest.mark.parametrize("which", ["reader", "writer"])
def test_a_descriptor_whose_number_is_taken_by_another_is_left_and_the_other_closed(rig: Rig, which: str) -> None:
    async def scenario() -> None:
        there, back = os.pipe(), os.pipe()
        here = stream(rig, back[0], there[1])
        gone, kept = (back[0], there[1]) if which == "reader" else (there[1], back[0])
        os.dup2(ours.fileno(), gone, inheritable=False)
        taker = Watched(socket.socket(fileno=gone))
        rig.reactor.addReader(taker)
        lost = await here.lost
        assert isinstance(lost, error.ConnectionFdescWentAway)
        assert is_open(gone)
        assert not is_open(kept)
        rig.reactor.removeReader(taker)
        taker.channel.close()
        for one in (there[0], back[1]):
            os.close(one)

    ours, _ = rig.socket_pair()
    rig.play(scenario)


def test_a_closed_channel_wants_nothing_and_closes_nothing(rig: Rig) -> None:
    async def scenario() -> None:
        reader, writer = os.pipe()
        record = stream(rig, reader, NONE)
        channel = record.transport.channel
        record.transport.loseConnection()
        await record.lost
        again = os.open(os.devnull, os.O_RDONLY)
        channel.close()
        channel.leave()
        with pytest.raises(OSError) as raised:   # noqa: PT011  the number tells
            channel.want(1)
        assert raised.value.errno == errno.EBADF
        assert is_open(again)
        for one in (again, writer):
            os.close(one)

    rig.play(scenario)
