"""UNIX datagram sockets: the port, and the port that is connected to another one.

Unlike UDP's they lose nothing: where the receiver's queue is full, sending would block. A connected socket can wait for
that; one that sends to whomever cannot (the poller tells only of its own buffer), so there the datagram is dropped, as
Twisted does. An error of sending is about the very datagram.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from ropewalk.interfaces import Loop
from ropewalk.transports.address import UNIX
from ropewalk.transports.channel import SocketChannel, open_socket
from ropewalk.transports.datagram import DatagramPort
from ropewalk.transports.place import Name, Place, name_of
from ropewalk.transports.unix import shown

_GONE = (errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOTCONN, errno.EPIPE)


class UNIXDatagramPort(DatagramPort):
    """A bound UNIX datagram socket: Twisted's IUNIXDatagramTransport.

    address: a path or an abstract name, None or '' to bind none; mode: of the file; protocol, maxPacketSize: those of
    DatagramPort.
    """

    def __init__(self, loop: Loop, address: Name | None, protocol: Any, maxPacketSize: int, mode: int) -> None:
        super().__init__(loop, protocol, maxPacketSize)
        self.port = name_of(address or b"")
        self.mode = mode
        self._place = Place(self.port, mode)

    def bind(self) -> SocketChannel:
        channel = open_socket(UNIX, socket.SOCK_DGRAM, self.reactor, self)
        try:
            if self.port:
                self._place.take(channel)
        except BaseException:
            channel.close()
            raise
        return channel

    def succeed(self, before: UNIXDatagramPort) -> SocketChannel:
        channel = super().succeed(before)
        self._place, before._place = before._place, self._place   # whoever is released last removes the file
        self.peer = before.peer
        return channel

    def released(self) -> None:
        super().released()
        self._place.release()

    def cannot_listen(self, error: OSError) -> Exception:
        cannot: Exception = self.reactor.kit.error.CannotListenError(None, shown(self.port), error)
        return cannot

    def can_wait(self) -> bool:
        return self.peer is not None

    def write(self, datagram: bytes, address: Name) -> None:
        """Send `datagram` to the socket at `address`; it is dropped if the queue there is full.

        Raises OSError if there is none, MessageLengthError if the datagram is too long.
        """
        self.send(datagram, name_of(address))

    def send_failed(self, channel: SocketChannel, error: OSError, datagram: bytes, address: Any) -> None:
        if self.peer is None and error.errno in _GONE:
            raise error
        if error.errno not in _GONE:
            super().send_failed(channel, error, datagram, address)
            return
        self.lose(datagram, error.strerror)
        self.reactor.callLater(0, self.tell_refused, channel)

    def where(self) -> str:
        return shown(self.port) or "no path"

    def getHost(self) -> Any:
        """The address it is bound to, a UNIXAddress; its name is None if it is bound to none."""
        return self.reactor.kit.address("DGRAM", UNIX, self.port)


class ConnectedUNIXDatagramPort(UNIXDatagramPort):
    """A UNIX datagram socket that is connected to another one: Twisted's IUNIXDatagramConnectedTransport.

    address: the other one's; protocol: a ConnectedDatagramProtocol; bindAddress: its own, if it is to have one.
    """

    _plain = False

    def __init__(
        self, loop: Loop, address: Name, protocol: Any, maxPacketSize: int, mode: int, bindAddress: Name | None
    ) -> None:
        super().__init__(loop, bindAddress, protocol, maxPacketSize, mode)
        self.remoteaddr = name_of(address)

    def startListening(self) -> None:
        """Bind and connect; the protocol is told, soon, if that fails: connectionFailed(failure).

        Raises AlreadyListened.
        """
        try:
            super().startListening()
        except self.reactor.kit.error.AlreadyListened:   # it goes on
            raise
        except Exception as error:
            self.reactor.callLater(0, self._tell_failed, self.reactor.kit.failure(error))

    def _tell_failed(self, failure: Any) -> None:
        try:
            self.protocol.connectionFailed(failure)
        except Exception as error:
            self.reactor.kit.report(error, "connectionFailed failed", self)

    def bind(self) -> SocketChannel:
        channel = super().bind()
        try:
            channel.connect(self.remoteaddr)
        except OSError as error:
            channel.close()
            self._place.release()
            raise self.reactor.kit.connect_error(error, shown(self.remoteaddr)) from error
        self.peer = self.remoteaddr
        return channel

    def deliver(self, datagram: bytes, sender: Any) -> None:
        self.protocol.datagramReceived(datagram)

    def write(self, datagram: bytes) -> None:  # type: ignore[override]
        """Send `datagram` to the peer; what it cannot take at once is sent later, up to a bound.

        Raises MessageLengthError if it is too long.
        """
        self.send(datagram, None)

    def getPeer(self) -> Any:
        """The address of the other socket, a UNIXAddress."""
        return self.reactor.kit.address("DGRAM", UNIX, self.remoteaddr)
