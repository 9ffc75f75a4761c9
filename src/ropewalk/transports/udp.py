"""UDP over IPv4 and IPv6: the port, which is the transport of its protocol."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterable
from typing import Any

from ropewalk.interfaces import Loop
from ropewalk.transports.address import interface_family, literal_family, numeric_sockaddr, port_number
from ropewalk.transports.channel import SocketChannel, open_socket
from ropewalk.transports.datagram import DatagramPort

if sys.platform == "win32":
    from ropewalk.transports.udp_windows import hear_refusals
else:

    def hear_refusals(channel: socket.socket, wanted: bool) -> None:
        """Only Windows tells sockets without a peer of refusals, too, until it is told not to."""


_BROADCAST = "<broadcast>"   # the socket module's name for 255.255.255.255
_MOST_REMEMBERED = 1000


class UDPPort(DatagramPort):
    """A UDP port: Twisted's IListeningPort and IUDPTransport.

    port: its number (0: any free one); interface: a literal address ('': every IPv4 interface); protocol,
    maxPacketSize, adopted: those of DatagramPort. Raises ValueError, or InvalidAddressError, which is one.
    """

    def __init__(
        self,
        loop: Loop,
        port: int,
        protocol: Any,
        interface: str,
        maxPacketSize: int,
        adopted: SocketChannel | None = None,
    ) -> None:
        super().__init__(loop, protocol, maxPacketSize, adopted)
        self.interface = interface
        self.addressFamily = interface_family(loop, interface)
        self.port = port_number(port, "UDP")
        self._plain = self.addressFamily == socket.AF_INET
        self._literals: set[str] = set()   # hosts that have been looked at

    def bind(self) -> SocketChannel:
        channel = open_socket(self.addressFamily, socket.SOCK_DGRAM, self.reactor, self)
        try:
            hear_refusals(channel, False)
            self.set_options(channel)
            channel.bind(numeric_sockaddr(self.addressFamily, self.interface, self.port))
        except BaseException:
            channel.close()
            raise
        return channel

    def set_options(self, channel: SocketChannel) -> None:
        """Set what must be set before the socket is bound. Raises OSError."""
        if sys.platform == "win32":   # or SO_REUSEADDR lets another program share the number without asking
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)

    def cannot_listen(self, error: OSError) -> Exception:
        cannot: Exception = self.reactor.kit.error.CannotListenError(self.interface, self.port, error)
        return cannot

    def stopped(self) -> None:
        self.peer = None
        super().stopped()

    def deliver(self, datagram: bytes, sender: Any) -> None:
        """The sender as (host, port); the scope of a link-local one is part of its host, so that it can be answered."""
        host, port, _, scope = sender
        self.protocol.datagramReceived(datagram, (f"{host}%{_zone(scope)}" if scope else host, port))

    def write(self, packet: bytes, addr: tuple[str, int] | None = None) -> None:
        """Send `packet` to `addr`, (literal address, port); without it to the peer of a connected port.

        What the system cannot take at once is sent later. Raises InvalidAddressError for an address that is no literal
        or of the wrong family, ValueError for one where there is a peer, or for none where there is none;
        MessageLengthError if the packet is too long; OSError for what else the system refuses (a network that is
        unreachable, a broadcast that is not allowed). Twisted's IUDPTransport.write.
        """
        if addr is None or self.peer is not None:
            self._check_peer(addr)
            self.send(packet, None)
            return
        if addr[0] not in self._literals:
            self._check_host(addr[0])
        channel = self.channel
        if channel is None or self._waiting:
            self.send(packet, addr)
            return
        try:
            channel.sendto(packet, addr)
        except BlockingIOError:
            self.wait(channel, packet, addr)
        except OSError as error:
            self.send_failed(channel, error, packet, addr)

    def writeSequence(self, seq: Iterable[bytes], addr: tuple[str, int] | None = None) -> None:
        """Send the pieces of `seq` as one packet, as write() does."""
        self.write(b"".join(seq), addr)

    def _check_peer(self, addr: tuple[str, int] | None) -> None:
        if self.peer is None:
            raise ValueError(f"{self!r} is not connected, so write() needs the address to send to")
        if addr is not None and addr != self.peer:
            raise ValueError(f"{self!r} is connected to {self.peer}, and cannot send to {addr}")

    def _check_host(self, host: str) -> None:
        """A name would make sendto() block on a resolver."""
        family = socket.AF_INET if host == _BROADCAST else literal_family(host)
        if family == socket.AF_UNSPEC:
            self._invalid(host, "a packet is sent to a literal address, not to a name: resolve it first")
        if family != self.addressFamily:
            here = "IPv6" if self.addressFamily == socket.AF_INET6 else "IPv4"
            self._invalid(host, f"{self!r} has {here}, this address has not")
        if len(self._literals) >= _MOST_REMEMBERED:
            self._literals.clear()
        self._literals.add(host)

    def _invalid(self, host: object, why: str) -> None:
        invalid: Exception = self.reactor.kit.error.InvalidAddressError(host, why)
        raise invalid

    def connect(self, host: str, port: int) -> None:
        """From now on send to this peer alone, receive from it alone, and learn if nobody listens there.

        host: a literal address. Raises InvalidAddressError for a name, RuntimeError if there is a peer already or the
        port does not listen, OSError if the system refuses. Twisted's IUDPTransport.connect.
        """
        if self.peer is not None:
            raise RuntimeError(f"{self!r} cannot connect to {host}: it is connected to {self.peer}")
        if self.channel is None:
            raise RuntimeError(f"{self!r} cannot connect to {host}: it does not listen")
        self._check_host(host)
        self.channel.connect(numeric_sockaddr(self.addressFamily, host, port))
        hear_refusals(self.channel, True)
        self.peer = (host, port)

    def getHost(self) -> Any:
        """The address it listens on, an IPv4Address or IPv6Address; what was asked for when it does not listen."""
        asked = (self.interface, self.port, 0, 0)
        bound = asked if self.channel is None else self.channel.getsockname()
        return self.reactor.kit.address("UDP", self.addressFamily, bound)

    def where(self) -> str:
        host = self.getHost()
        return f"[{host.host}]:{host.port}" if ":" in host.host else f"{host.host}:{host.port}"

    def getBroadcastAllowed(self) -> bool:
        """Whether it may send to broadcast addresses (SO_BROADCAST)."""
        return bool(self.bound().getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST))

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """Let it send to broadcast addresses, or not (the default)."""
        self.bound().setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, bool(enabled))

    def bound(self) -> SocketChannel:
        """The socket. Raises NotListeningError."""
        if self.channel is None:
            stopped: Exception = self.reactor.kit.error.NotListeningError(f"{self!r} has no socket")
            raise stopped
        return self.channel


def _zone(scope: int) -> str | int:
    """The interface `scope`, as it is written after the % of an address: by name; on Windows by number."""
    if sys.platform == "win32":
        return scope
    with contextlib.suppress(OSError):
        return socket.if_indextoname(scope)
    return scope
