"""The reactor on the network: what listens, connects, and takes sockets over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ropewalk.internet.interface_parts.datagrams import IMulticastTransport
    from ropewalk.internet.interface_parts.protocols import IProtocolFactory
    from ropewalk.internet.interface_parts.streams import IConnector, IListeningPort
    from ropewalk.internet.protocol import ConnectedDatagramProtocol, DatagramProtocol
    from ropewalk.transports.tcp import Binding


@runtime_checkable
class IReactorTCP(Protocol):
    """Listens and connects by TCP."""

    def listenTCP(
        self, port: int, factory: IProtocolFactory[Any], backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """Serve a TCP port with the protocols of `factory`."""

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: IProtocolFactory[Any],
        timeout: float = 30.0,
        bindAddress: tuple[str, int] | None = None,
        *,
        family: int = ...,
        attemptDelay: float = ...,
    ) -> IConnector:
        """Connect the protocol of `factory` to a TCP port; the last two arguments are Ropewalk's own."""


@runtime_checkable
class IReactorTCP2(IReactorTCP, Protocol):
    """Listens and connects by TCP, with socket options."""

    def listenTCP(
        self, port: Binding | int, factory: IProtocolFactory[Any], backlog: int = 50, interface: str | None = None
    ) -> IListeningPort:
        """As IReactorTCP's; `port` may be what makeBinding() made."""

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: IProtocolFactory[Any],
        timeout: float = 30.0,
        bindAddress: Binding | tuple[str, int] | None = None,
        *,
        family: int = ...,
        attemptDelay: float = ...,
    ) -> IConnector:
        """As IReactorTCP's; `bindAddress` may be what makeBinding() made."""


@runtime_checkable
class IReactorUDP(Protocol):
    """Sends and receives datagrams by UDP."""

    def listenUDP(
        self, port: int, protocol: DatagramProtocol, interface: str = "", maxPacketSize: int = 8192
    ) -> IListeningPort:
        """Give what comes to a UDP port to `protocol`; its transport is an IUDPTransport."""


@runtime_checkable
class IReactorMulticast(Protocol):
    """Sends to groups by UDP, and receives what is sent to them."""

    def listenMulticast(
        self,
        port: int,
        protocol: DatagramProtocol,
        interface: str = "",
        maxPacketSize: int = 8192,
        listenMultiple: bool = False,
    ) -> IMulticastTransport:
        """As listenUDP(), for a transport that can join groups; `listenMultiple` lets others share the port."""


@runtime_checkable
class IReactorUNIX(Protocol):
    """Listens and connects by UNIX stream sockets."""

    def listenUNIX(
        self,
        address: str,
        factory: IProtocolFactory[Any],
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,
    ) -> IListeningPort:
        """Serve the socket `address`, made with the permissions `mode`; `wantPID` locks it against other processes."""

    def connectUNIX(
        self, address: str, factory: IProtocolFactory[Any], timeout: float = 30, checkPID: bool = False
    ) -> IConnector:
        """Connect the protocol of `factory` to a socket; `checkPID` asks first whether a process has it locked."""


@runtime_checkable
class IReactorUNIXDatagram(Protocol):
    """Sends and receives datagrams by UNIX sockets."""

    def listenUNIXDatagram(
        self, address: str, protocol: DatagramProtocol, maxPacketSize: int = 8192, mode: int = 0o666
    ) -> IListeningPort:
        """Give what comes to `address` to `protocol`; its transport is an IUNIXDatagramTransport."""

    def connectUNIXDatagram(
        self,
        address: str,
        protocol: ConnectedDatagramProtocol,
        maxPacketSize: int = 8192,
        mode: int = 0o666,
        bindAddress: str | None = None,
    ) -> IListeningPort:
        """Exchange datagrams with `address` alone; the transport is an IUNIXDatagramConnectedTransport.

        (Twisted documents that it returns an IConnector, and returns a port.)
        """


@runtime_checkable
class IReactorSocket(Protocol):
    """Takes over sockets that somebody else made; the descriptor is duplicated and stays the caller's to close."""

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory[Any]
    ) -> IListeningPort:
        """Serve a socket that listens already."""

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory[Any]) -> None:
        """Give a socket that is connected already to a protocol of `factory`."""

    def adoptDatagramPort(
        self, fileDescriptor: int, addressFamily: int, protocol: DatagramProtocol, maxPacketSize: int = 8192
    ) -> IListeningPort:
        """Give what comes to a socket that is bound already to `protocol`."""
