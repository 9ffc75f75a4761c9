"""Byte streams: transports, producers and consumers, ports and connectors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ropewalk.internet.defer import Deferred


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


@runtime_checkable
class IUNIXTransport(ITransport, Protocol):
    """Sends bytes, and descriptors, over a UNIX socket."""

    def sendFileDescriptor(self, descriptor: int) -> None:
        """Send a duplicate of `descriptor`; a peer that is an IFileDescriptorReceiver gets it."""
