"""Reads and writes of descriptors, and their flags, on real pipes."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from ropewalk.internet import fdesc
from ropewalk.internet.main import CONNECTION_DONE, CONNECTION_LOST

pytestmark = pytest.mark.skipif(not hasattr(os, "set_blocking"), reason="this Python has descriptors that block alone")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A reader and a writer, both non-blocking."""
    ends = os.pipe()
    for end in ends:
        fdesc.setNonBlocking(end)
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):   # the test closed it
            os.close(end)


def closed() -> int:
    """A number that is no open descriptor."""
    gone = os.dup(0)
    os.close(gone)
    return gone


def test_a_descriptor_is_made_non_blocking_and_blocking_again(pipe: tuple[int, int]) -> None:
    reader, _ = pipe
    assert not os.get_blocking(reader)
    fdesc.setBlocking(reader)
    assert os.get_blocking(reader)


def test_an_object_with_fileno_is_taken_for_its_descriptor() -> None:
    with socket.socket() as sock:
        fdesc.setNonBlocking(sock)
        assert not os.get_blocking(sock.fileno())
        fdesc._unsetCloseOnExec(sock)
        assert os.get_inheritable(sock.fileno())


def test_child_processes_inherit_a_descriptor_or_not(pipe: tuple[int, int]) -> None:
    reader, _ = pipe
    fdesc._unsetCloseOnExec(reader)
    assert os.get_inheritable(reader)
    fdesc._setCloseOnExec(reader)
    assert not os.get_inheritable(reader)


@pytest.mark.parametrize("change", [fdesc.setNonBlocking, fdesc.setBlocking])
def test_a_descriptor_that_is_not_open_cannot_be_changed(change) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        change(closed())


def test_what_is_there_is_read_at_most_8192_bytes_at_a_time(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.write(writer, b"x" * 10000)
    heard: list[bytes] = []
    assert fdesc.readFromFD(reader, heard.append) is None
    assert fdesc.readFromFD(reader, heard.append) is None
    assert [len(data) for data in heard] == [8192, 1808]


def test_nothing_to_read_yet_is_no_news(pipe: tuple[int, int]) -> None:
    heard: list[bytes] = []
    assert fdesc.readFromFD(pipe[0], heard.append) is None
    assert heard == []


def test_the_end_of_what_is_read_is_the_connections_orderly_end(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(writer)
    heard: list[bytes] = []
    assert fdesc.readFromFD(reader, heard.append) is CONNECTION_DONE
    assert heard == []


def test_a_read_that_fails_is_the_connections_loss() -> None:
    assert fdesc.readFromFD(closed(), print) is CONNECTION_LOST


def test_what_the_callback_raises_is_the_callers(pipe: tuple[int, int]) -> None:
    def callback(data: bytes) -> None:
        raise BrokenPipeError("of the callback")

    os.write(pipe[1], b"x")
    with pytest.raises(BrokenPipeError, match="of the callback"):
        fdesc.readFromFD(pipe[0], callback)


def test_a_write_says_how_many_bytes_were_taken_and_0_when_full(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    assert fdesc.writeToFD(writer, b"hello") == 5
    assert os.read(reader, 100) == b"hello"
    while fdesc.writeToFD(writer, b"x" * 65536):
        pass
    assert fdesc.writeToFD(writer, b"x" * 65536) == 0


def test_a_write_that_fails_is_the_connections_loss(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    assert fdesc.writeToFD(writer, b"hello") is CONNECTION_LOST
