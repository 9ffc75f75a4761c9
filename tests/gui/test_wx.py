"""The reactor inside wxPython beyond the contract: who owns the loop, windows, dialogs, fairness, silence, errors.

"watched": GLib's context watches the poller; "helped": a thread does, as on systems where wx has no GLib.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from functools import partial
from typing import Any

import pytest
from played import (
    Play,
    Rate,
    busy,
    refused,
    refused_in_a_thread,
    round_trip,
    say_and_await_end_of_input,
    sleeps,
    without_display,
)

from ropewalk.core import choose
from ropewalk.errors import ReactorNotAvailableError
from ropewalk.hosts.wx import WxHost
from ropewalk.internet import wxsupport
from ropewalk.internet.epollreactor import EPollReactor
from ropewalk.internet.task import deferLater
from ropewalk.internet.wxreactor import WxReactor

play = Play(__file__)
BOTH = ("watched", "helped")

pytestmark = [
    pytest.mark.usefixtures("display"),
    pytest.mark.skipif(choose.why_not("wx") is not None, reason=str(choose.why_not("wx"))),
]


@pytest.mark.parametrize(("name", "kind"), play.cases)
def test(name: str, kind: str) -> None:
    play.check(name, kind)


class HelpedHost(WxHost):
    def watch(self, fd: int, call: Any) -> bool:
        return False


class HelpedReactor(WxReactor):
    def __init__(self) -> None:
        super().__init__()
        self._set_host(HelpedHost(self))


def make(kind: str) -> Any:
    return WxReactor() if kind == "watched" else HelpedReactor()


def wx() -> Any:
    return importlib.import_module("wx")


def new_app() -> Any:
    return wx().App(redirect=False, clearSigInt=False)


def window() -> Any:
    """One that is shown."""
    frame = wx().Frame(None, title="A window")
    frame.Show()
    return frame


# -- who owns the loop


@play.on(*BOTH)
def with_no_app_and_no_window_it_runs_and_a_second_run_works(kind: str) -> None:
    reactor = make(kind)
    for _ in range(2):
        reactor.callWhenRunning(round_trip, reactor, reactor.stop)
        reactor.run()
    assert wx().GetApp() is not None


@play.on(*BOTH)
def stop_leaves_the_programs_app_and_window_alone(kind: str) -> None:
    reactor, app = make(kind), new_app()
    reactor.registerWxApp(app)
    frame = window()
    for _ in range(2):
        reactor.callWhenRunning(round_trip, reactor, reactor.stop)
        reactor.run()
        assert frame.IsShown()
        assert wx().GetApp() is app


@play.on(*BOTH)
def the_closing_of_the_last_window_stops_the_reactor(kind: str) -> None:
    reactor, app = make(kind), new_app()
    reactor.registerWxApp(app)
    told: list[str] = []
    reactor.addSystemEventTrigger("before", "shutdown", deferLater, reactor, 0.05, told.append, "at last")
    first, second = window(), window()
    reactor.callWhenRunning(round_trip, reactor, first.Close)
    reactor.callLater(0.2, told.append, "still there")
    reactor.callLater(0.3, second.Close)
    reactor.run()
    assert told == ["still there", "at last"]
    reactor.callWhenRunning(round_trip, reactor, reactor.stop)
    reactor.run()


@play.on("watched")
def the_first_window_may_come_late_and_its_closing_counts(kind: str) -> None:
    reactor = make(kind)

    def late() -> None:
        reactor.callLater(0.05, window().Close)

    reactor.callWhenRunning(round_trip, reactor, late)
    reactor.run()
    assert not reactor.running


@play.on("watched")
def an_app_that_does_not_end_with_its_last_window_goes_on(kind: str) -> None:
    reactor, app = make(kind), new_app()
    app.SetExitOnFrameDelete(False)
    reactor.registerWxApp(app)
    told: list[str] = []
    reactor.callWhenRunning(round_trip, reactor, window().Close)
    reactor.callLater(0.3, told.append, "it went on")
    reactor.callLater(0.31, reactor.stop)
    reactor.run()
    assert told == ["it went on"]


@play.on(*BOTH)
def exit_main_loop_stops_the_reactor(kind: str) -> None:
    reactor, app = make(kind), new_app()
    reactor.registerWxApp(app)
    told: list[str] = []
    reactor.addSystemEventTrigger("after", "shutdown", told.append, "shutdown")
    reactor.callWhenRunning(round_trip, reactor, app.ExitMainLoop)
    reactor.run()
    assert told == ["shutdown"]


@play.on(*BOTH)
def attached_it_is_served_by_the_programs_main_loop_which_stop_does_not_end(kind: str) -> None:
    reactor, app = make(kind), new_app()
    reactor.registerWxApp(app)
    frame = window()
    told: list[str] = []

    def arrived() -> None:
        reactor.addSystemEventTrigger("after", "shutdown", told.append, "stopped")
        wx().CallLater(100, went_on)
        reactor.stop()

    def went_on() -> None:
        told.append("the loop went on")
        app.ExitMainLoop()

    for _ in range(2):
        reactor.attach()
        round_trip(reactor, arrived)
        app.MainLoop()
        assert not reactor.running
    assert told == ["stopped", "the loop went on"] * 2
    assert frame.IsShown()


@play.on(*BOTH)
def the_end_of_the_programs_main_loop_stops_the_attached_reactor(kind: str) -> None:
    """Its shutdown is over, and waited for, when MainLoop() returns; the app's own OnExit() is called, too."""
    told: list[str] = []

    class App(wx().App):   # type: ignore[misc]
        def OnExit(self) -> int:
            told.append("OnExit")
            return 0

    reactor, app = make(kind), App(redirect=False, clearSigInt=False)
    reactor.registerWxApp(app)
    for _ in range(2):
        reactor.addSystemEventTrigger("before", "shutdown", deferLater, reactor, 0.05, told.append, "at last")
        reactor.attach()
        round_trip(reactor, window().Close)
        app.MainLoop()
        assert not reactor.running
    assert told == ["at last", "OnExit"] * 2


@play.on(*BOTH)
def it_can_be_attached_while_the_main_loop_runs(kind: str) -> None:
    reactor, app = make(kind), new_app()
    reactor.registerWxApp(app)
    frame = window()

    def begin() -> None:
        reactor.attach()
        reactor.addSystemEventTrigger("after", "shutdown", frame.Close)
        round_trip(reactor, reactor.stop)

    wx().CallAfter(begin)
    app.MainLoop()
    assert not reactor.running


@play.on("watched")
def sigint_stops_it_also_when_it_makes_the_app(kind: str) -> None:
    reactor = make(kind)
    reactor.callWhenRunning(round_trip, reactor, partial(os.kill, os.getpid(), signal.SIGINT))
    reactor.run()
    assert reactor.exitSignal == signal.SIGINT


# -- wxsupport


@play.on("watched")
def wxsupport_has_the_app_serve_another_reactor(kind: str) -> None:
    reactor, app = EPollReactor(), new_app()
    wxsupport.install(app, reactor)
    reactor.callWhenRunning(round_trip, reactor, window().Close)
    reactor.run()
    reactor.attach()
    round_trip(reactor, window().Close)
    app.MainLoop()
    assert not reactor.running
    assert "WxHost" in refused(lambda: wxsupport.install(app, reactor), RuntimeError)


@play.on("watched")
def wxsupport_can_be_installed_while_the_reactor_runs(kind: str) -> None:
    from ropewalk.internet import reactor

    loops: list[bool] = []

    def begin() -> None:
        wxsupport.install(new_app())
        round_trip(reactor, look)

    def look() -> None:
        loops.append(wx().GetApp().IsMainLoopRunning())
        reactor.stop()

    reactor.callWhenRunning(begin)
    reactor.run()
    assert loops == [True]


@play.on("watched")
def wxsupport_registers_the_app_with_a_wx_reactor(kind: str) -> None:
    reactor, app = make(kind), new_app()
    wxsupport.install(app, reactor)
    reactor.callWhenRunning(round_trip, reactor, window().Close)
    reactor.run()


# -- dialogs


def modal(reactor: Any) -> Any:
    """A modal dialog, with a button."""
    dialog = wx().Dialog(None, title="A question")
    wx().Button(dialog, wx().ID_OK)
    return dialog


@play.on(*BOTH)
def the_network_goes_on_in_a_dialog_that_our_callback_opens(kind: str) -> None:
    reactor = make(kind)
    told: list[int] = []

    def ask() -> None:
        """Within dataReceived()."""
        dialog = modal(reactor)
        round_trip(reactor, lambda: dialog.EndModal(5))
        told.append(dialog.ShowModal())
        reactor.stop()

    reactor.callWhenRunning(round_trip, reactor, ask)
    reactor.run()
    assert told == [5]


@play.on(*BOTH)
def the_network_goes_on_in_a_dialog_that_the_toolkits_callback_opens(kind: str) -> None:
    reactor, app = make(kind), new_app()
    reactor.registerWxApp(app)
    frame = window()
    told: list[int] = []

    def clicked(event: Any) -> None:
        dialog = modal(reactor)
        end = partial(dialog.EndModal, 6)
        round_trip(reactor, lambda: reactor.callLater(0.01, reactor.callInThread, reactor.callFromThread, end))
        told.append(dialog.ShowModal())
        reactor.stop()

    frame.Bind(wx().EVT_BUTTON, clicked)
    wx().PostEvent(frame, wx().CommandEvent(wx().EVT_BUTTON.typeId))
    reactor.run()
    assert told == [6]


@play.on(*BOTH)
def a_dialog_may_open_another_and_the_reactor_may_be_stopped_meanwhile(kind: str) -> None:
    """The main loop ends when the dialogs have been answered, the last one first: wx refuses another order."""
    reactor = make(kind)
    dialogs: list[Any] = []
    told: list[str] = []

    def ask() -> None:
        dialogs.append(modal(reactor))
        round_trip(reactor, reactor.stop if len(dialogs) == 3 else ask)
        dialogs[-1].ShowModal()
        told.append(f"answered {len(dialogs)}")
        dialogs.pop()
        if dialogs:
            wx().CallAfter(answer)

    def answer() -> None:
        dialogs[-1].EndModal(5)

    reactor.addSystemEventTrigger("after", "shutdown", lambda: wx().CallAfter(answer))
    reactor.callWhenRunning(round_trip, reactor, ask)
    reactor.run()
    assert told == ["answered 3", "answered 2", "answered 1"]


@play.on(*BOTH)
def the_network_goes_on_in_a_message_box_of_gtk_itself(kind: str) -> None:
    """wx.MessageDialog is gtk_dialog_run(), a loop that wx knows nothing of."""
    reactor = make(kind)
    told: list[int] = []

    def answer() -> None:
        import gi

        gi.require_version("Gtk", "3.0")
        from gi.repository import Gtk

        (box,) = (one for one in Gtk.Window.list_toplevels() if isinstance(one, Gtk.Dialog))
        box.response(Gtk.ResponseType.OK)

    def ask() -> None:
        round_trip(reactor, partial(reactor.callLater, 0.05, answer))
        told.append(wx().MessageDialog(None, "Go on?").ShowModal())
        reactor.stop()

    reactor.callWhenRunning(round_trip, reactor, ask)
    reactor.run()
    assert told == [wx().ID_OK]


# -- fairness and silence


@play.on(*BOTH)
def a_busy_network_leaves_the_repaints_their_time(kind: str) -> None:
    """60 a second are asked for."""
    reactor, app = make(kind), new_app()
    reactor.registerWxApp(app)
    frame = window()
    rate = Rate(reactor.stop, enough=50)

    def paint(event: Any) -> None:
        wx().PaintDC(frame).Clear()
        rate.seen()

    frame.Bind(wx().EVT_PAINT, paint)
    timer = wx().Timer(frame)
    frame.Bind(wx().EVT_TIMER, lambda event: frame.Refresh())
    timer.Start(16)
    reactor.callWhenRunning(busy, reactor)
    reactor.run()
    timer.Stop()
    rate.check()


@play.on(*BOTH)
def a_busy_window_leaves_the_network_its_time(kind: str) -> None:
    """An idle handler of wx asks for more, always."""
    reactor, app = make(kind), new_app()
    reactor.registerWxApp(app)
    frame = window()
    frame.Bind(wx().EVT_IDLE, lambda event: event.RequestMore())
    rate = Rate(reactor.stop, enough=50, count=20)

    def again() -> None:
        rate.seen()
        if reactor.running:
            round_trip(reactor, again)

    reactor.callWhenRunning(again)
    reactor.run()
    rate.check()


@play.on(*BOTH)
def with_an_open_window_it_sleeps(kind: str) -> None:
    """See test_an_open_window_does_not_wake_it()."""
    reactor, app = make(kind), new_app()
    reactor.registerWxApp(app)
    frame = window()
    reactor.callWhenRunning(round_trip, reactor, partial(say_and_await_end_of_input, reactor))
    reactor.run()
    assert frame.IsShown()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads Linux's /proc")
@pytest.mark.parametrize("kind", BOTH)
def test_an_open_window_does_not_wake_it(kind: str) -> None:
    sleeps(play.child("with_an_open_window_it_sleeps", kind))


# -- errors


@play.on("watched")
def run_within_the_main_loop_is_refused(kind: str) -> None:
    reactor, app = make(kind), new_app()
    frame = window()
    said: list[str] = []

    def late() -> None:
        said.append(refused(reactor.run, RuntimeError))
        frame.Close()

    wx().CallAfter(late)
    app.MainLoop()
    assert "reactor.attach()" in said[0]


@play.on("watched")
def run_and_attach_in_another_thread_are_refused(kind: str) -> None:
    reactor, app = make(kind), new_app()
    reactor.registerWxApp(app)
    for call in (reactor.run, reactor.attach):
        assert "in the thread that made it" in refused_in_a_thread(call, RuntimeError)
    assert not reactor.running


@play.on("watched")
def a_second_app_is_refused(kind: str) -> None:
    reactor, app = make(kind), new_app()
    reactor.registerWxApp(app)
    reactor.registerWxApp(app)
    assert repr(app) in refused(lambda: reactor.registerWxApp(object()), RuntimeError)


@play.on("watched")
def the_absence_of_a_display_is_told(kind: str) -> None:
    without_display()
    said = refused(make(kind).run, ReactorNotAvailableError)
    assert "DISPLAY" in said
    assert "xvfb-run" in said


@play.on("watched")
def the_absence_of_wx_is_told(kind: str) -> None:
    sys.modules["wx"] = None   # type: ignore[assignment]
    said = refused(partial(make, kind), ReactorNotAvailableError)
    assert "pip install wxPython" in said
    assert "apt-get install python3-wxgtk4.0" in said


@play.on("watched")
def to_ask_whether_it_can_be_used_does_not_load_wx(kind: str) -> None:
    assert choose.why_not("wx") is None
    assert "wx" not in sys.modules


if __name__ == "__main__":
    play.main()
