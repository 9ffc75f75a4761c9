"""What a program opens: the reactor's methods that listen, connect, and adopt sockets.

The transports of a family are imported when it is first used, so that a program pays for what it uses.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from ropewalk.core.loop import Loop
from ropewalk.transports.missing import missing
from ropewalk.transports.race import ATTEMPT_DELAY
from ropewalk.transports.tcp import Binding, Port, TCPConnector

if TYPE_CHECKING:
    from ropewalk.transports.listener import Listener
    from ropewalk.transports.multicast import MulticastPort
    from ropewalk.transports.place import Name
    from ropewalk.transports.udp import UDPPort
    from ropewalk.transports.unix import UNIXConnector, UNIXPort
    from ropewalk.transports.unix_datagram import ConnectedUNIXDatagramPort, UNIXDatagramPort

_ON_UNIX = ("listenUNIX", "connectUNIX", "listenUNIXDatagram", "connectUNIXDatagram")
_MODE = 0o666
_PACKET = 8192   # bytes


class Networking(Loop):
    """Twisted's IReactorTCP2, -SSL, -UDP, -Multicast, -UNIX, -UNIXDatagram and -Socket."""

    transports: set[Any]
    nameResolver: Any

    # -- IReactorTCP2

    def listenTCP(
        self, port: int | Binding, factory: Any, backlog: int = 50, interface: str | None = None
    ) -> Port:
        """Listen on a TCP port.

        port: its number (0: any free one), or what makeBinding made; factory: a ServerFactory; backlog: how many
        connections the system keeps waiting; interface: a literal address ('' or None: every IPv4 interface, '::':
        every interface). Returns the IListeningPort. Raises CannotListenError.
        """
        listening = self.kit.variant(Port)(self, port, factory, backlog, interface)
        listening.startListening()
        return listening

    def connectTCP(
        self,
        host: str,
        port: int | str,
        factory: Any,
        timeout: float | None = 30.0,
        bindAddress: Binding | tuple[str, int] | None = None,
        *,
        family: int = socket.AF_UNSPEC,
        attemptDelay: float = ATTEMPT_DELAY,
    ) -> TCPConnector:
        """Connect to a TCP port.

        host: a name (its addresses are tried as RFC 8305 says) or a literal address; port: a number, or the name of
        a service; factory: a ClientFactory, which is told of everything that happens, failure included; timeout:
        seconds, resolution included (None: no limit); bindAddress: (address, port) or what makeBinding made;
        family: AF_INET or AF_INET6 to use only such addresses of a name; attemptDelay: seconds that the attempt at one
        address has before the next one starts. Returns the IConnector. Raises ServiceNameUnknownError.
        """
        make = self.kit.variant(TCPConnector)
        connector = make(self, host, port, factory, timeout, bindAddress, family, attemptDelay)
        connector.connect()
        return connector

    # -- IReactorSSL

    def listenSSL(
        self, port: int | Binding, factory: Any, contextFactory: Any, backlog: int = 50, interface: str | None = None
    ) -> Port:
        """Listen on a TCP port for TLS connections.

        contextFactory: an ssl.SSLContext, or what ropewalk.internet.ssl makes; a `factory` with acceptableProtocols()
        offers these by ALPN. The other arguments, and what is returned and raised, are those of listenTCP().
        """
        from ropewalk.transports.tls_tcp import TLSPort

        listening = self.kit.variant(TLSPort)(self, port, factory, contextFactory, backlog, interface)
        listening.startListening()
        return listening

    def connectSSL(
        self,
        host: str,
        port: int | str,
        factory: Any,
        contextFactory: Any,
        timeout: float | None = 30.0,
        bindAddress: Binding | tuple[str, int] | None = None,
    ) -> TCPConnector:
        """Connect to a TCP port by TLS.

        contextFactory: as listenSSL() has it; best what optionsForClientTLS(host) returns. The protocol is connected
        when TCP is; it may write at once, and handshakeCompleted(), if it has that, tells when TLS is there. The other
        arguments, and what is returned and raised, are those of connectTCP().
        """
        from ropewalk.transports.tls_tcp import TLSConnector

        connector = self.kit.variant(TLSConnector)(self, host, port, factory, contextFactory, timeout, bindAddress)
        connector.connect()
        return connector

    # -- IReactorUDP, IReactorMulticast

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = _PACKET) -> UDPPort:
        """Receive datagrams on a UDP port, and send from it.

        port: its number (0: any free one); protocol: a DatagramProtocol, whose transport the port will be; interface:
        a literal address ('': every IPv4 interface); maxPacketSize: bytes; longer datagrams are dropped, and the log
        says so. Returns the IListeningPort. Raises CannotListenError, InvalidAddressError.
        """
        from ropewalk.transports.udp import UDPPort

        listening = self.kit.variant(UDPPort)(self, port, protocol, interface, maxPacketSize)
        listening.startListening()
        return listening

    def listenMulticast(
        self,
        port: int,
        protocol: Any,
        interface: str = "",
        maxPacketSize: int = _PACKET,
        listenMultiple: bool = False,
    ) -> MulticastPort:
        """Receive datagrams as listenUDP() does, from groups that the port joins, too.

        listenMultiple: whether other sockets that ask for it, too, may listen on this number; a packet to a group then
        goes to all of them. Returns the IListeningPort, an IMulticastTransport. Raises as listenUDP().
        """
        from ropewalk.transports.multicast import MulticastPort

        listening = self.kit.variant(MulticastPort)(self, port, protocol, interface, maxPacketSize, listenMultiple)
        listening.startListening()
        return listening

    # -- IReactorUNIX, IReactorUNIXDatagram

    if hasattr(socket, "AF_UNIX"):

        def listenUNIX(
            self, address: Name, factory: Any, backlog: int = 50, mode: int = _MODE, wantPID: bool = False
        ) -> UNIXPort:
            """Listen on a UNIX socket.

            address: a path, or a name that begins with a zero byte (abstract, Linux); mode: the permissions of the
            file; wantPID: whether to hold a lock beside it, `address`.lock, which says which process listens. A socket
            that a dead process has left is replaced. The other arguments are those of listenTCP. Returns the
            IListeningPort. Raises CannotListenError.
            """
            from ropewalk.transports.unix import UNIXPort

            listening = self.kit.variant(UNIXPort)(self, address, factory, backlog, mode, wantPID)
            listening.startListening()
            return listening

        def connectUNIX(
            self, address: Name, factory: Any, timeout: float | None = 30.0, checkPID: bool = False
        ) -> UNIXConnector:
            """Connect to a UNIX socket.

            address: as listenUNIX has it; checkPID: whether to fail, with BadFileError, unless a living process holds
            the lock beside it. The other arguments are those of connectTCP. Returns the IConnector.
            """
            from ropewalk.transports.unix import UNIXConnector

            connector = self.kit.variant(UNIXConnector)(self, address, factory, timeout, checkPID)
            connector.connect()
            return connector

        def listenUNIXDatagram(
            self, address: Name | None, protocol: Any, maxPacketSize: int = _PACKET, mode: int = _MODE
        ) -> UNIXDatagramPort:
            """Receive datagrams on a UNIX socket, and send from it.

            address: as listenUNIX has it; None for a socket that only sends; the other arguments are those of listenUDP
            and listenUNIX. Returns the IListeningPort, an IUNIXDatagramTransport. Raises CannotListenError.
            """
            from ropewalk.transports.unix_datagram import UNIXDatagramPort

            listening = self.kit.variant(UNIXDatagramPort)(self, address, protocol, maxPacketSize, mode)
            listening.startListening()
            return listening

        def connectUNIXDatagram(
            self,
            address: Name,
            protocol: Any,
            maxPacketSize: int = _PACKET,
            mode: int = _MODE,
            bindAddress: Name | None = None,
        ) -> ConnectedUNIXDatagramPort:
            """Exchange datagrams with one UNIX socket.

            address: its own; protocol: a ConnectedDatagramProtocol, which is told if that fails; bindAddress: this
            end's, which it needs to be answered. The other arguments are those of listenUNIXDatagram. Returns the port,
            an IUNIXDatagramConnectedTransport.
            """
            from ropewalk.transports.unix_datagram import ConnectedUNIXDatagramPort

            make = self.kit.variant(ConnectedUNIXDatagramPort)
            connected = make(self, address, protocol, maxPacketSize, mode, bindAddress)
            connected.startListening()
            return connected

    elif not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """So hasattr() tells what there is, and the error what to use."""
            if name in _ON_UNIX:
                raise AttributeError(f"{name}: {missing('UNIX sockets')}")
            return object.__getattribute__(self, name)   # raises as before, a property what it raised

    # -- IReactorSocket

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Listener:
        """Listen with a socket that somebody else has bound: a service manager, a parent process.

        fileDescriptor: its number; it is duplicated, the caller closes its own; addressFamily: AF_INET, AF_INET6 or
        AF_UNIX; factory: a ServerFactory. Returns the IListeningPort. Raises UnsupportedAddressFamily and
        UnsupportedSocketType, which say what the socket is, or OSError.
        """
        from ropewalk.transports.adopted import adopt_port

        listening = adopt_port(self, fileDescriptor, addressFamily, factory)
        listening.startListening()
        return listening

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: Any) -> None:
        """Serve a connection that somebody else has accepted, with a protocol of `factory`; as adoptStreamPort()."""
        from ropewalk.transports.adopted import adopt_connection

        adopt_connection(self, fileDescriptor, addressFamily, factory)

    def adoptDatagramPort(
        self, fileDescriptor: int, addressFamily: int, protocol: Any, maxPacketSize: int = _PACKET
    ) -> UDPPort:
        """Receive datagrams, as listenUDP(), with a socket that somebody else has bound; else as adoptStreamPort()."""
        from ropewalk.transports.adopted import adopt_datagram_port

        listening = adopt_datagram_port(self, fileDescriptor, addressFamily, protocol, maxPacketSize)
        listening.startListening()
        return listening
