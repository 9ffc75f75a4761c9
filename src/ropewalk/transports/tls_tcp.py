"""TLS from the first byte of a TCP connection on: the listening port and the connector."""

from __future__ import annotations

from typing import Any

from ropewalk.interfaces import Loop
from ropewalk.transports.alpn import negotiating
from ropewalk.transports.channel import SocketChannel
from ropewalk.transports.race import Target
from ropewalk.transports.tcp import Binding, Port, TCPConnector, TCPStream
from ropewalk.transports.tls import Refusal, start_tls


class Secured:
    """What begins TLS on the streams of one port or connector.

    The arguments, and what is raised, are those of negotiating().
    """

    def __init__(self, contextFactory: Any, factory: Any, server_side: bool) -> None:
        self._context_factory = negotiating(contextFactory, factory, server_side)
        self._server_side = server_side

    def begin(self, stream: TCPStream, name: str | None = None) -> None:
        """Start TLS on `stream`, which has not started yet; `name` is the one that a server has to prove.

        Where that is impossible the protocol loses its connection at once.
        """
        try:
            start_tls(stream, self._context_factory, self._server_side, name)
        except Exception as error:
            stream.reactor.kit.report(error, "TLS cannot start; the connection is closed", self._context_factory)
            stream.interpose(stream.channel, Refusal(error))


class TLSPort(Port):
    """A TCP port whose connections are TLS. contextFactory: see Secured; the other arguments are those of Port."""

    def __init__(
        self, loop: Loop, port: int | Binding, factory: Any, contextFactory: Any, backlog: int, interface: str | None
    ) -> None:
        super().__init__(loop, port, factory, backlog, interface)
        self._secured = Secured(contextFactory, factory, True)

    def make_stream(self, channel: SocketChannel, peer: Any) -> TCPStream:
        stream = super().make_stream(channel, peer)
        self._secured.begin(stream)
        return stream


class TLSConnector(TCPConnector):
    """Connects a factory by TLS over TCP.

    contextFactory: see Secured; the other arguments are those of TCPConnector. The peer has to prove the name that is
    connected to, unless the context factory says another one or the context wants no proof.
    """

    def __init__(
        self,
        loop: Loop,
        host: str,
        port: int | str,
        factory: Any,
        contextFactory: Any,
        timeout: float | None,
        bindAddress: Binding | tuple[str, int] | None,
    ) -> None:
        super().__init__(loop, host, port, factory, timeout, bindAddress)
        self._secured = Secured(contextFactory, factory, False)

    def make_stream(self, channel: SocketChannel, target: Target) -> TCPStream:
        stream = super().make_stream(channel, target)
        self._secured.begin(stream, self.host)
        return stream
