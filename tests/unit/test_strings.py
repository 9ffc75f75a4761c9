"""Receivers of strings with their length in front: netstrings, and 8, 16 or 32 bits."""

from __future__ import annotations

import logging
import struct
import time
import tracemalloc

import pytest

from ropewalk.protocols.basic import (
    Int8StringReceiver,
    Int16StringReceiver,
    Int32StringReceiver,
    IntNStringReceiver,
    NetstringParseError,
    NetstringReceiver,
    StatefulStringProtocol,
    StringTooLongError,
)
from ropewalk.testing import StringTransport

INTS = [Int8StringReceiver, Int16StringReceiver, Int32StringReceiver]
all_kinds = pytest.mark.parametrize("kind", [NetstringReceiver, *INTS])
int_kinds = pytest.mark.parametrize("kind", INTS)


def recording(kind, react=None, **attributes):
    """A connected receiver that keeps what it is told in `events`; react(receiver, string) for each string."""

    class Recording(kind):
        def stringReceived(self, string):
            self.events.append(string)
            if react is not None:
                react(self, string)

        def lengthLimitExceeded(self, length):
            self.events.append(("long", length, self.recvd))
            super().lengthLimitExceeded(length)

    for name, value in attributes.items():
        setattr(Recording, name, value)
    receiver = Recording()
    receiver.events = []
    receiver.makeConnection(StringTransport())
    return receiver


def framed(kind, *strings):
    """`strings` as they are sent."""
    sender = recording(kind)
    for string in strings:
        sender.sendString(string)
    return sender.transport.value()


def feed(receiver, data, size=None):
    """Feed `data` in pieces of `size` bytes (None: whole)."""
    size = size or len(data)
    for start in range(0, len(data), size):
        receiver.dataReceived(data[start : start + size])


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (NetstringReceiver, b"5:hello,0:,"),
        (Int8StringReceiver, b"\x05hello\x00"),
        (Int16StringReceiver, b"\x00\x05hello\x00\x00"),
        (Int32StringReceiver, b"\x00\x00\x00\x05hello\x00\x00\x00\x00"),
    ],
)
def test_a_string_is_sent_after_its_length(kind, sent):
    assert framed(kind, b"hello", b"") == sent


@all_kinds
@pytest.mark.parametrize("size", [None, 1, 2, 3, 5])
def test_each_string_is_delivered_without_its_framing(kind, size):
    strings = [b"one", b"", b"4:two,", b"\x00\x00\x00\x02", b"x" * 200, b""]
    receiver = recording(kind)
    feed(receiver, framed(kind, *strings, b"unfinished")[:-1], size)
    assert receiver.events[: len(strings)] == strings
    assert receiver.events[len(strings) :] in ([], [b"unfinished"])


@all_kinds
def test_a_string_that_is_not_complete_is_not_delivered(kind):
    receiver = recording(kind)
    data = framed(kind, b"string")
    for size in range(len(data)):
        receiver = recording(kind)
        receiver.dataReceived(data[:size])
        assert receiver.events == []
        receiver.dataReceived(data[size:])
        assert receiver.events == [b"string"]


@pytest.mark.parametrize("kind", [NetstringReceiver, IntNStringReceiver])
def test_what_a_program_has_to_override_says_so(kind):
    with pytest.raises(NotImplementedError):
        kind().stringReceived(b"")


# -- what is not valid, or too long


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b":hello,",
        b",",
        b"-1:,",
        b"+1:a,",
        b" 1:a,",
        b"1 :a,",
        b"1\n:a,",
        b"1_0:aaaaaaaaaa,",
        b"01:a,",
        b"00:,",
        b"2:abc,",
        b"0:a,",
        b"3:ab,c",
        b"\xd9\xa1:a,",
        b"51:",
        b"99999999999999",
        b"99999999999999:",
        b"9" * 5000,
    ],
)
def test_what_is_no_netstring_closes_the_connection(data, size, caplog):
    caplog.set_level(logging.INFO, "ropewalk.protocols")
    receiver = recording(NetstringReceiver, MAX_LENGTH=50)
    feed(receiver, b"2:ok," + data + b"2:no,", size)
    assert receiver.events == [b"ok"]
    assert receiver.brokenPeer
    assert receiver.transport.disconnecting
    assert len(caplog.records) == 1


@pytest.mark.parametrize("data", [b"51", b"9" * 19, b"x", b"01"])
def test_a_length_that_cannot_become_valid_is_not_waited_for(data):
    receiver = recording(NetstringReceiver, MAX_LENGTH=50)
    receiver.dataReceived(data)
    assert receiver.transport.disconnecting


def test_a_netstring_as_long_as_the_limit_is_delivered():
    receiver = recording(NetstringReceiver, MAX_LENGTH=5)
    receiver.dataReceived(b"5:hello,")
    assert receiver.events == [b"hello"]
    assert not receiver.brokenPeer


def test_the_error_of_a_netstring_is_a_value_error():
    assert issubclass(NetstringParseError, ValueError)


def test_an_error_of_that_kind_which_the_program_raises_is_its_own():
    def react(receiver, string):
        raise NetstringParseError("of the program")

    receiver = recording(NetstringReceiver, react)
    with pytest.raises(NetstringParseError, match="of the program"):
        receiver.dataReceived(b"1:a,")
    assert not receiver.brokenPeer


@int_kinds
@pytest.mark.parametrize("size", [None, 1])
def test_a_length_beyond_the_limit_is_told_at_once_and_closes_the_connection(kind, size):
    receiver = recording(kind, MAX_LENGTH=6)
    prefix = struct.pack(kind.structFormat, 7)
    feed(receiver, framed(kind, b"123456") + prefix, size)
    assert receiver.events == [b"123456", ("long", 7, prefix)]
    assert receiver.transport.disconnecting


@int_kinds
def test_nothing_is_kept_or_delivered_after_a_length_beyond_the_limit(kind):
    receiver = recording(kind, MAX_LENGTH=6)
    receiver.lengthLimitExceeded = receiver.events.append   # and leaves the connection open
    for _ in range(100):
        receiver.dataReceived(struct.pack(kind.structFormat, 7) + b"1234567" + framed(kind, b"ok"))
    assert receiver.events == [7]
    assert receiver.recvd == b""


def test_a_program_may_go_on_after_a_length_beyond_the_limit():
    receiver = recording(Int8StringReceiver, MAX_LENGTH=6)

    def exceeded(length):
        receiver.recvd = receiver.recvd[1 + length :]

    receiver.lengthLimitExceeded = exceeded
    receiver.dataReceived(b"\x02ok\x071234567\x02ok\x02o")
    receiver.dataReceived(b"k")
    assert receiver.events == [b"ok", b"ok", b"ok"]


def test_a_negative_length_is_out_of_the_limit_too():
    receiver = recording(IntNStringReceiver, structFormat="!b", prefixLength=1)
    receiver.dataReceived(b"\x01a\xff")
    assert receiver.events == [b"a", ("long", -1, b"\xff")]


@pytest.mark.parametrize("kind", [Int8StringReceiver, Int16StringReceiver])
def test_a_string_too_long_for_the_prefix_is_not_sent(kind):
    receiver = recording(kind)
    longest = (1 << 8 * kind.prefixLength) - 1
    with pytest.raises(StringTooLongError, match=str(longest)):
        receiver.sendString(b"x" * (longest + 1))
    assert receiver.transport.value() == b""
    receiver.sendString(b"x" * longest)
    assert len(receiver.transport.value()) == kind.prefixLength + longest


def test_strings_may_have_a_prefix_of_the_programs():
    receiver = recording(IntNStringReceiver, structFormat="<Q", prefixLength=8)
    receiver.dataReceived(b"\x03\0\0\0\0\0\0\0abc")
    assert receiver.events == [b"abc"]


# -- recvd


def test_what_is_not_delivered_yet_can_be_read_at_any_time():
    seen = []
    receiver = recording(Int8StringReceiver, lambda receiver, string: seen.append(receiver.recvd))
    receiver.dataReceived(b"\x01a\x01b\x05cc")
    receiver.dataReceived(b"c")
    assert seen == [b"\x01b\x05cc", b"\x05cc"]
    assert receiver.recvd == b"\x05ccc"


def test_what_is_to_be_parsed_can_be_replaced_by_a_string():
    def react(receiver, string):
        if string == b"a":
            receiver.recvd = b"\x01c\x02d"

    receiver = recording(Int8StringReceiver, react)
    receiver.dataReceived(b"\x01a\x01b")
    receiver.dataReceived(b"e")
    assert receiver.events == [b"a", b"c", b"de"]


def test_bytes_between_strings_can_be_cut_out():
    def react(receiver, string):
        receiver.recvd = receiver.recvd[2:]

    receiver = recording(Int8StringReceiver, react)
    receiver.dataReceived(b"\x01a--\x01b--\x01c--")
    assert receiver.events == [b"a", b"b", b"c"]
    assert receiver.recvd == b""


def test_what_is_to_be_parsed_can_be_replaced_from_outside():
    receiver = recording(Int8StringReceiver)
    receiver.dataReceived(b"\x09never complete"[:5])
    receiver.recvd = b"\x01"
    receiver.dataReceived(b"a")
    assert receiver.events == [b"a"]


# -- calls from within a call


@all_kinds
def test_what_a_string_feeds_comes_after_what_was_there(kind):
    def react(receiver, string):
        if string == b"ask":
            feed(receiver, framed(kind, b"answer") + framed(kind, b"begun")[:-1])

    receiver = recording(kind, react)
    feed(receiver, framed(kind, b"ask", b"other"))
    feed(receiver, framed(kind, b"begun")[-1:])
    assert receiver.events == [b"ask", b"other", b"answer", b"begun"]


@all_kinds
def test_strings_that_feed_strings_do_not_nest(kind):
    again = framed(kind, b"again")

    def react(receiver, string):
        if len(receiver.events) < 5000:
            receiver.dataReceived(again)

    receiver = recording(kind, react)
    receiver.dataReceived(again)
    assert len(receiver.events) == 5000


@all_kinds
def test_after_a_string_that_raises_the_receiver_still_works(kind):
    def react(receiver, string):
        if string == b"bad":
            raise ValueError("bad")

    receiver = recording(kind, react)
    with pytest.raises(ValueError, match="bad"):
        receiver.dataReceived(framed(kind, b"bad", b"good")[:-1])
    receiver.dataReceived(framed(kind, b"good")[-1:])
    assert receiver.events == [b"bad", b"good"]


@int_kinds
def test_a_paused_receiver_keeps_what_comes_and_delivers_it_when_it_is_resumed(kind):
    receiver = recording(kind, lambda receiver, string: receiver.pauseProducing())
    data = framed(kind, b"a", b"bb", b"c" * 100, b"d")
    receiver.dataReceived(data[:-1])
    receiver.dataReceived(data[-1:])
    seen = []
    while receiver.paused:
        assert receiver.transport.producerState == "paused"
        seen.append(len(receiver.events))
        receiver.resumeProducing()
    assert seen == [1, 2, 3, 4]
    assert receiver.events == [b"a", b"bb", b"c" * 100, b"d"]


@int_kinds
def test_a_stopped_receiver_delivers_nothing_more(kind):
    receiver = recording(kind, lambda receiver, string: receiver.stopProducing())
    receiver.dataReceived(framed(kind, b"a", b"b"))
    receiver.dataReceived(framed(kind, b"c"))
    assert receiver.events == [b"a"]


# -- the end


@all_kinds
@pytest.mark.parametrize("way", ["loseConnection", "abortConnection"])
def test_nothing_is_delivered_after_the_end(kind, way):
    receiver = recording(kind, lambda receiver, string: getattr(receiver.transport, way)(), MAX_LENGTH=10)
    receiver.dataReceived(framed(kind, b"a", b"b", b"too long" * 10))
    receiver.dataReceived(framed(kind, b"c"))
    assert receiver.events == [b"a"]


@all_kinds
def test_a_receiver_that_is_connected_again_starts_anew(kind):
    receiver = recording(kind, lambda receiver, string: receiver.transport.loseConnection())
    receiver.dataReceived(framed(kind, b"a", b"rest"))
    receiver.makeConnection(StringTransport())
    receiver.dataReceived(framed(kind, b"b"))
    assert receiver.events == [b"a", b"b"]


# -- cost


@pytest.mark.parametrize("kind", [NetstringReceiver, Int32StringReceiver])
def test_the_time_for_a_byte_does_not_grow_with_the_string_it_is_in(kind):
    receiver = recording(kind, MAX_LENGTH=1_000_000)

    def seconds(data):
        start = time.process_time()
        feed(receiver, data, 1)
        return time.process_time() - start

    short = seconds(framed(kind, *[b"x" * 100] * 2000))
    long = seconds(framed(kind, b"x" * 200_000))
    assert long < 5 * short + 0.1
    assert len(receiver.events[-1]) == 200_000


@all_kinds
def test_what_was_delivered_is_let_go_of(kind):
    receiver = recording(kind)
    receiver.stringReceived = lambda string: None
    begun = framed(kind, b"begun")[:-1]
    tracemalloc.start()
    try:
        receiver.dataReceived(framed(kind, *[b"x" * 100] * 10_000) + begun)
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


# -- states


class Talk(StatefulStringProtocol, Int8StringReceiver):
    def __init__(self):
        self.heard = []

    def proto_init(self, string):
        self.heard.append(("init", string))
        return "second"

    def proto_second(self, string):
        self.heard.append(("second", string))
        return "done" if string == b"bye" else "second"


def test_each_string_goes_to_the_method_that_the_one_before_chose():
    talk = Talk()
    talk.makeConnection(StringTransport())
    talk.dataReceived(framed(Int8StringReceiver, b"hello", b"more", b"bye", b"late"))
    assert talk.heard == [("init", b"hello"), ("second", b"more"), ("second", b"bye")]
    assert talk.transport.disconnecting


def test_a_state_without_a_method_is_logged_and_its_strings_dropped(caplog):
    talk = Talk()
    talk.state = "missing"
    talk.makeConnection(StringTransport())
    talk.dataReceived(framed(Int8StringReceiver, b"hello"))
    assert talk.heard == []
    assert "proto_missing" in caplog.text
    assert not talk.transport.disconnecting
