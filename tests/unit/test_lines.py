"""Line receivers: what is delivered, in what order, and what is not."""

from __future__ import annotations

import time

import pytest

from ropewalk.internet.protocol import Protocol
from ropewalk.protocols.basic import LineOnlyReceiver, LineReceiver
from ropewalk.testing import StringTransport, StringTransportWithDisconnection

KINDS = [LineReceiver, LineOnlyReceiver]
both = pytest.mark.parametrize("kind", KINDS)


def recording(kind, react=None, **attributes):
    """A connected receiver that keeps what it is told in `events`; react(receiver, line) is called for each line."""

    class Recording(kind):
        def lineReceived(self, line):
            self.events.append(line)
            if react is not None:
                react(self, line)

        def rawDataReceived(self, data):
            self.events.append(("raw", data))

        def lineLengthExceeded(self, line):
            self.events.append(("long", line))
            super().lineLengthExceeded(line)

    for name, value in attributes.items():
        setattr(Recording, name, value)
    receiver = Recording()
    receiver.events = []
    receiver.makeConnection(StringTransport())
    return receiver


def feed(receiver, data, size=None):
    """Feed `data` in pieces of `size` bytes (None: whole)."""
    size = size or len(data)
    for start in range(0, len(data), size):
        receiver.dataReceived(data[start : start + size])


def lenient(receiver):
    """Make a line that is too long not close the connection."""
    receiver.lineLengthExceeded = lambda line: receiver.events.append(("long", line))
    return receiver


@both
@pytest.mark.parametrize("size", [None, 1, 2, 3, 5])
def test_each_line_is_delivered_without_its_delimiter(kind, size):
    receiver = recording(kind)
    feed(receiver, b"one\r\n\r\n\rtwo\n\r\n three\r\nunfinished", size)
    assert receiver.events == [b"one", b"", b"\rtwo\n", b" three"]


@both
@pytest.mark.parametrize("size", [None, 1, 2, 3])
@pytest.mark.parametrize(
    ("delimiter", "data", "lines"),
    [
        (b"\n", b"a\n\nb\n", [b"a", b"", b"b"]),
        (b"\n\n", b"a\n\n\nb\n\nc", [b"a", b"\nb"]),
        (b"aba", b"xababay-aba", [b"x", b"bay-"]),
    ],
)
def test_any_delimiter_ends_a_line_the_first_time_it_occurs(kind, size, delimiter, data, lines):
    receiver = recording(kind, delimiter=delimiter)
    feed(receiver, data, size)
    assert receiver.events == lines


@both
def test_lines_longer_and_shorter_than_any_block_come_in_order(kind):
    receiver = recording(kind, MAX_LENGTH=100_000)
    lines = [b"x" * size for size in (1, 255, 256, 257, 5000, 0, 70_000, 3, 511, 512, 513, 2)]
    feed(receiver, b"".join(line + b"\r\n" for line in lines))
    assert receiver.events == lines


@both
def test_a_line_is_sent_with_its_delimiter(kind):
    receiver = recording(kind, delimiter=b"|")
    receiver.sendLine(b"hello")
    assert receiver.transport.value() == b"hello|"


@pytest.mark.parametrize("method", ["lineReceived", "rawDataReceived"])
def test_what_a_program_has_to_override_says_so(method):
    with pytest.raises(NotImplementedError):
        getattr(LineReceiver(), method)(b"")


# -- the limit


@both
@pytest.mark.parametrize("size", [None, 1, 3])
def test_a_line_as_long_as_the_limit_is_delivered_wherever_it_is_cut(kind, size):
    receiver = recording(kind, MAX_LENGTH=6)
    feed(receiver, b"123456\r\n12345\r\n", size)
    assert receiver.events == [b"123456", b"12345"]
    assert not receiver.transport.disconnecting


@both
@pytest.mark.parametrize("size", [None, 1, 3])
def test_a_line_longer_than_the_limit_closes_the_connection_wherever_it_is_cut(kind, size):
    receiver = recording(kind, MAX_LENGTH=6)
    feed(receiver, b"ok\r\n1234567\r\nok\r\n", size)
    assert [event if event == b"ok" else event[0] for event in receiver.events] == [b"ok", "long"]
    assert receiver.transport.disconnecting


@both
def test_a_line_without_end_exceeds_the_limit_once_and_is_not_kept(kind):
    receiver = recording(kind, MAX_LENGTH=100)
    for _ in range(1000):
        receiver.dataReceived(b"x" * 50)
    assert receiver.events == [("long", b"x" * 150)]


def test_what_exceeds_the_limit_of_a_line_receiver_is_all_that_came():
    receiver = lenient(recording(LineReceiver, MAX_LENGTH=6))
    rest = b"1234567\r\nok\r\n123"
    receiver.dataReceived(b"ok\r\n" + rest)
    assert receiver.events == [b"ok", ("long", rest)]
    receiver.dataReceived(b"next\r\n")
    assert receiver.events[2:] == [b"next"]


def test_what_line_length_exceeded_puts_back_is_parsed_at_once():
    receiver = recording(LineReceiver, MAX_LENGTH=6)
    receiver.lineLengthExceeded = lambda line: receiver.setLineMode(line[7:])
    receiver.dataReceived(b"1234567ok\r\n1234567890\r\nok\r\n")
    assert receiver.events == [b"ok", b"890", b"ok"]


def test_line_length_exceeded_may_change_to_raw_mode():
    receiver = recording(LineReceiver, MAX_LENGTH=6)

    def exceeded(line):
        receiver.setRawMode()
        receiver.dataReceived(line)

    receiver.lineLengthExceeded = exceeded
    feed(receiver, b"1234567\r\nmore\r\n", 9)
    assert receiver.events == [("raw", b"1234567\r\n"), ("raw", b"more\r\n")]


def test_a_line_only_receiver_goes_on_after_a_line_that_is_too_long():
    receiver = lenient(recording(LineOnlyReceiver, MAX_LENGTH=6))
    receiver.dataReceived(b"ok\r\n1234567\r\nok\r\n")
    assert receiver.events == [b"ok", ("long", b"1234567"), b"ok"]


# -- the mode


@pytest.mark.parametrize("size", [None, 1, 2, 7])
def test_raw_bytes_of_a_known_number_come_between_lines(size):
    def react(receiver, line):
        receiver.left = int(line)
        if receiver.left:
            receiver.setRawMode()

    def raw(receiver, data):
        taken = data[: receiver.left]
        receiver.body += taken
        receiver.left -= len(taken)
        if not receiver.left:
            receiver.events.append(receiver.body)
            receiver.body = b""
            receiver.setLineMode(data[len(taken) :])

    receiver = recording(LineReceiver, react, rawDataReceived=raw, body=b"")
    feed(receiver, b"5\r\n1\r\n34" + b"0\r\n" + b"2\r\n\r\n" + b"1\r\nx0\r\n", size)
    assert receiver.events == [b"5", b"1\r\n34", b"0", b"2", b"\r\n", b"1", b"x", b"0"]


def test_the_mode_changes_any_number_of_times_in_one_piece():
    receiver = recording(LineReceiver, lambda receiver, line: receiver.setRawMode(), delimiter=b"\n")
    receiver.rawDataReceived = lambda data: receiver.setLineMode(data[1:])
    receiver.dataReceived(b"x\n-" * 5000)
    assert receiver.events == [b"x"] * 5000


def test_the_mode_may_be_changed_from_outside():
    receiver = recording(LineReceiver)
    receiver.dataReceived(b"begun")
    receiver.setRawMode()
    receiver.dataReceived(b" raw")
    receiver.setLineMode(b"line\r\n")
    assert receiver.events == [("raw", b"begun raw"), b"line"]


def test_the_delimiter_may_change_with_a_line_and_while_a_line_is_unfinished():
    def react(receiver, line):
        receiver.delimiter = b"|"

    receiver = recording(LineReceiver, react)
    receiver.dataReceived(b"a\r\nb|c\r\nd|e-")
    assert receiver.events == [b"a", b"b", b"c\r\nd"]
    receiver.delimiter = b"-"
    receiver.dataReceived(b"f")
    assert receiver.events[3:] == [b"e"]


def test_the_buffer_may_be_taken_by_a_line():
    taken = []
    receiver = recording(LineReceiver, lambda receiver, line: taken.append(receiver.clearLineBuffer()))
    receiver.dataReceived(b"a\r\nb\r\nc")
    receiver.dataReceived(b"d\r\n")
    assert receiver.events == [b"a", b"d"]
    assert taken == [b"b\r\nc", b""]


def test_the_buffer_of_an_unfinished_line_may_be_taken():
    receiver = recording(LineReceiver)
    receiver.dataReceived(b"begu")
    receiver.dataReceived(b"n")
    assert receiver.clearLineBuffer() == b"begun"
    receiver.dataReceived(b"a\r\n")
    assert receiver.events == [b"a"]


def test_the_buffer_may_be_replaced_by_the_very_bytes_that_are_parsed():
    piece = b"a\r\nb\r\n"

    def react(receiver, line):
        if len(receiver.events) < 4:
            receiver.clearLineBuffer()
            receiver.dataReceived(piece)

    receiver = recording(LineReceiver, react)
    receiver.dataReceived(piece)
    assert receiver.events == [b"a"] * 4 + [b"b"]


# -- calls from within a call


@both
def test_what_a_line_feeds_comes_after_what_was_there(kind):
    def react(receiver, line):
        if line == b"ask":
            receiver.dataReceived(b"answer\r\nbeg")

    receiver = recording(kind, react)
    receiver.dataReceived(b"ask\r\nother\r\nthe ")
    receiver.dataReceived(b"un\r\n")
    assert receiver.events == [b"ask", b"other", b"the answer", b"begun"]


@both
def test_lines_that_feed_lines_do_not_nest(kind):
    def react(receiver, line):
        if len(receiver.events) < 5000:
            receiver.dataReceived(b"again\r\n")

    receiver = recording(kind, react)
    receiver.dataReceived(b"again\r\n")
    assert len(receiver.events) == 5000


def test_two_receivers_whose_writes_reach_each_other_at_once_do_not_nest():
    class Loop(StringTransport):
        def write(self, data):
            self.other.dataReceived(data)

    def answer(receiver, line):
        if int(line) < 5000:
            receiver.sendLine(b"%d" % (int(line) + 1))

    one, two = recording(LineReceiver, answer), recording(LineReceiver, answer)
    for receiver, other in ((one, two), (two, one)):
        receiver.transport = Loop()
        receiver.transport.other = other
    one.dataReceived(b"0\r\n")
    assert [int(line) for line in one.events] == list(range(0, 5001, 2))
    assert [int(line) for line in two.events] == list(range(1, 5000, 2))


@both
def test_after_a_line_that_raises_the_receiver_still_works(kind):
    def react(receiver, line):
        if line == b"bad":
            raise ValueError("bad")

    receiver = recording(kind, react)
    with pytest.raises(ValueError, match="bad"):
        receiver.dataReceived(b"bad\r\ngo")
    receiver.dataReceived(b"od\r\n")
    assert receiver.events == [b"bad", b"good"]


# -- pausing


def test_a_paused_receiver_keeps_what_comes_and_delivers_it_when_it_is_resumed():
    receiver = recording(LineReceiver, lambda receiver, line: receiver.pauseProducing())
    receiver.dataReceived(b"a\r\nb\r\nc\r")
    receiver.dataReceived(b"\nd\r\n")
    seen = []
    while receiver.paused:
        assert receiver.transport.producerState == "paused"
        seen.append(list(receiver.events))
        receiver.resumeProducing()
    assert seen == [[b"a"], [b"a", b"b"], [b"a", b"b", b"c"], [b"a", b"b", b"c", b"d"]]
    assert receiver.transport.producerState == "producing"


def test_a_receiver_that_is_paused_and_put_into_raw_mode_delivers_the_rest_raw():
    def react(receiver, line):
        receiver.pauseProducing()
        receiver.setRawMode()

    receiver = recording(LineReceiver, react)
    receiver.dataReceived(b"a\r\nb\r\n")
    assert receiver.events == [b"a"]
    receiver.resumeProducing()
    assert receiver.events == [b"a", ("raw", b"b\r\n")]


def test_a_line_may_pause_and_resume():
    def react(receiver, line):
        receiver.pauseProducing()
        receiver.resumeProducing()

    receiver = recording(LineReceiver, react)
    receiver.dataReceived(b"a\r\nb\r\nc")
    assert receiver.events == [b"a", b"b"]


def test_raw_bytes_may_pause_and_put_lines_back():
    receiver = recording(LineReceiver)

    def raw(data):
        receiver.setLineMode(data)
        receiver.pauseProducing()

    receiver.rawDataReceived = raw
    receiver.setRawMode()
    receiver.dataReceived(b"a\r\n")
    assert receiver.events == []
    receiver.resumeProducing()
    assert receiver.events == [b"a"]


def test_a_stopped_receiver_delivers_nothing_more():
    receiver = recording(LineReceiver, lambda receiver, line: receiver.stopProducing())
    receiver.dataReceived(b"a\r\nb\r\n")
    receiver.dataReceived(b"c\r\n")
    assert receiver.events == [b"a"]
    assert receiver.transport.producerState == "stopped"


# -- the end


@both
@pytest.mark.parametrize("way", ["loseConnection", "abortConnection"])
@pytest.mark.parametrize("transport", [StringTransport, StringTransportWithDisconnection])
def test_nothing_is_delivered_after_the_end(kind, way, transport):
    receiver = recording(kind, lambda receiver, line: getattr(receiver.transport, way)(), MAX_LENGTH=10)
    receiver.transport = transport()
    receiver.transport.protocol = receiver
    receiver.dataReceived(b"a\r\nb\r\n" + b"too long" * 10)
    receiver.dataReceived(b"c\r\n")
    assert receiver.events == [b"a"]


def test_no_lines_come_after_raw_bytes_that_closed_the_connection():
    receiver = recording(LineReceiver)

    def raw(data):
        receiver.transport.loseConnection()
        receiver.setLineMode(data)

    receiver.rawDataReceived = raw
    receiver.setRawMode()
    receiver.dataReceived(b"a\r\n")
    assert receiver.events == []


def test_what_was_not_delivered_may_be_looked_at_after_the_end():
    receiver = recording(LineReceiver, lambda receiver, line: receiver.transport.loseConnection())
    receiver.dataReceived(b"a\r\nb\r\nc")
    assert receiver.clearLineBuffer() == b"b\r\nc"


def test_a_receiver_that_is_connected_again_starts_anew():
    receiver = recording(LineReceiver, lambda receiver, line: receiver.transport.loseConnection())
    receiver.dataReceived(b"a\r\nrest")
    receiver.makeConnection(StringTransport())
    receiver.dataReceived(b"b\r\n")
    assert receiver.events == [b"a", b"b"]


def test_a_transport_that_does_not_say_whether_it_is_connected_will_do():
    class Plain:
        disconnecting = False

    receiver = recording(LineReceiver)
    receiver.transport = Plain()
    receiver.dataReceived(b"a\r\n")
    assert receiver.events == [b"a"]


# -- cost


def seconds(call):
    start = time.process_time()
    call()
    return time.process_time() - start


@both
def test_the_time_for_a_line_does_not_grow_with_the_piece_it_comes_in(kind):
    lines = b"12345678\r\n" * 100_000

    class Silent(kind):
        def lineReceived(self, line):
            pass

    receiver = Silent()
    receiver.makeConnection(StringTransport())
    in_pieces = seconds(lambda: feed(receiver, lines, 10_000))
    assert seconds(lambda: feed(receiver, lines)) < 5 * in_pieces + 0.1


@both
def test_the_time_for_a_byte_does_not_grow_with_the_line_it_is_in(kind):
    receiver = recording(kind, MAX_LENGTH=1_000_000)
    short = seconds(lambda: feed(receiver, (b"x" * 98 + b"\r\n") * 2000, 1))
    long = seconds(lambda: feed(receiver, b"x" * 199_998 + b"\r\n", 1))
    assert long < 5 * short + 0.1
    assert len(receiver.events[-1]) == 199_998


def test_the_receivers_are_protocols():
    assert issubclass(LineReceiver, Protocol)
    assert issubclass(LineOnlyReceiver, Protocol)
