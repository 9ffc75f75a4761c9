"""Cooperator and its tasks, on a clock that is moved by hand."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.internet import task
from ropewalk.internet.defer import Deferred, fail, succeed
from ropewalk.internet.failure import Failure
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.testing.rig import Rig


class Turns:
    """A scheduler that is told when the next turn is."""

    def __init__(self) -> None:
        self.clock = task.Clock()

    def __call__(self, call: Callable[[], None]) -> Any:
        assert not self.scheduled(), "two turns are scheduled"
        return self.clock.callLater(1, call)

    def scheduled(self) -> bool:
        return bool(self.clock.getDelayedCalls())

    def take(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.advance(1)


def stepping(steps: int = 1, **options: Any) -> tuple[task.Cooperator, Turns]:
    """A cooperator that takes `steps` steps in a turn."""
    turns = Turns()

    def limit() -> Callable[[], bool]:
        left = iter(range(steps - 1, -1, -1))
        return lambda: not next(left)

    return task.Cooperator(limit, turns, **options), turns


def outcomes(deferred: Deferred[Any]) -> list[Any]:
    """What has come of `deferred`; empty if nothing yet. An error is its exception."""
    seen: list[Any] = []
    deferred.addBoth(lambda outcome: seen.append(outcome.value if isinstance(outcome, Failure) else outcome))
    return seen


def noting(seen: list[Any], name: str, count: int) -> Iterator[None]:
    for number in range(count):
        seen.append(f"{name}{number}")
        yield


# -- Turns


def test_nothing_is_done_before_the_first_turn() -> None:
    cooperator, turns = stepping()
    seen: list[str] = []
    cooperator.cooperate(noting(seen, "a", 2))
    assert seen == []
    turns.take()
    assert seen == ["a0"]


def test_the_tasks_take_their_steps_in_turns() -> None:
    cooperator, turns = stepping(steps=100)
    seen: list[str] = []
    for name in "abc":
        cooperator.cooperate(noting(seen, name, 2))
    turns.take()
    assert seen == ["a0", "b0", "c0", "a1", "b1", "c1"]


def test_the_next_turn_goes_on_where_the_last_one_ended() -> None:
    cooperator, turns = stepping(steps=2)
    seen: list[str] = []
    for name in "abc":
        cooperator.cooperate(noting(seen, name, 3))
    turns.take()
    assert seen == ["a0", "b0"]
    turns.take()
    assert seen == ["a0", "b0", "c0", "a1"]


def test_a_task_that_joins_comes_after_those_that_are_there() -> None:
    cooperator, turns = stepping(steps=100)
    seen: list[str] = []

    def inviting() -> Iterator[None]:
        cooperator.cooperate(noting(seen, "c", 1))
        seen.append("a0")
        yield
        seen.append("a1")

    cooperator.cooperate(inviting())
    cooperator.cooperate(noting(seen, "b", 1))
    turns.take()
    assert seen == ["a0", "b0", "c0", "a1"]


def test_without_work_no_turn_is_scheduled() -> None:
    cooperator, turns = stepping(steps=100)
    assert not turns.scheduled()
    first, second = cooperator.cooperate(iter([1])), cooperator.cooperate(iter([1]))
    assert turns.scheduled()
    first.stop()
    assert turns.scheduled()
    second.pause()
    assert not turns.scheduled()
    second.resume()
    assert turns.scheduled()
    turns.take()
    assert not turns.scheduled()


def test_a_turn_takes_ten_milliseconds_unless_told_otherwise() -> None:
    turns = Turns()
    cooperator = task.Cooperator(scheduler=turns)
    steps = 0

    def forever() -> Iterator[None]:
        nonlocal steps
        while True:
            steps += 1
            yield

    endless = cooperator.cooperate(forever())
    turns.take()
    after_one_turn = steps
    assert after_one_turn > 1
    assert turns.scheduled()
    turns.take()
    assert steps > after_one_turn
    endless.stop()


def test_a_turn_inside_a_step_does_not_enter_that_task_again() -> None:
    cooperator, turns = stepping(steps=100)
    seen: list[str] = []

    def nested() -> Iterator[None]:
        cooperator.cooperate(noting(seen, "b", 1))
        turns.take()  # a modal dialog, say, whose loop turns the reactor
        seen.append("a0")
        yield

    done = outcomes(cooperator.coiterate(nested()))
    turns.take()
    assert seen == ["b0", "a0"]
    assert len(done) == 1
    assert not isinstance(done[0], Exception)


# -- The end of a task


def test_a_task_that_is_exhausted_gives_its_iterator() -> None:
    cooperator, turns = stepping()
    work = iter([1])
    running = cooperator.cooperate(work)
    early = outcomes(running.whenDone())
    turns.take()
    assert early == []
    turns.take()
    assert early == [work]
    assert outcomes(running.whenDone()) == [work]


def test_each_when_done_is_a_deferred_of_its_own() -> None:
    cooperator, turns = stepping()
    work = iter(())
    running = cooperator.cooperate(work)
    first = running.whenDone().addCallback(lambda _: "changed")
    second = running.whenDone()
    turns.take()
    assert (outcomes(first), outcomes(second)) == (["changed"], [work])


def test_a_task_that_raises_fails_with_that() -> None:
    cooperator, turns = stepping()

    def failing() -> Iterator[None]:
        yield
        raise ZeroDivisionError

    done = outcomes(cooperator.coiterate(failing()))
    turns.take(2)
    assert isinstance(done[0], ZeroDivisionError)
    assert not turns.scheduled()


def test_coiterate_fires_the_deferred_that_it_is_given() -> None:
    cooperator, turns = stepping()
    given_one: Deferred[Any] = Deferred()
    work = iter(())
    assert cooperator.coiterate(work, given_one) is given_one
    turns.take()
    assert outcomes(given_one) == [work]


def test_a_task_that_is_stopped_takes_no_step_and_fails_with_task_stopped() -> None:
    cooperator, turns = stepping()
    seen: list[str] = []
    running = cooperator.cooperate(noting(seen, "a", 2))
    done = outcomes(running.whenDone())
    turns.take()
    running.stop()
    turns.take()
    assert seen == ["a0"]
    assert isinstance(done[0], task.TaskStopped)


def stopped(cooperator: task.Cooperator, turns: Turns) -> task.CooperativeTask[Any]:
    running = cooperator.cooperate(iter([1]))
    running.stop()
    return running


def exhausted(cooperator: task.Cooperator, turns: Turns) -> task.CooperativeTask[Any]:
    running = cooperator.cooperate(iter(()))
    turns.take()
    return running


def failed(cooperator: task.Cooperator, turns: Turns) -> task.CooperativeTask[Any]:
    running = cooperator.cooperate(iter([fail(ZeroDivisionError())]))
    turns.take()
    return running


def refused(cooperator: task.Cooperator, turns: Turns) -> task.CooperativeTask[Any]:
    cooperator.stop()
    return cooperator.cooperate(iter([1]))


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (stopped, task.TaskStopped),
        (exhausted, task.TaskDone),
        (failed, task.TaskFailed),
        (refused, task.SchedulerStopped),
    ],
)
def test_a_task_that_has_ended_can_be_neither_paused_nor_stopped(end: Any, error: type[Exception]) -> None:
    running = end(*stepping())
    with pytest.raises(error):
        running.pause()
    with pytest.raises(error):
        running.stop()
    with pytest.raises(task.NotPaused):
        running.resume()


def test_the_errors_of_tasks_have_the_bases_that_twisted_documents() -> None:
    assert all(issubclass(kind, task.TaskFinished) for kind in (task.TaskDone, task.TaskStopped, task.TaskFailed))
    finished = (task.TaskFinished, task.SchedulerStopped, task.NotPaused)
    assert all(issubclass(kind, task.SchedulerError) for kind in finished)


def test_a_task_may_stop_itself() -> None:
    cooperator, turns = stepping()
    tasks: list[task.CooperativeTask[Any]] = []

    def stopping() -> Iterator[Any]:
        tasks[0].stop()
        yield Deferred()

    tasks.append(cooperator.cooperate(stopping()))
    done = outcomes(tasks[0].whenDone())
    turns.take(2)
    assert isinstance(done[0], task.TaskStopped)
    assert not turns.scheduled()


def test_what_a_task_raises_after_it_stopped_itself_goes_to_the_scheduler_and_the_others_go_on() -> None:
    cooperator, turns = stepping(steps=100)
    seen: list[str] = []
    tasks: list[task.CooperativeTask[Any]] = []

    def stopping() -> Iterator[None]:
        tasks[0].stop()
        raise ZeroDivisionError
        yield

    tasks.append(cooperator.cooperate(stopping()))
    tasks[0].whenDone().addErrback(lambda _: None)
    cooperator.cooperate(noting(seen, "a", 1))
    with pytest.raises(ZeroDivisionError):
        turns.take()
    turns.take()
    assert seen == ["a0"]


# -- Pauses


def test_a_paused_task_takes_no_step_until_it_is_resumed_as_often() -> None:
    cooperator, turns = stepping()
    seen: list[str] = []
    running = cooperator.cooperate(noting(seen, "a", 3))
    running.pause()
    running.pause()
    turns.take()
    running.resume()
    turns.take()
    assert seen == []
    running.resume()
    assert seen == []
    turns.take()
    assert seen == ["a0"]


def test_resuming_a_task_that_is_not_paused_is_an_error() -> None:
    cooperator, _ = stepping()
    running = cooperator.cooperate(iter([1]))
    with pytest.raises(task.NotPaused):
        running.resume()
    running.pause()
    running.resume()
    with pytest.raises(task.NotPaused):
        running.resume()


def test_resuming_a_task_that_was_stopped_while_it_paused_does_nothing() -> None:
    cooperator, turns = stepping()
    seen: list[str] = []
    running = cooperator.cooperate(noting(seen, "a", 1))
    running.pause()
    running.stop()
    running.resume()
    turns.take()
    assert seen == []


def test_a_task_waits_for_a_deferred_that_it_yields() -> None:
    cooperator, turns = stepping()
    seen: list[str] = []
    waited: Deferred[str] = Deferred()

    def waiting() -> Iterator[Any]:
        yield waited
        seen.append("went on")

    cooperator.cooperate(waiting())
    turns.take(2)
    assert (seen, turns.scheduled()) == ([], False)
    waited.callback("result")
    turns.take()
    assert seen == ["went on"]
    assert outcomes(waited) == [None]


def test_a_task_goes_on_after_a_deferred_that_had_its_result() -> None:
    cooperator, turns = stepping(steps=100)
    work = iter([succeed(1), succeed(2)])
    done = outcomes(cooperator.coiterate(work))
    turns.take()
    assert done == [work]


def test_a_task_fails_with_the_error_of_a_deferred_that_it_yields() -> None:
    cooperator, turns = stepping()
    done = outcomes(cooperator.coiterate(iter([fail(ZeroDivisionError())])))
    turns.take()
    assert isinstance(done[0], ZeroDivisionError)


def test_a_task_that_is_paused_while_it_waits_needs_both_to_go_on() -> None:
    cooperator, turns = stepping()
    for order in ("resume first", "fire first"):
        seen: list[str] = []
        waited: Deferred[None] = Deferred()

        def waiting(waited: Deferred[None] = waited, seen: list[str] = seen) -> Iterator[Any]:
            yield waited
            seen.append("went on")

        running = cooperator.cooperate(waiting())
        turns.take()
        running.pause()
        first, second = running.resume, lambda waited=waited: waited.callback(None)
        if order == "fire first":
            first, second = second, first
        first()
        turns.take()
        assert seen == [], order
        second()
        turns.take()
        assert seen == ["went on"], order


def test_a_task_that_waits_cannot_be_resumed_without_a_pause() -> None:
    cooperator, turns = stepping()
    running = cooperator.cooperate(iter([Deferred(), 1]))
    turns.take()
    with pytest.raises(task.NotPaused):
        running.resume()
    assert not turns.scheduled()


def test_a_task_that_is_stopped_while_it_waits_takes_no_step_when_the_deferred_fires() -> None:
    cooperator, turns = stepping()
    waited: Deferred[int] = Deferred()
    seen: list[str] = []

    def waiting() -> Iterator[Any]:
        yield waited
        seen.append("went on")

    running = cooperator.cooperate(waiting())
    done = outcomes(running.whenDone())
    turns.take()
    running.stop()
    waited.callback(1)
    turns.take()
    assert seen == []
    assert isinstance(done[0], task.TaskStopped)


def test_the_error_of_a_deferred_is_not_lost_when_its_task_was_stopped() -> None:
    cooperator, turns = stepping()
    waited: Deferred[int] = Deferred()
    running = cooperator.cooperate(iter([waited]))
    done = outcomes(running.whenDone())
    turns.take()
    running.stop()
    waited.errback(ZeroDivisionError())
    assert len(done) == 1
    assert isinstance(outcomes(waited)[0], ZeroDivisionError)


# -- Starting and stopping a cooperator


def test_a_cooperator_that_is_not_started_keeps_its_tasks_until_it_is() -> None:
    cooperator, turns = stepping(started=False)
    seen: list[str] = []
    cooperator.cooperate(noting(seen, "a", 1))
    assert (cooperator.running, turns.scheduled()) == (False, False)
    cooperator.start()
    assert (cooperator.running, turns.scheduled()) == (True, True)
    turns.take()
    assert seen == ["a0"]


def test_stopping_a_cooperator_fails_every_task_whatever_it_is_doing() -> None:
    cooperator, turns = stepping()
    waited: Deferred[int] = Deferred()
    waiting, paused, *ready = [cooperator.cooperate(iter(work)) for work in ([waited], [1], [1], [1], [1])]
    done = [outcomes(running.whenDone()) for running in (waiting, paused, *ready)]
    turns.take()
    paused.pause()
    cooperator.stop()
    assert [type(errors[0]) for errors in done] == [task.SchedulerStopped] * 5
    assert (cooperator.running, turns.scheduled()) == (False, False)
    waited.callback(1)
    paused.resume()
    assert not turns.scheduled()


def test_a_stopped_cooperator_refuses_tasks_until_it_is_started_again() -> None:
    cooperator, turns = stepping()
    cooperator.stop()
    seen: list[str] = []
    given_one: Deferred[Any] = Deferred()
    assert isinstance(outcomes(cooperator.coiterate(noting(seen, "a", 1)))[0], task.SchedulerStopped)
    assert isinstance(outcomes(cooperator.coiterate(noting(seen, "a", 1), given_one))[0], task.SchedulerStopped)
    cooperator.start()
    cooperator.cooperate(noting(seen, "b", 1))
    turns.take()
    assert seen == ["b0"]


def test_the_end_of_a_task_may_stop_the_cooperator_and_its_other_tasks() -> None:
    cooperator, turns = stepping(steps=100)
    ending, other = cooperator.cooperate(iter(())), cooperator.cooperate(iter([1]))
    third = cooperator.cooperate(iter([1]))
    ending.whenDone().addCallback(lambda _: cooperator.stop())
    others = outcomes(other.whenDone().addErrback(lambda failure: third.stop() or failure))
    last = outcomes(third.whenDone())
    turns.take()
    assert isinstance(others[0], task.SchedulerStopped)
    assert isinstance(last[0], task.TaskStopped)


@given(st.integers(1, 5), st.lists(st.integers(0, 6), max_size=6))
def test_every_task_takes_all_its_steps_and_none_is_more_than_a_step_ahead(steps: int, counts: list[int]) -> None:
    cooperator, turns = stepping(steps)
    taken = [0] * len(counts)

    def counting(index: int) -> Iterator[None]:
        for _ in range(counts[index]):
            taken[index] += 1
            unfinished = [taken[one] for one, count in enumerate(counts) if taken[one] < count]
            assert not unfinished or taken[index] <= min(unfinished) + 1
            yield

    done = [outcomes(cooperator.coiterate(counting(index))) for index in range(len(counts))]
    turns.take(sum(counts) + len(counts))
    assert taken == counts
    assert all(len(end) == 1 and not isinstance(end[0], Exception) for end in done)


# -- The cooperator that is always there


def test_two_reactors_in_two_threads_have_cooperators_of_their_own() -> None:
    both_at_work = threading.Barrier(2, timeout=20)
    threads: dict[str, set[threading.Thread]] = {"a": set(), "b": set()}

    def working(name: str, reactor: Any) -> Iterator[None]:
        both_at_work.wait()
        for _ in range(50):
            threads[name].add(threading.current_thread())
            yield
        reactor.stop()

    def run(name: str) -> None:
        reactor = SelectReactor()
        reactor.callWhenRunning(lambda: task.cooperate(working(name, reactor)))
        reactor.run(installSignalHandlers=False)

    other = threading.Thread(target=run, args=("b",))
    other.start()
    run("a")
    other.join()
    assert threads == {"a": {threading.current_thread()}, "b": {other}}


def test_the_cooperator_of_a_reactor_does_not_keep_it_alive() -> None:
    with Rig(SelectReactor) as rig:
        rig.play(lambda: _coiterate())
        kept = weakref.ref(rig.reactor)
    gc.collect()
    assert kept() is None


async def _coiterate() -> None:
    await task.coiterate(iter([1]))
