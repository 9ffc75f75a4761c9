"""Events of Windows, watched by addEvent, on each reactor that Windows has."""

from __future__ import annotations

import ctypes
import importlib
from typing import Any

import pytest

from ropewalk.core import choose
from ropewalk.internet.interfaces import IReactorWin32Events
from ropewalk.testing.features import why_missing
from ropewalk.testing.rig import Rig

_MISSING = why_missing("handles")
pytestmark = pytest.mark.skipif(_MISSING is not None, reason=str(_MISSING))
_ctypes: Any = ctypes


class Event:
    """An event of the system's. manual: whether it stays signalled until it is reset."""

    def __init__(self, manual: bool = False) -> None:
        self._kernel = _ctypes.WinDLL("kernel32")
        self._kernel.CreateEventW.restype = ctypes.c_void_p
        self._handle = ctypes.c_void_p(self._kernel.CreateEventW(None, manual, False, None))

    def __int__(self) -> int:
        return self._handle.value or 0

    def set(self) -> None:
        self._kernel.SetEvent(self._handle)

    def close(self) -> None:
        self._kernel.CloseHandle(self._handle)


class Owner:
    """Notes what it is told."""

    def __init__(self, rig: Rig, enough: int = 1) -> None:
        self._rig = rig
        self._enough = enough
        self.calls = 0
        self.reason: Any = None

    def occurred(self) -> None:
        self.calls += 1
        if self.calls == self._enough:
            self._rig.reactor.stop()

    def fails(self) -> None:
        raise ArithmeticError("on purpose")

    def returns(self) -> Exception:
        return ArithmeticError("on purpose")

    def connectionLost(self, reason: Any) -> None:
        self.reason = type(reason.value)   # the error itself would keep the reactor
        self._rig.reactor.stop()


REACTORS = pytest.mark.parametrize("name", ["select", "iocp", "wfmo"])


def rig_of(name: str) -> Rig:
    row = choose.choice(name)
    return Rig(getattr(importlib.import_module(f"ropewalk.internet.{row.module}"), row.reactor))


@REACTORS
def test_every_reactor_of_windows_watches_events(name: str) -> None:
    with rig_of(name) as rig:
        assert isinstance(rig.reactor, IReactorWin32Events)


@REACTORS
def test_an_event_that_resets_itself_is_told_once_each_time_it_is_set(name: str) -> None:
    with rig_of(name) as rig:
        event, owner = Event(), Owner(rig, 3)
        rig.reactor.addEvent(event, owner, "occurred")
        for delay in (0, 0.05, 0.1):
            rig.reactor.callLater(delay, event.set)
        rig.run()
        assert owner.calls == 3
        rig.reactor.removeEvent(event)
        event.close()


@REACTORS
def test_an_event_that_stays_set_is_told_each_turn(name: str) -> None:
    with rig_of(name) as rig:
        event, owner = Event(manual=True), Owner(rig, 5)
        event.set()
        rig.reactor.addEvent(int(event), owner, "occurred")
        rig.run()
        assert owner.calls >= 5   # until it has stopped
        rig.reactor.removeEvent(event)
        event.close()


@REACTORS
@pytest.mark.parametrize("action", ["fails", "returns"])
def test_an_action_that_fails_loses_its_event(name: str, action: str) -> None:
    with rig_of(name) as rig:
        event, owner = Event(manual=True), Owner(rig)
        rig.reactor.addEvent(event, owner, action)
        rig.reactor.callWhenRunning(event.set)
        rig.run()
        assert owner.reason is ArithmeticError
        rig.expect_errors(*([ArithmeticError] if action == "fails" else []))
        event.close()


@REACTORS
def test_a_removed_event_is_told_no_more_and_may_be_closed(name: str) -> None:
    with rig_of(name) as rig:
        event, owner = Event(), Owner(rig)
        rig.reactor.addEvent(event, owner, "occurred")
        event.set()
        rig.reactor.removeEvent(event)
        rig.reactor.removeEvent(event)
        event.close()
        rig.reactor.callLater(0.05, rig.reactor.stop)
        rig.run()
        assert owner.calls == 0


@REACTORS
def test_two_hundred_events_are_each_told(name: str) -> None:
    """A wait of the system's takes 64 handles at most."""
    with rig_of(name) as rig:
        events, owner = [Event() for _ in range(200)], Owner(rig, 200)
        for event in events:
            rig.reactor.addEvent(event, owner, "occurred")
            rig.reactor.callWhenRunning(event.set)
        rig.run()
        assert owner.calls == 200
        for event in events:
            rig.reactor.removeEvent(event)
            event.close()


@REACTORS
def test_what_is_no_handle_is_refused(name: str) -> None:
    with rig_of(name) as rig, pytest.raises(OSError, match=r"(?i)handle|0x6"):
        rig.reactor.addEvent(0x7FFFFFF0, Owner(rig), "occurred")


@REACTORS
def test_an_event_that_is_added_again_has_the_new_action(name: str) -> None:
    with rig_of(name) as rig:
        event, before, owner = Event(), Owner(rig), Owner(rig)
        rig.reactor.addEvent(event, before, "occurred")
        rig.reactor.addEvent(event, owner, "occurred")
        rig.reactor.callWhenRunning(event.set)
        rig.run()
        assert (before.calls, owner.calls) == (0, 1)
        rig.reactor.removeEvent(event)
        event.close()


@REACTORS
def test_an_event_that_was_closed_while_it_was_watched_disturbs_no_other_one(name: str) -> None:
    with rig_of(name) as rig:
        closed, event, owner = Event(), Event(), Owner(rig)
        rig.reactor.addEvent(closed, owner, "occurred")
        closed.close()
        rig.reactor.addEvent(event, owner, "occurred")
        rig.reactor.callWhenRunning(event.set)
        rig.run()
        assert owner.calls == 1
        rig.reactor.removeEvent(closed)
        rig.reactor.removeEvent(event)
        event.close()
