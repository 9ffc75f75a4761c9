"""The chat in a window of Windows' own: python examples/chat/win32chat.py [HOST:PORT [NAME]]

No toolkit: the reactor on WaitForMultipleObjects dispatches the window's messages. Only what a chat needs is declared.
"""

from __future__ import annotations

import ctypes
from ctypes import wintypes
from typing import Any

from chatlogic import Chat, arguments

from ropewalk.internet import win32eventreactor

win32eventreactor.install()
from ropewalk.internet import reactor  # noqa: E402

windows: Any = ctypes   # type checkers on other systems do not know what it has on Windows alone
user = windows.WinDLL("user32")
kernel = windows.WinDLL("kernel32")
Procedure = windows.WINFUNCTYPE(
    ctypes.c_ssize_t, wintypes.HWND, wintypes.UINT, wintypes.WPARAM, wintypes.LPARAM
)
user.DefWindowProcW.restype = ctypes.c_ssize_t
user.DefWindowProcW.argtypes = [wintypes.HWND, wintypes.UINT, wintypes.WPARAM, wintypes.LPARAM]
user.SendMessageW.restype = ctypes.c_ssize_t
user.SendMessageW.argtypes = [wintypes.HWND, wintypes.UINT, wintypes.WPARAM, ctypes.c_void_p]
user.CreateWindowExW.restype = wintypes.HWND
user.CreateWindowExW.argtypes = [
    wintypes.DWORD, wintypes.LPCWSTR, wintypes.LPCWSTR, wintypes.DWORD, *[ctypes.c_int] * 4,
    wintypes.HWND, wintypes.HMENU, wintypes.HINSTANCE, ctypes.c_void_p,
]  # fmt: skip
kernel.GetModuleHandleW.restype = wintypes.HMODULE

OVERLAPPED_WINDOW, VISIBLE, CHILD, BORDER, SCROLLBAR = 0xCF0000, 0x10000000, 0x40000000, 0x800000, 0x200000
SCROLLS_SIDEWAYS, DEFAULT_BUTTON = 0x80, 1   # ES_AUTOHSCROLL, BS_DEFPUSHBUTTON
DESTROY, SIZE, CLOSE, COMMAND, SET_TEXT, GET_TEXT, GET_TEXT_LENGTH = 0x2, 0x5, 0x10, 0x111, 0xC, 0xD, 0xE
ADD_STRING, GET_COUNT, GET_LINE, GET_LINE_LENGTH, SET_TOP = 0x180, 0x18B, 0x189, 0x18A, 0x197   # LB_...
SEND, TOGGLE = 1, 2   # the numbers of the buttons
ROW, BUTTON = 28, 96   # pixels


class WindowClass(ctypes.Structure):
    """WNDCLASSW."""

    _fields_ = [
        ("style", wintypes.UINT), ("procedure", Procedure), ("class_extra", ctypes.c_int),
        ("window_extra", ctypes.c_int), ("instance", wintypes.HINSTANCE), ("icon", wintypes.HANDLE),
        ("cursor", wintypes.HANDLE), ("background", wintypes.HANDLE), ("menu", wintypes.LPCWSTR),
        ("name", wintypes.LPCWSTR),
    ]  # fmt: skip


class Window:
    """A list, an entry, and two buttons."""

    def __init__(self) -> None:
        self._procedure = Procedure(self.message)   # as long as the window may call it
        instance = kernel.GetModuleHandleW(None)
        kind = WindowClass(0, self._procedure, 0, 0, instance, None, None, 6, None, "RopewalkChat")
        user.RegisterClassW(ctypes.byref(kind))
        self.window = user.CreateWindowExW(
            0, "RopewalkChat", "Chat: Win32", OVERLAPPED_WINDOW, 0, 0, 480, 360, None, None, instance, None
        )
        self.list = self.add("LISTBOX", "", BORDER | SCROLLBAR)
        self.entry = self.add("EDIT", "", BORDER | SCROLLS_SIDEWAYS)
        self.send_button = self.add("BUTTON", "Send", DEFAULT_BUTTON, SEND)
        self.toggle_button = self.add("BUTTON", "Connect", 0, TOGGLE)
        self.chat = Chat(self, reactor, **arguments())
        user.ShowWindow(self.window, 1)
        self.arrange()

    def add(self, kind: str, text: str, style: int, number: int = 0) -> int:
        """A child window."""
        made: int = user.CreateWindowExW(
            0, kind, text, style | CHILD | VISIBLE, 0, 0, 10, 10, self.window, number or None, None, None
        )
        return made

    def arrange(self) -> None:
        area = wintypes.RECT()
        user.GetClientRect(self.window, ctypes.byref(area))
        width, top = area.right, area.bottom - ROW
        user.MoveWindow(self.list, 0, 0, width, top, True)
        user.MoveWindow(self.entry, 0, top, width - 2 * BUTTON, ROW, True)
        user.MoveWindow(self.send_button, width - 2 * BUTTON, top, BUTTON, ROW, True)
        user.MoveWindow(self.toggle_button, width - BUTTON, top, BUTTON, ROW, True)

    def message(self, window: int, message: int, first: int, second: int) -> int:
        """The window procedure."""
        if message == SIZE and hasattr(self, "chat"):
            self.arrange()
        elif message == COMMAND and first == SEND:
            self.send()
        elif message == COMMAND and first == TOGGLE:
            self.chat.toggle()
        elif message == DESTROY:
            user.PostQuitMessage(0)
        else:
            answer: int = user.DefWindowProcW(window, message, first, second)
            return answer
        return 0

    def send(self) -> None:
        text = ctypes.create_unicode_buffer(user.SendMessageW(self.entry, GET_TEXT_LENGTH, 0, None) + 1)
        user.SendMessageW(self.entry, GET_TEXT, len(text), text)
        if self.chat.say(text.value):
            user.SendMessageW(self.entry, SET_TEXT, 0, ctypes.create_unicode_buffer(""))

    def add_line(self, line: str) -> None:
        last = user.SendMessageW(self.list, ADD_STRING, 0, ctypes.create_unicode_buffer(line))
        user.SendMessageW(self.list, SET_TOP, last, None)

    def show_connected(self, connected: bool) -> None:
        text = ctypes.create_unicode_buffer("Disconnect" if connected else "Connect")
        user.SendMessageW(self.toggle_button, SET_TEXT, 0, text)

    def lines(self) -> list[str]:
        found = []
        for number in range(user.SendMessageW(self.list, GET_COUNT, 0, None)):
            text = ctypes.create_unicode_buffer(user.SendMessageW(self.list, GET_LINE_LENGTH, number, None) + 1)
            user.SendMessageW(self.list, GET_LINE, number, text)
            found.append(text.value)
        return found


Window()
reactor.run()
