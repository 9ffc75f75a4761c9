"""The host of any loop that has nothing but a thread-safe "call this in your thread": the helper thread does the rest.

* Nothing is known of that loop: not when it begins or ends, not how to run it. So the program runs it, and calls
  reactor.stop() before it ends; what is posted to a loop that has ended is lost.
* Its nested loops are served if they run what is posted, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class PostedHost:
    """Serves by `post`, which takes a function without arguments from any thread and calls it in the loop's."""

    foreign = True

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be used here: never."""
        return None

    def __init__(self, reactor: Any, post: Callable[[Callable[[], object]], object]) -> None:
        self._reactor = reactor
        self.post = post

    def run(self) -> None:
        raise RuntimeError(
            f"{self._reactor!r} has no loop to run: the program runs the one that interleave() was called for. Call "
            "interleave() again, or use_own() before run()"
        )

    def quit(self) -> None:
        """It is the program's to end its loop."""

    def step(self) -> None:
        """Nothing is known of the loop but how to post to it."""

    def begin(self) -> None:
        """The program has prepared its loop."""

    def watch(self, fd: int, call: Callable[[], object]) -> bool:
        return False

    def end(self) -> None:
        """Nothing has begun."""
