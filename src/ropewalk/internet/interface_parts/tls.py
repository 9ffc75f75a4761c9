"""TLS: what the reactor, transports, contexts, and the program's protocols and factories have for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ropewalk.internet.interface_parts.streams import ITCPTransport, ITransport

if TYPE_CHECKING:
    import ssl

    from ropewalk.internet.interface_parts.protocols import IProtocolFactory
    from ropewalk.internet.interface_parts.streams import IConnector, IListeningPort


@runtime_checkable
class IReactorSSL(Protocol):
    """Listens and connects by TLS over TCP."""

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory[Any],
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        """Serve a TCP port by TLS with the protocols of `factory`."""

    def connectSSL(
        self,
        host: str,
        port: int,
        factory: IProtocolFactory[Any],
        contextFactory: Any,
        timeout: float = 30.0,
        bindAddress: tuple[str, int] | None = None,
    ) -> IConnector:
        """Connect the protocol of `factory` to a TCP port by TLS."""


@runtime_checkable
class IOpenSSLContextFactory(Protocol):
    """Has a context for TLS; an ssl.SSLContext may stand where this is asked for."""

    def getContext(self) -> ssl.SSLContext:
        """The context of the next connection."""


@runtime_checkable
class ITLSTransport(ITCPTransport, Protocol):
    """Sends bytes over TCP, and can go on over TLS."""

    def startTLS(self, contextFactory: Any, normal: bool = True) -> None:
        """Go on over TLS, behind what was written so far."""


@runtime_checkable
class ISSLTransport(ITransport, Protocol):
    """Sends bytes, over TLS if `transport.TLS` says so: a transport has this interface before TLS begins, too."""

    def getPeerCertificate(self) -> Any:
        """The certificate of the peer; None if there is none."""


@runtime_checkable
class INegotiated(ISSLTransport, Protocol):
    """Sends bytes over TLS that the two sides may have chosen a protocol by."""

    @property
    def negotiatedProtocol(self) -> bytes | None:
        """The protocol that both sides chose by ALPN; None for none, and before the handshake is done."""


@runtime_checkable
class IHandshakeListener(Protocol):
    """A protocol that wants to know when TLS is there."""

    def handshakeCompleted(self) -> None:
        """The handshake is done: the peer is who its certificate says."""


@runtime_checkable
class IProtocolNegotiationFactory(Protocol):
    """A factory that says what its protocols speak."""

    def acceptableProtocols(self) -> Iterable[bytes]:
        """The names to negotiate by ALPN, the preferred one first; asked once for each port or connector."""
