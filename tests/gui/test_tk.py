"""The reactor on Tk beyond the contract: who owns the loop, tksupport, dialogs, the end of the root, errors.

Each behaviour runs in a process of its own, which is this file as a program: some of them are about how it ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from played import Play, refused, round_trip, say_and_await_end_of_input, sleeps

from ropewalk.core.reactor import Reactor
from ropewalk.errors import ReactorNotAvailableError
from ropewalk.internet import tksupport
from ropewalk.internet.kit import KIT
from ropewalk.internet.task import deferLater
from ropewalk.internet.tkreactor import TkReactor
from ropewalk.testing.display import missing as no_display
from ropewalk.testing.features import why_missing

_COMMAND = 0x111   # WM_COMMAND
_IDS = {"ok": 1, "yes": 6}   # IDOK, IDYES
TK, SUPPORTED = "tkreactor", "tksupport"
play = Play(__file__)
both = play.on(TK, SUPPORTED)
both_by_numbers = both if why_missing("descriptor limit") is None else play.on()
pytestmark = [
    pytest.mark.usefixtures("display"),
    pytest.mark.skipif(importlib.util.find_spec("_tkinter") is None, reason="this Python has no tkinter"),
]


@pytest.mark.parametrize(("name", "kind"), play.cases)
def test(name: str, kind: str) -> None:
    play.check(name, kind)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells who wakes up")
def test_an_open_window_does_not_wake_it() -> None:
    sleeps(play.child("with_an_open_window_it_sleeps", SUPPORTED))


# -- what behaviours use


def default_reactor() -> Any:
    from ropewalk.internet import reactor

    return reactor


def make(kind: str) -> tuple[Any, Any]:
    """A root of the program's, and a reactor that it serves."""
    import tkinter

    root = tkinter.Tk()
    if kind == TK:
        return root, TkReactor()
    tksupport.install(root)
    return root, default_reactor()


def press(root: Any, title: str, button: str) -> bool:
    """Press that button of the messagebox with that title. Whether it is open."""
    if root.tk.call("tk", "windowingsystem") == "win32":
        return press_natively(title, button)
    path = f".__tk__messagebox.{button}"   # made of Tk's own windows
    if not root.tk.getboolean(root.tk.call("winfo", "exists", path)):
        return False
    root.tk.call(path, "invoke")
    return True


def press_natively(title: str, button: str) -> bool:
    """Windows makes the messagebox."""
    user32: Any = ctypes.windll.user32
    box = user32.FindWindowW("#32770", title)
    return bool(box and user32.PostMessageW(box, _COMMAND, _IDS[button], 0))


def query(root: Any) -> Any:
    """The dialog of simpledialog that waits for an answer; None if there is none."""
    from tkinter.simpledialog import Dialog

    return next((one for one in root.winfo_children() if isinstance(one, Dialog) and one.grab_status()), None)


def reply(root: Any, text: str) -> None:
    """Type `text` into the dialog that is open, and confirm it."""
    dialog = query(root)
    dialog.entry.insert(0, text)
    dialog.ok()


# -- who owns the loop


@both
def stop_ends_mainloop_and_leaves_the_root_to_a_second_run(kind: str) -> None:
    root, reactor = make(kind)
    for _ in range(2):
        reactor.callWhenRunning(round_trip, reactor, reactor.stop)
        reactor.run()
        assert root.winfo_exists()


@both
def attached_it_is_served_by_the_programs_mainloop_which_stop_does_not_end(kind: str) -> None:
    root, reactor = make(kind)
    told: list[str] = []

    def stopped() -> None:
        told.append("stopped")
        root.after(10, went_on)

    def went_on() -> None:
        told.append("the loop went on")
        root.quit()

    for _ in range(2):
        reactor.attach()
        reactor.addSystemEventTrigger("after", "shutdown", stopped)
        round_trip(reactor, reactor.stop)
        root.mainloop()
        assert not reactor.running
    assert told == ["stopped", "the loop went on"] * 2


@both
def it_can_be_attached_while_mainloop_runs(kind: str) -> None:
    root, reactor = make(kind)

    def begin() -> None:
        reactor.attach()
        reactor.addSystemEventTrigger("after", "shutdown", root.quit)
        round_trip(reactor, reactor.stop)

    root.after(0, begin)
    root.mainloop()
    assert not reactor.running


@both
def run_within_mainloop_runs_until_stop(kind: str) -> None:
    """Tk's loops nest."""
    root, reactor = make(kind)
    told: list[str] = []

    def run() -> None:
        reactor.callWhenRunning(round_trip, reactor, reactor.stop)
        reactor.run()
        told.append("the run is over")
        root.after(0, root.quit)

    root.after(0, run)
    root.mainloop()
    assert told == ["the run is over"]


@play.on(TK)
def where_the_program_has_no_root_there_is_a_hidden_one(kind: str) -> None:
    import tkinter

    roots: list[Any] = []
    for _ in range(2):
        reactor = TkReactor()
        reactor.callWhenRunning(lambda: roots.append(tkinter.Label().nametowidget(".")))
        reactor.callWhenRunning(round_trip, reactor, reactor.stop)
        reactor.run()
    assert roots[0] is roots[1]
    assert roots[0].state() == "withdrawn"
    roots[0].destroy()
    reactor.callWhenRunning(round_trip, reactor, reactor.stop)
    reactor.run()


@play.on(TK)
def the_programs_root_may_come_after_the_reactor(kind: str) -> None:
    import tkinter

    reactor = TkReactor()
    root = tkinter.Tk()
    reactor.callWhenRunning(round_trip, reactor, root.destroy)
    reactor.run()
    assert not reactor.running


@play.on(TK)
def the_helper_thread_serves_it_by_a_poller_that_is_no_descriptor(kind: str) -> None:
    import tkinter

    from ropewalk.hosts.tk import TkHost
    from ropewalk.pollers.select import Select

    root = tkinter.Tk()
    reactor = Reactor(partial(TkHost, root=root), Select, KIT)
    told: list[str] = []

    def arrived() -> None:
        dialog = tkinter.Toplevel(root)
        round_trip(reactor, dialog.destroy)
        root.wait_window(dialog)
        told.append("answered")
        reactor.stop()

    for _ in range(2):
        reactor.callWhenRunning(round_trip, reactor, arrived)
        reactor.run()
    assert told == ["answered", "answered"]


# -- tksupport


@play.on(SUPPORTED)
def a_widget_will_do_and_the_interval_means_nothing(kind: str) -> None:
    import tkinter

    root = tkinter.Tk()
    tksupport.install(tkinter.Frame(root), 20_000, default_reactor())
    began = time.monotonic()
    default_reactor().callWhenRunning(round_trip, default_reactor(), root.destroy)
    default_reactor().run()
    assert time.monotonic() - began < 10


@play.on(SUPPORTED)
def it_can_be_installed_and_uninstalled_while_the_reactor_runs(kind: str) -> None:
    """The network goes on, by the reactor's own loop."""
    import tkinter

    reactor = default_reactor()
    told: list[str] = []

    def install() -> None:
        root = tkinter.Tk()
        tksupport.install(root)
        root.after(0, told.append, "Tk turns")
        root.after(0, uninstall, root)

    def uninstall(root: Any) -> None:
        tksupport.uninstall()
        root.destroy()
        told.append("no root")
        round_trip(reactor, install if told.count("no root") == 1 else reactor.stop)

    reactor.callWhenRunning(round_trip, reactor, install)
    reactor.run()
    assert told == ["Tk turns", "no root"] * 2


@play.on(SUPPORTED)
def uninstall_stops_an_attached_reactor(kind: str) -> None:
    root, reactor = make(kind)
    told: list[str] = []

    def leave() -> None:
        tksupport.uninstall()
        told.append("running" if reactor.running else "stopped")
        root.destroy()

    reactor.attach()
    reactor.addSystemEventTrigger("before", "shutdown", deferLater, reactor, 0.05, told.append, "at last")
    round_trip(reactor, partial(root.after, 0, leave))
    root.mainloop()
    assert told == ["at last", "stopped"]
    reactor.callWhenRunning(round_trip, reactor, reactor.stop)
    reactor.run()


@play.on(SUPPORTED)
def a_second_root_is_refused_and_so_is_uninstalling_none(kind: str) -> None:
    root, _ = make(kind)
    assert "TkHost" in refused(partial(tksupport.install, root), RuntimeError)
    tksupport.uninstall()
    assert "install()" in refused(tksupport.uninstall, RuntimeError)


@play.on(SUPPORTED)
def get_password_asks_until_both_are_the_same(kind: str) -> None:
    root, reactor = make(kind)
    passwords: list[str | None] = []

    def ask() -> None:
        then(lambda: reply(root, "secret"))
        passwords.append(tksupport.getPassword("Password:"))
        then(lambda: query(root).cancel())
        passwords.append(tksupport.getPassword("Password:", confirm=True))
        then(type_all, ["one", "two", "three", "three"])
        passwords.append(tksupport.getPassword("Password:", confirm=True))
        reactor.stop()

    def type_all(words: list[str]) -> None:
        reply(root, words.pop(0))
        if words:
            then(type_all, words)

    def then(call: Callable[..., object], *args: object) -> None:
        """Call it once a dialog is open; the message that comes between two is confirmed."""
        if query(root):
            call(*args)
            return
        press(root, "Password", "ok")
        reactor.callLater(0.01, then, call, *args)

    reactor.callWhenRunning(reactor.callLater, 0, ask)
    reactor.run()
    assert passwords == ["secret", None, "three"]


# -- the end of the root


@both
def the_end_of_the_root_stops_the_reactor(kind: str) -> None:
    """A Deferred that delays the shutdown is waited for, while there is no Tk any more."""
    import tkinter

    root, reactor = make(kind)
    label = tkinter.Label(root)
    told: list[str] = []

    def arrived() -> None:
        label.destroy()
        reactor.callLater(0.1, lambda: (told.append("goes on"), root.destroy()))

    reactor.callWhenRunning(round_trip, reactor, arrived)
    reactor.addSystemEventTrigger("before", "shutdown", deferLater, reactor, 0.05, told.append, "at last")
    reactor.run()
    assert told == ["goes on", "at last"]
    assert not reactor.running


@both
def the_end_of_the_root_stops_an_attached_reactor(kind: str) -> None:
    root, reactor = make(kind)
    told: list[str] = []
    reactor.attach()
    round_trip(reactor, partial(root.after, 0, root.destroy))
    reactor.addSystemEventTrigger("before", "shutdown", deferLater, reactor, 0.05, told.append, "at last")
    root.mainloop()
    assert told == ["at last"]
    assert not reactor.running


@play.on(SUPPORTED)
def the_end_of_its_root_stops_it_though_there_is_another(kind: str) -> None:
    import tkinter

    root, reactor = make(kind)
    other = tkinter.Tk()
    reactor.callWhenRunning(round_trip, reactor, root.destroy)
    reactor.run()
    assert other.winfo_exists()


@both
def a_window_manager_that_closes_the_window_stops_the_reactor(kind: str) -> None:
    """Tk's own answer to WM_DELETE_WINDOW, or the program's, which is often reactor.stop()."""
    root, reactor = make(kind)
    root.protocol("WM_DELETE_WINDOW", reactor.stop)
    reactor.callWhenRunning(round_trip, reactor, lambda: root.tk.eval(root.protocol("WM_DELETE_WINDOW")))
    reactor.run()
    assert root.winfo_exists()


# -- dialogs


@both
def the_network_goes_on_in_a_window_that_our_callback_waits_for(kind: str) -> None:
    import tkinter

    root, reactor = make(kind)
    told: list[str] = []

    def ask() -> None:
        """Within dataReceived()."""
        dialog = tkinter.Toplevel(root)
        round_trip(reactor, dialog.destroy)
        root.wait_window(dialog)
        told.append("answered")
        reactor.stop()

    reactor.callWhenRunning(round_trip, reactor, ask)
    reactor.run()
    assert told == ["answered"]


@both
def the_network_goes_on_in_a_messagebox_that_tks_callback_opens(kind: str) -> None:
    from tkinter import messagebox

    root, reactor = make(kind)
    answers: list[bool] = []

    def clicked() -> None:
        in_thread = partial(reactor.callInThread, reactor.callFromThread, press, root, "A question", "yes")
        round_trip(reactor, partial(reactor.callLater, 0.05, in_thread))
        answers.append(messagebox.askyesno("A question", "Go on?"))
        reactor.stop()

    reactor.callWhenRunning(root.after, 0, clicked)
    reactor.run()
    assert answers == [True]


@both
def the_network_goes_on_in_a_simple_dialog(kind: str) -> None:
    from tkinter import simpledialog

    root, reactor = make(kind)
    answers: list[str | None] = []

    def ask() -> None:
        round_trip(reactor, answer)
        answers.append(simpledialog.askstring("A question", "Who?"))
        reactor.stop()

    def answer() -> None:
        if query(root):
            reply(root, "a name")
        else:
            round_trip(reactor, answer)

    reactor.callWhenRunning(round_trip, reactor, ask)
    reactor.run()
    assert answers == ["a name"]


@both
def the_run_ends_when_the_dialogs_are_answered_that_were_open_at_stop(kind: str) -> None:
    import tkinter

    root, reactor = make(kind)
    told: list[object] = []

    def ask() -> None:
        dialog = tkinter.Toplevel(root)
        reactor.addSystemEventTrigger("after", "shutdown", told.append, "stopped")
        reactor.addSystemEventTrigger("after", "shutdown", dialog.after, 50, dialog.destroy)
        round_trip(reactor, reactor.stop)
        root.wait_window(dialog)
        told.append("answered")

    reactor.callWhenRunning(ask)
    reactor.run()
    assert told == ["stopped", "answered"]


# -- fairness and silence


@both
def a_busy_network_leaves_the_repaints_their_time(kind: str) -> None:
    """60 a second are asked for; Tk paints, and calls what is told with after_idle(), when it is idle."""
    import tkinter

    root, reactor = make(kind)
    canvas = tkinter.Canvas(root)
    canvas.pack()
    mark = canvas.create_rectangle(0, 0, 10, 10)
    painted: list[float] = []
    rates: list[float] = []
    asked: list[str] = []   # "after#1", while Tk has not been idle

    def again() -> None:
        """There is always something to do."""
        reactor.callFromThread(again)

    def frame() -> None:
        root.after(16, frame)
        canvas.move(mark, 1, 0)
        if not asked:
            asked.append(root.after_idle(paint))

    def paint() -> None:
        asked.clear()
        painted.append(time.perf_counter())
        if len(painted) < 60:
            return
        rates.append(60 / (painted[-1] - painted[0]))
        painted.clear()
        if rates[-1] > 45 or len(rates) == 5:   # another program may have taken the processor
            reactor.stop()

    reactor.callWhenRunning(again)
    root.after(0, frame)
    reactor.run()
    assert max(rates) > 45, rates


@both
def a_busy_window_leaves_the_network_some_time(kind: str) -> None:
    """A timer of the program's is always due."""
    root, reactor = make(kind)
    round_trips: list[float] = []

    def again() -> None:
        root.after(0, again)

    def count() -> None:
        round_trips.append(time.perf_counter())
        if len(round_trips) < 10:
            round_trip(reactor, count)
        else:
            reactor.stop()

    root.after(0, again)
    reactor.callWhenRunning(round_trip, reactor, count)
    reactor.run()
    assert round_trips[-1] - round_trips[0] < 5


@play.on(SUPPORTED)
def with_an_open_window_it_sleeps(kind: str) -> None:
    """See test_an_open_window_does_not_wake_it()."""
    root, reactor = make(kind)
    reactor.callWhenRunning(round_trip, reactor, partial(say_and_await_end_of_input, reactor))
    reactor.run()
    assert root.winfo_viewable()


# -- descriptors


@both_by_numbers
def a_poller_with_a_high_number_is_watched_by_a_low_one(kind: str) -> None:
    """Tk would abort the process."""
    root, reactor = make(kind)
    root.update()   # the descriptors of Tk itself are there
    with _many_open_files() as files:
        assert reactor.poller.fileno() >= 1024
        for _ in range(8):   # some for the reactor's signals, and so on
            os.close(files.pop(0))
        reactor.callWhenRunning(round_trip, reactor, reactor.stop)
        reactor.run()


@both_by_numbers
def where_no_low_number_is_left_that_is_told(kind: str) -> None:
    _, reactor = make(kind)
    with _many_open_files():
        assert reactor.poller.fileno() >= 1024
        assert "below 1024" in refused(reactor.run, OSError)
    assert not reactor.running


@contextlib.contextmanager
def _many_open_files() -> Any:
    """All numbers below 1024 are in use."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    files: list[int] = []
    while not files or files[-1] < 1023:
        files.append(os.open(os.devnull, os.O_RDONLY))
    try:
        yield files
    finally:
        for fd in files:
            os.close(fd)


# -- errors


@both
def system_exit_of_our_callback_or_of_tks_leaves_run(kind: str) -> None:
    root, reactor = make(kind)

    def leave() -> None:
        raise SystemExit("bye")

    reactor.callWhenRunning(round_trip, reactor, leave)
    assert refused(reactor.run, SystemExit) == "bye"
    reactor.callWhenRunning(round_trip, reactor, partial(root.after, 0, leave))
    assert refused(reactor.run, SystemExit) == "bye"
    reactor.callWhenRunning(round_trip, reactor, reactor.stop)
    reactor.run()


@both
def a_run_in_another_thread_than_the_roots_is_refused(kind: str) -> None:
    root, reactor = make(kind)
    said: list[str] = []

    def elsewhere() -> None:
        said.extend(refused(call, RuntimeError) for call in (reactor.run, reactor.attach))
        root.after(0, root.quit)

    other = threading.Thread(target=elsewhere)
    root.after(0, other.start)
    root.mainloop()
    other.join()
    assert all("in the thread that made it" in message for message in said)
    assert len(said) == 2


@play.on(SUPPORTED)
def a_root_that_is_destroyed_is_told(kind: str) -> None:
    import tkinter

    root, reactor = make(kind)
    root.destroy()
    assert "destroyed" in refused(reactor.run, RuntimeError)
    tksupport.uninstall()
    root = tkinter.Tk()
    tksupport.install(root)
    reactor.callWhenRunning(round_trip, reactor, root.destroy)
    reactor.run()


@play.on(*([TK] if no_display() is None else []))   # Windows always has one
def the_absence_of_a_display_is_told(kind: str) -> None:
    os.environ.pop("DISPLAY")
    assert "xvfb-run" in refused(TkReactor().run, ReactorNotAvailableError)


@both
def the_absence_of_tkinter_is_told(kind: str) -> None:
    sys.modules["_tkinter"] = None   # type: ignore[assignment]   # as if it were not installed
    make_one = TkReactor if kind == TK else partial(tksupport.install, None)
    assert re.search("no tkinter, .* install", refused(make_one, ReactorNotAvailableError))


if __name__ == "__main__":
    play.main()
