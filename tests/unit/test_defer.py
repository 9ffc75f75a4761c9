"""What Deferred and its helpers promise."""

import asyncio
import contextvars
import gc
import logging
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Callable, Generator, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.internet import defer
from ropewalk.internet.defer import (
    AlreadyCalledError,
    CancelledError,
    Deferred,
    DeferredList,
    FirstError,
    NotACoroutineError,
    TimeoutError,
    ensureDeferred,
    execute,
    fail,
    gatherResults,
    getDebugging,
    inlineCallbacks,
    maybeDeferred,
    passthru,
    returnValue,
    setDebugging,
    succeed,
)
from ropewalk.internet.failure import Failure, NoCurrentExceptionError
from ropewalk.testing import Clock

MANY = 100_000
CLOCK = Clock()


class Oops(Exception):
    """What goes wrong in these tests."""


def boom(_: object = None) -> Any:
    raise Oops("boom")


def message(failure: Failure[Any]) -> str:
    return f"{failure.type.__name__}: {failure.getErrorMessage()}"


def outcome(deferred: Deferred[Any]) -> Any:
    """The result, or "Type: message" for an error."""
    found: list[Any] = []
    deferred.addCallbacks(found.append, lambda failure: found.append(message(failure)))
    assert len(found) == 1, f"{deferred!r} has no outcome"
    return found[0]


def has_outcome(deferred: Deferred[Any]) -> bool:
    return bool(deferred.called and not deferred.paused and not isinstance(deferred.result, Deferred))


@pytest.fixture
def no_gc() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def _everything_is_handled(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A test that leaves an error behind must say so by taking it out of the log."""
    yield
    gc.collect()
    assert [record.getMessage() for record in caplog.records] == []


def reports(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """The records so far, taken out of the log."""
    records = list(caplog.records)
    caplog.clear()
    return records


# Callbacks.


def test_a_callback_gets_the_result():
    deferred: Deferred[int] = Deferred()
    found: list[int] = []
    assert deferred.addCallback(found.append) is deferred
    assert found == []
    deferred.callback(1)
    assert found == [1]


def test_a_callback_added_after_firing_is_called_at_once():
    found: list[int] = []
    succeed(1).addCallback(found.append)
    assert found == [1]


def test_each_callback_gets_what_the_one_before_returned():
    assert outcome(succeed(1).addCallback(lambda n: n + 1).addCallback(str)) == "2"


def test_callbacks_get_the_arguments_they_were_added_with():
    def show(result: object, *args: object, **kwargs: object) -> object:
        return (result, args, kwargs)

    assert outcome(succeed(1).addCallback(show, 2, k=3)) == (1, (2,), {"k": 3})
    assert outcome(succeed(1).addBoth(show, 2, k=3)) == (1, (2,), {"k": 3})
    failed = fail(Oops()).addErrback(lambda _, *args, **kwargs: (args, kwargs), 2, k=3)
    assert outcome(failed) == ((2,), {"k": 3})


def test_add_callbacks_has_arguments_for_each_of_the_two():
    def both(result: object, *args: object, **kwargs: object) -> object:
        return (args, kwargs)

    pair = (both, both, (1,), {"a": 2}, (3,), {"b": 4})
    assert outcome(succeed(0).addCallbacks(*pair)) == ((1,), {"a": 2})
    assert outcome(fail(Oops()).addCallbacks(*pair)) == ((3,), {"b": 4})


def test_add_callbacks_without_an_errback_lets_an_error_pass():
    assert outcome(fail(Oops("a")).addCallbacks(boom)) == "Oops: a"


def test_a_callback_that_raises_turns_into_an_errback():
    assert outcome(succeed(1).addCallback(boom).addCallback(str)) == "Oops: boom"


def test_a_callback_that_returns_a_failure_turns_into_an_errback():
    assert outcome(succeed(1).addCallback(lambda _: Failure(Oops("returned")))) == "Oops: returned"


def test_an_errback_that_returns_turns_into_a_callback():
    assert outcome(fail(Oops()).addErrback(lambda _: 5).addCallback(str)) == "5"


def test_an_errback_is_skipped_for_a_result_and_a_callback_for_an_error():
    assert outcome(succeed(1).addErrback(boom)) == 1
    assert outcome(fail(Oops("a")).addCallback(boom)) == "Oops: a"


def test_an_errback_does_not_see_the_error_of_the_callback_beside_it():
    assert outcome(succeed(1).addCallbacks(boom, lambda _: "seen")) == "Oops: boom"


def test_add_both_gets_a_result_and_an_error():
    assert outcome(succeed(1).addBoth(lambda r: r)) == 1
    assert outcome(fail(Oops("a")).addBoth(message)) == "Oops: a"


def test_an_error_that_an_errback_lets_through_is_the_same_failure():
    failure = Failure(Oops())
    found: list[object] = []
    fail(failure).addErrback(lambda f: f.trap(KeyError)).addErrback(found.append)
    assert found == [failure]


def test_even_exceptions_that_are_not_for_errors_become_a_failure():
    def stop(_: object) -> None:
        raise SystemExit(3)

    assert outcome(succeed(1).addCallback(stop)) == "SystemExit: 3"


def test_a_callback_that_cannot_be_called_is_refused_at_once():
    with pytest.raises(TypeError, match="'text' is not"):
        Deferred().addCallback("text")  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        Deferred().addErrback(None)  # type: ignore[call-overload]


def test_callbacks_added_by_a_callback_come_after_those_that_are_there():
    order: list[str] = []
    deferred: Deferred[Any] = Deferred()

    def first(_: object) -> None:
        deferred.addCallback(lambda _: order.append("added"))
        order.append("first")

    deferred.addCallback(first).addCallback(lambda _: order.append("second"))
    deferred.callback(None)
    assert order == ["first", "second", "added"]


def test_a_failure_given_to_callback_is_an_error():
    deferred: Deferred[int] = Deferred()
    deferred.callback(Failure(Oops("a")))
    assert outcome(deferred) == "Oops: a"


def test_errback_takes_an_exception_a_failure_or_the_current_exception():
    assert outcome(fail(Oops("a"))) == "Oops: a"
    assert outcome(fail(Failure(Oops("a")))) == "Oops: a"
    try:
        boom()
    except Oops:
        assert outcome(fail()) == "Oops: boom"


def test_errback_without_an_exception_says_so_and_does_not_fire():
    deferred: Deferred[int] = Deferred()
    with pytest.raises(NoCurrentExceptionError):
        deferred.errback()
    assert not deferred.called


def test_firing_twice_is_an_error():
    for fire in (lambda d: d.callback(2), lambda d: d.errback(Oops())):
        with pytest.raises(AlreadyCalledError, match="a Deferred fires once"):
            fire(succeed(1))


def test_firing_with_a_deferred_is_refused():
    deferred: Deferred[Any] = Deferred()
    with pytest.raises(TypeError, match="return that from a callback"):
        deferred.callback(succeed(1))
    assert not deferred.called


def test_the_attributes_tell_how_far_it_is():
    deferred: Deferred[int] = Deferred()
    assert (deferred.called, deferred.paused, hasattr(deferred, "result")) == (False, 0, False)
    deferred.addCallback(lambda n: n + 1)
    deferred.callback(1)
    assert (deferred.called, deferred.result) == (True, 2)


def test_repr_tells_how_far_it_is():
    inner: Deferred[int] = Deferred()
    outer = succeed(1).addCallback(lambda _: inner)
    assert repr(inner) == f"<Deferred at {id(inner):#x}>"
    assert repr(outer) == f"<Deferred at {id(outer):#x} waiting on Deferred at {id(inner):#x}>"
    assert repr(succeed("a")).endswith(" current result: 'a'>")


def test_it_can_be_referred_to_weakly():
    deferred: Deferred[int] = Deferred()
    assert weakref.ref(deferred)() is deferred


# Deferreds that callbacks return.


def test_a_chain_goes_on_with_the_result_of_a_deferred_that_a_callback_returned():
    assert outcome(succeed(1).addCallback(lambda n: succeed(n + 1)).addCallback(str)) == "2"
    assert outcome(succeed(1).addCallback(lambda _: fail(Oops("inner"))).addCallback(str)) == "Oops: inner"


def test_a_chain_waits_for_a_deferred_that_a_callback_returned():
    inner: Deferred[int] = Deferred()
    outer = succeed(1).addCallback(lambda _: inner).addCallback(str)
    assert not has_outcome(outer)
    inner.callback(2)
    assert outcome(outer) == "2"


def test_the_result_of_a_returned_deferred_is_none_afterwards():
    early, late = succeed(1), Deferred[int]()
    succeed(0).addCallback(lambda _: early)
    succeed(0).addCallback(lambda _: late)
    late.callback(2)
    assert (outcome(early), outcome(late)) == (None, None)


def test_the_one_that_waits_goes_on_before_callbacks_that_were_added_later():
    order: list[str] = []
    inner: Deferred[int] = Deferred()
    outer = succeed(0).addCallback(lambda _: inner)
    inner.addCallback(lambda result: order.append(f"inner {result}"))
    outer.addCallback(lambda result: order.append(f"outer {result}"))
    inner.callback(1)
    assert order == ["outer 1", "inner None"]


def test_a_callback_that_returns_its_own_deferred_is_an_error():
    deferred: Deferred[Any] = Deferred()
    deferred.addCallback(lambda _: deferred)
    deferred.callback(1)
    assert "returned that same Deferred" in outcome(deferred)


def test_a_deferred_that_is_still_calling_callbacks_is_waited_for():
    inner: Deferred[Any] = Deferred()
    outer: Deferred[Any] = Deferred()
    outer.addCallback(lambda _: inner)
    inner.addCallback(outer.callback).addCallback(lambda _: "end of inner")
    inner.callback("start of inner")
    assert outcome(outer) == "end of inner"


def test_a_paused_deferred_is_waited_for():
    inner = succeed(1)
    inner.pause()
    outer = succeed(0).addCallback(lambda _: inner)
    assert not has_outcome(outer)
    inner.unpause()
    assert outcome(outer) == 1


@pytest.mark.parametrize("order", ["first to last", "last to first", "last one last"])
def test_a_chain_of_any_length_does_not_recurse(order: str):
    chain: list[Deferred[int]] = [Deferred() for _ in range(MANY)]
    for deferred, following in pairwise(chain):
        deferred.addCallback(lambda _, following=following: following)
    firing = {
        "first to last": chain,
        "last to first": chain[::-1],
        "last one last": chain[-2::-1] + chain[-1:],
    }[order]
    for deferred in firing:
        deferred.callback(7)
    assert outcome(chain[0]) == 7


def test_very_many_callbacks_are_called_in_order_also_when_one_of_them_pauses():
    def note(_: object, number: int) -> None:
        found.append(number)
        if number == MANY // 2:
            deferred.pause()

    found: list[int] = []
    deferred: Deferred[Any] = Deferred()
    for number in range(MANY):
        deferred.addCallback(note, number)
    deferred.callback(None)
    assert found == list(range(MANY // 2 + 1))
    deferred.addCallback(note, MANY)
    deferred.unpause()
    assert found == list(range(MANY + 1))


def test_very_many_coroutines_may_await_one_deferred():
    async def coroutine(number: int) -> None:
        await shared
        found.append(number)

    found: list[int] = []
    shared: Deferred[int] = Deferred()
    running = [ensureDeferred(coroutine(number)) for number in range(MANY)]
    shared.callback(1)
    assert found == list(range(MANY))
    assert all(deferred.called for deferred in running)


def test_chained_deferreds_of_any_number_do_not_recurse():
    chain: list[Deferred[int]] = [Deferred() for _ in range(MANY)]
    for deferred, following in pairwise(chain):
        deferred.chainDeferred(following)
    chain[0].callback(7)
    assert outcome(chain[-1]) == 7


def test_cancelling_a_chain_of_any_length_does_not_recurse():
    chain: list[Deferred[int]] = [Deferred() for _ in range(MANY)]
    for deferred, following in pairwise(chain):
        deferred.addCallback(lambda _, following=following: following)
    for deferred in chain[-2::-1]:
        deferred.callback(0)
    chain[0].cancel()
    assert outcome(chain[0]) == "CancelledError: "


def test_a_loop_of_callbacks_that_return_the_next_deferred_runs_in_constant_memory():
    pending: list[Deferred[None]] = []

    def step(_: object = None) -> Deferred[None]:
        pending.append(Deferred())
        return pending[-1].addCallback(step)

    def turns(count: int) -> int:
        for _ in range(count):
            pending.pop().callback(None)
        return tracemalloc.get_traced_memory()[0]

    loop = step()
    tracemalloc.start()
    try:
        assert turns(5000) - turns(100) < 10_000
    finally:
        tracemalloc.stop()
    pending.pop().errback(Oops("the end"))
    assert outcome(loop) == "Oops: the end"


class Forwarded:
    """`outer` waits for `middle`, and that for `inner`, whose outcome goes straight to `outer`."""

    def __init__(self) -> None:
        self.inner: Deferred[int] = Deferred()
        self.middle: Deferred[Any] = Deferred().addCallback(lambda _: self.inner)
        self.outer: Deferred[Any] = succeed(0).addCallback(lambda _: self.middle)
        self.middle.callback(0)


def test_a_deferred_in_the_middle_of_a_chain_can_still_be_cancelled():
    chain = Forwarded()
    chain.middle.cancel()
    assert outcome(chain.outer) == "CancelledError: "


def test_callbacks_added_in_the_middle_of_a_chain_wait_and_get_none():
    chain = Forwarded()
    order: list[object] = []
    chain.outer.addCallback(lambda result: order.append(("outer", result)))
    chain.middle.addCallback(lambda result: order.append(("middle", result)))
    assert order == []
    chain.inner.callback(5)
    assert order == [("outer", 5), ("middle", None)]


def test_callbacks_added_in_the_middle_of_a_chain_that_is_over_are_called_at_once():
    chain = Forwarded()
    chain.inner.callback(5)
    assert outcome(chain.middle) is None
    assert outcome(chain.outer) == 5


def test_the_middle_of_a_chain_can_be_returned_from_another_callback():
    chain = Forwarded()
    other = succeed(0).addCallback(lambda _: chain.middle)
    chain.inner.callback(5)
    assert (outcome(chain.outer), outcome(other)) == (5, None)


def test_deferreds_that_wait_for_each_other_can_be_cancelled_in_vain():
    first: Deferred[Any] = Deferred().addCallback(lambda _: second)
    second: Deferred[Any] = Deferred().addCallback(lambda _: first)
    third = succeed(0).addCallback(lambda _: first)
    first.callback(1)
    second.callback(2)
    for deferred in (first, second, third):
        deferred.cancel()
        assert not has_outcome(deferred)


def test_chain_deferred_fires_the_other_and_leaves_none():
    first, second = succeed(1), Deferred[int]()
    first.chainDeferred(second)
    assert (outcome(first), outcome(second)) == (None, 1)


def test_chain_deferred_passes_an_error_on():
    second: Deferred[int] = Deferred()
    fail(Oops("a")).chainDeferred(second)
    assert outcome(second) == "Oops: a"


def test_chaining_to_a_deferred_that_has_been_fired_is_an_error_of_the_first():
    second = succeed(2)
    first = succeed(1).chainDeferred(second)
    assert outcome(first).startswith("AlreadyCalledError")
    assert outcome(second) == 2


# Pausing.


def test_a_paused_deferred_calls_nothing_until_it_is_unpaused_as_often():
    found: list[int] = []
    deferred: Deferred[int] = Deferred()
    deferred.addCallback(found.append)
    deferred.pause()
    deferred.pause()
    deferred.callback(1)
    deferred.unpause()
    assert found == []
    assert deferred.paused == 1
    deferred.unpause()
    assert found == [1]


def test_pausing_inside_a_callback_stops_before_the_next_one():
    deferred: Deferred[Any] = Deferred()
    found: list[object] = []
    deferred.addCallback(lambda _: deferred.pause()).addCallback(found.append)
    deferred.callback(1)
    assert found == []
    deferred.unpause()
    assert found == [None]


def test_unpausing_before_firing_calls_nothing():
    deferred: Deferred[int] = Deferred()
    deferred.pause()
    deferred.unpause()
    assert not deferred.called


def test_a_paused_deferred_keeps_what_it_waited_for():
    inner: Deferred[int] = Deferred()
    outer = succeed(0).addCallback(lambda _: inner)
    found: list[object] = []
    outer.addCallback(found.append)
    inner.addCallback(lambda _: found.append("the rest of inner"))
    outer.pause()
    inner.callback(1)
    assert found == ["the rest of inner"]
    outer.unpause()
    assert found == ["the rest of inner", 1]


# Cancelling.


def test_cancelling_calls_the_canceller_with_the_deferred():
    asked: list[object] = []
    deferred: Deferred[int] = Deferred(asked.append)
    deferred.cancel()
    assert asked == [deferred]
    assert outcome(deferred) == "CancelledError: "


@pytest.mark.parametrize(
    ("canceller", "expected"),
    [(lambda d: d.callback("stopped"), "stopped"), (lambda d: d.errback(Oops("x")), "Oops: x")],
)
def test_a_canceller_may_fire_the_deferred(canceller: Callable[[Deferred[Any]], None], expected: str):
    deferred: Deferred[Any] = Deferred(canceller)
    deferred.cancel()
    assert outcome(deferred) == expected


def test_a_deferred_with_a_canceller_still_fires_once():
    deferred: Deferred[int] = Deferred(lambda _: None)
    deferred.cancel()
    with pytest.raises(AlreadyCalledError):
        deferred.callback(1)
    assert outcome(deferred) == "CancelledError: "


@pytest.mark.parametrize("late", [lambda d: d.callback(1), lambda d: d.errback(Oops())])
def test_without_a_canceller_one_late_outcome_is_ignored(late: Callable[[Deferred[Any]], None]):
    deferred: Deferred[int] = Deferred()
    deferred.cancel()
    late(deferred)
    assert outcome(deferred) == "CancelledError: "
    with pytest.raises(AlreadyCalledError):
        late(deferred)


def test_cancelling_a_deferred_that_has_its_result_does_nothing():
    deferred = succeed(1)
    deferred.cancel()
    assert outcome(deferred) == 1


def test_cancelling_goes_to_the_deferred_that_is_waited_for():
    inner: Deferred[int] = Deferred(lambda d: d.errback(Oops("inner")))
    outer = succeed(0).addCallback(lambda _: inner)
    outer.cancel()
    assert outcome(outer) == "Oops: inner"


def test_cancelling_asks_a_subclass_that_has_its_own_way():
    class Stubborn(Deferred[int]):
        def cancel(self) -> None:
            self.callback(7)

    inner = Stubborn()
    outer = succeed(0).addCallback(lambda _: inner)
    outer.cancel()
    assert outcome(outer) == 7


# Timeouts.


def test_a_deferred_without_an_outcome_in_time_fails_with_timeout_error():
    clock = Clock()
    deferred: Deferred[int] = Deferred()
    deferred.addTimeout(3, clock)
    clock.advance(2.5)
    assert not deferred.called
    clock.advance(0.5)
    told = outcome(deferred)
    assert told.startswith("TimeoutError")
    assert "within 3 seconds" in told


def test_the_timeout_error_is_the_one_of_ropewalk_errors():
    from ropewalk import errors

    assert TimeoutError is errors.TimeoutError


def test_an_outcome_in_time_takes_the_timeout_away():
    clock = Clock()
    deferred: Deferred[int] = Deferred()
    deferred.addTimeout(3, clock)
    deferred.callback(1)
    assert clock.getDelayedCalls() == []
    assert outcome(deferred) == 1


def test_an_error_in_time_takes_the_timeout_away():
    clock = Clock()
    assert outcome(fail(Oops("a")).addTimeout(3, clock)) == "Oops: a"
    assert clock.getDelayedCalls() == []


def test_a_timeout_does_not_hide_what_the_canceller_made_of_it():
    clock = Clock()
    for canceller, expected in (
        (lambda d: d.callback("partial"), "partial"),
        (lambda d: d.errback(Oops("x")), "Oops: x"),
    ):
        deferred: Deferred[Any] = Deferred(canceller)
        deferred.addTimeout(1, clock)
        clock.advance(1)
        assert outcome(deferred) == expected


def test_a_cancellation_by_somebody_else_is_no_timeout():
    clock = Clock()
    deferred: Deferred[int] = Deferred()
    deferred.addTimeout(3, clock)
    deferred.cancel()
    assert outcome(deferred) == "CancelledError: "


def test_on_timeout_cancel_makes_the_outcome():
    clock = Clock()
    deferred: Deferred[Any] = Deferred()
    deferred.addTimeout(3, clock, lambda result, seconds: (message(result), seconds))
    clock.advance(3)
    assert outcome(deferred) == ("CancelledError: ", 3)


# Errors that nobody handles.


@pytest.mark.usefixtures("no_gc")
def test_an_error_nobody_handled_is_logged_when_the_deferred_goes(caplog: pytest.LogCaptureFixture):
    succeed(1).addCallback(boom)
    [record] = reports(caplog)
    assert record.name == "ropewalk.defer"
    assert record.levelno == logging.CRITICAL
    assert "Unhandled error in Deferred" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is Oops
    assert record.exc_info[2] is not None
    assert record.exc_info[2].tb_frame.f_code.co_name == "boom"


def test_logError_logs_a_failure_and_passes_it_on(caplog: pytest.LogCaptureFixture):
    failing: Deferred[int] = succeed(1).addCallback(boom)
    failing.addErrback(defer.logError)
    [record] = reports(caplog)
    assert (record.name, record.levelno) == ("ropewalk.defer", logging.CRITICAL)
    assert record.exc_info is not None
    assert record.exc_info[0] is Oops
    assert outcome(failing) == "Oops: boom"


def leave_an_error_of_errback() -> None:
    fail(Oops())


def leave_an_error_in_a_paused_deferred() -> None:
    deferred: Deferred[int] = Deferred()
    deferred.pause()
    deferred.errback(Oops())


def leave_an_error_that_travelled() -> None:
    inner: Deferred[int] = Deferred()
    outer = succeed(0).addCallback(lambda _: inner)
    outer.addErrback(lambda failure: failure.trap(KeyError))
    inner.addCallback(boom)
    inner.callback(1)


def leave_an_error_of_a_coroutine() -> None:
    async def coroutine() -> None:
        await succeed(1).addCallback(boom)

    running = ensureDeferred(coroutine())
    assert running.called


def leave_an_error_of_a_coroutine_that_waited() -> None:
    pending: list[Deferred[int]] = [Deferred()]

    async def coroutine() -> None:
        await pending[0]

    running = ensureDeferred(coroutine())
    pending.pop().errback(Oops())
    assert running.called


def leave_an_error_of_a_generator() -> None:
    @inlineCallbacks
    def generator() -> Generator[Deferred[int], int, None]:
        yield fail(Oops())

    running = generator()
    assert running.called


def leave_an_error_of_maybe_deferred() -> None:
    deferred = maybeDeferred(boom)
    assert deferred.called


def leave_an_error_in_a_variable_of_the_caller() -> None:
    deferred: Deferred[int] = Deferred()
    deferred.addCallback(boom)
    deferred.callback(1)


def leave_an_error_of_a_list() -> None:
    gatherResults([fail(Oops())], consumeErrors=True)


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize(
    "leave",
    [
        leave_an_error_of_errback,
        leave_an_error_in_a_paused_deferred,
        leave_an_error_that_travelled,
        leave_an_error_of_a_coroutine,
        leave_an_error_of_a_coroutine_that_waited,
        leave_an_error_of_a_generator,
        leave_an_error_of_maybe_deferred,
        leave_an_error_in_a_variable_of_the_caller,
        leave_an_error_of_a_list,
    ],
)
def test_the_report_needs_no_garbage_collection_and_comes_once(
    leave: Callable[[], None], caplog: pytest.LogCaptureFixture
):
    leave()
    assert len(reports(caplog)) == 1


def test_an_error_that_a_global_variable_holds_is_reported_when_the_program_ends():
    program = "from ropewalk.internet.defer import fail; kept = fail(ValueError('too late'))"
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ended.stderr.splitlines() == ["Unhandled error in Deferred", "ValueError: too late"]


def test_an_error_that_was_handled_later_is_not_logged(caplog: pytest.LogCaptureFixture):
    fail(Oops()).addErrback(lambda _: None)
    assert reports(caplog) == []


def test_an_error_that_another_deferred_took_over_is_logged_there_only(caplog: pytest.LogCaptureFixture):
    failing = [fail(Oops())]
    outer = succeed(0).addCallback(lambda _: failing.pop())
    assert reports(caplog) == []
    del outer
    assert len(reports(caplog)) == 1


@pytest.mark.parametrize("early", [True, False])
def test_an_error_that_a_coroutine_got_is_handled(early: bool, caplog: pytest.LogCaptureFixture):
    async def coroutine(deferred: Deferred[int]) -> str:
        with pytest.raises(Oops):
            await deferred
        return "handled"

    deferred: Deferred[int] = fail(Oops()) if early else Deferred()
    running = ensureDeferred(coroutine(deferred))
    if not early:
        deferred.errback(Oops())
    del deferred
    assert outcome(running) == "handled"
    assert reports(caplog) == []


def test_a_new_error_after_a_coroutine_got_one_is_logged(caplog: pytest.LogCaptureFixture):
    async def coroutine(deferred: Deferred[int]) -> None:
        with pytest.raises(Oops):
            await deferred

    deferred = fail(Oops("first"))
    ensureDeferred(coroutine(deferred))
    deferred.addErrback(lambda _: Failure(Oops("second")))
    del deferred
    [record] = reports(caplog)
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "second"


@pytest.fixture
def debugging() -> Iterator[None]:
    setDebugging(True)
    yield
    setDebugging(False)


@pytest.mark.usefixtures("debugging")
def test_debugging_tells_where_a_lost_error_was_made_and_fired(caplog: pytest.LogCaptureFixture):
    def make() -> Deferred[int]:
        return Deferred()

    def fire(deferred: Deferred[int]) -> None:
        deferred.errback(Oops())

    assert getDebugging()
    fire(make())
    text = reports(caplog)[0].getMessage()
    made, fired = text.split("fired at")
    assert made.splitlines()[-2].endswith("in make")
    assert fired.splitlines()[-2].endswith("in fire")
    assert "ropewalk" not in text


@pytest.mark.usefixtures("debugging")
def test_debugging_tells_where_a_deferred_was_fired_before():
    deferred: Deferred[int] = Deferred()
    deferred.callback(1)
    with pytest.raises(AlreadyCalledError, match="fired at"):
        deferred.callback(2)


def test_debugging_is_off_at_first():
    assert not getDebugging()
    with pytest.raises(AlreadyCalledError, match="setDebugging"):
        succeed(1).callback(2)


# Reference cycles.


def use_callbacks() -> None:
    deferred: Deferred[int] = Deferred()
    deferred.addCallback(lambda n: n + 1).addTimeout(1, CLOCK)
    deferred.callback(1)


def use_a_canceller() -> None:
    deferred: Deferred[int] = Deferred(lambda d: d.callback(1))
    deferred.cancel()


def use_errors() -> None:
    succeed(1).addCallback(boom).addErrback(lambda f: f.trap(KeyError)).addErrback(lambda _: None)


def use_a_chain() -> None:
    chain = Forwarded()
    chain.inner.callback(1)


def use_a_coroutine() -> None:
    async def coroutine(deferred: Deferred[int]) -> int:
        return await deferred

    pending: Deferred[int] = Deferred()
    running = ensureDeferred(coroutine(pending))
    pending.callback(1)
    assert running.result == 1


def use_a_coroutine_that_fails() -> None:
    async def inner() -> None:
        await succeed(1).addCallback(boom)

    async def outer() -> str:
        try:
            await ensureDeferred(inner())
        except Oops:
            return "handled"
        return "never"

    ensureDeferred(outer())


def use_a_coroutine_that_is_failed_later() -> None:
    pending: list[Deferred[int]] = [Deferred()]

    async def coroutine() -> None:
        await pending[0]

    running = ensureDeferred(coroutine())
    pending.pop().errback(Oops())
    running.addErrback(lambda _: None)


def use_a_list() -> None:
    members: list[Deferred[int]] = [Deferred(), Deferred()]
    everything = gatherResults(members)
    members[0].callback(1)
    members[1].callback(2)
    assert everything.result == [1, 2]


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize(
    "use",
    [
        use_callbacks,
        use_a_canceller,
        use_errors,
        use_a_chain,
        use_a_coroutine,
        use_a_coroutine_that_fails,
        use_a_coroutine_that_is_failed_later,
        use_a_list,
    ],
)
def test_nothing_is_left_for_the_garbage_collector(use: Callable[[], None]):
    use()  # the first call may fill caches
    gc.collect()
    use()
    assert gc.collect() == 0


# Making Deferreds.


def test_execute_turns_a_call_into_a_deferred():
    assert outcome(execute(divmod, 7, 2)) == (3, 1)
    assert outcome(execute(boom)) == "Oops: boom"


def test_maybe_deferred_makes_one_of_whatever_happens():
    async def coroutine() -> str:
        return "awaited"

    pending: Deferred[int] = Deferred()
    assert outcome(maybeDeferred(divmod, 7, 2)) == (3, 1)
    assert outcome(maybeDeferred(boom)) == "Oops: boom"
    assert maybeDeferred(lambda: pending) is pending
    assert outcome(maybeDeferred(lambda: Failure(Oops("returned")))) == "Oops: returned"
    assert outcome(maybeDeferred(coroutine)) == "awaited"


def test_succeed_with_a_failure_fails():
    assert outcome(succeed(Failure(Oops("a")))) == "Oops: a"


def test_passthru_returns_what_it_gets():
    assert outcome(succeed(1).addBoth(passthru)) == 1


def test_the_traceback_of_a_failure_starts_in_the_program():
    for deferred in (succeed(1).addCallback(boom), execute(boom), maybeDeferred(boom)):
        frames = deferred.result.getBriefTraceback().splitlines()[1:]
        assert [frame.rsplit(":")[-1] for frame in frames] == ["boom"]
        deferred.addErrback(lambda _: None)


# Coroutines and generators.


def test_a_coroutine_runs_up_to_the_first_deferred_without_a_result():
    seen: list[object] = []

    async def coroutine() -> str:
        seen.append(await succeed(1))
        seen.append(await pending)
        return "done"

    pending: Deferred[int] = Deferred()
    running = ensureDeferred(coroutine())
    assert seen == [1]
    assert not running.called
    pending.callback(2)
    assert seen == [1, 2]
    assert outcome(running) == "done"


def test_an_error_is_raised_where_a_coroutine_awaits():
    async def coroutine(deferred: Deferred[Any]) -> str:
        try:
            await deferred
        except Oops as error:
            return f"caught {error}"
        return "never"

    pending: Deferred[int] = Deferred()
    running = ensureDeferred(coroutine(pending))
    pending.errback(Oops("late"))
    assert outcome(running) == "caught late"
    assert outcome(ensureDeferred(coroutine(fail(Oops("early"))))) == "caught early"


def test_what_a_coroutine_raises_is_the_error():
    async def coroutine() -> None:
        await succeed(1)
        boom()

    assert outcome(ensureDeferred(coroutine())) == "Oops: boom"


def test_the_traceback_shows_every_coroutine_that_waited():
    async def inner(deferred: Deferred[Any]) -> None:
        await deferred

    async def outer(deferred: Deferred[Any]) -> None:
        await ensureDeferred(inner(deferred))

    pending: Deferred[int] = Deferred()
    pending.addCallback(boom)
    running = ensureDeferred(outer(pending))
    pending.callback(1)
    text = running.result.getTraceback()
    assert text.index("in outer") < text.index("in inner") < text.index("in boom")
    assert outcome(running) == "Oops: boom"


def test_several_coroutines_may_await_one_deferred():
    async def coroutine(deferred: Deferred[Any]) -> Any:
        return await deferred

    shared: Deferred[int] = Deferred()
    running = [ensureDeferred(coroutine(shared)) for _ in range(2)]
    shared.callback(1)
    running.append(ensureDeferred(coroutine(shared)))
    assert [outcome(deferred) for deferred in running] == [1, 1, 1]


def test_several_coroutines_get_the_error_of_one_deferred():
    async def coroutine(deferred: Deferred[Any]) -> Any:
        return await deferred

    shared: Deferred[int] = Deferred()
    running = [ensureDeferred(coroutine(shared)) for _ in range(2)]
    shared.errback(Oops("a"))
    running.append(ensureDeferred(coroutine(shared)))
    assert [outcome(deferred) for deferred in running] == ["Oops: a"] * 3


def test_a_coroutine_may_await_the_same_deferred_twice():
    async def coroutine(deferred: Deferred[int]) -> tuple[int, int]:
        return await deferred, await deferred

    pending: Deferred[int] = Deferred()
    running = ensureDeferred(coroutine(pending))
    pending.callback(1)
    assert outcome(running) == (1, 1)


def test_awaiting_leaves_the_result_to_later_callbacks():
    async def coroutine(deferred: Deferred[int]) -> int:
        return await deferred

    pending: Deferred[int] = Deferred()
    running = ensureDeferred(coroutine(pending))
    pending.callback(1)
    assert (outcome(running), outcome(pending)) == (1, 1)


def test_a_paused_deferred_keeps_a_coroutine_waiting():
    async def coroutine(deferred: Deferred[int]) -> int:
        return await deferred

    paused = succeed(1)
    paused.pause()
    running = ensureDeferred(coroutine(paused))
    assert not running.called
    paused.unpause()
    assert outcome(running) == 1


def test_a_generator_goes_on_with_what_its_deferreds_bring():
    @inlineCallbacks
    def generator(first: int) -> Generator[Any, Any, list[Any]]:
        found: list[Any] = [first]
        found.append((yield succeed(2)))
        found.append((yield pending))
        found.append((yield "no Deferred"))
        try:
            yield fail(Oops("raised"))
        except Oops as error:
            found.append(str(error))
        return found

    pending: Deferred[int] = Deferred()
    running = generator(1)
    pending.callback(3)
    assert outcome(running) == [1, 2, 3, "no Deferred", "raised"]


def test_a_generator_may_yield_coroutines_and_generators():
    async def coroutine() -> str:
        return "coroutine"

    def plain() -> Generator[Any, Any, str]:
        yield succeed(1)
        return "generator"

    @inlineCallbacks
    def generator() -> Generator[Any, Any, list[Any]]:
        return [(yield coroutine()), (yield plain())]

    assert outcome(generator()) == ["coroutine", "generator"]


def test_a_generator_may_yield_from_a_deferred():
    waited = Deferred()

    @inlineCallbacks
    def main():
        first = yield from succeed(1)
        try:
            yield from fail(Oops("second"))
        except Oops as error:
            return [first, str(error), (yield from waited)]

    running = main()
    assert not has_outcome(running)
    waited.callback(3)
    assert outcome(running) == [1, "second", 3]


def test_return_value_ends_a_generator_with_that_result():
    @inlineCallbacks
    def main():
        yield succeed(None)
        helper()

    def helper():
        returnValue("done")

    assert outcome(main()) == "done"


def test_return_value_in_a_function_that_is_no_generator_is_refused():
    @inlineCallbacks
    def main():
        returnValue("done")

    with pytest.raises(TypeError, match="needs a function with a yield"):
        main()


def test_inline_callbacks_keeps_the_name_of_the_function():
    @inlineCallbacks
    def named() -> Generator[Any, Any, None]:
        """Documented."""
        yield

    assert (named.__name__, named.__doc__) == ("named", "Documented.")


def test_inline_callbacks_refuses_a_function_that_is_no_generator():
    @inlineCallbacks  # type: ignore[arg-type]
    def no_generator() -> int:
        return 5

    with pytest.raises(TypeError, match="needs a function with a yield"):
        no_generator()


def test_a_coroutine_that_returns_a_deferred_is_told_to_await_it():
    async def coroutine() -> Deferred[int]:
        return succeed(1)

    assert "await it" in outcome(ensureDeferred(coroutine()))


def test_ensure_deferred_returns_a_deferred_as_it_is():
    deferred: Deferred[int] = Deferred()
    assert ensureDeferred(deferred) is deferred


def test_ensure_deferred_refuses_what_is_no_coroutine():
    with pytest.raises(NotACoroutineError, match="5 is not a coroutine"):
        ensureDeferred(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["coroutine", "generator"])
def test_results_that_are_there_do_not_recurse(kind: str):
    async def coroutine() -> int:
        return sum([await succeed(1) for _ in range(MANY)])

    @inlineCallbacks
    def generator() -> Generator[Deferred[int], int, int]:
        total = 0
        for _ in range(MANY):
            total += yield succeed(1)
        return total

    running = ensureDeferred(coroutine()) if kind == "coroutine" else generator()
    assert outcome(running) == MANY


def test_coroutines_that_wait_for_each_other_do_not_recurse():
    async def coroutine(deferred: Deferred[int]) -> int:
        return await deferred + 1

    pending: Deferred[int] = Deferred()
    last = pending
    for _ in range(MANY):
        last = ensureDeferred(coroutine(last))
    pending.callback(0)
    assert outcome(last) == MANY


def test_a_coroutine_runs_in_a_context_of_its_own():
    variable = contextvars.ContextVar("variable", default="outside")

    async def coroutine() -> list[str]:
        found = [variable.get()]
        variable.set("inside")
        await pending
        found.append(variable.get())
        return found

    pending: Deferred[int] = Deferred()
    running = ensureDeferred(coroutine())
    assert variable.get() == "outside"
    pending.callback(1)
    assert outcome(running) == ["outside", "inside"]


def test_cancelling_a_coroutine_cancels_what_it_waits_for():
    cancelled: list[object] = []

    async def coroutine() -> None:
        await pending

    pending: Deferred[int] = Deferred(cancelled.append)
    running = ensureDeferred(coroutine())
    running.cancel()
    assert cancelled == [pending]
    assert outcome(running) == "CancelledError: "


def test_a_coroutine_may_go_on_after_a_cancellation_and_be_cancelled_again():
    async def coroutine() -> str:
        with pytest.raises(CancelledError):
            await first
        try:
            await second
        except CancelledError:
            return "cancelled twice"
        return "never"

    first: Deferred[int] = Deferred()
    second: Deferred[int] = Deferred()
    running = ensureDeferred(coroutine())
    running.cancel()
    assert not running.called
    running.cancel()
    assert outcome(running) == "cancelled twice"


def test_cancelling_reaches_through_generators_that_wait_for_each_other():
    @inlineCallbacks
    def inner() -> Generator[Deferred[int], int, int]:
        return (yield pending)

    @inlineCallbacks
    def outer() -> Generator[Deferred[int], int, int]:
        return (yield inner())

    pending: Deferred[int] = Deferred()
    running = outer()
    running.cancel()
    assert pending.called
    assert outcome(running) == "CancelledError: "


def test_a_coroutine_that_cancels_itself_gets_it_where_it_waits_next():
    running: list[Deferred[Any]] = []

    async def coroutine() -> None:
        await first
        running[0].cancel()
        await second

    first: Deferred[int] = Deferred()
    second: Deferred[int] = Deferred()
    running.append(ensureDeferred(coroutine()))
    first.callback(1)
    assert outcome(running[0]) == "CancelledError: "


def test_a_timeout_ends_a_coroutine():
    async def coroutine() -> None:
        await pending

    clock = Clock()
    pending: Deferred[int] = Deferred()
    running = ensureDeferred(coroutine()).addTimeout(5, clock)
    clock.advance(5)
    assert outcome(running).startswith("TimeoutError")


def test_cancelling_a_coroutine_that_has_ended_does_nothing():
    async def coroutine() -> int:
        return 1

    running = ensureDeferred(coroutine())
    running.cancel()
    assert outcome(running) == 1


# asyncio.


def test_importing_defer_imports_nothing_slow_and_no_reactor():
    check = (
        "import sys, ropewalk.internet.defer as defer; defer.succeed(1); "
        "print({'asyncio', 'logging', 'traceback', 'ropewalk.internet.reactor'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True)
    assert ran.stdout == "set()\n"


def test_an_asyncio_task_may_await_a_deferred():
    async def main() -> list[object]:
        loop = asyncio.get_running_loop()
        later, failing = Deferred[int](), Deferred[int]()
        loop.call_soon(later.callback, 2)
        loop.call_soon(failing.errback, Oops("late"))
        found: list[object] = [await succeed(1), await later]
        try:
            await failing
        except Oops as error:
            found.append(str(error))
        return found

    assert asyncio.run(main()) == [1, 2, "late"]


def test_asyncio_helpers_take_deferreds():
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        first, second = Deferred[int](), Deferred[int]()
        loop.call_soon(second.callback, 2)
        loop.call_soon(first.callback, 1)
        return list(await asyncio.gather(first, second, asyncio.wait_for(second, 10)))

    assert asyncio.run(main()) == [1, 2, 2]


def test_an_asyncio_task_gets_the_outcome_that_there_was_when_it_was_awaited():
    async def main() -> int:
        deferred: Deferred[int] = Deferred()
        task = asyncio.ensure_future(deferred)
        await asyncio.sleep(0)
        deferred.addCallback(lambda _: None)
        deferred.callback(1)
        return await task

    assert asyncio.run(main()) == 1


def test_cancelling_an_asyncio_task_cancels_the_deferred_it_awaits():
    async def main() -> None:
        deferred: Deferred[int] = Deferred()
        task = asyncio.ensure_future(deferred)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert deferred.called

    asyncio.run(main())


def test_cancelling_an_asyncio_task_after_the_deferred_fired_cancels_the_task():
    async def main() -> bool:
        deferred: Deferred[int] = Deferred()
        task = asyncio.ensure_future(deferred)
        await asyncio.sleep(0)
        deferred.callback(1)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(main())


def test_a_cancelled_deferred_is_an_error_of_the_asyncio_task():
    async def main() -> None:
        deferred: Deferred[int] = Deferred()
        task = asyncio.ensure_future(deferred)
        await asyncio.sleep(0)
        deferred.cancel()
        with pytest.raises(CancelledError):
            await task

    asyncio.run(main())


def test_a_timeout_of_asyncio_ends_the_wait_for_a_deferred():
    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(Deferred[int](), 0.001)

    asyncio.run(main())


def test_a_coroutine_run_by_ensure_deferred_waits_while_an_asyncio_loop_runs():
    async def coroutine(deferred: Deferred[int]) -> int:
        return await deferred + 1

    async def main() -> int:
        pending: Deferred[int] = Deferred()
        running = ensureDeferred(coroutine(pending))
        pending.callback(1)
        return await running

    assert asyncio.run(main()) == 2


def test_a_coroutine_run_by_ensure_deferred_may_await_futures_and_tasks_of_the_loop_that_runs():
    async def coroutine() -> list[str]:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, ValueError("wrong"))
        said = [await asyncio.sleep(0.001, "slept"), await asyncio.create_task(asyncio.sleep(0, "a task"))]
        with pytest.raises(ValueError, match="wrong"):
            await future
        return said

    async def main() -> list[str]:
        return await ensureDeferred(coroutine())

    assert asyncio.run(main()) == ["slept", "a task"]


def test_cancelling_a_coroutine_cancels_the_asyncio_future_it_awaits():
    async def main() -> bool:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def coroutine() -> None:
            await future

        deferred = ensureDeferred(coroutine())
        deferred.cancel()
        with pytest.raises(CancelledError):
            await deferred
        return future.cancelled()

    assert asyncio.run(main())


def test_awaiting_an_asyncio_future_whose_loop_does_not_run_here_is_an_error():
    async def coroutine(loop: asyncio.AbstractEventLoop) -> None:
        await loop.create_future()

    loop = asyncio.new_event_loop()
    assert "asyncioreactor" in str(outcome(ensureDeferred(coroutine(loop))))
    loop.close()


def test_as_future_gives_the_outcome_to_asyncio():
    async def main() -> list[object]:
        loop = asyncio.get_running_loop()
        deferred: Deferred[int] = Deferred()
        future = deferred.asFuture(loop)
        deferred.callback(1)
        found: list[object] = [await future, outcome(deferred)]
        try:
            await fail(Oops("a")).asFuture(loop)
        except Oops as error:
            found.append(str(error))
        return found

    assert asyncio.run(main()) == [1, None, "a"]


def test_cancelling_the_future_of_a_deferred_cancels_the_deferred():
    async def main() -> None:
        deferred: Deferred[int] = Deferred()
        future = deferred.asFuture(asyncio.get_running_loop())
        future.cancel()
        await asyncio.sleep(0)
        assert deferred.called
        assert outcome(deferred) is None

    asyncio.run(main())


def test_from_future_gives_the_outcome_to_a_deferred():
    async def main() -> list[object]:
        loop = asyncio.get_running_loop()
        good, bad = loop.create_future(), loop.create_future()
        deferreds = [Deferred.fromFuture(good), Deferred.fromFuture(bad)]
        good.set_result(1)
        bad.set_exception(Oops("a"))
        await asyncio.sleep(0)
        return [outcome(deferred) for deferred in deferreds]

    assert asyncio.run(main()) == [1, "Oops: a"]


def test_cancelling_the_deferred_of_a_future_cancels_the_future():
    async def main() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        deferred = Deferred.fromFuture(future)
        deferred.cancel()
        assert future.cancelled()
        await asyncio.sleep(0)
        assert outcome(deferred) == "CancelledError: "

    asyncio.run(main())


def test_a_task_that_refuses_to_be_cancelled_gives_its_result_to_the_deferred():
    async def refuse() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "refused"
        return "never"

    async def main() -> str:
        task = asyncio.ensure_future(refuse())
        deferred = Deferred.fromFuture(task)
        await asyncio.sleep(0)
        deferred.cancel()
        assert not deferred.called
        return await deferred

    assert asyncio.run(main()) == "refused"


# Several Deferreds.


def test_a_deferred_list_has_all_outcomes_in_order():
    first, second = Deferred[int](), Deferred[int]()
    everything = DeferredList([first, second, succeed(3)])
    second.callback(2)
    assert not everything.called
    first.callback(1)
    assert outcome(everything) == [(True, 1), (True, 2), (True, 3)]


def test_a_deferred_list_tells_errors_from_results():
    [(good, _), (bad, failure)] = outcome(DeferredList([succeed(1), fail(Oops("a"))], consumeErrors=True))
    assert (good, bad, message(failure)) == (True, False, "Oops: a")


def test_an_empty_deferred_list_fires_at_once_unless_it_needs_one_result():
    assert outcome(DeferredList([])) == []
    assert not DeferredList([], fireOnOneCallback=True).called


def test_a_deferred_list_may_fire_on_the_first_result():
    first, second = Deferred[int](), Deferred[int]()
    any_of_them = DeferredList([first, second], fireOnOneCallback=True)
    second.callback(2)
    assert outcome(any_of_them) == (2, 1)
    first.callback(1)
    assert outcome(first) == 1


def test_a_deferred_list_may_fail_on_the_first_error():
    first, second = Deferred[int](), Deferred[int]()
    everything = DeferredList([first, second], fireOnOneErrback=True, consumeErrors=True)
    second.errback(Oops("a"))
    error = everything.result.value
    everything.addErrback(lambda _: None)
    assert isinstance(error, FirstError)
    assert (error.index, message(error.subFailure)) == (1, "Oops: a")
    assert isinstance(error.__cause__, Oops)


def test_errors_pass_through_a_deferred_list_that_does_not_consume_them():
    failing = fail(Oops("a"))
    DeferredList([failing])
    assert outcome(failing) == "Oops: a"


def test_consumed_errors_are_none_afterwards():
    failing = fail(Oops("a"))
    DeferredList([failing], consumeErrors=True)
    assert outcome(failing) is None


def test_cancelling_a_deferred_list_cancels_them_all(caplog: pytest.LogCaptureFixture):
    def raising(_: object) -> None:
        raise Oops("canceller")

    first, second = Deferred[int](raising), Deferred[int]()
    everything = DeferredList([first, second], consumeErrors=True)
    everything.cancel()
    assert second.called
    [record] = reports(caplog)
    assert record.exc_info is not None
    assert record.exc_info[0] is Oops
    first.callback(1)
    assert outcome(everything)[0] == (True, 1)


def test_cancelling_a_deferred_list_that_has_fired_does_nothing():
    first, second = Deferred[int](), Deferred[int]()
    any_of_them = DeferredList([first, second], fireOnOneCallback=True)
    first.callback(1)
    any_of_them.cancel()
    assert not second.called


def test_gather_results_has_the_results():
    first = Deferred[int]()
    everything = gatherResults([first, succeed(2)])
    first.callback(1)
    assert outcome(everything) == [1, 2]


def test_gather_results_fails_with_the_first_error():
    everything = gatherResults([succeed(1), fail(Oops("a"))], consumeErrors=True)
    assert everything.result.check(FirstError)
    assert outcome(everything).startswith("FirstError: FirstError[#1, [Failure instance: ")


def test_cancelling_gathered_results_cancels_them_all():
    members: list[Deferred[int]] = [Deferred(), Deferred()]
    everything = gatherResults(members, consumeErrors=True)
    everything.cancel()
    assert [member.called for member in members] == [True, True]
    assert repr(everything.result.value) == "FirstError[#0, CancelledError()]"
    everything.addErrback(lambda _: None)


# Any chain gives what the model gives.

ACTIONS = ("value", "raise", "failure", "fired", "failing", "later", "later failing")
Step = tuple[str, str, int]
Outcome = tuple[bool, int]
KINDS = ("callback", "errback", "both")
STEPS = st.tuples(st.sampled_from(KINDS), st.sampled_from(ACTIONS), st.integers(0, 9))


def model(steps: list[Step], start: Outcome) -> Outcome:
    """The documented rule: what a callback makes of the outcome is the outcome."""
    good, value = start
    for kind, action, number in steps:
        if kind == "both" or kind == ("callback" if good else "errback"):
            good, value = action in ("value", "fired", "later"), value + number
    return good, value


def perform(action: str, value: int, pending: list[Callable[[], None]]) -> Any:
    if action == "value":
        return value
    if action == "raise":
        raise Oops(value)
    if action == "failure":
        return Failure(Oops(value))
    if action == "fired":
        return succeed(value)
    if action == "failing":
        return fail(Oops(value))
    later: Deferred[int] = Deferred()
    pending.append(lambda: later.callback(value) if action == "later" else later.errback(Oops(value)))
    return later


def value_of(outcome: Any) -> int:
    return int(outcome.value.args[0]) if isinstance(outcome, Failure) else outcome


def fire(deferred: Deferred[int], start: Outcome) -> None:
    if start[0]:
        deferred.callback(start[1])
    else:
        deferred.errback(Oops(start[1]))


@given(
    steps=st.lists(STEPS, max_size=12),
    start=st.tuples(st.booleans(), st.integers(0, 9)),
    fired_after=st.integers(0, 12),
    nested=st.booleans(),
)
def test_any_chain_of_callbacks_gives_what_the_model_gives(
    steps: list[Step], start: Outcome, fired_after: int, nested: bool
):
    pending: list[Callable[[], None]] = []
    deferred: Deferred[Any] = Deferred()
    for index, (kind, action, number) in enumerate(steps):
        if index == fired_after:
            fire(deferred, start)

        def step(before: Any, action: str = action, number: int = number) -> Any:
            return perform(action, value_of(before) + number, pending)

        {"callback": deferred.addCallback, "errback": deferred.addErrback}.get(kind, deferred.addBoth)(step)
    if fired_after >= len(steps):
        fire(deferred, start)
    last: Deferred[Any] = succeed(None).addCallback(lambda _: deferred) if nested else deferred
    while pending:
        pending.pop(0)()
    found: list[Outcome] = []
    last.addCallbacks(lambda v: found.append((True, v)), lambda f: found.append((False, value_of(f))))
    assert found == [model(steps, start)]


def test_the_names_that_are_exported_are_there():
    assert all(hasattr(defer, name) for name in defer.__all__)
