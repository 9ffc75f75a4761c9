"""The classes of endpoints: places to listen at and to connect to. Classes, names and arguments are Twisted's."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ropewalk.errors import AlreadyListened, ConnectingCancelledError, NoProtocol
from ropewalk.internet.address import PipeAddress
from ropewalk.internet.defer import Deferred, execute, fail
from ropewalk.internet.failure import Failure
from ropewalk.internet.interfaces import (
    IConnector,
    IListeningPort,
    IProtocolFactory,
    IReactorSocket,
    IReactorTCP,
    IReactorUNIX,
    IStreamClientEndpoint,
)
from ropewalk.internet.protocol import ClientFactory, Factory
from ropewalk.internet.systemd import file_of
from ropewalk.transports.race import ATTEMPT_DELAY

T = TypeVar("T")


# -- to listen


class _TCPServerEndpoint:
    """A TCP port of this machine."""

    def __init__(self, reactor: IReactorTCP, port: int, backlog: int, interface: str) -> None:
        self._reactor = reactor
        self._port = port
        self._backlog = backlog
        self._interface = interface

    def listen(self, protocolFactory: IProtocolFactory[Any]) -> Deferred[IListeningPort]:
        """Serve with the protocols of `protocolFactory`; a Deferred of the port, or of CannotListenError."""
        return execute(
            self._reactor.listenTCP, self._port, protocolFactory, backlog=self._backlog, interface=self._interface
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._interface or 'any'} port {self._port}>"


class TCP4ServerEndpoint(_TCPServerEndpoint):
    """A TCP port over IPv4.

    port: 0 for any free one; backlog: how many connections the system keeps waiting; interface: a literal address,
    '' for all.
    """

    def __init__(self, reactor: IReactorTCP, port: int, backlog: int = 50, interface: str = "") -> None:
        super().__init__(reactor, port, backlog, interface)


class TCP6ServerEndpoint(_TCPServerEndpoint):
    """A TCP port over IPv6; the arguments are those of TCP4ServerEndpoint."""

    def __init__(self, reactor: IReactorTCP, port: int, backlog: int = 50, interface: str = "::") -> None:
        super().__init__(reactor, port, backlog, interface)


class UNIXServerEndpoint:
    """A UNIX socket of this machine.

    address: its path, or a name that begins with a NUL (Linux: abstract); backlog: how many connections the system
    keeps waiting; mode: the permissions of the socket's file; wantPID: whether to hold a lock file beside it, by which
    the socket of a process that died is told from that of one that lives.
    """

    def __init__(
        self, reactor: IReactorUNIX, address: str, backlog: int = 50, mode: int = 0o666, wantPID: bool = False
    ) -> None:
        self._reactor = reactor
        self._address = address
        self._backlog = backlog
        self._mode = mode
        self._wantPID = wantPID

    def listen(self, protocolFactory: IProtocolFactory[Any]) -> Deferred[IListeningPort]:
        """Serve with the protocols of `protocolFactory`; a Deferred of the port, or of CannotListenError."""
        return execute(
            lambda: self._reactor.listenUNIX(
                self._address, protocolFactory, backlog=self._backlog, mode=self._mode, wantPID=self._wantPID
            )
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._address!r}>"


class AdoptedStreamServerEndpoint:
    """A stream socket that listens already, under a descriptor that this process inherited or opened.

    fileno: the descriptor; addressFamily: AF_INET, AF_INET6 or AF_UNIX. It can be listened at once, which takes the
    descriptor over; if its number has got another owner since the endpoint was made, that one is left alone.
    """

    def __init__(self, reactor: IReactorSocket, fileno: int, addressFamily: int) -> None:
        self.reactor = reactor
        self.fileno = fileno
        self.addressFamily = addressFamily
        self._was = file_of(fileno)
        self._used = False

    def listen(self, factory: IProtocolFactory[Any]) -> Deferred[IListeningPort]:
        """Serve with the protocols of `factory`; a Deferred of the port.

        The port has a duplicate of the descriptor, which is closed here. It fails with what adoptStreamPort() raises,
        and then leaves the descriptor open; with AlreadyListened at every further call, and if the descriptor is no
        longer the file that it was.
        """
        return execute(self._adopt, factory)

    def _adopt(self, factory: IProtocolFactory[Any]) -> IListeningPort:
        if self._used:
            raise AlreadyListened(f"{self!r} was listened at before, which took its descriptor over")
        self._used = True
        if self._was not in (None, file_of(self.fileno)):
            raise AlreadyListened(f"{self!r}: it is not the file that it was; it has been adopted or closed elsewhere")
        port = self.reactor.adoptStreamPort(self.fileno, self.addressFamily, factory)
        socket.close(self.fileno)
        return port

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of descriptor {self.fileno}>"


class StandardIOEndpoint:
    """Standard input and output of this process: one connection, which is there at once. reactor: what watches it."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def listen(self, stdioProtocolFactory: IProtocolFactory[Any]) -> Deferred[Any]:
        """Connect a protocol of `stdioProtocolFactory`; a Deferred of the transport, a StandardIO: there is no port.

        It fails with NoProtocol if the factory builds none, and with the OSError of a descriptor that is not open.
        """
        return execute(self._connect, stdioProtocolFactory)

    def _connect(self, factory: IProtocolFactory[Any]) -> Any:
        from ropewalk.internet.stdio import StandardIO  # few programs need it

        protocol = factory.buildProtocol(PipeAddress())
        if protocol is None:
            raise NoProtocol(f"{factory!r} built none for standard input and output")
        return StandardIO(protocol, reactor=self._reactor)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


# -- to connect


class _TCPClientEndpoint:
    """A TCP port of some host. host: its name or address."""

    _family = socket.AF_UNSPEC
    _attempt_delay = ATTEMPT_DELAY

    def __init__(
        self,
        reactor: IReactorTCP,
        host: str,
        port: int,
        timeout: float = 30,
        bindAddress: tuple[str, int] | None = None,
    ) -> None:
        self._reactor = reactor
        self.host = host
        self._port = port
        self._timeout = timeout
        self._bind_address = bindAddress

    def connect(self, protocolFactory: IProtocolFactory[T]) -> Deferred[T]:
        """Connect a protocol of `protocolFactory`; a Deferred of it, which fires after its connectionMade().

        It fails with the error of the attempt, with NoProtocol if the factory builds none, and with what
        buildProtocol() or connectionMade() raises. Cancelling it gives up: ConnectingCancelledError.
        """
        return connected(
            protocolFactory,
            lambda factory: self._reactor.connectTCP(
                self.host,
                self._port,
                factory,
                timeout=self._timeout,
                bindAddress=self._bind_address,
                family=self._family,
                attemptDelay=self._attempt_delay,
            ),
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.host} port {self._port}>"


class TCP4ClientEndpoint(_TCPClientEndpoint):
    """A TCP port of a host with an IPv4 address.

    timeout: seconds for the whole attempt; bindAddress: the local (address, port).
    """

    _family = socket.AF_INET


class TCP6ClientEndpoint(_TCPClientEndpoint):
    """A TCP port of a host with an IPv6 address; the arguments are those of TCP4ClientEndpoint."""

    _family = socket.AF_INET6


class HostnameEndpoint(_TCPClientEndpoint):
    """A TCP port of a host by name, over whichever of its addresses answers first (RFC 8305).

    The arguments are those of TCP4ClientEndpoint. host: may be ASCII bytes. attemptDelay: seconds that the
    attempt at one address has before the next one starts; None for the RFC's quarter of a second.
    """

    def __init__(
        self,
        reactor: IReactorTCP,
        host: str | bytes,
        port: int,
        timeout: float = 30,
        bindAddress: tuple[str, int] | None = None,
        attemptDelay: float | None = None,
    ) -> None:
        name = host.decode("ascii") if isinstance(host, bytes) else host
        super().__init__(reactor, name, port, timeout, bindAddress)
        if attemptDelay is not None:
            self._attempt_delay = attemptDelay


class UNIXClientEndpoint:
    """A UNIX socket that somebody listens at on this machine.

    path: its path, or a name that begins with a NUL (Linux: abstract); timeout: seconds; checkPID: whether to fail at
    once unless the lock file beside it names a process that lives.
    """

    def __init__(self, reactor: IReactorUNIX, path: str, timeout: float = 30, checkPID: bool = False) -> None:
        self._reactor = reactor
        self._path = path
        self._timeout = timeout
        self._checkPID = checkPID

    def connect(self, protocolFactory: IProtocolFactory[T]) -> Deferred[T]:
        """Connect a protocol of `protocolFactory`; a Deferred of it, as that of TCP4ClientEndpoint.connect()."""
        return connected(
            protocolFactory,
            lambda factory: self._reactor.connectUNIX(
                self._path, factory, timeout=self._timeout, checkPID=self._checkPID
            ),
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._path!r}>"


def connectProtocol(endpoint: IStreamClientEndpoint, protocol: T) -> Deferred[T]:
    """Connect `protocol` itself to `endpoint`; a Deferred of it, as that of the endpoint's connect()."""
    factory = Factory()
    factory.noisy = False
    factory.buildProtocol = lambda addr: protocol  # type: ignore[method-assign]
    connected: Deferred[T] = endpoint.connect(factory)
    return connected


def connected(factory: IProtocolFactory[T], start: Callable[[ClientFactory], IConnector]) -> Deferred[T]:
    """A Deferred of the protocol of `factory`, which `start` connects, as that of TCP4ClientEndpoint.connect()."""
    attempt = _Attempt(factory)
    try:
        start(attempt)
    except Exception:
        return fail()
    return attempt.connected


class _Attempt(ClientFactory, Generic[T]):
    """The client factory of a connect(): has the program's factory build, and tells the Deferred what comes of it."""

    noisy = False

    def __init__(self, factory: IProtocolFactory[T]) -> None:
        self.connected: Deferred[T] = Deferred(self._give_up)
        self._factory = factory
        self._connector: Any = None
        self._given_up = False

    def doStart(self) -> None:
        self._factory.doStart()

    def doStop(self) -> None:
        self._factory.doStop()

    def startedConnecting(self, connector: IConnector) -> None:
        self._connector = connector

    def buildProtocol(self, addr: Any) -> _Arriving[T] | None:
        try:
            protocol = self._factory.buildProtocol(addr)
            if protocol is None:
                raise NoProtocol(f"{self._factory!r} built none for the connection to {addr}")
        except Exception:
            self._fail(Failure())
            return None
        return None if self.connected.called else _Arriving(protocol, self.connected)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure[Any]) -> None:
        self._fail(reason)

    def clientConnectionLost(self, connector: IConnector, reason: Failure[Any]) -> None:
        # Of interest only if connectionMade() failed, so that nobody has the protocol yet.
        self._fail(reason)

    def _fail(self, reason: Failure[Any]) -> None:
        if not (self._given_up or self.connected.called):
            self.connected.errback(reason)

    def _give_up(self, connected: Deferred[Any]) -> None:
        self._given_up = True
        self._connector.disconnect()
        connected.errback(ConnectingCancelledError(self._connector.getDestination()))


class _Arriving(Generic[T]):
    """Stands in for a protocol until it has its transport, to learn when its connectionMade() has returned.

    For the transport it is the protocol from then on; who still holds this object reaches the protocol through it.
    """

    def __init__(self, protocol: T, connected: Deferred[T]) -> None:
        self._protocol: Any = protocol
        self._connected = connected

    def makeConnection(self, transport: Any) -> None:
        transport.protocol = self._protocol
        self._protocol.makeConnection(transport)
        if not self._connected.called:
            self._connected.callback(self._protocol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)
