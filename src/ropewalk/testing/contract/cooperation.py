"""Work in small pieces on the reactor's own time, and a lock between processes that is waited for on it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from ropewalk.internet import task
from ropewalk.internet.defer import Deferred, DeferredFilesystemLock, TimeoutError
from ropewalk.testing.contract import behaviour
from ropewalk.testing.rig import Rig, raises


@behaviour
def iterators_take_their_steps_in_turns_until_all_are_done(rig: Rig) -> None:
    steps: list[str] = []

    def stepping(name: str) -> Iterator[None]:
        for number in range(3):
            steps.append(f"{name}{number}")
            yield

    async def scenario() -> None:
        work = [stepping(name) for name in "abc"]
        tasks = [task.cooperate(one) for one in work]
        assert not steps
        assert [await running.whenDone() for running in tasks] == work

    rig.play(scenario)
    assert steps == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]
    assert not rig.reactor.getDelayedCalls()


@behaviour
def work_that_never_ends_leaves_the_reactor_its_turns(rig: Rig) -> None:
    reactor = rig.reactor
    one, other = rig.socket_pair()
    arrived: Deferred[bytes] = Deferred()

    class Reader:
        """Takes what arrives at one end of the pair."""

        def fileno(self) -> int:
            return one.fileno()

        def doRead(self) -> None:
            reactor.removeReader(self)
            arrived.callback(one.recv(10))

        def connectionLost(self, reason: object) -> None:
            """It is the rig that closes the socket."""

        def logPrefix(self) -> str:
            return "Reader"

    def forever() -> Iterator[None]:
        while True:
            yield

    async def scenario() -> None:
        working = task.cooperate(forever())
        ended = working.whenDone().addErrback(lambda failure: failure.trap(task.TaskStopped))
        reactor.addReader(Reader())
        await task.deferLater(reactor, 0.03, other.send, b"hello")
        assert await arrived == b"hello"
        working.stop()
        await ended

    rig.play(scenario)
    assert not reactor.getDelayedCalls()


@behaviour
def an_iterator_waits_for_what_it_yields(rig: Rig) -> None:
    seen: list[str] = []

    def waiting() -> Iterator[Deferred[None]]:
        yield task.deferLater(rig.reactor, 0.01, seen.append, "waited")
        seen.append("went on")

    rig.play(lambda: _end_of(task.cooperate(waiting())))
    assert seen == ["waited", "went on"]


async def _end_of(running: task.CooperativeTask[Any]) -> None:
    await running.whenDone()


@behaviour
def an_iterator_that_is_paused_takes_no_step_until_it_is_resumed(rig: Rig) -> None:
    steps: list[int] = []

    async def scenario() -> None:
        running = task.cooperate(iter(map(steps.append, range(3))))
        running.pause()
        await task.deferLater(rig.reactor, 0.01)
        assert not steps
        running.resume()
        await running.whenDone()

    rig.play(scenario)
    assert steps == [0, 1, 2]


@behaviour
def work_that_was_left_when_the_reactor_stopped_goes_on_when_it_runs_again(rig: Rig) -> None:
    steps: list[int] = []
    started: list[Deferred[Any]] = []
    held: Deferred[None] = Deferred()

    def stepping() -> Iterator[Deferred[None]]:
        steps.append(1)
        rig.reactor.stop()
        yield held
        steps.append(2)

    rig.reactor.callWhenRunning(lambda: started.append(task.coiterate(stepping())))
    rig.run()
    assert steps == [1]
    rig.reactor.callWhenRunning(held.callback, None)
    rig.run_until(started[0])
    assert steps == [1, 2]


@behaviour
def a_cooperator_that_is_stopped_fails_the_work_that_waits_for_it(rig: Rig) -> None:
    async def scenario() -> None:
        cooperator = task.Cooperator()
        never: Deferred[None] = Deferred()
        left = cooperator.coiterate(iter([never]))
        await task.deferLater(rig.reactor, 0.01)
        cooperator.stop()
        with raises(task.SchedulerStopped):
            await left
        with raises(task.SchedulerStopped):
            await cooperator.coiterate(iter([1]))

    rig.play(scenario)


_HOLD = """
import contextlib, os, sys
path = sys.argv[1]
with contextlib.suppress(OSError):
    os.symlink(str(os.getpid()), path)
if not os.path.lexists(path):   # no links here, though Wine says nothing
    os.mkdir(path)
    with open(os.path.join(path, "symlink"), "w") as file:
        file.write(str(os.getpid()))
print("held", flush=True)
sys.stdin.read()
"""


def _holder(rig: Rig, path: str) -> subprocess.Popen[bytes]:
    """A process that holds the lock until the behaviour is over, or it is killed."""
    made = subprocess.Popen([sys.executable, "-c", _HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder: subprocess.Popen[bytes] = rig.keep(made)
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == b"held"
    return holder


@behaviour
def waiting_for_a_lock_that_another_process_keeps_ends_with_the_timeout(rig: Rig) -> None:
    path = os.path.join(rig.keep(tempfile.TemporaryDirectory()), "lock")
    _holder(rig, path)

    async def scenario() -> None:
        lock = DeferredFilesystemLock(path)
        with raises(TimeoutError):
            await lock.deferUntilLocked(timeout=0.02)
        assert not lock.locked

    rig.play(scenario)
    assert not rig.reactor.getDelayedCalls()


@behaviour
def a_lock_of_a_process_that_is_killed_is_taken_over(rig: Rig) -> None:
    path = os.path.join(rig.keep(tempfile.TemporaryDirectory()), "lock")
    holder = _holder(rig, path)

    async def scenario() -> None:
        lock = DeferredFilesystemLock(path)
        wanted = lock.deferUntilLocked()
        assert not wanted.called
        holder.kill()
        holder.communicate()
        await wanted
        assert lock.clean is False
        lock.unlock()

    rig.play(scenario)
    assert not rig.reactor.getDelayedCalls()
