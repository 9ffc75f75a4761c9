"""The fakes without another end: StringTransport, FakeDatagramTransport, and the protocols that keep what happens."""

from __future__ import annotations

import io
from typing import Any

import pytest

import ropewalk.testing
from ropewalk.errors import ConnectionAborted, ConnectionDone
from ropewalk.internet import interfaces
from ropewalk.internet.address import IPv4Address
from ropewalk.internet.defer import Deferred
from ropewalk.internet.protocol import Factory
from ropewalk.testing import (
    AccumulatingProtocol,
    Clock,
    FakeDatagramTransport,
    LineSendingProtocol,
    NonStreamingProducer,
    StringIOWithoutClosing,
    StringTransport,
    StringTransportWithDisconnection,
    connectedPair,
    waitUntilAllDisconnected,
)


class Producer:
    stopped = False

    def stopProducing(self) -> None:
        self.stopped = True


def test_the_package_knows_what_it_has() -> None:
    assert {"Clock", "StringTransport", "MemoryReactorClock", "connectedPair"} <= set(dir(ropewalk.testing))
    assert sorted(ropewalk.testing.__all__) == sorted(ropewalk.testing._HOMES)   # `import *` goes by the first
    for name in ropewalk.testing._HOMES:
        assert getattr(ropewalk.testing, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Clok'"):
        _ = ropewalk.testing.Clok


@pytest.mark.parametrize(
    "interface", [interfaces.ITCPTransport, interfaces.IConsumer, interfaces.IPushProducer], ids=lambda i: i.__name__
)
def test_a_string_transport_is_a_tcp_transport(interface: Any) -> None:
    assert isinstance(StringTransport(), interface)


def test_what_is_written_is_kept_until_it_is_cleared() -> None:
    transport = StringTransport()
    transport.write(b"a")
    transport.write(bytearray(b"b"))
    transport.writeSequence([b"c", memoryview(b"d")])
    assert transport.value() == transport.io.getvalue() == b"abcd"
    transport.clear()
    assert transport.value() == b""


@pytest.mark.parametrize("data", ["text", None, 3])
def test_only_bytes_can_be_written(data: Any) -> None:
    transport = StringTransport()
    with pytest.raises(TypeError, match=f"a transport writes bytes, not {type(data).__name__}"):
        transport.write(data)
    with pytest.raises(TypeError):
        transport.writeSequence([data])
    assert transport.value() == b""


@pytest.mark.parametrize("way", ["loseConnection", "loseWriteConnection", "abortConnection"])
def test_what_is_written_after_the_end_is_dropped(way: str) -> None:
    transport = StringTransport()
    transport.write(b"before")
    getattr(transport, way)()
    transport.write(b"after")
    assert transport.value() == b"before"


def test_a_producer_may_write_after_lose_connection() -> None:
    transport = StringTransport()
    transport.registerProducer(Producer(), True)
    transport.loseConnection()
    transport.write(b"the rest")
    transport.unregisterProducer()
    transport.write(b"more")
    assert transport.value() == b"the rest"


def test_a_part_of_a_file_is_sent_in_order() -> None:
    transport, sent = StringTransport(), list[int]()
    transport.write(b"<")
    transport.sendfile(io.BytesIO(b"0123456789"), 2, 3).addCallback(sent.append)
    transport.sendfile(io.BytesIO(b"0123456789"), 8).addCallback(sent.append)
    transport.write(b">")
    assert (transport.value(), sent) == (b"<23489>", [3, 2])


def test_the_ways_to_close_can_be_told_apart() -> None:
    closed, ended, aborted = StringTransport(), StringTransport(), StringTransport()
    closed.loseConnection()
    ended.loseWriteConnection()
    aborted.abortConnection()
    assert (closed.disconnecting, closed.writeEnded, closed.disconnected, closed.aborted) == (True, False, False, False)
    assert (ended.disconnecting, ended.writeEnded, ended.disconnected, ended.aborted) == (False, True, False, False)
    assert (aborted.disconnecting, aborted.disconnected, aborted.aborted) == (True, True, True)


def test_addresses_and_options_are_those_that_were_given() -> None:
    here, there = IPv4Address("TCP", "127.0.0.1", 1), IPv4Address("TCP", "127.0.0.1", 2)
    transport = StringTransport(here, there)
    assert (transport.getHost(), transport.getPeer()) == (here, there)
    assert isinstance(StringTransport().getPeer(), IPv4Address)
    assert StringTransport().getPeer() != StringTransport().getHost()
    assert (transport.getTcpNoDelay(), transport.getTcpKeepAlive()) == (False, False)
    transport.setTcpNoDelay(True)
    transport.setTcpKeepAlive(True)
    assert (transport.getTcpNoDelay(), transport.getTcpKeepAlive()) == (True, True)


def test_there_is_one_producer_at_a_time() -> None:
    transport, producer = StringTransport(), Producer()
    transport.registerProducer(producer, False)
    assert (transport.producer, transport.streaming) == (producer, False)
    with pytest.raises(RuntimeError, match="still is"):
        transport.registerProducer(Producer(), True)
    transport.unregisterProducer()
    assert (transport.producer, transport.streaming) == (None, None)
    with pytest.raises(RuntimeError, match="no producer is registered"):
        transport.unregisterProducer()


def test_a_producer_that_comes_too_late_is_stopped() -> None:
    transport, producer = StringTransport(), Producer()
    transport.abortConnection()
    transport.registerProducer(producer, True)
    assert producer.stopped
    assert transport.producer is None


def test_the_protocol_may_pause_and_resume_until_it_stops() -> None:
    transport = StringTransport()
    assert transport.producerState == "producing"
    transport.pauseProducing()
    assert transport.producerState == "paused"
    transport.resumeProducing()
    assert transport.producerState == "producing"
    transport.stopProducing()
    assert transport.producerState == "stopped"
    with pytest.raises(RuntimeError, match="after stopProducing"):
        transport.resumeProducing()


def test_resuming_after_lose_connection_is_an_error_unless_it_is_lenient() -> None:
    strict, lenient = StringTransport(), StringTransport(lenient=True)
    for transport in (strict, lenient):
        transport.loseConnection()
    with pytest.raises(RuntimeError, match=r"cannot resume .* after loseConnection"):
        strict.resumeProducing()
    lenient.resumeProducing()


@pytest.mark.parametrize(
    ("way", "reason"), [("loseConnection", ConnectionDone), ("abortConnection", ConnectionAborted)]
)
def test_with_disconnection_the_protocol_is_told_once(way: str, reason: type[Exception]) -> None:
    transport, protocol = StringTransportWithDisconnection(), AccumulatingProtocol()
    transport.protocol = protocol
    protocol.makeConnection(transport)
    getattr(transport, way)()
    assert protocol.closedReason is not None
    assert protocol.closedReason.check(reason)
    assert not transport.connected
    protocol.closedReason = None
    transport.loseConnection()
    transport.abortConnection()
    assert protocol.closedReason is None


def test_with_disconnection_a_forgotten_protocol_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"set .*\.protocol"):
        StringTransportWithDisconnection().loseConnection()


def test_a_file_without_closing_can_still_be_read() -> None:
    with StringIOWithoutClosing(b"content") as file:
        pass
    assert file.read() == b"content"


def test_an_accumulating_protocol_keeps_what_happens() -> None:
    made: list[Any] = []
    closed: list[Any] = []
    factory: Any = Factory.forProtocol(AccumulatingProtocol)
    factory.protocolConnectionMade = Deferred().addCallback(made.append)
    protocol = factory.buildProtocol(None)
    protocol.closedDeferred = Deferred().addCallback(closed.append)
    protocol.makeConnection(StringTransport())
    protocol.dataReceived(b"da")
    protocol.dataReceived(b"ta")
    assert (protocol.made, protocol.data, protocol.closed, made) == (1, b"data", 0, [protocol])
    assert factory.protocolConnectionMade is None
    protocol.connectionLost()
    assert (protocol.closed, closed) == (1, [None])


def test_lines_are_sent_first_or_in_answer() -> None:
    asking, answering, pump = connectedPair(LineSendingProtocol([b"a", b"b"]), LineSendingProtocol([b"c"], start=False))
    pump.flush()
    assert (asking.response, answering.response) == ([b"c"], [b"a", b"b"])
    asking.transport.loseConnection()
    pump.flush()
    assert asking.lostConn
    assert answering.lostConn


def test_a_non_streaming_producer_writes_ten_digits() -> None:
    sender, receiver, pump = connectedPair(AccumulatingProtocol(), AccumulatingProtocol())
    producer, ended = NonStreamingProducer(sender.transport), list[None]()
    producer.result.addCallback(ended.append)
    sender.transport.registerProducer(producer, False)
    pump.flush()
    assert (receiver.data, producer.counter, producer.stopped, ended) == (b"0123456789", 10, False, [None])
    with pytest.raises(RuntimeError, match="has ended"):
        producer.resumeProducing()
    with pytest.raises(RuntimeError, match="must not be paused"):
        producer.pauseProducing()


def test_a_non_streaming_producer_ends_when_it_is_stopped() -> None:
    transport, ended = StringTransport(), list[None]()
    producer = NonStreamingProducer(transport)
    producer.result.addCallback(ended.append)
    producer.resumeProducing()
    producer.stopProducing()
    assert (transport.value(), producer.stopped, producer.consumer, ended) == (b"0", True, None, [None])


def test_it_waits_until_all_are_disconnected() -> None:
    clock, protocols, done = Clock(), [AccumulatingProtocol(), AccumulatingProtocol()], list[Any]()
    for protocol in protocols:
        protocol.makeConnection(StringTransport())
    waitUntilAllDisconnected(clock, protocols).addCallback(done.append)
    for protocol in protocols:
        clock.advance(0.01)
        assert done == []
        protocol.transport.connected = False
    clock.advance(0.01)
    assert len(done) == 1
    assert clock.getDelayedCalls() == []


# -- datagrams


def test_datagrams_are_kept_with_their_addresses() -> None:
    transport = FakeDatagramTransport()
    transport.write(b"one", ("127.0.0.1", 1))
    transport.write(bytearray(b"two"))
    assert transport.written == [(b"one", ("127.0.0.1", 1)), (b"two", transport.noAddr)]
    with pytest.raises(TypeError, match="a datagram is bytes, not str"):
        transport.write("text")  # type: ignore[arg-type]


def test_a_datagram_transport_keeps_its_state() -> None:
    transport = FakeDatagramTransport(IPv4Address("UDP", "127.0.0.1", 9))
    assert transport.getHost().port == 9
    transport.connect("127.0.0.1", 10)
    assert transport.connectedTo == ("127.0.0.1", 10)
    with pytest.raises(RuntimeError, match="already connected"):
        transport.connect("127.0.0.1", 11)
    for name, value in [("BroadcastAllowed", True), ("LoopbackMode", False), ("TTL", 7), ("OutgoingInterface", "lo")]:
        assert getattr(transport, f"get{name}")() != value
        getattr(transport, f"set{name}")(value)
        assert getattr(transport, f"get{name}")() == value
    transport.joinGroup("224.0.0.1")
    transport.joinGroup("224.0.0.2", "127.0.0.1")
    transport.leaveGroup("224.0.0.1")
    assert transport.groups == [("224.0.0.2", "127.0.0.1")]
    with pytest.raises(ValueError, match="not in list"):
        transport.leaveGroup("224.0.0.1")
    transport.stopListening()
    assert not transport.listening
