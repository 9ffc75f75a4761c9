"""LoopingCall, deferLater, react and Clock."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import AlreadyCalled
from ropewalk.internet import task
from ropewalk.internet.defer import CancelledError, Deferred, NotACoroutineError, fail, succeed
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.testing.rig import Rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(SelectReactor) as made:
        yield made


def looping(function: Callable[..., object], *args: Any, **kwargs: Any) -> tuple[task.LoopingCall, task.Clock]:
    loop = task.LoopingCall(function, *args, **kwargs)
    clock = loop.clock = task.Clock()
    return loop, clock


def results_of(deferred: Deferred[Any]) -> list[Any]:
    """What has come of `deferred`; empty if nothing yet."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    return results


# -- Clock


def test_clock_stands_still_until_it_is_advanced() -> None:
    clock = task.Clock()
    assert clock.seconds() == clock.rightNow == 0.0
    clock.advance(1.5)
    assert clock.seconds() == clock.rightNow == 1.5


def test_clock_makes_the_calls_that_are_due_in_order() -> None:
    clock = task.Clock()
    seen: list[Any] = []
    clock.callLater(2, seen.append, "b")
    clock.callLater(1, seen.append, "a")
    clock.callLater(3, seen.append, "c")
    clock.advance(2)
    assert seen == ["a", "b"]
    clock.advance(1)
    assert seen == ["a", "b", "c"]


def test_clock_makes_the_calls_of_one_time_in_the_order_of_scheduling() -> None:
    clock = task.Clock()
    seen: list[Any] = []
    for number in range(10):
        clock.callLater(1, seen.append, number)
    clock.advance(1)
    assert seen == list(range(10))


def test_clock_makes_in_one_advance_what_the_calls_schedule_for_now() -> None:
    clock = task.Clock()
    seen: list[Any] = []
    clock.callLater(1, clock.callLater, 0, clock.callLater, 0, seen.append, "innermost")
    clock.advance(1)
    assert seen == ["innermost"]


def test_clock_lets_calls_be_cancelled_reset_and_delayed() -> None:
    clock = task.Clock()
    seen: list[Any] = []
    cancelled = clock.callLater(1, seen.append, "cancelled")
    reset = clock.callLater(1, seen.append, "reset")
    delayed = clock.callLater(1, seen.append, "delayed")
    cancelled.cancel()
    reset.reset(2)
    delayed.delay(2)
    clock.pump([1, 1])
    assert seen == ["reset"]
    clock.advance(1)
    assert seen == ["reset", "delayed"]
    assert not reset.active()
    with pytest.raises(AlreadyCalled):
        reset.cancel()


def test_clock_says_which_calls_are_still_to_be_made() -> None:
    clock = task.Clock()
    last, first = clock.callLater(2, list), clock.callLater(1, list)
    assert clock.getDelayedCalls() == [first, last]
    clock.advance(1)
    assert clock.getDelayedCalls() == [last]


def test_clock_goes_on_with_the_rest_after_a_call_that_raised() -> None:
    clock = task.Clock()
    seen: list[Any] = []
    clock.callLater(1, {}.__getitem__, "missing")
    clock.callLater(1, seen.append, "rest")
    with pytest.raises(KeyError):
        clock.advance(1)
    clock.advance(0)
    assert seen == ["rest"]


@given(st.lists(st.integers(0, 20)), st.lists(st.integers(0, 5), min_size=1))
def test_clock_never_makes_a_call_early_or_leaves_a_due_one(delays: list[int], steps: list[int]) -> None:
    clock = task.Clock()
    made: list[int] = []
    for delay in delays:
        clock.callLater(delay, made.append, delay)
    for step in steps:
        clock.advance(step)
        assert made == sorted(delay for delay in delays if delay <= clock.rightNow)


# -- LoopingCall


def test_loop_calls_at_once_and_then_every_interval() -> None:
    seen: list[tuple[Any, ...]] = []
    loop, clock = looping(lambda *args, **kwargs: seen.append((clock.seconds(), args, kwargs)), 1, two=2)
    loop.start(10)
    clock.pump([5, 5, 5, 5])
    assert seen == [(when, (1,), {"two": 2}) for when in (0, 10, 20)]


def test_loop_with_now_false_waits_one_interval_first() -> None:
    seen: list[float] = []
    loop, clock = looping(lambda: seen.append(clock.seconds()))
    loop.start(10, now=False)
    assert seen == []
    clock.pump([5, 5, 10])
    assert seen == [10, 20]


def test_loop_says_that_it_runs_and_with_what_interval() -> None:
    loop, _ = looping(list)
    assert not loop.running
    assert loop.deferred is None
    ended = loop.start(3)
    assert loop.running
    assert loop.interval == 3
    assert loop.deferred is ended
    loop.stop()
    assert not loop.running
    assert loop.deferred is None


def test_loop_does_not_drift_when_its_calls_come_late() -> None:
    seen: list[float] = []
    loop, clock = looping(lambda: seen.append(clock.seconds()))
    loop.start(10)
    clock.pump([13, 7, 10])
    assert seen == [0, 13, 20, 30]


def test_loop_leaves_out_the_intervals_that_it_missed() -> None:
    seen: list[float] = []
    loop, clock = looping(lambda: seen.append(clock.seconds()))
    loop.start(10)
    clock.pump([35, 4, 1])
    assert seen == [0, 35, 40]


@given(st.floats(0.001, 1000), st.lists(st.floats(0, 5), min_size=1, max_size=30))
def test_loop_calls_once_an_interval_whatever_the_rounding(interval: float, steps: list[float]) -> None:
    seen: list[float] = []
    loop, clock = looping(lambda: seen.append(clock.seconds()))
    clock.rightNow = 123456.789
    loop.start(interval)
    due = clock.getDelayedCalls()[0].getTime()
    for step in steps:
        before = len(seen)
        clock.advance(step * interval)
        called = len(seen) - before
        assert called == (1 if clock.seconds() >= due else 0)
        due = clock.getDelayedCalls()[0].getTime()
        assert clock.seconds() < due <= clock.seconds() + interval * 1.00001


@pytest.mark.parametrize("interval", [0.1, 0.3, 1 / 3, 1e-3, 7.7])
def test_loop_calls_once_when_a_timer_fires_exactly_when_it_is_due(interval: float) -> None:
    seen: list[float] = []
    loop, clock = looping(lambda: seen.append(clock.seconds()))
    clock.rightNow = 98765.4321
    loop.start(interval)
    for turn in range(2, 1000):
        clock.rightNow = clock.getDelayedCalls()[0].getTime()
        clock.advance(0)
        assert len(seen) == turn
    assert seen[-1] == pytest.approx(98765.4321 + 998 * interval)


def test_loop_waits_for_the_deferred_of_its_function() -> None:
    calls: list[Deferred[None]] = []

    def work() -> Deferred[None]:
        calls.append(Deferred())
        return calls[-1]

    loop, clock = looping(work)
    loop.start(10)
    clock.advance(25)
    assert len(calls) == 1
    calls[0].callback(None)
    clock.advance(4)
    assert len(calls) == 1
    clock.advance(1)
    assert len(calls) == 2


def test_loop_waits_for_a_coroutine_function() -> None:
    gate: Deferred[None] = Deferred()
    calls: list[str] = []

    async def work() -> None:
        calls.append("begun")
        await gate
        calls.append("done")

    loop, clock = looping(work)
    loop.start(1)
    clock.advance(5)
    assert calls == ["begun"]
    gate.callback(None)
    clock.advance(1)
    assert calls == ["begun", "done", "begun", "done"]


def test_loop_with_interval_zero_calls_at_every_turn(rig: Rig) -> None:
    counts: list[int] = []
    clocks: list[Any] = []
    loop = task.LoopingCall.withCount(counts.append)

    def begin() -> None:
        loop.start(0)
        clocks.append(loop.clock)
        rig.reactor.callLater(0, rig.reactor.callLater, 0, rig.reactor.stop)

    rig.reactor.callWhenRunning(begin)
    rig.run()
    assert clocks == [rig.reactor]
    assert len(counts) >= 2
    assert set(counts) == {1}
    loop.stop()


def test_loop_that_is_stopped_fires_its_deferred_and_calls_no_more() -> None:
    seen: list[int] = []
    loop, clock = looping(seen.append, 1)
    ended = results_of(loop.start(1))
    assert ended == []
    loop.stop()
    assert ended == [loop]
    clock.advance(10)
    assert seen == [1]
    assert clock.getDelayedCalls() == []


def test_loop_that_its_function_stops_ends_after_it() -> None:
    def work() -> None:
        loop.stop()
        assert results == []

    loop, clock = looping(work)
    results: list[Any] = []
    loop.start(1, now=False).addBoth(results.append)
    clock.advance(1)
    assert results == [loop]
    assert clock.getDelayedCalls() == []


def test_loop_that_is_stopped_while_its_function_is_at_work_ends_when_that_is_done() -> None:
    work: Deferred[None] = Deferred()
    loop, _ = looping(lambda: work)
    ended = results_of(loop.start(1))
    loop.stop()
    assert not loop.running
    assert ended == []
    work.callback(None)
    assert ended == [loop]


def test_loop_that_is_started_again_while_its_function_is_at_work_keeps_one_rhythm() -> None:
    calls: list[Deferred[None]] = []

    def work() -> Deferred[None]:
        calls.append(Deferred())
        return calls[-1]

    loop, clock = looping(work)
    first = results_of(loop.start(1))
    loop.stop()
    second = results_of(loop.start(1))
    calls[0].callback(None)
    assert (first, second) == ([loop], [])
    assert loop.running
    calls[1].callback(None)
    assert len(clock.getDelayedCalls()) == 1


@pytest.mark.parametrize("deferred", [False, True])
def test_loop_ends_when_its_function_fails(deferred: bool) -> None:
    def work() -> Any:
        if deferred:
            return fail(KeyError("broken"))
        raise KeyError("broken")

    loop, clock = looping(work)
    ended = results_of(loop.start(1))
    assert ended[0].check(KeyError)
    assert not loop.running
    assert clock.getDelayedCalls() == []


def test_loop_may_be_started_again_after_its_end() -> None:
    seen: list[float] = []
    loop, clock = looping(lambda: seen.append(clock.seconds()))
    loop.start(10)
    loop.stop()
    clock.advance(3)
    loop.start(5)
    clock.advance(5)
    assert seen == [0, 3, 8]


def test_loop_that_is_reset_begins_its_interval_anew() -> None:
    seen: list[float] = []
    loop, clock = looping(lambda: seen.append(clock.seconds()))
    loop.start(10, now=False)
    clock.advance(7)
    loop.reset()
    clock.pump([3, 7, 10])
    assert seen == [17, 27]


def test_loop_with_count_tells_how_many_intervals_have_begun() -> None:
    counts: list[int] = []
    loop = task.LoopingCall.withCount(counts.append)
    clock = loop.clock = task.Clock()
    loop.start(10)
    clock.pump([10, 25, 5, 40])
    assert counts == [1, 1, 2, 1, 4]


def test_loop_with_count_begins_with_one_after_the_first_interval() -> None:
    counts: list[int] = []
    loop = task.LoopingCall.withCount(counts.append)
    clock = loop.clock = task.Clock()
    loop.start(10, now=False)
    clock.pump([12, 18])
    assert counts == [1, 2]


@given(st.floats(0.01, 10), st.lists(st.floats(0.01, 30), min_size=1, max_size=40))
def test_counts_add_up_to_the_intervals_that_have_passed(interval: float, steps: list[float]) -> None:
    counts: list[int] = []
    loop = task.LoopingCall.withCount(counts.append)
    clock = loop.clock = task.Clock()
    loop.start(interval)
    clock.pump(steps)
    assert all(count >= 1 for count in counts)
    assert sum(counts) - 1 == pytest.approx(int(clock.seconds() / interval), abs=1)


def test_loop_refuses_what_does_not_fit_its_state() -> None:
    loop, _ = looping(list)
    for method in (loop.stop, loop.reset):
        with pytest.raises(AssertionError, match="does not run"):
            method()
    loop.start(1)
    with pytest.raises(AssertionError, match="runs already"):
        loop.start(1)
    loop.stop()


@pytest.mark.parametrize(
    ("interval", "error"), [(-1, ValueError), (float("nan"), ValueError), (float("inf"), ValueError), ("1", TypeError)]
)
def test_loop_refuses_an_interval_that_is_none(interval: Any, error: type[Exception]) -> None:
    loop, _ = looping(list)
    with pytest.raises(error):
        loop.start(interval)
    assert not loop.running


# -- deferLater


def test_deferLater_gives_what_the_callable_returns_after_the_delay() -> None:
    clock = task.Clock()
    results = results_of(task.deferLater(clock, 2, lambda *args, **kwargs: (args, kwargs), 1, key=2))
    clock.advance(1)
    assert results == []
    clock.advance(1)
    assert results == [((1,), {"key": 2})]


def test_deferLater_without_a_callable_is_only_a_delay() -> None:
    clock = task.Clock()
    results = results_of(task.deferLater(clock, 1))
    clock.advance(1)
    assert results == [None]


def test_deferLater_fails_with_what_the_callable_raises() -> None:
    clock = task.Clock()
    empty: dict[str, int] = {}
    results = results_of(task.deferLater(clock, 0, empty.__getitem__, "missing"))
    clock.advance(0)
    assert results[0].check(KeyError)


def test_deferLater_waits_for_a_deferred_that_the_callable_returns() -> None:
    clock = task.Clock()
    results = results_of(task.deferLater(clock, 1, task.deferLater, clock, 1, str, 5))
    clock.advance(1)
    assert results == []
    clock.advance(1)
    assert results == ["5"]


def test_a_cancelled_deferLater_never_calls() -> None:
    clock = task.Clock()
    called: list[int] = []
    deferred = task.deferLater(clock, 1, called.append, 1)
    results = results_of(deferred)
    deferred.cancel()
    assert results[0].check(CancelledError)
    assert clock.getDelayedCalls() == []
    clock.advance(2)
    assert called == []


# -- react


ExitCodeOf = Callable[..., Any]


@pytest.fixture
def exit_code_of(rig: Rig) -> ExitCodeOf:
    def exit_code_of(main: Callable[..., Any], argv: tuple[object, ...] = ()) -> Any:
        with rig.time_limit(), pytest.raises(SystemExit) as exited:
            task.react(main, argv, rig.reactor)
        return exited.value.code

    return exit_code_of


def test_react_runs_main_with_the_reactor_and_its_arguments_and_exits_with_0(exit_code_of: ExitCodeOf) -> None:
    seen: list[Any] = []

    def main(reactor: Any, *args: object) -> Deferred[None]:
        seen.extend(args)
        return task.deferLater(reactor, 0.001, lambda: seen.append(reactor.running))

    assert exit_code_of(main, ("a", "b")) == 0
    assert seen == ["a", "b", True]


def test_react_takes_a_coroutine_function(exit_code_of: ExitCodeOf) -> None:
    async def main(reactor: Any) -> str:
        await task.deferLater(reactor, 0.001)
        return "a result is no exit status"

    assert exit_code_of(main) == 0


def test_react_ends_when_main_was_done_at_once(exit_code_of: ExitCodeOf) -> None:
    assert exit_code_of(lambda reactor: succeed(None)) == 0


def test_react_exits_with_1_and_prints_the_traceback_of_an_error(
    exit_code_of: ExitCodeOf, capsys: pytest.CaptureFixture[str]
) -> None:
    async def breaks(reactor: Any) -> None:
        await task.deferLater(reactor, 0)
        raise LookupError("what went wrong")

    assert exit_code_of(breaks) == 1
    printed = capsys.readouterr().err
    assert "LookupError: what went wrong" in printed
    assert "in breaks" in printed


@pytest.mark.parametrize("code", [0, 3, None, "a last word"])
def test_react_exits_with_the_code_of_a_system_exit(
    exit_code_of: ExitCodeOf, capsys: pytest.CaptureFixture[str], code: Any
) -> None:
    async def leaves(reactor: Any) -> None:
        await task.deferLater(reactor, 0)
        raise SystemExit(code)

    assert exit_code_of(leaves) == code
    assert capsys.readouterr().err == ""


def test_react_ends_when_main_is_done_by_the_shutdown_itself(exit_code_of: ExitCodeOf) -> None:
    def main(reactor: Any) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        reactor.addSystemEventTrigger("before", "shutdown", done.callback, None)
        reactor.callLater(0, reactor.stop)
        return done

    assert exit_code_of(main) == 0


@pytest.mark.skipif(os.name == "nt", reason="no SIGTERM to send to oneself")
def test_react_ends_when_a_signal_stops_the_reactor(exit_code_of: ExitCodeOf) -> None:
    def main(reactor: Any) -> Deferred[None]:
        reactor.callLater(0, os.kill, os.getpid(), signal.SIGTERM)
        return Deferred()

    assert exit_code_of(main) == 0


def test_react_refuses_a_main_that_returns_nothing_to_wait_for() -> None:
    with pytest.raises(NotACoroutineError):
        task.react(lambda reactor: None, (), SelectReactor())  # type: ignore[arg-type,return-value]
