"""Happy Eyeballs: the order of the attempts, and who wins."""

import contextlib
import select
import socket
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import ConnectionRefusedError
from ropewalk.interfaces import INVALID, WRITE
from ropewalk.testing.memory import MemoryLoop
from ropewalk.transports.race import Race, interleave

DELAY = 0.5   # seconds
TARGETS = st.lists(st.tuples(st.sampled_from([2, 10, 1]), st.integers(0, 20)), max_size=30)


# -- the order


@given(TARGETS)
def test_every_target_comes_once(targets):
    ordered = interleave(targets)
    assert len(ordered) == len(set(ordered))
    assert set(ordered) == set(targets)


@given(TARGETS.filter(bool))
def test_the_first_stays_first(targets):
    assert interleave(targets)[0] == targets[0]


@given(TARGETS)
def test_families_alternate_while_there_is_more_than_one(targets):
    ordered = interleave(targets)
    for index, (before, after) in enumerate(pairwise(ordered)):
        others_left = any(family != before[0] for family, _ in ordered[index + 1:])
        assert (before[0] != after[0]) is others_left


@given(TARGETS)
def test_the_order_within_a_family_is_kept(targets):
    ordered = interleave(iter(targets))
    for family in {family for family, _ in targets}:
        given_order = list(dict.fromkeys(target for target in targets if target[0] == family))
        assert [target for target in ordered if target[0] == family] == given_order


def test_two_families_of_a_resolver_that_sorts_by_family():
    assert interleave([(10, "a"), (10, "b"), (10, "c"), (2, "d"), (2, "e")]) == [
        (10, "a"), (2, "d"), (10, "b"), (2, "e"), (10, "c")
    ]


# -- the race, between real sockets whose readiness the test reports


class Track:
    """Sockets to connect to, and a race that has not begun."""

    def __init__(self, stack):
        self.loop = MemoryLoop()
        self.stack = stack
        self.won = []
        self.failed = []
        self.started = []
        self.race = None

    def target(self, *, listening=True):
        """An address of this machine where somebody listens, or nobody."""
        holder = self.stack.enter_context(socket.socket())
        holder.bind(("127.0.0.1", 0))
        if listening:
            holder.listen()
        return (socket.AF_INET, holder.getsockname())

    def run(self, *targets, prepare=lambda channel: None):
        def prepared(channel):
            self.started.append(channel)
            prepare(channel)

        self.race = Race(self.loop, targets, DELAY, prepared, self.win, self.failed.append)

    def win(self, channel, target):
        self.won.append(target)
        self.stack.callback(channel.close)

    def answer(self, number):
        """Report what attempt `number` is ready for, once it is."""
        channel = self.started[number]
        assert select.select([], [channel], [channel], 10) != ([], [], [])
        self.loop.report(channel.fileno(), WRITE)

    @property
    def watched(self):
        return len(self.loop.poller.masks)


@pytest.fixture
def track():
    with contextlib.ExitStack() as stack:
        track = Track(stack)
        yield track
        if track.race is not None:
            track.race.cancel()


def test_the_next_attempt_starts_when_the_one_before_has_had_its_time(track):
    track.run(*[track.target() for _ in range(3)])
    assert len(track.started) == 1
    track.loop.advance(DELAY * 0.9)
    assert len(track.started) == 1
    track.loop.advance(DELAY * 0.1)
    assert len(track.started) == 2
    track.loop.advance(DELAY)
    assert len(track.started) == 3
    track.loop.advance(DELAY * 10)
    assert len(track.started) == track.watched == 3


@pytest.mark.parametrize("winner", [0, 1])
def test_the_first_to_answer_wins_and_the_others_are_closed(track, winner):
    targets = [track.target(), track.target(), track.target()]
    track.run(*targets)
    track.loop.advance(DELAY)
    track.answer(winner)
    assert track.won == [targets[winner]]
    assert [channel.fileno() >= 0 for channel in track.started] == [winner == 0, winner == 1]
    assert track.watched == 0
    track.loop.advance(DELAY * 10)
    assert len(track.started) == 2
    assert (len(track.won), track.failed) == (1, [])
    assert not track.loop.clock.getDelayedCalls()


def test_an_attempt_that_fails_starts_the_next_one_at_once(track):
    good = track.target()
    track.run(track.target(listening=False), good)
    track.answer(0)
    assert len(track.started) == 2
    track.answer(1)
    assert (track.won, track.failed) == ([good], [])


def test_the_error_of_the_last_attempt_is_told_when_all_have_failed(track):
    targets = [track.target(listening=False), track.target(listening=False)]
    track.run(*targets)
    track.answer(0)
    assert track.failed == []
    track.answer(1)
    (error,) = track.failed
    assert isinstance(error, ConnectionRefusedError)
    assert f"127.0.0.1:{targets[1][1][1]}" in str(error)
    assert track.won == []
    assert track.watched == 0


def test_an_attempt_that_fails_does_not_end_one_that_is_still_running(track):
    good = track.target()
    track.run(good, track.target(listening=False))
    track.loop.advance(DELAY)
    track.answer(1)
    assert track.failed == []
    track.answer(0)
    assert track.won == [good]


def test_an_attempt_that_cannot_even_start_fails_later_and_the_next_one_starts(track):
    good = track.target()

    def prepare(channel):
        if len(track.started) == 1:
            raise OSError("no such option")

    track.run(track.target(), good, prepare=prepare)
    assert len(track.started) == 1
    assert track.started[0].fileno() == -1
    track.loop.turn()
    assert len(track.started) == 2
    track.answer(1)
    assert track.won == [good]


def test_what_prepare_raises_of_its_own_is_told_as_it_is(track):
    mistake = LookupError("not a socket's error")

    def prepare(channel):
        raise mistake

    track.run(track.target(), prepare=prepare)
    assert track.failed == []
    track.loop.turn()
    assert track.failed == [mistake]


def test_a_race_that_is_given_up_closes_everything_and_tells_nobody(track):
    track.run(*[track.target() for _ in range(3)])
    track.loop.advance(DELAY)
    track.race.cancel()
    assert [channel.fileno() for channel in track.started] == [-1, -1]
    track.loop.advance(DELAY * 10)
    assert (track.won, track.failed, track.watched) == ([], [], 0)
    assert len(track.started) == 2


def test_a_descriptor_that_went_away_is_a_failed_attempt(track):
    good = track.target()
    track.run(track.target(), good)
    lost = track.started[0]
    fd = lost.fileno()
    track.loop.report(fd, INVALID)
    assert lost.fileno() == -1
    socket.close(fd)   # only the test says that it went away
    track.answer(1)
    assert track.won == [good]
