"""The resolver in threads, with a pool that is worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ropewalk.testing.memory import MemoryLoop
from ropewalk.transports.resolver import ThreadedResolver


class Receiver:
    def resolutionBegan(self, resolution: Any) -> None:
        """It begins."""


def test_a_lookup_that_was_given_up_before_its_turn_is_not_made() -> None:
    asked: list[str] = []
    queue: list[Callable[[], Any]] = []

    def in_thread(on_result: Any, look_up: Callable[[], Any]) -> None:
        queue.append(look_up)

    def getaddrinfo(name: str, *_: Any) -> list[Any]:
        asked.append(name)
        return []

    resolver = ThreadedResolver(MemoryLoop(), in_thread, getaddrinfo)
    resolver.resolveHostName(Receiver(), "given.up").cancel()
    resolver.resolveHostName(Receiver(), "wanted")
    for look_up in queue:
        look_up()
    assert asked == ["wanted"]
