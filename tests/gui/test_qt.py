"""The reactor on Qt beyond the contract, with both bindings: who owns the loop, dialogs, the last window, errors.

Each behaviour runs in a process of its own, which is this file as a program: one process can load one binding, and some
of them are about how it ends.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
import time
from functools import partial
from typing import Any

import pytest
from played import Play, refused, round_trip, say_and_await_end_of_input, sleeps

from ropewalk.core import choose
from ropewalk.core.reactor import Reactor
from ropewalk.errors import ReactorNotAvailableError
from ropewalk.internet.kit import KIT
from ropewalk.internet.qtreactor import QtReactor
from ropewalk.internet.task import deferLater

BINDINGS = ("PySide6", "PyQt6")
play = Play(__file__)
both = play.on(*BINDINGS)




@pytest.mark.usefixtures("display")
@pytest.mark.parametrize(("name", "binding"), play.cases)
def test(name: str, binding: str) -> None:
    need(binding)
    play.check(name, binding)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells who wakes up")
@pytest.mark.usefixtures("display")
@pytest.mark.parametrize("binding", BINDINGS)
def test_an_open_window_does_not_wake_it(binding: str) -> None:
    need(binding)
    sleeps(play.child("with_an_open_window_it_sleeps", binding))


def need(binding: str) -> None:
    if importlib.util.find_spec(binding) is None:
        pytest.skip(f"{binding} is not installed")


# -- what behaviours use


def qt(binding: str, module: str = "QtWidgets") -> Any:
    return importlib.import_module(f"{binding}.{module}")


def make(binding: str) -> tuple[Any, Any]:
    """An application of the program's, and a reactor."""
    application = qt(binding).QApplication([])
    return application, QtReactor()


def window(binding: str) -> Any:
    """One that is shown, and refuses to be closed by who does not destroy it."""

    class Window(qt(binding).QWidget):   # type: ignore[misc]
        def closeEvent(self, event: Any) -> None:
            event.ignore()

    shown = Window()
    shown.show()
    return shown


def once(binding: str, call: Any, seconds: float = 0.0) -> None:
    """Have Qt call `call` later."""
    qt(binding, "QtCore").QTimer.singleShot(int(seconds * 1000), call)


def level(binding: str) -> int:
    """How many of Qt's loops are on the stack."""
    return int(qt(binding, "QtCore").QThread.currentThread().loopLevel())


# -- who owns the loop


@both
def stop_ends_exec_and_a_second_run_works(binding: str) -> None:
    _, reactor = make(binding)
    levels: list[int] = []

    def arrived() -> None:
        levels.append(level(binding))
        reactor.stop()

    for _ in range(2):
        reactor.callWhenRunning(round_trip, reactor, arrived)
        reactor.run()
    assert levels == [1, 1]


@both
def stop_leaves_the_programs_application_and_windows_alone(binding: str) -> None:
    application, reactor = make(binding)
    kept = window(binding)
    for _ in range(2):
        reactor.callLater(0, reactor.stop)
        reactor.run()
        assert kept.isVisible()
        assert qt(binding).QApplication.instance() is application


@both
def attached_it_is_served_by_the_programs_exec_which_stop_does_not_end(binding: str) -> None:
    application, reactor = make(binding)
    told: list[str] = []

    def stopped() -> None:
        told.append("stopped")
        once(binding, went_on, 0.01)

    def went_on() -> None:
        told.append("the loop went on")
        application.exit()

    for _ in range(2):
        reactor.attach()
        reactor.addSystemEventTrigger("after", "shutdown", stopped)
        round_trip(reactor, reactor.stop)
        application.exec()
        assert not reactor.running
    assert told == ["stopped", "the loop went on"] * 2


@both
def it_can_be_attached_while_the_loop_runs(binding: str) -> None:
    application, reactor = make(binding)

    def begin() -> None:
        reactor.attach()
        reactor.addSystemEventTrigger("after", "shutdown", application.exit)
        round_trip(reactor, reactor.stop)

    once(binding, begin)
    application.exec()
    assert not reactor.running


@both
def attached_it_is_served_by_a_loop_that_is_not_the_applications(binding: str) -> None:
    _, reactor = make(binding)
    loop = qt(binding, "QtCore").QEventLoop()
    reactor.attach()
    reactor.addSystemEventTrigger("after", "shutdown", loop.quit)
    round_trip(reactor, reactor.stop)
    loop.exec()
    assert not reactor.running


@both
def the_programs_application_may_come_after_the_reactor(binding: str) -> None:
    reactor = QtReactor()
    application = qt(binding).QApplication([])
    reactor.callWhenRunning(round_trip, reactor, reactor.stop)
    reactor.run()
    assert qt(binding).QApplication.instance() is application


@both
def where_the_program_has_no_application_there_is_one_that_stays(binding: str) -> None:
    qt(binding, "QtCore")   # the binding that is meant
    made: list[Any] = []
    for _ in range(2):
        reactor = QtReactor()
        reactor.callWhenRunning(lambda: made.append(qt(binding).QApplication.instance()))
        reactor.callLater(0.01, reactor.stop)
        reactor.run()
    first, second = made
    assert isinstance(first, qt(binding).QApplication)
    assert first is second
    assert qt(binding).QLabel("a window after the run").text()


@both
def the_helper_thread_serves_it_by_a_poller_that_is_no_descriptor(binding: str) -> None:
    from ropewalk.hosts.qt import QtHost
    from ropewalk.pollers.poll import Poll

    application = qt(binding).QApplication([])
    reactor = Reactor(QtHost, Poll, KIT)
    threads: list[bool] = []

    def arrived() -> None:
        threads.append(threading.current_thread() is threading.main_thread())
        qt(binding, "QtCore").QTimer.singleShot(0, dialog.accept)
        dialog.exec()
        round_trip(reactor, reactor.stop)

    dialog = qt(binding).QDialog()
    reactor.callWhenRunning(round_trip, reactor, arrived)
    reactor.run()
    assert threads == [True]
    assert application


# -- the last window


@both
def the_closing_of_the_last_window_stops_the_reactor(binding: str) -> None:
    """A Deferred that delays the shutdown is waited for, while Qt's loop runs no more."""
    _, reactor = make(binding)
    told: list[str] = []
    first, last = qt(binding).QWidget(), qt(binding).QWidget()
    for one in (first, last):
        one.show()
    reactor.callWhenRunning(round_trip, reactor, first.close)
    reactor.callLater(0.1, lambda: (told.append("goes on"), last.close()))
    reactor.addSystemEventTrigger("before", "shutdown", deferLater, reactor, 0.05, told.append, "at last")
    reactor.run()
    assert told == ["goes on", "at last"]
    assert not reactor.running


@both
def the_end_of_the_programs_loop_stops_an_attached_reactor(binding: str) -> None:
    application, reactor = make(binding)
    told: list[str] = []
    only = qt(binding).QWidget()
    for _ in range(2):
        only.show()
        reactor.attach()
        round_trip(reactor, only.close)
        reactor.addSystemEventTrigger("before", "shutdown", deferLater, reactor, 0.05, told.append, "at last")
        application.exec()
        assert not reactor.running
    assert told == ["at last", "at last"]


@both
def quit_stops_the_reactor(binding: str) -> None:
    application, reactor = make(binding)
    told: list[str] = []
    reactor.callWhenRunning(round_trip, reactor, application.quit)
    reactor.addSystemEventTrigger("after", "shutdown", told.append, "shutdown")
    reactor.run()
    assert told == ["shutdown"]


# -- dialogs


@both
def the_network_goes_on_in_a_dialog_that_our_callback_opens(binding: str) -> None:
    _, reactor = make(binding)
    dialog = qt(binding).QDialog()
    answers: list[int] = []

    def ask() -> None:
        """Within dataReceived()."""
        round_trip(reactor, dialog.accept)
        answers.append(dialog.exec())
        reactor.stop()

    reactor.callWhenRunning(round_trip, reactor, ask)
    reactor.run()
    assert answers == [1]


@both
def the_network_goes_on_in_a_message_box_that_qts_callback_opens(binding: str) -> None:
    application, reactor = make(binding)
    widgets = qt(binding)
    answers: list[Any] = []
    yes = widgets.QMessageBox.StandardButton.Yes

    def press() -> None:
        box = application.activeModalWidget()
        box.button(yes).click()

    def clicked() -> None:
        in_thread = partial(reactor.callInThread, reactor.callFromThread, press)
        round_trip(reactor, partial(reactor.callLater, 0.05, in_thread))
        answers.append(widgets.QMessageBox.question(None, "A question", "Go on?"))
        reactor.stop()

    once(binding, clicked)
    reactor.run()
    assert answers == [yes]


@both
def stop_ends_the_dialogs_that_are_open_and_then_the_run(binding: str) -> None:
    _, reactor = make(binding)
    told: list[int] = []

    def ask(depth: int) -> None:
        dialog = qt(binding).QDialog()
        round_trip(reactor, partial(ask, depth + 1) if depth < 3 else reactor.stop)
        dialog.exec()
        told.append(depth)

    reactor.callWhenRunning(ask, 1)
    reactor.run()
    assert told == [3, 2, 1]
    assert level(binding) == 0


# -- fairness and silence


@both
def a_busy_network_leaves_the_repaints_their_time(binding: str) -> None:
    """60 a second are asked for."""
    _, reactor = make(binding)
    core = qt(binding, "QtCore")
    painted: list[float] = []
    rates: list[float] = []

    class Window(qt(binding).QWidget):   # type: ignore[misc]
        def paintEvent(self, event: Any) -> None:
            painted.append(time.perf_counter())
            if len(painted) < 60:
                return
            rates.append(60 / (painted[-1] - painted[0]))
            painted.clear()
            if rates[-1] > 50 or len(rates) == 5:   # another program may have taken the processor
                reactor.stop()

    def again() -> None:
        """There is always something to do."""
        reactor.callFromThread(again)

    shown = Window()
    shown.show()
    timer = core.QTimer(interval=16, timerType=core.Qt.TimerType.PreciseTimer)
    timer.timeout.connect(shown.update)
    timer.start()
    reactor.callWhenRunning(again)
    reactor.run()
    assert max(rates) > 50, rates


@both
def a_busy_window_leaves_the_network_some_time(binding: str) -> None:
    """A timer of the program's is always due."""
    _, reactor = make(binding)
    timer = qt(binding, "QtCore").QTimer(interval=0)
    timer.start()
    round_trips: list[float] = []

    def count() -> None:
        round_trips.append(time.perf_counter())
        if len(round_trips) < 10:
            round_trip(reactor, count)
        else:
            reactor.stop()

    reactor.callWhenRunning(round_trip, reactor, count)
    reactor.run()
    assert round_trips[-1] - round_trips[0] < 5


@both
def with_an_open_window_it_sleeps(binding: str) -> None:
    """See test_an_open_window_does_not_wake_it()."""
    _, reactor = make(binding)
    kept = window(binding)
    reactor.callWhenRunning(round_trip, reactor, partial(say_and_await_end_of_input, reactor))
    reactor.run()
    assert kept.isVisible()


# -- errors


@both
def an_exception_of_a_callback_is_logged_and_does_not_abort(binding: str) -> None:
    import logging

    _, reactor = make(binding)
    logged: list[Any] = []
    handler = logging.Handler()
    handler.emit = logged.append   # type: ignore[method-assign]
    logging.getLogger("ropewalk").addHandler(handler)
    reactor.callLater(0, int, "not a number")
    reactor.callFromThread(int, "nor this")
    reactor.callWhenRunning(round_trip, reactor, reactor.stop)
    reactor.run()
    assert [entry.exc_info[0] for entry in logged] == [ValueError, ValueError]


@both
def system_exit_leaves_run_but_not_through_qt(binding: str) -> None:
    _, reactor = make(binding)

    def leave() -> None:
        raise SystemExit("bye")

    for _ in range(2):
        reactor.callWhenRunning(round_trip, reactor, leave)
        assert refused(reactor.run, SystemExit) == "bye"


@both
def run_within_qts_loop_is_refused(binding: str) -> None:
    application, reactor = make(binding)
    said: list[str] = []

    def late() -> None:
        said.append(refused(reactor.run, RuntimeError))
        application.exit()

    once(binding, late)
    application.exec()
    assert "attach()" in said[0]
    reactor.callWhenRunning(round_trip, reactor, reactor.stop)
    reactor.run()


@both
def a_run_in_another_thread_than_the_applications_is_refused(binding: str) -> None:
    _, reactor = make(binding)
    said: list[str] = []
    calls = (reactor.run, reactor.attach)
    other = threading.Thread(target=lambda: said.extend(refused(call, RuntimeError) for call in calls))
    other.start()
    other.join()
    assert len(said) == 2
    assert all("in the thread that made it" in message for message in said)


def _without_display() -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        os.environ.pop(name, None)


@both
def where_there_is_no_display_that_is_told_and_nothing_aborts(binding: str) -> None:
    qt(binding, "QtCore")
    _without_display()
    for display in (None, ":987"):
        if display is not None:
            os.environ["DISPLAY"] = display
        said = refused(QtReactor().run, ReactorNotAvailableError)
        assert "xvfb-run" in said
        assert "offscreen" in said


@both
def without_a_display_it_runs_off_the_screen_if_the_program_asks_for_that(binding: str) -> None:
    qt(binding, "QtCore")
    _without_display()
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    reactor = QtReactor()
    reactor.callWhenRunning(round_trip, reactor, reactor.stop)
    reactor.run()


@both
def without_a_display_it_runs_a_core_application(binding: str) -> None:
    _without_display()
    application = qt(binding, "QtCore").QCoreApplication([])
    reactor = QtReactor()
    reactor.callWhenRunning(round_trip, reactor, reactor.stop)
    reactor.run()
    assert application


@play.on("PySide6")
def without_any_binding_it_says_what_to_install(binding: str) -> None:
    sys.modules.update(dict.fromkeys(BINDINGS))   # as if they were not installed
    said = refused(QtReactor, ReactorNotAvailableError)
    assert "pip install PySide6" in said
    assert "apt-get install" in said


@play.on("PySide6")
def another_version_of_qt_that_the_program_has_imported_is_told(binding: str) -> None:
    sys.modules["PyQt5"] = sys   # whatever it is, it counts as imported
    assert "PyQt5" in refused(QtReactor, ReactorNotAvailableError)


@both
def which_one_can_be_used_is_asked_without_loading_it(binding: str) -> None:
    assert choose.why_not("qt") is None
    QtReactor()
    assert not [name for name in sys.modules if name.startswith(BINDINGS)]


if __name__ == "__main__":
    play.main()
