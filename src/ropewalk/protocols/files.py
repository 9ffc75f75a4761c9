"""Sending a file to a consumer, as fast as that takes it, and without holding more than a piece of it.

To the transport of a connection a regular file is sent by its sendfile(), which has the kernel copy it; every other
pair, and whatever is transformed, takes the way of a pull producer, read by read. Names are those of Twisted.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from typing import Any

from ropewalk.internet.defer import Deferred
from ropewalk.internet.error import ConnectionClosed
from ropewalk.internet.failure import Failure
from ropewalk.protocols.parsing import over


class TransferStopped(Exception):
    """The consumer wanted no more before the end of the file; the cause is the loss of its connection, if known."""


class FileSender:
    """Sends files, one after the other.

    CHUNK_SIZE: bytes that are read at a time; lastSent: the last byte that was sent, b"" before the first; deferred:
    the Deferred of the transfer in progress, else None. Twisted's FileSender, a pull producer.
    """

    CHUNK_SIZE = 2**14
    lastSent = b""
    deferred: Deferred[bytes] | None = None
    file: Any = None
    consumer: Any = None
    transform: Callable[[bytes], bytes] | None = None
    _sending: Deferred[int] | None = None

    def beginFileTransfer(
        self, file: Any, consumer: Any, transform: Callable[[bytes], bytes] | None = None
    ) -> Deferred[bytes]:
        """Send `file`, a binary one, from where it stands to its end, where it stands then.

        consumer: a transport, or another IConsumer without a producer; transform: what it returns for each piece that
        was read is sent in its place. `file` stays open; its program must not read it meanwhile.

        Returns a Deferred of the last byte that was sent (b"" if there was none), which fires when the consumer has
        taken everything. It fails with TransferStopped if the consumer wants no more, as when its connection is lost,
        or with what reading, transforming or writing raised: the connection is left as it is. To cancel it stops in
        the middle of the file. Raises RuntimeError if this sender is busy, or the consumer has a producer.
        """
        if self.deferred is not None:
            raise RuntimeError(f"{self!r} cannot send {file!r}: it has not finished with {self.file!r}")
        self.lastSent = b""
        self.file, self.consumer, self.transform = file, consumer, transform
        deferred: Deferred[bytes] = Deferred(self._cancelled)
        self.deferred = deferred
        if transform is None and _can_sendfile(consumer) and _is_plain(file):
            self._sendfile()
            return deferred
        try:
            consumer.registerProducer(self, False)
        except BaseException:
            self._end()
            raise
        return deferred

    def resumeProducing(self) -> None:
        """The consumer takes more: send the next piece, or the end has come."""
        if self.deferred is None:   # it was stopped, and not by the consumer
            self.consumer.unregisterProducer()
            return
        try:
            finished = not self._send_piece()
        except Exception as error:
            self.consumer.unregisterProducer()
            self._fail(error)
            return
        if finished:
            self.consumer.unregisterProducer()
            self._succeed()

    def pauseProducing(self) -> None:
        """A pull producer sends when it is asked, and so is paused always."""

    def stopProducing(self) -> None:
        """The consumer wants no more: the Deferred fails with TransferStopped."""
        self._fail(TransferStopped("the consumer wanted no more before the end of the file"))

    def _send_piece(self) -> bool:
        """Read and send; False at the end of the file."""
        piece = self.file.read(self.CHUNK_SIZE)
        if not piece:
            return False
        if self.transform is not None:
            piece = self.transform(piece)
        self.consumer.write(piece)
        self.lastSent = piece[-1:] or self.lastSent
        return True

    def _sendfile(self) -> None:
        start = self.file.tell()   # what was written to `file` and not flushed lies before
        self._sending = self.consumer.sendfile(self.file, start)
        self._sending.addCallbacks(self._sent, self._not_sent, callbackArgs=(start,))

    def _sent(self, count: int, start: int) -> None:
        """sendfile() is done: put the file where reading would have left it."""
        try:
            self.file.seek(start + max(count - 1, 0))
            self.lastSent = self.file.read(min(count, 1))
        except Exception as error:
            self._fail(error)
        else:
            self._succeed()

    def _not_sent(self, failure: Failure[Any]) -> None:
        if failure.check(ConnectionClosed) or over(self.consumer):
            stopped = TransferStopped(f"the connection ended before the file did: {failure.value}")
            stopped.__cause__ = failure.value
            self._fail(stopped)
        else:
            self._fail(failure.value)

    def _cancelled(self, deferred: Deferred[bytes]) -> None:
        if self._sending is None:
            self.consumer.unregisterProducer()
        self._end()

    def _succeed(self) -> None:
        deferred = self._end()
        if deferred is not None:
            deferred.callback(self.lastSent)

    def _fail(self, error: BaseException) -> None:
        deferred = self._end()
        if deferred is not None:
            deferred.errback(Failure(error))

    def _end(self) -> Deferred[bytes] | None:
        """The transfer is over; its Deferred, unless it was over already."""
        deferred, self.deferred = self.deferred, None
        sending, self._sending = self._sending, None
        self.file = None
        if sending is not None:
            sending.cancel()   # nothing, if that has ended by itself
        return deferred


def _can_sendfile(consumer: Any) -> bool:
    """Whether `consumer` is a transport with sendfile() of its own, not that of one that it wraps, and will send."""
    return hasattr(type(consumer), "sendfile") and not over(consumer)


def _is_plain(file: Any) -> bool:
    """Whether reading `file` gives what the system has in a regular file: a GzipFile has the descriptor of one, too."""
    raw = file.raw if type(file) in (io.BufferedReader, io.BufferedRandom) else file
    if type(raw) is not io.FileIO or file.closed or not file.readable():
        return False
    status = os.fstat(file.fileno())
    return stat.S_ISREG(status.st_mode) and status.st_size > 0   # the files of /proc have no size
