"""Installing a reactor by name, with the window or the application that some toolkits do not run without."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

_kept: list[Any] = []   # a window that nobody holds is closed


def install(package: str, name: str) -> None:
    """Install the reactor `name` of `package`, ropewalk or twisted."""
    special = _SPECIAL.get((package, name))
    if special is not None:
        special()
    else:
        _preset(package, name).install()


def qt_loop() -> Any:
    """Return qasync's event loop, on PySide6."""
    widgets: Any = importlib.import_module("PySide6.QtWidgets")
    qasync: Any = importlib.import_module("qasync")
    return qasync.QEventLoop(widgets.QApplication([]))


def _preset(package: str, name: str) -> Any:
    return importlib.import_module(f"{package}.internet.{name}reactor")


def _pygame() -> None:
    """SDL waits only where there is a window; else it looks again every few milliseconds."""
    os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"   # on stdout, which is for the port
    pygame: Any = importlib.import_module("pygame")
    _kept.append(pygame.display.set_mode((64, 64)))
    _preset("ropewalk", "pygame").install()


def _twisted_wx() -> None:
    wx: Any = importlib.import_module("wx")
    app = wx.App(False)
    _kept.extend([app, wx.Frame(None)])   # MainLoop() returns at once where there is no window
    _preset("twisted", "wx").install()
    importlib.import_module("twisted.internet.reactor").registerWxApp(app)  # type: ignore[attr-defined]


def _twisted_tk() -> None:
    tkinter: Any = importlib.import_module("tkinter")
    _kept.append(tkinter.Tk())
    support: Any = importlib.import_module("twisted.internet.tksupport")
    support.install(_kept[-1])


_SPECIAL: dict[tuple[str, str], Callable[[], None]] = {
    ("ropewalk", "pygame"): _pygame,
    ("twisted", "wx"): _twisted_wx,
    ("twisted", "tk"): _twisted_tk,
}
