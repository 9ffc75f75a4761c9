"""Signals: SIGINT, SIGTERM and SIGBREAK, Windows' own, stop the reactor; the program's handlers are left alone.

These behaviours belong to the main thread, the only one in which Python handles signals. A signal is raised in
another thread, so that the system does not interrupt the reactor's wait by itself.
"""

from __future__ import annotations

import signal
import threading
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ropewalk.internet.defer import Deferred
from ropewalk.testing.contract import behaviour
from ropewalk.testing.features import needs
from ropewalk.testing.rig import LIMIT, Rig

_STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
_SOON = 0.05   # seconds after which the reactor is waiting
_AT_ONCE = 5.0   # seconds


def _elsewhere(call: Callable[..., object], *args: Any) -> None:
    """`call` in another thread, when the reactor is waiting."""
    threading.Timer(_SOON, call, args).start()


@contextmanager
def _handler(number: int, handler: Any) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def _wakeup_fd() -> int:
    number = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(number)
    return number


@behaviour
def sigint_and_sigterm_stop_a_reactor_that_has_nothing_to_do(rig: Rig) -> None:
    reactor = rig.reactor
    with _handler(signal.SIGINT, signal.default_int_handler):
        for number in _STOPPING:
            fired: list[str] = []
            reactor.addSystemEventTrigger("before", "shutdown", fired.append, "shutdown")
            reactor.callWhenRunning(_elsewhere, signal.raise_signal, number)
            begin = reactor.seconds()
            rig.run()
            assert reactor.seconds() - begin < _AT_ONCE
            assert reactor.exitSignal == number
            assert fired == ["shutdown"]


@behaviour
def exit_signal_is_that_of_the_last_run(rig: Rig) -> None:
    reactor = rig.reactor
    assert reactor.exitSignal is None
    reactor.callWhenRunning(_elsewhere, signal.raise_signal, signal.SIGTERM)
    rig.run()
    assert reactor.exitSignal == signal.SIGTERM
    rig.in_run(lambda: None)
    assert reactor.exitSignal is None


@behaviour
def the_handlers_before_the_run_are_back_after_it(rig: Rig) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers] + [_wakeup_fd()]
    during: list[Any] = []
    with _handler(signal.SIGINT, signal.default_int_handler):
        rig.in_run(lambda: during.extend(signal.getsignal(number) for number in numbers))
    assert [signal.getsignal(number) for number in numbers] + [_wakeup_fd()] == before
    assert during[0] not in (None, signal.SIG_DFL, signal.default_int_handler)
    assert during[1] not in (None, signal.SIG_DFL, before[1])


@behaviour
def a_sigint_handler_of_the_programs_own_is_left_alone(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[int] = []

    def own(number: int, _: Any) -> None:
        seen.append(number)
        reactor.callFromThread(reactor.callLater, 0.01, reactor.stop)

    with _handler(signal.SIGINT, own):
        reactor.callWhenRunning(_elsewhere, signal.raise_signal, signal.SIGINT)
        rig.run()
        assert signal.getsignal(signal.SIGINT) is own
    assert seen == [signal.SIGINT]
    assert reactor.exitSignal is None


@behaviour
def a_handler_installed_while_it_runs_stays(rig: Rig) -> None:
    def own(number: int, _: Any) -> None:
        raise AssertionError("nobody sent this signal")

    before = signal.getsignal(signal.SIGTERM)
    rig.in_run(lambda: signal.signal(signal.SIGTERM, own))
    left = signal.signal(signal.SIGTERM, before)
    assert left is own


@behaviour
def without_signal_handlers_those_of_the_program_stay(rig: Rig) -> None:
    """In a toolkit's loop Python is woken for signals all the same, and afterwards no more."""
    reactor = rig.reactor
    numbers = (signal.SIGINT, signal.SIGTERM)
    during: list[Any] = []

    def look() -> None:
        during.extend(signal.getsignal(number) for number in numbers)
        reactor.stop()

    original = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        before = [signal.getsignal(number) for number in numbers]
        woken_before = _wakeup_fd()
        reactor.callWhenRunning(look)
        rig.run(installSignalHandlers=False)
        assert during == before
        assert [signal.getsignal(number) for number in numbers] == before
        assert _wakeup_fd() == woken_before
    finally:
        signal.signal(signal.SIGINT, original)


@behaviour
def a_run_in_another_thread_touches_no_signal_handler(rig: Rig) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers] + [_wakeup_fd()]
    reactor = rig.make_reactor()
    runs, looked = threading.Event(), threading.Event()
    refused: list[RuntimeError] = []

    def wait_for_look() -> None:
        runs.set()
        looked.wait(LIMIT)
        reactor.stop()

    def run() -> None:
        try:
            reactor.run()
        except RuntimeError as error:
            refused.append(error)
            runs.set()

    reactor.callWhenRunning(wait_for_look)
    thread = threading.Thread(target=run)
    thread.start()
    runs.wait(LIMIT)
    during = [signal.getsignal(number) for number in numbers] + [_wakeup_fd()]
    looked.set()
    thread.join(LIMIT)
    assert during == before
    if refused:
        raise unittest.SkipTest(f"this loop is one thread's: {refused[0]}")


@behaviour
@needs("signals")
def a_signal_that_python_handles_interrupts_nothing(rig: Rig) -> None:
    """In the main thread, in the middle of the wait: EINTR."""
    reactor = rig.reactor
    main = threading.get_ident()
    handled: list[int] = []

    def interrupt(times: int) -> None:
        signal.pthread_kill(main, signal.SIGUSR1)
        if times > 1:
            threading.Timer(0.01, interrupt, [times - 1]).start()
        else:
            reactor.callFromThread(reactor.callLater, 0.02, reactor.stop)

    def arrived() -> None:
        late.append(reactor.seconds() - call.getTime())

    late: list[float] = []
    with _handler(signal.SIGUSR1, lambda number, frame: handled.append(number)):
        call = reactor.callLater(0.03, arrived)
        reactor.callWhenRunning(_elsewhere, interrupt, 5)
        rig.run(installSignalHandlers=False)
    assert 1 <= len(handled) <= 5
    assert late[0] >= 0


@behaviour
def a_second_signal_ends_a_shutdown_that_takes_its_time(rig: Rig) -> None:
    reactor = rig.reactor
    never: Deferred[None] = Deferred()

    def slow_shutdown() -> Deferred[None]:
        _elsewhere(signal.raise_signal, signal.SIGTERM)
        return never

    reactor.addSystemEventTrigger("before", "shutdown", slow_shutdown)
    reactor.callWhenRunning(_elsewhere, signal.raise_signal, signal.SIGTERM)
    rig.run()
    assert not reactor.running


@behaviour
def a_signal_at_the_end_of_one_run_does_not_stop_the_next(rig: Rig) -> None:
    reactor = rig.reactor
    reactor.addSystemEventTrigger("after", "shutdown", signal.raise_signal, signal.SIGTERM)
    rig.in_run(lambda: None)
    seen: list[str] = []
    reactor.callLater(0.01, seen.append, "went on")
    stop = reactor.callLater(0.02, reactor.stop)
    rig.run()
    assert seen == ["went on"]
    assert not stop.active()
