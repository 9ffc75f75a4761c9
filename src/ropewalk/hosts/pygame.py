"""pygame and pygame-ce: a loop that waits for SDL's events and hands them to the program.

Facts of pygame and SDL, and what they mean for us:
* There is no main loop: a program takes events from one queue, when it likes. So run() is the loop; or the program has
  its own, and calls reactor.iterate() in each of its turns.
* Any thread may post an event. The helper thread posts a bare one and leaves the call in a queue of ours: pygame loses
  what an event carries when somebody peeks, and refuses an event whose type the program has blocked.
* pygame.event.wait() looks every millisecond. SDL_WaitEvent() blocks (0 wake-ups, 40 us from a post to us) if there is
  a window. So SDL itself is asked, through pygame's extension, which is linked to it; where that does not show its
  functions (Windows), pygame is.
* SDL_WaitEvent() of SDL 2.32 on X11 may sleep on with our event in the queue, in one of 50,000 turns of a busy program:
  the helper thread posts again when nobody comes.
* A turn takes every event that is there, ours among them once: the network has one turn of the reactor between two of
  the window's, and neither waits for more than one of the other's.
* Without a display SDL draws off the screen, silently, unless SDL_VIDEODRIVER insists on one.
* pygame.quit() calls what was registered with it before it takes the queue away.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from ropewalk.errors import ReactorNotAvailableError


class PygameHost:
    """Hands every event to `handle`; None: pygame.QUIT ends the loop, and the others are dropped."""

    foreign = True

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be used here, and what to install; None if it can. Does not load pygame."""
        if importlib.util.find_spec("pygame") is None:
            return "pygame is not installed: pip install pygame-ce, or Debian's apt-get install python3-pygame"
        return None

    def __init__(self, reactor: Any, handle: Callable[[Any], object] | None = None) -> None:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")   # what a program prints is its own
        import pygame

        self._pygame = pygame
        self._reactor = reactor
        self.handle = handle or self._end_at_quit
        self._posted: deque[Callable[[], object]] = deque()
        self._bare = pygame.event.Event(_our_type())
        self._going = False
        self._noticed = False   # whether pygame.quit() will tell
        self._open()

    def run(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("pygame's events are taken by the main thread alone: run the reactor there")
        self._open()
        wait = _sdl_wait() or self._wait
        self._going = True
        try:
            while self._going:
                first = [] if self._posted else wait()   # the program may have dropped the event that came with a call
                self._hand_out(first + self._pygame.event.get())
        finally:
            self._going = False

    def _wait(self) -> list[Any]:
        return [self._pygame.event.wait()]

    def _hand_out(self, events: list[Any]) -> None:
        self._run_posted()
        for event in events:
            if event.type == self._bare.type:
                continue
            try:
                self.handle(event)
            except Exception as error:
                self._reactor.kit.report(error, "the handler of pygame's events failed", self.handle)

    def _end_at_quit(self, event: Any) -> None:
        if event.type == self._pygame.QUIT:
            self.quit()

    def quit(self) -> None:
        self._going = False
        self._ring()

    def step(self) -> None:
        """In a program's own loop the events are the program's."""
        if self._going:
            self._hand_out(self._pygame.event.get())
        else:
            self._run_posted()

    def begin(self) -> None:
        """The queue is there as long as the host."""

    def post(self, call: Callable[[], object]) -> None:
        self._posted.append(call)
        self._ring()

    def _ring(self) -> None:
        with contextlib.suppress(self._pygame.error):   # after pygame.quit()
            if not self._pygame.event.post(self._bare):
                self._pygame.event.set_allowed(self._bare.type)
                self._pygame.event.post(self._bare)

    def _run_posted(self) -> None:
        for _ in range(len(self._posted)):
            self._posted.popleft()()

    def watch(self, fd: int, call: Callable[[], object]) -> bool:
        return False

    def end(self) -> None:
        """Nothing has begun."""

    def ended(self) -> None:
        """The queue is going away."""
        self._noticed = False
        self._going = False
        self._reactor.host_ended()

    def _open(self) -> None:
        _open_display()
        if not self._noticed:
            self._noticed = True
            self._pygame.register_quit(functools.partial(_pygame_quits, weakref.ref(self)))


def _pygame_quits(host: weakref.ref[PygameHost]) -> None:
    there = host()
    if there is not None:
        there.ended()


@functools.cache
def _our_type() -> int:
    """The type of our events; SDL has a limited number of them."""
    import pygame

    kind: int = pygame.event.custom_type()
    return kind


def _open_display() -> None:
    """Without it there are no events. Raises ReactorNotAvailableError."""
    import pygame

    try:
        pygame.display.init()
    except pygame.error as error:
        raise ReactorNotAvailableError(
            f"SDL finds no display ({error}): set DISPLAY or WAYLAND_DISPLAY, use xvfb-run, or unset SDL_VIDEODRIVER"
        ) from error


@functools.cache
def _sdl_wait() -> Callable[[], list[Any]] | None:
    """What waits for an event, and leaves it in the queue; None where SDL's functions cannot be reached."""
    import pygame

    try:
        wait = ctypes.CDLL(pygame.event.__file__).SDL_WaitEvent
    except (OSError, AttributeError):
        return None

    def wait_and_take_none() -> list[Any]:
        wait(None)
        return []

    return wait_and_take_none
