"""FileSender: which way a file takes, what it does at the end of it, and before."""

from __future__ import annotations

import gzip
import io

import pytest

from ropewalk.internet.defer import CancelledError
from ropewalk.internet.error import ConnectionAborted
from ropewalk.internet.protocol import Protocol
from ropewalk.protocols.basic import FileSender, TransferStopped
from ropewalk.testing import StringTransport
from ropewalk.testing.memory import MemoryLoop, ScriptedChannel
from ropewalk.transports.stream import Stream

CONTENT = bytes(range(256)) * 300


class Consumer:
    """A consumer that is no transport; sent: what was written; `produce` asks until there is no producer."""

    def __init__(self):
        self.sent = b""
        self.pieces = []
        self.producer = None

    def registerProducer(self, producer, streaming):
        assert self.producer is None
        assert not streaming
        self.producer = producer

    def unregisterProducer(self):
        assert self.producer is not None
        self.producer = None

    def write(self, data):
        self.sent += memoryview(data)
        self.pieces.append(len(data))

    def produce(self):
        while self.producer is not None:
            self.producer.resumeProducing()


def outcome(deferred):
    """What `deferred` fired with, a failure's exception for a failure; "not yet" if it has not."""
    results = []
    deferred.addBoth(results.append)
    if not results:
        return "not yet"
    return getattr(results[0], "value", results[0])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    with open(path, "rb") as opened:
        yield opened


@pytest.fixture
def stream():
    """A stream over a channel in memory: its loop turns when it is told to."""
    loop, channel = MemoryLoop(), ScriptedChannel()
    stream = Stream(loop, channel)
    channel.attach(loop, stream)
    stream.start(Protocol())
    return stream


# -- reading


def test_a_file_is_read_and_written_piece_by_piece_when_the_consumer_asks():
    consumer, sender = Consumer(), FileSender()
    done = sender.beginFileTransfer(io.BytesIO(CONTENT), consumer)
    assert consumer.sent == b""
    consumer.producer.resumeProducing()
    assert consumer.sent == CONTENT[: FileSender.CHUNK_SIZE]
    consumer.produce()
    assert consumer.sent == CONTENT
    assert max(consumer.pieces) == FileSender.CHUNK_SIZE == 16384
    assert outcome(done) == sender.lastSent == b"\xff"


def test_the_size_of_the_pieces_may_be_set():
    consumer, sender = Consumer(), FileSender()
    sender.CHUNK_SIZE = 1000
    sender.beginFileTransfer(io.BytesIO(CONTENT), consumer)
    consumer.produce()
    assert consumer.pieces == [1000] * 76 + [800]


def test_what_is_sent_is_transformed():
    consumer, sender = Consumer(), FileSender()
    done = sender.beginFileTransfer(io.BytesIO(b"content"), consumer, bytes.upper)
    consumer.produce()
    assert consumer.sent == b"CONTENT"
    assert outcome(done) == b"T"


def test_a_transformation_may_leave_nothing_of_a_piece():
    consumer, sender = Consumer(), FileSender()
    sender.CHUNK_SIZE = 2
    done = sender.beginFileTransfer(io.BytesIO(b"ab----"), consumer, lambda piece: piece.strip(b"-"))
    consumer.produce()
    assert consumer.sent == b"ab"
    assert outcome(done) == b"b"


def test_nothing_is_the_last_byte_of_an_empty_file():
    consumer = Consumer()
    done = FileSender().beginFileTransfer(io.BytesIO(), consumer)
    consumer.produce()
    assert outcome(done) == b""


def test_a_file_is_sent_from_where_it_stands():
    consumer, file = Consumer(), io.BytesIO(CONTENT)
    file.seek(76_000)
    FileSender().beginFileTransfer(file, consumer)
    consumer.produce()
    assert consumer.sent == CONTENT[76_000:]
    assert file.tell() == len(CONTENT)


def test_a_sender_sends_one_file_after_the_other():
    consumer, sender = Consumer(), FileSender()
    for content in (b"one", b""):
        done = sender.beginFileTransfer(io.BytesIO(content), consumer)
        consumer.produce()
        assert outcome(done) == content[-1:]


def test_a_sender_that_is_busy_takes_no_other_file():
    consumer, sender = Consumer(), FileSender()
    done = sender.beginFileTransfer(io.BytesIO(b"one"), consumer)
    with pytest.raises(RuntimeError, match="has not finished"):
        sender.beginFileTransfer(io.BytesIO(b"two"), Consumer())
    consumer.produce()
    assert outcome(done) == b"e"


def test_a_consumer_that_has_a_producer_is_an_error_and_leaves_the_sender_free():
    transport, sender = StringTransport(), FileSender()
    transport.registerProducer(object(), True)
    with pytest.raises(RuntimeError, match="cannot be registered"):
        sender.beginFileTransfer(io.BytesIO(b"one"), transport)
    sender.beginFileTransfer(io.BytesIO(b"one"), Consumer())


@pytest.mark.parametrize(
    ("file", "transform", "error"),
    [
        (io.StringIO("text"), None, TypeError),
        (io.BytesIO(b"content"), lambda piece: 1 / 0, ZeroDivisionError),
        (io.BytesIO(b"content"), lambda piece: None, TypeError),
    ],
)
def test_what_reading_transforming_or_writing_raises_fails_the_transfer_and_not_the_consumer(file, transform, error):
    consumer = StringTransport()
    done = FileSender().beginFileTransfer(file, consumer, transform)
    consumer.producer.resumeProducing()
    assert isinstance(outcome(done), error)
    assert consumer.producer is None
    assert not consumer.disconnecting


def test_a_file_that_was_opened_as_text_fails_the_transfer(tmp_path):
    (tmp_path / "text").write_text("text")
    transport = StringTransport()
    with open(tmp_path / "text") as file:
        done = FileSender().beginFileTransfer(file, transport)
        transport.producer.resumeProducing()
    assert isinstance(outcome(done), TypeError)
    assert transport.value() == b""


def test_a_file_that_is_closed_fails_the_transfer(file):
    transport = StringTransport()
    file.close()
    done = FileSender().beginFileTransfer(file, transport)
    transport.producer.resumeProducing()
    assert isinstance(outcome(done), ValueError)


def test_a_consumer_that_wants_no_more_fails_the_transfer():
    consumer, sender = Consumer(), FileSender()
    done = sender.beginFileTransfer(io.BytesIO(CONTENT), consumer)
    consumer.producer.resumeProducing()
    consumer.producer.stopProducing()
    assert isinstance(outcome(done), TransferStopped)
    assert sender.file is None
    sender.stopProducing()   # once more does nothing


def test_a_program_may_stop_a_transfer_itself():
    consumer, sender = Consumer(), FileSender()
    done = sender.beginFileTransfer(io.BytesIO(CONTENT), consumer)
    sender.stopProducing()
    consumer.produce()
    assert isinstance(outcome(done), TransferStopped)
    assert consumer.sent == b""


def test_a_transfer_that_is_cancelled_sends_no_more():
    consumer, sender = Consumer(), FileSender()
    done = sender.beginFileTransfer(io.BytesIO(CONTENT), consumer)
    consumer.producer.resumeProducing()
    done.cancel()
    assert isinstance(outcome(done), CancelledError)
    assert consumer.producer is None
    assert len(consumer.sent) == FileSender.CHUNK_SIZE


def test_to_pause_a_sender_does_nothing():
    consumer = Consumer()
    FileSender().beginFileTransfer(io.BytesIO(b"content"), consumer)
    consumer.producer.pauseProducing()
    consumer.produce()
    assert consumer.sent == b"content"


# -- transport.sendfile


def test_a_regular_file_goes_through_the_sendfile_of_a_transport(file):
    transport, sender = StringTransport(), FileSender()
    file.read(100)
    done = sender.beginFileTransfer(file, transport)
    assert transport.producer is None
    assert transport.value() == CONTENT[100:]
    assert outcome(done) == sender.lastSent == b"\xff"
    assert file.tell() == len(CONTENT)


def test_a_file_that_is_being_written_is_sent_as_it_was_written(tmp_path):
    transport = StringTransport()
    with (tmp_path / "written").open("w+b") as file:
        file.write(b"content")
        file.flush()
        file.seek(3)
        file.write(b"TENT")
        file.seek(0)
        done = FileSender().beginFileTransfer(file, transport)
        assert transport.value() == b"conTENT"
        assert outcome(done) == b"T"


def test_a_file_that_ends_before_where_it_stands_sends_nothing(file):
    transport = StringTransport()
    file.seek(1_000_000)
    done = FileSender().beginFileTransfer(file, transport)
    assert transport.value() == b""
    assert outcome(done) == b""


def test_a_compressed_file_is_sent_as_reading_it_gives(tmp_path):
    with gzip.open(tmp_path / "content.gz", "wb") as compressed:
        compressed.write(CONTENT)
    transport = StringTransport()
    with gzip.open(tmp_path / "content.gz", "rb") as compressed, io.BufferedReader(compressed) as file:
        FileSender().beginFileTransfer(file, transport)
        while transport.producer is not None:
            transport.producer.resumeProducing()
    assert transport.value() == CONTENT


def test_a_wrapper_that_passes_attributes_on_is_written_to(file):
    class Wrapper(Consumer):
        def __getattr__(self, name):
            return getattr(self.transport, name)

    consumer = Wrapper()
    consumer.transport = StringTransport()
    FileSender().beginFileTransfer(file, consumer)
    consumer.produce()
    assert consumer.sent == CONTENT
    assert consumer.transport.value() == b""


def test_a_file_is_sent_in_order_with_what_is_written(file, stream):
    stream.write(b"before")
    done = FileSender().beginFileTransfer(file, stream)
    stream.write(b"after")
    stream.loseConnection()
    stream.reactor.finish()
    assert stream.channel.sent == b"before" + CONTENT + b"after"
    assert outcome(done) == b"\xff"
    assert not stream.connected


def test_a_transfer_begun_after_lose_connection_is_still_sent_if_something_is_queued(file, stream):
    stream.channel.full = True
    stream.write(b"before")
    stream.loseConnection()
    done = FileSender().beginFileTransfer(file, stream)
    stream.channel.full = False
    stream.reactor.finish()
    assert stream.channel.sent == b"before" + CONTENT
    assert outcome(done) == b"\xff"


def test_the_loss_of_the_connection_fails_the_transfer_and_is_the_cause(file, stream):
    stream.channel.full = True
    done = FileSender().beginFileTransfer(file, stream)
    stream.reactor.turn()
    stream.abortConnection()
    stream.reactor.finish()
    error = outcome(done)
    assert isinstance(error, TransferStopped)
    assert isinstance(error.__cause__, ConnectionAborted)


def test_a_transfer_over_a_connection_that_is_lost_fails(file, stream):
    stream.abortConnection()
    stream.reactor.finish()
    assert isinstance(outcome(FileSender().beginFileTransfer(file, stream)), TransferStopped)


@pytest.mark.parametrize("way", ["cancel", "stopProducing"])
def test_a_transfer_through_sendfile_can_be_given_up(file, stream, way):
    sender = FileSender()
    stream.channel.full = True
    done = sender.beginFileTransfer(file, stream)
    stream.reactor.turn()
    if way == "cancel":
        done.cancel()
    else:
        sender.stopProducing()
    stream.channel.full = False
    stream.write(b"after")
    stream.reactor.finish()
    assert isinstance(outcome(done), CancelledError if way == "cancel" else TransferStopped)
    assert len(stream.channel.sent) < len(CONTENT)
    assert stream.channel.sent.endswith(b"after")
    assert stream.connected


def test_an_error_of_reading_in_sendfile_fails_the_transfer_as_it_is(file, stream):
    stream.channel.full = True
    done = FileSender().beginFileTransfer(file, stream)
    file.close()
    stream.channel.full = False
    stream.reactor.finish()
    assert isinstance(outcome(done), ValueError)
    assert stream.connected
