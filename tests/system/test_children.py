"""Many children at once, in every way of watching them, in any thread, beside children of subprocess: none is lost."""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ropewalk.core import choose
from ropewalk.internet import error
from ropewalk.internet.defer import gatherResults
from ropewalk.testing.children import Child, is_reaped, run_shell
from ropewalk.testing.rig import Rig
from ropewalk.testing.watched import Watched
from ropewalk.transports.process import Process
from ropewalk.transports.reaper import ByThread

IN_FLIGHT = 1000
OTHERS = 50
BY_THREADS = 100
LIMIT = 90.0   # seconds, on a machine that is busy
CODES = 200

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes of POSIX")


def reactor_class(name: str) -> Callable[[], Any]:
    row = choose.choice(name)
    made: Callable[[], Any] = getattr(importlib.import_module(f"ropewalk.internet.{row.module}"), row.reactor)
    return made


AVAILABLE = [   # those with a loop of their own; a toolkit's has its tests in tests/gui
    name for name, row in choose.CHOICES.items() if row.host == "own:OwnHost" and choose.why_not(name) is None
]


@pytest.fixture(params=AVAILABLE)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with Rig(reactor_class(request.param)) as made:
        yield made


@contextlib.contextmanager
def descriptors(wanted: int) -> Iterator[None]:
    """So many may be open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"{wanted} descriptors are needed, and only {hard} allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def no_children() -> None:
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def waiting(reactor: Any, index: int) -> Child:
    """A child that exits when it is told to."""
    return run_shell(reactor, "read line; exit $1", str(index % CODES))


def codes(children: list[Child]) -> list[int | None]:
    """The exit code of each, which was told once, and once more at its end."""
    for child in children:
        kinds = [kind for kind, _ in child.events]
        assert kinds.count("exited") == kinds.count("ended") == 1
        assert kinds.count("lost") == 3
    return [child.told("exited")[0].exitCode for child in children]


async def released(children: list[Child]) -> None:
    """Let them all exit."""
    for child in children:
        child.transport.write(b"\n")
    await gatherResults([child.ended for child in children])


@pytest.mark.parametrize("name", [name for name in AVAILABLE if name != "select"])   # whose descriptors end at 1024
def test_a_thousand_children_beside_those_of_subprocess_are_each_reaped_once(name: str) -> None:
    async def scenario() -> None:
        others = [subprocess.Popen(["/bin/sh", "-c", f"exit {index}"]) for index in range(OTHERS)]
        children = [waiting(rig.reactor, index) for index in range(IN_FLIGHT)]
        pids = {child.transport.pid for child in children}
        assert len(pids) == IN_FLIGHT
        assert not any(is_reaped(pid) for pid in pids)
        await released(children)
        assert codes(children) == [index % CODES for index in range(IN_FLIGHT)]
        assert all(is_reaped(pid) for pid in pids)
        assert [other.wait() for other in others] == list(range(OTHERS))

    with descriptors(5 * IN_FLIGHT), Rig(reactor_class(name)) as rig:
        rig.play(scenario, LIMIT)
    no_children()


async def some(reactor: Any, count: int = BY_THREADS) -> None:
    other = subprocess.Popen(["/bin/sh", "-c", "exit 5"])
    children = [waiting(reactor, index) for index in range(count)]
    await released(children)
    assert codes(children) == [index % CODES for index in range(count)]
    assert other.wait() == 5


def test_children_are_watched_by_threads_where_there_is_nothing_better(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Process, "watch", staticmethod(ByThread))
    rig.play(lambda: some(rig.reactor), LIMIT)
    no_children()


def test_threads_reap_where_they_cannot_only_look(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Process, "watch", staticmethod(ByThread))
    monkeypatch.delattr(os, "waitid")
    rig.play(lambda: some(rig.reactor), LIMIT)
    no_children()


def test_a_signal_reaches_a_child_that_a_thread_watches(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Process, "watch", staticmethod(ByThread))

    async def scenario() -> None:
        child = waiting(rig.reactor, 0)
        transport = child.transport
        transport.signalProcess("KILL")
        ended: Any = await child.ended
        assert ended.signal == 9
        with pytest.raises(error.ProcessExitedAlready):
            transport.signalProcess("KILL")

    rig.play(scenario)
    no_children()


def test_a_child_that_cannot_be_watched_is_not_left_behind(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    def start() -> None:
        for how in ({}, {"usePTY": True}, {"childFDs": {1: "r"}}):
            with pytest.raises(RuntimeError, match="thread"):
                run_shell(rig.reactor, "read line", **how)

    monkeypatch.setattr(Process, "watch", staticmethod(refused))
    rig.in_run(start)
    no_children()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system has no pidfd")
def test_a_system_that_refuses_pidfds_costs_no_child(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int, flags: int = 0) -> int:
        raise PermissionError("a sandbox")

    monkeypatch.setattr(os, "pidfd_open", refused)
    rig.play(lambda: some(rig.reactor, 3))
    no_children()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system has no pidfd")
def test_a_pidfd_whose_number_is_taken_by_another_costs_no_child(rig: Rig) -> None:
    async def scenario() -> None:
        before = set(rig.reactor.poller.handlers)
        child = run_shell(rig.reactor, "read line <&3; exit 7", childFDs={3: reader.fileno()})
        (pidfd,) = set(rig.reactor.poller.handlers) - before
        os.dup2(writer.fileno(), pidfd, inheritable=False)
        taken = Watched(socket.socket(fileno=pidfd))
        rig.reactor.addWriter(taken)
        rig.reactor.removeWriter(taken)
        taken.channel.close()
        writer.send(b"\n")
        ended: Any = await child.ended
        assert ended.exitCode == 7

    reader, writer = rig.socket_pair()
    reader.setblocking(True)
    rig.play(scenario)
    no_children()


def test_a_child_that_select_cannot_watch_is_watched_by_a_thread() -> None:
    async def scenario() -> None:
        filling = [os.open(os.devnull, os.O_RDONLY) for _ in range(1024)]
        try:
            child = run_shell(rig.reactor, "exit 3", childFDs={})
            ended: Any = await child.ended
        finally:
            for one in filling:
                os.close(one)
        assert ended.exitCode == 3

    with descriptors(2048), Rig(reactor_class("select")) as rig:
        rig.play(scenario)
    no_children()


def test_a_child_whose_pipes_select_cannot_watch_is_not_started() -> None:
    def start() -> None:
        filling = [os.open(os.devnull, os.O_RDONLY) for _ in range(1024)]
        try:
            for how in ({}, {"usePTY": True}, {"childFDs": {1: "r"}}):
                with pytest.raises(OSError, match="select"):
                    run_shell(rig.reactor, "exit 3", **how)
        finally:
            for one in filling:
                os.close(one)

    with descriptors(2048), Rig(reactor_class("select")) as rig:
        rig.in_run(start)
    no_children()


def test_children_are_served_by_reactors_in_other_threads(rig: Rig) -> None:
    """Two at once, neither in the main thread, and one in it."""
    failed: list[BaseException] = []

    def elsewhere() -> None:
        try:
            with_reactor(rig.make_reactor())
        except BaseException as error:
            failed.append(error)

    def with_reactor(reactor: Any) -> None:
        children: list[Child] = []

        def start() -> None:
            children.extend(waiting(reactor, index) for index in range(20))
            children.append(run_shell(reactor, "exit 9", childFDs={1: "r"}))
            children.append(run_shell(reactor, "exit 8", usePTY=True))
            for child in children[:20]:
                child.transport.write(b"\n")
            gatherResults([child.ended for child in children]).addCallback(lambda _: reactor.stop())

        reactor.callWhenRunning(start)
        reactor.run()
        assert [child.told("exited")[0].exitCode for child in children] == [*range(20), 9, 8]

    threads = [threading.Thread(target=elsewhere) for _ in range(2)]
    for thread in threads:
        thread.start()
    rig.play(lambda: some(rig.reactor, 20), LIMIT)
    for thread in threads:
        thread.join(LIMIT)
    assert not failed
    no_children()


def test_a_child_of_ours_is_none_of_subprocess() -> None:
    """It waits for those whose objects were dropped, by their numbers, whenever it starts another."""
    program = """
import gc, os, subprocess
from ropewalk.internet import reactor
from ropewalk.internet.protocol import ProcessProtocol

class Child(ProcessProtocol):
    def processEnded(self, reason):
        print(reason.value.exitCode)
        reactor.stop()

child = reactor.spawnProcess(Child(), "/bin/sh", ["sh", "-c", "exit 3"])
gc.collect()
os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
subprocess.run(["/bin/sh", "-c", ":"])
reactor.run()
"""
    ended = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("3\n", "")
