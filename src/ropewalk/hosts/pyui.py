"""PyUI as it is today: an application that is a coroutine of asyncio, whose loop serves the reactor.

Facts of PyUI 0.1, and what they mean for us (those of asyncio are in asyncio.py):
* Application.run_async() takes SDL's events and draws 60 times a second, on any asyncio loop; that clock is PyUI's own.
* An application cannot be run again: its end closes the windows, and SDL. So the end of a run() leaves it where it is,
  between two frames, for the next run(), and the program's end ends it.
* Cancelled, it would leave SDL a callback that is freed: it is only ever told to quit().
* It ends by SDL_QUIT, which SDL sends when the last window is closed.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import importlib.util
from typing import Any

from ropewalk.errors import ReactorNotAvailableError
from ropewalk.hosts.asyncio import AsyncioHost


class PyUIHost(AsyncioHost):
    """Runs the application that is registered, else one of its own."""

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be used here, and what to install; None if it can. Does not load PyUI."""
        if importlib.util.find_spec("pyui") is None:
            return "PyUI is not installed: pip install pyui pysdl2-dll"
        return None

    def __init__(self, reactor: Any, app: Any = None) -> None:
        super().__init__(reactor, eventloop=_loop())
        self._app = app

    def register(self, app: Any) -> None:
        """The next run() runs `app`, a pyui.Application; its end stops the reactor."""
        if self._app not in (None, app):
            raise RuntimeError(f"{app!r} cannot be registered: {self._app!r} is already")
        self._app = app

    def run(self) -> None:
        if self._app is None:
            self._app = _own_application()
        frames = _frames(self._app)
        if frames.done():
            raise RuntimeError(f"{self._app!r} has ended, and PyUI cannot run it again: register another one")
        frames.add_done_callback(self._ended)
        try:
            super().run()
        finally:
            frames.remove_done_callback(self._ended)

    def _ended(self, frames: asyncio.Task[None]) -> None:
        error = frames.exception()
        if error is not None:
            self._reactor.kit.report(error, "PyUI's application failed", self._app)
        self.quit()


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """The loop of every application of this process, which has one SDL."""
    return asyncio.new_event_loop()


@functools.cache
def _frames(app: Any) -> asyncio.Task[None]:
    """What runs `app`."""
    task = _loop().create_task(app.run_async())
    atexit.register(_end, app, task)
    return task


def _end(app: Any, frames: asyncio.Task[None]) -> None:
    app.quit()
    if not frames.done():
        _loop().run_until_complete(frames)


@functools.cache
def _own_application() -> Any:
    import pyui

    if not hasattr(pyui, "Application"):
        raise ReactorNotAvailableError("this PyUI has no Application: it is the classic one, which pyuisupport serves")
    return pyui.Application("ropewalk")
