"""Throttling: a factory whose connections together read and write no more than so many bytes a second.

Names are Twisted's. Different from Twisted, which looks once a second whether there was too much:
* The connections are stopped at once when the limit is passed, and for as long as what was read or written takes at
  that limit, so a burst is no longer than a second's worth and one piece of each connection.
* There is a timer only while there is traffic, and none without connections; a limit that was used up is remembered
  when the last connection goes, so that connecting again does not renew it.
* A protocol that paused its transport itself stays paused; a pull producer is throttled too.
"""

from __future__ import annotations

import enum
import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any

from ropewalk.internet.failure import Failure
from ropewalk.protocols.wrapping import ProtocolWrapper, WrappingFactory

_log = logging.getLogger("ropewalk.protocols")


class _Writing(enum.Enum):
    """How a connection writes."""

    FREE = "as fast as the transport takes it"
    THROTTLED = "its producer waits, unknown to the transport"
    ENDING = "what is left goes out as fast as the transport takes it, which closes then"


class ThrottlingProtocol(ProtocolWrapper):
    """One connection of a ThrottlingFactory: counts what it reads and writes, and stops when it is told."""

    def __init__(self, factory: Any, wrappedProtocol: Any) -> None:
        super().__init__(factory, wrappedProtocol)
        self.producer: Any = None
        self._streaming = False
        self._writing = _Writing.FREE
        self._pauses: set[str] = set()   # who has stopped reading; it goes on when nobody has

    # -- reading

    def dataReceived(self, data: bytes) -> None:
        self.factory.registerRead(len(data))
        super().dataReceived(data)

    def pauseProducing(self) -> None:
        self._pauses.add("protocol")
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._pauses.discard("protocol")
        if not self._pauses:
            super().resumeProducing()

    def throttleReads(self) -> None:
        """Read nothing until unthrottleReads()."""
        self._pauses.add("limit")
        if not self.disconnecting:
            super().pauseProducing()

    def unthrottleReads(self) -> None:
        """Read again, unless the protocol has paused."""
        self._pauses.discard("limit")
        if not (self._pauses or self.disconnecting):
            super().resumeProducing()

    # -- writing

    def write(self, data: bytes) -> None:
        super().write(data)
        self._written(len(data))

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        pieces = list(iovec)
        super().writeSequence(pieces)
        self._written(sum(map(len, pieces)))

    def _written(self, length: int) -> None:
        if self.connected:
            self.factory.registerWritten(length)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self.producer is not None:
            raise RuntimeError(f"{producer!r} cannot be registered with {self!r}: {self.producer!r} still is")
        self.producer = producer
        self._streaming = streaming
        if self._writing is not _Writing.THROTTLED:
            super().registerProducer(producer, streaming)
        elif streaming:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        self.producer = None
        if self._writing is not _Writing.THROTTLED:
            super().unregisterProducer()

    def throttleWrites(self) -> None:
        """Let the producer, if there is one, wait until unthrottleWrites(): the transport knows of none meanwhile."""
        if self._writing is not _Writing.FREE or self.disconnecting:
            return
        self._writing = _Writing.THROTTLED
        if self.producer is not None:
            super().unregisterProducer()
            if self._streaming:
                self.call_program(self.producer, "pauseProducing")

    def unthrottleWrites(self) -> None:
        """Let the producer go on."""
        if self._writing is not _Writing.THROTTLED or not self.connected:
            return
        self._writing = _Writing.FREE
        if self.producer is not None:
            super().registerProducer(self.producer, self._streaming)
            if self._streaming:
                self.call_program(self.producer, "resumeProducing")

    # -- ending

    def loseConnection(self) -> None:
        self._end()
        super().loseConnection()

    def loseWriteConnection(self) -> None:
        """Shut our side when everything has been sent."""
        self._end()
        self.transport.loseWriteConnection()

    def _end(self) -> None:
        """The transport waits for its producer before it ends: it has to know it."""
        if self.connected:
            self.unthrottleWrites()
            self._writing = _Writing.ENDING

    def connectionLost(self, reason: Failure[Any]) -> None:
        producer, self.producer = self.producer, None
        throttled, self._writing = self._writing is _Writing.THROTTLED, _Writing.ENDING
        if producer is not None and throttled:
            self.call_program(producer, "stopProducing")
        super().connectionLost(reason)


class _Window:
    """The bytes that were counted since the first of them, for a second, or as long as they take at the limit.

    factory: has callLater; throttle, unthrottle: what to call when they are too many, and when they no longer are.
    """

    def __init__(self, factory: Any, throttle: Callable[[], object], unthrottle: Callable[[], object]) -> None:
        self.counted = 0
        self.throttled = False
        self._factory = factory
        self._throttle = throttle
        self._unthrottle = unthrottle
        self._seconds = 1.0   # its length
        self._end: Any = None   # the delayed call
        self._suspended_until: float | None = None

    def add(self, size: int, limit: float) -> None:
        """`size` bytes more; `limit` are allowed a second."""
        self.counted += size
        if self._end is None:
            self._end = self._factory.callLater(1, self._ended)
        seconds = self.counted / limit
        if seconds <= self._seconds:
            return
        self._end.delay(seconds - self._seconds)
        self._seconds = seconds
        if not self.throttled:
            self.throttled = True
            self._throttle()

    def _ended(self) -> None:
        self._forget()
        if not self.throttled:
            return
        self._unthrottle()   # whoever waited writes or reads once, into the next window, before that can be full
        self.throttled = self._seconds > 1
        if self.throttled:
            self._throttle()

    def _forget(self) -> None:
        self._end = None
        self.counted = 0
        self._seconds = 1.0

    def suspend(self) -> None:
        """Keep no timer."""
        if self._end is not None:
            self._suspended_until = self._end.getTime()
            self._end.cancel()
            self._end = None

    def resume(self) -> None:
        """Go on from suspend(), if the window has not ended meanwhile."""
        if self._suspended_until is None:
            return
        end = self._factory.callLater(1, self._ended)
        left = self._suspended_until - (end.getTime() - 1)
        self._suspended_until = None
        if left > 0:
            end.reset(left)
            self._end = end
        else:
            end.cancel()
            self._forget()
            self.throttled = False


class ThrottlingFactory(WrappingFactory):
    """Limits how many connections there are, and what all of them together read and write.

    maxConnectionCount: connections beyond it are refused; readLimit, writeLimit: bytes a second (None: no limit).
    What is written is delayed only where it comes from a producer. Raises ValueError for a limit of 0 or less.
    connectionCount: how many connections there are, from buildProtocol() on.
    """

    protocol = ThrottlingProtocol

    def __init__(
        self,
        wrappedFactory: Any,
        maxConnectionCount: int = sys.maxsize,
        readLimit: float | None = None,
        writeLimit: float | None = None,
    ) -> None:
        super().__init__(wrappedFactory)
        for limit in (readLimit, writeLimit):
            if limit is not None and limit <= 0:
                raise ValueError(f"a limit is a number of bytes a second, more than 0, not {limit!r}")
        self.connectionCount = 0
        self.maxConnectionCount = maxConnectionCount
        self.readLimit = readLimit
        self.writeLimit = writeLimit
        self._reads = _Window(self, self.throttleReads, self.unthrottleReads)
        self._writes = _Window(self, self.throttleWrites, self.unthrottleWrites)

    @property
    def readThisSecond(self) -> int:
        """The bytes that were read in the second, or the longer time that they take, which is under way."""
        return self._reads.counted

    @property
    def writtenThisSecond(self) -> int:
        """The same for those that were written."""
        return self._writes.counted

    def buildProtocol(self, addr: Any) -> Any:
        """A protocol for the connection with `addr`; None if there are enough of them."""
        if self.connectionCount >= self.maxConnectionCount:
            _log.info("%r has %d connections: that with %s is refused", self, self.connectionCount, addr)
            return None
        protocol = super().buildProtocol(addr)
        if protocol is not None:
            self.connectionCount += 1
        return protocol

    def registerProtocol(self, p: Any) -> None:
        super().registerProtocol(p)
        for window, throttle in ((self._reads, p.throttleReads), (self._writes, p.throttleWrites)):
            window.resume()
            if window.throttled:
                throttle()

    def unregisterProtocol(self, p: Any) -> None:
        super().unregisterProtocol(p)
        self.connectionCount -= 1
        if not self.protocols:
            self._reads.suspend()
            self._writes.suspend()

    def registerRead(self, length: int) -> None:
        """A connection has read so many bytes."""
        if self.readLimit is not None:
            self._reads.add(length, self.readLimit)

    def registerWritten(self, length: int) -> None:
        """A connection has written so many bytes."""
        if self.writeLimit is not None:
            self._writes.add(length, self.writeLimit)

    def throttleReads(self) -> None:
        """Every connection stops reading."""
        _log.info("%r has read %d bytes: its connections wait", self, self.readThisSecond)
        for protocol in list(self.protocols):
            protocol.throttleReads()

    def unthrottleReads(self) -> None:
        """Every connection reads again."""
        for protocol in list(self.protocols):
            protocol.unthrottleReads()

    def throttleWrites(self) -> None:
        """The producer of every connection waits."""
        _log.info("%r has written %d bytes: its connections wait", self, self.writtenThisSecond)
        for protocol in list(self.protocols):
            protocol.throttleWrites()

    def unthrottleWrites(self) -> None:
        """The producer of every connection goes on."""
        for protocol in list(self.protocols):
            protocol.unthrottleWrites()
