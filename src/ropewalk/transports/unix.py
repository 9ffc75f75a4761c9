"""UNIX stream sockets: the transports, the listening port and the connector.

A connection is made or refused at once, whether the other end has accepted it or not. Where too many wait to be
accepted Linux says EAGAIN, and there is nothing that would tell when to try again: so that is done with growing pauses.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from ropewalk.interfaces import Loop
from ropewalk.transports.address import UNIX
from ropewalk.transports.channel import SocketChannel, open_socket
from ropewalk.transports.connector import Connector
from ropewalk.transports.listener import Listener
from ropewalk.transports.place import Name, Place, is_held, lock_name, name_of
from ropewalk.transports.race import Target
from ropewalk.transports.rights import RightsChannel
from ropewalk.transports.stream import Stream

_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.1   # seconds
_MANY = 64   # descriptors that wait, after which a producer is paused
_FULL = (errno.EAGAIN, errno.EWOULDBLOCK)
_ERROR = 40   # logging's level


class PeerCredentials(NamedTuple):
    """Who was at the other end of a UNIX socket when it connected."""

    pid: int
    uid: int
    gid: int


class UNIXStream(Stream):
    """The transport of a UNIX connection: Twisted's IUNIXTransport.

    peer: the name of the other end; the other arguments are those of Stream.
    """

    __slots__ = ("_host", "_peer", "_socket")

    def __init__(
        self, loop: Loop, channel: SocketChannel, peer: Any, lost: Callable[[Any], object] | None = None
    ) -> None:
        Stream.__init__(self, loop, channel, lost)
        self._socket = channel
        self._peer = peer
        self._host: Any = None

    def start(self, protocol: Any) -> None:
        if hasattr(protocol, "fileDescriptorReceived"):
            self._rights()
        super().start(protocol)

    def getPeer(self) -> Any:
        """The address of the other end, a UNIXAddress; its name is None for a client that bound none."""
        return self.reactor.kit.address("STREAM", UNIX, self._peer)

    def getHost(self) -> Any:
        """The address of this end, a UNIXAddress."""
        if self._host is None:
            self._host = self._socket.getsockname()
        return self.reactor.kit.address("STREAM", UNIX, self._host)

    def getHandle(self) -> SocketChannel:
        """The socket itself. Twisted's ISystemHandle."""
        return self._socket

    def getPeerCredentials(self) -> PeerCredentials:
        """The process, user and group that the kernel vouches for (SO_PEERCRED, unix(7)).

        Raises OSError where the system does not tell.
        """
        if not hasattr(socket, "SO_PEERCRED"):
            raise OSError(errno.ENOTSUP, "this system has no SO_PEERCRED: it does not say who is at the other end")
        size = struct.calcsize("iII")
        told = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        return PeerCredentials(*struct.unpack("iII", told))

    def sendFileDescriptor(self, descriptor: int) -> None:
        """Give the peer a duplicate of `descriptor`, with the next bytes that are sent; without any it does not travel.

        It arrives before what is written after it. The program may close its own at once. Raises OSError if it is not
        open, or the connection is one of TLS. After the connection was lost nothing happens. Twisted's IUNIXTransport.
        """
        if self.TLS:
            raise OSError(errno.EOPNOTSUPP, "descriptors travel beside the bytes of a socket, not within TLS")
        if self.connected and self._rights().pass_on(descriptor) > _MANY:
            self._pause_producer()

    def getTcpNoDelay(self) -> bool:
        """False: nothing waits in a UNIX socket. It is there for protocols that are made for TCP."""
        return False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Does nothing, as nothing waits."""

    def _rights(self) -> RightsChannel:
        if not isinstance(self.channel, RightsChannel):
            self.channel = RightsChannel(self._socket, self._descriptor_received, self._descriptors_lost)
        return self.channel

    def _descriptor_received(self, descriptor: int) -> bool:
        if self._reading and hasattr(self.protocol, "fileDescriptorReceived"):
            self._call(self.protocol, "fileDescriptorReceived", descriptor)
        else:
            os.close(descriptor)
        return self._reading

    @property
    def _reading(self) -> bool:
        return self.connected and not self.disconnecting

    def _descriptors_lost(self) -> None:
        text = f"{self!r} was sent more descriptors than this process may have open; raise the limit (ulimit -n)"
        self.reactor.kit.log(_ERROR, text)

    def _before_close(self) -> None:
        if self._host is None:   # connectionLost may ask for it
            try:
                self._host = self._socket.getsockname()
            except OSError:
                self._host = ""


class UNIXServer(UNIXStream):
    """The transport of an accepted connection."""

    __slots__ = ()
    accepted = True


class UNIXClient(UNIXStream):
    """The transport of a connection that was made by connectUNIX."""

    __slots__ = ()


class UNIXPort(Listener):
    """A listening UNIX socket: Twisted's IListeningPort.

    address: a path, or a name that begins with a zero byte (abstract, Linux); mode: of the file; wantPID: whether to
    take the lock beside it. The other arguments are those of Listener. Raises ValueError for a path that is none.
    """

    family = UNIX

    def __init__(
        self,
        loop: Loop,
        address: Name,
        factory: Any,
        backlog: int,
        mode: int,
        wantPID: bool,
        adopted: SocketChannel | None = None,
    ) -> None:
        super().__init__(loop, factory, backlog, adopted)
        self._server = loop.kit.variant(UNIXServer)
        self.port = name_of(address)
        self.mode = mode
        self.wantPID = wantPID
        self._place = Place(self.port, mode, wantPID)

    def bind(self) -> SocketChannel:
        channel = open_socket(UNIX, socket.SOCK_STREAM, self.reactor, self)
        try:
            self._place.take(channel)
            channel.listen(self.backlog)
        except BaseException:
            channel.close()
            self._place.release()
            raise
        return channel

    def succeed(self, before: UNIXPort) -> SocketChannel:
        channel = super().succeed(before)
        self._place, before._place = before._place, self._place   # whoever is released last removes the file
        return channel

    def released(self) -> None:
        super().released()
        self._place.release()

    def cannot_listen(self, error: OSError) -> Exception:
        cannot: Exception = self.reactor.kit.error.CannotListenError(None, shown(self.port), error)
        return cannot

    def peer_address(self, peer: Any) -> Any:
        return self.reactor.kit.address("STREAM", UNIX, peer)

    def make_stream(self, channel: SocketChannel, peer: Any) -> UNIXStream:
        stream = self._server(self.reactor, channel, peer)
        channel.attach(self.reactor, stream)
        return stream

    def getHost(self) -> Any:
        """The address it listens on, a UNIXAddress."""
        return self.reactor.kit.address("STREAM", UNIX, self.port)

    def __repr__(self) -> str:
        state = f"on {shown(self.port)}" if self.connected else "not listening"
        return f"<{type(self).__name__} of {type(self.factory).__name__}, {state}>"


class UNIXConnector(Connector):
    """Connects a factory to a UNIX socket: Twisted's IConnector.

    address: its path or abstract name; checkPID: whether to connect only if a living process has the lock beside the
    path. The other arguments are those of Connector.
    """

    def __init__(self, loop: Loop, address: Name, factory: Any, timeout: float | None, checkPID: bool) -> None:
        super().__init__(loop, factory, timeout)
        self.address = name_of(address)
        self.checkPID = checkPID
        self._channel: SocketChannel | None = None
        self._call: Any = None   # what happens next

    def getDestination(self) -> Any:
        return self.reactor.kit.address("STREAM", UNIX, self.address)

    def begin(self) -> None:
        if self.checkPID and not is_held(self.address):
            text = f"{shown(self.address)}: no living process has the lock {shown(lock_name(self.address))}"
            self._soon(self._failed, self.reactor.kit.error.BadFileError(None, text))
            return
        try:
            self._channel = open_socket(UNIX, socket.SOCK_STREAM, self.reactor, self)
            self._try(self._channel, _FIRST_PAUSE)
        except OSError as error:   # no descriptor is left, or the name is too long
            self._soon(self._failed, self.reactor.kit.connect_error(error, shown(self.address)))

    def _try(self, channel: SocketChannel, pause: float) -> None:
        number = channel.connect_ex(self.address)
        if number in _FULL:
            longer = min(pause * 2, _LONGEST_PAUSE)
            self._call = self.reactor.callLater(pause, self._try, channel, longer)
        elif number:
            error = OSError(number, os.strerror(number))
            self._soon(self._failed, self.reactor.kit.connect_error(error, shown(self.address)))
        else:
            self._soon(self._made)

    def _soon(self, call: Callable[..., object], *args: Any) -> None:
        self._call = self.reactor.callLater(0, call, *args)

    def _made(self) -> None:
        channel, self._channel = self._channel, None
        assert channel is not None
        self.connection_made(channel, (UNIX, self.address))

    def _failed(self, error: Exception) -> None:
        self._close()
        self.connection_failed(error)

    def abandon(self) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._close()

    def _close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def make_stream(self, channel: SocketChannel, target: Target) -> UNIXStream:
        stream = self.reactor.kit.variant(UNIXClient)(self.reactor, channel, target[1], self.connection_lost)
        channel.attach(self.reactor, stream)
        return stream

    def ready(self, mask: int) -> None:
        """Nothing is asked of the poller while the connection is being made."""


def shown(name: bytes) -> str:
    """`name` as text for people: an abstract one with the @ that it is customarily shown with."""
    return os.fsdecode(name.replace(b"\0", b"@", 1) if name[:1] == b"\0" else name)
