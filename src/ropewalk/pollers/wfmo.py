"""The WaitForMultipleObjects poller, for Windows: it waits for sockets and for window messages at the same time.

Facts, and what they mean for us:
* A wait takes 64 handles at most, and an event that WSAEventSelect shares among sockets does not tell which of them is
  ready: each would have to be asked. So AFD is asked here, too; every answer sets one event, and its packet tells the
  socket. However many sockets there are, the wait is for one handle.
* The event is reset when a request begins, so what was answered before is taken from the port between the requests and
  the wait.
* MsgWaitForMultipleObjectsEx returns for messages that are there already (MWMO_INPUTAVAILABLE), not only for new ones.
* Messages are dispatched as a handler of the batch: a window procedure runs where any callback does, and may open a
  nested loop. While it is on the stack, messages are left to that loop.
* Messages come without end while a mouse moves: a turn dispatches a number of them, then the others have theirs.
* WM_QUIT, which PostQuitMessage leaves, is for who owns the loop.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import wintypes

from ropewalk.interfaces import READ, Handler
from ropewalk.pollers.afd import Afd
from ropewalk.pollers.windows import Api, available, last_error, load

_MESSAGES = -1   # in the place of a descriptor
_SIGNALLED, _MESSAGE = 0, 1   # what the wait returns: the number of the handle, or that of all handles
_FAILED = -1
_ALL_INPUT = 0x4FF
_INPUT_AVAILABLE = 4
_REMOVE = 1
_QUIT = 0x12
_A_TURN = 100   # messages


class WFMO(Afd):
    """Waits by MsgWaitForMultipleObjectsEx. quit: called at WM_QUIT."""

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be used here; None if it can."""
        return None if available() else "WaitForMultipleObjects is Windows'"

    def __init__(self, quit: Callable[[], object] = lambda: None) -> None:
        event = load().new_event()
        super().__init__(event)
        self._handles = (ctypes.c_void_p * 1)(event.value)
        self._wait = self.api.user.MsgWaitForMultipleObjectsEx
        messages: Handler = _Messages(self.api, quit)
        self.handlers[_MESSAGES] = messages
        self.masks[_MESSAGES] = READ

    def change(self, fd: int, old: int, new: int) -> None:
        if fd != _MESSAGES:   # whether they are muted is asked at each wait
            super().change(fd, old, new)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        left = self.begin(timeout)
        packets = self.packets.take(0)
        watched = 0 if _MESSAGES in self._muted else _ALL_INPUT
        woken = self._wait(1, self._handles, ctypes.c_ulong(0 if packets else left), watched, _INPUT_AVAILABLE)
        if woken == _FAILED:
            raise last_error()
        if woken == _SIGNALLED:
            packets += self.packets.take(0)
        ready = self.ready(packets)
        if woken == _MESSAGE:
            ready.append((_MESSAGES, READ))
        return ready

    def wake(self) -> None:
        super().wake()
        self.api.set_event(self.event)

    def close(self) -> None:
        super().close()
        event, self.event = self.event, None
        if event is not None:
            self.api.close(event)

    __del__ = close


class _Messages:
    """The handler of this thread's window messages."""

    def __init__(self, api: Api, quit: Callable[[], object]) -> None:
        self._user = api.user
        self._quit = quit

    def ready(self, mask: int) -> None:
        message = wintypes.MSG()
        place = ctypes.byref(message)
        for _ in range(_A_TURN):
            if not self._user.PeekMessageW(place, None, 0, 0, _REMOVE):
                return
            if message.message == _QUIT:
                self._quit()
                return
            self._user.TranslateMessage(place)
            self._user.DispatchMessageW(place)
