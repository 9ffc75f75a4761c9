"""TLS over a connection in memory that is slow, cut, or meddled with: what always holds, whatever happens.

Two sides send each other what they have and end. Between them bytes are delayed, sends are short or refused, readiness
is reported that is none, a byte is changed, or the connection is cut short. Then
* what a side received is the beginning of what the other wrote, and all that was sent before the meddling;
* without meddling both get everything, and an orderly end; with it nobody takes a part for the whole;
* both are told why it is over, by an error that is documented, in a bounded number of turns, and nothing stays open.
"""

import errno
import functools
import os
import ssl
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ropewalk.interfaces import ERROR, HANGUP, READ, WRITE
from ropewalk.internet.error import ConnectionDone, ConnectionLost, TLSError
from ropewalk.internet.protocol import Protocol
from ropewalk.testing.memory import MemoryLoop
from ropewalk.testing.pairs import connectedPair
from ropewalk.testing.tls_peers import VERSIONS, authority, server_options

TURNS = 30_000
CLEAR = b"before TLS"
AMPLE = 65536
SPREAD = 10   # bytes by which handshakes differ: signatures are not all of one length
AGE = 100.0   # seconds: more than any limit of the transports


class Counting(ssl.SSLObject):
    """Counts the plaintext that was encrypted."""

    total = 0

    def write(self, data):
        taken = super().write(data)
        self.total += taken
        return taken


@functools.cache
def contexts(version):
    """A client's and a server's, which speak `version`."""
    client = ssl.create_default_context(cadata=authority().pem.decode())
    server = server_options(version).newServerContext()
    for context in (client, server):
        context.sslobject_class = Counting
    return client, server


class Side(Protocol):
    """Says a few bytes in the clear, the client first; starts TLS, writes `sizes`, and closes when it has all."""

    def __init__(self, start, sizes, expected):
        self.start = start
        self.sizes = sizes
        self.expected = expected   # bytes from the other side
        self.received = bytearray()
        self.secured = 0
        self.reason = None
        self.told = []

    @property
    def written(self):
        return CLEAR + pattern(sum(self.sizes))

    def connectionMade(self):
        if not self.transport.accepted:
            self.transport.write(CLEAR)

    def dataReceived(self, data):
        assert data
        assert self.reason is None
        self.received += data
        if not self.transport.TLS and self.received == CLEAR:
            if self.transport.accepted:
                self.transport.write(CLEAR)
            self.begin()
        self.check()

    def begin(self):
        self.start(self.transport)
        data, at = pattern(sum(self.sizes)), 0
        for size in self.sizes:
            self.transport.write(data[at : at + size])
            at += size

    def check(self):
        if len(self.received) == self.expected:
            self.transport.loseConnection()

    def handshakeCompleted(self):
        self.secured += 1
        assert self.received == CLEAR

    def connectionLost(self, reason):
        assert self.reason is None
        self.reason = reason.value


class HalfSide(Side):
    """The same, but it ends its side when it has written all, and reads on."""

    def begin(self):
        super().begin()
        self.transport.loseWriteConnection()

    def check(self):
        """The end of the other side is waited for."""

    def readConnectionLost(self):
        self.told.append("read lost")

    def writeConnectionLost(self):
        self.told.append("write lost")


def pattern(size):
    block = b"".join(number.to_bytes(2, "big") for number in range(4096))
    return (block * (size // len(block) + 1))[:size]


class Fault(NamedTuple):
    """kind: what is done to the bytes of `side` at the position `at` of all that it sends; mask: what is changed."""

    kind: str
    side: int
    at: int
    mask: int


class Meddler:
    """Stands behind the send() of one end of a wire. `marks`: how much plaintext the first so many bytes hold."""

    def __init__(self, end, fault, stream):
        self.end, self.fault, self.stream = end, fault, stream
        self.send_on = end.send
        self.cut = False
        self.marks = []
        end.send = self.send

    def send(self, data):
        session = getattr(self.stream.channel, "session", None)
        self.marks.append((len(self.end.sending.log) + len(data), session.total if session else 0))
        before = len(self.end.sending.log)
        sent = self.send_on(data)
        flying, at = self.end.sending.flying, None if self.fault is None else self.fault.at - before
        if self.cut:
            del flying[len(flying) - sent :]
        elif at is not None and 0 <= at < sent:
            self.meddle(flying, len(flying) - sent + at)
        return sent

    def meddle(self, flying, at):
        if self.fault.kind == "corrupt":
            flying[at] ^= self.fault.mask
            return
        self.cut = True
        del flying[at:]
        reset = OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        self.end.sending.last = b"" if self.fault.kind == "end" else reset

    @property
    def done(self):
        return self.fault is not None and len(self.end.sending.log) > self.fault.at

    def intact(self):
        """How much plaintext was sent wholly before the fault."""
        return max((plain for end, plain in self.marks if end <= self.fault.at), default=0)


def meddle_with(case):
    """Play `case`; the two sides, their meddlers, and the loop."""
    client_context, server_context = contexts(case.version)
    make = HalfSide if case.half else Side
    expected = [len(CLEAR) + sum(sizes) for sizes in case.sizes]
    client = make(lambda tcp: tcp.startTLS(client_context, serverHostname="localhost"), case.sizes[0], expected[1])
    server = make(lambda tcp: tcp.startTLS(server_context), case.sizes[1], expected[0])
    loop = MemoryLoop()
    _, _, pump = connectedPair(client, server, loop)
    wire = pump.wire
    sides = (client, server)
    streams = [side.transport for side in sides]
    meddlers = [
        Meddler(wire.ends[number], case.fault if case.fault and case.fault.side == number else None, streams[number])
        for number in (0, 1)
    ]
    for event in case.events:
        for number, transport in enumerate(streams):
            if event.paused == number and transport.connected:
                transport.pauseProducing()
            elif transport.connected:
                transport.resumeProducing()
        wire.capacity, wire.piece = event.capacity, event.piece
        for end in wire.ends:
            if event.spurious and end in loop.channels and end.wanted:
                loop.tell(end.handler, event.spurious)
        loop.turn()
    wire.capacity, wire.piece = AMPLE, None
    for transport in streams:
        if transport.connected:
            transport.resumeProducing()
    loop.finish(TURNS)
    return sides, meddlers, loop, wire


def the_network_ends(loop, wire):
    """What was stuck, such as a reader whose record has become longer, hears of an end, in the end."""
    for end in wire.ends:
        end.sending.last = b""
    loop.finish(TURNS)
    loop.advance(AGE)
    loop.finish(TURNS)


class Event(NamedTuple):
    """One turn: the wire's capacity and piece, a side that pauses, and readiness that is none."""

    capacity: int
    piece: int | None
    paused: int
    spurious: int


class Case(NamedTuple):
    version: object
    half: bool
    sizes: tuple
    events: list
    fault: Fault | None


EVENTS = st.lists(
    st.builds(
        Event,
        capacity=st.sampled_from([0, 1, 5, 6, 100, 1000, AMPLE]),
        piece=st.sampled_from([None, 1, 2, 5, 7, 300, 16000]),
        paused=st.sampled_from([-1, -1, 0, 1]),
        spurious=st.sampled_from([0, 0, READ, WRITE, READ | WRITE, ERROR, HANGUP | READ]),
    ),
    max_size=60,
)
SIZES = st.lists(st.sampled_from([0, 1, 2, 17, 1000, 16384, 16385, 100_000]), max_size=5)
FAULTS = st.builds(
    Fault,
    kind=st.sampled_from(["corrupt", "end", "reset"]),
    side=st.integers(0, 1),
    at=st.one_of(st.integers(len(CLEAR), 3000), st.integers(len(CLEAR), 120_000)),
    mask=st.integers(1, 255),
)


def cases(faults):
    return st.builds(
        Case,
        version=st.sampled_from(VERSIONS),
        half=st.booleans(),
        sizes=st.tuples(SIZES, SIZES),
        events=EVENTS,
        fault=faults,
    )


CALM = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))


def nothing_is_left(loop):
    assert not loop.transports
    assert not loop.channels
    assert not loop.late
    assert not loop.clock.getDelayedCalls()


@given(cases(st.none()))
@CALM
def test_however_slow_the_connection_both_get_everything_and_an_orderly_end(case):
    sides, _, loop, _ = meddle_with(case)
    loop.advance(AGE)
    loop.finish(TURNS)
    for side, other in (sides, sides[::-1]):
        assert side.received == other.written
        assert side.secured == 1 or not (case.half or any(side.sizes + other.sizes))
        assert isinstance(side.reason, ConnectionDone), side.reason
        if case.half:
            assert side.told.count("read lost") == 1
    nothing_is_left(loop)


@given(cases(FAULTS))
@example(Case(VERSIONS[1], True, ([1], [1]), [], Fault("corrupt", 0, 20, 1)))
@CALM
def test_whatever_is_done_to_the_bytes_nothing_is_invented_lost_before_it_or_left_open(case):
    sides, meddlers, loop, wire = meddle_with(case)
    the_network_ends(loop, wire)
    for number, (side, other) in enumerate((sides, sides[::-1])):
        assert other.written.startswith(bytes(side.received)), "plaintext was invented"
        assert isinstance(side.reason, ConnectionDone | ConnectionLost), side.reason
        if case.half and isinstance(side.reason, ConnectionDone) and side.secured:
            assert side.received == other.written, "a part was taken for the whole"
        if case.fault.kind != "reset" and meddlers[1 - number].done:
            must = meddlers[1 - number].intact()
            assert len(side.received) >= must, "what came before the fault was lost"
    nothing_is_left(loop)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("kind", ["corrupt", "end", "reset"])
def test_a_fault_at_every_byte_of_a_short_connection_is_told(version, side, kind):
    plain = Case(version, True, ([5], [7]), [], None)
    _, meddlers, _, _ = meddle_with(plain)
    length = len(meddlers[side].end.sending.log)
    for at in range(len(CLEAR), length):
        case = plain._replace(fault=Fault(kind, side, at, 0x80))
        sides, _, loop, wire = meddle_with(case)
        the_network_ends(loop, wire)
        victim, other = sides[1 - side], sides[side]
        assert other.written.startswith(bytes(victim.received))
        assert victim.reason is not None
        assert other.reason is not None
        if kind == "end" and at < length - SPREAD:
            assert isinstance(victim.reason, TLSError), (at, victim.reason)
        nothing_is_left(loop)
