"""Running: run, stop, crash, iterate, and run again."""

from __future__ import annotations

import contextlib
import socket
import threading
import unittest
from collections.abc import Callable
from typing import Any

from ropewalk.internet.defer import Deferred
from ropewalk.internet.error import ReactorAlreadyRunning, ReactorNotRunning
from ropewalk.internet.protocol import Protocol, ServerFactory
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.testing.contract import behaviour
from ropewalk.testing.rig import LIMIT, Rig, raises
from ropewalk.testing.watched import Watched


@behaviour
def it_runs_until_stop_and_can_be_run_again(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[int] = []
    for turn in range(3):
        reactor.callWhenRunning(seen.append, turn)
        reactor.callLater(0, reactor.stop)
        rig.run()
        assert not reactor.running
    assert seen == [0, 1, 2]


class _Greeter(Protocol):
    def connectionMade(self) -> None:
        self.transport.write(b"hello")
        self.transport.loseConnection()


@behaviour
def every_run_has_ports_timers_and_threads_of_its_own(rig: Rig) -> None:
    reactor = rig.reactor
    greetings: list[bytes] = []

    def ask(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), LIMIT) as connection:
            reactor.callFromThread(answered, connection.recv(64))

    def answered(data: bytes) -> None:
        greetings.append(data)
        reactor.stop()

    def begin() -> None:
        port = reactor.listenTCP(0, ServerFactory.forProtocol(_Greeter), interface="127.0.0.1")
        reactor.callInThread(ask, port.getHost().port)

    for _ in range(2):
        reactor.callLater(0, begin)
        rig.run()
    assert greetings == [b"hello", b"hello"]


@behaviour
def a_delayed_call_left_over_from_one_run_is_made_in_the_next(rig: Rig) -> None:
    reactor = rig.reactor
    left = reactor.callLater(1000, reactor.stop)
    reactor.callWhenRunning(reactor.stop)
    rig.run()
    assert left.active()
    left.reset(0)
    rig.run()
    assert not left.active()


@behaviour
def a_reactor_that_runs_cannot_be_run(rig: Rig) -> None:
    def run_again() -> None:
        with raises(ReactorAlreadyRunning):
            rig.reactor.run()
        assert rig.reactor.running

    rig.in_run(run_again)


@behaviour
def only_a_reactor_that_runs_can_be_stopped_and_only_once(rig: Rig) -> None:
    reactor = rig.reactor
    refused = []

    def stop_twice() -> None:
        reactor.stop()
        with raises(ReactorNotRunning) as error:
            reactor.stop()
        refused.extend(error)

    with raises(ReactorNotRunning):
        reactor.stop()
    reactor.callWhenRunning(stop_twice)
    rig.run()
    assert len(refused) == 1
    with raises(ReactorNotRunning):
        reactor.stop()


@behaviour
def running_is_true_from_startup_until_shutdown(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[tuple[str, bool]] = []
    moments = [("before", "startup"), ("during", "startup"), ("after", "startup"), ("before", "shutdown")]
    for phase, event in moments:
        reactor.addSystemEventTrigger(phase, event, lambda at: seen.append((at, reactor.running)), f"{phase} {event}")
    assert not reactor.running
    reactor.callWhenRunning(reactor.stop)
    rig.run()
    assert not reactor.running
    assert seen == [
        ("before startup", False), ("during startup", True), ("after startup", True), ("before shutdown", True)
    ]  # fmt: skip


@behaviour
def call_when_running_waits_for_startup_and_then_calls_at_once(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[Any] = []

    def once_running() -> None:
        assert reactor.callWhenRunning(seen.append, "at once") is None
        seen.append("after it")

    assert reactor.callWhenRunning(lambda *args, **kw: seen.append((args, kw)), 1, two=2) is not None
    assert seen == []
    rig.in_run(once_running)
    assert seen == [((1,), {"two": 2}), "at once", "after it"]


@behaviour
def call_when_running_can_be_taken_back(rig: Rig) -> None:
    seen: list[int] = []
    rig.reactor.removeSystemEventTrigger(rig.reactor.callWhenRunning(seen.append, 1))
    rig.in_run(lambda: None)
    assert seen == []


@behaviour
def several_reactors_run_at_once_each_in_its_own_thread(rig: Rig) -> None:
    """installSignalHandlers is left True: outside of the main thread it has no effect."""
    reactors = [rig.make_reactor() for _ in range(3)]
    all_run = threading.Barrier(len(reactors) + 1)
    homes: list[set[int]] = [set() for _ in reactors]
    refused: list[RuntimeError] = []

    def life(reactor: Any, home: set[int]) -> None:
        def note_thread() -> None:
            home.add(threading.get_ident())

        reactor.callWhenRunning(reactor.callLater, 0, note_thread)
        reactor.callWhenRunning(reactor.callLater, 0.01, all_run.wait, LIMIT)
        try:
            reactor.run()
        except RuntimeError as error:
            refused.append(error)
            all_run.abort()
        note_thread()

    threads = [threading.Thread(target=life, args=pair) for pair in zip(reactors, homes, strict=True)]
    for thread in threads:
        thread.start()
    with contextlib.suppress(threading.BrokenBarrierError):
        all_run.wait(LIMIT)
    for reactor, home in zip(reactors, homes, strict=True):
        reactor.callFromThread(lambda home: home.add(threading.get_ident()), home)
        reactor.callFromThread(reactor.stop)
    for thread in threads:
        thread.join(LIMIT)
    if refused:
        raise unittest.SkipTest(f"this loop is one thread's: {refused[0]}")
    assert [len(home) for home in homes] == [1, 1, 1]
    assert len(set.union(*homes)) == 3


@behaviour
def a_reactor_with_a_loop_of_its_own_runs_in_a_thread_beside_it(rig: Rig) -> None:
    """On every host, also on one whose loop is one thread's."""
    other = SelectReactor()
    called: list[int] = []

    def call() -> None:
        called.append(threading.get_ident())
        other.callFromThread(other.stop)
        rig.reactor.stop()

    other.callWhenRunning(rig.reactor.callFromThread, call)
    thread = threading.Thread(target=other.run)
    rig.reactor.callWhenRunning(thread.start)
    rig.run()
    thread.join(LIMIT)
    assert called == [threading.get_ident()]


def _fail() -> None:
    raise ZeroDivisionError("made to fail")


@behaviour
def a_callback_that_raises_is_logged_with_its_traceback_and_the_others_go_on(rig: Rig) -> None:
    reactor = rig.reactor
    here, there = rig.socket_pair()
    there.send(b"x")
    reactor.addReader(Watched(here, lambda _: _fail()))
    reactor.callWhenRunning(_fail)
    reactor.callFromThread(_fail)
    reactor.callLater(0, _fail)
    reactor.callLater(0, reactor.callLater, 0.01, reactor.stop)
    rig.run()
    for error in rig.expect_errors(*[ZeroDivisionError] * 4):
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        assert trace is not None
        assert trace.tb_frame.f_code.co_name == "_fail"


class _Nameless:
    def __repr__(self) -> str:
        raise ValueError("it cannot even be shown")

    def fail(self) -> None:
        _fail()


@behaviour
def a_callback_that_raises_and_cannot_be_shown_is_logged_all_the_same(rig: Rig) -> None:
    reactor = rig.reactor
    reactor.callFromThread(_Nameless().fail)
    reactor.callLater(0, _Nameless().fail)
    reactor.callLater(0.01, reactor.stop)
    rig.run()
    rig.expect_errors(ZeroDivisionError, ZeroDivisionError)


def _from_a_timer(rig: Rig, call: Callable[[], object]) -> None:
    rig.reactor.callLater(0, call)


def _from_a_thread(rig: Rig, call: Callable[[], object]) -> None:
    rig.reactor.callFromThread(call)


def _from_a_reader(rig: Rig, call: Callable[[], object]) -> None:
    here, there = rig.socket_pair()
    there.send(b"x")
    reader = Watched(here, lambda _: (rig.reactor.removeReader(reader), call()))
    rig.reactor.addReader(reader)


@behaviour
def keyboard_interrupt_and_system_exit_leave_run_which_can_then_be_called_again(rig: Rig) -> None:
    def raise_it(kind: type[BaseException]) -> None:
        raise kind

    for kind in (KeyboardInterrupt, SystemExit):
        for schedule in (_from_a_timer, _from_a_thread, _from_a_reader):
            schedule(rig, lambda kind=kind: raise_it(kind))   # type: ignore[misc]
            with raises(kind):
                rig.run()
            assert not rig.reactor.running
            rig.in_run(lambda: None)


@behaviour
def a_run_that_system_exit_left_leaves_no_thread_that_keeps_the_program_alive(rig: Rig) -> None:
    def leave() -> None:
        raise SystemExit

    rig.reactor.callInThread(rig.reactor.callFromThread, leave)
    with raises(SystemExit):
        rig.run()


@behaviour
def crash_leaves_run_and_fires_nothing(rig: Rig) -> None:
    reactor = rig.reactor
    fired: list[str] = []
    for phase in ("before", "during", "after"):
        reactor.addSystemEventTrigger(phase, "shutdown", fired.append, phase)
    reactor.callWhenRunning(reactor.crash)
    rig.run()
    assert not reactor.running
    assert fired == []
    rig.in_run(lambda: None)
    assert fired == ["before", "during", "after"]


def _runs_undisturbed(rig: Rig) -> bool:
    """Whether a run goes on until it is stopped, and shuts down once."""
    seen: list[Any] = []
    rig.reactor.addSystemEventTrigger("before", "shutdown", seen.append, "shutdown")
    for turn in range(3):
        rig.reactor.callLater(0.01 * turn, seen.append, turn)
    stop = rig.reactor.callLater(0.05, rig.reactor.stop)
    rig.run()
    return not stop.active() and seen == [0, 1, 2, "shutdown"]


@behaviour
def a_stop_that_crash_overtook_does_not_end_the_next_run(rig: Rig) -> None:
    reactor = rig.reactor

    def stop_and_crash() -> None:
        reactor.stop()
        reactor.crash()

    reactor.callWhenRunning(stop_and_crash)
    rig.run()
    assert _runs_undisturbed(rig)


@behaviour
def a_slow_shutdown_that_crash_overtook_does_not_end_the_next_run(rig: Rig) -> None:
    reactor = rig.reactor
    slow: Deferred[None] = Deferred()

    def begin_to_shut_down() -> Deferred[None]:
        reactor.callLater(0, reactor.crash)
        return slow

    reactor.addSystemEventTrigger("before", "shutdown", begin_to_shut_down)
    reactor.callWhenRunning(reactor.stop)
    rig.run()
    reactor.callLater(0, slow.callback, None)
    assert _runs_undisturbed(rig)


@behaviour
def iterate_does_what_is_due_and_returns(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[str] = []
    here, there = rig.socket_pair()
    there.send(b"x")
    reactor.addReader(Watched(here, lambda channel: seen.append(channel.recv(8).decode())))
    reactor.callLater(0, seen.append, "timer")
    reactor.callFromThread(seen.append, "call")
    with rig.time_limit():
        reactor.iterate()
        reactor.iterate(0.01)
    assert sorted(seen) == ["call", "timer", "x"]
    assert not reactor.running
    reactor.removeAll()


@behaviour
def iterate_waits_no_longer_than_it_is_told(rig: Rig) -> None:
    reactor = rig.reactor
    begin = reactor.seconds()
    with rig.time_limit():
        reactor.iterate(0.05)
    assert 0.045 <= reactor.seconds() - begin < 5
