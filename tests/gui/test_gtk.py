"""The reactors on GLib and GTK beyond the contract: who owns the loop, dialogs, windows, applications, errors.

Each behaviour runs in a process of its own, which is this file as a program: one process can load one version of GTK.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from functools import partial
from typing import Any

import pytest
from played import Play, refused, round_trip, say_and_await_end_of_input, sleeps

from ropewalk.core import choose
from ropewalk.errors import ReactorNotAvailableError

ALL = ("gi", "gtk2", "gtk3", "gtk4")
GTK = ("gtk2", "gtk3", "gtk4")
WITH_MAIN = ("gtk2", "gtk3")
WITH_APPLICATION = ("gtk3", "gtk4")
play = Play(__file__, "ignore:You have imported the Gtk 2.0 module:RuntimeWarning")
on = play.on


@pytest.mark.usefixtures("display")
@pytest.mark.parametrize(("name", "kind"), play.cases)
def test(name: str, kind: str) -> None:
    need(kind)
    play.check(name, kind)


@pytest.mark.usefixtures("display")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells who wakes up")
@pytest.mark.parametrize("kind", GTK)
def test_an_open_window_does_not_wake_it(kind: str) -> None:
    need(kind)
    sleeps(play.child("with_an_open_window_it_sleeps", kind))


def need(kind: str) -> None:
    reason = choose.why_not(kind)
    if reason is not None:
        pytest.skip(reason)


# -- what behaviours use


def make(kind: str) -> Any:
    row = choose.choice(kind)
    return getattr(importlib.import_module(f"ropewalk.internet.{row.module}"), row.reactor)()


def gtk(kind: str) -> Any:
    """GTK, of the version of `kind`."""
    import gi

    gi.require_version("Gtk", f"{kind[-1]}.0")
    from gi.repository import Gtk

    return Gtk


def window(kind: str) -> Any:
    """One that is shown."""
    shown = gtk(kind).Window(title="A window")
    if kind == "gtk4":
        shown.present()
    else:
        shown.show_all()
    return shown


class Dialog:
    """A modal dialog where the toolkit has one that blocks; else what it consists of, a nested loop."""

    def __init__(self, kind: str) -> None:
        from gi.repository import GLib

        if kind in WITH_MAIN:
            toolkit = gtk(kind)
            dialog = toolkit.MessageDialog(text="Go on?", modal=True, buttons=toolkit.ButtonsType.OK)
            self.run = dialog.run
            self.close = lambda: dialog.response(toolkit.ResponseType.OK)
        else:
            loop = GLib.MainLoop()
            self.run, self.close = loop.run, loop.quit


# -- who owns the loop


@on(*ALL)
def stop_ends_the_toolkits_loop_and_a_second_run_works(kind: str) -> None:
    from gi.repository import GLib

    reactor = make(kind)
    depths: list[int] = []

    def look() -> None:
        depths.append(GLib.main_depth())
        reactor.stop()

    for _ in range(2):
        reactor.callWhenRunning(round_trip, reactor, look)
        reactor.run()
    assert depths == [1, 1]


@on(*GTK)
def stop_leaves_the_programs_window_alone(kind: str) -> None:
    reactor = make(kind)
    kept = window(kind)
    for _ in range(2):
        reactor.callLater(0, reactor.stop)
        reactor.run()
        assert kept.get_visible()


@on(*ALL)
def attached_it_is_served_by_the_programs_own_loop_which_stop_does_not_end(kind: str) -> None:
    from gi.repository import GLib

    reactor = make(kind)
    toolkit = gtk(kind) if kind in WITH_MAIN else None
    loop = GLib.MainLoop()
    run, leave = (toolkit.main, toolkit.main_quit) if toolkit else (loop.run, loop.quit)
    told: list[str] = []

    def arrived() -> None:
        reactor.addSystemEventTrigger("after", "shutdown", stopped)
        reactor.stop()

    def stopped() -> None:
        told.append("stopped")
        GLib.timeout_add(10, went_on)

    def went_on() -> bool:
        told.append("the loop went on")
        leave()
        return False

    for _ in range(2):
        reactor.attach()
        round_trip(reactor, arrived)
        run()
        assert not reactor.running
    assert told == ["stopped", "the loop went on"] * 2


@on(*ALL)
def it_can_be_attached_while_the_loop_runs(kind: str) -> None:
    from gi.repository import GLib

    reactor = make(kind)
    loop = GLib.MainLoop()

    def begin() -> bool:
        reactor.attach()
        reactor.addSystemEventTrigger("after", "shutdown", loop.quit)
        round_trip(reactor, reactor.stop)
        return False

    GLib.idle_add(begin)
    loop.run()
    assert not reactor.running


@on(*WITH_MAIN)
def main_quit_stops_the_reactor(kind: str) -> None:
    """As most programs call it when their last window is destroyed."""
    reactor = make(kind)
    told: list[str] = []
    reactor.addSystemEventTrigger("before", "shutdown", told.append, "shutdown")
    only = window(kind)
    only.connect("destroy", lambda _: gtk(kind).main_quit())
    reactor.callWhenRunning(round_trip, reactor, only.destroy)
    reactor.run()
    assert told == ["shutdown"]
    assert not reactor.running


@on(*WITH_MAIN)
def stop_in_a_nested_main_ends_that_and_then_the_reactors(kind: str) -> None:
    reactor = make(kind)
    levels: list[int] = []

    def nest() -> None:
        if gtk(kind).main_level() < 3:
            reactor.callLater(0, nest)
            gtk(kind).main()
            levels.append(gtk(kind).main_level())
        else:
            reactor.stop()

    reactor.callLater(0, nest)
    reactor.run()
    assert levels == [2, 1]
    assert gtk(kind).main_level() == 0


# -- applications


def application(kind: str) -> Any:
    """One that may run beside others of its name, and without D-Bus."""
    from gi.repository import Gio

    made = Gio.Application if kind == "gi" else gtk(kind).Application
    return made(application_id="org.example.ropewalk", flags=Gio.ApplicationFlags.NON_UNIQUE)


@on("gi", *WITH_APPLICATION)
def run_runs_a_registered_application_and_stop_quits_it(kind: str) -> None:
    reactor = make(kind)
    told: list[str] = []
    app = application(kind)
    for signal in ("startup", "activate", "shutdown"):
        app.connect(signal, lambda _, signal: told.append(signal), signal)
    reactor.registerGApplication(app)
    reactor.callWhenRunning(round_trip, reactor, reactor.stop)
    reactor.run()
    assert sorted(told) == ["activate", "shutdown", "startup"]
    assert not reactor.running


@on("gi", *WITH_APPLICATION)
def after_an_application_the_next_run_is_the_loops_or_another_applications(kind: str) -> None:
    reactor = make(kind)
    for _ in range(2):
        reactor.registerGApplication(application(kind))
        reactor.callLater(0, reactor.stop)
        reactor.run()
        reactor.callWhenRunning(round_trip, reactor, reactor.stop)
        reactor.run()


@on(*WITH_APPLICATION)
def the_closing_of_the_last_window_stops_the_reactor_but_not_its_absence_before(kind: str) -> None:
    reactor = make(kind)
    told: list[str] = []
    app = application(kind)

    def arrived() -> None:
        told.append("arrived, without a window")
        only = window(kind)
        app.add_window(only)
        reactor.callLater(0.05, only.destroy)

    app.connect("activate", lambda _: round_trip(reactor, arrived))
    reactor.addSystemEventTrigger("after", "shutdown", told.append, "shutdown")
    reactor.registerGApplication(app)
    reactor.run()
    assert told == ["arrived, without a window", "shutdown"]


@on("gi", *WITH_APPLICATION)
def an_application_that_the_program_runs_stops_the_attached_reactor_when_it_ends(kind: str) -> None:
    """Its Deferreds that delay the shutdown are waited for, while no loop of GLib runs any more."""
    from ropewalk.internet.task import deferLater

    reactor = make(kind)
    told: list[str] = []
    app = application(kind)
    app.hold()
    reactor.registerGApplication(app)
    reactor.attach()
    round_trip(reactor, app.quit)
    reactor.addSystemEventTrigger("before", "shutdown", deferLater, reactor, 0.05, told.append, "at last")
    reactor.addSystemEventTrigger("after", "shutdown", told.append, "shutdown")
    app.run(None)
    assert told == ["at last", "shutdown"]
    assert not reactor.running


@on("gi", *WITH_APPLICATION)
def stop_leaves_an_application_alone_that_the_program_runs(kind: str) -> None:
    from gi.repository import GLib

    reactor = make(kind)
    told: list[str] = []
    app = application(kind)
    app.hold()
    app.connect("shutdown", lambda _: told.append("the application's end"))
    reactor.registerGApplication(app)
    reactor.attach()
    reactor.addSystemEventTrigger("after", "shutdown", GLib.timeout_add, 10, app.quit)
    reactor.addSystemEventTrigger("after", "shutdown", told.append, "shutdown")
    round_trip(reactor, reactor.stop)
    app.run(None)
    assert told == ["shutdown", "the application's end"]


@on("gi")
def a_second_application_is_refused(kind: str) -> None:
    reactor = make(kind)
    first = application(kind)
    reactor.registerGApplication(first)
    said = refused(lambda: reactor.registerGApplication(application(kind)), RuntimeError)
    assert repr(first) in said


# -- dialogs


@on(*ALL)
def the_network_goes_on_in_a_dialog_that_our_callback_opens(kind: str) -> None:
    reactor = make(kind)
    told: list[str] = []

    def ask() -> None:
        """Within dataReceived()."""
        dialog = Dialog(kind)
        round_trip(reactor, dialog.close)
        dialog.run()
        told.append("answered")
        reactor.stop()

    reactor.callWhenRunning(round_trip, reactor, ask)
    reactor.run()
    assert told == ["answered"]


@on(*ALL)
def the_network_goes_on_in_a_dialog_that_the_toolkits_callback_opens(kind: str) -> None:
    from gi.repository import GLib

    reactor = make(kind)
    told: list[str] = []

    def clicked() -> bool:
        dialog = Dialog(kind)
        round_trip(reactor, lambda: reactor.callLater(0.01, reactor.callInThread, reactor.callFromThread, dialog.close))
        dialog.run()
        told.append("answered")
        reactor.stop()
        return False

    GLib.idle_add(clicked)
    reactor.run()
    assert told == ["answered"]


@on(*ALL)
def a_dialog_may_open_another_and_the_reactor_may_be_stopped_meanwhile(kind: str) -> None:
    """The toolkit's loop ends when the dialogs have been answered."""
    reactor = make(kind)
    told: list[str] = []

    def ask(depth: int = 1) -> None:
        dialog = Dialog(kind)
        if depth < 3:
            round_trip(reactor, lambda: ask(depth + 1))
            reactor.addSystemEventTrigger("after", "shutdown", dialog.close)
        else:
            reactor.addSystemEventTrigger("after", "shutdown", dialog.close)
            round_trip(reactor, reactor.stop)
        dialog.run()
        told.append(f"answered {depth}")

    reactor.callWhenRunning(round_trip, reactor, ask)
    reactor.run()
    assert told == ["answered 3", "answered 2", "answered 1"]


# -- fairness and silence


@on(*ALL)
def a_busy_network_leaves_the_repaints_their_time(kind: str) -> None:
    """60 a second are asked for, at the priority that GDK's have."""
    from gi.repository import GLib

    reactor = make(kind)
    painted: list[float] = []
    rates: list[float] = []

    def again() -> None:
        """There is always something to do."""
        reactor.callFromThread(again)

    def paint() -> bool:
        painted.append(time.perf_counter())
        if len(painted) == 60:
            rates.append(60 / (painted[-1] - painted[0]))
            painted.clear()
            if rates[-1] > 50 or len(rates) == 5:   # another program may have taken the processor
                reactor.stop()
                return False
        return True

    GLib.timeout_add(16, paint, priority=120)
    reactor.callWhenRunning(again)
    reactor.run()
    assert max(rates) > 50, rates


@on(*ALL)
def a_busy_window_leaves_the_network_some_time(kind: str) -> None:
    """A timeout of the program's own, at the priority of events, is always due."""
    from gi.repository import GLib

    reactor = make(kind)
    GLib.timeout_add(0, lambda: True)
    round_trips: list[float] = []

    def count() -> None:
        round_trips.append(time.perf_counter())
        if len(round_trips) < 10:
            round_trip(reactor, count)
        else:
            reactor.stop()

    reactor.callWhenRunning(round_trip, reactor, count)
    reactor.run()
    assert round_trips[-1] - round_trips[0] < 10 * 0.5


@on(*GTK)
def with_an_open_window_it_sleeps(kind: str) -> None:
    """Until its input ends."""
    reactor = make(kind)
    kept = window(kind)
    reactor.callWhenRunning(round_trip, reactor, partial(say_and_await_end_of_input, reactor))
    reactor.run()
    assert kept.get_visible()


# -- errors


@on(*ALL)
def run_within_the_toolkits_loop_is_refused(kind: str) -> None:
    from gi.repository import GLib

    reactor = make(kind)
    loop = GLib.MainLoop()
    said: list[str] = []

    def late() -> bool:
        said.append(refused(reactor.run, RuntimeError))
        loop.quit()
        return False

    GLib.idle_add(late)
    loop.run()
    assert "attach()" in said[0]
    assert not reactor.running
    reactor.callLater(0, reactor.stop)
    reactor.run()


@on(*ALL)
def run_in_another_thread_than_the_toolkits_is_refused(kind: str) -> None:
    from gi.repository import GLib

    reactor = make(kind)
    loop = GLib.MainLoop()
    said: list[str] = []

    def elsewhere() -> None:
        said.extend(refused(call, RuntimeError) for call in (reactor.run, reactor.attach))
        GLib.idle_add(loop.quit)

    other = threading.Thread(target=elsewhere)
    GLib.idle_add(lambda: other.start())
    loop.run()
    other.join()
    assert all("in that thread" in message for message in said)


@on(*GTK)
def the_absence_of_a_display_is_told(kind: str) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        os.environ.pop(name, None)
    said = refused(lambda: make(kind), ReactorNotAvailableError)
    assert "DISPLAY" in said
    assert "xvfb-run" in said


@on("gi")
def it_needs_no_display(kind: str) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        os.environ.pop(name, None)
    reactor = make(kind)
    reactor.callWhenRunning(round_trip, reactor, reactor.stop)
    reactor.run()


@on(*GTK)
def another_version_that_is_loaded_is_told(kind: str) -> None:
    loaded = "gtk3" if kind == "gtk4" else "gtk4"
    gtk(loaded)
    said = refused(lambda: make(kind), ReactorNotAvailableError)
    assert f"GTK {loaded[-1]}.0 is loaded" in said
    assert f"the {loaded} reactor" in said
    assert choose.why_not(loaded) is None


@on(*GTK)
def another_version_that_is_required_is_told(kind: str) -> None:
    import gi

    gi.require_version("Gtk", "3.0" if kind == "gtk4" else "4.0")
    assert "gi.require_version" in refused(lambda: make(kind), ReactorNotAvailableError)


@on(*GTK)
def to_ask_whether_it_can_be_used_loads_no_gtk(kind: str) -> None:
    import gi

    assert choose.why_not(kind) is None
    assert not gi.Repository.get_default().is_registered("Gtk")


@on("gtk4")
def a_version_that_is_not_installed_is_told(kind: str) -> None:
    from ropewalk.hosts.gtk import Gtk4Host

    class Gtk9Host(Gtk4Host):
        version = "9.0"

    assert "apt-get install gir1.2-gtk-9.0" in str(Gtk9Host.missing())


@on("gi", "gtk3")
def the_absence_of_pygobject_is_told(kind: str) -> None:
    sys.modules["gi"] = None   # type: ignore[assignment]
    said = refused(lambda: make(kind), ReactorNotAvailableError)
    assert "pip install PyGObject" in said
    assert "apt-get install python3-gi" in said


if __name__ == "__main__":
    play.main()
