"""However a stream is cut, a line receiver delivers what splitting the whole of it gives, and never raises.

It keeps no more than the longest line and the last piece; what its lines do to it (pause it, put it into raw mode,
feed it, close its connection) changes when and what is delivered, and loses nothing.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.protocols.basic import LineOnlyReceiver, LineReceiver
from ropewalk.testing import StringTransport

LIMIT = 8
DELIMITERS = [b"\r\n", b"\n", b"\n\n", b"aba"]
moderately = settings(deadline=None, max_examples=300)
streams = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"b", b"ab", b"x" * 7, b"x" * 300])).map(b"".join)
sizes = st.lists(st.integers(1, 20), max_size=20)


def pieces(data, sizes):
    """`data`, cut into pieces of these sizes; one byte a piece if there are none, the rest whole if they are few."""
    if not sizes:
        return [data[at : at + 1] for at in range(len(data))]
    cut, at = [], 0
    for size in sizes:
        cut.append(data[at : at + size])
        at += size
    return [*cut, data[at:]]


def held(receiver):
    """How many bytes it keeps."""
    return len(receiver._rest())


def receiver_of(kind, delimiter):
    class Recording(kind):
        MAX_LENGTH = LIMIT

        def lineReceived(self, line):
            self.events.append(line)

        def lineLengthExceeded(self, line):
            self.events.append(None)
            super().lineLengthExceeded(line)

    Recording.delimiter = delimiter
    receiver = Recording()
    receiver.events = []
    receiver.makeConnection(StringTransport())
    return receiver


def expected(data, delimiter):
    """The lines of `data`, and None for one that is too long, which is the last."""
    *lines, begun = data.split(delimiter)
    events = []
    for line in lines:
        if len(line) > LIMIT:
            return [*events, None]
        events.append(line)
    return [*events, None] if len(begun) >= LIMIT + len(delimiter) else events


@moderately
@given(st.sampled_from([LineReceiver, LineOnlyReceiver]), st.sampled_from(DELIMITERS), streams, sizes)
def test_cuts_decide_nothing(kind, delimiter, data, sizes):
    receiver = receiver_of(kind, delimiter)
    for piece in pieces(data, sizes):
        receiver.dataReceived(piece)
        assert receiver.transport.disconnecting or held(receiver) < LIMIT + len(delimiter)
    assert receiver.events == expected(data, delimiter)
    assert receiver.transport.disconnecting == (None in receiver.events)


@moderately
@given(st.sampled_from([LineReceiver, LineOnlyReceiver]), st.binary(max_size=200), sizes)
def test_no_bytes_make_it_raise(kind, data, sizes):
    receiver = receiver_of(kind, b"\n")
    receiver.lineLengthExceeded = lambda line: None
    for piece in pieces(data, sizes):
        receiver.dataReceived(piece)
        assert held(receiver) <= LIMIT


class Script(LineReceiver):
    """Does what its lines say: p pauses, digits say how many raw bytes follow, f feeds a line, c closes."""

    delimiter = b"\n"
    MAX_LENGTH = 1000

    def __init__(self):
        self.events = []
        self.left = 0

    def lineReceived(self, line):
        self.events.append(line)
        if line == b"p":
            self.pauseProducing()
        elif line == b"f":
            self.dataReceived(b"fed\n")
        elif line == b"c":
            self.transport.loseConnection()
        elif line.isdigit() and int(line):
            self.left = int(line)
            self.setRawMode()

    def rawDataReceived(self, data):
        taken = data[: self.left]
        self.events.extend(("raw", bytes([byte])) for byte in taken)
        self.left -= len(taken)
        if not self.left:
            self.setLineMode(data[len(taken) :])


def model(data):
    """What a Script without `f` is told when all of `data` comes at once and nothing is paused."""
    events = []
    while b"\n" in data:
        line, data = data.split(b"\n", 1)
        events.append(line)
        if line == b"c":
            break
        if line.isdigit():
            events.extend(("raw", bytes([byte])) for byte in data[: int(line)])
            if len(data) < int(line):
                break
            data = data[int(line) :]
    return events


scripts = st.lists(st.sampled_from([b"p", b"3", b"0", b"1", b"12", b"x", b"\n", b"c", b"\n", b"\n"])).map(b"".join)


@moderately
@given(scripts, sizes)
def test_pauses_and_raw_bytes_lose_nothing_wherever_the_stream_is_cut(data, sizes):
    script = Script()
    script.makeConnection(StringTransport(lenient=True))
    for piece in pieces(data, sizes):
        script.dataReceived(piece)
        if len(piece) % 2:
            script.resumeProducing()
    for _ in data:
        script.resumeProducing()
    assert script.events == model(data)


@moderately
@given(st.lists(st.lists(st.sampled_from([b"f\n", b"x\n", b"p\n", b"longer\n"])).map(b"".join)))
def test_what_lines_feed_comes_once_and_after_the_piece_they_were_in(cut):
    script = Script()
    script.makeConnection(StringTransport())
    expected = []
    for piece in cut:
        script.dataReceived(piece)
        while script.paused:
            script.resumeProducing()
        expected += piece.splitlines() + [b"fed"] * piece.count(b"f\n")
    assert script.events == expected
