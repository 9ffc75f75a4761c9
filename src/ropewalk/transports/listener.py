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
from abc import abstractmethod
from typing import Any

from ropewalk.interfaces import INVALID, READ, Loop
from ropewalk.transports.channel import SocketChannel, accept
from ropewalk.transports.port import ListeningPort
from ropewalk.transports.stream import Stream

_LARGEST_BURST = 100
_REST = 0.2   # seconds
_ERROR = 40   # logging's level
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
# Linux gives an error that a new connection has already to who accepts it: accept(2).
_PASSING = {
    errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.EINTR, errno.ECONNRESET, errno.ENETDOWN, errno.ENOPROTOOPT,
    errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, getattr(errno, "EHOSTDOWN", errno.EPROTO),
    getattr(errno, "ENONET", errno.EPROTO),
}  # fmt: skip


class Listener(ListeningPort):
    """A port that accepts connections: makes a transport and a protocol for each.

    loop: the reactor; factory: a ServerFactory; backlog: how many connections the system keeps waiting; adopted: a
    socket that listens already, or is bound, to be used instead of a new one.
    """

    family: int = socket.AF_UNSPEC

    def __init__(self, loop: Loop, factory: Any, backlog: int, adopted: SocketChannel | None = None) -> None:
        super().__init__(loop, adopted)
        self.factory = factory
        self.backlog = backlog
        self._burst = 1
        self._reserve = -1

    # -- what a family supplies

    @abstractmethod
    def peer_address(self, peer: Any) -> Any:
        """The address object of a peer."""

    @abstractmethod
    def make_stream(self, channel: SocketChannel, peer: Any) -> Stream:
        """The transport of an accepted connection, attached."""

    # -- listening

    def started(self) -> None:
        self._hold_reserve()
        self.factory.doStart()

    def stopped(self) -> None:
        self.factory.doStop()

    def released(self) -> None:
        self._drop_reserve()

    # -- accepting

    def ready(self, mask: int) -> None:
        """Accept what is waiting."""
        channel = self.channel
        if channel is None:
            return
        if mask & INVALID:
            self.went_away()
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
