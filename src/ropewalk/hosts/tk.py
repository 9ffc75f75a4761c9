"""Tk: mainloop(), and a file handler of Tcl's notifier.

Facts of Tk, and what they mean for us:
* A file handler belongs to the thread, not to a window. Every loop serves it, mainloop(), wait_window() and those of
  messageboxes, also when they are opened within its own call. One whose callback raises ends mainloop().
* The notifier waits by select(2), and aborts the process for a descriptor of 1024 or more: such a one is copied to a
  lower number.
* Redrawing is work for idle times, which are rare while the network is busy: 20 to 30 of 60 repaints a second are left,
  with gaps of 0.3 s. So we have it done every 15 ms, which keeps all 60 at some 3 % of throughput; but only between two
  turns of the reactor: an idle window costs nothing.
* quit() ends the innermost mainloop(), and no wait_window(): a dialog stays until it is answered.
* A root passes its bindings on to what is in it: <Destroy> is bound to a tag that the root alone has.
* update() goes on while there are events, of the network, too: so a step has a limit.
* From another thread Tk is called through a queue, and the caller waits: post() writes to a pipe instead.
* On Windows it has no file handlers: there post() posts to a window of our own. What Windows calls, though, must call
  no Tk: _tkinter would forget that it is in Tk's loop, and abort when Tk calls Python next. So that window hands it on,
  as a timer of Tk's that is due; to create one is the exception, since Tk itself runs nothing then.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Any

from ropewalk.errors import ReactorNotAvailableError

_Run = Callable[[Callable[[], object]], object]
_TOO_HIGH = 1024   # FD_SETSIZE
_UNPAINTED = 0.015   # seconds that redrawing may have to wait for the network
_EVENTS = 100   # in a step
_DONT_WAIT = 2   # TCL_DONT_WAIT
_READABLE = 2   # TCL_READABLE
_TKINTER = (
    'Windows: choose "tcl/tk and IDLE" in the installer of Python'
    if sys.platform == "win32"
    else "Debian: apt-get install python3-tk"
)


class TkHost:
    """Runs mainloop().

    root: any widget of the program's; None: the program's default root, or a hidden one where it has none.
    """

    foreign = True

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be used here, and what to install; None if it can. Opens no window."""
        if importlib.util.find_spec("_tkinter") is None:
            return f"this Python has no tkinter, which pip cannot install; {_TKINTER}"
        return None

    def __init__(self, reactor: Any, root: Any = None) -> None:
        self._reactor = reactor
        self._given: Any = None if root is None else root.nametowidget(".")
        self._root: Any = self._given
        self._begun = contextlib.ExitStack()
        self._run: _Run
        self._post: _Run
        self._running = False

    def run(self) -> None:
        self._running = True
        try:
            self._find_root().mainloop()
        finally:
            self._running = False

    def quit(self) -> None:
        if self._running:
            self._root.quit()

    def step(self) -> None:
        tk = self._find_root().tk
        for _ in range(_EVENTS):
            if not tk.dooneevent(_DONT_WAIT):
                return

    def begin(self) -> None:
        root = self._find_root()
        _check_thread(root)
        self._run = _repainting(root)
        with contextlib.ExitStack() as begun:
            self._post = begun.enter_context(_posting_to(root, self._run))
            begun.enter_context(_destruction(root, self._ended))
            self._begun = begun.pop_all()

    def watch(self, fd: int, call: Callable[[], object]) -> bool:
        root = self._find_root()
        if not hasattr(root.tk, "createfilehandler"):
            return False
        self._begun.enter_context(_handled(root, fd, lambda *_: self._run(call)))
        return True

    def end(self) -> None:
        self._begun.close()

    def post(self, call: Callable[[], object]) -> None:
        self._post(call)

    def _ended(self, event: object) -> None:
        """The root is destroyed."""
        self.quit()   # mainloop() would wait for other roots
        self._reactor.host_ended()

    def _find_root(self) -> Any:
        """Raises RuntimeError if the root that was given is destroyed, ReactorNotAvailableError without a display."""
        import tkinter

        if self._root is not None and _lives(self._root):
            return self._root
        if self._given is not None:
            raise RuntimeError("the Tk root that was installed is destroyed: install another one, after uninstall()")
        self._root = getattr(tkinter, "_default_root", None) or _hidden_root()
        return self._root


def _hidden_root() -> Any:
    import tkinter

    try:
        root = tkinter.Tk()
    except tkinter.TclError as error:
        raise ReactorNotAvailableError(f"Tk opens no window ({error}): set DISPLAY, or use xvfb-run") from error
    root.withdraw()
    return root


def _lives(root: Any) -> bool:
    import tkinter

    try:
        return bool(root.winfo_exists())
    except tkinter.TclError:
        return False


def _check_thread(root: Any) -> None:
    """Raises RuntimeError in another thread than the root's."""
    try:
        root.tk.createtimerhandler(0, int).deletetimerhandler()
    except RuntimeError as error:
        raise RuntimeError(f"{root!r} is another thread's: run the reactor in the thread that made it") from error


def _repainting(root: Any) -> _Run:
    """What runs a call, and then has Tk redraw what has waited for too long."""
    import tkinter

    due = 0.0

    def run(call: Callable[[], object]) -> None:
        nonlocal due
        call()
        if perf_counter() < due:
            return
        with contextlib.suppress(tkinter.TclError):   # destroyed in this very turn
            root.update_idletasks()
        due = perf_counter() + _UNPAINTED

    return run


@contextlib.contextmanager
def _posting_to(root: Any, run: _Run) -> Iterator[_Run]:
    """Meanwhile what is posted, by the function that is yielded, is given to `run` in the thread of `root`, by Tk."""
    if hasattr(root.tk, "createfilehandler"):
        with _posting_by_pipe(root, run) as post:
            yield post
    elif sys.platform == "win32":
        from ropewalk.hosts.message_window import MessageWindow

        with contextlib.closing(MessageWindow()) as window:
            yield lambda call: window.post(partial(root.tk.createtimerhandler, 0, partial(run, call)))


@contextlib.contextmanager
def _posting_by_pipe(root: Any, run: _Run) -> Iterator[_Run]:
    posted: deque[Callable[[], object]] = deque()

    def post(call: Callable[[], object]) -> None:
        posted.append(call)
        os.write(writing, b"\0")

    def rung(*_: object) -> None:
        os.read(reading, 1)
        run(posted.popleft())

    reading, writing = os.pipe()
    try:
        with _handled(root, reading, rung):
            yield post
    finally:
        os.close(reading)
        os.close(writing)


@contextlib.contextmanager
def _handled(root: Any, fd: int, call: Callable[..., object]) -> Iterator[None]:
    """Meanwhile Tk calls `call` when `fd` is readable."""
    with _low(fd) as low:
        root.createfilehandler(low, _READABLE, call)
        try:
            yield
        finally:
            root.deletefilehandler(low)


@contextlib.contextmanager
def _low(fd: int) -> Iterator[int]:
    """`fd`, or a copy that Tk can take. Raises OSError if all low numbers are taken."""
    if fd < _TOO_HIGH:
        yield fd
        return
    low = os.dup(fd)
    try:
        if low >= _TOO_HIGH:
            raise OSError(f"Tk takes descriptors below {_TOO_HIGH}, and all are in use: start the reactor earlier")
        yield low
    finally:
        os.close(low)


@contextlib.contextmanager
def _destruction(root: Any, call: Callable[[Any], object]) -> Iterator[None]:
    """Meanwhile Tk calls `call` when `root` is destroyed."""
    tag = f"ropewalk{id(call)}"
    name = root.bind_class(tag, "<Destroy>", call)
    root.bindtags((*root.bindtags(), tag))
    try:
        yield
    finally:
        if _lives(root):
            root.bindtags([other for other in root.bindtags() if other != tag])
            root.unbind_class(tag, "<Destroy>")
            root.deletecommand(name)
