"""Wrapping: a protocol that stands between another protocol and its transport, and the factory that puts it there.

    transport <-> ProtocolWrapper <-> the program's protocol

The transport sees a protocol, the protocol sees a transport, and neither sees a difference: what one side has, and no
more, is there for the other. So a wrapped protocol takes part in half-close if it has readConnectionLost, and not
otherwise. One thing differs: isinstance() with an interface looks, from Python 3.12 on, only at what the wrapper's
class itself defines; ask the wrapper with hasattr(), or ask its `transport`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ropewalk.internet.base import current
from ropewalk.internet.failure import Failure
from ropewalk.internet.kit import KIT
from ropewalk.internet.protocol import ClientFactory, Protocol

# What a transport calls, if a protocol has it; all else that a wrapper does not define belongs to the transport.
_OF_THE_PROTOCOL = {"fileDescriptorReceived", "handshakeCompleted", "readConnectionLost", "writeConnectionLost"}


class ProtocolWrapper(Protocol):
    """Passes on everything; a subclass overrides what it wants to see or to change. Twisted's.

    factory: the WrappingFactory that made it; wrappedProtocol: the program's protocol, None after connectionLost().
    A subclass that overrides write() overrides writeSequence() too; what else would send bytes past it
    (transport.sendfile) is not there then.
    """

    _connected: int = 0
    _disconnecting = False

    def __init__(self, factory: Any, wrappedProtocol: Any) -> None:
        self.factory = factory
        self.wrappedProtocol = wrappedProtocol

    def __getattr__(self, name: str) -> Any:
        if name in _OF_THE_PROTOCOL:
            return getattr(self.wrappedProtocol, name)
        if name == "sendfile" and type(self).write is not ProtocolWrapper.write:
            raise AttributeError(f"{type(self).__name__} has no sendfile: the file would go past its write()")
        return getattr(self.transport, name)

    def logPrefix(self) -> str:
        """What log lines call this protocol, and the one in it."""
        return f"{log_prefix(self.wrappedProtocol)} ({type(self).__name__})"

    # -- the protocol that the transport sees

    def makeConnection(self, transport: Any) -> None:
        """The connection is there: connectionMade() here, then the protocol's makeConnection() with this transport."""
        self.connected = 1
        self.transport = transport
        self.factory.registerProtocol(self)
        self.connectionMade()
        self.wrappedProtocol.makeConnection(self)

    def dataReceived(self, data: bytes) -> None:
        """Pass `data` on to the protocol."""
        self.wrappedProtocol.dataReceived(data)

    def connectionLost(self, reason: Failure[Any]) -> None:
        """The factory forgets this connection, and the protocol is told."""
        self.connected = 0
        self.factory.unregisterProtocol(self)
        protocol = self.wrappedProtocol
        try:
            protocol.connectionLost(reason)
        finally:
            self.wrappedProtocol = None   # each holds the other

    # -- the transport that the protocol sees

    @property
    def connected(self) -> int:
        """Whether the connection is up."""
        return bool(self._connected and getattr(self.transport, "connected", True))

    @connected.setter
    def connected(self, value: int) -> None:
        self._connected = value

    @property
    def disconnecting(self) -> bool:
        """Whether loseConnection() was called, here or below."""
        return self._disconnecting or bool(getattr(self.transport, "disconnecting", False))

    @disconnecting.setter
    def disconnecting(self, value: bool) -> None:
        self._disconnecting = value

    def write(self, data: bytes) -> None:
        """Send `data`. Twisted's ITransport, as the next four."""
        self.transport.write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send the pieces of `iovec`."""
        self.transport.writeSequence(iovec)

    def loseConnection(self) -> None:
        """Close when everything that was written has been sent."""
        self.disconnecting = True
        self.transport.loseConnection()

    def getPeer(self) -> Any:
        """The address of the other end."""
        return self.transport.getPeer()

    def getHost(self) -> Any:
        """The address of this end."""
        return self.transport.getHost()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let `producer` write as fast as the peer takes it. Twisted's IConsumer, as the next one."""
        self.transport.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """There is no producer any more."""
        self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        """Read nothing until resumeProducing(). Twisted's IPushProducer, as the next two."""
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read again."""
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """Close, as loseConnection() does."""
        self.loseConnection()

    # -- for subclasses

    def call_program(self, program: Any, method: str, *args: Any) -> None:
        """Call a method of the program's outside an event of this connection, such as from a timer.

        An exception ends this connection and no other, as it does within an event.
        """
        try:
            getattr(program, method)(*args)
        except Exception as error:
            KIT.report(error, f"{method} failed; the connection is closed", self)
            getattr(self.transport, "abortConnection", self.transport.loseConnection)()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.wrappedProtocol!r}>"


class WrappingFactory(ClientFactory):
    """Wraps each protocol of `wrappedFactory` in a `protocol`; it serves ports and connectors alike. Twisted's.

    protocols: a dict whose keys are the wrappers that are connected.
    """

    protocol: Any = ProtocolWrapper

    def __init__(self, wrappedFactory: Any) -> None:
        self.wrappedFactory = wrappedFactory
        self.protocols: dict[Any, int] = {}

    def logPrefix(self) -> str:
        """What log lines call this factory, and the one in it."""
        return f"{log_prefix(self.wrappedFactory)} ({type(self).__name__})"

    def doStart(self) -> None:
        self.wrappedFactory.doStart()
        super().doStart()

    def doStop(self) -> None:
        self.wrappedFactory.doStop()
        super().doStop()

    def startedConnecting(self, connector: Any) -> None:
        self.wrappedFactory.startedConnecting(connector)

    def clientConnectionFailed(self, connector: Any, reason: Failure[Any]) -> None:
        self.wrappedFactory.clientConnectionFailed(connector, reason)

    def clientConnectionLost(self, connector: Any, reason: Failure[Any]) -> None:
        self.wrappedFactory.clientConnectionLost(connector, reason)

    def buildProtocol(self, addr: Any) -> Any:
        """The wrapped factory's protocol for the connection with `addr`, wrapped; None if that builds none."""
        protocol = self.wrappedFactory.buildProtocol(addr)
        return None if protocol is None else self.wrap(protocol)

    def wrap(self, protocol: Any) -> Any:
        """A wrapper for `protocol`. For subclasses whose wrappers take more arguments."""
        return self.protocol(self, protocol)

    def registerProtocol(self, p: Any) -> None:
        """The wrapper `p` is connected."""
        self.protocols[p] = 1

    def unregisterProtocol(self, p: Any) -> None:
        """The wrapper `p` has lost its connection."""
        del self.protocols[p]

    def callLater(self, period: float, func: Any) -> Any:
        """Call `func` in `period` seconds, by the reactor that runs; returns the IDelayedCall.

        A test may replace it with the callLater of a task.Clock.
        """
        return current().callLater(period, func)


def log_prefix(wrapped: Any) -> str:
    """What log lines call `wrapped`, a protocol or a factory."""
    prefix: str = wrapped.logPrefix() if hasattr(wrapped, "logPrefix") else type(wrapped).__name__
    return prefix
