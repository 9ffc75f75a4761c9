"""A reader and writer that calls what it is given: for programs and tests that use addReader and addWriter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Watched:
    """A foreign descriptor: what Twisted calls an IReadWriteDescriptor.

    channel: has fileno(); on_read, on_write: called with `channel` at doRead() and doWrite(), which return what they
    return. `lost` holds the reasons that connectionLost() was given.
    """

    def __init__(
        self,
        channel: Any,
        on_read: Callable[[Any], Any] | None = None,
        on_write: Callable[[Any], Any] | None = None,
    ) -> None:
        self.channel = channel
        self.lost: list[Any] = []
        self._on_read = on_read
        self._on_write = on_write

    def fileno(self) -> int:
        """The descriptor's number; -1 once `channel` is closed."""
        number: int = self.channel.fileno()
        return number

    def logPrefix(self) -> str:
        """What log lines call it."""
        return "watched"

    def doRead(self) -> Any:
        """The descriptor is readable."""
        assert self._on_read is not None, "read, and nobody asked for it"
        return self._on_read(self.channel)

    def doWrite(self) -> Any:
        """The descriptor is writable."""
        assert self._on_write is not None, "written, and nobody asked for it"
        return self._on_write(self.channel)

    def connectionLost(self, reason: Any) -> None:
        """The descriptor is over."""
        self.lost.append(reason)
