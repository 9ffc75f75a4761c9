"""What lies in the queue of a stream: bytes, and steps, whose turn comes when everything before them was sent."""

from __future__ import annotations

import sys
from collections import deque
from typing import Any

SEND_SIZE = 131072


class Step:
    """Something that is to be sent, or done, in its turn. (No ABC: the path of a write asks isinstance() for it.)"""

    __slots__ = ()

    def __len__(self) -> int:
        """More than any piece that is sent together with others."""
        return sys.maxsize

    def send_some(self, channel: Any) -> bool:
        """Its turn has come, or it goes on; whether it is over. Raises OSError for an error of `channel`."""
        raise NotImplementedError

    def settle(self) -> None:
        """It is over, and the callback in hand has returned."""

    def fail(self, failure: Any) -> None:
        """The connection is over."""


Piece = bytes | memoryview | Step


def gather(queue: deque[Piece]) -> Piece:
    """The head of `queue` as one piece of SEND_SIZE bytes at most; a larger first piece as it is."""
    first = queue.popleft()
    size = len(first)
    pieces: list[Any] = [first]
    while queue and size + len(queue[0]) <= SEND_SIZE:
        size += len(queue[0])
        pieces.append(queue.popleft())
    return first if len(pieces) == 1 else b"".join(pieces)


def as_bytes(data: Any) -> bytes:
    """`data`, a bytes-like object, as bytes. Raises TypeError for anything else."""
    try:
        return bytes(memoryview(data))
    except TypeError:
        advice = ": encode it first" if isinstance(data, str) else ""
        raise TypeError(f"a transport writes bytes, not {type(data).__name__}{advice}") from None
