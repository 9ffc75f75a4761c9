"""TLS as a program sees it: what every stream has for it, whether it is used or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


class Secured:
    """The base of streams. accepted: whether the other side has connected to this one."""

    __slots__ = ()

    accepted = False

    if TYPE_CHECKING:   # what a stream has
        channel: Any

        @property
        def connected(self) -> bool: ...
        def getPeer(self) -> Any: ...

    @property
    def TLS(self) -> bool:
        """Whether the connection is, or is about to be, one of TLS."""
        return hasattr(self.channel, "session")

    def startTLS(
        self, contextFactory: Any, normal: bool = True, *, serverHostname: str | None = None, received: bytes = b""
    ) -> None:
        """Go on over TLS, behind what was written so far.

        contextFactory: an ssl.SSLContext, or what ropewalk.internet.ssl makes; normal: False to swap the roles, that of
        the client belonging to the one who connected; serverHostname: the name that a server has to prove, where
        `contextFactory` does not say (default: its address); received: what the program has of the peer's TLS already:
        only what is certain to be that, for it was not protected. Raises ValueError if TLS was started already. A
        failure is the reason that connectionLost() gets. When the connection is lost nothing happens. Twisted's
        ITLSTransport, but for the last two.
        """
        from ropewalk.transports.tls import start_tls

        if self.TLS:
            raise ValueError(f"{self!r} has started TLS already")
        if not self.connected:
            return
        server_side = self.accepted is normal
        if not server_side and serverHostname is None:
            serverHostname = getattr(self.getPeer(), "host", None)
        start_tls(self, contextFactory, server_side, serverHostname)
        self.channel.receive(received)

    def getPeerCertificate(self, binary: bool = False) -> Any:
        """The peer's certificate, as ssl.SSLSocket.getpeercert() gives it, or as DER; None without TLS or certificate.

        There is none before the handshake is done. Twisted's ISSLTransport, where it is an object of pyOpenSSL.
        """
        try:
            return self.channel.session.getpeercert(binary) if self.TLS else None
        except ValueError:
            return None

    @property
    def negotiatedProtocol(self) -> bytes | None:
        """The protocol that both sides chose by ALPN (RFC 7301); None for none. Twisted's INegotiated."""
        chosen = self.channel.session.selected_alpn_protocol() if self.TLS else None
        return chosen.encode("ascii") if chosen else None
