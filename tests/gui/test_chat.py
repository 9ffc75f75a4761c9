"""The chat of the examples in the real window of each toolkit: typed into and clicked at, heard and seen.

What is typed has to arrive at a peer over TCP, and what comes back, and what the peer says, in the window: in the text
of the toolkit's own list, and in its pixels. With ROPEWALK_SCREENSHOTS=docs/images the pictures are kept there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ropewalk.core import choose

ROOT = Path(__file__).parents[2]
CHAT = ROOT / "examples" / "chat"
PATIENCE = 10.0   # seconds
BOTTOM = 45   # pixels; the row of the entry and the button is within these
FOCUSED = 0.3   # seconds; SDL believes that it has the focus after 0.2
WATCHED = 2.0   # seconds
SEEN = 200   # pixels that a few words change at least

SDL = {
    "SDL_MOUSE_FOCUS_CLICKTHROUGH": "1",   # else it drops a click within 10 ms after it has heard of the focus
    "PYGAME_HIDE_SUPPORT_PROMPT": "yes",   # which it prints to stdout
}

pytestmark = [
    pytest.mark.usefixtures("display"),
    pytest.mark.skipif(shutil.which("xdotool") is None, reason="xdotool is not installed"),
]


@dataclass
class Example:
    """A program, the reactor that it needs, the title of its window, how often a second its toolkit wakes by itself."""

    program: str
    reactor: str
    title: str
    own_rate: int = 0


EXAMPLES = [
    Example("gtk2chat", "gtk2", "Chat: GTK 2"),
    Example("gtk3chat", "gtk3", "Chat: GTK 3"),
    Example("gtk4chat", "gtk4", "Chat: GTK 4"),
    Example("qtchat", "qt", "Chat: Qt"),
    Example("wxdemo", "wx", "Chat: wx"),
    Example("tkchat", "tk", "Chat: Tk"),
    Example("pygamechat", "pygame", "Chat: pygame"),
    Example("pyuidemo", "pyui", "Chat: PyUI", own_rate=62),
]


def eventually(look: Callable[[], Any], what: str) -> Any:
    """What `look` returns once that is true."""
    until = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < until, f"not within {PATIENCE:.0f} seconds: {what}"
        pause()
    return found


def pause(seconds: float = 0.05) -> None:
    threading.Event().wait(seconds)


class Peer:
    """Somebody else in the chat, with a plain socket."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._lines = self._socket.makefile("rb")
        self.say("peer")
        assert self.hears() == "* peer is here"

    def say(self, text: str) -> None:
        self._socket.sendall(text.encode() + b"\n")

    def hears(self) -> str:
        return self._lines.readline().decode().removesuffix("\n")

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a chat server in a process of its own."""
    command = [sys.executable, str(CHAT / "chatlogic.py"), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().rpartition(":")[2])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


@pytest.fixture
def peer(port: int) -> Iterator[Peer]:
    with contextlib.closing(Peer(port)) as peer:
        yield peer


def xdotool(*words: object) -> str:
    return subprocess.run(
        ["xdotool", *map(str, words)], check=True, capture_output=True, text=True, timeout=PATIENCE
    ).stdout.strip()


class Window:
    """The example's process, and its window on the display."""

    def __init__(self, example: Example, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid
        assert self._heard() == "runs\n"   # PyUI has another window before, to measure the screen
        told = eventually(lambda: self._find(example.title), f"a window called {example.title!r}")
        place = dict(line.split("=") for line in told.splitlines())
        self._id = place["WINDOW"]
        self.x, self.y, self.width, self.height = (int(place[key]) for key in ("X", "Y", "WIDTH", "HEIGHT"))

    def _find(self, title: str) -> str:
        """Where the window is, as xdotool tells it.

        Some toolkits do not tell X whose a window is, and SDL tells a title that xdotool does not read.
        """
        assert self._process.poll() is None, self._process.communicate()[1]
        for words in (["--name", f"^{title}$"], ["--pid", self._process.pid]):
            with contextlib.suppress(subprocess.CalledProcessError):
                window = xdotool("search", "--onlyvisible", *words).split()[-1]
                return xdotool("getwindowgeometry", "--shell", window)
        return ""

    def click_button(self) -> None:
        self._click(self.width - 50)

    def type(self, text: str) -> None:
        self._click(60)
        xdotool("windowfocus", self._id)
        pause(FOCUSED)
        eventually(lambda: self._asked("focused"), "the window has the focus")
        xdotool("type", "--delay", 20, text)
        xdotool("key", "Return")

    def _click(self, x: int) -> None:
        xdotool("mousemove", self.x + x, self.y + self.height - BOTTOM // 2, "click", 1)

    def lines(self) -> list[str]:
        listed: list[str] = self._asked("lines")
        return listed

    def _asked(self, order: str) -> Any:
        assert self._process.stdin is not None
        print(order, file=self._process.stdin, flush=True)
        return json.loads(self._heard())

    def _heard(self) -> str:
        assert self._process.stdout is not None
        told = self._process.stdout.readline()
        assert told, self._process.communicate()[1]
        return told

    def picture(self) -> Any:
        from PIL import ImageGrab

        box = (self.x, self.y, self.x + self.width, self.y + self.height)
        return ImageGrab.grab(box, xdisplay=os.environ["DISPLAY"]).convert("RGB")

    def shows_another_list(self, before: Any) -> Any:
        """The picture of the window, if the list in it has changed."""
        from PIL import ImageChops

        now = self.picture()
        box = (0, 0, self.width, self.height - BOTTOM)
        changed = ImageChops.difference(before.crop(box), now.crop(box)).convert("L")
        return now if sum(changed.histogram()[50:]) > SEEN else None


on_every_toolkit = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.program)


@contextlib.contextmanager
def opened(example: Example, *words: str) -> Iterator[Window]:
    reason = choose.why_not(example.reactor)
    if reason is not None:
        pytest.skip(reason)
    command = [sys.executable, "-X", "faulthandler", str(Path(__file__).with_name("chat_window.py"))]
    command += [str(CHAT / f"{example.program}.py"), *words]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env=os.environ | SDL,
    )  # fmt: skip
    try:
        yield Window(example, process)
        _, said = process.communicate("stop\n", PATIENCE)
        assert process.returncode == 0, said
        assert "Traceback" not in said
    finally:
        process.kill()
        process.communicate()


def keep(picture: Any, example: Example) -> None:
    folder = os.environ.get("ROPEWALK_SCREENSHOTS")
    if folder:
        (ROOT / folder).mkdir(exist_ok=True)
        picture.save(ROOT / folder / f"chat-{example.reactor}.png", optimize=True)


def wakeups(pid: int) -> int:
    """How often the threads of a process have slept and gone on (proc(5): voluntary_ctxt_switches)."""
    states = [(task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int(state.partition("\nvoluntary_ctxt_switches:")[2].split()[0]) for state in states)


def wakeups_within(pid: int, seconds: float) -> int:
    before = wakeups(pid)
    pause(seconds)
    return wakeups(pid) - before


@on_every_toolkit
def test_a_chat_goes_from_the_entry_to_a_peer_and_back_into_the_window(
    example: Example, port: int, peer: Peer
) -> None:
    name = example.reactor
    with opened(example, f"127.0.0.1:{port}", name) as window:
        window.click_button()
        assert peer.hears() == f"* {name} is here"
        eventually(lambda: f"* {name} is here" in window.lines(), "the window lists its own arrival")
        before = window.picture()
        window.type("hello from the window")
        spoken = [f"{name}: hello from the window", "peer: hello from afar"]
        assert peer.hears() == spoken[0]
        eventually(lambda: window.lines()[-1] == spoken[0], "the window lists what was typed")
        before = eventually(lambda: window.shows_another_list(before), "the window shows what was typed")
        peer.say("hello from afar")
        assert peer.hears() == spoken[1]
        eventually(lambda: window.lines()[-2:] == spoken, "the window lists what the peer said")
        keep(eventually(lambda: window.shows_another_list(before), "the window shows what the peer said"), example)
        window.click_button()
        assert peer.hears() == f"* {name} is gone"
        eventually(lambda: "disconnected" in window.lines()[-1], "the window says that it is disconnected")


@on_every_toolkit
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads Linux's /proc")
def test_a_window_in_which_nothing_happens_sleeps(example: Example, port: int, peer: Peer) -> None:
    with opened(example, "--connect", f"127.0.0.1:{port}", example.reactor) as window:
        assert peer.hears() == f"* {example.reactor} is here"
        eventually(lambda: wakeups_within(window.pid, WATCHED) <= example.own_rate * WATCHED, "it falls asleep")
        peer.say("still there?")
        eventually(lambda: window.lines()[-1] == "peer: still there?", "it wakes up when somebody speaks")


def test_the_chat_in_a_terminal_is_a_program_of_asyncio(port: int, peer: Peer) -> None:
    command = [sys.executable, str(CHAT / "asynciochat.py"), "--connect", f"127.0.0.1:{port}", "terminal"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as terminal:
        assert terminal.stdin is not None
        assert terminal.stdout is not None
        assert peer.hears() == "* terminal is here"
        print("hello from the terminal", file=terminal.stdin, flush=True)
        assert peer.hears() == "terminal: hello from the terminal"
        peer.say("hello from afar")
        assert peer.hears() == "peer: hello from afar"
        for line in terminal.stdout:
            if line == "peer: hello from afar\n":
                break
        terminal.stdin.close()
        assert peer.hears() == "* terminal is gone"
        assert terminal.wait(PATIENCE) == 0
