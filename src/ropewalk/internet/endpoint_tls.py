"""Endpoints of TLS: over TCP, and over any other endpoint. Names and arguments are Twisted's.

Their Deferreds fire when the connection is made, before its handshake: a protocol may write at once. It hears of the
handshake by handshakeCompleted(), and of one that failed by connectionLost().
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from ropewalk.internet.defer import Deferred, execute, fail
from ropewalk.internet.endpoint_classes import connected
from ropewalk.internet.failure import Failure
from ropewalk.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorSSL,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)

T = TypeVar("T")


class SSL4ServerEndpoint:
    """A TCP port of this machine, for TLS.

    sslContextFactory: an ssl.SSLContext, or what ropewalk.internet.ssl makes; the other arguments are those of
    TCP4ServerEndpoint. interface: '::' for IPv6, whatever the class is called.
    """

    def __init__(
        self, reactor: IReactorSSL, port: int, sslContextFactory: Any, backlog: int = 50, interface: str = ""
    ) -> None:
        self._reactor = reactor
        self._port = port
        self._context_factory = sslContextFactory
        self._backlog = backlog
        self._interface = interface

    def listen(self, protocolFactory: IProtocolFactory[Any]) -> Deferred[IListeningPort]:
        """Serve with the protocols of `protocolFactory`; a Deferred of the port, or of what listenSSL() raises."""
        return execute(
            self._reactor.listenSSL,
            self._port,
            protocolFactory,
            self._context_factory,
            backlog=self._backlog,
            interface=self._interface,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._interface or 'any'} port {self._port}>"


class SSL4ClientEndpoint:
    """A TCP port of a host, for TLS: by any of its addresses, whatever the class is called.

    sslContextFactory: best what optionsForClientTLS(host) returns; an ssl.SSLContext verifies that it is `host`. The
    other arguments are those of TCP4ClientEndpoint.
    """

    def __init__(
        self,
        reactor: IReactorSSL,
        host: str,
        port: int,
        sslContextFactory: Any,
        timeout: float = 30,
        bindAddress: tuple[str, int] | None = None,
    ) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._context_factory = sslContextFactory
        self._timeout = timeout
        self._bind_address = bindAddress

    def connect(self, protocolFactory: IProtocolFactory[T]) -> Deferred[T]:
        """Connect a protocol of `protocolFactory`; a Deferred of it, as that of TCP4ClientEndpoint.connect()."""
        return connected(
            protocolFactory,
            lambda factory: self._reactor.connectSSL(
                self._host,
                self._port,
                _negotiated_as(protocolFactory, factory),
                self._context_factory,
                timeout=self._timeout,
                bindAddress=self._bind_address,
            ),
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._host} port {self._port}>"


def _negotiated_as(program: Any, factory: Any) -> Any:
    """`factory`, which stands for the program's, with the protocols of that for ALPN."""
    if hasattr(program, "acceptableProtocols"):
        factory.acceptableProtocols = program.acceptableProtocols
    return factory


def wrapClientTLS(
    connectionCreator: Any, wrappedEndpoint: IStreamClientEndpoint, clock: Any = None
) -> IStreamClientEndpoint:
    """An endpoint like `wrappedEndpoint`, over whose connections TLS begins at once.

    connectionCreator: best what optionsForClientTLS(host) returns; an ssl.SSLContext verifies the host that
    `wrappedEndpoint` connects to, or else the address of the peer; wrappedEndpoint: one whose transports have
    startTLS(): TCP, UNIX, and what is made of them. clock: is not used.
    """
    return _TLSClientEndpoint(connectionCreator, wrappedEndpoint)


def wrapServerTLS(
    connectionCreator: Any, wrappedEndpoint: IStreamServerEndpoint, clock: Any = None
) -> IStreamServerEndpoint:
    """An endpoint like `wrappedEndpoint`, over whose connections TLS begins at once.

    connectionCreator: an ssl.SSLContext, or what ropewalk.internet.ssl makes; wrappedEndpoint, clock: as wrapClientTLS.
    """
    return _TLSServerEndpoint(connectionCreator, wrappedEndpoint)


class _TLSServerEndpoint:
    """What wrapServerTLS() returns."""

    def __init__(self, contextFactory: Any, endpoint: IStreamServerEndpoint) -> None:
        self._context_factory = contextFactory
        self._endpoint = endpoint

    def listen(self, protocolFactory: IProtocolFactory[Any]) -> Deferred[Any]:
        """Serve with the protocols of `protocolFactory`; a Deferred of the port, which fails as the endpoint's does.

        It fails, too, if there is no context to be had, with what its factory raises.
        """
        try:
            factory = _Beginning(protocolFactory, self._context_factory, True)
        except Exception:
            return fail()
        listening: Deferred[Any] = self._endpoint.listen(factory)
        return listening

    def __repr__(self) -> str:
        return f"<TLS over {self._endpoint!r}>"


class _TLSClientEndpoint:
    """What wrapClientTLS() returns."""

    def __init__(self, contextFactory: Any, endpoint: IStreamClientEndpoint) -> None:
        self._context_factory = contextFactory
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory[T]) -> Deferred[T]:
        """Connect a protocol of `protocolFactory`; a Deferred of it, which fails as the endpoint's does.

        It fails, too, if there is no context to be had, with what its factory raises, and with ValueError where that
        verifies a name and there is none.
        """
        name = getattr(self._endpoint, "host", None)
        try:
            factory = _Beginning(protocolFactory, self._context_factory, False, name)
        except Exception:
            return fail()
        arriving: Deferred[_Securing[T]] = self._endpoint.connect(factory)
        return arriving.addCallback(lambda securing: securing.protocol)

    def __repr__(self) -> str:
        return f"<TLS over {self._endpoint!r}>"


class _Beginning(Generic[T]):
    """The factory `program`, whose protocols get transports over which TLS begins."""

    def __init__(
        self, program: IProtocolFactory[T], contextFactory: Any, server_side: bool, name: str | None = None
    ) -> None:
        from ropewalk.transports.alpn import negotiating  # it imports ssl, which many programs do not need

        self._program: Any = program
        self._context_factory = negotiating(contextFactory, program, server_side)
        self._server_side = server_side
        self._name = name

    def buildProtocol(self, addr: Any) -> _Securing[T] | None:
        protocol = self._program.buildProtocol(addr)
        return None if protocol is None else _Securing(protocol, self._begin)

    def _begin(self, transport: Any) -> None:
        if not hasattr(transport, "startTLS"):
            raise TypeError(f"there is no TLS over {transport!r}: it has no startTLS()")
        normal = getattr(transport, "accepted", self._server_side) is self._server_side
        transport.startTLS(self._context_factory, normal, serverHostname=self._name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._program, name)

    def __repr__(self) -> str:
        return f"<TLS for {self._program!r}>"


class _Securing(Generic[T]):
    """Stands in for `protocol` until it has its transport, to begin TLS before anything else.

    For the transport it is the protocol from then on; who still holds this object reaches the protocol through it.
    """

    def __init__(self, protocol: T, begin: Any) -> None:
        self.protocol: Any = protocol
        self._begin = begin
        self._connected = False

    def makeConnection(self, transport: Any) -> None:
        self._begin(transport)
        transport.protocol = self.protocol
        self._connected = True
        self.protocol.makeConnection(transport)

    def connectionLost(self, reason: Failure[Any]) -> None:
        if self._connected:   # else TLS could not begin
            self.protocol.connectionLost(reason)

    def __getattr__(self, name: str) -> Any:
        if name == "fileDescriptorReceived":   # descriptors travel beside the bytes, not within TLS
            raise AttributeError(name)
        return getattr(self.protocol, name)
