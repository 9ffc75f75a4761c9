"""Throttling: what is counted, when it stops and when it goes on, second by second."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from ropewalk.errors import ConnectionAborted, ConnectionDone
from ropewalk.internet.address import IPv4Address
from ropewalk.internet.failure import Failure
from ropewalk.internet.protocol import Factory, Protocol
from ropewalk.internet.task import Clock
from ropewalk.protocols.policies import ThrottlingFactory
from ropewalk.testing.memory import MemoryLoop, ScriptedChannel
from ropewalk.testing.strings import StringTransport
from ropewalk.transports.stream import Stream

PEER = IPv4Address("TCP", "192.0.2.1", 4000)


class Bench:
    """A throttling factory whose time stands still until it is advanced."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.factory = ThrottlingFactory(Factory.forProtocol(Protocol), **limits)
        self.factory.callLater = self.clock.callLater  # type: ignore[method-assign]

    def connect(self) -> Any:
        wrapper = self.factory.buildProtocol(PEER)
        wrapper.makeConnection(StringTransport())
        return wrapper

    def connect_stream(self) -> tuple[Any, MemoryLoop, ScriptedChannel]:
        """A wrapper over a real stream, over a channel that takes nothing until it is told to."""
        loop, channel = MemoryLoop(), ScriptedChannel()
        wrapper = self.factory.buildProtocol(PEER)
        stream = Stream(loop, channel)
        channel.attach(loop, stream)
        stream.start(wrapper)
        return wrapper, loop, channel

    @property
    def timers(self) -> list[float]:
        return [call.getTime() - self.clock.seconds() for call in self.clock.getDelayedCalls()]


class Producer:
    """Writes `piece` when it is resumed, if it is told to; keeps what it is told."""

    def __init__(self, wrapper: Any, piece: bytes = b"") -> None:
        self.events: list[str] = []
        self.wrapper = wrapper
        self.piece = piece

    def pauseProducing(self) -> None:
        self.events.append("pause")

    def resumeProducing(self) -> None:
        self.events.append("resume")
        if self.piece:
            self.wrapper.write(self.piece)

    def stopProducing(self) -> None:
        self.events.append("stop")


def states(*wrappers: Any) -> list[str]:
    return [wrapper.transport.producerState for wrapper in wrappers]


def lose(wrapper: Any) -> None:
    wrapper.connectionLost(Failure(ConnectionDone()))


# -- reading


def test_reading_stops_as_soon_as_the_limit_is_passed_for_as_long_as_the_bytes_take() -> None:
    bench = Bench(readLimit=10)
    first, second = bench.connect(), bench.connect()
    first.dataReceived(b"x" * 10)
    assert states(first, second) == ["producing", "producing"]
    second.dataReceived(b"x" * 15)
    assert states(first, second) == ["paused", "paused"]
    assert bench.timers == [2.5]
    bench.clock.advance(2.4)
    assert states(first, second) == ["paused", "paused"]
    bench.clock.advance(0.1)
    assert states(first, second) == ["producing", "producing"]
    assert bench.factory.readThisSecond == 0
    assert not bench.timers


def test_the_second_begins_with_the_first_byte() -> None:
    bench = Bench(readLimit=10)
    wrapper = bench.connect()
    bench.clock.advance(0.7)
    wrapper.dataReceived(b"x" * 6)
    bench.clock.advance(0.9)
    wrapper.dataReceived(b"x" * 6)
    assert states(wrapper) == ["paused"]
    assert bench.timers == [pytest.approx(0.3)]


def test_what_stays_within_the_limit_each_second_is_never_stopped() -> None:
    bench = Bench(readLimit=10, writeLimit=10)
    wrapper = bench.connect()
    producer = Producer(wrapper)
    wrapper.registerProducer(producer, True)
    for _ in range(5):
        wrapper.dataReceived(b"x" * 10)
        wrapper.write(b"x" * 10)
        bench.clock.advance(1)
    assert states(wrapper) == ["producing"]
    assert producer.events == []


def test_there_is_a_timer_only_while_there_is_traffic() -> None:
    bench = Bench(readLimit=10, writeLimit=10)
    wrapper = bench.connect()
    assert not bench.timers
    wrapper.dataReceived(b"x")
    wrapper.dataReceived(b"x")
    assert bench.timers == [1]
    wrapper.write(b"x")
    assert bench.timers == [1, 1]
    bench.clock.advance(1)
    assert not bench.timers


def test_what_arrives_while_reading_is_stopped_lengthens_the_stop() -> None:
    bench = Bench(readLimit=10)
    first, second = bench.connect(), bench.connect()
    first.dataReceived(b"x" * 20)
    second.dataReceived(b"x" * 20)
    assert bench.timers == [4]
    bench.clock.advance(4)
    assert states(first, second) == ["producing", "producing"]


def test_a_protocol_that_has_paused_stays_paused_when_the_limit_allows_reading() -> None:
    bench = Bench(readLimit=10)
    wrapper = bench.connect()
    wrapper.pauseProducing()
    wrapper.dataReceived(b"x" * 20)
    bench.clock.advance(2)
    assert states(wrapper) == ["paused"]
    wrapper.resumeProducing()
    assert states(wrapper) == ["producing"]


def test_a_protocol_that_resumes_is_still_stopped_by_the_limit() -> None:
    bench = Bench(readLimit=10)
    wrapper = bench.connect()
    wrapper.dataReceived(b"x" * 20)
    wrapper.pauseProducing()
    wrapper.resumeProducing()
    assert states(wrapper) == ["paused"]
    bench.clock.advance(2)
    assert states(wrapper) == ["producing"]


def test_a_connection_that_is_made_while_the_others_wait_waits_too() -> None:
    bench = Bench(readLimit=10, writeLimit=10)
    first = bench.connect()
    first.dataReceived(b"x" * 20)
    first.write(b"x" * 20)
    second = bench.connect()
    producer = Producer(second)
    second.registerProducer(producer, True)
    assert states(second) == ["paused"]
    assert producer.events == ["pause"]
    bench.clock.advance(2)
    assert states(second) == ["producing"]
    assert producer.events == ["pause", "resume"]
    assert second.transport.producer is producer


def test_a_connection_that_closes_is_not_paused_or_resumed() -> None:
    bench = Bench(readLimit=10)
    first, second = bench.connect(), bench.connect()
    first.loseConnection()
    second.dataReceived(b"x" * 20)   # a StringTransport raises if it is paused after loseConnection()
    second.loseConnection()
    bench.clock.advance(2)
    assert states(first, second) == ["producing", "paused"]


def test_a_real_stream_reads_nothing_while_the_limit_stops_it() -> None:
    bench = Bench(readLimit=4)
    wrapper, loop, channel = bench.connect_stream()
    channel.incoming.extend([b"hello", b"again", b""])
    for _ in range(5):
        loop.turn()
    assert list(channel.incoming) == [b"again", b""]
    assert channel.wanted == 0
    bench.clock.advance(1.25)
    loop.turn()
    assert list(channel.incoming) == [b""]
    bench.clock.advance(1.25)
    loop.turn()
    assert not wrapper.connected
    assert not bench.timers


# -- writing


def test_a_push_producer_is_paused_when_the_limit_is_passed_and_resumed_afterwards() -> None:
    bench = Bench(writeLimit=10)
    first, second = bench.connect(), bench.connect()
    producers = [Producer(first), Producer(second)]
    first.registerProducer(producers[0], True)
    second.registerProducer(producers[1], True)
    first.write(b"x" * 10)
    assert producers[0].events == []
    second.writeSequence(iter([b"x" * 10, b"x" * 5]))
    assert [producer.events for producer in producers] == [["pause"], ["pause"]]
    assert bench.factory.writtenThisSecond == 25
    bench.clock.advance(2.4)
    assert producers[0].events == ["pause"]
    bench.clock.advance(0.1)
    assert [producer.events for producer in producers] == [["pause", "resume"], ["pause", "resume"]]
    assert first.transport.producer is producers[0]
    assert not bench.timers


def test_a_pull_producer_is_not_asked_while_the_limit_stops_it() -> None:
    bench = Bench(writeLimit=10)
    wrapper = bench.connect()
    producer = Producer(wrapper)
    wrapper.registerProducer(producer, False)
    wrapper.write(b"x" * 20)
    assert wrapper.transport.producer is None
    bench.clock.advance(2)
    assert (wrapper.transport.producer, wrapper.transport.streaming) == (producer, False)
    assert producer.events == []


def test_every_producer_has_its_turn_when_the_limit_allows_writing() -> None:
    bench = Bench(writeLimit=10)
    wrappers = [bench.connect() for _ in range(3)]
    producers = [Producer(wrapper, b"x" * 20) for wrapper in wrappers]
    for wrapper, producer in zip(wrappers, producers, strict=True):
        wrapper.registerProducer(producer, True)
    wrappers[0].write(b"x" * 20)
    for _ in range(3):
        (left,) = bench.timers
        bench.clock.advance(left)
    assert [producer.events for producer in producers] == [["pause", "resume"] * 3 + ["pause"]] * 3
    assert bench.clock.seconds() == 2 + 6 + 6


def test_what_is_written_without_a_producer_is_not_delayed() -> None:
    bench = Bench(writeLimit=10)
    wrapper = bench.connect()
    wrapper.write(b"x" * 100)
    wrapper.write(b"y")
    assert wrapper.transport.value() == b"x" * 100 + b"y"


def test_a_second_producer_is_refused_while_the_first_waits() -> None:
    bench = Bench(writeLimit=10)
    wrapper = bench.connect()
    wrapper.registerProducer(Producer(wrapper), True)
    wrapper.write(b"x" * 20)
    with pytest.raises(RuntimeError, match="still is"):
        wrapper.registerProducer(Producer(wrapper), True)


def test_a_producer_may_be_unregistered_while_it_waits() -> None:
    bench = Bench(writeLimit=10)
    wrapper = bench.connect()
    producer = Producer(wrapper)
    wrapper.registerProducer(producer, True)
    wrapper.write(b"x" * 20)
    wrapper.unregisterProducer()
    bench.clock.advance(2)
    assert producer.events == ["pause"]
    assert wrapper.transport.producer is None


def test_a_producer_that_waits_is_told_when_the_connection_is_lost() -> None:
    bench = Bench(writeLimit=10)
    wrapper = bench.connect()
    producer = Producer(wrapper)
    wrapper.registerProducer(producer, True)
    wrapper.write(b"x" * 20)
    lose(wrapper)
    assert producer.events == ["pause", "stop"]
    assert not bench.timers


def test_a_transport_that_was_aborted_gets_no_producer_back() -> None:
    bench = Bench(writeLimit=10)
    wrapper = bench.connect()
    producer = Producer(wrapper)
    wrapper.registerProducer(producer, True)
    wrapper.write(b"x" * 20)
    wrapper.transport.connected = False
    bench.clock.advance(2)
    wrapper.loseConnection()
    assert producer.events == ["pause"]
    lose(wrapper)
    assert producer.events == ["pause", "stop"]


@pytest.mark.parametrize("end", ["loseConnection", "loseWriteConnection"])
def test_a_stream_that_ends_while_its_producer_waits_sends_all_that_is_left_first(end: str) -> None:
    class Finite(Producer):
        left = 3

        def resumeProducing(self) -> None:
            self.left -= 1
            self.wrapper.write(b"x" * 20)
            if not self.left:
                self.wrapper.unregisterProducer()

    bench = Bench(writeLimit=10)
    wrapper, loop, channel = bench.connect_stream()
    producer = Finite(wrapper)
    wrapper.registerProducer(producer, False)
    for _ in range(5):
        loop.turn()
    assert bytes(channel.sent) == b"x" * 20
    getattr(wrapper, end)()
    for _ in range(5):
        loop.turn()
    assert bytes(channel.sent) == b"x" * 60
    assert ("shutdown" if end == "loseWriteConnection" else "close") in channel.calls
    wrapper.abortConnection()
    loop.turn()
    assert not bench.timers


@pytest.mark.parametrize("end", ["loseConnection", "loseWriteConnection"])
def test_a_connection_that_ends_keeps_its_producer_whatever_the_others_write(end: str) -> None:
    bench = Bench(writeLimit=10)
    ending, other = bench.connect(), bench.connect()
    producer = Producer(ending)
    ending.registerProducer(producer, True)
    getattr(ending, end)()
    other.write(b"x" * 20)
    assert ending.transport.producer is producer
    bench.clock.advance(2)
    assert producer.events == []


def test_a_connection_whose_transport_closes_below_the_wrapper_keeps_its_producer() -> None:
    bench = Bench(writeLimit=10)
    ending, other = bench.connect(), bench.connect()
    producer = Producer(ending)
    ending.registerProducer(producer, False)
    ending.transport.loseConnection()
    other.write(b"x" * 20)
    assert ending.transport.producer is producer


def test_a_producer_is_told_to_stop_once() -> None:
    bench = Bench(writeLimit=10)
    wrapper, loop, _ = bench.connect_stream()
    producer = Producer(wrapper)
    wrapper.registerProducer(producer, True)
    wrapper.abortConnection()
    loop.turn()
    assert producer.events == ["stop"]


def test_a_connection_without_a_producer_may_be_lost_while_it_waits(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(writeLimit=10)
    wrapper = bench.connect()
    wrapper.write(b"x" * 20)
    lose(wrapper)
    assert not bench.factory.protocols
    assert not caplog.records


# -- failures


@pytest.mark.parametrize("method", ["pauseProducing", "resumeProducing"])
def test_a_producer_that_fails_ends_its_connection_and_no_other(method: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise LookupError("mine")

    bench = Bench(writeLimit=10)
    wrappers = [bench.connect() for _ in range(3)]
    producers = [Producer(wrapper) for wrapper in wrappers]
    for wrapper, producer in zip(wrappers, producers, strict=True):
        wrapper.registerProducer(producer, True)
    setattr(producers[1], method, fail)
    wrappers[0].write(b"x" * 20)
    bench.clock.advance(2)
    assert [wrapper.transport.aborted for wrapper in wrappers] == [False, True, False]
    assert producers[0].events == producers[2].events == ["pause", "resume"]
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert f"{method} failed; the connection is closed" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


def test_a_producer_that_fails_to_stop_does_not_keep_the_end_from_the_protocol(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> None:
        raise LookupError("mine")

    bench = Bench(writeLimit=10)
    wrapper = bench.connect()
    producer = Producer(wrapper)
    producer.stopProducing = fail  # type: ignore[method-assign]
    wrapper.registerProducer(producer, True)
    wrapper.write(b"x" * 20)
    lose(wrapper)
    assert not bench.factory.protocols
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


# -- connections


def test_connections_beyond_the_limit_are_refused_until_one_is_lost() -> None:
    bench = Bench(maxConnectionCount=2)
    first, _second = bench.connect(), bench.connect()
    assert bench.factory.buildProtocol(PEER) is None
    lose(first)
    assert bench.factory.connectionCount == 1
    bench.connect()


def test_the_last_connection_takes_the_timers_with_it() -> None:
    bench = Bench(readLimit=10, writeLimit=10)
    first, second = bench.connect(), bench.connect()
    first.dataReceived(b"x" * 50)
    second.write(b"x" * 50)
    lose(first)
    assert len(bench.timers) == 2
    lose(second)
    assert not bench.timers
    second.write(b"too late")
    assert not bench.timers


def test_connecting_again_does_not_renew_a_limit_that_was_used_up() -> None:
    bench = Bench(readLimit=10)
    first = bench.connect()
    first.dataReceived(b"x" * 50)
    bench.clock.advance(1)
    lose(first)
    bench.clock.advance(1)
    second = bench.connect()
    assert states(second) == ["paused"]
    assert bench.timers == [3]
    bench.clock.advance(3)
    assert states(second) == ["producing"]
    assert not bench.timers


def test_a_window_that_goes_on_is_one_window() -> None:
    bench = Bench(readLimit=10)
    first = bench.connect()
    first.dataReceived(b"x" * 30)
    lose(first)
    second, third = bench.connect(), bench.connect()
    assert bench.timers == [3]
    second.dataReceived(b"x" * 10)
    assert bench.timers == [4]
    lose(second)
    lose(third)
    assert not bench.timers
    fourth = bench.connect()
    bench.clock.advance(4)
    assert states(fourth) == ["producing"]
    lose(fourth)
    bench.connect()
    assert not bench.timers


def test_connections_are_told_to_go_on_only_after_they_were_told_to_wait() -> None:
    told: list[str] = []

    class Tells(ThrottlingFactory):
        def throttleReads(self) -> None:
            told.append("wait")

        def unthrottleReads(self) -> None:
            told.append("go on")

    bench = Bench()
    factory = Tells(bench.factory.wrappedFactory, readLimit=10)
    factory.callLater = bench.clock.callLater  # type: ignore[method-assign]
    factory.registerRead(10)
    bench.clock.advance(1)
    assert told == []
    factory.registerRead(11)
    bench.clock.advance(2)
    assert told == ["wait", "go on"]


def test_a_limit_that_was_used_up_long_ago_is_forgotten() -> None:
    bench = Bench(readLimit=10)
    first = bench.connect()
    first.dataReceived(b"x" * 50)
    lose(first)
    bench.clock.advance(5)
    second = bench.connect()
    assert states(second) == ["producing"]
    assert not bench.timers
    second.dataReceived(b"x" * 10)
    assert states(second) == ["producing"]
    assert bench.factory.readThisSecond == 10


def test_the_log_says_that_connections_wait_or_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(maxConnectionCount=1, readLimit=10, writeLimit=10)
    with caplog.at_level(logging.INFO, "ropewalk.protocols"):
        wrapper = bench.connect()
        wrapper.dataReceived(b"x" * 20)
        wrapper.write(b"x" * 30)
        bench.factory.buildProtocol(PEER)
    read, written, refused = caplog.messages
    assert "has read 20 bytes" in read
    assert "has written 30 bytes" in written
    assert "has 1 connections" in refused
    assert "192.0.2.1" in refused


@pytest.mark.parametrize("limits", [{"readLimit": 0}, {"writeLimit": -1}])
def test_a_limit_that_would_stop_everything_is_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Bench(**limits)


def test_an_end_within_a_stop_is_the_streams_own() -> None:
    bench = Bench(readLimit=4)
    wrapper, loop, channel = bench.connect_stream()
    channel.incoming.append(b"hello")
    loop.turn()
    wrapper.abortConnection()
    loop.turn()
    assert "reset_on_close" in channel.calls
    assert not bench.factory.protocols
    assert not bench.timers


def test_a_reactor_that_stops_drops_a_connection_that_waits() -> None:
    bench = Bench(readLimit=4)
    wrapper, loop, channel = bench.connect_stream()
    channel.incoming.append(b"hello")
    loop.turn()
    wrapper.transport.drop(ConnectionAborted())
    assert "close" in channel.calls
    assert not bench.timers
