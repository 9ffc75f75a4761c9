"""Our streams as Twisted's programs know them, over TCP and UNIX sockets.

They read and write by the very code that they have without Twisted. What is added is asked for seldom: what a
transport's descriptor, socket, name in the log or session number is; a producer that is told as Twisted tells it.
Programs of Twisted's keep things of their own on transports: hence the __dict__, made when something is put in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from twisted.internet.interfaces import IFileDescriptorReceiver
from twisted.python import log

from ropewalk.transports.rights import RightsChannel
from ropewalk.transports.stream import State, Stream
from ropewalk.transports.tcp import Client, Server
from ropewalk.transports.unix import UNIXClient, UNIXServer, UNIXStream
from ropewalk.twisted import tls
from ropewalk.twisted.logs import prefix_of


class TwistedStream(Stream):
    """What every stream has for Twisted's programs: more of abstract.FileDescriptor, and producers as there."""

    __slots__ = ()

    _socket: Any

    def start(self, protocol: Any) -> None:
        """As Stream.start(); within connectionMade() it is among the reactor's readers already."""
        self.protocol = protocol
        self._ask()
        super().start(protocol)

    # -- producers

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """As Stream.registerProducer(); a pull producer is resumed at once.

        What a push producer writes is queued first, so that it is paused as soon as that is much.
        """
        super().registerProducer(producer, streaming)
        if self._producer is None:   # the connection was lost already
            return
        if streaming:
            self._eager = self._fresh = False
        else:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """There is no producer any more."""
        self._eager = not self.TLS
        super().unregisterProducer()

    def stopConsuming(self) -> None:
        """There is no producer any more, and the connection ends."""
        self.unregisterProducer()
        self.loseConnection()

    def _throttle(self) -> None:
        if self._queued > self.bufferSize:
            self._pause_producer()
        super()._throttle()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """As Stream.writeSequence()."""
        try:
            data = b"".join(iovec)
        except TypeError:
            raise TypeError("Data must be bytes") from None
        self.write(data)

    @property
    def producer(self) -> Any:
        """The producer that is registered, else None."""
        return self._producer

    @property
    def streamingProducer(self) -> bool:
        """Whether that is a push producer."""
        return self._streaming

    # -- TLS

    def startTLS(self, contextFactory: Any, normal: bool = True, **ours: Any) -> None:
        """Go on over TLS.

        contextFactory: Twisted's, which makes TLS one of twisted.protocols.tls; or an ssl.SSLContext, or what
        ropewalk.internet.ssl makes, which makes it ours: see Secured.startTLS(), where the other arguments are, too.
        """
        if tls.is_ours(contextFactory):
            super().startTLS(contextFactory, normal, **ours)
        elif self.connected:
            tls.start(self, contextFactory, self.accepted is not normal)

    # -- the rest of abstract.FileDescriptor

    @property
    def socket(self) -> Any:
        """The socket."""
        return self._socket

    def fileno(self) -> int:
        """The number of the socket's descriptor; -1 when it is closed."""
        number: int = self._socket.fileno()
        return number

    @property
    def _tempDataBuffer(self) -> list[Any]:
        """What waits to be sent; Twisted's tests look here and at the next one."""
        return list(self._queue)

    @property
    def _writeDisconnected(self) -> bool:
        """Whether our side is shut."""
        return self._state in (State.ENDED, State.CLOSED)

    @property
    def disconnected(self) -> bool:
        """Whether the connection is over."""
        return not self.connected

    def connectionLost(self, reason: Any) -> None:
        """End the connection now, because of `reason`, a Failure."""
        if self.connected:
            self.channel.want(0)   # in a callback of its own it is closed later, and is no reader from now on
        self.drop(reason.value)

    @property
    def logstr(self) -> str:
        """What the log calls it."""
        return prefix_of(self.protocol)

    def logPrefix(self) -> str:
        """What the log calls it."""
        return self.logstr


class _Accepted(TwistedStream):
    """What accepted connections have. sessionno: how many their port had accepted before; the log tells."""

    __slots__ = ()

    sessionno: int

    @property
    def logstr(self) -> str:
        """What the log calls it."""
        return f"{prefix_of(self.protocol)},{self.sessionno},{self.places()[1]}"

    def places(self) -> tuple[Any, Any]:
        """Where it was accepted, and where it comes from."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self.protocol).__name__} #{self.sessionno} on {self.places()[0]}>"


class _Made(TwistedStream):
    """What connections that we have made have."""

    __slots__ = ()

    _peer: Any

    @property
    def addr(self) -> Any:
        """The socket address that it is connected to."""
        return self._peer

    @property
    def logstr(self) -> str:
        """What the log calls it."""
        return f"{prefix_of(self.protocol)},client"

    def __repr__(self) -> str:
        return f"<{type(self)} to {self.addr} at {id(self):x}>"


class TwistedServer(_Accepted, Server):
    """A TCP connection that was accepted."""

    __slots__ = ("__dict__", "sessionno")

    def __init__(self, *args: Any) -> None:
        Server.__init__(self, *args)
        self.sessionno = 0

    def places(self) -> tuple[Any, Any]:
        return self.getHost().port, self.getPeer().host


class TwistedClient(_Made, Client):
    """A TCP connection that we have made."""

    __slots__ = ("__dict__",)


class _Rights(TwistedStream, UNIXStream):
    """Descriptors are taken even by a protocol that has no use for them: they are closed, and the log says so."""

    __slots__ = ()

    def start(self, protocol: Any) -> None:
        self._rights()
        super().start(protocol)

    def _descriptor_received(self, descriptor: int) -> bool:
        if not IFileDescriptorReceiver.providedBy(self.protocol):
            log.msg(
                format="%(protocolName)s (on %(hostAddress)r) does not provide IFileDescriptorReceiver; closing file "
                "descriptor received (from %(peerAddress)r).",
                protocolName=prefix_of(self.protocol),
                hostAddress=self.getHost(),
                peerAddress=self.getPeer(),
            )
            os.close(descriptor)
            return self._reading
        return super()._descriptor_received(descriptor)

    def _drained(self) -> None:
        """Twisted does not let descriptors wait for bytes that will not come."""
        if self._state is State.CLOSING and isinstance(self.channel, RightsChannel) and self.channel.waiting:
            self._break(self.reactor.kit.error.FileDescriptorOverrun())
            self.settle()
        else:
            super()._drained()


class TwistedUNIXServer(_Accepted, _Rights, UNIXServer):
    """A UNIX connection that was accepted."""

    __slots__ = ("__dict__", "sessionno")

    def __init__(self, *args: Any) -> None:
        UNIXServer.__init__(self, *args)
        self.sessionno = 0

    def places(self) -> tuple[Any, Any]:
        name = os.fsdecode(self.getHost().name or b"")
        return name, name


class TwistedUNIXClient(_Made, _Rights, UNIXClient):
    """A UNIX connection that we have made."""

    __slots__ = ("__dict__",)
