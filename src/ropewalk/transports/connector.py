"""The connector: a client factory's connection, from the attempt to the loss, as often as the factory wants it.

The behaviour, and the names, are those of Twisted's IConnector and ClientFactory.
"""

from __future__ import annotations

import enum
import socket
from abc import ABC, abstractmethod
from typing import Any

from ropewalk.interfaces import Loop
from ropewalk.transports.channel import SocketChannel
from ropewalk.transports.race import Target
from ropewalk.transports.stream import Stream


class ConnectorState(enum.StrEnum):
    """Where a connector stands."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"


class Connector(ABC):
    """Connects a ClientFactory; base of the connectors of each address family.

    timeout: seconds for the whole attempt, name resolution included; None for no limit.
    """

    def __init__(self, loop: Loop, factory: Any, timeout: float | None) -> None:
        self.reactor = loop
        self.factory = factory
        self.timeout = timeout
        self.state = ConnectorState.DISCONNECTED
        self.transport: Stream | None = None
        self._timer: Any = None
        self._factory_started = False

    # -- what a family supplies

    @abstractmethod
    def begin(self) -> None:
        """Start to connect; connection_made() or connection_failed() follows, later."""

    @abstractmethod
    def abandon(self) -> None:
        """Give up what begin() started."""

    @abstractmethod
    def make_stream(self, channel: SocketChannel, target: Target) -> Stream:
        """The transport of `channel`, which is connected to `target`."""

    @abstractmethod
    def getDestination(self) -> Any:
        """The address it connects to."""

    # -- IConnector

    def connect(self) -> None:
        """Connect, again too. Raises RuntimeError unless it is disconnected."""
        if self.state is not ConnectorState.DISCONNECTED:
            raise RuntimeError(f"{self!r} cannot connect: it is {self.state}")
        if self.timeout is not None:
            self._timer = self.reactor.callLater(self.timeout, self._timed_out)
        try:
            self._start_factory()
        except BaseException:
            self._stop_timer()
            raise
        self.state = ConnectorState.CONNECTING
        self.reactor.transports.add(self)
        try:
            self.factory.startedConnecting(self)
        except Exception as error:
            self.reactor.kit.report(error, "startedConnecting failed", self.factory)
        if self.state is ConnectorState.CONNECTING:
            self.begin()

    def _start_factory(self) -> None:
        if not self._factory_started:
            self.factory.doStart()
            self._factory_started = True

    def disconnect(self) -> None:
        """Give up the attempt, or close the connection, whichever there is."""
        if self.state is ConnectorState.CONNECTING:
            self.stopConnecting()
        elif self.state is ConnectorState.CONNECTED and self.transport is not None:
            self.transport.loseConnection()

    def stopConnecting(self) -> None:
        """Give up the attempt: the factory is told UserError. Raises NotConnectingError if there is none."""
        if self.state is not ConnectorState.CONNECTING:
            raise self.reactor.kit.error.NotConnectingError(f"{self!r} is not connecting")
        self.abandon()
        self.connection_failed(self.reactor.kit.error.UserError())

    def drop(self, reason: Exception) -> None:
        """The reactor shuts down: give up the attempt, if it still lasts, because of `reason`."""
        if self.state is ConnectorState.CONNECTING:
            self.abandon()
            self.connection_failed(reason)

    # -- what happened

    def connection_made(self, channel: SocketChannel, target: Target) -> None:
        """`channel` is connected to `target`: the factory makes its protocol."""
        self._attempt_ended()
        self.state = ConnectorState.CONNECTED
        stream = self.make_stream(channel, target)
        protocol: Any = None
        reason: Exception = self.reactor.kit.error.NoProtocol(f"{self.factory!r} built none")
        try:
            protocol = self.factory.buildProtocol(stream.getPeer())
        except Exception as error:
            self.reactor.kit.report(error, "buildProtocol failed; the connection is closed", self.factory)
            reason = error
        if protocol is None:
            stream.channel.close()
            self.connection_lost(self.reactor.kit.failure(reason))
            return
        self.transport = stream
        stream.start(protocol)

    def connection_failed(self, error: Exception) -> None:
        """The attempt failed with `error`."""
        self._attempt_ended()
        self.state = ConnectorState.DISCONNECTED
        self._tell("clientConnectionFailed", self.reactor.kit.failure(error))

    def connection_lost(self, reason: Any) -> None:
        """The connection ended for `reason`, a failure; the protocol knows."""
        self.state = ConnectorState.DISCONNECTED
        self.transport = None
        self._tell("clientConnectionLost", reason)

    def _tell(self, method: str, reason: Any) -> None:
        """Tell the factory, which may connect again; if it does not, it has stopped."""
        try:
            getattr(self.factory, method)(self, reason)
        except Exception as error:
            self.reactor.kit.report(error, f"{method} failed", self.factory)
        if self.state is not ConnectorState.DISCONNECTED or not self._factory_started:
            return
        self._factory_started = False
        try:
            self.factory.doStop()
        except Exception as error:
            self.reactor.kit.report(error, "doStop failed", self.factory)

    def _timed_out(self) -> None:
        self.abandon()
        text = f"{self.getDestination()} did not answer in {self.timeout} seconds"
        self.connection_failed(self.reactor.kit.error.TimeoutError(None, text))

    def _attempt_ended(self) -> None:
        self.reactor.transports.discard(self)
        self._stop_timer()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} to {self.getDestination()}, {self.state}>"


def service_port(port: int | str, kit: Any) -> int:
    """The number of `port`, which may be a service's name. Raises the kit's ServiceNameUnknownError."""
    if isinstance(port, int):
        return port
    try:
        return socket.getservbyname(port, "tcp")
    except OSError as error:
        unknown: Exception = kit.error.ServiceNameUnknownError(None, f"{error} ({port!r})")
        raise unknown from error
