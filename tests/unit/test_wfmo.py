"""Window messages on the WaitForMultipleObjects reactor, by a window that nobody sees (HWND_MESSAGE)."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from ctypes import wintypes
from typing import Any

import pytest

from ropewalk.internet.win32eventreactor import Win32Reactor
from ropewalk.testing.features import why_missing
from ropewalk.testing.rig import Rig

_MISSING = why_missing("handles")
pytestmark = pytest.mark.skipif(_MISSING is not None, reason=str(_MISSING))
_ctypes: Any = ctypes
_PROCEDURE = -4   # GWLP_WNDPROC
_MESSAGE_ONLY = ctypes.c_void_p(-3)
_MINE = 0x8001   # WM_APP + 1


class Window:
    """A message-only window. called: what its procedure does for a message of ours, with the number that it carries."""

    def __init__(self, called: Callable[[int], object]) -> None:
        self._user = user = _ctypes.WinDLL("user32")
        user.CreateWindowExW.restype = ctypes.c_void_p
        user.DefWindowProcW.restype = ctypes.c_ssize_t
        parameters = (ctypes.c_void_p, ctypes.c_uint, ctypes.c_size_t, ctypes.c_ssize_t)
        user.DefWindowProcW.argtypes = parameters

        def procedure(window: int, message: int, first: int, second: int) -> int:
            if message != _MINE:
                answer: int = user.DefWindowProcW(window, message, first, second)
                return answer
            called(first)
            return 0

        self._procedure = _ctypes.WINFUNCTYPE(ctypes.c_ssize_t, *parameters)(procedure)
        made = user.CreateWindowExW(0, "STATIC", None, 0, 0, 0, 0, 0, _MESSAGE_ONLY, None, None, None)
        self._handle = ctypes.c_void_p(made)
        user.SetWindowLongPtrW(self._handle, _PROCEDURE, self._procedure)

    def post(self, number: int = 0) -> None:
        self._user.PostMessageW(self._handle, _MINE, wintypes.WPARAM(number), None)

    def close(self) -> None:
        self._user.DestroyWindow(self._handle)


def quit_by_message() -> None:
    _ctypes.WinDLL("user32").PostQuitMessage(0)


@pytest.fixture
def window_of() -> Iterator[Callable[[Callable[[int], object]], Window]]:
    with contextlib.ExitStack() as opened:

        def make(called: Callable[[int], object]) -> Window:
            return opened.enter_context(contextlib.closing(Window(called)))

        yield make


def test_messages_are_dispatched_in_order_while_the_reactor_waits(window_of: Any) -> None:
    with Rig(Win32Reactor) as rig:
        seen: list[int] = []

        def called(number: int) -> None:
            seen.append(number)
            if number == 499:
                rig.reactor.stop()

        window = window_of(called)
        for number in range(500):   # more than a turn dispatches
            rig.reactor.callWhenRunning(window.post, number)
        rig.run()
        assert seen == list(range(500))


def test_a_message_that_begets_the_next_one_starves_nobody(window_of: Any) -> None:
    with Rig(Win32Reactor) as rig:
        turns: list[int] = []
        window = window_of(lambda number: (turns.append(number), window.post(number + 1)))
        rig.reactor.callWhenRunning(window.post, 1)
        rig.reactor.callLater(0.1, rig.reactor.stop)
        rig.run()
        assert len(turns) > 100


def test_what_a_window_writes_and_schedules_is_served_at_once(window_of: Any) -> None:
    with Rig(Win32Reactor) as rig:
        window = window_of(lambda _: rig.reactor.callLater(0, rig.reactor.callFromThread, rig.reactor.stop))
        rig.reactor.callLater(0.02, window.post)
        rig.run(limit=5)


def test_a_window_may_turn_the_reactor(window_of: Any) -> None:
    with Rig(Win32Reactor) as rig:
        timers: list[str] = []

        def called(number: int) -> None:
            rig.reactor.callLater(0, timers.append, "served")
            while not timers:
                rig.reactor.iterate(0.01)
            rig.reactor.stop()

        window = window_of(called)
        rig.reactor.callWhenRunning(window.post)
        rig.run(limit=5)
        assert timers == ["served"]


def test_post_quit_message_stops_the_reactor_with_its_triggers(window_of: Any) -> None:
    with Rig(Win32Reactor) as rig:
        ended: list[str] = []
        window = window_of(lambda _: quit_by_message())
        rig.reactor.callWhenRunning(window.post)
        rig.reactor.addSystemEventTrigger("during", "shutdown", ended.append, "shutdown")
        rig.run(limit=5)
        assert ended == ["shutdown"]
