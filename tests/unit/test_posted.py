"""The base of channels that no poller watches, over a system that answers when the test lets it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest

from ropewalk.interfaces import READ, WRITE
from ropewalk.internet.protocol import Protocol
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.testing.rig import Rig
from ropewalk.transports.posted import PostedChannel
from ropewalk.transports.stream import Stream


class Slow(PostedChannel):
    """Reads and writes when it is told to. reads: how many were begun; written: what was given to be written."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.written: list[bytes] = []
        self.released = False
        self.at_once: bytes | OSError | None = None   # what a read that is begun brings

    def begin_read(self, size: int) -> None:
        self.reads += 1
        if self.at_once is not None:
            self.read(self.at_once)

    def begin_write(self, data: bytes) -> None:
        self.written.append(data)

    def release(self) -> None:
        self.released = True


class Told:
    """A handler. masks: what it was told."""

    def __init__(self) -> None:
        self.masks: list[int] = []

    def ready(self, mask: int) -> None:
        self.masks.append(mask)


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(SelectReactor) as made:
        yield made


@pytest.fixture
def channel(rig: Rig) -> Iterator[Slow]:
    made = Slow()
    yield made
    made.close()


def test_nothing_is_read_before_it_is_wanted_and_one_piece_then(rig: Rig, channel: Slow) -> None:
    told = Told()
    channel.attach(rig.reactor, told)
    channel.want(0)
    assert channel.reads == 0
    channel.want(READ)
    channel.want(READ)
    assert channel.reads == 1
    with pytest.raises(BlockingIOError):
        channel.recv(10)
    channel.read(b"came")
    assert told.masks == [READ]
    assert channel.recv(3) == b"cam"
    assert channel.recv(3) == b"e"


def test_what_came_while_it_was_not_wanted_is_told_when_it_is(rig: Rig, channel: Slow) -> None:
    told = Told()
    channel.attach(rig.reactor, told)
    channel.want(READ)
    channel.want(0)
    channel.read(b"came")
    assert told.masks == []
    channel.want(READ)
    assert told.masks == []   # not within the call
    rig.reactor.iterate(0)
    assert told.masks == [READ]


def test_readiness_is_told_every_turn_until_it_is_used(rig: Rig, channel: Slow) -> None:
    told = Told()
    channel.at_once = b"came"
    channel.attach(rig.reactor, told)
    channel.want(READ)
    for _ in range(3):
        rig.reactor.iterate(0)
    assert told.masks == [READ] * 3
    channel.want(0)
    rig.reactor.iterate(0)
    assert told.masks == [READ] * 3
    assert channel.reads == 1


def test_a_handler_is_not_entered_again_in_a_loop_that_it_has_opened(rig: Rig, channel: Slow) -> None:
    depths: list[int] = []

    class Opens(Told):
        def ready(self, mask: int) -> None:
            depths.append(len(depths))
            if len(depths) == 1:
                rig.reactor.iterate(0)
                rig.reactor.iterate(0)
                assert depths == [0]
            else:
                channel.want(0)

    channel.at_once = b"came"
    channel.attach(rig.reactor, Opens())
    channel.want(READ)
    for _ in range(4):
        rig.reactor.iterate(0)
    assert depths == [0, 1]


def test_bytes_are_refused_until_they_are_taken_and_offered_again(rig: Rig, channel: Slow) -> None:
    told = Told()
    channel.attach(rig.reactor, told)
    for _ in range(2):
        with pytest.raises(BlockingIOError):
            channel.send(b"abcdef")
    assert channel.written == [b"abcdef"]
    assert channel.promised == 6
    channel.want(WRITE)
    rig.reactor.iterate(0)
    assert told.masks == []
    channel.wrote(4)
    assert told.masks == [WRITE]
    assert channel.promised == 4
    assert channel.send(b"abcdef") == 4
    assert channel.promised == 0


def test_an_error_of_a_read_or_a_write_is_raised_by_the_next_call(rig: Rig, channel: Slow) -> None:
    channel.attach(rig.reactor, Told())
    channel.want(READ)
    channel.read(OSError(errno.EIO, "broken"))
    with pytest.raises(OSError, match="broken"):
        channel.recv(1)
    with pytest.raises(BlockingIOError):
        channel.send(b"x")
    channel.wrote(BrokenPipeError(errno.EPIPE, "nobody"))
    with pytest.raises(BrokenPipeError):
        channel.send(b"x")


def test_nothing_is_told_after_it_was_closed(rig: Rig, channel: Slow) -> None:
    told = Told()
    channel.attach(rig.reactor, told)
    channel.want(READ)
    with pytest.raises(BlockingIOError):
        channel.send(b"x")
    channel.close()
    assert channel.released
    channel.read(b"late")
    channel.wrote(1)
    rig.reactor.iterate(0)
    assert told.masks == []
    with pytest.raises(OSError, match="Bad file descriptor"):
        channel.want(READ)


def test_a_stream_closes_when_the_system_has_taken_everything(rig: Rig, channel: Slow) -> None:
    events: list[Any] = []

    class Recorder(Protocol):
        def connectionLost(self, reason: Any) -> None:
            events.append(reason.value)

    stream = Stream(rig.reactor, channel)
    channel.attach(rig.reactor, stream)
    stream.start(Recorder())
    stream.write(b"one ")
    stream.write(b"two")
    stream.loseConnection()
    rig.reactor.iterate(0)
    assert channel.written == [b"one "]
    assert events == []
    channel.wrote(4)
    rig.reactor.iterate(0)
    assert channel.written == [b"one ", b"two"]
    assert not channel.released
    channel.wrote(3)
    rig.reactor.iterate(0)
    assert channel.released
    assert len(events) == 1
