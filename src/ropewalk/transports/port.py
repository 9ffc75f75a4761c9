"""The life of a listening port, whatever it listens for: from bind to the last word to the program."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from typing import Any

from ropewalk.interfaces import READ, Loop
from ropewalk.transports.channel import SocketChannel


class ListeningPort(ABC):
    """Twisted's IListeningPort; base of the ports that accept connections and of those that receive datagrams.

    loop: the reactor; adopted: a socket that is bound already, to be used at the first start instead of a new one.
    """

    def __init__(self, loop: Loop, adopted: SocketChannel | None = None) -> None:
        self.reactor = loop
        self.channel: SocketChannel | None = None
        self._adopted = adopted
        self._stopping: Any = None

    # -- what a family supplies

    @abstractmethod
    def bind(self) -> SocketChannel:
        """A new socket that is bound and ready to be watched, attached to this port. Raises OSError."""

    @abstractmethod
    def cannot_listen(self, error: OSError) -> Exception:
        """The CannotListenError for `error`."""

    @abstractmethod
    def started(self) -> None:
        """It listens: tell the program."""

    @abstractmethod
    def stopped(self) -> None:
        """It does not listen any more: tell the program."""

    @abstractmethod
    def ready(self, mask: int) -> None:
        """The poller's report."""

    @abstractmethod
    def getHost(self) -> Any:
        """The address it listens on."""

    def succeed(self, before: Any) -> SocketChannel:
        """As bind(), but a duplicate of the socket of `before`, a port of this kind that listens in the same place."""
        handle = before.channel
        channel: SocketChannel = type(handle)(
            handle.family, handle.type, handle.proto, fileno=socket.dup(handle.fileno())
        )
        channel.setblocking(False)
        channel.attach(self.reactor, self)
        return channel

    def released(self) -> None:
        """The socket is closed: give back what came with it."""

    # -- IListeningPort

    @property
    def connected(self) -> bool:
        """Whether it listens."""
        return self.channel is not None

    def startListening(self) -> None:
        """Bind and listen. Raises CannotListenError. Twisted's IListeningPort.startListening."""
        if self.channel is not None:
            raise self.reactor.kit.error.AlreadyListened(f"{self!r} listens already")
        try:
            self.channel = self._adopted or self.bind()
            self._adopted = None
            self.channel.want(READ)
        except OSError as error:
            if self.channel is not None:
                self._close()
            raise self.cannot_listen(error) from error
        self.reactor.transports.add(self)
        try:
            self.started()
        except BaseException:
            if self.channel is not None:   # the program may have stopped it
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

    def getHandle(self) -> SocketChannel | None:
        """The socket itself; None while it does not listen. Twisted's ISystemHandle."""
        return self.channel

    def drop(self, reason: Exception) -> None:
        """The reactor shuts down, or the port cannot go on: close now."""
        if self.channel is not None:
            self._close()
            self._has_stopped(self.reactor.kit.deferred())

    def went_away(self) -> None:
        """The descriptor was closed behind the reactor's back."""
        assert self.channel is not None
        self.channel.leave()
        self.channel = None
        self._forget()
        lost = self.reactor.kit.error.ConnectionFdescWentAway()
        self.reactor.kit.report(lost, "a port cannot go on; it is closed", self)
        self._has_stopped(self.reactor.kit.deferred())

    def _close(self) -> None:
        assert self.channel is not None
        self.channel.close()
        self.channel = None
        self._forget()

    def _forget(self) -> None:
        self.reactor.transports.discard(self)
        try:
            self.released()
        except (OSError, ValueError) as error:
            self.reactor.kit.report(error, "a port could not clear up after itself", self)

    def _has_stopped(self, stopped: Any) -> None:
        if self._stopping is stopped:
            self._stopping = None
        try:
            self.stopped()
        except Exception as error:
            self.reactor.kit.report(error, "a port stopped, and the program failed when it was told", self)
        stopped.callback(None)
