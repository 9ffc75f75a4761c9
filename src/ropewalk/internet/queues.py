"""DeferredQueue: things that one part of a program puts in, and for which another waits by Deferred."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from ropewalk.internet.deferred import Deferred
from ropewalk.internet.making import succeed

T = TypeVar("T")


class QueueOverflow(Exception):
    """A queue has as many things in it as it may hold."""


class QueueUnderflow(Exception):
    """As many wait for something from a queue as may wait."""


class DeferredQueue(Generic[T]):
    """A queue: what is put in first is got first, by who has waited longest; Twisted's documented DeferredQueue.

    size: how many things it may hold for which nobody waits; None for any number. backlog: how many may wait; None for
    any number. pending: what it holds. waiting: the Deferreds of those who wait.
    """

    def __init__(self, size: int | None = None, backlog: int | None = None) -> None:
        self.size = size
        self.backlog = backlog
        self.pending: deque[T] = deque()
        self.waiting: deque[Deferred[T]] = deque()

    def put(self, obj: T) -> None:
        """Put `obj` in, which who has waited longest gets at once; a Failure is an error for that one.

        Raises QueueOverflow when the queue is full, TypeError when `obj` is a Deferred, with which none can be fired.
        """
        if isinstance(obj, Deferred):
            raise TypeError(f"{obj!r} cannot be put into a DeferredQueue: put its result there, by a callback")
        if self.waiting:
            self.waiting.popleft().callback(obj)
        elif self.size is None or len(self.pending) < self.size:
            self.pending.append(obj)
        else:
            raise QueueOverflow(f"the queue holds {len(self.pending)} things, and its size is {self.size}")

    def get(self) -> Deferred[T]:
        """Return a Deferred of the next thing; cancel it to wait no more.

        Raises QueueUnderflow when there is nothing and as many wait already as may.
        """
        if self.pending:
            return succeed(self.pending.popleft())
        if self.backlog is not None and len(self.waiting) >= self.backlog:
            raise QueueUnderflow(f"{len(self.waiting)} wait for the queue, and its backlog is {self.backlog}")
        turn: Deferred[T] = Deferred(self.waiting.remove)
        self.waiting.append(turn)
        return turn
