"""The reactor on CoreFoundation beyond the contract: who owns the run loop, nested loops, runners, many sockets, forks.

Each behaviour runs in a process of its own, which is this file as a program: on a Mac as it is, on Linux on the testbed
that `make corefoundation` makes. There each is played twice, on epoll and on an emulation of macOS's kqueue.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from played import Play, busy, refused, refused_in_a_thread, round_trip, say_and_await_end_of_input, sleeps

ROOT = Path(__file__).parents[2]
BED = ROOT / ".testbeds" / "corefoundation" / "python"
KINDS = ("epoll", "kqueue")
MANY = 1000   # sockets
LONG = 10.0   # seconds
python = str(BED) if BED.exists() else sys.executable
play = Play(__file__, python=python)
on = play.on


@pytest.mark.parametrize(("name", "kind"), play.cases)
def test(name: str, kind: str) -> None:
    need(kind)
    play.check(name, kind)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells who wakes up")
@pytest.mark.parametrize("kind", KINDS)
def test_an_idle_run_loop_sleeps_though_there_are_many_connections(kind: str) -> None:
    need(kind)
    sleeps(play.child("with_many_connections_it_sleeps", kind))


def need(kind: str) -> None:
    if not BED.exists() and sys.platform != "darwin":
        pytest.skip(f"{BED} is not there: make corefoundation")
    if kind == "epoll" and not hasattr(select, "epoll"):
        pytest.skip("this system has no epoll")


# -- what behaviours use


def make(kind: str, **arguments: Any) -> Any:
    if kind == "kqueue" and not hasattr(select, "kqueue"):
        sys.path.append(str(ROOT))
        from tools.testbeds import kqueue

        kqueue.install()
    from ropewalk.internet.cfreactor import CFReactor

    return CFReactor(**arguments)


class RunLoop:
    """CoreFoundation as a program in C uses it: the run loop of this thread."""

    def __init__(self) -> None:
        named = os.environ.get("COREFOUNDATION_LIBRARY")
        cf = ctypes.CDLL(named or "/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation")
        pointer, double = ctypes.c_void_p, ctypes.c_double
        cf.CFRunLoopGetCurrent.restype = pointer
        cf.CFAbsoluteTimeGetCurrent.restype = double
        cf.CFRunLoopRunInMode.argtypes = [pointer, double, ctypes.c_bool]
        cf.CFRunLoopStop.argtypes = [pointer]
        kind = self._call = ctypes.CFUNCTYPE(None, pointer, pointer)
        cf.CFRunLoopTimerCreate.restype = pointer
        cf.CFRunLoopTimerCreate.argtypes = [pointer, double, double, ctypes.c_ulong, ctypes.c_long, kind, pointer]
        cf.CFRunLoopAddTimer.argtypes = [pointer] * 3
        self._cf = cf
        self._modes = pointer.in_dll(cf, "kCFRunLoopCommonModes")
        self._mode = pointer.in_dll(cf, "kCFRunLoopDefaultMode")
        self._kept: list[object] = []
        self.pointer: int = cf.CFRunLoopGetCurrent()

    def run(self) -> None:
        self._cf.CFRunLoopRun()

    def run_for(self, seconds: float, one: bool = False) -> None:
        """Run until stop(), but not for longer than this; or until `one` source has been handled."""
        self._cf.CFRunLoopRunInMode(self._mode, seconds, one)

    def stop(self) -> None:
        self._cf.CFRunLoopStop(self.pointer)

    def call_later(self, seconds: float, call: Callable[[], object], every: float = 0.0) -> None:
        called = self._call(lambda *_: call() and None)
        self._kept.append(called)
        when = self._cf.CFAbsoluteTimeGetCurrent() + seconds
        timer = self._cf.CFRunLoopTimerCreate(None, when, every, 0, 0, called, None)
        self._cf.CFRunLoopAddTimer(self.pointer, timer, self._modes)


# -- who owns the loop


@on(*KINDS)
def stop_ends_the_run_loop_and_a_second_run_works(kind: str) -> None:
    reactor = make(kind)
    for _ in range(2):
        reactor.callWhenRunning(round_trip, reactor, reactor.stop)
        reactor.run()
        assert not reactor.running


@on(*KINDS)
def attached_it_is_served_by_the_programs_own_loop_which_stop_does_not_end(kind: str) -> None:
    reactor = make(kind)
    loop = RunLoop()
    told: list[str] = []

    def stopped() -> None:
        told.append("stopped")
        loop.call_later(0.01, went_on)

    def went_on() -> None:
        told.append("the loop went on")
        loop.stop()

    for _ in range(2):
        reactor.attach()
        reactor.addSystemEventTrigger("after", "shutdown", stopped)
        round_trip(reactor, reactor.stop)
        loop.run()
        assert not reactor.running
    assert told == ["stopped", "the loop went on"] * 2


@on(*KINDS)
def it_can_be_attached_while_the_loop_runs(kind: str) -> None:
    reactor = make(kind)
    loop = RunLoop()

    def begin() -> None:
        reactor.attach()
        reactor.addSystemEventTrigger("after", "shutdown", loop.stop)
        round_trip(reactor, reactor.stop)

    loop.call_later(0.0, begin)
    loop.run()
    assert not reactor.running


@on(*KINDS)
def attached_it_is_served_by_a_loop_that_is_run_anew_for_each_event(kind: str) -> None:
    """As Cocoa's application does."""
    reactor = make(kind)
    loop = RunLoop()
    reactor.attach()
    round_trip(reactor, reactor.stop)
    while reactor.running:
        loop.run_for(LONG, one=True)


@on(*KINDS)
def a_loop_that_somebody_else_stops_stops_the_reactor(kind: str) -> None:
    """Its Deferreds that delay the shutdown are waited for."""
    from ropewalk.internet.task import deferLater

    reactor = make(kind)
    loop = RunLoop()
    told: list[str] = []
    reactor.addSystemEventTrigger("before", "shutdown", deferLater, reactor, 0.05, told.append, "at last")
    reactor.addSystemEventTrigger("after", "shutdown", told.append, "shutdown")
    reactor.callWhenRunning(round_trip, reactor, loop.stop)
    reactor.run()
    assert told == ["at last", "shutdown"]
    assert not reactor.running


# -- install(runLoop, runner)


@on(*KINDS)
def run_runs_the_runner_whose_early_return_stops_the_reactor(kind: str) -> None:
    told: list[str] = []
    reactor = make(kind, runner=lambda: told.append("the runner"))
    reactor.addSystemEventTrigger("after", "startup", told.append, "startup")
    reactor.addSystemEventTrigger("after", "shutdown", told.append, "shutdown")
    reactor.run()
    assert told == ["the runner", "startup", "shutdown"]
    assert not reactor.running


@on(*KINDS)
def a_runner_that_stops_by_means_of_its_own_is_ended_by_the_program(kind: str) -> None:
    """Such as AppHelper.runConsoleEventLoop(), which AppHelper.stopEventLoop() ends."""
    loop = RunLoop()
    going = [True]

    def run() -> None:
        while going:
            loop.run_for(LONG, one=True)

    reactor = make(kind, runner=run)
    reactor.addSystemEventTrigger("after", "shutdown", going.clear)
    reactor.callWhenRunning(round_trip, reactor, reactor.stop)
    reactor.run()
    assert not reactor.running


@on("epoll")
def what_the_runner_raises_leaves_run(kind: str) -> None:
    reactor = make(kind, runner=lambda: exec("raise LookupError('by the runner')"))
    assert refused(reactor.run, LookupError) == "by the runner"
    assert not reactor.running


@on("epoll")
def the_run_loop_may_be_given_as_a_pointer_or_as_pyobjcs_object(kind: str) -> None:
    class Bridged:
        def __c_void_p__(self) -> ctypes.c_void_p:
            return ctypes.c_void_p(pointer)

    pointer = RunLoop().pointer
    for given in (pointer, ctypes.c_void_p(pointer), Bridged()):
        reactor = make(kind, runLoop=given)
        reactor.callWhenRunning(round_trip, reactor, reactor.stop)
        reactor.run()


@on("epoll")
def the_run_loop_of_another_thread_is_refused(kind: str) -> None:
    reactor = make(kind, runLoop=RunLoop().pointer)
    assert "another thread's" in refused_in_a_thread(reactor.run, RuntimeError)
    assert "another thread's" in refused_in_a_thread(reactor.attach, RuntimeError)
    reactor.callWhenRunning(round_trip, reactor, reactor.stop)
    reactor.run()


@on("epoll")
def install_installs_it_with_what_it_is_given(kind: str) -> None:
    from ropewalk.internet import cfreactor

    told: list[str] = []
    installed = cfreactor.install(RunLoop().pointer, lambda: told.append("the runner"))
    from ropewalk.internet import reactor

    assert reactor is installed
    reactor.run()
    assert told == ["the runner"]


# -- nested loops


@on(*KINDS)
def the_network_goes_on_in_a_loop_that_our_callback_opens(kind: str) -> None:
    reactor = make(kind)
    loop = RunLoop()
    told: list[str] = []

    def ask() -> None:
        """Within dataReceived()."""
        round_trip(reactor, lambda: reactor.callLater(0.01, reactor.callInThread, reactor.callFromThread, loop.stop))
        loop.run_for(LONG)
        told.append("answered")
        reactor.stop()

    reactor.callWhenRunning(round_trip, reactor, ask)
    begun = reactor.seconds()
    reactor.run()
    assert told == ["answered"]
    assert reactor.seconds() - begun < LONG


@on(*KINDS)
def the_network_goes_on_in_a_loop_that_the_programs_callback_opens(kind: str) -> None:
    reactor = make(kind)
    loop = RunLoop()
    told: list[str] = []

    def clicked() -> None:
        round_trip(reactor, loop.stop)
        loop.run_for(LONG)
        told.append("answered")
        reactor.stop()

    loop.call_later(0.01, clicked)
    reactor.run()
    assert told == ["answered"]


@on(*KINDS)
def nested_loops_outlive_the_reactor_and_then_its_own_ends(kind: str) -> None:
    """A dialog opens another, and meanwhile the reactor is stopped: they are the program's to end."""
    reactor = make(kind)
    loop = RunLoop()
    told: list[str] = []

    def ask(depth: int = 1) -> None:
        if depth < 3:
            round_trip(reactor, lambda: ask(depth + 1))
        else:
            reactor.addSystemEventTrigger("after", "shutdown", loop.call_later, 0.05, loop.stop)
            reactor.stop()
        loop.run_for(LONG)
        told.append(f"answered {depth}")
        loop.call_later(0.05, loop.stop)

    reactor.callWhenRunning(round_trip, reactor, ask)
    begun = reactor.seconds()
    reactor.run()
    assert told == ["answered 3", "answered 2", "answered 1"]
    assert reactor.seconds() - begun < LONG


# -- many, fair, silent


class Reader:
    """A reader that notes that it was told."""

    def __init__(self, there: socket.socket, told: list[Reader]) -> None:
        self.fileno = there.fileno
        self._there = there
        self._told = told

    def doRead(self) -> None:
        self._there.recv(1)
        self._told.append(self)

    def connectionLost(self, reason: object) -> None:
        pass

    def logPrefix(self) -> str:
        return "reader"


def many_pairs(keep: contextlib.ExitStack) -> list[tuple[socket.socket, socket.socket]]:
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * MANY), hard))
    pairs = [socket.socketpair() for _ in range(MANY)]
    for here, there in pairs:
        keep.enter_context(here)
        keep.enter_context(there)
    return pairs


@on(*KINDS)
def one_callback_of_the_run_loop_serves_all_sockets_that_are_ready(kind: str) -> None:
    reactor = make(kind)
    loop = RunLoop()
    told: list[Reader] = []
    with contextlib.ExitStack() as keep:
        reactor.attach()
        pairs = many_pairs(keep)
        for _, there in pairs:
            reactor.addReader(Reader(there, told))
        for _ in range(10):   # what made it ready
            loop.run_for(0.0, one=True)
        for here, _ in pairs:
            here.send(b"x")
        calls = 0
        while len(told) < MANY:
            loop.run_for(LONG, one=True)
            calls += 1
        assert calls <= 4, calls
        reactor.stop()
        while reactor.running:
            loop.run_for(LONG, one=True)


@on(*KINDS)
def a_busy_network_leaves_the_programs_timers_their_time(kind: str) -> None:
    reactor = make(kind)
    loop = RunLoop()
    told: list[float] = []

    def tell() -> None:
        told.append(reactor.seconds())
        if len(told) == 30:
            reactor.stop()

    loop.call_later(0.0, tell, every=0.01)
    reactor.callWhenRunning(busy, reactor)
    reactor.run()
    assert told[-1] - told[0] < 2.0


@on(*KINDS)
def with_many_connections_it_sleeps(kind: str) -> None:
    """What the test of its silence watches."""
    reactor = make(kind)
    with contextlib.ExitStack() as keep:
        for _, there in many_pairs(keep):
            reactor.addReader(Reader(there, []))
        reactor.callWhenRunning(say_and_await_end_of_input, reactor)
        reactor.run()


# -- forks


@on("epoll")
def the_child_of_a_fork_is_told_where_its_run_loop_would_hang(kind: str) -> None:
    reactor = make(kind)
    reactor.callWhenRunning(reactor.stop)
    reactor.run()
    pid = os.fork()
    if pid == 0:
        for use in (reactor.run, reactor.attach, reactor.iterate, make(kind).run):
            assert "fork before the reactor is first run" in refused(use, RuntimeError)
        os._exit(7)
    assert os.waitpid(pid, 0)[1] >> 8 == 7
    reactor.callWhenRunning(round_trip, reactor, reactor.stop)
    reactor.run()


@on(*KINDS)
def a_program_may_fork_before_it_runs_its_reactor(kind: str) -> None:
    """As a daemon does, which has told the reactor by then what to do."""
    reactor = make(kind)
    reactor.callWhenRunning(round_trip, reactor, reactor.stop)
    pid = os.fork()
    reactor.run()
    if pid == 0:
        os._exit(7)
    assert os.waitpid(pid, 0)[1] >> 8 == 7


if __name__ == "__main__":
    play.main()
