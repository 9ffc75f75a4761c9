"""DeferredLock and DeferredSemaphore."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.internet.defer import (
    CancelledError,
    Deferred,
    DeferredLock,
    DeferredSemaphore,
    ensureDeferred,
    fail,
    inlineCallbacks,
    succeed,
)
from ropewalk.internet.failure import Failure

MANY = 20_000

either = pytest.mark.parametrize("make", [DeferredLock, lambda: DeferredSemaphore(1)], ids=["lock", "semaphore"])
Make = Callable[[], Any]


def outcomes(deferred: Deferred[Any]) -> list[Any]:
    """What has come of `deferred`; empty if nothing yet. An error is its exception."""
    seen: list[Any] = []
    deferred.addBoth(lambda outcome: seen.append(outcome.value if isinstance(outcome, Failure) else outcome))
    return seen


@either
def test_who_acquires_it_first_gets_it_at_once_and_the_next_when_it_is_released(make: Make) -> None:
    lock = make()
    assert outcomes(lock.acquire()) == [lock]
    second, third = outcomes(lock.acquire()), outcomes(lock.acquire())
    assert (second, third, len(lock.waiting)) == ([], [], 2)
    lock.release()
    assert (second, third, len(lock.waiting)) == ([lock], [], 1)
    lock.release()
    assert third == [lock]


def test_a_lock_tells_whether_somebody_has_it() -> None:
    lock = DeferredLock()
    assert not lock.locked
    lock.acquire()
    lock.acquire()
    assert lock.locked
    lock.release()
    assert lock.locked
    lock.release()
    assert not lock.locked


def test_a_semaphore_lets_as_many_in_as_it_has_tokens() -> None:
    semaphore = DeferredSemaphore(2)
    assert (semaphore.limit, semaphore.tokens) == (2, 2)
    semaphore.acquire()
    assert outcomes(semaphore.acquire()) == [semaphore]
    assert semaphore.tokens == 0
    third = outcomes(semaphore.acquire())
    assert third == []
    semaphore.release()
    assert (third, semaphore.tokens) == ([semaphore], 0)
    semaphore.release()
    semaphore.release()
    assert (semaphore.limit, semaphore.tokens) == (2, 2)


@pytest.mark.parametrize("tokens", [0, -1])
def test_a_semaphore_without_tokens_is_refused(tokens: int) -> None:
    with pytest.raises(ValueError, match="at least 1 token"):
        DeferredSemaphore(tokens)


@either
def test_releasing_what_nobody_has_is_an_error(make: Make) -> None:
    lock = make()
    with pytest.raises(AssertionError, match="nobody has acquired it"):
        lock.release()
    lock.acquire()
    lock.release()
    with pytest.raises(AssertionError, match="nobody has acquired it"):
        lock.release()
    assert outcomes(lock.acquire()) == [lock]


@either
def test_releasing_too_often_in_the_callback_of_a_turn_is_an_error(make: Make) -> None:
    lock = make()
    lock.acquire()

    def twice(_: object) -> None:
        lock.release()
        lock.release()

    refused = outcomes(lock.acquire().addCallback(twice))
    third = outcomes(lock.acquire())
    lock.release()
    assert isinstance(refused[0], AssertionError)
    assert third == [lock]


@either
def test_who_waits_no_more_is_passed_over(make: Make) -> None:
    lock = make()
    lock.acquire()
    gone, second = lock.acquire(), outcomes(lock.acquire())
    gone.cancel()
    assert isinstance(outcomes(gone)[0], CancelledError)
    lock.release()
    assert second == [lock]


@either
def test_cancelling_a_turn_that_has_come_does_not_give_it_back(make: Make) -> None:
    lock = make()
    turn = lock.acquire()
    turn.cancel()
    second = outcomes(lock.acquire())
    assert second == []
    lock.release()
    assert second == [lock]


@either
def test_a_turn_that_everybody_cancels_while_it_is_passed_on_becomes_free(make: Make) -> None:
    lock = make()
    lock.acquire()
    last: list[Deferred[Any]] = []

    def release_and_cancel(_: object) -> None:
        lock.release()
        last[0].addErrback(lambda _: None).cancel()

    lock.acquire().addCallback(release_and_cancel)
    last.append(lock.acquire())
    lock.release()
    assert outcomes(lock.acquire()) == [lock]


@either
def test_nobody_gets_in_before_those_who_wait(make: Make) -> None:
    lock = make()
    order: list[str] = []
    lock.acquire()

    def come_back(_: object) -> None:
        order.append("first")
        lock.release()
        lock.acquire().addCallback(lambda _: order.append("first again"))

    lock.acquire().addCallback(come_back)
    lock.acquire().addCallback(lambda _: (order.append("second"), lock.release()))
    lock.release()
    assert order == ["first", "second", "first again"]


@either
def test_very_many_that_wait_are_served_without_recursion(make: Make) -> None:
    lock = make()
    lock.acquire()
    seen: list[int] = []
    for number in range(MANY):
        lock.run(seen.append, number)
    lock.release()
    assert seen == list(range(MANY))


@either
def test_run_has_it_while_the_function_is_at_work(make: Make) -> None:
    lock = make()
    work: Deferred[str] = Deferred()
    result = outcomes(lock.run(lambda *args, **kw: work.addCallback(lambda done: (done, args, kw)), 1, f=2))
    second = outcomes(lock.run(lambda: "second"))
    assert (result, second) == ([], [])
    work.callback("done")
    assert result == [("done", (1,), {"f": 2})]
    assert second == ["second"]


@either
def test_run_takes_a_coroutine_function(make: Make) -> None:
    lock = make()
    work: Deferred[str] = Deferred()

    async def wait() -> str:
        return await work

    result, second = outcomes(lock.run(wait)), outcomes(lock.run(lambda: "second"))
    assert second == []
    work.callback("first")
    assert (result, second) == (["first"], ["second"])


@either
@pytest.mark.parametrize("function", [lambda: 1 / 0, lambda: fail(ZeroDivisionError())])
def test_run_gives_it_back_when_the_function_fails(make: Make, function: Callable[[], Any]) -> None:
    lock = make()
    assert isinstance(outcomes(lock.run(function))[0], ZeroDivisionError)
    assert outcomes(lock.acquire()) == [lock]


@either
def test_run_that_is_cancelled_while_it_waits_never_calls_the_function(make: Make) -> None:
    lock = make()
    lock.acquire()
    seen: list[int] = []
    waiting = lock.run(seen.append, 1)
    waiting.cancel()
    assert isinstance(outcomes(waiting)[0], CancelledError)
    lock.release()
    assert seen == []
    assert outcomes(lock.acquire()) == [lock]


@either
def test_run_that_is_cancelled_at_work_cancels_that_and_gives_it_back(make: Make) -> None:
    lock = make()
    cancelled: list[Deferred[Any]] = []
    work: Deferred[None] = Deferred(cancelled.append)
    running = lock.run(lambda: work)
    running.cancel()
    assert cancelled == [work]
    assert isinstance(outcomes(running)[0], CancelledError)
    assert outcomes(lock.acquire()) == [lock]


@either
def test_async_with_has_it_inside(make: Make) -> None:
    lock = make()
    work: Deferred[str] = Deferred()

    async def first() -> str:
        async with lock as had:
            assert had is lock
            return await work

    async def second() -> str:
        async with lock:
            return "second"

    one, two = outcomes(ensureDeferred(first())), outcomes(ensureDeferred(second()))
    assert (one, two) == ([], [])
    work.callback("first")
    assert (one, two) == (["first"], ["second"])


@either
def test_async_with_gives_it_back_after_an_error_which_goes_on(make: Make) -> None:
    lock = make()

    async def failing() -> None:
        async with lock:
            raise ZeroDivisionError

    assert isinstance(outcomes(ensureDeferred(failing()))[0], ZeroDivisionError)
    assert outcomes(lock.acquire()) == [lock]


@either
def test_a_coroutine_that_is_cancelled_while_it_waits_leaves_the_line(make: Make) -> None:
    lock = make()
    lock.acquire()

    async def enter() -> None:
        async with lock:
            raise AssertionError("it was cancelled")

    waiting = ensureDeferred(enter())
    waiting.cancel()
    assert isinstance(outcomes(waiting)[0], CancelledError)
    assert not lock.waiting
    lock.release()
    assert outcomes(lock.acquire()) == [lock]


@either
def test_an_asyncio_task_that_is_cancelled_when_its_turn_has_come_gives_it_back(make: Make) -> None:
    async def main() -> None:
        lock = make()
        lock.acquire()

        async def enter() -> None:
            async with lock:
                raise AssertionError("it was cancelled")

        task = asyncio.ensure_future(enter())
        await asyncio.sleep(0)
        lock.release()  # the task has the lock, and is to go on at the next turn of the loop
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert outcomes(lock.acquire()) == [lock]

    asyncio.run(main())


def test_a_generator_may_acquire_it() -> None:
    lock = DeferredLock()

    @inlineCallbacks
    def main() -> Any:
        had = yield lock.acquire()
        had.release()
        return (yield lock.run(succeed, "done"))

    assert outcomes(main()) == ["done"]


@given(st.integers(1, 3), st.lists(st.sampled_from(["acquire", "release", "cancel"]), max_size=40))
def test_a_semaphore_does_what_a_counter_and_a_list_do(limit: int, steps: list[str]) -> None:
    semaphore = DeferredSemaphore(limit)
    inside: list[int] = []
    line: list[tuple[int, Deferred[Any]]] = []
    users = 0
    expected: list[int] = []
    for number, step in enumerate(steps):
        if step == "acquire":
            turn = semaphore.acquire()
            turn.addCallbacks(lambda _, number=number: inside.append(number), lambda _: None)
            if users < limit:
                users += 1
                expected.append(number)
            else:
                line.append((number, turn))
        elif step == "cancel" and line:
            line.pop()[1].cancel()
        elif step == "release" and users:
            semaphore.release()
            if line:
                expected.append(line.pop(0)[0])
            else:
                users -= 1
        assert inside == expected
        assert semaphore.tokens == limit - users
        assert len(semaphore.waiting) == len(line)
