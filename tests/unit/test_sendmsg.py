"""Messages with descriptors, over real sockets."""

from __future__ import annotations

import array
import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from ropewalk.internet.sendmsg import SCM_RIGHTS, ReceivedMessage, getSocketFamily, recvmsg, sendmsg

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two datagram sockets that are connected."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        yield here, there


def test_data_travel_without_ancillary_data(pair: Pair) -> None:
    assert sendmsg(pair[0], b"hello") == 5
    assert recvmsg(pair[1]) == ReceivedMessage(data=b"hello", ancillary=[], flags=0)


def test_a_descriptor_travels_and_leads_to_the_same_file(pair: Pair) -> None:
    reader, writer = os.pipe()
    assert sendmsg(pair[0], b"x", [(socket.SOL_SOCKET, SCM_RIGHTS, array.array("i", [writer]))]) == 1
    os.close(writer)
    message = recvmsg(socket=pair[1])
    [(level, kind, content)] = message.ancillary
    assert (message.data, level, kind) == (b"x", socket.SOL_SOCKET, socket.SCM_RIGHTS)
    [received] = array.array("i", content)
    os.write(received, b"through the duplicate")
    os.close(received)
    assert os.read(reader, 100) == b"through the duplicate"
    os.close(reader)


def test_data_that_are_too_long_are_cut_and_the_flags_say_so(pair: Pair) -> None:
    sendmsg(pair[0], b"x" * 9000)
    message = recvmsg(pair[1])
    assert len(message.data) == 8192
    assert message.flags & socket.MSG_TRUNC
    sendmsg(pair[0], b"hello")
    assert recvmsg(pair[1], 2).data == b"he"


def test_descriptors_without_room_are_dropped_and_the_flags_say_so(pair: Pair) -> None:
    several = array.array("i", [0] * 100)
    sendmsg(pair[0], b"x", [(socket.SOL_SOCKET, SCM_RIGHTS, several)])
    message = recvmsg(pair[1], cmsgSize=several.itemsize)
    assert message.flags & socket.MSG_CTRUNC
    [(_, _, content)] = message.ancillary
    received = array.array("i", content)
    assert len(received) < 100
    for descriptor in received:
        os.close(descriptor)


def test_flags_reach_the_system_both_ways(pair: Pair) -> None:
    with pytest.raises(BlockingIOError):
        recvmsg(pair[1], flags=socket.MSG_DONTWAIT)
    pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with contextlib.suppress(BlockingIOError):   # without the flag it would wait for ever
        while sendmsg(pair[0], b"x" * 1000, flags=socket.MSG_DONTWAIT):
            pass
    assert recvmsg(pair[1], flags=socket.MSG_PEEK) == recvmsg(pair[1])


def test_the_family_of_a_socket_is_told(pair: Pair) -> None:
    assert getSocketFamily(pair[0]) == socket.AF_UNIX
    with socket.socket(socket.AF_INET) as sock:
        assert getSocketFamily(sock) == socket.AF_INET
