"""The listener: what every listening stream socket does, whatever its address family.

* Connections are accepted in bursts that grow while they are all used and shrink to what was there, so that
  neither a busy nor a quiet port pays for an accept that fails.
* Out of descriptors (EMFILE, ENFILE) a level-triggered listener would spin. One descriptor is held in reserve: it is
  given up to accept and close the waiting connections, whose peers then know. Where that does not help, the listener
  rests for a moment and goes on by itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from abc import ABC, abstractmethod
from typing import Any

from ropewalk.interfaces import INVALID, READ, Loop
from ropewalk.transports.channel import SocketChannel, accept
from ropewalk.transports.stream import Stream

_LARGEST_BURST = 100
_REST = 0.2   # seconds
_ERROR = 40   # logging's level
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PASSING = {errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.EINTR, errno.ECONNRESET}


class Listener(ABC):
    """A listening port: makes a transport and a protocol for each connection.

    loop: the reactor; factory: a ServerFactory; backlog: how many connections the system keeps waiting.
    """

    family = socket.AF_UNSPEC

    def __init__(self, loop: Loop, factory: Any, backlog: int) -> None:
        self.reactor = loop
        self.factory = factory
        self.backlog = backlog
        self.channel: SocketChannel | None = None
        self._burst = 1
        self._reserve = -1
        self._resting = False
        self._stopping: Any = None

    # -- what a family supplies

    @abstractmethod
    def bind(self) -> SocketChannel:
        """A socket bound to the address, attached to this listener. Raises OSError."""

    @abstractmethod
    def cannot_listen(self, error: OSError) -> Exception:
        """The CannotListenError for `error`."""

    @abstractmethod
    def peer_address(self, peer: Any) -> Any:
        """The address object of a peer."""

    @abstractmethod
    def make_stream(self, channel: SocketChannel, peer: Any) -> Stream:
        """The transport of an accepted connection, attached."""

    @abstractmethod
    def getHost(self) -> Any:
        """The address it listens on."""

    # -- listening

    @property
    def connected(self) -> bool:
        """Whether it listens."""
        return self.channel is not None

    def startListening(self) -> None:
        """Bind and listen. Raises CannotListenError. Twisted's IListeningPort.startListening."""
        if self.channel is not None:
            raise self.reactor.kit.error.AlreadyListened(f"{self!r} listens already")
        channel = None
        try:
            channel = self.bind()
            channel.listen(self.backlog)
            channel.want(READ)
        except OSError as error:
            if channel is not None:
                channel.close()
            raise self.cannot_listen(error) from error
        self.channel = channel
        self._hold_reserve()
        self.reactor.transports.add(self)
        try:
            self.factory.doStart()
        except BaseException:
            self._close()
            raise

    def stopListening(self) -> Any:
        """Stop; established connections stay. Returns a Deferred that fires when it has stopped.

        Twisted's IListeningPort.stopListening.
        """
        if self.channel is None and self._stopping is not None:
            return self._stopping
        stopped = self.reactor.kit.deferred()
        if self.channel is None:
            stopped.callback(None)
        else:
            self._stopping = stopped
            self._close()
            self.reactor.callLater(0, self._has_stopped, stopped)
        return stopped

    loseConnection = stopListening

    def drop(self, reason: Exception) -> None:
        """The reactor shuts down, or the port cannot go on: close now."""
        if self.channel is not None:
            self._close()
            self._has_stopped(self.reactor.kit.deferred())

    def _close(self) -> None:
        assert self.channel is not None
        self.channel.close()
        self.channel = None
        self._drop_reserve()
        self.reactor.transports.discard(self)

    def _has_stopped(self, stopped: Any) -> None:
        if self._stopping is stopped:
            self._stopping = None
        try:
            self.factory.doStop()
        except Exception as error:
            self.reactor.kit.report(error, "doStop failed", self.factory)
        stopped.callback(None)

    # -- accepting

    def ready(self, mask: int) -> None:
        """Accept what is waiting."""
        channel = self.channel
        if channel is None:
            return
        if mask & INVALID:
            self._went_away(channel)
            return
        for taken in range(self._burst):
            try:
                connection, peer = accept(channel, self.family)
            except BlockingIOError:
                self._burst = max(1, taken)
                return
            except OSError as error:
                self._accept_failed(channel, error)
                return
            self._serve(connection, peer)
            if self.channel is not channel:
                return
        self._burst = min(self._burst * 2, _LARGEST_BURST)

    def _serve(self, connection: SocketChannel, peer: Any) -> None:
        protocol = None
        try:
            protocol = self.factory.buildProtocol(self.peer_address(peer))
        except Exception as error:
            self.reactor.kit.report(error, "buildProtocol failed; the connection is closed", self.factory)
        if protocol is None:
            socket.socket.close(connection)
            return
        self.make_stream(connection, peer).start(protocol)

    def _accept_failed(self, channel: SocketChannel, error: OSError) -> None:
        if error.errno in _EXHAUSTED:
            self.reactor.kit.log(_ERROR, f"{self!r} cannot accept: {error.strerror}; raise the limit (ulimit -n)")
            if not self._turn_away(channel):
                self._rest(channel)
        elif error.errno not in _PASSING:
            self.reactor.kit.report(error, "a port could not accept; it is closed", self)
            self.drop(error)

    def _turn_away(self, channel: SocketChannel) -> bool:
        """Accept and close what waits, on the descriptor held in reserve; whether that worked."""
        self._drop_reserve()
        for _ in range(_LARGEST_BURST):
            try:
                connection, _peer = accept(channel, self.family)
            except OSError as error:
                self._hold_reserve()
                return self._reserve >= 0 and error.errno not in _EXHAUSTED
            socket.socket.close(connection)
        self._hold_reserve()
        return self._reserve >= 0

    def _hold_reserve(self) -> None:
        with contextlib.suppress(OSError):
            self._reserve = os.open(os.devnull, os.O_RDONLY)

    def _drop_reserve(self) -> None:
        reserve, self._reserve = self._reserve, -1
        if reserve >= 0:
            os.close(reserve)

    def _rest(self, channel: SocketChannel) -> None:
        channel.want(0)
        self.reactor.callLater(_REST, self._wake_up, channel)

    def _wake_up(self, channel: SocketChannel) -> None:
        if self.channel is not channel:
            return
        if self._reserve < 0:
            self._hold_reserve()
        channel.want(READ)

    def _went_away(self, channel: SocketChannel) -> None:
        channel.leave()
        self.channel = None
        self._drop_reserve()
        self.reactor.transports.discard(self)
        lost = self.reactor.kit.error.ConnectionFdescWentAway()
        self.reactor.kit.report(lost, "a port cannot go on; it is closed", self)
        self._has_stopped(self.reactor.kit.deferred())
