"""A datagram transport that keeps what is written to it. The name is that of Twisted."""

from __future__ import annotations

from typing import Any

from ropewalk.internet.address import IPv4Address
from ropewalk.internet.defer import Deferred, succeed


class FakeDatagramTransport:
    """What a UDP or multicast port is to its protocol; the test plays the network, by calling the protocol.

    For the test there are, beside the methods: written, a list of (packet, addr) in which addr is `noAddr` where none
    was given; connectedTo: the (host, port) of connect(), or None; groups: what was joined and not left since, as
    (addr, interface); listening.

    hostAddress: what getHost() returns (None: an IPv4Address of this class's own).
    """

    noAddr = object()

    def __init__(self, hostAddress: Any = None) -> None:
        self.written: list[tuple[bytes, Any]] = []
        self.connectedTo: tuple[str, int] | None = None
        self.groups: list[tuple[str, str]] = []
        self.listening = True
        self._host = IPv4Address("UDP", "10.0.0.1", 12345) if hostAddress is None else hostAddress
        self._broadcast = False
        self._loopback = True
        self._ttl = 1
        self._outgoing: str | int = ""

    # -- IUDPTransport

    def write(self, packet: bytes, addr: Any = noAddr) -> None:
        """Keep `packet`, a bytes-like object, and `addr`. Raises TypeError for a packet of another kind."""
        try:
            data = bytes(memoryview(packet))
        except TypeError:
            raise TypeError(f"a datagram is bytes, not {type(packet).__name__}: {packet!r}") from None
        self.written.append((data, addr))

    def connect(self, host: str, port: int) -> None:
        """Keep the peer. Raises RuntimeError if there is one already."""
        if self.connectedTo is not None:
            raise RuntimeError(f"already connected to {self.connectedTo}")
        self.connectedTo = (host, port)

    def getHost(self) -> Any:
        """The address of this end."""
        return self._host

    def stopListening(self) -> Deferred[None]:
        """Set `listening` to False; a Deferred that has fired."""
        self.listening = False
        return succeed(None)

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """Keep `enabled`."""
        self._broadcast = bool(enabled)

    def getBroadcastAllowed(self) -> bool:
        """What setBroadcastAllowed() set; at first False."""
        return self._broadcast

    # -- IMulticastTransport

    def getOutgoingInterface(self) -> str | int:
        """What setOutgoingInterface() set; at first ''."""
        return self._outgoing

    def setOutgoingInterface(self, addr: str | int) -> Deferred[int]:
        """Keep `addr`; a Deferred that has fired."""
        self._outgoing = addr
        return succeed(1)

    def getLoopbackMode(self) -> bool:
        """What setLoopbackMode() set; at first True."""
        return self._loopback

    def setLoopbackMode(self, mode: bool) -> None:
        """Keep `mode`."""
        self._loopback = bool(mode)

    def getTTL(self) -> int:
        """What setTTL() set; at first 1."""
        return self._ttl

    def setTTL(self, ttl: int) -> None:
        """Keep `ttl`."""
        self._ttl = ttl

    def joinGroup(self, addr: str, interface: str = "") -> Deferred[None]:
        """Add to `groups`; a Deferred that has fired."""
        self.groups.append((addr, interface))
        return succeed(None)

    def leaveGroup(self, addr: str, interface: str = "") -> Deferred[None]:
        """Take out of `groups`; a Deferred that has fired. Raises ValueError for a group that was not joined."""
        self.groups.remove((addr, interface))
        return succeed(None)


class MemoryDatagramPort(FakeDatagramTransport):
    """A FakeDatagramTransport that belongs to a protocol: what listenUDP of a MemoryReactor returns."""

    def __init__(self, protocol: Any, hostAddress: Any) -> None:
        super().__init__(hostAddress)
        self.protocol = protocol
        self.listening = False

    def startListening(self) -> None:
        """Connect the protocol to this port."""
        self.listening = True
        self.protocol.makeConnection(self)

    def stopListening(self) -> Deferred[None]:
        """Stop the protocol; a Deferred that has fired."""
        if self.listening:
            self.protocol.doStop()
        return super().stopListening()
