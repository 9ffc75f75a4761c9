"""However a stream is cut, a receiver of strings delivers what was sent, up to the first fault, and never raises.

It keeps no more than one string with its framing.
"""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.protocols.basic import (
    Int8StringReceiver,
    Int16StringReceiver,
    Int32StringReceiver,
    NetstringReceiver,
)
from ropewalk.protocols.stateful import StatefulProtocol
from ropewalk.testing import StringTransport

LIMIT = 40
KINDS = [NetstringReceiver, Int8StringReceiver, Int16StringReceiver, Int32StringReceiver]
moderately = settings(deadline=None, max_examples=300)
kinds = st.sampled_from(KINDS)
strings = st.lists(st.binary(max_size=LIMIT), max_size=10)
sizes = st.lists(st.integers(1, 30), max_size=20)
nearly_netstrings = st.lists(
    st.sampled_from([b"0:,", b"2:ab,", b"1", b"0", b":", b",", b"41:", b"39:", b"\n", b"x" * 39, b"9" * 25])
).map(b"".join)
nearly_prefixed = st.lists(st.sampled_from([b"\0", b"\1", b"\2", b"\x28", b"\x29", b"\xff", b"ab"])).map(b"".join)


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


def receiver_of(kind):
    class Recording(kind):
        MAX_LENGTH = LIMIT

        def stringReceived(self, string):
            self.events.append(string)

    receiver = Recording()
    receiver.events = []
    receiver.makeConnection(StringTransport())
    return receiver


def framed(kind, strings):
    """`strings` as they are sent."""
    sender = receiver_of(kind)
    for string in strings:
        sender.sendString(string)
    return sender.transport.value()


@moderately
@given(kinds, strings, st.integers(0, 50), sizes)
def test_all_that_is_sent_whole_is_delivered(kind, strings, missing, sizes):
    data = framed(kind, strings)
    whole = max(0, len(data) - missing)
    receiver = receiver_of(kind)
    for piece in pieces(data[:whole], sizes):
        receiver.dataReceived(piece)
        assert held(receiver) <= LIMIT + 4
    count = sum(len(framed(kind, strings[: number + 1])) <= whole for number in range(len(strings)))
    assert receiver.events == strings[:count]
    assert not receiver.transport.disconnecting


@moderately
@given(kinds, strings, st.binary(), sizes)
def test_nothing_is_delivered_after_a_string_that_is_too_long(kind, strings, trailing, sizes):
    too_long = b"41:" if kind is NetstringReceiver else struct.pack(kind.structFormat, LIMIT + 1)
    receiver = receiver_of(kind)
    for piece in pieces(framed(kind, strings) + too_long + trailing, sizes):
        receiver.dataReceived(piece)
    assert receiver.events == strings
    assert receiver.transport.disconnecting
    assert held(receiver) == 0


@moderately
@given(kinds, st.binary(max_size=200) | nearly_netstrings | nearly_prefixed, sizes)
def test_the_same_bytes_mean_the_same_wherever_they_are_cut(kind, data, sizes):
    whole, cut = receiver_of(kind), receiver_of(kind)
    whole.dataReceived(data)
    for piece in pieces(data, sizes):
        cut.dataReceived(piece)
        assert held(cut) <= LIMIT + 4
    assert cut.events == whole.events
    assert cut.transport.disconnecting == whole.transport.disconnecting


class Records(StatefulProtocol):
    """Records of a byte, which is the size, and a body."""

    def getInitialState(self):
        self.events = []
        return self.size, 1

    def size(self, data):
        return self.body, data[0]

    def body(self, data):
        self.events.append(data)
        return self.size, 1


@moderately
@given(st.binary(max_size=500) | nearly_prefixed, sizes)
def test_a_stateful_protocol_gets_what_it_wants_wherever_the_stream_is_cut(data, sizes):
    whole, cut = Records(), Records()
    for records in (whole, cut):
        records.makeConnection(StringTransport())
    whole.dataReceived(data)
    for piece in pieces(data, sizes):
        cut.dataReceived(piece)
        assert held(cut) <= 256
    assert cut.events == whole.events
    assert data.startswith(b"".join(bytes([len(body)]) + body for body in cut.events))
