"""The reactor inside pygame beyond the contract: its loop or the program's, events, its end, silence, errors."""

from __future__ import annotations

import importlib
import logging
import os
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
from ropewalk.internet import pygamesupport
from ropewalk.internet.epollreactor import EPollReactor
from ropewalk.internet.pygamereactor import PygameReactor
from ropewalk.internet.task import LoopingCall, deferLater

SDL, PYGAME = "SDL's wait", "pygame's wait"
play = Play(__file__)
both = play.on(SDL, PYGAME)
once = play.on(SDL)

pytestmark = [
    pytest.mark.usefixtures("display"),
    pytest.mark.skipif(choose.why_not("pygame") is not None, reason=str(choose.why_not("pygame"))),
]


@pytest.mark.parametrize(("name", "kind"), play.cases)
def test(name: str, kind: str) -> None:
    play.check(name, kind)


def pygame() -> Any:
    return importlib.import_module("pygame")


def make(kind: str) -> Any:
    """A reactor, and an open window. PYGAME: as where SDL's functions cannot be reached."""
    if kind == PYGAME:
        importlib.import_module("ropewalk.hosts.pygame")._sdl_wait = lambda: None
    reactor = PygameReactor()
    window()
    return reactor


def window() -> Any:
    return pygame().display.set_mode((200, 100))


def post(kind: int, **attributes: Any) -> None:
    pygame().event.post(pygame().event.Event(kind, attributes))


# -- reactor.run()


@both
def stop_leaves_the_window_alone_and_a_second_run_works(kind: str) -> None:
    reactor = make(kind)
    for _ in range(2):
        reactor.callWhenRunning(round_trip, reactor, reactor.stop)
        reactor.run()
        assert pygame().display.get_surface() is not None


@both
def run_hands_every_event_to_the_program_in_order_but_not_its_own(kind: str) -> None:
    reactor = make(kind)
    seen: list[Any] = []
    reactor.handlePygameEvents(seen.append)

    def begin() -> None:
        for key in (1, 2, 3):
            post(pygame().KEYDOWN, key=key)
        post(pygame().QUIT)
        reactor.callLater(0.05, round_trip, reactor, reactor.stop)

    reactor.callWhenRunning(begin)
    reactor.run()
    assert [event.key for event in seen if event.type == pygame().KEYDOWN] == [1, 2, 3]
    assert pygame().QUIT in [event.type for event in seen]
    assert not [event for event in seen if event.type >= pygame().USEREVENT]


@both
def without_a_handler_quit_stops_the_reactor(kind: str) -> None:
    reactor = make(kind)
    told: list[str] = []
    reactor.addSystemEventTrigger("before", "shutdown", deferLater, reactor, 0.05, told.append, "at last")
    reactor.callWhenRunning(round_trip, reactor, partial(post, pygame().QUIT))
    reactor.run()
    assert told == ["at last"]


@both
def what_a_handler_raises_is_logged_and_the_next_event_comes(kind: str) -> None:
    reactor = make(kind)
    logged: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = logged.append   # type: ignore[method-assign]
    logging.getLogger("ropewalk").addHandler(handler)

    def handle(event: Any) -> None:
        if event.type == pygame().KEYDOWN:
            raise ValueError("an unknown key")
        if event.type == pygame().QUIT:
            reactor.stop()

    reactor.handlePygameEvents(handle)
    reactor.callWhenRunning(post, pygame().KEYDOWN)
    reactor.callWhenRunning(post, pygame().QUIT)
    reactor.run()
    assert [str(record.exc_info[1]) for record in logged if record.exc_info] == ["an unknown key"]


@both
def a_program_that_clears_the_queue_or_peeks_or_blocks_every_type_loses_no_call(kind: str) -> None:
    reactor = make(kind)
    pygame().event.set_blocked(None)
    passes = []

    def arrived() -> None:
        passes.append(pygame().event.peek())
        pygame().event.clear()
        pygame().event.set_blocked(None)
        if len(passes) == 50:
            reactor.stop()
        else:
            round_trip(reactor, arrived)
            pygame().event.clear()

    reactor.callWhenRunning(arrived)
    reactor.run()
    assert len(passes) == 50


@both
def the_network_is_served_before_there_is_a_window(kind: str) -> None:
    reactor = make(kind)
    pygame().display.quit()
    reactor.callWhenRunning(round_trip, reactor, reactor.stop)
    reactor.run()


# -- the program's own loop


@both
def attached_it_is_served_in_each_turn_of_a_game_at_its_own_pace(kind: str) -> None:
    reactor = make(kind)
    clock = pygame().time.Clock()
    started: list[str] = []
    for _ in range(2):
        reactor.callWhenRunning(started.append, "started")
        reactor.attach()
        round_trip(reactor, reactor.stop)
        while reactor.running:
            pygame().event.get()
            reactor.iterate()
            clock.tick(100)
    assert started == ["started"] * 2


@both
def a_program_that_waits_for_events_is_woken_by_the_network(kind: str) -> None:
    reactor = make(kind)
    reactor.attach()
    round_trip(reactor, partial(reactor.callLater, 0.05, reactor.callInThread, reactor.callFromThread, reactor.stop))
    turns = 0
    while reactor.running:
        pygame().event.wait()
        reactor.iterate()
        turns += 1
    assert turns < 100


@both
def the_events_stay_the_programs_when_it_has_a_loop_of_its_own(kind: str) -> None:
    reactor = make(kind)
    reactor.handlePygameEvents(lambda event: sys.exit("it was taken"))
    reactor.attach()
    post(pygame().KEYDOWN, key=7)
    reactor.iterate()
    assert [event.key for event in pygame().event.get(pygame().KEYDOWN)] == [7]
    reactor.stop()
    while reactor.running:
        reactor.iterate()


@both
def a_loop_within_a_handler_hands_its_events_out_by_iterate(kind: str) -> None:
    """As a game that shows a menu until something has been chosen."""
    reactor = make(kind)
    seen: list[int] = []
    arrived: list[bool] = []

    def handle(event: Any) -> None:
        if event.type != pygame().KEYDOWN:
            return
        seen.append(event.key)
        if event.key == 1:
            round_trip(reactor, lambda: (arrived.append(True), post(pygame().KEYDOWN, key=2)))
            while 2 not in seen:
                reactor.iterate(0.01)
            reactor.stop()

    reactor.handlePygameEvents(handle)
    reactor.callWhenRunning(post, pygame().KEYDOWN, key=1)
    reactor.run()
    assert seen == [1, 2]
    assert arrived == [True]


# -- the end of pygame


@both
def the_end_of_pygame_stops_the_reactor_and_a_second_run_opens_it_anew(kind: str) -> None:
    reactor = make(kind)
    told: list[str] = []
    for _ in range(2):
        reactor.addSystemEventTrigger("before", "shutdown", deferLater, reactor, 0.05, told.append, "at last")
        reactor.callWhenRunning(round_trip, reactor, pygame().quit)
        reactor.run()
    assert told == ["at last"] * 2


@both
def the_end_of_pygame_stops_an_attached_reactor_before_it_returns(kind: str) -> None:
    reactor = make(kind)
    told: list[str] = []
    reactor.attach()
    reactor.addSystemEventTrigger("before", "shutdown", deferLater, reactor, 0.05, told.append, "at last")
    pygame().quit()
    assert told == ["at last"]
    assert not reactor.running


# -- pygamesupport


@once
def pygamesupport_has_pygame_serve_another_reactor(kind: str) -> None:
    reactor = EPollReactor()
    seen: list[int] = []

    def handle(event: Any) -> None:
        seen.append(event.type)
        if event.type == pygame().QUIT:
            reactor.stop()

    pygamesupport.install(handle, reactor)
    reactor.callWhenRunning(round_trip, reactor, partial(post, pygame().QUIT))
    reactor.run()
    assert pygame().QUIT in seen
    assert "PygameHost" in refused(partial(pygamesupport.install, handle, reactor), RuntimeError)


@once
def pygamesupport_can_be_installed_while_the_reactor_runs(kind: str) -> None:
    from ropewalk.internet import reactor

    def begin() -> None:
        pygamesupport.install()
        round_trip(reactor, partial(post, pygame().QUIT))

    reactor.callWhenRunning(begin)
    reactor.run()
    assert not reactor.running


@once
def pygamesupport_gives_a_pygame_reactor_its_handler(kind: str) -> None:
    reactor = make(kind)
    pygamesupport.install(lambda event: event.type == pygame().KEYDOWN and reactor.stop(), reactor)
    reactor.callWhenRunning(round_trip, reactor, partial(post, pygame().KEYDOWN))
    reactor.run()


# -- fairness and silence


@both
def a_busy_network_leaves_the_frames_their_time(kind: str) -> None:
    """60 a second are asked for."""
    reactor = make(kind)
    screen = window()
    rate = Rate(reactor.stop, enough=50)

    def frame() -> None:
        screen.fill((0, 0, 0))
        pygame().display.flip()
        rate.seen()

    frames = LoopingCall(frame)
    frames.clock = reactor
    reactor.callWhenRunning(frames.start, 1 / 60)
    reactor.callWhenRunning(busy, reactor)
    reactor.run()
    rate.check()


@both
def many_events_leave_the_network_its_time(kind: str) -> None:
    """Each one handled posts the next."""
    reactor = make(kind)
    reactor.handlePygameEvents(lambda event: post(pygame().KEYDOWN))
    rate = Rate(reactor.stop, enough=50, count=20)

    def again() -> None:
        rate.seen()
        if reactor.running:
            round_trip(reactor, again)

    reactor.callWhenRunning(post, pygame().KEYDOWN)
    reactor.callWhenRunning(again)
    reactor.run()
    rate.check()


@once
def with_an_open_window_it_sleeps(kind: str) -> None:
    """See test_an_open_window_does_not_wake_it()."""
    reactor = make(kind)
    reactor.callWhenRunning(round_trip, reactor, partial(say_and_await_end_of_input, reactor))
    reactor.run()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads Linux's /proc")
def test_an_open_window_does_not_wake_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYGAME_HIDE_SUPPORT_PROMPT", "1")   # else that is the line that is waited for
    sleeps(play.child("with_an_open_window_it_sleeps", SDL))


# -- errors


@once
def run_in_another_thread_is_refused(kind: str) -> None:
    reactor = make(kind)
    assert "main thread" in refused_in_a_thread(reactor.run, RuntimeError)
    assert not reactor.running


@once
def the_absence_of_a_display_is_told_where_one_is_insisted_on(kind: str) -> None:
    without_display()
    os.environ["SDL_VIDEODRIVER"] = "x11"
    said = refused(PygameReactor, ReactorNotAvailableError)
    assert "DISPLAY" in said
    assert "xvfb-run" in said


@once
def without_a_display_it_runs_off_the_screen(kind: str) -> None:
    without_display()
    os.environ.pop("SDL_VIDEODRIVER", None)
    os.environ["XDG_RUNTIME_DIR"] = os.getcwd()
    reactor = PygameReactor()
    reactor.callWhenRunning(round_trip, reactor, reactor.stop)
    reactor.run()


@once
def the_absence_of_pygame_is_told(kind: str) -> None:
    sys.modules["pygame"] = None   # type: ignore[assignment]
    said = refused(PygameReactor, ReactorNotAvailableError)
    assert "pip install pygame-ce" in said
    assert "apt-get install python3-pygame" in said


@once
def to_ask_whether_it_can_be_used_does_not_load_pygame(kind: str) -> None:
    assert choose.why_not("pygame") is None
    assert "pygame" not in sys.modules


if __name__ == "__main__":
    play.main()
