"""What programs, reactors, transports and endpoints expect of one another, as typing.Protocol.

Names and signatures are those of twisted.internet.interfaces. An object needs not say that it has an interface: it has
it if it has the methods, and isinstance() tells (by their names; a type checker looks at the signatures too).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from ropewalk.core.threads import ThreadPool
    from ropewalk.internet.defer import Deferred
    from ropewalk.internet.failure import Failure
    from ropewalk.transports.tcp import Binding

T = TypeVar("T")
Built = TypeVar("Built", covariant=True)


class IAddress(Protocol):
    """An address; what it has depends on its kind, so nothing is asked of it and isinstance() cannot tell."""


# -- the reactor


@runtime_checkable
class IReactorCore(Protocol):
    """Runs, stops, and says when."""

    @property
    def running(self) -> bool:
        """Whether it runs."""

    def resolve(self, name: str, timeout: Sequence[int] = (1, 3, 11, 45)) -> Deferred[str]:
        """A Deferred of the IPv4 address of `name`; the sum of `timeout`, in seconds, is the limit."""

    def run(self) -> None:
        """Run until stop() or crash()."""

    def stop(self) -> None:
        """Fire "shutdown" and leave run()."""

    def crash(self) -> None:
        """Leave run() without firing anything."""

    def iterate(self, delay: float = 0.0) -> None:
        """Make one turn, waiting at most `delay` seconds for something to do."""

    def fireSystemEvent(self, eventType: str) -> None:
        """Fire the triggers of `eventType`."""

    def addSystemEventTrigger(
        self, phase: str, eventType: str, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Call `callable` "before", "during" or "after" `eventType`; returns what removes it."""

    def removeSystemEventTrigger(self, triggerID: Any) -> None:
        """Undo addSystemEventTrigger()."""

    def callWhenRunning(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `callable` now if it runs, else after startup."""


@runtime_checkable
class IDelayedCall(Protocol):
    """A call that was scheduled by callLater()."""

    def getTime(self) -> float:
        """When it is due, in the seconds of its clock."""

    def cancel(self) -> None:
        """Never make it."""

    def delay(self, secondsLater: float) -> None:
        """Make it later than planned."""

    def reset(self, secondsFromNow: float) -> None:
        """Make it so many seconds from now."""

    def active(self) -> bool:
        """Whether it is still to be made."""


@runtime_checkable
class IReactorTime(Protocol):
    """Tells the time and calls later."""

    @property
    def seconds(self) -> Callable[[], float]:
        """seconds(): the time in seconds; only differences mean something."""

    @property
    def callLater(self) -> Callable[..., IDelayedCall]:
        """callLater(delay, callable, *args, **kwargs): call in `delay` seconds."""

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """The calls that are still to be made."""


@runtime_checkable
class IReactorFromThreads(Protocol):
    """What other threads may call."""

    def callFromThread(self, callable: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Call `callable` in the reactor's thread."""


@runtime_checkable
class IReactorInThreads(Protocol):
    """Runs calls in threads."""

    def callInThread(self, callable: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Call `callable` in a thread of the pool."""


@runtime_checkable
class IReactorThreads(IReactorFromThreads, IReactorInThreads, Protocol):
    """Has a pool of threads."""

    def getThreadPool(self) -> ThreadPool:
        """The pool."""

    def suggestThreadPoolSize(self, size: int) -> None:
        """Let the pool have at most `size` threads."""


@runtime_checkable
class IReactorTCP(Protocol):
    """Listens and connects by TCP."""

    def listenTCP(
        self, port: int, factory: IProtocolFactory[Any], backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """Serve a TCP port with the protocols of `factory`."""

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: IProtocolFactory[Any],
        timeout: float = 30.0,
        bindAddress: tuple[str, int] | None = None,
        *,
        family: int = ...,
        attemptDelay: float = ...,
    ) -> IConnector:
        """Connect the protocol of `factory` to a TCP port; the last two arguments are Ropewalk's own."""


@runtime_checkable
class IReactorTCP2(IReactorTCP, Protocol):
    """Listens and connects by TCP, with socket options."""

    def listenTCP(
        self, port: Binding | int, factory: IProtocolFactory[Any], backlog: int = 50, interface: str | None = None
    ) -> IListeningPort:
        """As IReactorTCP's; `port` may be what makeBinding() made."""

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: IProtocolFactory[Any],
        timeout: float = 30.0,
        bindAddress: Binding | tuple[str, int] | None = None,
        *,
        family: int = ...,
        attemptDelay: float = ...,
    ) -> IConnector:
        """As IReactorTCP's; `bindAddress` may be what makeBinding() made."""


@runtime_checkable
class IReactorFDSet(Protocol):
    """Watches descriptors for objects of the program's."""

    def addReader(self, reader: IReadDescriptor) -> None:
        """Call reader.doRead() while its descriptor is readable."""

    def addWriter(self, writer: IWriteDescriptor) -> None:
        """Call writer.doWrite() while its descriptor is writable."""

    def removeReader(self, reader: IReadDescriptor) -> None:
        """Undo addReader()."""

    def removeWriter(self, writer: IWriteDescriptor) -> None:
        """Undo addWriter()."""

    def removeAll(self) -> list[Any]:
        """Watch nothing any more; returns what was watched."""

    def getReaders(self) -> list[Any]:
        """What is watched for reading."""

    def getWriters(self) -> list[Any]:
        """What is watched for writing."""


# -- names


@runtime_checkable
class IResolverSimple(Protocol):
    """Finds one IPv4 address of a name."""

    def getHostByName(self, name: str, timeout: Sequence[int] = ()) -> Deferred[str]:
        """A Deferred of the address, as text."""


@runtime_checkable
class IHostResolution(Protocol):
    """A resolution that is under way."""

    @property
    def name(self) -> str:
        """The host's name."""

    def cancel(self) -> None:
        """Report nothing any more."""


@runtime_checkable
class IResolutionReceiver(Protocol):
    """Is told of the addresses of a name."""

    def resolutionBegan(self, resolutionInProgress: IHostResolution, /) -> None:
        """It begins."""

    def addressResolved(self, address: Any) -> None:
        """An address was found."""

    def resolutionComplete(self) -> None:
        """There is no more."""


@runtime_checkable
class IHostnameResolver(Protocol):
    """Finds every address of a name."""

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """Report the addresses of `hostName`, of the classes `addressTypes`, to the receiver."""


@runtime_checkable
class IReactorPluggableResolver(Protocol):
    """Takes a resolver of one address."""

    def installResolver(self, resolver: IResolverSimple) -> IResolverSimple:
        """Resolve by `resolver`; returns the one before."""


@runtime_checkable
class IReactorPluggableNameResolver(Protocol):
    """Takes a resolver of all addresses."""

    @property
    def nameResolver(self) -> IHostnameResolver:
        """The resolver in use."""

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """Resolve by `resolver`; returns the one before."""


# -- descriptors


@runtime_checkable
class ILoggingContext(Protocol):
    """Has a name in the log."""

    def logPrefix(self) -> str:
        """The name."""


@runtime_checkable
class IFileDescriptor(ILoggingContext, Protocol):
    """Has a descriptor."""

    def fileno(self) -> int:
        """The descriptor; -1 once it is closed."""

    def connectionLost(self, reason: Failure[Any]) -> None:
        """It is over."""


@runtime_checkable
class IReadDescriptor(IFileDescriptor, Protocol):
    """Reads from its descriptor."""

    def doRead(self) -> Failure[Any] | BaseException | None:
        """Read; what is returned, unless None, ends it."""


@runtime_checkable
class IWriteDescriptor(IFileDescriptor, Protocol):
    """Writes to its descriptor."""

    def doWrite(self) -> Failure[Any] | BaseException | None:
        """Write; what is returned, unless None, ends it."""


@runtime_checkable
class IHalfCloseableDescriptor(Protocol):
    """Has two sides that end one by one."""

    def writeConnectionLost(self, reason: Failure[Any]) -> None:
        """The writing side is over."""

    def readConnectionLost(self, reason: Failure[Any]) -> None:
        """The reading side is over."""


# -- transports


@runtime_checkable
class ITransport(Protocol):
    """Sends bytes."""

    def write(self, data: bytes) -> None:
        """Send `data`."""

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send the pieces of `iovec`."""

    def loseConnection(self) -> None:
        """Close when everything has been sent."""

    def getPeer(self) -> Any:
        """The address of the other end."""

    def getHost(self) -> Any:
        """The address of this end."""


@runtime_checkable
class ITCPTransport(ITransport, Protocol):
    """Sends bytes over TCP."""

    def loseWriteConnection(self) -> None:
        """Shut our side when everything has been sent."""

    def abortConnection(self) -> None:
        """Close at once."""

    def getTcpNoDelay(self) -> bool:
        """Whether small writes are sent at once."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Send small writes at once, or not."""

    def getTcpKeepAlive(self) -> bool:
        """Whether an idle peer is probed."""

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Probe an idle peer, or not."""


@runtime_checkable
class IProducer(Protocol):
    """Produces data for a consumer."""

    def stopProducing(self) -> None:
        """The consumer takes no more, ever."""


@runtime_checkable
class IPushProducer(IProducer, Protocol):
    """Writes by itself, until it is paused."""

    def pauseProducing(self) -> None:
        """Write nothing for now."""

    def resumeProducing(self) -> None:
        """Write again."""


@runtime_checkable
class IPullProducer(IProducer, Protocol):
    """Writes when it is asked."""

    def resumeProducing(self) -> None:
        """Write something."""


@runtime_checkable
class IConsumer(Protocol):
    """Takes data from a producer."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take data from `producer`: an IPushProducer if `streaming`, else an IPullProducer."""

    def unregisterProducer(self) -> None:
        """There is no producer any more."""

    def write(self, data: bytes) -> None:
        """Take `data`."""


@runtime_checkable
class IListeningPort(Protocol):
    """Listens."""

    def startListening(self) -> None:
        """Listen."""

    def stopListening(self) -> Deferred[None] | None:
        """Listen no more; a Deferred that it returns fires when that is so."""

    def getHost(self) -> Any:
        """The address it listens on."""


@runtime_checkable
class IConnector(Protocol):
    """Manages one connection of a factory."""

    def stopConnecting(self) -> None:
        """Give up the attempt."""

    def disconnect(self) -> None:
        """Give up the attempt, or close the connection."""

    def connect(self) -> None:
        """Connect, again too."""

    def getDestination(self) -> Any:
        """The address it connects to."""


# -- protocols


@runtime_checkable
class IProtocol(Protocol):
    """One connection, seen by the program."""

    def makeConnection(self, transport: Any) -> None:
        """Here is the transport."""

    def connectionMade(self) -> None:
        """The connection is there."""

    def dataReceived(self, data: bytes) -> None:
        """Some bytes came."""

    def connectionLost(self, reason: Failure[Any]) -> None:
        """The connection is over."""


@runtime_checkable
class IHalfCloseableProtocol(Protocol):
    """Wants to know when one side of its connection ends."""

    def readConnectionLost(self) -> None:
        """The peer sends no more."""

    def writeConnectionLost(self) -> None:
        """Our side is shut."""


@runtime_checkable
class IProtocolFactory(Protocol[Built]):
    """Makes protocols; generic over their class."""

    def buildProtocol(self, addr: Any) -> Built | None:
        """A protocol for the connection with `addr`; None refuses it."""

    def doStart(self) -> None:
        """A port or connector begins to use it."""

    def doStop(self) -> None:
        """A port or connector uses it no more."""


# -- endpoints


@runtime_checkable
class IStreamServerEndpoint(Protocol):
    """A place to listen at."""

    def listen(self, protocolFactory: IProtocolFactory[Any]) -> Deferred[IListeningPort]:
        """Listen; a Deferred of the port."""


@runtime_checkable
class IStreamClientEndpoint(Protocol):
    """A place to connect to."""

    def connect(self, protocolFactory: IProtocolFactory[T]) -> Deferred[T]:
        """Connect; a Deferred of the protocol."""
