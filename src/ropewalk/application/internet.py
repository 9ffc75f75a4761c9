"""Services that listen, connect, and call: what a reactor does, from a start to a stop.

Names and behaviour are those of twisted.application.internet. A service that is given no reactor takes, when it is
started, the one that runs in this thread, else the installed one; so a file that has services needs not choose one.
What it cannot listen at is told to whoever starts it (see service.py): Twisted only logs that of some.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from ropewalk.application.client import ClientService, backoffPolicy
from ropewalk.application.service import Eventually, Service, at_once
from ropewalk.internet.base import current
from ropewalk.internet.defer import CancelledError, Deferred, ensureDeferred, maybeDeferred, succeed
from ropewalk.internet.failure import Failure
from ropewalk.internet.kit import KIT
from ropewalk.internet.task import Cooperator, LoopingCall

__all__ = [
    "ClientService",
    "CooperatorService",
    "MulticastServer",
    "SSLClient",
    "SSLServer",
    "StreamServerEndpointService",
    "TCPClient",
    "TCPServer",
    "TimerService",
    "UDPServer",
    "UNIXClient",
    "UNIXDatagramClient",
    "UNIXDatagramServer",
    "UNIXServer",
    "backoffPolicy",
]


class _ReactorService(Service):
    """Calls one method of the reactor, with the arguments that it was made with. reactor=: the reactor."""

    method = ""
    reactor: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.reactor = kwargs.pop("reactor", self.reactor)
        self.args = args
        self.kwargs = kwargs

    def _call(self) -> Any:
        reactor = current() if self.reactor is None else self.reactor
        return getattr(reactor, self.method)(*self.args, **self.kwargs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or self.args}>"


class _Server(_ReactorService):
    """Listens from its start, the privileged one if there is one, to its stop."""

    _port: Any = None

    def privilegedStartService(self) -> Eventually:
        """Listen. Raises what the method of the reactor does: CannotListenError."""
        if self._port is None:
            self._port = self._call()
        return None

    def startService(self) -> Eventually:
        """Listen, if it does not yet. Raises the same."""
        begun = self.privilegedStartService()
        super().startService()
        return begun

    def stopService(self) -> Eventually:
        """Listen no more; connections that were accepted stay. Returns a Deferred that fires when that is done."""
        super().stopService()
        port, self._port = self._port, None
        return None if port is None else maybeDeferred(port.stopListening)


class _Client(_ReactorService):
    """Connects when it is started, once; its stop disconnects."""

    _connector: Any = None

    def startService(self) -> Eventually:
        """Connect; what becomes of it, the factory is told."""
        super().startService()
        self._connector = self._call()
        return None

    def stopService(self) -> Eventually:
        """Disconnect, or give the attempt up."""
        super().stopService()
        connector, self._connector = self._connector, None
        if connector is not None:
            connector.disconnect()
        return None


class TCPServer(_Server):
    """Listens at a TCP port; the arguments are those of reactor.listenTCP()."""

    method = "listenTCP"


class UNIXServer(_Server):
    """Listens at a UNIX socket; the arguments are those of reactor.listenUNIX()."""

    method = "listenUNIX"


class SSLServer(_Server):
    """Listens at a TCP port, with TLS; the arguments are those of reactor.listenSSL()."""

    method = "listenSSL"


class UDPServer(_Server):
    """Receives datagrams at a UDP port; the arguments are those of reactor.listenUDP()."""

    method = "listenUDP"


class MulticastServer(_Server):
    """Receives datagrams of groups at a UDP port; the arguments are those of reactor.listenMulticast()."""

    method = "listenMulticast"


class UNIXDatagramServer(_Server):
    """Receives datagrams at a UNIX socket; the arguments are those of reactor.listenUNIXDatagram()."""

    method = "listenUNIXDatagram"


class TCPClient(_Client):
    """Connects to a TCP port, once; the arguments are those of reactor.connectTCP(). See ClientService."""

    method = "connectTCP"


class UNIXClient(_Client):
    """Connects to a UNIX socket, once; the arguments are those of reactor.connectUNIX()."""

    method = "connectUNIX"


class SSLClient(_Client):
    """Connects to a TCP port, with TLS, once; the arguments are those of reactor.connectSSL()."""

    method = "connectSSL"


class UNIXDatagramClient(_Client):
    """Exchanges datagrams with a UNIX socket; the arguments are those of reactor.connectUNIXDatagram()."""

    method = "connectUNIXDatagram"

    def stopService(self) -> Eventually:
        """Close. Returns a Deferred that fires when that is done."""
        port, self._connector = self._connector, None
        super().stopService()
        return None if port is None else maybeDeferred(port.stopListening)


class StreamServerEndpointService(Service):
    """Listens at `endpoint`, an IStreamServerEndpoint, with the protocols of `factory`.

    port: what it listens with, an IListeningPort; None while it does not.
    """

    def __init__(self, endpoint: Any, factory: Any) -> None:
        self.endpoint = endpoint
        self.factory = factory
        self.port: Any = None
        self._listening: Deferred[Any] | None = None

    def privilegedStartService(self) -> Eventually:
        """Listen. Raises what the endpoint fails with, if it does at once: CannotListenError, for most endpoints.

        Else returns a Deferred that fires when it listens, or that fails with that; None if it listens at once.
        """
        if self._listening is not None:
            return None
        self._listening = ensureDeferred(self._listen())
        return at_once(self._listening.addErrback(self._failed))

    def startService(self) -> Eventually:
        """Listen, if it does not yet; returns and raises the same."""
        begun = self.privilegedStartService()
        super().startService()
        return begun

    def stopService(self) -> Deferred[Any]:
        """Listen no more; connections that were accepted stay. Returns a Deferred that fires when that is done."""
        super().stopService()
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.cancel()
        port, self.port = self.port, None
        return succeed(None) if port is None else maybeDeferred(_close, port)

    async def _listen(self) -> None:
        with contextlib.suppress(CancelledError):   # stopped before
            self.port = await self.endpoint.listen(self.factory)

    def _failed(self, failure: Failure[Any]) -> Failure[Any]:
        self._listening = None
        return failure

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or self.endpoint!r}>"


def _close(port: Any) -> Any:
    if hasattr(port, "stopListening"):
        return port.stopListening()
    port.loseConnection()   # what stdio: is listened at with is the one connection itself
    return None


class TimerService(Service):
    """Calls `callable(*args, **kwargs)` every `step` seconds, from its start to its stop. See LoopingCall.

    What it raises or fails with is logged, and ends the calls. clock: calls later; None for the reactor that runs in
    this thread, else the installed one.
    """

    clock: Any = None

    def __init__(self, step: float, callable: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        self.step = step
        self.call = (callable, args, kwargs)
        self._loop: LoopingCall | None = None
        self._ended: Deferred[Any] | None = None

    def startService(self) -> Eventually:
        """Call it, and go on."""
        super().startService()
        function, args, kwargs = self.call
        self._loop = LoopingCall(function, *args, **kwargs)
        self._loop.clock = self.clock
        self._ended = self._loop.start(self.step).addErrback(self._failed)
        return None

    def stopService(self) -> Eventually:
        """Call it no more. Returns a Deferred that fires when a call that is at work is done."""
        super().stopService()
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        return self._ended

    def _failed(self, failure: Failure[Any]) -> None:
        KIT.report(failure.value, "the call failed, and is made no more", self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or self.call[0]!r} every {self.step} seconds>"


class CooperatorService(Service):
    """Runs a Cooperator of its own, `coop`, from its start to its stop."""

    def __init__(self) -> None:
        self.coop = Cooperator(started=False)

    def coiterate(self, iterator: Any) -> Any:
        """Work through `iterator` in small pieces; see Cooperator.coiterate()."""
        return self.coop.coiterate(iterator)

    def startService(self) -> Eventually:
        """Let the work begin."""
        self.coop.start()
        return super().startService()

    def stopService(self) -> Eventually:
        """End the work: what is not done fails with SchedulerStopped."""
        self.coop.stop()
        return super().stopService()
