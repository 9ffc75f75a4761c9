"""A stand-in for the classic PyUI, which is for Python 2 only: the part of its contract that a loop needs, on pygame.

init() opens the one window; update() tells handlers of events, and returns 0 when the window is closed, else 1; draw()
draws; quit() ends it all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pygame

frames = 0   # drawn since init()
opened: tuple[Any, ...] | None = None   # what init() was given
handlers: list[Callable[[Any], object]] = []   # called with each event


def init(width: int, height: int, renderer: str = "2d", fullscreen: int = 0, title: str = "") -> str:
    global frames, opened
    frames = 0
    opened = width, height, renderer, fullscreen, title
    pygame.display.init()
    pygame.display.set_mode((width, height))
    return "the desktop"


def update() -> int:
    for event in pygame.event.get():
        for handler in handlers:
            handler(event)
        if event.type == pygame.QUIT:
            return 0
    return 1


def draw() -> None:
    global frames
    frames += 1
    pygame.display.get_surface().fill((0, 0, 0))
    pygame.display.flip()


def quit() -> None:
    global opened
    opened = None
    pygame.quit()
