"""Name resolution: getaddrinfo in threads of its own, and the adapters between the two resolver interfaces.

getaddrinfo blocks for as long as the system's resolver is configured to, so it has a pool that no other work waits
behind. Its order is RFC 6724's and is kept.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

from ropewalk.interfaces import Loop
from ropewalk.transports.address import literal_family

_FAMILIES: dict[int, str] = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}
_TIMEOUTS = (1, 3, 11, 45)   # seconds; Twisted's
_KINDS = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}


class HostResolution:
    """A resolution that is under way. name: the host's; error: why it found nothing, once that is known."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.error: Exception | None = None
        self.cancelled = False

    def cancel(self) -> None:
        """Report nothing any more."""
        self.cancelled = True


class ThreadedResolver:
    """The default IHostnameResolver: the system's getaddrinfo, in threads.

    in_thread: runs a call in a thread and reports (succeeded, result), as ThreadPool.callInThreadWithCallback does.
    """

    def __init__(
        self, loop: Loop, in_thread: Callable[..., None], getaddrinfo: Callable[..., Any] = socket.getaddrinfo
    ) -> None:
        self._loop = loop
        self._in_thread = in_thread
        self._getaddrinfo = getaddrinfo

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type] | None = None,
        transportSemantics: str = "TCP",
    ) -> HostResolution:
        """Report the addresses of `hostName` to `resolutionReceiver`: Twisted's IHostnameResolver.

        addressTypes: the classes of address that are wanted (None: all); transportSemantics: 'TCP' or 'UDP'.
        """
        resolution = HostResolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)

        def found(succeeded: bool, result: Any) -> None:
            if resolution.cancelled:
                return
            if succeeded:
                for family, _, _, _, sockaddr in result:
                    address = self._loop.kit.address(transportSemantics, family, sockaddr)
                    if addressTypes is None or isinstance(address, tuple(addressTypes)):
                        resolutionReceiver.addressResolved(address)
            else:
                resolution.error = result.value
            resolutionReceiver.resolutionComplete()

        def in_thread_found(succeeded: bool, result: Any) -> None:
            self._loop.callFromThread(found, succeeded, result)

        kind = _KINDS[transportSemantics]

        def look_up() -> Any:
            return [] if resolution.cancelled else self._getaddrinfo(hostName, portNumber, 0, kind)

        self._in_thread(in_thread_found, look_up)
        return resolution


class FirstAddress:
    """An IResolverSimple over `names`, an IHostnameResolver: the first address of a name in one family."""

    def __init__(self, loop: Loop, names: Any, family: int = socket.AF_INET) -> None:
        self._loop = loop
        self._names = names
        self._family = family

    def getHostByName(self, name: str, timeout: Sequence[int] = _TIMEOUTS) -> Any:
        """A Deferred of the first address of `name`, as text; DNSLookupError if there is none.

        timeout: seconds; their sum is the limit. Twisted's IResolverSimple.
        """
        waiting = _Waiting(self._loop, name, self._family, sum(timeout))
        try:
            self._names.resolveHostName(waiting, name)
        except Exception as error:
            waiting.failed(error)
        return waiting.deferred


class _Waiting:
    """The receiver of FirstAddress."""

    def __init__(self, loop: Loop, name: str, family: int, limit: float) -> None:
        self._loop = loop
        self._name = name
        self._family = family
        self._first: str | None = None
        self._resolution: Any = None
        self.deferred: Any = loop.kit.deferred(lambda _: self._give_up())
        self._timer = loop.callLater(limit, self._too_late, limit)

    def resolutionBegan(self, resolution: Any) -> None:
        self._resolution = resolution

    def addressResolved(self, address: Any) -> None:
        if self._first is None and literal_family(address.host) == self._family:
            self._first = address.host

    def resolutionComplete(self) -> None:
        if not self._timer.active():   # too late, or given up
            return
        self._timer.cancel()
        if self._first is not None:
            self.deferred.callback(self._first)
        else:
            self._fail(getattr(self._resolution, "error", None) or f"it has no {_FAMILIES[self._family]} address")

    def failed(self, error: Exception) -> None:
        """The resolver raised `error`."""
        if self._timer.active():
            self._timer.cancel()
            self._fail(error)

    def _too_late(self, limit: float) -> None:
        self._cancel()
        self._fail(f"no answer in {limit} seconds")

    def _give_up(self) -> None:
        self._timer.cancel()
        self._cancel()

    def _cancel(self) -> None:
        if self._resolution is not None:   # it may never have begun
            self._resolution.cancel()

    def _fail(self, why: object) -> None:
        unknown = self._loop.kit.error.DNSLookupError(f"{self._name}: {why}")
        self.deferred.errback(self._loop.kit.failure(unknown))


class FromSimple:
    """An IHostnameResolver over an IResolverSimple: one IPv4 address a name."""

    def __init__(self, loop: Loop, simple: Any) -> None:
        self._loop = loop
        self._simple = simple

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type] | None = None,
        transportSemantics: str = "TCP",
    ) -> HostResolution:
        """As ThreadedResolver's."""
        resolution = HostResolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)

        def found(host: str) -> None:
            address = self._loop.kit.address(transportSemantics, socket.AF_INET, (host, portNumber))
            if not resolution.cancelled and (addressTypes is None or isinstance(address, tuple(addressTypes))):
                resolutionReceiver.addressResolved(address)

        def failed(failure: Any) -> None:
            resolution.error = failure.value

        def complete(_: object) -> None:
            if not resolution.cancelled:
                resolutionReceiver.resolutionComplete()

        self._simple.getHostByName(hostName, _TIMEOUTS).addCallbacks(found, failed).addBoth(complete)
        return resolution
