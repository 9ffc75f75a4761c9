"""Descriptors that others share: read and written without waiting, though their open files block."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import tempfile
import tty
from collections.abc import Iterator
from typing import Any

import pytest

from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.transports.file_channel import FileChannel
from ropewalk.transports.pipe import PipeChannel
from ropewalk.transports.shared import PatientChannel, SharedSocket, reading_end, writing_end

pytestmark = pytest.mark.skipif(not hasattr(select, "poll"), reason="select.poll is not there")
on_linux = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="nothing is opened anew without /proc")


class Silent:
    """A handler that nothing is reported to."""

    def ready(self, mask: int) -> None:
        raise AssertionError(f"ready for {mask}")


@contextlib.contextmanager
def open_end(end: Any) -> Iterator[Any]:
    """`end`, attached to a reactor that does not run, and closed."""
    end.attach(SelectReactor(), Silent())
    try:
        yield end
    finally:
        end.close()


@pytest.fixture
def pipe() -> Iterator[list[int]]:
    """A reading and a writing end; one that is closed meanwhile is to be replaced by -1."""
    ends = list(os.pipe())
    yield ends
    for end in ends:
        if end >= 0:
            os.close(end)


def filled(writing: Any, most: int) -> int:
    """How much it took, `most` at a time, before it would have to wait."""
    written = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent = writing.send(b"x" * 100_000)
            assert 0 < sent <= most
            written += sent
    return written


@on_linux
def test_a_pipe_is_opened_anew(pipe: list[int]) -> None:
    with open_end(reading_end(pipe[0])) as reading, open_end(writing_end(pipe[1])) as writing:
        assert type(reading) is type(writing) is PipeChannel
        assert not os.get_blocking(reading.reader)
        assert os.get_blocking(pipe[0])
        assert os.get_blocking(pipe[1])
        with pytest.raises(BlockingIOError):
            reading.recv(100)
        assert writing.send(b"x" * 10_000) == 10_000
        assert reading.recv(100_000) == b"x" * 10_000


def test_an_end_of_a_pipe_is_not_opened_for_the_other_direction(pipe: list[int]) -> None:
    with open_end(reading_end(pipe[1])) as reading, open_end(writing_end(pipe[0])) as writing:
        assert type(reading) is type(writing) is PatientChannel


def test_a_pipe_that_nobody_reads_any_more_is_broken(pipe: list[int]) -> None:
    os.close(pipe[0])
    pipe[0] = -1
    with open_end(writing_end(pipe[1])) as writing, pytest.raises(BrokenPipeError):
        writing.send(b"x")


def test_a_pipe_that_blocks_is_written_only_as_far_as_it_has_room(pipe: list[int]) -> None:
    with open_end(PatientChannel(-1, os.dup(pipe[1]))) as writing:
        written = filled(writing, select.PIPE_BUF)
        assert os.read(pipe[0], 1_000_000) == b"x" * written
        assert writing.send(memoryview(b"yz")) == 2


def test_a_pipe_that_blocks_is_read_only_when_there_is_something(pipe: list[int]) -> None:
    with open_end(PatientChannel(os.dup(pipe[0]), -1)) as reading:
        with pytest.raises(BlockingIOError):
            reading.recv(100)
        os.write(pipe[1], b"something")
        assert reading.recv(4) == b"some"
        assert reading.recv(100) == b"thing"
        with pytest.raises(BlockingIOError):
            reading.recv(100)
        os.close(pipe[1])
        pipe[1] = -1
        assert reading.recv(100) == b""


def test_the_master_of_a_terminal_is_not_exchanged_for_another_terminal() -> None:
    master, slave = os.openpty()
    try:
        with open_end(reading_end(master)) as reading, open_end(writing_end(master)) as writing:
            with pytest.raises(BlockingIOError):
                reading.recv(100)
            os.write(slave, b"to the master")
            assert reading.recv(100) == b"to the master"
            assert writing.send(b"to the slave\n" * 100) == 256
            assert os.read(slave, 100) == b"to the slave\n"
    finally:
        os.close(master)
        os.close(slave)


def test_a_full_terminal_that_nobody_has_open_does_not_block_us() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        with open_end(writing_end(master)) as writing:
            filled(writing, 256)
            os.close(slave)
            assert writing.send(b"to nobody") == 9
    finally:
        os.close(master)


def test_a_socket_that_blocks_does_not_block_us() -> None:
    ours, other = socket.socketpair()
    with ours, other, open_end(reading_end(ours.fileno())) as reading, open_end(writing_end(ours.fileno())) as writing:
        assert type(reading) is type(writing) is SharedSocket
        with pytest.raises(BlockingIOError):
            reading.recv(100)
        filled(writing, 100_000)
        other.sendall(b"hello")
        assert reading.recv(100) == b"hello"
        assert os.get_blocking(ours.fileno())


def test_files_and_dev_null_need_no_poller() -> None:
    with tempfile.TemporaryFile() as file, open(os.devnull, "r+b", buffering=0) as nothing:
        for number in (file.fileno(), nothing.fileno()):
            with open_end(reading_end(number)) as reading, open_end(writing_end(number)) as writing:
                assert type(reading) is type(writing) is FileChannel
                assert reading.recv(100) == b""
                assert writing.send(b"x" * 100_000) == 100_000


@pytest.mark.parametrize("end", [reading_end, writing_end])
def test_what_is_not_open_is_an_error(end: Any) -> None:
    number = os.dup(1)
    os.close(number)
    with pytest.raises(OSError, match="Bad file descriptor"):
        end(number)
