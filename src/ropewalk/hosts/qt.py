"""Qt 6, by PySide6 or PyQt6: QApplication.exec(), and a QSocketNotifier.

Facts of Qt, and what they mean for us:
* Each binding brings a Qt of its own, and one process loads one: that of the program, which it may import after it has
  installed the reactor. So nothing of Qt is touched before the reactor starts.
* There is one application object in a process; PyQt makes a second one without a word, and crashes later. So ours is
  made when the reactor starts, if the program has none by then, and is kept for good. Windows come after it.
* Where QApplication finds no display, it aborts the process: so we look before.
* quit() asks every window to close; exit() leaves exec(), and the loops nested in it, and touches no window.
* exec() within exec() does not turn. The last window that closes ends exec() (quitOnLastWindowClosed); when that has
  ended, whoever called it, aboutToQuit is emitted.
* A notifier is told again within its own call, by nested loops: QDialog.exec() is served, whoever opened it.
* In every turn Qt serves what is ready of windows, timers and notifiers alike: the network takes one reactor's turn, of
  a quarter of a millisecond, and needs no lower priority and no other bound. All 60 of 60 repaints are kept.
* PyQt aborts the process when a slot raises: `call` has to let nothing out.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from ropewalk.errors import ReactorNotAvailableError

_BINDINGS = ("PySide6", "PyQt6")
_OTHERS = ("PySide2", "PyQt5", "PyQt4")
_ours: Any = None   # the application that we made: Qt has no use for it any more only when the process ends


class QtHost:
    """Runs the program's application, or a QApplication of our own where it has none."""

    foreign = True

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be used here, and what to install; None if it can. Loads no Qt."""
        for other in _OTHERS:
            if other in sys.modules:
                return f"the program has imported {other}: it has to import PySide6 or PyQt6 instead"
        if not any(map(importlib.util.find_spec, _BINDINGS)):
            return "PySide6 and PyQt6 are not installed: pip install PySide6; Debian: apt-get install python3-pyqt6"
        return None

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._notifier: Any = None
        self._call: Callable[[], object] | None = None
        self._bell: Any = None
        self._running = False

    def run(self) -> None:
        application = _application()
        if application.thread().loopLevel():
            raise RuntimeError("Qt's loop runs already: have it serve the reactor by reactor.attach(), not by run()")
        self._running = True
        try:
            application.exec()
        finally:
            self._running = False

    def quit(self) -> None:
        if self._running:
            _application().exit()

    def step(self) -> None:
        _application().processEvents()

    def begin(self) -> None:
        application = _application()
        application.aboutToQuit.connect(self._reactor.host_ended)
        self._bell = _make_bell()

    def watch(self, fd: int, call: Callable[[], object]) -> bool:
        kind = _qt("QtCore").QSocketNotifier
        self._notifier = kind(fd, kind.Type.Read, _application())
        self._call = call
        self._notifier.activated.connect(self._readable)   # PyQt keeps a function longer than it says, not a method
        return True

    def _readable(self, *_: object) -> None:
        if self._call is not None:
            self._call()

    def end(self) -> None:
        _application().aboutToQuit.disconnect(self._reactor.host_ended)
        self._bell.close()
        notifier, self._notifier = self._notifier, None
        if notifier is not None:
            notifier.setEnabled(False)
            notifier.activated.disconnect()
            notifier.deleteLater()   # it may be on the stack

    def post(self, call: Callable[[], object]) -> None:
        self._bell.post(call)


class _Bell:
    """What any thread posts is called in the thread that made this, the application's."""

    def __init__(self) -> None:
        core = _qt("QtCore")
        self._posted: deque[Callable[[], object]] = deque()
        self._timer = core.QTimer(singleShot=True, interval=0)
        self._timer.timeout.connect(self._run_posted)
        self._ring = partial(
            core.QMetaObject.invokeMethod, self._timer, "start", core.Qt.ConnectionType.QueuedConnection
        )

    def post(self, call: Callable[[], object]) -> None:
        self._posted.append(call)
        self._ring()

    def _run_posted(self) -> None:
        for _ in range(len(self._posted)):
            if self._posted:   # a nested loop may have run it
                self._posted.popleft()()

    def close(self) -> None:
        self._posted.clear()
        self._timer.deleteLater()   # it may be on the stack


def _make_bell() -> Any:
    if sys.platform == "win32":
        from ropewalk.hosts.message_window import MessageWindow

        return MessageWindow()
    return _Bell()


def _qt(module: str) -> Any:
    """That module of the binding that the program has imported, else of the first one that is installed."""
    imported = [name for name in _BINDINGS if f"{name}.QtCore" in sys.modules]
    installed = [name for name in _BINDINGS if importlib.util.find_spec(name)]
    return importlib.import_module(f"{(imported or installed)[0]}.{module}")


def _application() -> Any:
    """The application of this process, made if there is none. Raises RuntimeError if it is another thread's."""
    global _ours
    core = _qt("QtCore")
    application = core.QCoreApplication.instance()
    if application is None:
        application = _ours = _make_application(core)
    if application.thread() != core.QThread.currentThread():
        raise RuntimeError(f"{application!r} is another thread's: run the reactor in the thread that made it")
    return application


def _make_application(core: Any) -> Any:
    try:
        kind = _qt("QtWidgets").QApplication
    except ModuleNotFoundError:   # a Qt without widgets
        return core.QCoreApplication(sys.argv[:1])
    except ImportError as error:
        raise ReactorNotAvailableError(
            f"QtWidgets cannot be loaded: {error}; Debian: apt-get install libegl1 libgl1 libxkbcommon-x11-0"
        ) from error
    if not _finds_display():
        raise ReactorNotAvailableError(
            f"Qt finds no display (DISPLAY is {os.environ.get('DISPLAY', '')!r}): set DISPLAY or WAYLAND_DISPLAY, use "
            "xvfb-run, or, without windows, set QT_QPA_PLATFORM=offscreen or make a QCoreApplication"
        )
    return kind(sys.argv[:1])


def _finds_display() -> bool:
    """Whether a QApplication would not abort; asked of X's own library, which Qt's plugin for X loads, too."""
    platform = os.environ.get("QT_QPA_PLATFORM", "xcb")
    if sys.platform in ("win32", "darwin", "cygwin") or os.environ.get("WAYLAND_DISPLAY") or platform != "xcb":
        return True
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return bool(os.environ.get("DISPLAY"))
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
    try:
        return not xcb.xcb_connection_has_error(connection)
    finally:
        xcb.xcb_disconnect(connection)
