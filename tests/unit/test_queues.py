"""DeferredQueue."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.internet.defer import CancelledError, Deferred, DeferredQueue, QueueOverflow, QueueUnderflow
from ropewalk.internet.failure import Failure


def outcomes(deferred: Deferred[Any]) -> list[Any]:
    """What has come of `deferred`; empty if nothing yet. An error is its exception."""
    seen: list[Any] = []
    deferred.addBoth(lambda outcome: seen.append(outcome.value if isinstance(outcome, Failure) else outcome))
    return seen


def test_what_was_put_in_first_is_got_first() -> None:
    queue: DeferredQueue[int] = DeferredQueue()
    queue.put(1)
    queue.put(2)
    assert list(queue.pending) == [1, 2]
    assert outcomes(queue.get()) == [1]
    assert outcomes(queue.get()) == [2]


def test_who_has_waited_longest_gets_it() -> None:
    queue: DeferredQueue[int] = DeferredQueue()
    first, second = outcomes(queue.get()), outcomes(queue.get())
    queue.put(1)
    assert (first, second) == ([1], [])
    queue.put(2)
    assert second == [2]
    assert not queue.pending


def test_a_full_queue_refuses_what_is_put_in_until_something_is_got() -> None:
    queue: DeferredQueue[int] = DeferredQueue(size=1)
    queue.put(1)
    with pytest.raises(QueueOverflow, match="its size is 1"):
        queue.put(2)
    assert outcomes(queue.get()) == [1]
    queue.put(3)
    assert list(queue.pending) == [3]


def test_a_queue_of_size_zero_takes_only_what_somebody_waits_for() -> None:
    queue: DeferredQueue[int] = DeferredQueue(size=0)
    with pytest.raises(QueueOverflow):
        queue.put(1)
    waiting = outcomes(queue.get())
    queue.put(2)
    assert waiting == [2]


def test_a_backlog_limits_how_many_wait() -> None:
    queue: DeferredQueue[int] = DeferredQueue(backlog=1)
    first = outcomes(queue.get())
    with pytest.raises(QueueUnderflow, match="its backlog is 1"):
        queue.get()
    queue.put(1)
    assert first == [1]
    queue.get()


def test_a_backlog_of_zero_lets_nobody_wait() -> None:
    queue: DeferredQueue[int] = DeferredQueue(backlog=0)
    with pytest.raises(QueueUnderflow):
        queue.get()
    queue.put(1)
    assert outcomes(queue.get()) == [1]


def test_who_waits_no_more_is_passed_over() -> None:
    queue: DeferredQueue[int] = DeferredQueue(backlog=1)
    gone = queue.get()
    gone.cancel()
    assert isinstance(outcomes(gone)[0], CancelledError)
    second = outcomes(queue.get())
    queue.put(1)
    assert second == [1]


def test_a_failure_is_an_error_for_who_gets_it() -> None:
    queue: DeferredQueue[Any] = DeferredQueue()
    waiting = outcomes(queue.get())
    for _ in range(2):
        queue.put(Failure(ZeroDivisionError()))
    assert isinstance(waiting[0], ZeroDivisionError)
    assert isinstance(outcomes(queue.get())[0], ZeroDivisionError)


def test_a_deferred_is_refused_and_nobody_loses_a_turn() -> None:
    queue: DeferredQueue[Any] = DeferredQueue()
    waiting = outcomes(queue.get())
    with pytest.raises(TypeError, match="put its result there"):
        queue.put(Deferred())
    queue.put(1)
    assert waiting == [1]


@given(st.none() | st.integers(0, 3), st.none() | st.integers(0, 3), st.lists(st.sampled_from("pgc"), max_size=40))
def test_a_queue_does_what_two_lists_do(size: int | None, backlog: int | None, steps: list[str]) -> None:
    queue: DeferredQueue[int] = DeferredQueue(size, backlog)
    things: list[int] = []
    line: list[tuple[list[Any], Deferred[int]]] = []
    for number, step in enumerate(steps):
        if step == "p" and not line and size is not None and len(things) >= size:
            with pytest.raises(QueueOverflow):
                queue.put(number)
        elif step == "p":
            queue.put(number)
            if line:
                assert line.pop(0)[0] == [number]
            else:
                things.append(number)
        elif step == "g" and not things and backlog is not None and len(line) >= backlog:
            with pytest.raises(QueueUnderflow):
                queue.get()
        elif step == "g":
            got = queue.get()
            if things:
                assert outcomes(got) == [things.pop(0)]
            else:
                line.append((outcomes(got), got))
        elif line:
            line.pop()[1].cancel()
        assert list(queue.pending) == things
        assert len(queue.waiting) == len(line)
