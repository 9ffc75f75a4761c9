"""The protocol that says how many bytes it wants next."""

from __future__ import annotations

import pytest

from ropewalk.protocols.stateful import StatefulProtocol
from ropewalk.testing import StringTransport


class Records(StatefulProtocol):
    """Records of a digit, which is their size, and a body; "9" ends it."""

    def __init__(self):
        self.events = []

    def getInitialState(self):
        self.events.append("initial")
        return self.size, 1

    def size(self, digit):
        if digit == b"9":
            self.transport.loseConnection()
            return None
        if digit == b"*":   # the present state goes on
            return None
        return self.body, int(digit)

    def body(self, body):
        self.events.append(body)
        if body == b"feed":
            self.dataReceived(b"1z")
        return self.size, 1


def connected():
    records = Records()
    records.makeConnection(StringTransport())
    return records


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_each_function_gets_as_many_bytes_as_it_was_to_get(size):
    records = connected()
    data = b"3abc0*1d2efu"[:-1] + b"5unfi"
    for start in range(0, len(data), size):
        records.dataReceived(data[start : start + size])
    assert records.events == ["initial", b"abc", b"", b"d", b"ef"]


def test_no_bytes_at_all_may_be_wanted():
    records = connected()
    records.dataReceived(b"0")
    assert records.events == ["initial", b""]


def test_what_a_function_feeds_comes_after_what_was_there():
    records = connected()
    records.dataReceived(b"4feed1a")
    assert records.events == ["initial", b"feed", b"a", b"z"]


def test_nothing_is_delivered_after_the_end():
    records = connected()
    records.dataReceived(b"1a91b")
    records.dataReceived(b"1c")
    assert records.events == ["initial", b"a"]


def test_every_connection_begins_with_the_initial_state():
    records = connected()
    records.dataReceived(b"3ab")
    records.makeConnection(StringTransport())
    records.dataReceived(b"1c")
    assert records.events == ["initial", "initial", b"c"]


def test_the_initial_state_has_to_be_given():
    with pytest.raises(NotImplementedError):
        StatefulProtocol().makeConnection(StringTransport())
