"""The heap of delayed calls: its order against a model, and that what is stale goes away."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk import errors
from ropewalk.core.timers import DelayedCall, Timers


class Clock:
    """A clock that stands still until it is told."""

    now = 1000.0

    def seconds(self) -> float:
        return self.now


class Bench:
    """Timers on a clock that is turned by hand."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sooner = 0
        self.timers = Timers(self.clock.seconds, errors, self._sooner)
        self.made: list[Any] = []

    def _sooner(self) -> None:
        self.sooner += 1

    def call(self, delay: float, name: Any) -> DelayedCall:
        return self.timers.callLater(delay, self.made.append, name)

    def turn(self, seconds: float = 0.0) -> list[Any]:
        """The names of the calls that came when the clock went on by `seconds`."""
        self.made.clear()
        self.clock.now += seconds
        for call in self.timers.due(self.clock.now):
            call.func(*call.args, **call.kw)
        return list(self.made)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_is_due_comes_in_order_and_the_rest_stays(bench: Bench) -> None:
    for delay in (3, 1, 2, 1):
        bench.call(delay, delay)
    assert bench.turn(0.5) == []
    assert bench.turn(1.5) == [1, 1, 2]
    assert bench.timers.next() == 1003.0
    assert bench.turn(1) == [3]
    assert bench.timers.next() is None


def test_what_a_call_schedules_comes_in_a_later_turn(bench: Bench) -> None:
    def again() -> None:
        bench.made.append("call")
        bench.timers.callLater(0, again)

    bench.timers.callLater(0, again)
    assert bench.turn() == ["call"]
    assert bench.turn() == ["call"]


def test_a_call_moved_into_the_past_by_another_is_not_lost(bench: Bench) -> None:
    later = bench.call(1000, "later")
    bench.timers.callLater(0, later.delay, -5000)
    bench.call(0, "due")
    assert bench.turn() + bench.turn() in (["due", "later"], ["later", "due"])


def test_a_nested_turn_takes_what_is_left_of_the_outer_one(bench: Bench) -> None:
    def nest() -> None:
        for call in bench.timers.due(bench.clock.now):
            call.func(*call.args, **call.kw)
        bench.made.append("outer")

    bench.timers.callLater(0, nest)
    bench.call(0, "inner")
    assert bench.turn() == ["inner", "outer"]


def test_cancelled_calls_leave_the_heap(bench: Bench) -> None:
    kept = bench.call(5000, "kept")
    for _ in range(10):
        for call in [bench.call(1000, "cancelled") for _ in range(1000)]:
            call.cancel()
    assert len(bench.timers.heap) < 1000
    assert bench.timers.pending() == [kept]
    assert bench.turn(6000) == ["kept"]


def test_calls_that_are_moved_to_and_fro_leave_the_heap(bench: Bench) -> None:
    call = bench.call(1000, "moved")
    for _ in range(10_000):
        call.reset(1000)
        call.reset(500)
    assert len(bench.timers.heap) < 1000
    assert bench.turn(499) == []
    assert bench.turn(1) == ["moved"]


def test_a_call_that_is_put_off_costs_no_room(bench: Bench) -> None:
    call = bench.call(30, "timeout")
    for _ in range(1000):
        bench.clock.now += 1
        call.reset(30)
        assert bench.turn() == []
    assert len(bench.timers.heap) == 1
    assert bench.turn(30) == ["timeout"]


def test_whoever_waits_is_told_when_nobody_attends(bench: Bench) -> None:
    call = bench.call(10, "call")
    assert bench.sooner == 0
    bench.timers.attended = False
    bench.call(1, "sooner")
    call.reset(5)
    assert bench.sooner == 2


def test_a_delayed_call_shows_what_it_is(bench: Bench) -> None:
    call = bench.call(2, "call")
    assert "in 2.000 s" in repr(call)
    assert "append" in repr(call)
    call.cancel()
    assert "cancelled" in repr(call)
    assert call.cancelled
    done = bench.call(0, "done")
    bench.turn()
    assert "called" in repr(done)
    assert done.called


operations = st.lists(
    st.tuples(
        st.sampled_from(["call", "cancel", "reset", "delay", "turn"]),
        st.integers(0, 30),
        st.floats(0, 50, allow_nan=False),
    ),
    max_size=200,
)


@given(operations)
def test_any_history_makes_each_call_once_and_never_early(history: list[tuple[str, int, float]]) -> None:
    bench, calls = Bench(), {}
    due: dict[int, float] = {}
    made: list[int] = []
    for verb, which, amount in [*history, ("turn", 0, 100.0), ("turn", 0, 10_000.0)]:
        active = list(due)
        if verb == "call":
            number = len(calls)
            calls[number] = bench.call(amount, number)
            due[number] = calls[number].getTime()
        elif verb == "turn":
            came = bench.turn(amount)
            expected = {number for number, when in due.items() if when <= bench.clock.now}
            assert set(came) == expected
            assert [due[number] for number in came] == sorted(due[number] for number in came)
            made += came
            for number in came:
                del due[number]
        elif active:
            number = active[which % len(active)]
            if verb == "cancel":
                calls[number].cancel()
                del due[number]
            elif verb == "reset":
                calls[number].reset(amount)
                due[number] = bench.clock.now + amount
            else:
                calls[number].delay(amount - 25)
                due[number] += amount - 25
        assert {number for number, call in calls.items() if call.active()} == set(due)
        assert set(bench.timers.pending()) == {calls[number] for number in due}
    assert len(made) == len(set(made))
    assert due == {}
