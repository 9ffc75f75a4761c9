"""Transports that keep what is written to them, for testing a protocol by itself. Names are those of Twisted.

A StringTransport has no other end and no reactor: the test plays the peer, by calling the protocol. To see two
protocols talk, half-close or slow each other down, connect them with ropewalk.testing.connectedPair.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any, BinaryIO

from ropewalk.errors import ConnectionAborted, ConnectionDone
from ropewalk.internet.address import IPv4Address
from ropewalk.internet.defer import Deferred, succeed
from ropewalk.internet.failure import Failure


class StringIOWithoutClosing(io.BytesIO):
    """A file in memory whose content can still be read after close()."""

    def close(self) -> None:
        """Do nothing."""


class StringTransport:
    """A transport that keeps what is written, and the state it was put into, and does nothing by itself.

    It takes and refuses what the transport of a connection takes and refuses, and drops what that would drop: what is
    written after loseConnection() while no producer is registered. For the test there are, beside the methods:

    value(), clear() and io: what was written; connected; disconnecting: loseConnection() or abortConnection() was
    called; disconnected and aborted: abortConnection() was called; writeEnded: loseWriteConnection() was called;
    producer and streaming: what was registered; producerState: "producing", "paused" or "stopped", as the protocol
    asked for.

    hostAddress, peerAddress: what getHost() and getPeer() return (None: an IPv4Address of this class's own);
    lenient: let a protocol pause and resume after loseConnection(), which else is a RuntimeError.
    """

    connected = True
    disconnecting = False
    disconnected = False
    aborted = False
    writeEnded = False
    producer: Any = None
    streaming: bool | None = None
    producerState = "producing"
    hostAddr: Any = IPv4Address("TCP", "10.0.0.1", 12345)
    peerAddr: Any = IPv4Address("TCP", "192.168.1.1", 54321)
    io: io.BytesIO

    def __init__(self, hostAddress: Any = None, peerAddress: Any = None, lenient: bool = False) -> None:
        if hostAddress is not None:
            self.hostAddr = hostAddress
        if peerAddress is not None:
            self.peerAddr = peerAddress
        self._lenient = lenient
        self._no_delay = False
        self._keep_alive = False
        self.clear()

    # -- for the test

    def value(self) -> bytes:
        """What was written since the last clear()."""
        return self.io.getvalue()

    def clear(self) -> None:
        """Forget what was written."""
        self.io = io.BytesIO()

    # -- ITransport and ITCPTransport

    def write(self, data: bytes) -> None:
        """Keep `data`, a bytes-like object. Raises TypeError for anything else."""
        try:
            view = memoryview(data)
        except TypeError:
            raise TypeError(f"a transport writes bytes, not {type(data).__name__}: {data!r}") from None
        if self._takes_data():
            self.io.write(view)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Keep the pieces of `iovec`. Raises TypeError if one is not bytes."""
        self.write(b"".join(iovec))

    def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> Deferred[int]:
        """Keep `count` bytes (None: all) of `file` from `offset` on; a Deferred of how many they were, fired."""
        file.seek(offset)
        data = file.read(-1 if count is None else count)
        self.write(data)
        return succeed(len(data))

    def loseConnection(self) -> None:
        """Set `disconnecting`."""
        self.disconnecting = True

    def loseWriteConnection(self) -> None:
        """Set `writeEnded`."""
        self.writeEnded = True

    def abortConnection(self) -> None:
        """Set `disconnecting`, `disconnected` and `aborted`."""
        self.aborted = self.disconnected = True
        self.disconnecting = True

    def getHost(self) -> Any:
        """The address of this end."""
        return self.hostAddr

    def getPeer(self) -> Any:
        """The address of the other end."""
        return self.peerAddr

    def getTcpNoDelay(self) -> bool:
        """What setTcpNoDelay() set; at first False."""
        return self._no_delay

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Keep `enabled`."""
        self._no_delay = bool(enabled)

    def getTcpKeepAlive(self) -> bool:
        """What setTcpKeepAlive() set; at first False."""
        return self._keep_alive

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Keep `enabled`."""
        self._keep_alive = bool(enabled)

    # -- IConsumer: the protocol produces

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Keep `producer`; the test pauses and resumes it. Raises RuntimeError if there is one already."""
        if self.producer is not None:
            raise RuntimeError(f"{producer!r} cannot be registered with {self!r}: {self.producer!r} still is")
        if self.disconnected:
            producer.stopProducing()
            return
        self.producer = producer
        self.streaming = streaming

    def unregisterProducer(self) -> None:
        """Forget the producer. Raises RuntimeError if there is none."""
        if self.producer is None:
            raise RuntimeError(f"no producer is registered with {self!r}")
        self.producer = None
        self.streaming = None

    # -- IPushProducer: the protocol consumes

    def pauseProducing(self) -> None:
        """Set `producerState`. Raises RuntimeError after stopProducing() or, unless lenient, loseConnection()."""
        self._check_producing("pause")
        self.producerState = "paused"

    def resumeProducing(self) -> None:
        """Set `producerState`. Raises RuntimeError after stopProducing() or, unless lenient, loseConnection()."""
        self._check_producing("resume")
        self.producerState = "producing"

    def stopProducing(self) -> None:
        """Set `producerState`."""
        self.producerState = "stopped"

    def _takes_data(self) -> bool:
        if self.disconnected or not self.connected:
            return False
        return self.producer is not None or not (self.disconnecting or self.writeEnded)

    def _check_producing(self, what: str) -> None:
        if self.disconnecting and not self._lenient:
            raise RuntimeError(f"cannot {what} {self!r} after loseConnection(): nothing more would come")
        if self.producerState == "stopped":
            raise RuntimeError(f"cannot {what} {self!r} after stopProducing()")


class StringTransportWithDisconnection(StringTransport):
    """A StringTransport that tells `protocol`, which the test sets, of the loss of the connection.

    It does so within loseConnection() and abortConnection(), once; a real transport does when the callback returns.
    """

    protocol: Any = None

    def loseConnection(self) -> None:
        """Lose the connection: a ConnectionDone. Raises RuntimeError if `protocol` is not set."""
        self._lose(ConnectionDone())

    def abortConnection(self) -> None:
        """Lose the connection: a ConnectionAborted. Raises RuntimeError if `protocol` is not set."""
        self.aborted = True
        self._lose(ConnectionAborted())

    def _lose(self, reason: Exception) -> None:
        if not self.connected:
            return
        if self.protocol is None:
            raise RuntimeError(f"set {self!r}.protocol: it is told of the loss of the connection")
        self.connected = False
        self.disconnected = True
        self.protocol.connectionLost(Failure(reason))
