"""The table of descriptors, through the pollers of this system."""

from __future__ import annotations

import os
import select
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ropewalk.interfaces import INVALID, READ, WRITE
from ropewalk.pollers.epoll import EPoll
from ropewalk.pollers.kqueue import KQueue
from ropewalk.pollers.poll import Poll
from ropewalk.pollers.select import Select

POLLERS = [EPoll, KQueue, Poll, Select]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it places descriptors by number")


class Handler:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.masks: list[int] = []

    def ready(self, mask: int) -> None:
        self.masks.append(mask)


@pytest.fixture(params=POLLERS, ids=lambda kind: kind.__name__)
def poller(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param is KQueue:
        request.getfixturevalue("kqueue")
    reason = request.param.missing()
    if reason is not None:
        pytest.skip(reason)
    made = request.param()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        yield here, there


def deliver(poller: Any, timeout: float | None = 0) -> list[tuple[int, int]]:
    """Wait and tell the handlers, as the reactor does; what was told, the waker aside."""
    told = []
    for fd, mask in poller.wait(timeout):
        if fd in poller.stale:
            continue
        poller.handlers[fd].ready(mask)
        if fd in poller.masks:
            told.append((fd, mask))
    return told


def at_number(number: int) -> tuple[socket.socket, socket.socket]:
    """A pair of sockets, the first with the descriptor `number`, whatever that was."""
    here, there = socket.socketpair()
    if there.fileno() == number:
        here, there = there, here
    if here.fileno() != number:
        os.dup2(here.fileno(), number)
        here.close()
        here = socket.socket(fileno=number)
    return here, there


def test_a_descriptor_is_reported_as_long_as_it_is_ready(poller: Any, pair: Any) -> None:
    here, there = pair
    handler = Handler()
    poller.set(here.fileno(), READ, handler)
    assert deliver(poller) == []
    there.send(b"x")
    assert deliver(poller) == deliver(poller) == [(here.fileno(), READ)]
    here.recv(1)
    assert deliver(poller) == []
    assert handler.masks == [READ, READ]


def test_only_what_was_asked_for_is_reported(poller: Any, pair: Any) -> None:
    here, there = pair
    handler = Handler()
    there.send(b"x")
    for mask in (READ, WRITE, READ | WRITE, READ):
        poller.set(here.fileno(), mask, handler)
        assert deliver(poller) == [(here.fileno(), mask)]
        assert poller.masks == {here.fileno(): mask}


def test_mask_zero_forgets_the_descriptor(poller: Any, pair: Any) -> None:
    here, there = pair
    handler = Handler()
    poller.set(here.fileno(), READ, handler)
    there.send(b"x")
    poller.set(here.fileno(), 0, handler)
    poller.set(here.fileno(), 0, handler)
    assert deliver(poller) == []
    assert here.fileno() not in poller.masks
    assert here.fileno() not in poller.handlers


def test_forgetting_what_another_handler_watches_does_nothing(poller: Any, pair: Any) -> None:
    here, there = pair
    handler = Handler()
    poller.set(here.fileno(), READ, handler)
    poller.set(here.fileno(), 0, Handler())
    there.send(b"x")
    assert deliver(poller) == [(here.fileno(), READ)]


def test_a_handler_that_takes_a_number_over_ends_the_one_before(poller: Any, pair: Any) -> None:
    here, there = pair
    old, new = Handler(), Handler()
    poller.set(here.fileno(), READ | WRITE, old)
    poller.set(here.fileno(), READ, new)
    assert old.masks == [INVALID]
    poller.set(here.fileno(), 0, old)
    there.send(b"x")
    assert deliver(poller) == [(here.fileno(), READ)]
    assert new.masks == [READ]


def test_less_interest_makes_the_entries_in_hand_stale_until_the_next_wait(poller: Any, pair: Any) -> None:
    here, there = pair
    handler = Handler()
    poller.set(here.fileno(), READ, handler)
    there.send(b"x")
    assert poller.wait(0) == [(here.fileno(), READ)]
    poller.set(here.fileno(), READ | WRITE, handler)
    assert here.fileno() not in poller.stale
    poller.set(here.fileno(), READ, handler)
    assert here.fileno() in poller.stale
    assert deliver(poller) == [(here.fileno(), READ)]


def test_an_entry_in_hand_does_not_reach_the_next_owner_of_its_number(poller: Any, pair: Any) -> None:
    here, there = pair
    old, new = Handler(), Handler()
    poller.set(here.fileno(), READ, old)
    there.send(b"x")
    batch = poller.wait(0)
    number = here.fileno()
    poller.set(number, 0, old)
    here.close()
    fresh, peer = at_number(number)
    with fresh, peer:
        poller.set(number, READ, new)
        assert [fd for fd, _ in batch] == [number]
        assert number in poller.stale
        assert deliver(poller) == []
        poller.set(number, 0, new)


def test_a_number_closed_and_opened_again_behind_its_back_can_be_set(poller: Any, pair: Any) -> None:
    here, _ = pair
    handler = Handler()
    number = here.fileno()
    poller.set(number, READ, handler)
    here.close()
    fresh, peer = at_number(number)
    with fresh, peer:
        poller.set(number, READ | WRITE, handler)
        peer.send(b"x")
        assert deliver(poller) == [(number, READ | WRITE)]
        poller.set(number, 0, handler)


def test_a_closed_descriptor_can_be_forgotten(poller: Any, pair: Any) -> None:
    here, _ = pair
    handler = Handler()
    number = here.fileno()
    poller.set(number, READ, handler)
    here.close()
    poller.set(number, 0, handler)
    assert poller.masks == {}
    assert deliver(poller) == []


def test_select_and_poll_report_a_closed_descriptor_and_serve_the_others(poller: Any, pair: Any) -> None:
    if isinstance(poller, EPoll | KQueue):
        pytest.skip("epoll and kqueue forget a closed descriptor without a word")
    here, there = pair
    other, peer = socket.socketpair()
    dead, alive = Handler(), Handler()
    with other, peer:
        number = here.fileno()
        poller.set(number, READ, dead)
        poller.set(other.fileno(), READ, alive)
        peer.send(b"x")
        here.close()
        deliver(poller)
        assert dead.masks[0] & INVALID
        poller.set(number, 0, dead)
        assert deliver(poller) == [(other.fileno(), READ)]
    assert there.fileno() >= 0


def test_a_refused_descriptor_leaves_nothing_behind(poller: Any) -> None:
    if isinstance(poller, Poll):
        pytest.skip("poll(2) takes any number")
    with socket.socket() as closed:
        number = closed.fileno()
    number = 1024 if isinstance(poller, Select) else number
    with pytest.raises(OSError, match=str(number) if isinstance(poller, Select) else "Bad file descriptor"):
        poller.set(number, READ, Handler())
    assert number not in poller.masks
    assert number not in poller.handlers
    assert deliver(poller) == []


def test_a_muted_descriptor_is_silent_until_it_is_unmuted(poller: Any, pair: Any) -> None:
    here, there = pair
    handler = Handler()
    poller.set(here.fileno(), READ, handler)
    there.send(b"x")
    poller.mute(here.fileno(), handler)
    assert deliver(poller) == []
    poller.unmute(here.fileno(), handler)
    assert deliver(poller) == [(here.fileno(), READ)]


def test_interest_that_changes_while_muted_holds_afterwards(poller: Any, pair: Any) -> None:
    here, there = pair
    handler = Handler()
    there.send(b"x")
    poller.set(here.fileno(), READ, handler)
    poller.mute(here.fileno(), handler)
    poller.set(here.fileno(), READ | WRITE, handler)
    assert deliver(poller) == []
    poller.unmute(here.fileno(), handler)
    assert deliver(poller) == [(here.fileno(), READ | WRITE)]


def test_a_descriptor_forgotten_while_muted_stays_forgotten(poller: Any, pair: Any) -> None:
    here, there = pair
    handler = Handler()
    there.send(b"x")
    poller.set(here.fileno(), READ, handler)
    poller.mute(here.fileno(), handler)
    poller.set(here.fileno(), 0, handler)
    poller.unmute(here.fileno(), handler)
    assert deliver(poller) == []
    assert poller.masks == {}


def test_a_descriptor_forgotten_and_watched_again_while_muted_is_reported_afterwards(poller: Any, pair: Any) -> None:
    here, there = pair
    handler = Handler()
    there.send(b"x")
    poller.set(here.fileno(), READ, handler)
    poller.mute(here.fileno(), handler)
    poller.set(here.fileno(), 0, handler)
    poller.set(here.fileno(), READ, handler)
    assert deliver(poller) == []
    poller.unmute(here.fileno(), handler)
    assert deliver(poller) == [(here.fileno(), READ)]


def test_a_muted_number_that_another_handler_takes_is_heard(poller: Any, pair: Any) -> None:
    here, there = pair
    old, new = Handler(), Handler()
    poller.set(here.fileno(), READ, old)
    poller.mute(here.fileno(), old)
    poller.set(here.fileno(), 0, old)
    poller.set(here.fileno(), READ, new)
    there.send(b"x")
    assert deliver(poller) == [(here.fileno(), READ)]
    poller.unmute(here.fileno(), old)
    assert deliver(poller) == [(here.fileno(), READ)]
    assert new.masks == [READ, READ]
    assert old.masks == []


def test_a_closed_descriptor_can_be_muted_forgotten_and_unmuted(poller: Any, pair: Any) -> None:
    here, _ = pair
    handler = Handler()
    number = here.fileno()
    poller.set(number, READ, handler)
    here.close()
    poller.mute(number, handler)
    poller.set(number, 0, handler)
    poller.unmute(number, handler)
    assert deliver(poller) == []


def test_a_wake_before_the_wait_ends_it_and_only_that_one(poller: Any) -> None:
    for _ in range(3):
        poller.wake()
        poller.wake()
        assert deliver(poller, None) == []
        assert poller.wait(0) == []


def test_a_wake_from_another_thread_ends_the_wait(poller: Any) -> None:
    thread = threading.Timer(0.02, poller.wake)
    thread.start()
    assert deliver(poller, None) == []
    thread.join()


def test_a_wait_without_news_ends_at_its_time(poller: Any) -> None:
    assert poller.wait(0) == []
    assert poller.wait(0.01) == []


def test_the_poller_is_readable_itself_when_there_is_news(poller: Any, pair: Any) -> None:
    number = poller.fileno()
    if number is None:
        pytest.skip("it has no descriptor of its own")
    here, there = pair
    poller.set(here.fileno(), READ, Handler())
    assert select.select([number], [], [], 0)[0] == []
    there.send(b"x")
    assert select.select([number], [], [], 0)[0] == [number]


def test_parking_ends_with_news_and_with_a_wake(poller: Any, pair: Any) -> None:
    here, there = pair
    poller.set(here.fileno(), READ, Handler())
    poller.park(0.01)
    poller.wake()
    poller.park(None)
    deliver(poller)
    there.send(b"x")
    poller.park(None)
    assert deliver(poller) == [(here.fileno(), READ)]


def test_regular_files_are_always_ready_until_they_are_forgotten(poller: Any) -> None:
    handler = Handler()
    with tempfile.TemporaryFile() as file:
        number = file.fileno()
        poller.set(number, READ, handler)
        assert deliver(poller, None) == deliver(poller, None) == [(number, READ)]
        poller.mute(number, handler)
        assert deliver(poller) == []
        poller.unmute(number, handler)
        poller.set(number, READ | WRITE, handler)
        assert deliver(poller, None) == [(number, READ | WRITE)]
        poller.set(number, 0, handler)
        assert deliver(poller) == []


def test_closing_the_poller_leaves_the_descriptors_open(pair: Any) -> None:
    here, there = pair
    for kind in POLLERS:
        if kind.missing() is None:
            poller: Any = kind()
            poller.set(here.fileno(), READ, Handler())
            poller.close()
    there.send(b"x")
    assert here.recv(1) == b"x"


def test_an_abandoned_poller_says_that_the_process_forked(pair: Any) -> None:
    here, _ = pair
    for kind in POLLERS:
        if kind.missing() is not None:
            continue
        poller: Any = kind()
        poller.set(here.fileno(), READ, Handler())
        poller.abandon()
        for use in (lambda: poller.wait(0), lambda: poller.set(here.fileno(), WRITE, Handler())):   # noqa: B023
            with pytest.raises(RuntimeError, match=rf"{os.getpid()} forked.*new reactor"):
                use()
