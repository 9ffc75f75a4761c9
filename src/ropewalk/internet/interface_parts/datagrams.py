"""Datagrams: the transports of UDP and of UNIX datagram sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ropewalk.internet.defer import Deferred


@runtime_checkable
class IUDPTransport(Protocol):
    """Sends datagrams by UDP."""

    def write(self, packet: bytes, addr: tuple[str, int] | None = None) -> None:
        """Send one datagram to `addr`, a literal address and a port; without it to the peer of connect()."""

    def connect(self, host: str, port: int) -> None:
        """Exchange datagrams with this peer alone, and hear when it refuses them; `host` is a literal address."""

    def getHost(self) -> Any:
        """The address of this end."""

    def stopListening(self) -> Deferred[None] | None:
        """Receive no more; a Deferred that it returns fires when that is so."""

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """Allow datagrams to a broadcast address, or not."""

    def getBroadcastAllowed(self) -> bool:
        """Whether datagrams may go to a broadcast address."""


@runtime_checkable
class IMulticastTransport(IUDPTransport, Protocol):
    """Sends to groups, and joins them."""

    def getOutgoingInterface(self) -> str | int:
        """The interface that datagrams to a group leave by: its IPv4 address, or its index with IPv6."""

    def setOutgoingInterface(self, addr: str | int) -> Deferred[int]:
        """Let datagrams to a group leave by the interface `addr`."""

    def getLoopbackMode(self) -> bool:
        """Whether this machine hears what it sends to a group."""

    def setLoopbackMode(self, mode: bool) -> None:
        """Let this machine hear what it sends to a group, or not."""

    def getTTL(self) -> int:
        """How many routers a datagram to a group may pass, and one."""

    def setTTL(self, ttl: int) -> None:
        """Let a datagram to a group pass `ttl` - 1 routers."""

    def joinGroup(self, addr: str, interface: str = "") -> Deferred[None]:
        """Receive what is sent to the group `addr` on `interface`."""

    def leaveGroup(self, addr: str, interface: str = "") -> Deferred[None]:
        """Undo joinGroup()."""


@runtime_checkable
class IUNIXDatagramTransport(Protocol):
    """Sends datagrams by a UNIX socket."""

    def write(self, packet: bytes, addr: str, /) -> None:
        """Send one datagram to the socket `addr`."""

    def getHost(self) -> Any:
        """The address of this end."""


@runtime_checkable
class IUNIXDatagramConnectedTransport(Protocol):
    """Sends datagrams by a UNIX socket that has one peer."""

    def write(self, packet: bytes, /) -> None:
        """Send one datagram."""

    def getHost(self) -> Any:
        """The address of this end."""

    def getPeer(self) -> Any:
        """The address of the other end."""
