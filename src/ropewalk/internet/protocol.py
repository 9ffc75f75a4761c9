"""Protocols and factories: the base classes of what programs write. Behaviour and names are those of Twisted."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ropewalk.errors import ConnectionDone
from ropewalk.internet.defer import Deferred
from ropewalk.internet.failure import Failure
from ropewalk.internet.kit import KIT

_INFO = 20   # logging's level

connectionDone = Failure(ConnectionDone())


class BaseProtocol:
    """What has a transport."""

    connected = 0
    transport: Any = None

    def makeConnection(self, transport: Any) -> None:
        """The reactor connects this protocol to `transport`; calls connectionMade()."""
        self.connected = 1
        self.transport = transport
        self.connectionMade()

    def connectionMade(self) -> None:
        """The connection is there: `self.transport`. For the program to override."""


class Protocol(BaseProtocol):
    """One connection of a byte stream."""

    factory: Any = None

    def logPrefix(self) -> str:
        """What log lines call this protocol."""
        return type(self).__name__

    def dataReceived(self, data: bytes) -> None:
        """Some bytes came, cut anywhere. For the program to override."""

    if TYPE_CHECKING:   # the default is left out here, so that programs may override it without one

        def connectionLost(self, reason: Failure[Any]) -> None: ...
    else:

        def connectionLost(self, reason=connectionDone):
            """The connection is over; `reason.value` is a ConnectionDone, ConnectionLost or the program's own error."""


class Factory:
    """Makes a protocol for each connection; what connections share belongs here."""

    protocol: Any = None
    numPorts = 0
    noisy = True

    @classmethod
    def forProtocol(cls, protocol: Any, *args: Any, **kwargs: Any) -> Any:
        """A factory, made with the further arguments, for the class `protocol`."""
        factory = cls(*args, **kwargs)
        factory.protocol = protocol
        return factory

    def logPrefix(self) -> str:
        """What log lines call this factory."""
        return type(self).__name__

    def doStart(self) -> None:
        """A port or connector begins to use this factory; the first one calls startFactory()."""
        if self.numPorts == 0:
            self.startFactory()
        self.numPorts += 1

    def doStop(self) -> None:
        """A port or connector no longer uses this factory; the last one calls stopFactory()."""
        if self.numPorts == 0:
            return
        self.numPorts -= 1
        if self.numPorts == 0:
            self.stopFactory()

    def startFactory(self) -> None:
        """The factory begins to be used. For the program to override."""

    def stopFactory(self) -> None:
        """The factory is no longer used. For the program to override."""

    def buildProtocol(self, addr: Any) -> Any:
        """A protocol for the connection with `addr`; None refuses it. Raises TypeError if there is no `protocol`."""
        if self.protocol is None:
            raise TypeError(f"{self!r} has no protocol to build: set Factory.protocol, or override buildProtocol")
        protocol = self.protocol()
        protocol.factory = self
        return protocol


class ServerFactory(Factory):
    """Makes the protocols of a listening port."""


class ClientFactory(Factory):
    """Makes the protocol of a connection that a connector makes, and hears what becomes of it."""

    def startedConnecting(self, connector: Any) -> None:
        """An attempt began; `connector.stopConnecting()` gives it up. For the program to override."""

    def clientConnectionFailed(self, connector: Any, reason: Failure[Any]) -> None:
        """The attempt failed; `connector.connect()` tries again. For the program to override."""

    def clientConnectionLost(self, connector: Any, reason: Failure[Any]) -> None:
        """The connection is over; `connector.connect()` connects again. For the program to override."""


class ReconnectingClientFactory(ClientFactory):
    """Connects again whenever the connection fails or is lost, after a delay that grows.

    initialDelay, maxDelay: seconds; factor: how much the delay grows each time; jitter: the relative deviation of its
    random spread (None: none); maxRetries: how often it tries (None: for ever); clock: has callLater (None: the
    connector's reactor).
    """

    maxDelay = 3600.0
    initialDelay = 1.0
    factor = 2.7182818284590451
    jitter: float | None = 0.11962656472
    delay = initialDelay
    retries = 0
    maxRetries: int | None = None
    clock: Any = None
    connector: Any = None
    continueTrying = 1
    _callID: Any = None

    def clientConnectionFailed(self, connector: Any, reason: Failure[Any]) -> None:
        if self.continueTrying:
            self.retry(connector)

    def clientConnectionLost(self, connector: Any, reason: Failure[Any]) -> None:
        if self.continueTrying:
            self.retry(connector)

    def retry(self, connector: Any = None) -> None:
        """Connect again after the delay. Raises ValueError if there is nothing to connect."""
        connector = self.connector if connector is None else connector
        if connector is None:
            raise ValueError("there is no connector to retry with: pass the one of an earlier attempt")
        self.connector = connector
        if not self.continueTrying:
            return
        if self.maxRetries is not None and self.retries >= self.maxRetries:
            KIT.log(_INFO, f"{connector!r} gives up after {self.retries} retries")
            return
        self.retries += 1
        self.delay = min(self.delay * self.factor, self.maxDelay)
        if self.jitter:
            self.delay = random.normalvariate(self.delay, self.delay * self.jitter)
        self.delay = max(self.delay, 0.0)
        KIT.log(_INFO, f"{connector!r} will retry in {self.delay:.3g} seconds")
        clock = self.clock or connector.reactor
        self._callID = clock.callLater(self.delay, self._retry_now)

    def _retry_now(self) -> None:
        self._callID = None
        self.connector.connect()

    def stopTrying(self) -> None:
        """Connect no more: a delay or an attempt that is under way is given up."""
        waiting, self._callID = self._callID, None
        if waiting is not None:
            waiting.cancel()
        self.continueTrying = 0
        if self.connector is not None and self.connector.state == "connecting":
            self.connector.stopConnecting()

    def resetDelay(self) -> None:
        """The connection is good: the next delay is the initial one again."""
        self.delay = self.initialDelay
        self.retries = 0
        self.continueTrying = 1


class ProcessProtocol(BaseProtocol):
    """A child process, as the program sees it; `self.transport` is its IProcessTransport."""

    def logPrefix(self) -> str:
        """What log lines call this protocol."""
        return type(self).__name__

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """The child wrote `data` to its descriptor `childFD`; by default calls outReceived() and errReceived()."""
        if childFD == 1:
            self.outReceived(data)
        elif childFD == 2:
            self.errReceived(data)

    def outReceived(self, data: bytes) -> None:
        """The child wrote to its standard output; cut anywhere. For the program to override."""

    def errReceived(self, data: bytes) -> None:
        """The child wrote to its standard error; cut anywhere. For the program to override."""

    def childConnectionLost(self, childFD: int) -> None:
        """The pipe that is the child's `childFD` is closed; by default calls the one of the following that is for it.

        The child may still run, and it may have exited before.
        """
        if childFD == 0:
            self.inConnectionLost()
        elif childFD == 1:
            self.outConnectionLost()
        elif childFD == 2:
            self.errConnectionLost()

    def inConnectionLost(self) -> None:
        """The child's standard input is closed. For the program to override."""

    def outConnectionLost(self) -> None:
        """The child's standard output is closed. For the program to override."""

    def errConnectionLost(self) -> None:
        """The child's standard error is closed. For the program to override."""

    def processExited(self, reason: Failure[Any]) -> None:
        """The child has exited; more of what it wrote may come. `reason` as in processEnded(). To be overridden."""

    def processEnded(self, reason: Failure[Any]) -> None:
        """The child has exited and its pipes are closed: nothing more will come. For the program to override.

        reason: its value is a ProcessDone, or a ProcessTerminated with the `exitCode` or the `signal`.
        """


class AbstractDatagramProtocol:
    """Receives datagrams, of any transport. transport: the port it receives from and sends by; None without one."""

    transport: Any = None
    numPorts = 0
    noisy = True

    def doStart(self) -> None:
        """A port begins to use this protocol; the first one calls startProtocol()."""
        if self.numPorts == 0:
            self.startProtocol()
        self.numPorts += 1

    def doStop(self) -> None:
        """A port no longer uses this protocol; the last one calls stopProtocol()."""
        self.transport = None
        if self.numPorts == 0:
            return
        self.numPorts -= 1
        if self.numPorts == 0:
            self.stopProtocol()

    def startProtocol(self) -> None:
        """There is a port, `self.transport`. For the program to override."""

    def stopProtocol(self) -> None:
        """There is no port any more. For the program to override."""

    def makeConnection(self, transport: Any) -> None:
        """The reactor connects this protocol to the port `transport`. Raises RuntimeError if it has one."""
        if self.transport is not None:
            raise RuntimeError(f"{self!r} cannot be used by {transport!r} while {self.transport!r} uses it")
        self.transport = transport
        try:
            self.doStart()
        except BaseException:
            self.transport = None
            raise

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """A datagram came from `addr`, (host, port) with UDP. For the program to override."""


class DatagramProtocol(AbstractDatagramProtocol):
    """Receives datagrams of UDP, or of a UNIX socket."""

    def logPrefix(self) -> str:
        """What log lines call this protocol."""
        return type(self).__name__

    def connectionRefused(self) -> None:
        """Nobody listens where the port is connected to; it says so of a datagram that was sent earlier."""


class ConnectedDatagramProtocol(DatagramProtocol):
    """Exchanges datagrams with one UNIX socket."""

    def datagramReceived(self, datagram: bytes) -> None:  # type: ignore[override]
        """A datagram came. For the program to override."""

    def connectionFailed(self, failure: Failure[Any]) -> None:
        """The port could not be connected. For the program to override."""


class ClientCreator:
    """Connects a protocol class once, without a factory of the program's.

    reactor: connects; protocolClass, args, kwargs: what makes the protocol.
    """

    def __init__(self, reactor: Any, protocolClass: Any, *args: Any, **kwargs: Any) -> None:
        self.reactor = reactor
        self.protocolClass = protocolClass
        self.args = args
        self.kwargs = kwargs

    def connectTCP(self, host: str, port: int, timeout: float = 30, bindAddress: Any = None) -> Deferred[Any]:
        """A Deferred of the protocol, connected; its failure is that of the attempt. Cancelling it gives up."""
        factory = _OneConnection(self)
        self.reactor.connectTCP(host, port, factory, timeout, bindAddress)
        return factory.connected

    def connectUNIX(self, address: str, timeout: float = 30, checkPID: bool = False) -> Deferred[Any]:
        """The same for a UNIX socket; the arguments are those of connectUNIX() of the reactor."""
        factory = _OneConnection(self)
        self.reactor.connectUNIX(address, factory, timeout, checkPID)
        return factory.connected


class _OneConnection(ClientFactory):
    """The factory of a ClientCreator: one protocol, one Deferred."""

    noisy = False

    def __init__(self, creator: ClientCreator) -> None:
        self._creator = creator
        self.connector: Any = None
        self.connected: Deferred[Any] = Deferred(lambda _: self.connector.disconnect())

    def startedConnecting(self, connector: Any) -> None:
        self.connector = connector

    def buildProtocol(self, addr: Any) -> Any:
        protocol = self._creator.protocolClass(*self._creator.args, **self._creator.kwargs)
        self.connector.reactor.callLater(0, self._fire, self.connected.callback, protocol)
        return protocol

    def clientConnectionFailed(self, connector: Any, reason: Failure[Any]) -> None:
        connector.reactor.callLater(0, self._fire, self.connected.errback, reason)

    def _fire(self, fire: Callable[[Any], None], result: Any) -> None:
        if not self.connected.called:   # it was cancelled
            fire(result)


class FileWrapper:
    """A transport that writes to a file, to look at what a protocol sends; it delivers nothing. Twisted's.

    file: binary, has write and close; closed: whether loseConnection() was called, 0 or 1; producer, streamingProducer:
    what was registered. A pull producer is asked once; what asks it again is the program.
    """

    closed = 0
    disconnecting = 0
    producer: Any = None
    streamingProducer: int = 0

    def __init__(self, file: Any) -> None:
        self.file = file

    def write(self, data: bytes) -> None:
        """Write `data` to the file; if that raises, handleException() is called."""
        try:
            self.file.write(data)
        except Exception:
            self.handleException()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Write the pieces of `iovec`."""
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        """Close the file; if that raises OSError, handleException() is called."""
        self.closed = 1
        try:
            self.file.close()
        except OSError:
            self.handleException()

    def handleException(self) -> None:
        """The file failed, and sys.exception() says how; nothing is done about it. For the program to override."""

    def getPeer(self) -> tuple[str, str]:
        """The words file, file: there is no address."""
        return "file", "file"

    def getHost(self) -> str:
        """The word file: there is no address."""
        return "file"

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Keep `producer`, and ask it once unless it is a push producer (`streaming`)."""
        self.producer = producer
        self.streamingProducer = streaming
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """There is no producer any more."""
        self.producer = None

    def stopConsuming(self) -> None:
        """Forget the producer, and close."""
        self.unregisterProducer()
        self.loseConnection()

    def pauseProducing(self) -> None:
        """Nothing is delivered anyway."""

    def resumeProducing(self) -> None:
        """Nothing is delivered anyway."""

    def stopProducing(self) -> None:
        """Close."""
        self.loseConnection()
