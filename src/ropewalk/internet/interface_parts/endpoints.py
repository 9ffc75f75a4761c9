"""Endpoints: places to listen at and to connect to, and who reads them from a string."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from ropewalk.internet.defer import Deferred
    from ropewalk.internet.interface_parts.protocols import IProtocolFactory
    from ropewalk.internet.interface_parts.streams import IListeningPort

T = TypeVar("T")


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


@runtime_checkable
class IStreamServerEndpointStringParser(Protocol):
    """Makes a server endpoint of a string, one that begins with the name of its entry point in ropewalk.endpoints."""

    def parseStreamServer(self, reactor: Any, *args: Any, **kwargs: Any) -> IStreamServerEndpoint:
        """The endpoint for the arguments of the string, those with a name in `kwargs`; all are text."""


@runtime_checkable
class IStreamClientEndpointStringParserWithReactor(Protocol):
    """Makes a client endpoint of a string, one that begins with the name of its entry point in ropewalk.endpoints."""

    def parseStreamClient(self, reactor: Any, *args: Any, **kwargs: Any) -> IStreamClientEndpoint:
        """The endpoint for the arguments of the string, those with a name in `kwargs`; all are text."""
