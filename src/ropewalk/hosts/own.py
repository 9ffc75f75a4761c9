"""The own host: the reactor's own loop, which waits in the poller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class OwnHost:
    """Blocks in poller.wait(); so the poller's waker is all that post() needs."""

    foreign = False

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be used here: never."""
        return None

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._going = False

    def run(self) -> None:
        self._going = True
        tick = self._reactor.tick
        while self._going:
            tick(None)

    def quit(self) -> None:
        self._going = False

    def step(self) -> None:
        """There is no loop underneath."""

    def begin(self) -> None:
        """Nobody has to be asked for attention."""

    def post(self, call: Callable[[], object]) -> None:
        self._reactor.callFromThread(call)

    def watch(self, fd: int, call: Callable[[], object]) -> bool:
        return False

    def end(self) -> None:
        """Nothing has begun."""
