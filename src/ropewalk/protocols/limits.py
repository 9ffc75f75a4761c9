"""Limits: how many connections a factory takes, from everybody or from each peer. Names and behaviour are Twisted's.

A connection counts from buildProtocol() until it is lost.
"""

from __future__ import annotations

from typing import Any

from ropewalk.internet.protocol import ServerFactory
from ropewalk.protocols.wrapping import ProtocolWrapper, WrappingFactory


class LimitConnectionsByPeer(WrappingFactory):
    """Refuses a host that has `maxConnectionsPerPeer` connections already.

    A peer without a host (that of a UNIX socket) counts by its address, which for most is the same one: no name.
    peerConnections: how many connections each has.
    """

    maxConnectionsPerPeer = 5

    def __init__(self, wrappedFactory: Any) -> None:
        super().__init__(wrappedFactory)
        self.peerConnections: dict[Any, int] = {}
        self._peers: dict[Any, Any] = {}   # of each wrapper: getPeer() may say something else later

    def buildProtocol(self, addr: Any) -> Any:
        """A protocol for the connection with `addr`; None if that has enough of them."""
        peer = getattr(addr, "host", addr)
        count = self.peerConnections.get(peer, 0)
        if count >= self.maxConnectionsPerPeer:
            return None
        protocol = super().buildProtocol(addr)
        if protocol is not None:
            self.peerConnections[peer] = count + 1
            self._peers[protocol] = peer
        return protocol

    def unregisterProtocol(self, p: Any) -> None:
        super().unregisterProtocol(p)
        peer = self._peers.pop(p)
        self.peerConnections[peer] -= 1
        if not self.peerConnections[peer]:
            del self.peerConnections[peer]


class LimitTotalConnectionsFactory(ServerFactory):
    """Makes a `protocol` for up to `connectionLimit` connections at a time, and an `overflowProtocol` for those beyond.

    connectionLimit: None for no limit; overflowProtocol: a class, whose protocols say that there are too many and
    close, or None to close at once; connectionCount: how many connections there are, those beyond the limit included.
    """

    connectionCount = 0
    connectionLimit: int | None = None
    overflowProtocol: Any = None

    def buildProtocol(self, addr: Any) -> Any:
        """A protocol for the connection with `addr`, wrapped; None refuses it."""
        if self.connectionLimit is None or self.connectionCount < self.connectionLimit:
            protocol = super().buildProtocol(addr)
        elif self.overflowProtocol is not None:
            protocol = self.overflowProtocol()
            protocol.factory = self
        else:
            return None
        self.connectionCount += 1
        return ProtocolWrapper(self, protocol)

    def registerProtocol(self, p: Any) -> None:
        """The wrapper `p` is connected. For the program to override."""

    def unregisterProtocol(self, p: Any) -> None:
        """The wrapper `p` has lost its connection."""
        self.connectionCount -= 1
