"""Names of hosts: who finds their addresses, and who is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ropewalk.internet.defer import Deferred


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
