"""Our ports and connectors as Twisted's programs know them: what the log says of a port, its socket, its number."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from twisted.python import log
from twisted.python.reflect import qual

from ropewalk.transports.channel import SocketChannel
from ropewalk.transports.listener import Listener
from ropewalk.transports.multicast import MulticastPort
from ropewalk.transports.port import ListeningPort
from ropewalk.transports.race import Race
from ropewalk.transports.tcp import Port, TCPConnector
from ropewalk.transports.tls_tcp import TLSConnector, TLSPort
from ropewalk.transports.udp import UDPPort
from ropewalk.transports.unix import UNIXPort
from ropewalk.transports.unix_datagram import ConnectedUNIXDatagramPort, UNIXDatagramPort
from ropewalk.twisted.logs import prefix_of


class _Logged(ListeningPort):
    """What every port has for Twisted's programs."""

    _type = ""
    _realPortNumber: Any = None   # of the last time that it listened

    def program(self) -> Any:
        """The factory or protocol that it serves."""
        raise NotImplementedError

    def started(self) -> None:
        self._realPortNumber = self.place()
        log.msg(f"{prefix_of(self.program())} starting on {self._realPortNumber!r}")
        super().started()   # type: ignore[safe-super]   # of the family that comes next

    def stopped(self) -> None:
        log.msg(f"({self._type} Port {self._realPortNumber} Closed)")
        super().stopped()   # type: ignore[safe-super]

    def place(self) -> Any:
        """The number or path that it listens on."""
        return self.getHost().port

    def connectionLost(self, reason: Any = None) -> None:
        """Stop now. Raises what the program does when it is told."""
        if self.channel is not None:
            self._close()
            self.stopped()

    def _has_stopped(self, stopped: Any) -> None:
        """What the program raises goes to the Deferred of stopListening()."""
        if self._stopping is stopped:
            self._stopping = None
        try:
            self.stopped()
        except Exception as error:
            stopped.errback(self.reactor.kit.failure(error))
        else:
            stopped.callback(None)

    @property
    def disconnected(self) -> bool:
        """Whether it does not listen."""
        return not self.connected

    @property
    def socket(self) -> SocketChannel | None:
        """The socket; None while it does not listen."""
        return self.channel

    def fileno(self) -> int:
        """The number of the socket's descriptor; -1 while it does not listen."""
        return -1 if self.channel is None else self.channel.fileno()

    def logPrefix(self) -> str:
        """What the log calls it."""
        return f"{prefix_of(self.program())} ({self._type})"


class _Counting(_Logged, Listener):
    """What ports that accept connections have. sessionno: how many they have accepted."""

    sessionno = 0

    def make_stream(self, channel: SocketChannel, peer: Any) -> Any:
        stream: Any = super().make_stream(channel, peer)   # type: ignore[safe-super]
        stream.sessionno = self.sessionno
        self.sessionno += 1
        return stream

    def program(self) -> Any:
        return self.factory


class TwistedPort(_Counting, Port):
    """A TCP port; its Binding says whether addresses are reused, nothing else does."""

    _type = "TCP"

    def set_options(self, channel: SocketChannel) -> None:
        self._binding.options(channel)


class TwistedTLSPort(TwistedPort, TLSPort):
    """A TCP port for our own TLS."""

    _type = "TLS"


class TwistedUDPPort(_Logged, UDPPort):
    """A UDP port."""

    _type = "UDP"

    def program(self) -> Any:
        return self.protocol


class TwistedMulticastPort(TwistedUDPPort, MulticastPort):
    """A UDP port that may join groups."""


class _Path(_Logged):
    """What ports on UNIX sockets have. Twisted removes the file a turn after stopListening(), not within it."""

    _type = "UNIX"

    def place(self) -> Any:
        return os.fsdecode(self.getHost().name or b"")

    def __repr__(self) -> str:
        where = f"on {self.place()!r}" if self.connected else "(not listening)"
        return f"<{qual(type(self.program()))} {where}>"

    def stopListening(self) -> Any:
        """As ListeningPort.stopListening(), a turn later."""
        if self.channel is None or self._stopping is not None:
            return super().stopListening()
        self.channel.want(0)
        self._stopping = stopping = self.reactor.kit.deferred()
        self.reactor.callLater(0, self._stop, stopping)
        return stopping

    def _stop(self, stopping: Any) -> None:
        if self._stopping is stopping:   # the reactor has not been shut down meanwhile
            self._close()
            self._has_stopped(stopping)


class TwistedUNIXPort(_Counting, _Path, UNIXPort):
    """A UNIX port."""


class TwistedUNIXDatagramPort(_Path, UNIXDatagramPort):
    """A UNIX datagram port."""

    def program(self) -> Any:
        return self.protocol


class TwistedConnectedUNIXDatagramPort(TwistedUNIXDatagramPort, ConnectedUNIXDatagramPort):
    """A UNIX datagram port that is connected."""


class Pending(NamedTuple):
    """The transport of a connector that connects. socket: which one does; logstr: what the log calls it."""

    socket: SocketChannel
    logstr: str = "Uninitialized"


class TwistedTCPConnector(TCPConnector):
    """A TCP connector, whose transport is there, with a socket, as soon as there is an address to connect to."""

    _stream: Any = None

    @property
    def transport(self) -> Any:
        """The stream; what stands for it while it connects; None else."""
        connecting = self._attempt.sockets() if isinstance(self._attempt, Race) else ()
        return Pending(connecting[0]) if connecting else self._stream

    @transport.setter
    def transport(self, stream: Any) -> None:
        self._stream = stream


class TwistedTLSConnector(TwistedTCPConnector, TLSConnector):
    """A TCP connector for our own TLS."""
