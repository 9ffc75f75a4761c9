"""Cooperator: long work in small pieces, with the reactor's own work between them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from enum import Enum
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary, ref

from ropewalk.internet.base import current
from ropewalk.internet.deferred import Deferred
from ropewalk.internet.failure import Failure

if TYPE_CHECKING:
    from ropewalk.core.reactor import Reactor

Work = TypeVar("Work", bound=Iterator[Any])

_SLICE = 0.01   # seconds of work between two turns of the reactor


class SchedulerError(Exception):
    """What was asked of a cooperator or a task does not fit its state."""


class SchedulerStopped(SchedulerError):
    """The cooperator of the task was stopped."""


class TaskFinished(SchedulerError):
    """The task has ended."""


class TaskDone(TaskFinished):
    """The task has done all its work."""


class TaskStopped(TaskFinished):
    """The task was stopped."""


class TaskFailed(TaskFinished):
    """The task has failed."""


class NotPaused(SchedulerError):
    """A task was to be resumed that is not paused."""


class CooperativeTask(Generic[Work]):
    """An iterator whose steps a Cooperator takes; made by Cooperator.cooperate, as Twisted documents it."""

    def __init__(self, iterator: Work, cooperator: Cooperator) -> None:
        self._iterator = iterator
        self._cooperator = cooperator
        self._pauses = 0
        self._awaits = False   # a Deferred that the iterator yielded
        self._end: type[SchedulerError] | None = None
        self._outcome: Work | Failure[Any] | None = None
        self._to_tell: list[Deferred[Any]] = []
        cooperator._take_in(self)

    def whenDone(self) -> Deferred[Work]:
        """Return a new Deferred that fires with the iterator when that is exhausted.

        It fails with what the iterator raises or a Deferred that it yields fails with, with TaskStopped after stop(),
        with SchedulerStopped when the cooperator is stopped.
        """
        done: Deferred[Work] = Deferred()
        if self._end is None:
            self._to_tell.append(done)
        else:
            done.callback(self._outcome)  # type: ignore[arg-type]
        return done

    def pause(self) -> None:
        """Take no step until resume() was called as often as pause(). Raises, for a task that has ended, what stop()
        raises.
        """
        self._check()
        self._pauses += 1
        self._cooperator._set_aside(self)

    def resume(self) -> None:
        """Take one pause() back. Raises NotPaused when there is none."""
        if not self._pauses:
            raise NotPaused(f"{self!r} cannot be resumed: it is not paused")
        self._pauses -= 1
        self._go_on()

    def stop(self) -> None:
        """Take no step any more. Raises TaskDone, TaskFailed, TaskStopped or SchedulerStopped: how the task has ended,
        if it has.
        """
        self._check()
        self._finish(TaskStopped, Failure(TaskStopped(f"{self!r} was stopped")))

    def _check(self) -> None:
        if self._end is not None:
            raise self._end(f"{self!r} has ended")

    def _is_ready(self) -> bool:
        return self._end is None and not self._pauses and not self._awaits

    def _go_on(self) -> None:
        if self._is_ready():
            self._cooperator._line_up(self)

    def _step(self) -> None:
        try:
            made = next(self._iterator)
        except StopIteration:
            if self._end is None:
                self._finish(TaskDone, self._iterator)
        except BaseException:
            if self._end is not None:
                raise  # it has stopped itself; nobody else would hear of this
            self._finish(TaskFailed, Failure())
        else:
            if isinstance(made, Deferred) and self._end is None:
                self._wait_for(made)

    def _wait_for(self, deferred: Deferred[Any]) -> None:
        self._awaits = True
        self._cooperator._set_aside(self)
        deferred.addCallbacks(self._arrived, self._failed)

    def _arrived(self, _: object) -> None:
        self._awaits = False
        self._go_on()

    def _failed(self, failure: Failure[Any]) -> Failure[Any] | None:
        if self._end is not None:
            return failure
        self._finish(TaskFailed, failure)
        return None

    def _finish(self, end: type[SchedulerError], outcome: Work | Failure[Any]) -> None:
        self._end = end
        self._outcome = outcome
        self._cooperator._forget(self)
        to_tell, self._to_tell = self._to_tell, []
        for done in to_tell:
            done.callback(outcome)

    def __repr__(self) -> str:
        return f"<CooperativeTask of {self._iterator!r}>"


class _State(Enum):
    """Where a cooperator stands."""

    HELD = "not started yet: tasks are taken in, and wait"
    RUNNING = "tasks are worked on"
    STOPPED = "tasks are refused"


def _time_slice() -> Callable[[], bool]:
    end = monotonic() + _SLICE
    return lambda: monotonic() >= end


def _next_turn(call: Callable[[], None]) -> Any:
    return current().callLater(0, call)


class Cooperator:
    """Takes the steps of iterators in turns, some in every turn of the reactor; Twisted's documented Cooperator.

    An iterator does a little work in each step, so that neither the reactor nor the other iterators wait for long. One
    that yields a Deferred goes on when that has fired.
    """

    def __init__(
        self,
        terminationPredicateFactory: Callable[[], Callable[[], bool]] = _time_slice,
        scheduler: Callable[[Callable[[], None]], Any] = _next_turn,
        started: bool = True,
    ) -> None:
        """terminationPredicateFactory: called at the beginning of a turn; what it returns is called after each step,
        and ends the turn when it returns true. Without it, a turn takes 10 milliseconds. scheduler: called with a
        function that it is to call later; returns an object with cancel(). Without it, the reactor that runs in this
        thread, else the installed one, calls at its next turn. started: whether work begins before start().
        """
        self._new_limit = terminationPredicateFactory
        self._schedule = scheduler
        self._state = _State.RUNNING if started else _State.HELD
        self._tasks: dict[CooperativeTask[Any], None] = {}   # all that have not ended
        self._line: OrderedDict[CooperativeTask[Any], None] = OrderedDict()   # those to work on, the next one first
        self._turn: Any = None   # the next one, if it is scheduled

    @property
    def running(self) -> bool:
        """Whether tasks are worked on: it was started, and not stopped since."""
        return self._state is _State.RUNNING

    def cooperate(self, iterator: Work) -> CooperativeTask[Work]:
        """Take the steps of `iterator` from now on; returns its task. A stopped cooperator fails that at once."""
        return CooperativeTask(iterator, self)

    def coiterate(self, iterator: Work, doneDeferred: Deferred[Work] | None = None) -> Deferred[Work]:
        """As cooperate(), but returns a Deferred of the task's end, as its whenDone(): `doneDeferred` if given."""
        done = self.cooperate(iterator).whenDone()
        if doneDeferred is None:
            return done
        done.chainDeferred(doneDeferred)
        return doneDeferred

    def start(self) -> None:
        """Begin to work, or take tasks again after stop()."""
        self._state = _State.RUNNING
        self._see_to_turn()

    def stop(self) -> None:
        """Fail all tasks that have not ended, also those that pause or wait for a Deferred, with SchedulerStopped."""
        self._state = _State.STOPPED
        for task in list(self._tasks):
            if task._end is None:
                self._refuse(task)

    def _take_in(self, task: CooperativeTask[Any]) -> None:
        if self._state is _State.STOPPED:
            self._refuse(task)
            return
        self._tasks[task] = None
        self._line_up(task)

    def _refuse(self, task: CooperativeTask[Any]) -> None:
        task._finish(SchedulerStopped, Failure(SchedulerStopped("the cooperator was stopped")))

    def _line_up(self, task: CooperativeTask[Any]) -> None:
        self._line[task] = None
        self._see_to_turn()

    def _set_aside(self, task: CooperativeTask[Any]) -> None:
        self._line.pop(task, None)
        self._see_to_turn()

    def _forget(self, task: CooperativeTask[Any]) -> None:
        self._tasks.pop(task, None)
        self._set_aside(task)

    def _see_to_turn(self) -> None:
        """A turn is scheduled exactly when there is work for it."""
        wanted = bool(self._line) and self.running
        if wanted and self._turn is None:
            self._turn = self._schedule(self._take_turn)
        elif not wanted and self._turn is not None:
            turn, self._turn = self._turn, None
            turn.cancel()

    def _take_turn(self) -> None:
        self._turn = None
        is_over = self._new_limit()
        try:
            while self._line:
                # Out of the line while at work: if that runs a host's loop, the turn in there must not enter it again.
                task, _ = self._line.popitem(last=False)
                task._step()
                if task._is_ready():
                    self._line[task] = None
                if is_over():
                    break
        finally:
            self._see_to_turn()


# One for each reactor: several may run, each in a thread of its own.
_cooperators: WeakKeyDictionary[Reactor, Cooperator] = WeakKeyDictionary()


def _common() -> Cooperator:
    """The cooperator of the reactor that runs in this thread, else of the installed one."""
    reactor = current()
    found = _cooperators.get(reactor)
    if found is None:
        here = ref(reactor)   # a dictionary holds its values, which must not hold the key
        found = Cooperator(scheduler=lambda call: (here() or current()).callLater(0, call))
        _cooperators[reactor] = found
    return found


def cooperate(iterator: Work) -> CooperativeTask[Work]:
    """Cooperator.cooperate of a cooperator that is always there: that of the reactor that runs in this thread, else of
    the installed one.
    """
    return _common().cooperate(iterator)


def coiterate(iterator: Work) -> Deferred[Work]:
    """Cooperator.coiterate of the cooperator that cooperate() uses."""
    return _common().coiterate(iterator)
