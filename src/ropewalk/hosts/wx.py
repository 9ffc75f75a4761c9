"""wxPython: wx.App.MainLoop(), and on GTK a descriptor watched by GLib's default context, which that loop turns.

Facts of wx, and what they mean for us:
* It has no call that watches a descriptor. On GTK, GLib has; elsewhere the helper thread posts, by wx.CallAfter(), and
  on Windows to a window of our own, which the loops of its menus serve, too.
* MainLoop() returns at once where there is no top-level window. So run() gives it a hidden one, which does not count
  when wx asks whether the last window is closed. It is kept: what is destroyed after a loop is the next one's last.
* ExitMainLoop() does nothing while a modal dialog has a loop of its own. We schedule the end of the main loop: it comes
  when the dialog is answered, and the network goes on until then.
* What a callback leaves for later (to destroy a window that was closed, say) is done when wx has been idle, which comes
  after its own events only: so we ask for that after each turn. It is not to be seen in the cost of an echo.
* wx.App, unless told clearSigInt=False, takes SIGINT away; and it ends the process where it finds no display.
* wx tells that the main loop has ended by App.OnExit(), which programs override. sip looks for it on the instance
  first, but, once it has found no override, never again: so ours is put there when the app is registered, and stays.
* An event handler that raises is printed by wx, and the loop goes on.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from typing import Any

from ropewalk.errors import ReactorNotAvailableError
from ropewalk.hosts.gsource import DescriptorSource

_EVENTS = 100   # at most, in a step: under load, what we watch is ready each time
_hidden_window: Any = None


class WxHost:
    """Runs the app that is registered, else the one that there is, else one of its own."""

    foreign = True

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be used here, and what to install; None if it can. Does not load wx."""
        if importlib.util.find_spec("wx") is None:
            return "wxPython is not installed: pip install wxPython, or Debian's apt-get install python3-wxgtk4.0"
        return None

    def __init__(self, reactor: Any, app: Any = None) -> None:
        import wx

        self._wx = wx
        self._reactor = reactor
        self._app: Any = None
        self._window: Any = None   # to post to; Windows only
        self._source: DescriptorSource | None = None
        self._running = False
        if app is not None:
            self.register(app)

    def register(self, app: Any) -> None:
        """Run `app`, a wx.App; the end of its main loop, whoever runs it, stops the reactor."""
        if self._app not in (None, app):
            raise RuntimeError(f"{app!r} cannot be registered: {self._app!r} is already, and a process has one wx.App")
        if self._app is None:
            self._app = app
            app.OnExit = functools.partial(self._exited, app.OnExit)

    def _exited(self, on_exit: Callable[[], int]) -> int:
        self._reactor.host_ended()
        return on_exit()

    def run(self) -> None:
        app = self._the_app()
        if app.IsMainLoopRunning():
            raise RuntimeError("wx's main loop runs already: have it serve the reactor by reactor.attach()")
        _keep_hidden_window()
        self._running = True
        try:
            app.MainLoop()
        finally:
            self._running = False

    def quit(self) -> None:
        if self._running:
            self._the_app().GetMainLoop().ScheduleExit()

    def step(self) -> None:
        self._the_app()
        loop = self._wx.EventLoopBase.GetActive() or self._wx.GUIEventLoop()
        with self._wx.EventLoopActivator(loop):
            for _ in range(_EVENTS):
                if not loop.Pending():
                    return
                loop.Dispatch()

    def begin(self) -> None:
        self._the_app()
        if sys.platform == "win32":
            from ropewalk.hosts.message_window import MessageWindow

            self._window = MessageWindow()

    def post(self, call: Callable[[], object]) -> None:
        if self._window is None:
            self._wx.CallAfter(call)
        else:
            self._window.post(call)

    def watch(self, fd: int, call: Callable[[], object]) -> bool:
        if self._wx.Platform != "__WXGTK__":
            return False

        def readable() -> None:
            call()
            wake_up_idle()

        wake_up_idle = self._wx.WakeUpIdle
        self._source = DescriptorSource(fd, readable)
        return True

    def end(self) -> None:
        if self._source is not None:
            self._source.end()
        if self._window is not None:
            self._window.close()

    def _the_app(self) -> Any:
        """Raises ReactorNotAvailableError where there is no display, RuntimeError in another thread than the app's."""
        app = self._app or self._wx.GetApp() or _own_app()
        if not self._wx.IsMainThread():
            raise RuntimeError(f"{app!r} is another thread's: run the reactor in the thread that made it")
        return app


@functools.cache
def _own_app() -> Any:
    """One for the process, for good: wx cannot make another after it."""
    import wx

    if not wx.PyApp.IsDisplayAvailable():
        raise ReactorNotAvailableError("wx finds no display: set DISPLAY or WAYLAND_DISPLAY, or use xvfb-run")
    return wx.App(redirect=False, clearSigInt=False)


def _keep_hidden_window() -> None:
    """Have one, in this process: wx destroys it, too, when the last window is closed."""
    global _hidden_window
    import wx

    if not _hidden_window:
        _hidden_window = wx.Frame(None)
        _hidden_window.ShouldPreventAppExit = lambda: False
