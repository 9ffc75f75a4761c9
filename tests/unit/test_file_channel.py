"""The channel of a file: ready once a turn while something is wanted, and silent otherwise."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator

import pytest

from ropewalk.interfaces import READ, WRITE
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.transports.file_channel import FileChannel


class Handler:
    """Counts what it is told; then does `then`."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.then: Callable[[], object] = int

    def ready(self, mask: int) -> None:
        self.told.append(mask)
        self.then()


@pytest.fixture
def reactor() -> SelectReactor:
    return SelectReactor()


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def channel(reactor: SelectReactor, handler: Handler) -> Iterator[FileChannel]:
    with tempfile.TemporaryFile() as file:
        made = FileChannel(os.dup(file.fileno()))
        made.attach(reactor, handler)
        yield made
        made.close()


def test_what_is_wanted_is_there_once_a_turn(reactor: SelectReactor, handler: Handler, channel: FileChannel) -> None:
    channel.want(READ)
    assert handler.told == []
    reactor.iterate()
    assert handler.told == [READ]
    channel.want(READ | WRITE)
    reactor.iterate()
    assert handler.told == [READ, READ | WRITE]
    assert len(reactor.getDelayedCalls()) == 1


def test_nothing_is_pending_when_nothing_is_wanted(
    reactor: SelectReactor, handler: Handler, channel: FileChannel
) -> None:
    channel.want(READ)
    channel.want(0)
    assert not reactor.getDelayedCalls()
    handler.then = lambda: channel.want(0)
    channel.want(READ)
    reactor.iterate()
    assert handler.told == [READ]
    assert not reactor.getDelayedCalls()


def test_a_loop_that_the_handler_opens_does_not_enter_it_again(
    reactor: SelectReactor, handler: Handler, channel: FileChannel
) -> None:
    def nested() -> None:
        channel.want(0)
        channel.want(READ)
        reactor.iterate()

    handler.then = nested
    channel.want(READ)
    reactor.iterate()
    assert handler.told == [READ]
    assert len(reactor.getDelayedCalls()) == 1


def test_a_handler_that_fails_is_told_again(reactor: SelectReactor, handler: Handler, channel: FileChannel) -> None:
    def fail() -> None:
        raise KeyboardInterrupt

    handler.then = fail
    channel.want(READ)
    with pytest.raises(KeyboardInterrupt):
        reactor.iterate()
    assert len(reactor.getDelayedCalls()) == 1


def test_a_closed_one_is_silent_and_refuses_to_be_asked(
    reactor: SelectReactor, handler: Handler, channel: FileChannel
) -> None:
    channel.want(READ)
    channel.close()
    channel.close()
    assert not reactor.getDelayedCalls()
    with pytest.raises(OSError, match="Bad file descriptor"):
        channel.want(READ)


def test_one_that_is_closed_by_its_handler_stays_silent(
    reactor: SelectReactor, handler: Handler, channel: FileChannel
) -> None:
    handler.then = channel.close
    channel.want(READ)
    reactor.iterate()
    assert handler.told == [READ]
    assert not reactor.getDelayedCalls()
