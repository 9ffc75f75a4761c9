"""A connection in memory: two channels, and what is under way between them.

It keeps TCP's promises, and its facts, as far as a program can see them:
* what one side has sent arrives in order, cut anywhere, some time later: at the next step;
* a side takes no more than `capacity` bytes that the other has not read yet;
* closing sends an end after the data, or a reset if something is unread or the connection is aborted;
* what is sent to a side that is closed is answered by a reset.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from ropewalk.interfaces import READ, WRITE, Handler

if TYPE_CHECKING:
    from ropewalk.testing.memory import MemoryLoop

CAPACITY = 65536   # bytes; the order of magnitude of a socket's


class MemoryWire:
    """One connection: its two channels are `ends`, that of the client first.

    capacity: how many bytes a side sends at most before the other has read them; piece: how many bytes arrive at most
    in one step (None: all that are under way). Both may be changed at any time.
    """

    def __init__(self, capacity: int = CAPACITY, piece: int | None = None) -> None:
        self.capacity = capacity
        self.piece = piece
        there, back = _Way(), _Way()
        self.ends = (MemoryChannel(self, there, back), MemoryChannel(self, back, there))

    def step(self) -> bool:
        """What was under way arrives; whether there was anything."""
        ways = [end.sending for end in self.ends]
        moved = [way.move(self.piece) for way in ways]
        for way, back in zip(ways, reversed(ways), strict=True):
            if way.bounced:
                way.bounced = False
                back.last = _os_error(errno.ECONNRESET)
        return any(moved)

    @property
    def over(self) -> bool:
        """Whether both sides are closed and nothing is under way."""
        return not any(end.sending.heard or end.sending.flying for end in self.ends)

    def cut(self, error: OSError) -> None:
        """Nothing that is under way arrives; both sides learn of `error` at the next step."""
        for end in self.ends:
            end.sending.flying.clear()
            end.sending.last = error


class _Way:
    """One direction of a connection."""

    def __init__(self) -> None:
        self.log = bytearray()      # all that was ever sent
        self.flying = bytearray()
        self.last: bytes | OSError | None = None      # what follows `flying`: the end (b""), a reset
        self.arrived = bytearray()
        self.end: bytes | OSError | None = None       # what follows `arrived`
        self.heard = True       # the receiver is open
        self.bounced = False    # something arrived after it had closed

    def move(self, piece: int | None) -> bool:
        if not self.flying and self.last is None:
            return False
        if self.heard:
            self.arrived += self.flying[:piece]
        elif self.flying:
            self.bounced = True
        del self.flying[:piece]
        if not self.flying and self.last is not None:
            if self.end is None or isinstance(self.last, OSError):
                self.end = self.last
            self.last = None
        return True


class MemoryChannel:
    """One side of a MemoryWire: see ropewalk.interfaces.Channel. Would-block and errors are those of a socket."""

    def __init__(self, wire: MemoryWire, sending: _Way, receiving: _Way) -> None:
        self.wire = wire
        self.sending = sending
        self.receiving = receiving
        self.wanted = 0
        self.handler: Handler | None = None
        self.name = b""   # of a UNIX socket
        self._loop: MemoryLoop | None = None
        self._open = True
        self._shut = False
        self._resetting = False
        self._options: dict[tuple[int, int], int] = {}

    def attach(self, loop: MemoryLoop, handler: Handler) -> None:
        """From now on `loop` tells `handler` what want() asked for."""
        self._loop = loop
        self.handler = handler
        if self not in loop.channels:
            loop.channels.append(self)

    @property
    def readiness(self) -> int:
        """The mask to report now: what is wanted and would not block."""
        readable = self.receiving.arrived or self.receiving.end is not None
        writable = self._room() > 0 or isinstance(self.receiving.end, OSError)
        return self.wanted & (bool(readable) * READ | writable * WRITE)

    def recv(self, size: int) -> bytes:
        """At most `size` bytes of what has arrived; b"" after the end."""
        self._check_open()
        arrived, end = self.receiving.arrived, self.receiving.end
        if arrived:
            data = bytes(arrived[:size])
            del arrived[:size]
            return data
        if end is None:
            raise _os_error(errno.EAGAIN)
        if isinstance(end, OSError):
            raise _os_error(end.errno, end.strerror)
        return end

    def send(self, data: Any) -> int:
        """Take as much of `data`, a bytes-like object, as there is room for; how many bytes that is."""
        self._check_open()
        if self._shut:
            raise _os_error(errno.EPIPE)
        if isinstance(self.receiving.end, OSError):
            raise _os_error(self.receiving.end.errno, self.receiving.end.strerror)
        view = memoryview(data).cast("B")
        if not view:
            return 0
        taken = view[: max(self._room(), 0)]
        if not taken:
            raise _os_error(errno.EAGAIN)
        self.sending.flying += taken
        self.sending.log += taken
        return len(taken)

    def _room(self) -> int:
        return self.wire.capacity - len(self.sending.flying) - len(self.sending.arrived)

    def want(self, mask: int) -> None:
        """Ask for handler.ready(mask); 0 asks for silence."""
        self._check_open()
        self.wanted = mask

    def shutdown(self, how: int) -> None:
        """Shut the sending side."""
        self._check_open()
        if isinstance(self.receiving.end, OSError):
            raise _os_error(errno.ENOTCONN)
        self._shut = True
        self.sending.last = b""

    def reset_on_close(self) -> None:
        """Let close() discard what is unsent and reset the connection."""
        self._check_open()
        self._resetting = True

    def leave(self) -> None:
        """Silence and forget: nothing more is sent."""
        self._end()

    def close(self) -> None:
        """Silence and close."""
        if not self._open:
            return
        if self._resetting or self.receiving.arrived:
            self.sending.last = _os_error(errno.ECONNRESET)
        elif not self._shut:
            self.sending.last = b""
        self._end()

    def recvmsg(self, size: int, space: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, None]:
        """As recv(); no descriptors come over a connection in memory."""
        return self.recv(size), [], 0, None

    def sendmsg(self, buffers: Any, ancillary: Any = ()) -> int:
        """Raises OSError: no descriptors go over a connection in memory."""
        raise _os_error(errno.EOPNOTSUPP)

    def getsockname(self) -> bytes:
        """The name of a UNIX socket."""
        return self.name

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Keep a socket option; it changes nothing."""
        self._check_open()
        self._options[level, option] = value

    def getsockopt(self, level: int, option: int) -> int:
        """What setsockopt() set; at first 0."""
        self._check_open()
        return self._options.get((level, option), 0)

    def _end(self) -> None:
        self._open = False
        self.wanted = 0
        self.receiving.heard = False
        self.receiving.arrived.clear()
        if self._loop is not None and self in self._loop.channels:
            self._loop.channels.remove(self)

    def _check_open(self) -> None:
        if not self._open:
            raise _os_error(errno.EBADF)


def _os_error(number: int | None, text: str | None = None) -> OSError:
    return OSError(number, text or os.strerror(number or 0))
