"""Port forwarding: each connection that comes in is continued by one to another place.

Names and behaviour are those of twisted.protocols.portforward. Beyond it: one side's end of input, and its reset, are
passed on as what they are; a connection that ends before the destination answers ends the attempt; and Forwarder
takes any client endpoint. What one side receives is written to the other as it is: nothing is copied, and nothing is
kept here, because each transport is the push producer of the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ropewalk.internet.error import ConnectionDone, ConnectionTruncated, TLSError
from ropewalk.internet.failure import Failure
from ropewalk.internet.protocol import ClientFactory, Factory, Protocol

_log = logging.getLogger("ropewalk.protocols")


class Proxy(Protocol):
    """One side of a forwarded connection; `peer` is the other, None before it is connected."""

    noisy = True
    peer: Any = None

    def setPeer(self, peer: Any) -> None:
        """What this side receives goes out of `peer`, another Proxy."""
        self.peer = peer

    def dataReceived(self, data: bytes) -> None:
        self.peer.transport.write(data)

    def readConnectionLost(self) -> None:
        """No more comes in here, so no more goes out there; the other direction stays open."""
        self.peer.transport.unregisterProducer()   # some transports wait for their producer before they end
        self.peer.transport.loseWriteConnection()

    def writeConnectionLost(self) -> None:
        """Everything has been sent, as the peer's end of input wanted."""

    def connectionLost(self, reason: Failure[Any]) -> None:
        """The peer ends as this side did: after what it still has to send, or by a reset."""
        peer, self.peer = self.peer, None
        if peer is None:
            return
        peer.transport.unregisterProducer()
        if reason.check(ConnectionDone):
            peer.transport.loseConnection()
        else:
            peer.transport.abortConnection()


class ProxyClient(Proxy):
    """The side that is connected to the destination."""

    def connectionMade(self) -> None:
        here, there = self.transport, self.peer.transport
        self.peer.setPeer(self)
        for transport in (here, there):
            _send_at_once(transport)
        here.registerProducer(there, True)
        there.registerProducer(here, True)
        there.resumeProducing()

    def connectionLost(self, reason: Failure[Any]) -> None:
        if self.peer is not None and reason.check(TLSError) and not reason.check(ConnectionTruncated):
            _log.warning("%s", _in_vain(self.peer.transport, reason))   # a reset does not tell the peer why
        super().connectionLost(reason)


def _in_vain(transport: Any, reason: Failure[Any]) -> str:
    return f"the connection from {transport.getPeer()} cannot be forwarded: {reason.value}"


def _send_at_once(transport: Any) -> None:
    """The senders have gathered their data already; done again (Nagle's algorithm), it would wait for an ACK."""
    if hasattr(transport, "setTcpNoDelay"):
        transport.setTcpNoDelay(True)


class ProxyClientFactory(ClientFactory):
    """Makes the client side for one server side."""

    protocol = ProxyClient
    noisy = False
    server: Any = None

    def setServer(self, server: Any) -> None:
        """The connection is made for `server`, a ProxyServer."""
        self.server = server

    def buildProtocol(self, addr: Any) -> Any:
        client = super().buildProtocol(addr)
        client.setPeer(self.server)
        return client

    def clientConnectionFailed(self, connector: Any, reason: Failure[Any]) -> None:
        """The destination cannot be reached: the server side is reset, for this is not the end of its data."""
        transport = self.server.transport
        if transport.connected:
            _log.warning("%s", _in_vain(transport, reason))
            transport.abortConnection()


class ProxyServer(Proxy):
    """The side that was accepted; it reads nothing until the destination is connected.

    clientProtocolFactory: makes the factory of the other side; reactor: what connects (None: the reactor of this
    connection).
    """

    clientProtocolFactory: Callable[[], Any] = ProxyClientFactory
    reactor: Any = None
    _give_up: Callable[[], object] | None = None

    def connectionMade(self) -> None:
        self.transport.pauseProducing()
        client = self.clientProtocolFactory()
        client.setServer(self)
        self._give_up = self.connect(client)

    def connect(self, client: Any) -> Callable[[], object]:
        """Connect the factory `client` to the destination; returns what gives the attempt up while it lasts."""
        reactor = self.transport.reactor if self.reactor is None else self.reactor
        disconnect: Callable[[], object] = reactor.connectTCP(self.factory.host, self.factory.port, client).disconnect
        return disconnect

    def connectionLost(self, reason: Failure[Any]) -> None:
        if self.peer is None and self._give_up is not None:
            self._give_up()
        super().connectionLost(reason)


class ProxyFactory(Factory):
    """Forwards connections to the TCP port `port` of `host`."""

    protocol = ProxyServer

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port


class ForwarderServer(ProxyServer):
    """The accepted side of a Forwarder."""

    def connect(self, client: Any) -> Callable[[], object]:
        connecting = self.factory.destination.connect(client)
        connecting.addErrback(lambda reason: client.clientConnectionFailed(None, reason))
        cancel: Callable[[], object] = connecting.cancel
        return cancel


class Forwarder(Factory):
    """Forwards connections to `destination`, a client endpoint."""

    protocol = ForwarderServer

    def __init__(self, destination: Any) -> None:
        self.destination = destination
