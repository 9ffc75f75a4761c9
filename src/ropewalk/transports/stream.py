"""The stream: the one state machine of every byte stream, over the verbs of a channel.

    OPEN --loseWriteConnection--> ENDING --queue sent, FIN--> ENDED
     |  \\--the peer's FIN--> PEER_ENDED                        |
     +--loseConnection (or the last of both ends)--> CLOSING --queue sent--> CLOSED
     +--an error, abortConnection--> BROKEN --the callback in hand returns--> CLOSED

What decided its shape:
* A failed recv costs more than twice a recv that returns data, so there is one recv an event, never a drain.
* The first write of a callback goes to the socket at once: the data is still in the cache. What the callback writes
  then is gathered and sent as one piece, together with what other connections have gathered: the first send to a peer
  that sleeps wakes it, which costs more than a send, and the next ones find it awake. `_fresh` says that a write may
  go out at once: nothing is queued, nothing was sent yet in this callback, and the state is one that sends.
* WRITE is asked for only after a short count, or while a producer waits to be resumed.
* A protocol is never entered from within its own call: what its call leads to happens when that returns (settle).
"""

from __future__ import annotations

import contextlib
import enum
import socket
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from ropewalk.interfaces import INVALID, READ, WRITE, Loop, Lost
from ropewalk.transports.file_slice import FileSlice
from ropewalk.transports.pieces import Piece, Step, as_bytes, gather
from ropewalk.transports.secured import Secured

RECV_SIZE = 65536
BUFFER_SIZE = 65536
_DEBUG, _WARNING = 10, 30   # logging's levels


class State(enum.Enum):
    """Where a stream stands."""

    OPEN = "open"
    ENDING = "ending: our side will be shut when the queue is sent"
    ENDED = "our side is shut"
    PEER_ENDED = "the peer's side is shut"
    CLOSING = "closing when the queue is sent"
    BROKEN = "broken, the protocol has yet to be told"
    CLOSED = "closed"


_OPEN = State.OPEN
# Tuples: a set would call the hash of Enum, which is written in Python.
_READING = (State.OPEN, State.ENDING, State.ENDED)
_WRITING = (State.OPEN, State.PEER_ENDED)
_WAITING = (State.ENDING, State.CLOSING)   # for the queue, and for what a producer still has
_OVER = (State.CLOSED, State.BROKEN)


class Stream(Secured):
    """A transport over a byte stream.

    loop: the reactor; channel: attached to this stream; lost: called with the reason after the protocol was told.
    """

    __slots__ = (
        "__weakref__",
        "_blocked",
        "_channel_waits",
        "_eager",
        "_fresh",
        "_inside",
        "_lost",
        "_paused",
        "_producer",
        "_producer_paused",
        "_queue",
        "_queued",
        "_reason",
        "_state",
        "_streaming",
        "bufferSize",
        "channel",
        "protocol",
        "reactor",
    )

    def __init__(self, loop: Loop, channel: Any, lost: Callable[[Any], object] | None = None) -> None:
        self.reactor = loop
        self.channel = channel
        self.protocol: Any = None
        self.bufferSize = BUFFER_SIZE   # bytes that wait, after which a push producer is paused
        self._lost = lost
        self._state = _OPEN
        self._queue: deque[Piece] | tuple[()] = ()
        self._queued = 0
        self._eager = True      # the first write of a callback goes out by itself
        self._fresh = True      # a write may go to the channel at once
        self._inside = False    # a call into the protocol is on the stack, settle() will follow
        self._blocked = False   # the channel takes no more; WRITE will tell when it does
        self._channel_waits = False   # it has what no poller reports; it is told when the protocol has returned
        self._paused = False
        self._producer: Any = None
        self._streaming = False
        self._producer_paused = False
        self._reason: Exception | None = None

    # -- events

    def start(self, protocol: Any) -> None:
        """Hand the stream to its protocol and begin to read."""
        self.protocol = protocol
        self.reactor.transports.add(self)
        self._call(protocol, "makeConnection", self)
        if self._state not in _OVER:
            self._ask()

    def ready(self, mask: int) -> None:
        """The poller's report; the path of a message, so it is all here."""
        if mask != READ:
            self._ready(mask)
            return
        try:
            data = self.channel.recv(RECV_SIZE)
        except OSError as error:
            self._receive_failed(error)
            return
        if not data:
            self._end_of_input()
            return
        self._inside = True
        try:
            self.protocol.dataReceived(data)
        except Exception as error:
            self._protocol_failed(error, "dataReceived")
        except BaseException:   # it leaves run(): what was written is sent when that goes on
            self.reactor.settle_soon(self)
            raise
        finally:
            self._inside = False
        if not self._fresh:
            if self._blocked or self._state is not _OPEN or self._channel_waits:
                self.settle()
            elif self._queue:
                self.reactor.settle_together(self)
            else:
                self._fresh = self._eager

    def _ready(self, mask: int) -> None:
        if mask & INVALID:
            self.channel.leave()
            self._break(self.reactor.kit.error.ConnectionFdescWentAway())
            return
        if mask & ~WRITE and not self._paused and self._state in _READING:
            self.ready(READ)
        if mask & WRITE or self._blocked or self._hungry():
            self._writable()

    def _writable(self) -> None:
        if self._state in _OVER:
            return
        self._blocked = False
        self._flush()
        if not self._queue and self._hungry() and self._state not in _OVER:
            self._producer_paused = False
            self._call(self._producer, "resumeProducing")
        self.settle()
        if self._state not in _OVER:
            self._ask()

    def _receive_failed(self, error: OSError) -> None:
        if isinstance(error, BlockingIOError | InterruptedError):
            return
        self._break_with(error)
        self.settle()

    def _end_of_input(self) -> None:
        half = self.reactor.kit.half_closeable(self.protocol)
        if half is None:
            self._finish(self.reactor.kit.error.ConnectionDone())
            return
        if self._state is State.ENDED:
            self._break(self.reactor.kit.error.ConnectionDone())
        else:
            self._state = State.PEER_ENDED if self._state is _OPEN else State.CLOSING
            self._ask()
        self._call(half, "readConnectionLost")
        self._fresh = False
        self.settle()

    # -- what a callback left

    def settle(self) -> None:
        """A callback has returned: send what it wrote, and carry out what it, or an error, decided."""
        if self._channel_waits and not self._inside:
            self._channel_waits = False
            self.reactor.settle_soon(self.channel)
        if self._queue and not self._blocked and self._state not in _OVER:
            self._flush()
        if self._state is State.BROKEN:
            self._finish(self._reason)
        elif self._state is State.CLOSED or self._queue:
            return
        elif self._state in _WRITING:
            self._fresh = self._eager
        elif not self._hungry():
            self._drained()

    def nested(self) -> None:
        """The callback in hand has opened a nested loop: what it wrote goes out now, and the next write at once."""
        if any(isinstance(piece, Step) for piece in self._queue):   # what a step leads to is not for a nested loop
            return
        if self._queue and not self._blocked and self._state not in _OVER:
            self._flush()
        self._fresh = self._eager and not self._queue and self._state in _WRITING

    def _drained(self) -> None:
        """The queue is sent: the end that was waiting for it comes."""
        if self._state is State.CLOSING:
            self._finish(self.reactor.kit.error.ConnectionDone())
        elif self._state is State.ENDING:
            try:
                self.channel.shutdown(socket.SHUT_WR)
            except OSError as error:
                self._break_with(error)
                self.settle()
                return
            self._state = State.ENDED
            half = self.reactor.kit.half_closeable(self.protocol)
            if half is not None:
                self._call(half, "writeConnectionLost")
                self.settle()

    def _finish(self, reason: Exception | None) -> None:
        """The one way out: close, then tell the producer, the protocol and the owner."""
        self._state = State.CLOSED
        self._fresh = False
        unsent, self._queue, self._queued = self._queue, (), 0
        self._before_close()
        self.channel.close()
        self.reactor.transports.discard(self)
        failure = self.reactor.kit.failure(reason or self.reactor.kit.error.ConnectionDone())
        self._reason = None   # its traceback leads back here
        producer, self._producer = self._producer, None
        if producer is not None:
            self._call(producer, "stopProducing")
        for piece in unsent:
            if isinstance(piece, Step):
                self._call(piece, "fail", failure)
        try:
            self._call(self.protocol, "connectionLost", failure)
        finally:
            self.protocol = None
        lost, self._lost = self._lost, None
        if lost is not None:
            lost(failure)

    def _before_close(self) -> None:
        """For a family that has something to keep of its channel."""

    def _break_with(self, error: OSError) -> None:
        if isinstance(error, Lost):
            self._break(error.why)
            return
        lost = self.reactor.kit.error.ConnectionLost(error.strerror or str(error))
        lost.__cause__ = error
        self._break(lost)

    def _break(self, reason: Exception) -> None:
        """It is over because of `reason`; the protocol is told when the call in hand returns."""
        if self._state in _OVER:
            return
        self._state = State.BROKEN
        self._reason = reason
        self._soon()

    def _soon(self) -> None:
        """settle() will follow: by the call on the stack, or by the reactor."""
        self._fresh = False
        if not self._inside:
            self.reactor.settle_soon(self)

    def _call(self, program: Any, method: str, *args: Any) -> None:
        """Call a method of the program's; settle() follows, here or by the reactor."""
        outer, self._inside = self._inside, True
        try:
            getattr(program, method)(*args)
        except Exception as error:
            self._protocol_failed(error, method)
        finally:
            self._inside = outer
            if not (outer or self._fresh or self._state is State.CLOSED):
                self.reactor.settle_soon(self)

    def _protocol_failed(self, error: Exception, where: str) -> None:
        """An exception of the program ends this connection and no other."""
        self.reactor.kit.report(error, f"{where} failed; the connection is closed", self)
        self._break(error)

    # -- sending

    def write(self, data: bytes) -> None:
        """Send `data`, in order, when the peer takes it; returns at once.

        data: bytes (another bytes-like object is copied). Raises TypeError for anything else. After loseConnection
        or the loss of the connection the data is dropped. Twisted's ITransport.write.
        """
        if data.__class__ is not bytes:
            data = as_bytes(data)
        if self._fresh:
            try:
                sent = self.channel.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self._break_with(error)
                return
            self._fresh = False
            if not self._inside:
                self.reactor.settle_soon(self)
            if sent != len(data):
                self._enqueue(memoryview(data)[sent:])
                self._blocked = True
                self._throttle()
            return
        if self._state in _WRITING or self._producer_finishes():
            self._enqueue(data)
            if self._queued > self.bufferSize:
                self._throttle()
        else:
            self._drop_data(data)

    def _producer_finishes(self) -> bool:
        """Whether the connection is to end, and waits for a producer, which still writes."""
        return self._producer is not None and self._state in _WAITING

    def _drop_data(self, data: bytes) -> None:
        """Written too late: a mistake of the program, unless it cannot know yet that the peer has gone."""
        level = _DEBUG if self._state in _OVER else _WARNING
        self.reactor.kit.log(level, f"{len(data)} bytes dropped: they were written to {self!r}")

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send the pieces of `iovec`, in order, as write() does. Twisted's ITransport.writeSequence."""
        self.write(b"".join(iovec))

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> Any:
        """Send a part of a file, in order with what is written; os.sendfile does it where it can.

        file: binary and seekable, better a regular one; it stays open until the Deferred fires. offset: in bytes from
        its beginning; count: how many bytes (None: up to its end). Returns a Deferred of the number of bytes, which
        fires when the kernel has them; it is less than `count` if the file has less. It fails with the error of
        reading, or with the reason for which the connection ended before. Cancelling it stops in the middle of the
        file. Raises ValueError for negative numbers, TypeError for others that are not whole.
        """
        piece = FileSlice(self.reactor.kit, file, offset, count)
        if self._state in _WRITING or self._producer_finishes():
            self._enqueue(piece)
            self._soon()
        else:
            piece.fail(self.reactor.kit.failure(self.reactor.kit.error.ConnectionLost(f"{self!r} sends no more")))
        return piece.done

    def _enqueue(self, data: Piece) -> None:
        if data:
            if not self._queue:
                self._queue = deque()
                if not (self._eager or self._inside):
                    self.reactor.settle_soon(self)
            self._queue.append(data)
            if not isinstance(data, Step):
                self._queued += len(data)

    def _throttle(self) -> None:
        """Much is queued: send what can be sent, and stop a push producer."""
        if not self._blocked:
            self._flush()
        if self._queued > self.bufferSize:
            self._pause_producer()
        if self._blocked and self._state not in _OVER:
            self._ask()

    def _pause_producer(self) -> None:
        """Stop a push producer until what is queued has been sent."""
        if self._streaming and not self._producer_paused:
            self._producer_paused = True
            self._call(self._producer, "pauseProducing")
            if self._state not in _OVER:
                self._ask()

    def _flush(self) -> None:
        """Send the queue until it is empty or the channel takes no more."""
        queue = self._queue
        while queue:
            piece = queue.popleft() if len(queue) == 1 else gather(queue)
            try:
                rest = self._send_piece(piece)
            except BlockingIOError:
                rest = piece
            except OSError as error:
                queue.appendleft(piece)
                self._break_with(error)
                return
            if rest:
                queue.appendleft(rest)
                self._blocked = True
                self._ask()
                return
        self._queue = ()

    def _send_piece(self, piece: Piece) -> Piece:
        """Send `piece`; what is left of it. Raises OSError."""
        if isinstance(piece, Step):
            if not piece.send_some(self.channel):
                return piece
            self.reactor.settle_soon(piece)
            return b""
        sent = self.channel.send(piece)
        self._queued -= sent
        return memoryview(piece)[sent:] if sent < len(piece) else b""

    def _ask(self) -> None:
        """Tell the channel what this stream waits for."""
        mask = READ if not self._paused and self._state in _READING else 0
        if self._blocked or self._hungry():
            mask |= WRITE
        try:
            self.channel.want(mask)
        except OSError as error:
            self._break_with(error)

    # -- what stands between the channel and this stream

    def interpose(self, channel: Any, beginning: Step) -> None:
        """Send and receive through `channel` from the step `beginning` on, whose turn comes when a callback returns."""
        self.channel = channel
        self._eager = self._fresh = False
        if self.protocol is None:   # start() goes on
            self._queue = deque((beginning,))
            return
        self._enqueue(beginning)
        self._ask()
        self._soon()

    @property
    def inside(self) -> bool:
        """Whether a call into the protocol is on the stack; if it turns the loop, nothing is told to the protocol."""
        return self._inside

    def settle_channel(self) -> None:
        """Let the channel, which has settle(), be settled when the call into the protocol has returned."""
        self._channel_waits = True

    def handshake_done(self) -> None:
        """TLS is there."""
        if hasattr(self.protocol, "handshakeCompleted"):
            self._call(self.protocol, "handshakeCompleted")

    # -- back-pressure

    def _hungry(self) -> bool:
        """Whether a producer waits to be resumed."""
        if self._producer is None or self._state is State.ENDED:
            return False
        return self._producer_paused or not self._streaming

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let `producer` write as fast as the peer takes it.

        producer: has pauseProducing (push only), resumeProducing and stopProducing; streaming: True for a push
        producer, False for a pull producer. Raises RuntimeError if there is one already. If the connection is lost
        already, the producer is told to stop. Twisted's IConsumer.registerProducer.
        """
        if self._producer is not None:
            raise RuntimeError(f"{producer!r} cannot be registered with {self!r}: {self._producer!r} still is")
        if self._state in _OVER:
            producer.stopProducing()
            return
        self._producer = producer
        self._streaming = streaming
        self._producer_paused = False
        if not streaming:
            self._ask()

    def unregisterProducer(self) -> None:
        """There is no producer any more. Twisted's IConsumer.unregisterProducer."""
        self._producer = None
        self._streaming = self._producer_paused = False
        if self._state not in _OVER:
            self._ask()
            self._soon()

    def pauseProducing(self) -> None:
        """Read nothing until resumeProducing(): the peer will be slowed down. Twisted's IPushProducer."""
        self._paused = True
        if self._state not in _OVER:
            self._ask()

    def resumeProducing(self) -> None:
        """Read again."""
        if not self._paused:
            return
        self._paused = False
        if self._state not in _OVER:
            self._ask()

    def stopProducing(self) -> None:
        """Close the connection."""
        self.loseConnection()

    stopReading, startReading = pauseProducing, resumeProducing
    """Their names in Twisted's FileDescriptor, which programs use, too."""

    # -- closing

    @property
    def connected(self) -> bool:
        """Whether the connection is up."""
        return self._state not in _OVER

    @property
    def disconnecting(self) -> bool:
        """Whether loseConnection() or abortConnection() was called and the end has yet to come."""
        return self._state in (State.CLOSING, State.BROKEN)

    def loseConnection(self) -> None:
        """Close when everything that was written has been sent. Twisted's ITransport.loseConnection."""
        if self._state in _OVER or self._state is State.CLOSING:
            return
        if self._state is State.ENDED:   # there is nothing left to wait for
            self._break(self.reactor.kit.error.ConnectionDone())
            return
        self._state = State.CLOSING
        self._ask()
        self._soon()

    def loseWriteConnection(self) -> None:
        """Shut our side when everything that was written has been sent; the peer may still send.

        A protocol with writeConnectionLost is told. Twisted's IHalfCloseableProtocol.
        """
        if self._state is _OPEN:
            self._state = State.ENDING
            self._soon()
        elif self._state is State.PEER_ENDED:
            self.loseConnection()

    def abortConnection(self) -> None:
        """Close at once: what is unsent is lost, the peer sees a reset. Twisted's ITCPTransport."""
        if self._state not in _OVER:
            with contextlib.suppress(OSError):   # some systems refuse once the peer has reset
                self.channel.reset_on_close()
            self._break(self.reactor.kit.error.ConnectionAborted())

    def drop(self, reason: Exception) -> None:
        """The reactor shuts down: end the connection now, because of `reason`."""
        if hasattr(self.channel, "hasten"):
            self.channel.hasten()
        self._break(reason)
        if not self._inside:
            self.settle()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.protocol!r}, {self._state.name.lower()}>"
