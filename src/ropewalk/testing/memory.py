"""A channel and a loop that live in memory: the whole life of a stream, step by step, without a kernel.

    loop, channel = MemoryLoop(), ScriptedChannel()
    stream = Stream(loop, channel)
    channel.attach(loop, stream)
    stream.start(protocol)              # one that answers in capitals
    channel.incoming.append(b"hello")   # the next recv() gives this
    channel.outgoing.append(3)          # the next send() takes three bytes
    loop.turn()
    assert channel.sent == b"HEL"
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from typing import Any

from ropewalk.interfaces import READ, WRITE, Handler, Kit
from ropewalk.internet.base import running_as
from ropewalk.internet.kit import OurKit
from ropewalk.internet.task import Clock
from ropewalk.testing.wires import MemoryChannel, MemoryWire


class ScriptedChannel:
    """A byte stream whose every answer was written down before; it keeps what was asked of it.

    incoming: what the next recv()s give: bytes (b"" is the end, and stays), or an OSError to raise; empty: would block.
    outgoing: what the next send()s do: how many bytes they take at most (0: would block), or an OSError to raise;
    empty: they take everything. failing: verbs ("want", "shutdown", "reset_on_close") and the OSError each raises.
    """

    def __init__(self) -> None:
        self.incoming: deque[bytes | OSError] = deque()
        self.outgoing: deque[int | OSError] = deque()
        self.failing: dict[str, OSError] = {}
        self.full = False
        """Whether send() takes nothing, until this is set to False."""
        self.sent = bytearray()
        """Everything that was sent."""
        self.sends = 0
        """How often send() was called."""
        self.receives = 0
        """How often recv() was called."""
        self.wanted = 0
        """The mask of the last want()."""
        self.calls: list[str] = []
        """The names of the other verbs that were called, in order."""
        self._loop: MemoryLoop | None = None
        self.handler: Handler | None = None

    def attach(self, loop: MemoryLoop, handler: Handler) -> None:
        """From now on `loop` tells `handler` what want() asked for."""
        self._loop = loop
        self.handler = handler
        if self not in loop.channels:
            loop.channels.append(self)

    @property
    def readiness(self) -> int:
        """The mask to report now: what is wanted and would not block."""
        return self.wanted & (bool(self.incoming) * READ | (not self.full) * WRITE)

    def recv(self, size: int) -> bytes:
        """At most `size` bytes of what comes next in `incoming`."""
        self.receives += 1
        self._check_open()
        if not self.incoming:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        result = self.incoming[0]
        if result == b"":
            return b""
        self.incoming.popleft()
        if isinstance(result, OSError):
            raise result
        if len(result) > size:
            self.incoming.appendleft(result[size:])
        return result[:size]

    def send(self, data: Any) -> int:
        """Take as much of `data`, a bytes-like object, as `outgoing` says; how many bytes that is."""
        self.sends += 1
        self._check_open()
        view = memoryview(data).cast("B")
        if "shutdown" in self.calls:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        if not view:
            return 0
        result = 0 if self.full else self.outgoing.popleft() if self.outgoing else len(view)
        if isinstance(result, OSError):
            raise result
        if not result:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self.sent += view[:result]
        return min(result, len(view))

    def want(self, mask: int) -> None:
        """Ask for handler.ready(mask); 0 asks for silence."""
        self._check_open()
        self._fail("want")
        self.wanted = mask

    def shutdown(self, how: int) -> None:
        """Shut the sending side."""
        self._check_open()
        self._fail("shutdown")
        self.calls.append("shutdown")

    def reset_on_close(self) -> None:
        """Let close() reset the connection."""
        self._check_open()
        self._fail("reset_on_close")
        self.calls.append("reset_on_close")

    def leave(self) -> None:
        """Forget the descriptor without closing it."""
        self.calls.append("leave")
        self._end()

    def close(self) -> None:
        """Silence and close."""
        self.calls.append("close")
        self._end()

    def _end(self) -> None:
        self.wanted = 0
        if self._loop is not None and self in self._loop.channels:
            self._loop.channels.remove(self)

    def _check_open(self) -> None:
        if "close" in self.calls or "leave" in self.calls:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def _fail(self, verb: str) -> None:
        error = self.failing.get(verb)
        if error is not None:
            raise error


class MemoryPoller:
    """Who watches which descriptor for what; it reports nothing by itself.

    For transports over real sockets, whose readiness a test then reports itself: MemoryLoop.report.
    """

    def __init__(self) -> None:
        self.handlers: dict[int, Handler] = {}
        self.masks: dict[int, int] = {}

    def set(self, fd: int, mask: int, handler: Handler) -> None:
        """Watch `fd` for `mask` on behalf of `handler`; 0 forgets it."""
        if mask:
            self.handlers[fd], self.masks[fd] = handler, mask
        elif self.handlers.get(fd) is handler:
            del self.handlers[fd], self.masks[fd]


class NotingKit(OurKit):
    """Our kit; it also keeps the assertions that failed in a callback, for the test to hear of them."""

    def __init__(self) -> None:
        self.failed: list[AssertionError] = []

    def report(self, exception: BaseException, why: str, culprit: object = None) -> None:
        super().report(exception, why, culprit)
        if isinstance(exception, AssertionError):
            self.failed.append(exception)


class MemoryLoop:
    """What transports see of a reactor; it turns when it is told to, and is the reactor that runs while it does.

    kit: makes the objects that programs see (None: our own, and an assertion that failed in a callback is raised here
    when that has been dealt with); clock: tells its time.
    """

    def __init__(self, kit: Kit | None = None, clock: Clock | None = None) -> None:
        self._noting = NotingKit()
        self.kit: Kit = self._noting if kit is None else kit
        self.clock = Clock() if clock is None else clock
        self.callLater: Callable[..., Any] = self.clock.callLater
        self.poller: Any = MemoryPoller()
        self.late: list[Any] = []
        self.settle_soon = self.settle_together = self.late.append
        self.transports: set[Any] = set()
        self.nameResolver: Any = None
        self.channels: list[ScriptedChannel | MemoryChannel] = []
        self.wires: list[MemoryWire] = []

    def callFromThread(self, callable: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Call `callable(*args, **kwargs)` at the next turn."""
        self.callLater(0, callable, *args, **kwargs)

    def flush(self) -> None:
        """A callback has returned: settle the transports that it used from outside."""
        with running_as(self):
            while self.late:
                late = self.late.copy()
                self.late.clear()
                for transport in late:
                    transport.settle()
        if self._noting.failed:
            raise self._noting.failed.pop(0)

    def tell(self, handler: Handler, mask: int) -> None:
        """Tell `handler` that it is ready for `mask`."""
        with running_as(self):
            handler.ready(mask)
        self.flush()

    def report(self, fd: int, mask: int) -> None:
        """Tell the handler that watches the descriptor `fd` that it is ready for `mask`."""
        self.tell(self.poller.handlers[fd], mask)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, and make the calls that are due."""
        with running_as(self):
            self.clock.advance(seconds)
        self.flush()

    def turn(self) -> bool:
        """One turn: what is under way arrives, then what is due, then each channel that is ready.

        Returns whether there was anything to do.
        """
        due = any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls())
        busy = due or bool(self.late)
        self.flush()
        for wire in self.wires.copy():
            busy |= wire.step()
            if wire.over:
                self.wires.remove(wire)
        self.advance(0)
        for channel in self.channels.copy():
            mask = channel.readiness
            if mask and channel.handler is not None:
                busy = True
                self.tell(channel.handler, mask)
        return busy

    def finish(self, limit: int = 1000) -> None:
        """Turn until there is nothing to do. Raises AssertionError if there still is after `limit` turns."""
        for _ in range(limit):
            if not self.turn():
                return
        raise AssertionError(f"still busy after {limit} turns")
