"""A window a toolkit that paints 60 times a second, for fairness.py: by the toolkit's own timer, in its own way.

Each painter opens a window, keeps it, and returns what begins the painting. It asks for a frame at every tick of
`frames`, and tells `frames` of every one that it has painted. A new toolkit is a function here and a row of PAINTERS.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

RATE = 60
SIDE = 200


class Frames:
    """The ticks of a window that would be painted RATE times a second, and when it was (time.monotonic())."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def wait_ms(self) -> int:
        """Return the milliseconds until the next tick; the ticks that have passed meanwhile are lost."""
        now = time.monotonic()
        return math.ceil(((math.floor(now * RATE) + 1) / RATE - now) * 1000)

    def painted(self) -> None:
        self.times.append(time.monotonic())

    @property
    def place(self) -> int:
        """Where on the window's side the next frame has its mark."""
        return len(self.times) % SIDE


Painter = Callable[[Frames], Callable[[], object]]


def paint_by_qt(frames: Frames) -> Callable[[], object]:
    from PySide6.QtCore import Qt, QTimer
    from PySide6.QtGui import QPainter
    from PySide6.QtWidgets import QApplication, QWidget

    class Window(QWidget):
        def paintEvent(self, event: Any) -> None:
            painter = QPainter(self)
            painter.fillRect(frames.place, 0, 4, SIDE, Qt.GlobalColor.black)
            painter.end()
            frames.painted()

    def frame() -> None:
        window.update()
        timer.start(frames.wait_ms())

    frames.application = QApplication([])  # type: ignore[attr-defined]
    window = Window()
    window.resize(SIDE, SIDE)
    window.show()
    timer = QTimer(window, singleShot=True, timerType=Qt.TimerType.PreciseTimer)
    timer.timeout.connect(frame)
    return frame


def paint_by_tk(frames: Frames) -> Callable[[], object]:
    """Tk paints when it is idle, once for all that was asked for, and in that order: so we are told after it, once."""
    import tkinter

    root = tkinter.Tk()
    canvas = tkinter.Canvas(root, width=SIDE, height=SIDE)
    canvas.pack()
    mark = canvas.create_rectangle(0, 0, 4, SIDE, fill="black")
    asked = False

    def frame() -> None:
        nonlocal asked
        root.after(frames.wait_ms(), frame)
        canvas.coords(mark, frames.place, 0, frames.place + 4, SIDE)
        if not asked:
            asked = True
            root.after_idle(painted)

    def painted() -> None:
        nonlocal asked
        asked = False
        frames.painted()

    return frame


def paint_by_gtk(version: str, frames: Frames) -> Callable[[], object]:
    import gi

    gi.require_version("Gtk", version)
    from gi.repository import GLib, Gtk

    def paint(context: Any) -> None:
        context.rectangle(frames.place, 0, 4, SIDE)
        context.fill()
        frames.painted()

    def frame() -> bool:
        area.queue_draw()
        GLib.timeout_add(frames.wait_ms(), frame)
        return False

    area = Gtk.DrawingArea()
    area.set_size_request(SIDE, SIDE)
    window = Gtk.Window()
    if version == "4.0":
        area.set_draw_func(lambda area, context, width, height: paint(context))
        window.set_child(area)
        window.present()
        return frame
    if version == "3.0":
        area.connect("draw", lambda area, context: paint(context))
    else:
        area.connect("expose-event", lambda area, event: paint(area.get_window().cairo_create()))
    window.add(area)
    window.show_all()
    return frame


PAINTERS: dict[str, Painter] = {
    "gtk2": partial(paint_by_gtk, "2.0"),
    "gtk3": partial(paint_by_gtk, "3.0"),
    "gtk4": partial(paint_by_gtk, "4.0"),
    "qt": paint_by_qt,
    "tk": paint_by_tk,
}
