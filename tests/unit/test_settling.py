"""What callbacks write in several pieces goes out when a few of them have returned, at the latest with the batch."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from ropewalk.internet.protocol import Factory, Protocol
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.testing.rig import Rig

MANY = 30   # connections; more than are settled together


class Answers(Protocol):
    """Answers in two pieces, and calls `then`."""

    def __init__(self, then: Callable[[], object]) -> None:
        self._then = then

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"head ")
        self.transport.write(b"body")
        self._then()


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(SelectReactor) as made:
        yield made


@contextlib.contextmanager
def asked(rig: Rig, then: Callable[[], object] = lambda: None) -> Iterator[list[socket.socket]]:
    """The peers of MANY connections, of which each has asked; the next turn answers them all."""
    peers = []
    for _ in range(MANY):
        ours, peer = rig.socket_pair()
        rig.reactor.adoptStreamConnection(ours.fileno(), ours.family, Factory.forProtocol(lambda: Answers(then)))
        ours.close()
        peer.send(b"?")
        peers.append(peer)
    yield peers
    for peer in peers:
        peer.close()
    rig.reactor.iterate(0)


def there(peer: socket.socket) -> bytes:
    """What has come to `peer` by now."""
    try:
        return peer.recv(1000, socket.MSG_PEEK)
    except BlockingIOError:
        return b""


def test_all_of_it_is_sent_when_the_turn_is_over(rig: Rig) -> None:
    with asked(rig) as peers:
        rig.reactor.iterate(0)
        assert [there(peer) for peer in peers] == [b"head body"] * MANY


def test_some_are_sent_together_and_none_waits_for_the_whole_batch(rig: Rig) -> None:
    begun: list[int] = []
    with asked(rig, lambda: begun.append(sum(there(peer) == b"head " for peer in peers))) as peers:
        rig.reactor.iterate(0)
    assert 1 < max(begun) < MANY / 2


def test_a_nested_loop_does_not_wait_while_something_is_unsent(rig: Rig) -> None:
    unsent: list[int] = []
    calls: list[int] = []

    def nest() -> None:
        calls.append(1)
        if len(calls) == MANY:
            rig.reactor.callLater(0.01, lambda: unsent.append(sum(there(peer) != b"head body" for peer in peers)))
            rig.reactor.iterate(1)

    with asked(rig, nest) as peers:
        rig.reactor.iterate(0)
        assert unsent == [0]
        assert [there(peer) for peer in peers] == [b"head body"] * MANY


def test_when_the_program_leaves_the_loop_nothing_is_lost(rig: Rig) -> None:
    calls: list[int] = []

    def leave() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise SystemExit

    with asked(rig, leave) as peers:
        with pytest.raises(SystemExit):
            rig.reactor.iterate(0)
        rig.reactor.iterate(0)
        assert [there(peer) for peer in peers] == [b"head body"] * MANY
