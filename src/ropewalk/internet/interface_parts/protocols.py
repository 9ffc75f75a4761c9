"""The program's side of a connection: protocols and their factories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from ropewalk.internet.failure import Failure

Built = TypeVar("Built", covariant=True)


class IAddress(Protocol):
    """An address; what it has depends on its kind, so nothing is asked of it and isinstance() cannot tell."""


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


@runtime_checkable
class IFileDescriptorReceiver(Protocol):
    """Takes descriptors that come over a UNIX socket."""

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """One came; it is the program's to close."""
