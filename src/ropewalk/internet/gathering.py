"""Several Deferreds as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from ropewalk.internet.deferred import Deferred
from ropewalk.internet.running import PENDING
from ropewalk.internet.unhandled import log

if TYPE_CHECKING:
    from collections.abc import Iterable

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
        for member in self._members:
            try:
                member.cancel()
            except Exception:
                log().exception("A canceller raised an error: DeferredList, cancelling %r", member)


def gatherResults(deferredList: Iterable[Deferred[T]], consumeErrors: bool = False) -> Deferred[list[T]]:
    """Return a Deferred for the list of the results of `deferredList`.

    It fails with FirstError as soon as one of them fails. Cancelling it cancels them all. consumeErrors: as
    DeferredList has it.
    """
    outcomes = DeferredList(deferredList, fireOnOneErrback=True, consumeErrors=consumeErrors)
    return outcomes.addCallback(_values)


def _values(outcomes: list[Any]) -> list[Any]:
    return [value for _, value in outcomes]
