"""The classic PyUI, which has no loop, but frames: draw() and update(), to be called again and again.

* It cannot tell when it has something to do, so it is asked in every frame: that clock is PyUI's own need. The helper
  thread wakes the loop for the network in between, which so waits for no frame.
* After each frame the network has the whole interval: a slow frame cannot starve it, nor can a busy network delay the
  next one by more than one turn of the reactor.
* update() returns 0 when the window is closed.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter  # time.monotonic steps by 15.6 ms on Windows before Python 3.13
from typing import Any

from ropewalk.errors import ReactorNotAvailableError


class ClassicPyUIHost:
    """Calls pyui.init(*args, **kw) at once; a frame is made every `ms` milliseconds, and what it raises is logged."""

    foreign = True

    def __init__(self, reactor: Any, ms: float, args: Sequence[Any], kw: Mapping[str, Any]) -> None:
        self._reactor = reactor
        self._seconds = ms / 1000
        self._posted: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self.post = self._posted.put
        self._going = False
        self._pyui = _classic()
        self.opened = self._pyui.init(*args, **kw)

    def run(self) -> None:
        self._going = True
        while self._going and self._another():
            self._serve_until(perf_counter() + self._seconds)
        self._going = False

    def _another(self) -> bool:
        """Make a frame. Whether there is to be another."""
        try:
            self._pyui.draw()
            if self._pyui.update() == 0:
                self._pyui.quit()
                return False
        except Exception as error:
            self._reactor.kit.report(error, "a frame failed", self._pyui)
        return True

    def _serve_until(self, due: float) -> None:
        while self._going:
            left = due - perf_counter()
            if left <= 0:
                return
            try:
                self._posted.get(timeout=left)()
            except queue.Empty:
                return

    def quit(self) -> None:
        self._going = False

    def step(self) -> None:
        for _ in range(self._posted.qsize()):
            self._posted.get()()

    def begin(self) -> None:
        """It can be posted to as it is."""

    def watch(self, fd: int, call: Callable[[], object]) -> bool:
        return False

    def end(self) -> None:
        """Nothing has begun."""


def _classic() -> Any:
    try:
        import pyui
    except ImportError as error:
        raise ReactorNotAvailableError(f"PyUI cannot be imported: {error}") from error
    if not hasattr(pyui, "init"):
        raise ReactorNotAvailableError(
            f"the PyUI of {pyui.__file__} is not the classic one, which has init(): it is for PyUIReactor and its "
            "registerPyUIApp()"
        )
    return pyui
