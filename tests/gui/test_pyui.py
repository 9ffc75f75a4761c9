"""The reactor inside PyUI beyond the contract: the classic one, by a stand-in on pygame, and that of today."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from played import Play, Rate, busy, refused, round_trip

from ropewalk.core import choose
from ropewalk.errors import ReactorNotAvailableError
from ropewalk.internet import pyuisupport
from ropewalk.internet.epollreactor import EPollReactor
from ropewalk.internet.pyuireactor import PyUIReactor
from ropewalk.internet.task import deferLater

CLASSIC, TODAYS = "the classic PyUI", "today's PyUI"
play = Play(__file__, "ignore::ResourceWarning", "ignore:Using SDL2 binaries from pysdl2-dll:UserWarning")
classic = play.on(CLASSIC)
todays = play.on(TODAYS)

pytestmark = pytest.mark.usefixtures("display")


@pytest.mark.parametrize(("name", "kind"), play.cases)
def test(name: str, kind: str) -> None:
    pytest.importorskip("pygame" if kind == CLASSIC else "pyui")
    play.check(name, kind)


def pyui() -> Any:
    return importlib.import_module("pyui")


def logged() -> list[logging.LogRecord]:
    """What is logged from now on."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append   # type: ignore[method-assign]
    logging.getLogger("ropewalk").addHandler(handler)
    return records


# -- the classic one


def installed(**arguments: Any) -> Any:
    """A reactor that the classic PyUI serves, with a window."""
    sys.path.insert(0, str(Path(__file__).parent / "classic"))
    reactor = EPollReactor()
    assert pyuisupport.install(reactor=reactor, args=(640, 480), kw={"renderer": "gl"}, **arguments) == "the desktop"
    return reactor


def close_window() -> None:
    pygame = importlib.import_module("pygame")
    pygame.event.post(pygame.event.Event(pygame.QUIT))


@classic
def install_calls_init_with_what_it_was_given(kind: str) -> None:
    installed()
    assert pyui().opened == (640, 480, "gl", 0, "")


@classic
def frames_are_drawn_at_their_interval_and_the_network_waits_for_none(kind: str) -> None:
    reactor = installed(ms=200)
    trips: list[int] = []

    def again() -> None:
        trips.append(pyui().frames)
        if len(trips) == 30:
            reactor.callLater(0.5, reactor.stop)
        else:
            round_trip(reactor, again)

    reactor.callWhenRunning(again)
    reactor.run()
    assert trips[-1] <= 3, "thirty round trips within three frames of a fifth of a second"
    assert 3 <= pyui().frames <= 6


@classic
def stop_leaves_pyui_alone_and_a_second_run_works(kind: str) -> None:
    reactor = installed()
    for _ in range(2):
        frames = pyui().frames
        reactor.callWhenRunning(reactor.callLater, 0.1, round_trip, reactor, reactor.stop)
        reactor.run()
        assert pyui().opened
        assert pyui().frames > frames


@classic
def when_update_returns_0_pyui_is_quit_and_the_reactor_stops(kind: str) -> None:
    reactor = installed()
    told: list[str] = []
    reactor.addSystemEventTrigger("before", "shutdown", deferLater, reactor, 0.05, told.append, "at last")
    reactor.callWhenRunning(round_trip, reactor, close_window)
    reactor.run()
    assert told == ["at last"]
    assert pyui().opened is None


@classic
def a_program_with_a_loop_of_its_own_attaches_the_reactor_and_iterates(kind: str) -> None:
    reactor = installed()
    reactor.attach()
    round_trip(reactor, reactor.stop)
    while reactor.running:
        assert pyui().update()
        pyui().draw()
        reactor.iterate(0.01)
    assert pyui().opened


@classic
def what_a_frame_raises_is_logged_and_the_next_one_comes(kind: str) -> None:
    reactor = installed()
    records = logged()

    def handler(event: Any) -> None:
        if event.type == importlib.import_module("pygame").QUIT:
            pyui().handlers.clear()
            raise ValueError("a button's handler")

    pyui().handlers.append(handler)
    reactor.callWhenRunning(close_window)
    reactor.callLater(0.1, round_trip, reactor, close_window)
    reactor.run()
    assert [str(record.exc_info[1]) for record in records if record.exc_info] == ["a button's handler"]


@classic
def it_can_be_installed_while_the_reactor_runs(kind: str) -> None:
    from ropewalk.internet import reactor

    sys.path.insert(0, str(Path(__file__).parent / "classic"))
    reactor.callWhenRunning(pyuisupport.install, args=(100, 100))
    reactor.callWhenRunning(reactor.callLater, 0.1, round_trip, reactor, close_window)
    reactor.run()
    assert pyui().opened is None
    assert "ClassicPyUIHost" in refused(pyuisupport.install, RuntimeError)


@classic
def a_busy_network_leaves_the_frames_their_time(kind: str) -> None:
    reactor = installed()
    rate = Rate(reactor.stop, enough=50)
    draw = pyui().draw

    def counted() -> None:
        draw()
        rate.seen()

    pyui().draw = counted
    reactor.callWhenRunning(busy, reactor)
    reactor.run()
    rate.check()


@classic
def the_absence_of_pyui_is_told(kind: str) -> None:
    sys.modules["pyui"] = None   # type: ignore[assignment]
    assert "PyUI cannot be imported" in refused(pyuisupport.install, ReactorNotAvailableError)
    assert "pip install pyui" in refused(PyUIReactor, ReactorNotAvailableError)


# -- that of today


def application() -> Any:
    """One with a window."""
    app = pyui().Application("example.ropewalk")
    app.window("A window", pyui().Text("Hello"))
    return app


def registered() -> tuple[Any, Any]:
    reactor, app = PyUIReactor(), application()
    reactor.registerPyUIApp(app)
    return reactor, app


def count_frames(app: Any, seen: Callable[[], object]) -> None:
    tick = app.tick

    def counted(dt: float) -> None:
        tick(dt)
        seen()

    app.tick = counted


@todays
def stop_leaves_the_application_alone_and_a_second_run_goes_on_with_it(kind: str) -> None:
    reactor, app = registered()
    frames: list[int] = [0]
    count_frames(app, lambda: frames.append(frames[-1] + 1))
    for _ in range(2):
        before = frames[-1]
        reactor.callWhenRunning(reactor.callLater, 0.2, round_trip, reactor, reactor.stop)
        reactor.run()
        assert app.running
        assert frames[-1] > before


@todays
def the_closing_of_the_last_window_stops_the_reactor(kind: str) -> None:
    import sdl2

    reactor, app = registered()
    told: list[str] = []
    reactor.addSystemEventTrigger("before", "shutdown", deferLater, reactor, 0.05, told.append, "at last")

    def close() -> None:
        event = sdl2.SDL_Event(type=sdl2.SDL_QUIT)   # as SDL does when the last window is closed
        sdl2.SDL_PushEvent(event)

    reactor.callWhenRunning(round_trip, reactor, close)
    reactor.run()
    assert told == ["at last"]
    assert not app.running
    assert "cannot run it again" in refused(reactor.run, RuntimeError)


@todays
def an_application_that_fails_is_logged_and_stops_the_reactor(kind: str) -> None:
    reactor, app = registered()
    records = logged()

    def fail() -> None:
        raise ValueError("a view that cannot be drawn")

    count_frames(app, fail)
    reactor.run()
    assert [str(record.exc_info[1]) for record in records if record.exc_info] == ["a view that cannot be drawn"]


@todays
def the_asyncio_reactor_is_attached_where_the_program_runs_the_application(kind: str) -> None:
    from ropewalk.internet.asyncioreactor import AsyncioReactor

    reactor, app = AsyncioReactor(), application()
    told: list[str] = []
    reactor.addSystemEventTrigger("after", "shutdown", told.append, "shutdown")

    def began() -> None:
        if not told:
            told.append("attached")
            reactor.attach()
            round_trip(reactor, app.quit)

    count_frames(app, began)
    app.run()
    assert told == ["attached", "shutdown"]


@todays
def a_busy_network_leaves_an_application_its_frames(kind: str) -> None:
    reactor, app = registered()
    rate = Rate(reactor.stop, enough=50)
    count_frames(app, rate.seen)
    reactor.callWhenRunning(busy, reactor)
    reactor.run()
    rate.check()


@todays
def a_second_application_is_refused(kind: str) -> None:
    reactor, app = registered()
    reactor.registerPyUIApp(app)
    assert repr(app) in refused(partial(reactor.registerPyUIApp, object()), RuntimeError)


@todays
def pyuisupport_says_that_this_pyui_is_another(kind: str) -> None:
    said = refused(pyuisupport.install, ReactorNotAvailableError)
    assert "has init()" in said
    assert "registerPyUIApp" in said


@todays
def to_ask_whether_it_can_be_used_does_not_load_pyui(kind: str) -> None:
    assert choose.why_not("pyui") is None
    assert "pyui" not in sys.modules


if __name__ == "__main__":
    play.main()
