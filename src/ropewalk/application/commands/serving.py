"""What the commands that listen share: endpoints by their strings, and standard input and output as one of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import click

from ropewalk.application.exits import CommandFailed, Exit
from ropewalk.application.internet import StreamServerEndpointService
from ropewalk.application.service import Service
from ropewalk.internet import base
from ropewalk.internet.endpoints import StandardIOEndpoint, clientFromString, serverFromString
from ropewalk.internet.error import ConnectionDone, ReactorNotRunning
from ropewalk.protocols.wrapping import ProtocolWrapper, WrappingFactory


def serving(listen: str, factory: Any) -> Any:
    """The service that listens at the endpoint `listen` with the protocols of `factory`. Raises click.UsageError."""
    endpoint = _endpoint(serverFromString, listen)
    if isinstance(endpoint, StandardIOEndpoint):
        return _StandardIOService(endpoint, factory)
    return StreamServerEndpointService(endpoint, factory)


def destination(dest: str) -> Any:
    """The endpoint `dest` to connect to. Raises click.UsageError."""
    return _endpoint(clientFromString, dest)


def _endpoint(parse: Callable[[Any, str], Any], description: str) -> Any:
    try:
        return parse(base.current(), description)
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error


class _OnlyConnection(ProtocolWrapper):
    """The connection of standard input and output, with which the command ends."""

    def connectionLost(self, reason: Any) -> None:
        super().connectionLost(reason)
        self.factory.over(reason)


class _OnlyConnections(WrappingFactory):
    """Wraps the one protocol of `wrappedFactory`. over: called with the reason for which the connection is lost."""

    protocol = _OnlyConnection

    def __init__(self, wrappedFactory: Any, over: Callable[[Any], object]) -> None:
        super().__init__(wrappedFactory)
        self.over = over


class _StandardIOService(Service):
    """Serves the one connection of standard input and output to its end, and ends the reactor with it."""

    def __init__(self, endpoint: StandardIOEndpoint, factory: Any) -> None:
        self._endpoint = endpoint
        self._factory = factory
        self.failure: Exception | None = None

    def startService(self) -> None:
        super().startService()
        base.current().callWhenRunning(self._connect)

    def _connect(self) -> None:
        self._endpoint.listen(_OnlyConnections(self._factory, self._over)).addErrback(self._over)

    def _over(self, reason: Any) -> None:
        if not reason.check(ConnectionDone) and not isinstance(reason.value.__cause__, BrokenPipeError):
            self.failure = CommandFailed(f"standard input and output: {reason.value}", Exit.IO)
        with contextlib.suppress(ReactorNotRunning):   # it is lost because a signal has stopped the reactor
            base.current().stop()
