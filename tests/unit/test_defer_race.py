"""race(), FailureGroup and FirstError."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.internet.defer import (
    CancelledError,
    Deferred,
    FailureGroup,
    FirstError,
    TimeoutError,
    fail,
    race,
    succeed,
)
from ropewalk.internet.failure import Failure
from ropewalk.internet.task import Clock


def outcomes(deferred: Deferred[Any]) -> list[Any]:
    """What has come of `deferred`; empty if nothing yet. An error is its exception."""
    seen: list[Any] = []
    deferred.addBoth(lambda outcome: seen.append(outcome.value if isinstance(outcome, Failure) else outcome))
    return seen


@given(st.integers(0, 3), st.integers(0, 3))
def test_the_first_result_wins_and_the_others_are_cancelled(before: int, after: int) -> None:
    cancelled: list[Deferred[Any]] = []
    members: list[Deferred[str]] = [Deferred(cancelled.append) for _ in range(before + 1 + after)]
    raced = outcomes(race(members))
    assert raced == []
    members[before].callback("first")
    assert raced == [(before, "first")]
    assert cancelled == members[:before] + members[before + 1:]


def test_the_others_are_cancelled_before_the_result_is_told() -> None:
    order: list[str] = []
    winner: Deferred[None] = Deferred()
    race([winner, Deferred(lambda _: order.append("cancelled"))]).addCallback(lambda _: order.append("told"))
    winner.callback(None)
    assert order == ["cancelled", "told"]


def test_the_first_of_those_that_have_a_result_wins() -> None:
    cancelled: list[Deferred[Any]] = []
    assert outcomes(race([fail(ZeroDivisionError()), Deferred(cancelled.append), succeed(1), succeed(2)])) == [(2, 1)]
    assert len(cancelled) == 1


def test_a_race_that_some_lose_by_errors_goes_on() -> None:
    members: list[Deferred[str]] = [Deferred(), Deferred()]
    raced = outcomes(race(members))
    members[0].errback(ZeroDivisionError())
    assert raced == []
    members[1].callback("won")
    assert raced == [(1, "won")]


def test_a_race_that_all_lose_fails_with_their_errors_in_the_order_of_the_deferreds() -> None:
    members: list[Deferred[str]] = [Deferred(), Deferred()]
    raced = outcomes(race(members))
    members[1].errback(ValueError("second"))
    members[0].errback(ZeroDivisionError("first"))
    assert type(raced[0]) is FailureGroup
    assert [failure.type for failure in raced[0].failures] == [ZeroDivisionError, ValueError]
    assert str(raced[0]) == "2 failed: ZeroDivisionError('first'); ValueError('second')"


def test_a_race_of_none_fails_at_once() -> None:
    raced = outcomes(race([]))
    assert isinstance(raced[0], FailureGroup)
    assert raced[0].failures == []


@pytest.mark.parametrize("late", [lambda d: d.callback("late"), lambda d: d.errback(ZeroDivisionError())])
def test_an_outcome_after_the_race_is_dropped(late: Any) -> None:
    members: list[Deferred[str]] = [Deferred(), Deferred(), Deferred(late)]
    raced = outcomes(race(members))
    members[0].callback("won")
    members[1].callback("after it was cancelled")
    assert raced == [(0, "won")]
    assert [outcomes(member) for member in members] == [[None]] * 3


def test_a_canceller_that_raises_keeps_nobody_from_the_result(caplog: pytest.LogCaptureFixture) -> None:
    def failing(_: Deferred[Any]) -> None:
        raise ZeroDivisionError

    members: list[Deferred[str]] = [Deferred(), Deferred(failing), Deferred()]
    raced = outcomes(race(members))
    members[0].callback("won")
    assert raced == [(0, "won")]
    assert isinstance(outcomes(members[1]), list)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]


def test_cancelling_a_race_cancels_them_all_and_fails_as_a_cancellation_and_as_a_race_that_all_lost() -> None:
    cancelled: list[Deferred[Any]] = []
    members: list[Deferred[str]] = [Deferred(cancelled.append) for _ in range(3)]
    raced = race(members)
    raced.cancel()
    assert cancelled == members
    error = outcomes(raced)[0]
    assert isinstance(error, CancelledError)
    assert isinstance(error, FailureGroup)
    assert [failure.type for failure in error.failures] == [CancelledError] * 3


def test_cancelling_a_race_ends_it_also_when_one_will_not_be_cancelled() -> None:
    blocker: Deferred[str] = Deferred(lambda _: None)
    stubborn = succeed(None).addCallback(lambda _: blocker)
    blocker.addErrback(lambda _: Deferred())
    raced = race([stubborn, Deferred()])
    raced.cancel()
    assert isinstance(outcomes(raced)[0], CancelledError)


def test_a_result_that_comes_of_cancelling_a_race_wins_it() -> None:
    raced = race([Deferred(), Deferred(lambda deferred: deferred.callback("saved"))])
    raced.cancel()
    assert outcomes(raced) == [(1, "saved")]


def test_a_race_that_takes_too_long_fails_with_timeout_error() -> None:
    clock = Clock()
    raced = outcomes(race([Deferred(), Deferred()]).addTimeout(3, clock))
    clock.advance(3)
    assert isinstance(raced[0], TimeoutError)


def test_cancelling_a_race_that_is_over_does_nothing() -> None:
    cancelled: list[Deferred[Any]] = []
    winner: Deferred[str] = Deferred()
    raced = race([winner, Deferred(cancelled.append)])
    winner.callback("won")
    raced.cancel()
    assert len(cancelled) == 1
    assert outcomes(raced) == [(0, "won")]


def test_first_errors_are_equal_when_their_failure_and_place_are() -> None:
    failure, other = Failure(ZeroDivisionError()), Failure(ZeroDivisionError())
    assert FirstError(failure, 1) == FirstError(failure, 1)
    assert hash(FirstError(failure, 1)) == hash(FirstError(failure, 1))
    assert FirstError(failure, 1) != FirstError(failure, 2)
    assert FirstError(failure, 1) != FirstError(other, 1)
    assert FirstError(failure, 1) != 1
