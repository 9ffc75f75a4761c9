"""Several Deferreds as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from ropewalk.internet.deferred import CancelledError, Deferred
from ropewalk.internet.running import PENDING
from ropewalk.internet.unhandled import log

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ropewalk.internet.failure import Failure

T = TypeVar("T")
U = TypeVar("U")

if TYPE_CHECKING:
    _Outcomes = list[tuple[Literal[True], T] | tuple[Literal[False], Failure[Any]]]


class FirstError(Exception):
    """The first of several Deferreds to fail did. subFailure: its Failure; index: its place among them."""

    def __init__(self, failure: Failure[Any], index: int) -> None:
        super().__init__(failure, index)
        self.subFailure = failure
        self.index = index
        self.__cause__ = failure.value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FirstError):
            return NotImplemented
        return (self.subFailure, self.index) == (other.subFailure, other.index)

    def __hash__(self) -> int:
        return hash((self.subFailure, self.index))

    def __repr__(self) -> str:
        return f"FirstError[#{self.index}, {self.subFailure.value!r}]"

    def __str__(self) -> str:
        return f"FirstError[#{self.index}, {self.subFailure}]"


class DeferredList(Deferred[T]):
    """A Deferred for the outcomes of several others; Twisted's documented DeferredList.

    Its result is a list of (True, result) or (False, Failure), in the order of the Deferreds. Cancelling
    it before it has fired cancels them all.
    """

    __slots__ = ("_consume", "_members", "_missing", "_on_one_callback", "_on_one_errback", "_outcomes")

    @overload
    def __init__(
        self: DeferredList[_Outcomes[U]],
        deferredList: Iterable[Deferred[U]],
        fireOnOneCallback: Literal[False] = False,
        fireOnOneErrback: bool = False,
        consumeErrors: bool = False,
    ) -> None: ...
    @overload
    def __init__(
        self: DeferredList[tuple[U, int]],
        deferredList: Iterable[Deferred[U]],
        fireOnOneCallback: Literal[True],
        fireOnOneErrback: bool = False,
        consumeErrors: bool = False,
    ) -> None: ...

    def __init__(
        self,
        deferredList: Iterable[Deferred[Any]],
        fireOnOneCallback: bool = False,
        fireOnOneErrback: bool = False,
        consumeErrors: bool = False,
    ) -> None:
        """Wait for all of `deferredList`; callbacks are added to them.

        fireOnOneCallback: fire with (result, index) as soon as one has a result.
        fireOnOneErrback: fail with FirstError as soon as one fails.
        consumeErrors: errors end here, and are None for callbacks that are added to the Deferreds later.
        """
        super().__init__()
        self._members = list(deferredList)
        self._missing = len(self._members)
        self._outcomes: list[Any] = [None] * self._missing
        self._on_one_callback = fireOnOneCallback
        self._on_one_errback = fireOnOneErrback
        self._consume = consumeErrors
        if not self._members and not fireOnOneCallback:
            self.callback([])  # type: ignore[arg-type]
        for index, member in enumerate(self._members):
            member.addCallbacks(self._arrived, self._arrived, (index, True), None, (index, False))

    def _arrived(self, outcome: Any, index: int, succeeded: bool) -> Any:
        self._outcomes[index] = (succeeded, outcome)
        self._missing -= 1
        if self._state is PENDING:
            self._fire_if_due(outcome, index, succeeded)
        return outcome if succeeded or not self._consume else None

    def _fire_if_due(self, outcome: Any, index: int, succeeded: bool) -> None:
        if succeeded and self._on_one_callback:
            self.callback((outcome, index))  # type: ignore[arg-type]
        elif self._on_one_errback and not succeeded:
            self.errback(FirstError(outcome, index))
        elif not self._missing:
            self.callback(self._outcomes)  # type: ignore[arg-type]

    def _cancel(self) -> None:
        if self._state is not PENDING:
            return
        _cancel(self._members)


def gatherResults(deferredList: Iterable[Deferred[T]], consumeErrors: bool = False) -> Deferred[list[T]]:
    """Return a Deferred for the list of the results of `deferredList`.

    It fails with FirstError as soon as one of them fails. Cancelling it cancels them all. consumeErrors: as
    DeferredList has it.
    """
    outcomes = DeferredList(deferredList, fireOnOneErrback=True, consumeErrors=consumeErrors)
    return outcomes.addCallback(_values)


def _values(outcomes: list[Any]) -> list[Any]:
    return [value for _, value in outcomes]


class FailureGroup(Exception):
    """Several Deferreds failed. failures: their Failures, in the order of the Deferreds."""

    def __init__(self, failures: Sequence[Failure[Any]]) -> None:
        super().__init__(failures)
        self.failures = failures

    def __str__(self) -> str:
        return f"{len(self.failures)} failed: " + "; ".join(repr(failure.value) for failure in self.failures)


class _RaceCancelled(FailureGroup, CancelledError):
    """All failed because the race was cancelled. Twisted has only the first of these two, but addTimeout
    asks for the second."""


def race(ds: Iterable[Deferred[T]]) -> Deferred[tuple[int, T]]:
    """Return a Deferred for the first result of `ds`, whose others are then cancelled; Twisted's documented race.

    Its result is (place among `ds`, result). It fails with FailureGroup when all of them have failed, and at once when
    there are none. Cancelling it cancels them all; its error is then a CancelledError, and a FailureGroup too if all of
    them fail. The results and errors of the others are dropped.
    """
    members = list(ds)
    failures: dict[int, Failure[Any]] = {}
    won = cancelled = False

    def succeeded(result: T, index: int) -> None:
        nonlocal won
        if won or first.called:
            return
        won = True   # a canceller may give a result, too
        _cancel(member for member in members if member is not members[index])
        first.callback((index, result))

    def failed(failure: Failure[Any], index: int) -> None:
        failures[index] = failure
        if len(failures) == len(members) and not first.called:
            kind = _RaceCancelled if cancelled else FailureGroup
            first.errback(kind([failures[index] for index in range(len(members))]))

    def cancel(_: Deferred[Any]) -> None:
        nonlocal cancelled
        cancelled = True
        _cancel(members)

    first: Deferred[tuple[int, T]] = Deferred(cancel)
    for index, member in enumerate(members):
        member.addCallbacks(succeeded, failed, (index,), None, (index,))
    if not members:
        first.errback(FailureGroup([]))
    return first


def _cancel(members: Iterable[Deferred[Any]]) -> None:
    """Cancel each; a canceller that raises keeps none of the others from it."""
    for member in members:
        try:
            member.cancel()
        except Exception:
            log().exception("A canceller raised an error: cancelling %r", member)
