"""TCP over IPv4 and IPv6: the transports, the listening port and the connector."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from ropewalk.interfaces import Loop
from ropewalk.transports.address import literal_family, numeric_sockaddr, port_number
from ropewalk.transports.channel import SocketChannel, open_socket
from ropewalk.transports.connector import Connector, service_port
from ropewalk.transports.listener import Listener
from ropewalk.transports.race import ATTEMPT_DELAY, Race, Target
from ropewalk.transports.stream import Stream

_ANY = ("0.0.0.0", "::")


class Binding(NamedTuple):
    """A local address, and how to bind to it; made by makeBinding."""

    interface: str = ""
    port: int = 0
    reuseAddress: bool = False
    reusePort: bool = False

    def options(self, channel: SocketChannel) -> None:
        """Set what it asks for. Raises OSError if the system has no such option."""
        if self.reuseAddress:
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.reusePort:
            if not hasattr(socket, "SO_REUSEPORT"):
                raise OSError("this system has no SO_REUSEPORT: sockets cannot share a port")
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def makeBinding(
    interface: str = "", port: int = 0, reuseAddress: bool = False, reusePort: bool = False
) -> Binding:
    """A local address for listenTCP or connectTCP, with socket options.

    interface: an address ('' for any); port: 0 for a free one; reuseAddress: SO_REUSEADDR (a listening port of a Unix
    has it anyway); reusePort: SO_REUSEPORT, so that several processes can listen on one port.
    """
    return Binding(interface, port, reuseAddress, reusePort)


class TCPStream(Stream):
    """The transport of a TCP connection: Twisted's ITCPTransport."""

    __slots__ = ("_host", "_peer", "_socket", "family")

    def __init__(
        self,
        loop: Loop,
        channel: SocketChannel,
        family: int,
        peer: Any,
        host: Any = None,
        lost: Callable[[Any], object] | None = None,
    ) -> None:
        Stream.__init__(self, loop, channel, lost)
        self._socket = channel   # below whatever is interposed
        self.family = family
        self._peer = peer
        self._host = host

    def getPeer(self) -> Any:
        """The address of the other end: an IPv4Address or IPv6Address."""
        return self.reactor.kit.address("TCP", self.family, self._peer)

    def getHost(self) -> Any:
        """The address of this end."""
        return self.reactor.kit.address("TCP", self.family, self._local())

    def getHandle(self) -> SocketChannel:
        """The socket itself. Twisted's ISystemHandle."""
        return self._socket

    def getTcpNoDelay(self) -> bool:
        """Whether small writes are sent at once (TCP_NODELAY)."""
        return bool(self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Send small writes at once, or let the system gather them (Nagle's algorithm; the default)."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, bool(enabled))

    def getTcpKeepAlive(self) -> bool:
        """Whether the system probes an idle peer (SO_KEEPALIVE)."""
        return bool(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Let the system probe an idle peer, or not (the default)."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, bool(enabled))

    def _local(self) -> Any:
        if self._host is None:
            self._host = self._socket.getsockname()
        return self._host

    def _before_close(self) -> None:
        if self._host is None:   # connectionLost may ask for it
            with contextlib.suppress(OSError):
                self._local()


class Server(TCPStream):
    """The transport of an accepted connection."""

    __slots__ = ()
    accepted = True


class Client(TCPStream):
    """The transport of a connection that was made by connectTCP."""

    __slots__ = ()


class Port(Listener):
    """A listening TCP port: Twisted's IListeningPort."""

    def __init__(
        self,
        loop: Loop,
        port: int | Binding,
        factory: Any,
        backlog: int,
        interface: str | None,
        adopted: SocketChannel | None = None,
    ) -> None:
        super().__init__(loop, factory, backlog, adopted)
        self._server = loop.kit.variant(Server)
        self._binding = port if isinstance(port, Binding) else Binding(interface or "", port)
        self.port = port_number(self._binding.port, "TCP")
        self.interface = self._binding.interface
        self.family = socket.AF_INET6 if ":" in self.interface else socket.AF_INET
        self._host: Any = None   # of every connection, if the port is bound to one address

    def bind(self) -> SocketChannel:
        channel = open_socket(self.family, socket.SOCK_STREAM, self.reactor, self)
        try:
            self.set_options(channel)
            channel.bind(numeric_sockaddr(self.family, self.interface, self.port))
            channel.listen(self.backlog)
        except BaseException:
            channel.close()
            raise
        return channel

    def set_options(self, channel: SocketChannel) -> None:
        """Set what must be set before the socket is bound. Raises OSError."""
        # Windows' SO_REUSEADDR would let another program take the port over.
        if os.name == "posix" and sys.platform != "cygwin":
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._binding.options(channel)

    def started(self) -> None:
        assert self.channel is not None
        bound = self.channel.getsockname()
        self._host = None if bound[0] in _ANY else bound
        super().started()

    def cannot_listen(self, error: OSError) -> Exception:
        cannot: Exception = self.reactor.kit.error.CannotListenError(
            self.interface, self.port, error
        )
        return cannot

    def peer_address(self, peer: Any) -> Any:
        return self.reactor.kit.address("TCP", self.family, peer)

    def make_stream(self, channel: SocketChannel, peer: Any) -> TCPStream:
        stream = self._server(self.reactor, channel, self.family, peer, self._host)
        channel.attach(self.reactor, stream)
        return stream

    def getHost(self) -> Any:
        """The address it listens on; the port that was asked for when it does not listen."""
        if self.channel is None:
            return self.reactor.kit.address("TCP", self.family, (self.interface, self.port, 0, 0))
        return self.reactor.kit.address("TCP", self.family, self.channel.getsockname())

    def __repr__(self) -> str:
        host = self.getHost()
        state = f"on {host.host or 'any'} port {host.port}" if self.connected else "not listening"
        return f"<Port of {type(self.factory).__name__}, {state}>"


class TCPConnector(Connector):
    """Connects a factory over TCP: Twisted's IConnector."""

    def __init__(
        self,
        loop: Loop,
        host: str,
        port: int | str,
        factory: Any,
        timeout: float | None,
        bindAddress: Binding | tuple[str, int] | None = None,
        family: int = socket.AF_UNSPEC,
        attemptDelay: float = ATTEMPT_DELAY,
    ) -> None:
        super().__init__(loop, factory, timeout)
        if not isinstance(host, str):
            raise TypeError(f"the host to connect to is text, not {type(host).__name__}: {host!r}")
        self.host = host
        self.family = family
        self.attemptDelay = attemptDelay
        self.port = service_port(port, loop.kit)
        self.bindAddress = bindAddress
        self._attempt: Any = None

    def getDestination(self) -> Any:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        return self.reactor.kit.address("TCP", family, (self.host, self.port, 0, 0))

    def begin(self) -> None:
        family = literal_family(self.host)
        self._attempt = lookup = _Lookup(self)
        try:
            if family != socket.AF_UNSPEC:
                self._race([(family, numeric_sockaddr(family, self.host, self.port))])
            else:
                self.reactor.nameResolver.resolveHostName(lookup, _looked_up(self.host), self.port)
        except Exception as error:
            lookup.failed(error)

    def abandon(self) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.cancel()

    def make_stream(self, channel: SocketChannel, target: Target) -> TCPStream:
        self._attempt = None
        stream = self.reactor.kit.variant(Client)(self.reactor, channel, *target, lost=self.connection_lost)
        channel.attach(self.reactor, stream)
        return stream

    def resolved(self, lookup: _Lookup, targets: list[Target], error: BaseException | None) -> None:
        """The name has these addresses; none because of `error`."""
        if self._attempt is not lookup:   # given up since
            return
        if targets:
            self._race(targets)
        elif isinstance(error, OSError) and literal_family(self.host) != socket.AF_UNSPEC:
            self.connection_failed(self.reactor.kit.connect_error(error, self.host))
        else:
            unknown = self.reactor.kit.error.DNSLookupError(f"{self.host}: {error or 'no address found'}")
            unknown.__cause__ = error
            self.connection_failed(unknown)

    def _race(self, targets: list[Target]) -> None:
        self._attempt = Race(
            self.reactor, targets, self.attemptDelay, self._prepare, self.connection_made, self.connection_failed
        )

    def _prepare(self, channel: SocketChannel) -> None:
        if self.bindAddress is None:
            return
        binding = self.bindAddress
        if not isinstance(binding, Binding):
            binding = Binding(*binding)
        try:
            binding.options(channel)
            channel.bind(numeric_sockaddr(channel.family, binding.interface, binding.port))
        except OSError as error:
            text = f"{binding.interface or 'any'}:{binding.port}: {error.strerror or error}"
            cannot: Exception = self.reactor.kit.error.ConnectBindError(error.errno, text)
            raise cannot from error


def _looked_up(host: str) -> str:
    """`host` as it is looked up, which is how TLS verifies it. Raises ValueError if it is no name."""
    if host.isascii():
        return host
    from ropewalk.transports.host_names import ascii_name

    return ascii_name(host)


class _Lookup:
    """The receiver of a connector's name resolution."""

    def __init__(self, connector: TCPConnector) -> None:
        self._connector = connector
        self._targets: list[Target] = []
        self._resolution: Any = None

    def cancel(self) -> None:
        if self._resolution is not None:
            self._resolution.cancel()

    def resolutionBegan(self, resolution: Any) -> None:
        self._resolution = resolution

    def addressResolved(self, address: Any) -> None:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        if self._connector.family in (socket.AF_UNSPEC, family):
            scope = getattr(address, "scopeID", 0)   # a link-local address leads nowhere without it
            host = f"{address.host}%{scope}" if scope else address.host
            self._targets.append((family, numeric_sockaddr(family, host, self._connector.port)))

    def resolutionComplete(self) -> None:
        if self._targets:
            self._connector.resolved(self, self._targets, None)
        else:
            self.failed(getattr(self._resolution, "error", None))

    def failed(self, error: BaseException | None) -> None:
        """There is no address, because of `error`; told later, as every failure is."""
        self._connector.reactor.callLater(0, self._connector.resolved, self, [], error)
