"""A window that nobody sees: what any thread posts to it is called in the thread that made it. For Windows.

Facts of Windows' messages, and what they mean for us:
* A message-only window (a child of HWND_MESSAGE) is not drawn, not found and not told of broadcasts. It is served by
  whatever dispatches its thread's messages: the loop of any toolkit, and those of Windows' own that run while a menu or
  a message box is open, or a window is moved.
* A message to a thread instead of a window (PostThreadMessage) is lost in those loops.
* PostMessage fails while 10,000 messages wait in the thread's queue. A message runs all that is posted by then, so
  nothing is lost unless it was the only one; and the helper thread tells again when nobody comes.
* A window can be destroyed by its own thread alone; what is posted to it goes with it.
* A class of windows holds no reference to its procedure, which is Python's: there is one class, made once, for good.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections import deque
from collections.abc import Callable
from ctypes import wintypes
from typing import Any

assert sys.platform == "win32"

_POSTED = 0x8000   # WM_APP
_MESSAGE_ONLY = wintypes.HWND(-3)   # HWND_MESSAGE
_NAME = "RopewalkMessageWindow"
_Procedure = ctypes.WINFUNCTYPE(
    ctypes.c_ssize_t, wintypes.HWND, wintypes.UINT, wintypes.WPARAM, wintypes.LPARAM
)


class _WindowClass(ctypes.Structure):
    """WNDCLASSW."""

    _fields_ = [
        ("style", wintypes.UINT), ("procedure", _Procedure), ("class_extra", ctypes.c_int),
        ("window_extra", ctypes.c_int), ("instance", wintypes.HINSTANCE), ("icon", wintypes.HANDLE),
        ("cursor", wintypes.HANDLE), ("background", wintypes.HANDLE), ("menu", wintypes.LPCWSTR),
        ("name", wintypes.LPCWSTR),
    ]  # fmt: skip


class MessageWindow:
    """Made and closed in the thread whose messages are dispatched. Raises OSError if Windows makes no window."""

    def __init__(self) -> None:
        self._user32 = _user32()
        self._posted: deque[Callable[[], object]] = deque()
        self._handle = self._user32.CreateWindowExW(
            0, _register(), None, 0, 0, 0, 0, 0, _MESSAGE_ONLY, None, None, None
        )
        if not self._handle:
            raise ctypes.WinError(ctypes.get_last_error())
        _windows[self._handle] = self

    def post(self, call: Callable[[], object]) -> None:
        """Run `call`, which must not raise, in the window's thread; from any thread."""
        self._posted.append(call)
        self._user32.PostMessageW(self._handle, _POSTED, 0, 0)

    def run_posted(self) -> None:
        """Run what is posted by now, unless a nested loop has."""
        for _ in range(len(self._posted)):
            if self._posted:
                self._posted.popleft()()

    def close(self) -> None:
        """Forget what is posted."""
        self._posted.clear()
        del _windows[self._handle]
        self._user32.DestroyWindow(self._handle)


_windows: dict[int, MessageWindow] = {}


def _answer(window: int, message: int, word: int, value: int) -> int:
    ours = _windows.get(window)
    if message == _POSTED and ours is not None:
        ours.run_posted()
        return 0
    answer: int = _user32().DefWindowProcW(window, message, word, value)
    return answer


_procedure = _Procedure(_answer)


@functools.cache
def _register() -> str:
    """Have the class of windows; its name."""
    if not _user32().RegisterClassW(ctypes.byref(_WindowClass(procedure=_procedure, name=_NAME))):
        raise ctypes.WinError(ctypes.get_last_error())
    return _NAME


@functools.cache
def _user32() -> Any:
    library = ctypes.WinDLL("user32", use_last_error=True)
    number, pointer, text = wintypes.DWORD, wintypes.LPVOID, wintypes.LPCWSTR
    message = (wintypes.HWND, wintypes.UINT, wintypes.WPARAM, wintypes.LPARAM)
    library.CreateWindowExW.restype = wintypes.HWND
    library.CreateWindowExW.argtypes = (
        number, text, text, number, *[ctypes.c_int] * 4, wintypes.HWND, wintypes.HANDLE, wintypes.HANDLE, pointer
    )  # fmt: skip
    library.DefWindowProcW.restype = ctypes.c_ssize_t
    library.DefWindowProcW.argtypes = message
    library.PostMessageW.argtypes = message
    library.DestroyWindow.argtypes = (wintypes.HWND,)
    return library
