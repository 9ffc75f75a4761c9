"""The chat of the examples in a window of Windows' own: what is sent is heard by a peer, what it says is listed."""

from __future__ import annotations

import contextlib
import ctypes
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ropewalk.testing.features import why_missing

_MISSING = why_missing("handles")
pytestmark = pytest.mark.skipif(_MISSING is not None, reason=str(_MISSING))
HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "chat" / "win32chat.py"
PATIENCE = 20.0   # seconds
SET_TEXT, CLOSE, CLICK = 0xC, 0x10, 0xF5
_ctypes: Any = ctypes   # type checkers on other systems do not know what it has on Windows alone


def eventually(look: Callable[[], Any], what: str) -> Any:
    """What `look` returns once that is true."""
    until = time.perf_counter() + PATIENCE
    while not (found := look()):
        assert time.perf_counter() < until, f"not within {PATIENCE:.0f} seconds: {what}"
        threading.Event().wait(0.05)
    return found


def _can_open_windows() -> bool:
    user = _ctypes.WinDLL("user32")
    user.CreateWindowExW.restype = ctypes.c_void_p
    window = user.CreateWindowExW(0, "STATIC", None, 0, 0, 0, 0, 0, None, None, None, None)
    return window is not None and bool(user.DestroyWindow(ctypes.c_void_p(window)))


class Shown:
    """The window of the example, as another process sees it."""

    def __init__(self, program: subprocess.Popen[str], peer: socket.socket) -> None:
        self.program = program
        self.peer = peer.makefile("rwb", buffering=0)
        self._user = _ctypes.WinDLL("user32")
        for name in ("FindWindowW", "FindWindowExW"):
            getattr(self._user, name).restype = ctypes.c_void_p
        self._user.PostMessageW.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_size_t, ctypes.c_ssize_t]
        self._user.SendMessageW.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_size_t, ctypes.c_wchar_p]
        self.window = eventually(lambda: self._user.FindWindowW("RopewalkChat", None), "the window opens")

    def child(self, kind: str, text: str | None = None) -> int:
        found: int = self._user.FindWindowExW(ctypes.c_void_p(self.window), None, kind, text)
        assert found, f"the window has no {kind}"
        return found

    def click(self, text: str) -> None:
        self._user.PostMessageW(self.child("BUTTON", text), CLICK, 0, 0)

    def enter(self, text: str) -> None:
        self._user.SendMessageW(self.child("EDIT"), SET_TEXT, 0, text)

    def close(self) -> None:
        self._user.PostMessageW(self.window, CLOSE, 0, 0)

    def lines(self) -> list[str]:
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        self.program.stdin.write("lines\n")
        self.program.stdin.flush()
        found: list[str] = json.loads(self.program.stdout.readline())
        return found


@pytest.fixture
def shown() -> Iterator[Shown]:
    """The example, and a peer that listens where it connects to."""
    if not _can_open_windows():
        pytest.skip("this system shows no windows: it has no display")
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as opened:
        where = "{}:{}".format(*server.getsockname())
        program = opened.enter_context(
            subprocess.Popen(
                [sys.executable, str(HERE / "chat_window.py"), str(EXAMPLE), where, "Wilma", "--connect"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
            )
        )  # fmt: skip
        opened.callback(program.kill)
        server.settimeout(PATIENCE)
        peer = opened.enter_context(server.accept()[0])
        peer.settimeout(PATIENCE)
        made = Shown(program, peer)
        opened.enter_context(made.peer)
        assert made.peer.readline() == b"Wilma\n"
        assert program.stdout is not None
        assert program.stdout.readline() == "runs\n"
        yield made


def test_what_is_typed_is_heard_what_is_said_is_listed_and_closing_the_window_ends_the_program(shown: Shown) -> None:
    shown.enter("hello from a window")
    shown.click("Send")
    assert shown.peer.readline() == b"hello from a window\n"
    shown.peer.write("Fred: grüß dich\n".encode())
    eventually(lambda: "Fred: grüß dich" in shown.lines(), "what the peer says is listed")
    shown.click("Disconnect")
    assert shown.peer.readline() == b""
    shown.close()
    assert shown.program.wait(PATIENCE) == 0
