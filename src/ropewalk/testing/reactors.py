"""Reactors that touch no network: they keep what was asked of them, and the test decides what becomes of it.

Names, and the layouts of what is kept, are those of Twisted's MemoryReactor; connectors and ports are alive: a test can
accept a connection, let an attempt fail, or connect to a port, all in memory.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Sequence
from typing import Any

from ropewalk import errors
from ropewalk.internet.address import IPv4Address, IPv6Address, UNIXAddress
from ropewalk.internet.defer import Deferred, DeferredList, succeed
from ropewalk.internet.task import Clock
from ropewalk.testing.datagrams import MemoryDatagramPort
from ropewalk.testing.memory import MemoryLoop
from ropewalk.testing.pairs import ConnectedPair, join, make_client, run_side
from ropewalk.testing.wires import CAPACITY, MemoryChannel, MemoryWire
from ropewalk.transports.address import literal_family
from ropewalk.transports.connector import Connector, ConnectorState

_LOCALHOST = "127.0.0.1"
_FIRST_FREE_PORT = 49152
_ADOPTED_PORT = 1234


class MemoryReactor(MemoryLoop):
    """A reactor that keeps what was asked of it.

    tcpServers: (port, factory, backlog, interface); tcpClients: (host, port, factory, timeout, bindAddress);
    sslServers, sslClients: the same, with the context factory behind the factory;
    unixServers: (address, factory, backlog, mode, wantPID); unixClients: (address, factory, timeout, checkPID);
    udpPorts: (port, protocol, interface, maxPacketSize); multicastPorts: the same and listenMultiple;
    unixDatagramServers: (address, protocol, maxPacketSize, mode); unixDatagramClients: the same and bindAddress;
    adoptedPorts: (fileDescriptor, addressFamily, factory), with maxPacketSize for datagrams;
    adoptedStreamConnections: (fileDescriptor, addressFamily, factory); connectors: a MemoryConnector for each
    connect*, ports: a MemoryPort for each listen*; readers, writers: sets; triggers: triggers[phase][eventType] is a
    list of (callable, args, kwargs); whenRunningHooks: the same of callWhenRunning; hasInstalled, hasRun, hasStopped,
    hasCrashed, running.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock=clock)
        self.running = False
        self.hasInstalled = self.hasRun = self.hasStopped = self.hasCrashed = False
        self.whenRunningHooks: list[_Call] = []
        self.triggers: dict[str, dict[str, list[_Call]]] = {}
        self.tcpServers: list[tuple[Any, Any, int, Any]] = []
        self.tcpClients: list[tuple[str, Any, Any, Any, Any]] = []
        self.sslServers: list[tuple[Any, Any, Any, int, Any]] = []
        self.sslClients: list[tuple[str, Any, Any, Any, Any, Any]] = []
        self.unixServers: list[tuple[Any, Any, int, int, bool]] = []
        self.unixClients: list[tuple[Any, Any, Any, bool]] = []
        self.udpPorts: list[tuple[int, Any, str, int]] = []
        self.multicastPorts: list[tuple[int, Any, str, int, bool]] = []
        self.unixDatagramServers: list[tuple[Any, Any, int, int]] = []
        self.unixDatagramClients: list[tuple[Any, Any, int, int, Any]] = []
        self.adoptedPorts: list[tuple[Any, ...]] = []
        self.adoptedStreamConnections: list[tuple[int, int, Any]] = []
        self.connectors: list[MemoryConnector] = []
        self.ports: list[MemoryPort] = []
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()
        self.nameResolver = SynchronousResolver()
        self._free_ports = itertools.count(_FIRST_FREE_PORT)

    # -- IReactorCore

    def install(self) -> None:
        """Set `hasInstalled`."""
        self.hasInstalled = True

    def resolve(self, name: str, timeout: Sequence[int] = (1, 3, 11, 45)) -> Deferred[str]:
        """A Deferred that has fired with 127.0.0.1, whatever the name."""
        return succeed(_LOCALHOST)

    def run(self, installSignalHandlers: bool = True) -> None:
        """Make the calls of callWhenRunning() and stop: it returns at once. Raises ReactorAlreadyRunning."""
        if self.running:
            raise errors.ReactorAlreadyRunning(f"{self!r} runs already")
        self.running = self.hasRun = True
        for call, args, kwargs in self.whenRunningHooks:
            call(*args, **kwargs)
        self.stop()

    def stop(self) -> None:
        """Set `hasStopped`; fires nothing: that is for the test to do, by fireSystemEvent("shutdown")."""
        self.running = False
        self.hasStopped = True

    def crash(self) -> None:
        """Set `hasCrashed`."""
        self.running = False
        self.hasCrashed = True

    def iterate(self, delay: float = 0.0) -> None:
        """One turn: what is under way arrives, the calls that are due are made; no time passes."""
        self.turn()

    def fireSystemEvent(self, eventType: str) -> None:
        """Call the triggers of `eventType`, once; "during" waits for the Deferreds that those of "before" return."""
        before = self._call_triggers("before", eventType)

        def rest(_: Any) -> None:
            self._call_triggers("during", eventType)
            self._call_triggers("after", eventType)

        DeferredList([result for result in before if isinstance(result, Deferred)]).addCallback(rest)

    def _call_triggers(self, phase: str, eventType: str) -> list[Any]:
        calls = self.triggers.get(phase, {}).pop(eventType, [])
        return [call(*args, **kwargs) for call, args, kwargs in calls]

    def addSystemEventTrigger(
        self, phase: str, eventType: str, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Keep a trigger in `triggers`; returns what removeSystemEventTrigger() takes."""
        call = (callable, args, kwargs)
        self.triggers.setdefault(phase, {}).setdefault(eventType, []).append(call)
        return phase, eventType, call

    def removeSystemEventTrigger(self, triggerID: Any) -> None:
        """Take a trigger out of `triggers`. Raises ValueError if it is not there."""
        phase, event, call = triggerID
        self.triggers.get(phase, {}).get(event, []).remove(call)

    def callWhenRunning(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call now if the reactor runs, or has run; else keep it in `whenRunningHooks` for run()."""
        if self.running or self.hasRun:
            callable(*args, **kwargs)
        else:
            self.whenRunningHooks.append((callable, args, kwargs))

    def installNameResolver(self, resolver: Any) -> Any:
        """Resolve by `resolver`; returns the one before, which is at first a SynchronousResolver."""
        before, self.nameResolver = self.nameResolver, resolver
        return before

    # -- IReactorTCP

    def listenTCP(self, port: Any, factory: Any, backlog: int = 50, interface: str | None = "") -> MemoryPort:
        """Keep the arguments in `tcpServers`; returns the port, which gets a number if `port` is 0."""
        self.tcpServers.append((port, factory, backlog, interface))
        return self._listen(factory, self._tcp_address(port, interface))

    def connectTCP(
        self, host: str, port: Any, factory: Any, timeout: float | None = 30, bindAddress: Any = None, **options: Any
    ) -> MemoryConnector:
        """Keep the arguments in `tcpClients`; returns the connector, whose accept() or fail() ends the attempt."""
        self.tcpClients.append((host, port, factory, timeout, bindAddress))
        return self._connect(factory, _ip_address("TCP", host, port))

    # -- IReactorSSL

    def listenSSL(
        self, port: Any, factory: Any, contextFactory: Any, backlog: int = 50, interface: str | None = ""
    ) -> MemoryPort:
        """Keep the arguments in `sslServers`; returns the port. Its connections are in the clear, without a handshake.

        Nothing is asked of `contextFactory`, which may be anything.
        """
        self.sslServers.append((port, factory, contextFactory, backlog, interface))
        return self._listen(factory, self._tcp_address(port, interface))

    def connectSSL(
        self,
        host: str,
        port: Any,
        factory: Any,
        contextFactory: Any,
        timeout: float | None = 30,
        bindAddress: Any = None,
    ) -> MemoryConnector:
        """Keep the arguments in `sslClients`; returns the connector. Its connection is in the clear, as listenSSL()'s.
        """
        self.sslClients.append((host, port, factory, contextFactory, timeout, bindAddress))
        return self._connect(factory, _ip_address("TCP", host, port))

    # -- IReactorUNIX, IReactorUNIXDatagram

    def listenUNIX(
        self, address: str, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: bool = False
    ) -> MemoryPort:
        """Keep the arguments in `unixServers`; returns the port. Nothing is made in the file system."""
        self.unixServers.append((address, factory, backlog, mode, wantPID))
        return self._listen(factory, UNIXAddress(address))

    def connectUNIX(
        self, address: str, factory: Any, timeout: float | None = 30, checkPID: bool = False
    ) -> MemoryConnector:
        """Keep the arguments in `unixClients`; returns the connector, whose accept() or fail() ends the attempt."""
        self.unixClients.append((address, factory, timeout, checkPID))
        return self._connect(factory, UNIXAddress(address))

    def listenUNIXDatagram(
        self, address: str, protocol: Any, maxPacketSize: int = 8192, mode: int = 0o666
    ) -> MemoryDatagramPort:
        """Keep the arguments in `unixDatagramServers`; returns the port, which is the protocol's transport."""
        self.unixDatagramServers.append((address, protocol, maxPacketSize, mode))
        return _listening(protocol, UNIXAddress(address))

    def connectUNIXDatagram(
        self, address: str, protocol: Any, maxPacketSize: int = 8192, mode: int = 0o666, bindAddress: str | None = None
    ) -> MemoryDatagramPort:
        """Keep the arguments in `unixDatagramClients`; returns the port, which is the protocol's transport."""
        self.unixDatagramClients.append((address, protocol, maxPacketSize, mode, bindAddress))
        return _listening(protocol, UNIXAddress(bindAddress))

    # -- IReactorUDP, IReactorMulticast

    def listenUDP(
        self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192
    ) -> MemoryDatagramPort:
        """Keep the arguments in `udpPorts`; returns the port, which is the protocol's transport."""
        self.udpPorts.append((port, protocol, interface, maxPacketSize))
        return _listening(protocol, _ip_address("UDP", interface or "0.0.0.0", port or next(self._free_ports)))

    def listenMulticast(
        self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192, listenMultiple: bool = False
    ) -> MemoryDatagramPort:
        """Keep the arguments in `multicastPorts`; returns the port, which is the protocol's transport."""
        self.multicastPorts.append((port, protocol, interface, maxPacketSize, listenMultiple))
        return _listening(protocol, _ip_address("UDP", interface or "0.0.0.0", port or next(self._free_ports)))

    # -- IReactorSocket

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> MemoryPort:
        """Keep the arguments in `adoptedPorts`; returns the port. Raises UnsupportedAddressFamily."""
        address = _adopted_address("TCP", addressFamily)
        self.adoptedPorts.append((fileDescriptor, addressFamily, factory))
        return self._listen(factory, address)

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: Any) -> None:
        """Keep the arguments in `adoptedStreamConnections`."""
        self.adoptedStreamConnections.append((fileDescriptor, addressFamily, factory))

    def adoptDatagramPort(
        self, fileDescriptor: int, addressFamily: int, protocol: Any, maxPacketSize: int = 8192
    ) -> MemoryDatagramPort:
        """Keep the arguments in `adoptedPorts`; returns the port. Raises UnsupportedAddressFamily."""
        address = _adopted_address("UDP", addressFamily)
        self.adoptedPorts.append((fileDescriptor, addressFamily, protocol, maxPacketSize))
        return _listening(protocol, address)

    # -- IReactorFDSet

    def addReader(self, reader: Any) -> None:
        """Add to `readers`."""
        self.readers.add(reader)

    def addWriter(self, writer: Any) -> None:
        """Add to `writers`."""
        self.writers.add(writer)

    def removeReader(self, reader: Any) -> None:
        """Take out of `readers`, if it is there."""
        self.readers.discard(reader)

    def removeWriter(self, writer: Any) -> None:
        """Take out of `writers`, if it is there."""
        self.writers.discard(writer)

    def getReaders(self) -> list[Any]:
        """The readers."""
        return list(self.readers)

    def getWriters(self) -> list[Any]:
        """The writers."""
        return list(self.writers)

    def removeAll(self) -> list[Any]:
        """Take out all of them, and return them."""
        watched = list(self.readers | self.writers)
        self.readers.clear()
        self.writers.clear()
        return watched

    def _tcp_address(self, port: Any, interface: str | None) -> Any:
        """The address that `port`, a number or what makeBinding made, gets."""
        bound_to = getattr(port, "interface", interface) or "0.0.0.0"
        return _ip_address("TCP", bound_to, getattr(port, "port", port) or next(self._free_ports))

    def _listen(self, factory: Any, address: Any) -> MemoryPort:
        port = MemoryPort(self, factory, address)
        self.ports.append(port)
        port.startListening()
        return port

    def _connect(self, factory: Any, address: Any) -> MemoryConnector:
        connector = MemoryConnector(self, factory, address)
        self.connectors.append(connector)
        connector.connect()
        return connector


_Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class MemoryReactorClock(MemoryReactor, Clock):
    """A MemoryReactor that is a Clock, too: callLater, seconds, getDelayedCalls, advance, pump."""

    def __init__(self) -> None:
        Clock.__init__(self)
        MemoryReactor.__init__(self, clock=self)

    def advance(self, amount: float) -> None:
        """Let `amount` seconds pass, and make the calls that are due. Nothing arrives meanwhile: see Pump.advance."""
        Clock.advance(self, amount)
        self.flush()


class MemoryConnector(Connector):
    """A connector that waits for the test: accept() connects it, fail() ends the attempt, as often as it connects.

    It tells its factory all that a connector tells. No timeout ends the attempt by itself: fail(TimeoutError()) does.
    stoppedConnecting: whether stopConnecting() was called.
    """

    def __init__(self, reactor: MemoryReactor, factory: Any, destination: Any) -> None:
        super().__init__(reactor, factory, None)
        self.stoppedConnecting = False
        self._memory = reactor
        self._destination = destination
        self._host: Any = None

    def accept(self, server: Any, capacity: int = CAPACITY, piece: int | None = None) -> ConnectedPair:
        """The attempt succeeds: connect the program's protocol to that of `server`, in memory.

        The arguments, and what is returned, are those of connectedPair(). Raises RuntimeError if nothing is attempted.
        """
        self._check_connecting("accepted")
        host, peer = self._addresses()
        self._host = host

        def connect(channel: MemoryChannel) -> Any:
            self.connection_made(channel, peer)  # type: ignore[arg-type]
            return None if self.transport is None else self.transport.protocol

        return join(self._memory, MemoryWire(capacity, piece), server, (host, peer), connect)

    def fail(self, error: Exception | None = None) -> None:
        """The attempt fails with `error` (None: a ConnectionRefusedError). Raises RuntimeError if there is none."""
        self._check_connecting("refused")
        self.connection_failed(errors.ConnectionRefusedError() if error is None else error)

    def connect(self) -> None:
        """Connect, again too. The attempt before is forgotten, if the test told the factory itself how it ended."""
        if self.state is ConnectorState.CONNECTING:
            self._attempt_ended()
            self.state = ConnectorState.DISCONNECTED
        super().connect()

    def stopConnecting(self) -> None:
        """Give up the attempt: the factory is told UserError. Raises NotConnectingError if there is none."""
        self.stoppedConnecting = True
        super().stopConnecting()

    def getDestination(self) -> Any:
        """The address it connects to; the host is what connectTCP() was given, a name too."""
        return self._destination

    def begin(self) -> None:
        """Wait for the test."""

    def abandon(self) -> None:
        """Nothing is under way."""

    def make_stream(self, channel: Any, target: Any) -> Any:
        return make_client(self._memory, channel, self._host, target, self.connection_lost)

    def _addresses(self) -> tuple[Any, Any]:
        """Our address and the peer's."""
        destination = self._destination
        if isinstance(destination, UNIXAddress):
            return UNIXAddress(None), destination
        if isinstance(destination, IPv6Address):
            return IPv6Address("TCP", "::1", next(self._memory._free_ports)), destination
        is_name = literal_family(destination.host) == socket.AF_UNSPEC
        peer = destination._replace(host=_LOCALHOST) if is_name else destination
        return IPv4Address("TCP", _LOCALHOST, next(self._memory._free_ports)), peer

    def _check_connecting(self, what: str) -> None:
        if self.state is not ConnectorState.CONNECTING:
            raise RuntimeError(f"{self!r} cannot be {what}: it is {self.state}")


class MemoryPort:
    """A listening port that waits for the test: connect() connects a client to it.

    factory: that of listenTCP() or listenUNIX(); connected: whether it listens.
    """

    def __init__(self, reactor: MemoryReactor, factory: Any, address: Any) -> None:
        self.reactor = reactor
        self.factory = factory
        self.connected = False
        self._address = address

    def connect(self, client: Any, capacity: int = CAPACITY, piece: int | None = None) -> ConnectedPair:
        """Connect the protocol of `client` to one of this port's factory, in memory.

        The arguments, and what is returned, are those of connectedPair(). Raises ropewalk's ConnectionRefusedError if
        it does not listen.
        """
        if not self.connected:
            raise errors.ConnectionRefusedError(None, f"{self!r} does not listen")
        host, peer = self._addresses()

        def connect(channel: MemoryChannel) -> Any:
            return run_side(client, make_client(self.reactor, channel, host, peer))

        return join(self.reactor, MemoryWire(capacity, piece), self.factory, (host, peer), connect)

    def startListening(self) -> None:
        """Listen: the factory is started. Raises AlreadyListened."""
        if self.connected:
            raise errors.AlreadyListened(f"{self!r} listens already")
        self.connected = True
        self.factory.doStart()

    def stopListening(self) -> Deferred[None]:
        """Stop; connections stay. A Deferred that has fired."""
        if self.connected:
            self.connected = False
            self.factory.doStop()
        return succeed(None)

    loseConnection = stopListening

    def getHost(self) -> Any:
        """The address it listens on."""
        return self._address

    def _addresses(self) -> tuple[Any, Any]:
        """The addresses of a client and of the server it connects to."""
        server = self._address
        if isinstance(server, UNIXAddress):
            return UNIXAddress(None), server
        local = "::1" if isinstance(server, IPv6Address) else _LOCALHOST
        if server.host in ("0.0.0.0", "::"):
            server = server._replace(host=local)
        return type(server)("TCP", local, next(self.reactor._free_ports)), server

    def __repr__(self) -> str:
        return f"<MemoryPort of {type(self.factory).__name__}, {self._address}>"


class SynchronousResolver:
    """An IHostnameResolver that finds 127.0.0.1, at once, whatever the name."""

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type] | None = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        """Report the address to the receiver before this returns."""
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        resolutionReceiver.addressResolved(IPv4Address(transportSemantics, _LOCALHOST, portNumber))
        resolutionReceiver.resolutionComplete()
        return resolution


class _Resolution:
    """An IHostResolution that is complete."""

    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """There is nothing left to cancel."""


class RaisingMemoryReactor:
    """A reactor on which nothing succeeds.

    listenException: what every listen* and adoptStreamPort raise; connectException: what every connect* and the other
    adopt* raise.
    """

    def __init__(self, listenException: Exception | None = None, connectException: Exception | None = None) -> None:
        self._listen_exception = listenException or errors.CannotListenError("", 0, OSError("it is a fake"))
        self._connect_exception = connectException or errors.ConnectError(None, "it is a fake")
        self.nameResolver: Any = SynchronousResolver()

    def installNameResolver(self, resolver: Any) -> Any:
        """Resolve by `resolver`; returns the one before, which is at first a SynchronousResolver."""
        before, self.nameResolver = self.nameResolver, resolver
        return before

    def _cannot_listen(self, *args: Any, **kwargs: Any) -> Any:
        raise self._listen_exception

    def _cannot_connect(self, *args: Any, **kwargs: Any) -> Any:
        raise self._connect_exception

    listenTCP = listenSSL = listenUNIX = listenUDP = listenMulticast = listenUNIXDatagram = _cannot_listen
    adoptStreamPort = _cannot_listen
    connectTCP = connectSSL = connectUNIX = connectUNIXDatagram = _cannot_connect
    adoptStreamConnection = adoptDatagramPort = _cannot_connect


def _ip_address(kind: str, host: str, port: Any) -> Any:
    return IPv6Address(kind, host, port) if ":" in host else IPv4Address(kind, host, port)


def _adopted_address(kind: str, family: int) -> Any:
    if family == socket.AF_INET:
        return IPv4Address(kind, "0.0.0.0", _ADOPTED_PORT)
    if family == socket.AF_INET6:
        return IPv6Address(kind, "::", _ADOPTED_PORT)
    raise errors.UnsupportedAddressFamily(f"a MemoryReactor adopts IPv4 and IPv6, not {family!r}")


def _listening(protocol: Any, address: Any) -> MemoryDatagramPort:
    port = MemoryDatagramPort(protocol, address)
    port.startListening()
    return port
