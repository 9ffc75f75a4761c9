"""GLib's main loop, through PyGObject: needs no display, and serves whatever the program opens on one.

Facts of GLib, and what they mean for us (those of the descriptor we watch are in gsource.py):
* Its default context is that of every loop in the process: g_main_loop_run(), gtk_main(), g_application_run() and the
  nested ones of dialogs; so a watched descriptor is served by whichever of them is on the stack, and who runs the outer
  one is the program's choice.
* A loop tells nobody when it ends; an application does, by its signal "shutdown".
* An application ends when nothing holds it; a window does. It has none while the program is still connecting, so we
  hold it ourselves until the first one is there.
* g_application_quit() is for ever: that application cannot be run again, and is not run at all if it comes before.
* PyGObject puts Python around these loops, which handles signals as our reactor does already, at the price of further
  descriptors: so we run what is underneath.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ropewalk.hosts.gsource import DescriptorSource

_STEPS = 100   # iterations of the context; each may dispatch several sources


class GLibHost:
    """Runs a GMainLoop, or the application that is registered."""

    foreign = True

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot be used here, and what to install; None if it can."""
        try:
            from gi.repository import GLib  # noqa: F401
        except ImportError as error:
            return f"PyGObject cannot be imported ({error}): pip install PyGObject; Debian: apt-get install python3-gi"
        return None

    def __init__(self, reactor: Any) -> None:
        from gi.module import get_introspection_module
        from gi.repository import GLib

        self._reactor = reactor
        self._glib = GLib
        self._bare = get_introspection_module
        self._context = GLib.MainContext.default()
        self._application: Any = None
        self._source: DescriptorSource | None = None
        self._leave: Callable[[], object] | None = None

    def register(self, application: Any) -> None:
        """The next run() runs `application`, a GApplication. Its end stops the reactor, whoever runs it."""
        if self._application is not None:
            raise RuntimeError(f"{application!r} cannot be registered: {self._application!r} is already")
        self._application = application
        application.connect("shutdown", self._ended)

    def _ended(self, application: Any) -> None:
        self._application = None
        self._reactor.host_ended()

    def run(self) -> None:
        if self._glib.main_depth():
            raise RuntimeError("GLib's loop runs already: have it serve the reactor by reactor.attach(), not by run()")
        turn, self._leave = self._loop() if self._application is None else self._loop_of(self._application)
        try:
            turn()
        finally:
            self._leave = None

    def _loop(self) -> tuple[Callable[[], object], Callable[[], object]]:
        """What runs a loop, and what ends it."""
        loop = self._glib.MainLoop()
        return partial(self._bare("GLib").MainLoop.run, loop), loop.quit

    def _loop_of(self, application: Any) -> tuple[Callable[[], object], Callable[[], object]]:
        def first_window(application: Any, window: object) -> None:
            application.disconnect(waiting)
            application.release()

        application.hold()
        if hasattr(application, "get_windows"):
            waiting = application.connect("window-added", first_window)
        return partial(self._bare("Gio").Application.run, application, None), application.quit

    def quit(self) -> None:
        if self._leave is not None:
            self._leave()

    def step(self) -> None:
        for _ in range(_STEPS):
            if not self._context.iteration(False):
                return

    def post(self, call: Callable[[], object]) -> None:
        def once() -> bool:
            call()
            return False

        self._glib.idle_add(once, priority=self._glib.PRIORITY_DEFAULT_IDLE)

    def begin(self) -> None:
        if not self._context.acquire():   # until end(): a loop in another thread would wait for us
            raise RuntimeError("GLib's loop is another thread's: run the reactor, or attach it, in that thread")

    def watch(self, fd: int, call: Callable[[], object]) -> bool:
        try:
            self._source = DescriptorSource(fd, call)
        except OSError:
            return False
        return True

    def end(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.end()
        self._context.release()
