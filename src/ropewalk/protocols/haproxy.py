"""The PROXY protocol: a server behind a proxy sees its clients' addresses, not the proxy's.

    proxyEndpoint(TCP4ServerEndpoint(reactor, 8080)).listen(factory)

Every connection has to begin with a header (see ropewalk.protocols.proxyheader), so only the proxy may be able to reach
the port: a client that could would be believed whatever address it gives itself.

Names are Twisted's, but the order differs. There, the protocol is built and connected at once, and getPeer() is the
proxy until the header has come. Here, buildProtocol() and connectionMade() wait for the header, which a proxy sends at
once: the address that buildProtocol() is given, and getPeer() and getHost() in connectionMade(), are the client's, and
so policies.LimitConnectionsByPeer, or any factory that refuses, can go by them.
"""

from __future__ import annotations

import logging
from typing import Any

from ropewalk.internet.failure import Failure
from ropewalk.internet.interfaces import IProtocolFactory, IStreamServerEndpoint
from ropewalk.internet.protocol import Protocol
from ropewalk.protocols.proxyheader import (
    HeaderParser,
    InvalidNetworkProtocol,
    InvalidProxyHeader,
    MissingAddressData,
    ProxyInfo,
)
from ropewalk.protocols.wrapping import ProtocolWrapper, WrappingFactory, log_prefix

__all__ = [
    "HAProxyProtocolWrapper",
    "HAProxyWrappingFactory",
    "HeaderParser",
    "InvalidNetworkProtocol",
    "InvalidProxyHeader",
    "MissingAddressData",
    "ProxyInfo",
    "proxyEndpoint",
]

_log = logging.getLogger("ropewalk.protocols")


class HAProxyProtocolWrapper(ProtocolWrapper):
    """The transport of a protocol behind a proxy; before the header has come, of the protocol that reads that.

    proxyInfo: what the header said, as a ProxyInfo.
    """

    proxyInfo: ProxyInfo | None = None
    _paused = False
    _early = b""   # came with the header, and the protocol has yet to get it
    _delivery: Any = None

    def getPeer(self) -> Any:
        """The address of the client; of the proxy if that does not say, or has yet to."""
        source = self.proxyInfo and self.proxyInfo.source
        return self.transport.getPeer() if source is None else source

    def getHost(self) -> Any:
        """The address that the client connected to; the one here if the proxy does not say, or has yet to."""
        destination = self.proxyInfo and self.proxyInfo.destination
        return self.transport.getHost() if destination is None else destination

    def headerReceived(self, info: ProxyInfo, early: bytes) -> None:
        """The header said `info`, and `early` came with it: the factory builds the protocol, or None to close."""
        self.proxyInfo = info
        protocol = self.factory.wrappedFactory.buildProtocol(self.getPeer())
        if protocol is None:
            self.loseConnection()
            return
        self.wrappedProtocol = protocol
        self._early = early
        protocol.makeConnection(self)
        if not self._paused:
            early, self._early = self._early, b""
            if early and self._is_open():
                protocol.dataReceived(early)

    def startTLS(
        self, contextFactory: Any, normal: bool = True, *, serverHostname: str | None = None, received: bytes = b""
    ) -> None:
        """Go on over TLS, which what came with the header is a part of already. See Stream.startTLS()."""
        early, self._early = self._early, b""
        self.transport.startTLS(contextFactory, normal, serverHostname=serverHostname, received=received + early)

    def _is_open(self) -> bool:
        return bool(self.connected and not self.disconnecting)

    def dataReceived(self, data: bytes) -> None:
        if self._early:
            self._early += data
        elif self.connected:   # not so after a bad header, if the transport told of the end at once
            super().dataReceived(data)

    def pauseProducing(self) -> None:
        self._paused = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._paused = False
        if not self._early:
            super().resumeProducing()
        elif self._delivery is None:   # never from within the protocol's own call
            self._delivery = self.factory.callLater(0, self._deliver_early)

    def _deliver_early(self) -> None:
        self._delivery = None
        if self._paused:
            return
        early, self._early = self._early, b""
        if early and self._is_open():
            self.call_program(self.wrappedProtocol, "dataReceived", early)
        if self._is_open() and not self._paused:
            super().resumeProducing()

    def connectionLost(self, reason: Failure[Any]) -> None:
        self._early = b""
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            delivery.cancel()
        super().connectionLost(reason)


class _HeaderReader(Protocol):
    """The protocol of a connection whose header has yet to come; its transport is the HAProxyProtocolWrapper."""

    def __init__(self, factory: HAProxyWrappingFactory) -> None:
        self.factory = factory
        self._parser = HeaderParser()
        self._timer: Any = None

    def connectionMade(self) -> None:
        if self.factory.headerTimeout is not None:
            self._timer = self.factory.callLater(self.factory.headerTimeout, self._too_late)

    def dataReceived(self, data: bytes) -> None:
        if self.transport.disconnecting:
            return
        try:
            parsed = self._parser.feed(data)
        except InvalidProxyHeader as error:
            self._refuse(f"{type(error).__name__}: {error}")
            return
        if parsed is not None:
            self._stop_timer()
            self.transport.headerReceived(*parsed)

    def _too_late(self) -> None:
        self._timer = None
        self._refuse(f"no whole PROXY header came within {self.factory.headerTimeout} seconds")

    def _refuse(self, why: str) -> None:
        _log.warning("the connection from %s is closed: %s", self.transport.getPeer(), why)
        self.transport.loseConnection()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def connectionLost(self, reason: Failure[Any]) -> None:
        self._stop_timer()


class HAProxyWrappingFactory(WrappingFactory):
    """Serves connections that begin with a PROXY header with the protocols of `wrappedFactory`.

    headerTimeout: how many seconds after its connection the whole header has to be there (None: no limit). A bad
    header, or none in time, is logged as a warning and closes the connection.
    """

    protocol = HAProxyProtocolWrapper
    headerTimeout: float | None = 10.0

    def logPrefix(self) -> str:
        return f"{log_prefix(self.wrappedFactory)} (PROXY)"

    def buildProtocol(self, addr: Any) -> Any:
        """A protocol that reads the header; the wrapped factory's is built when it is there."""
        return self.wrap(_HeaderReader(self))


def proxyEndpoint(wrappedEndpoint: IStreamServerEndpoint) -> IStreamServerEndpoint:
    """A server endpoint like `wrappedEndpoint`, for connections that a proxy forwards with a PROXY header."""
    return _ProxyEndpoint(wrappedEndpoint)


class _ProxyEndpoint:
    """What proxyEndpoint() returns."""

    def __init__(self, endpoint: IStreamServerEndpoint) -> None:
        self._endpoint = endpoint

    def listen(self, protocolFactory: IProtocolFactory[Any]) -> Any:
        """Serve with the protocols of `protocolFactory`; a Deferred of the port, or of what the endpoint raises."""
        return self._endpoint.listen(HAProxyWrappingFactory(protocolFactory))

    def __repr__(self) -> str:
        return f"<proxyEndpoint of {self._endpoint!r}>"
