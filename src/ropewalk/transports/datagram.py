"""The datagram port: what every port that sends and receives datagrams does, whatever its address family.

* A read that fails costs twice one that succeeds. So one datagram is read an event, and only now and then one more is
  tried for. If there is one, datagrams are read in bursts that grow while they are all used and shrink to what was
  there; a burst ends at a byte bound, so that a busy socket starves nobody. What the kernel handed over is delivered.
* One byte more than the limit is asked for: so a datagram that is too long is seen, not silently cut. Windows raises
  WSAEMSGSIZE then, and does not tell the sender: there the longest datagram of all is asked for.
* What the socket does not take waits for it, up to a bound; beyond that it is lost, as datagrams may be.
* An ICMP error is reported by the next call on a connected socket, whatever that call does; the datagram that was being
  sent is sent again. Linux has errors that nothing else has (ENONET, EOPNOTSUPP, EACCES with IPv6), and EMSGSIZE, from
  a router whose link takes only shorter ones. None of them may close the port: anybody may send such a packet.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from abc import abstractmethod
from collections import deque
from typing import Any

from ropewalk.interfaces import INVALID, READ, WRITE, Loop
from ropewalk.transports.channel import SocketChannel
from ropewalk.transports.port import ListeningPort

BYTES_A_TURN = 262144
_LARGEST_BURST = 64   # datagrams
_SINGLES = 64   # events with one datagram, before more are tried for
_MOST_WAITING = 262144   # bytes
_BESIDES = 100   # bytes that an entry of the queue takes besides the datagram
_LONGEST = 1 << 30   # bytes; recvfrom() takes memory for as many as it may get
_LEAST_ROOM = 65536 if sys.platform == "win32" else 0   # bytes
_DEBUG, _WARNING = 10, 30   # logging's levels
_ERROR_QUEUE = getattr(socket, "MSG_ERRQUEUE", 0) if hasattr(socket.socket, "recvmsg") else 0   # Windows lacks it


def _numbers(*names: str) -> set[int]:
    return {getattr(errno, name) for name in names if hasattr(errno, name)}


_REFUSED = _numbers(
    "ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ENETDOWN", "ENETRESET", "ETIMEDOUT",
    "ENOPROTOOPT", "EPROTO", "EACCES", "ENONET", "EOPNOTSUPP", "WSAECONNREFUSED", "WSAECONNRESET", "WSAENETRESET",
    "WSAETIMEDOUT", "WSAEHOSTUNREACH", "WSAENETUNREACH",
)  # fmt: skip
_EARLIER = _numbers("ECONNREFUSED", "WSAECONNRESET", "WSAENETRESET")
_TOO_LONG = _numbers("EMSGSIZE", "WSAEMSGSIZE")
_PASSING = _numbers("ENOBUFS", "ENOMEM", "EINTR", "WSAENOBUFS")


class DatagramPort(ListeningPort):
    """A bound socket for datagrams, and the protocol that they go to.

    loop: the reactor; protocol: an AbstractDatagramProtocol; maxPacketSize: the longest datagram to accept, in bytes;
    adopted: a bound socket, to be used instead of a new one. Raises ValueError for a maxPacketSize that is none.
    """

    peer: Any = None
    """The socket address it is connected to."""

    _plain = True   # what was received goes to the protocol as it came

    def __init__(self, loop: Loop, protocol: Any, maxPacketSize: int, adopted: SocketChannel | None = None) -> None:
        super().__init__(loop, adopted)
        if not isinstance(maxPacketSize, int) or not 1 <= maxPacketSize <= _LONGEST:
            raise ValueError(f"maxPacketSize is a number of bytes from 1 to {_LONGEST}, not {maxPacketSize!r}")
        self.protocol = protocol
        self.maxPacketSize = maxPacketSize
        self._room = max(maxPacketSize + 1, _LEAST_ROOM)
        self._singles = 0   # events to come with one read
        self._burst = 1     # reads in an event after these
        self._waiting: deque[tuple[bytes, Any]] = deque()   # until the socket takes more
        self._waiting_bytes = 0

    # -- what a family supplies

    @abstractmethod
    def where(self) -> str:
        """The address it is bound to, for people."""

    def deliver(self, datagram: bytes, sender: Any) -> None:
        """Give the protocol what was received, where that is not `_plain`."""

    def can_wait(self) -> bool:
        """Whether the poller tells when the socket takes more, for whatever address."""
        return True

    # -- the port's life

    def started(self) -> None:
        self.protocol.makeConnection(self)

    def stopped(self) -> None:
        self.protocol.doStop()

    def released(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0

    # -- receiving

    def ready(self, mask: int) -> None:
        """Receive a datagram, and more if there may be more; the path of every datagram."""
        channel = self.channel
        if channel is None or (mask != READ and not self._readable(channel, mask)):
            return
        if self._receive(channel) < 0 and _ERROR_QUEUE:
            _drain_errors(channel)
        if self._singles:
            self._singles -= 1
        else:
            self._receive_more(channel)

    def _readable(self, channel: SocketChannel, mask: int) -> bool:
        """Do what `mask` asks for besides reading; whether it asks for that, too."""
        if mask & INVALID:
            self.went_away()
            return False
        if mask & WRITE:
            self._send_waiting(channel)
        return mask != WRITE and self.channel is channel

    def _receive(self, channel: SocketChannel) -> int:
        """Receive one datagram and deliver it; its length, -1 if there was none."""
        try:
            datagram, sender = channel.recvfrom(self._room)
        except OSError as error:
            self._receive_failed(error)
            return -1
        length = len(datagram)
        try:
            if length > self.maxPacketSize:
                self._refuse(sender)
            elif self._plain:
                self.protocol.datagramReceived(datagram, sender)
            else:
                self.deliver(datagram, sender)
        except Exception as error:
            self.reactor.kit.report(error, "datagramReceived failed", self)
        return length

    def _receive_more(self, channel: SocketChannel) -> None:
        left = BYTES_A_TURN
        for taken in range(self._burst):
            if self.channel is not channel:   # the program has stopped it
                return
            length = self._receive(channel)
            if length < 0:
                self._burst = max(1, taken)
                self._singles = 0 if taken else _SINGLES
                return
            left -= length
            if left <= 0:
                return
        self._burst = min(self._burst * 2, _LARGEST_BURST)

    def _refuse(self, sender: Any) -> None:
        limit = f"maxPacketSize, {self.maxPacketSize} bytes"
        text = f"{self!r} dropped a datagram from {sender!r}: it is longer than {limit}"
        self.reactor.kit.log(_WARNING, text)

    def _receive_failed(self, error: OSError) -> None:
        if isinstance(error, BlockingIOError) or error.errno in _PASSING:
            return
        if error.errno in _TOO_LONG:   # one that a router sent back
            self.reactor.kit.log(_WARNING, f"{self!r} lost a datagram: it was longer than its way allows")
        elif error.errno in _REFUSED:
            if self.peer is not None:
                self._refused()
        else:
            self.reactor.kit.report(error, "a port could not receive; it is closed", self)
            self.drop(error)

    def _refused(self) -> None:
        """The peer's system said that nobody listens there."""
        try:
            self.protocol.connectionRefused()
        except Exception as error:
            self.reactor.kit.report(error, "connectionRefused failed", self)

    # -- sending

    def send(self, datagram: bytes, address: Any) -> None:
        """Send `datagram` to `address`; None for the peer of a connected socket.

        Raises MessageLengthError if it is longer than the system sends, OSError for what else the system refuses.
        """
        channel = self.channel
        if channel is None:
            self.reactor.kit.log(_WARNING, f"{len(datagram)} bytes dropped: {self!r} was stopped")
        elif self._waiting:
            self.wait(channel, datagram, address)
        else:
            try:
                self._send_now(channel, datagram, address)
            except BlockingIOError:
                self.wait(channel, datagram, address)

    def _send_now(self, channel: SocketChannel, datagram: bytes, address: Any) -> None:
        """Raises BlockingIOError and what send() does."""
        try:
            if address is None:
                channel.send(datagram)
            else:
                channel.sendto(datagram, address)
        except BlockingIOError:
            raise
        except OSError as error:
            self.send_failed(channel, error, datagram, address)

    def send_failed(self, channel: SocketChannel, error: OSError, datagram: bytes, address: Any) -> None:
        if error.errno in _TOO_LONG:
            self._too_long(channel, error, datagram)
        elif error.errno in _PASSING:
            self.lose(datagram, error.strerror)
        elif error.errno in _REFUSED and self.peer is not None:
            self._refused_while_sending(channel, datagram)
        elif error.errno not in _EARLIER:   # which are about an earlier datagram, to somebody
            raise error

    def _too_long(self, channel: SocketChannel, error: OSError, datagram: bytes) -> None:
        """The error belongs to this datagram, or to an earlier one to the peer: then this one can be sent."""
        if self.peer is not None:
            with contextlib.suppress(OSError):
                channel.send(datagram)
                return
        text = f"a datagram of {len(datagram)} bytes is longer than the system sends from {self!r}"
        too_long: Exception = self.reactor.kit.error.MessageLengthError(text)
        raise too_long from error

    def _refused_while_sending(self, channel: SocketChannel, datagram: bytes) -> None:
        """The error belongs to an earlier datagram: tell of it, later, and send this one."""
        self.reactor.callLater(0, self.tell_refused, channel)
        try:
            channel.send(datagram)
        except OSError as error:
            self.lose(datagram, error.strerror)

    def tell_refused(self, channel: SocketChannel) -> None:
        if self.channel is channel:
            self._refused()

    def wait(self, channel: SocketChannel, datagram: bytes, address: Any) -> None:
        size = len(datagram) + _BESIDES
        if not self.can_wait() or self._waiting_bytes + size > _MOST_WAITING:
            self.lose(datagram, "the socket takes no more")
            return
        if not self._waiting:
            channel.want(READ | WRITE)
        self._waiting.append((bytes(datagram), address))
        self._waiting_bytes += size

    def _send_waiting(self, channel: SocketChannel) -> None:
        while self._waiting:
            datagram, address = self._waiting[0]
            try:
                self._send_now(channel, datagram, address)
            except BlockingIOError:
                return
            except Exception as error:   # the write() that it belongs to has returned
                self.reactor.kit.report(error, "a datagram could not be sent", self)
            self._waiting.popleft()
            self._waiting_bytes -= len(datagram) + _BESIDES
        channel.want(READ)

    def lose(self, datagram: bytes, why: str | None) -> None:
        self.reactor.kit.log(_DEBUG, f"{self!r} dropped a datagram of {len(datagram)} bytes: {why}")

    def __repr__(self) -> str:
        state = f"on {self.where()}" if self.connected else "not listening"
        return f"<{type(self).__name__} of {type(self.protocol).__name__}, {state}>"


def _drain_errors(channel: SocketChannel) -> None:
    """A socket whose owner set IP_RECVERR has a queue of errors, and is reported as ready until that is empty."""
    with contextlib.suppress(OSError):
        while True:
            channel.recvmsg(0, 0, _ERROR_QUEUE)
