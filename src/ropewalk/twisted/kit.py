"""Twisted's kit: the reactor speaks to programs in Twisted's failures, Deferreds, addresses, errors and log."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import getConnectError
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from ropewalk.interfaces import Sockaddr, T
from ropewalk.internet.kit import described
from ropewalk.twisted.errors import NAMESPACE
from ropewalk.twisted.variants import VARIANTS

_LEVELS = {10: LogLevel.debug, 20: LogLevel.info, 30: LogLevel.warn, 40: LogLevel.error}   # of the logging module
_log = Logger("ropewalk")


class TwistedKit:
    """See ropewalk.interfaces.Kit."""

    error: Any = NAMESPACE
    deferred: Callable[..., Any] = staticmethod(Deferred)

    def failure(self, exception: BaseException) -> Any:
        return Failure(exception, type(exception), exception.__traceback__)

    def is_deferred(self, value: object) -> bool:
        return isinstance(value, Deferred)

    def address(self, kind: str, family: int, sockaddr: Sockaddr) -> Any:
        if family == socket.AF_INET:
            return IPv4Address(kind, sockaddr[0], sockaddr[1])
        if family == socket.AF_INET6:
            return IPv6Address(kind, _with_zone(*sockaddr), *sockaddr[1:])
        return UNIXAddress(os.fsencode(sockaddr) or None)   # type: ignore[arg-type]   # a tuple is no name

    def connect_error(self, error: OSError, where: str) -> Any:
        if isinstance(error, socket.gaierror):   # of a literal address
            return error
        found = getConnectError((error.errno, error.strerror or str(error)))
        found.__cause__ = error
        return found

    def variant(self, ours: type[T]) -> type[T]:
        found: type[T] = VARIANTS.get(ours, ours)
        return found

    def half_closeable(self, protocol: Any) -> Any:
        return IHalfCloseableProtocol(protocol, None)

    def log(self, level: int, message: str) -> None:
        _log.emit(_LEVELS[level], "{message}", message=message)

    def report(self, exception: BaseException, why: str, culprit: object = None) -> None:
        # Not `why`: Twisted's older observers print the field of that name instead of the whole text.
        _log.failure("{what}: {culprit}", self.failure(exception), what=why, culprit=described(culprit))


def _with_zone(host: str, port: int, flow: int = 0, scope: int = 0) -> str:
    """`host`, with the name of its interface if it is a link-local one."""
    if not scope or "%" in host:
        return host
    try:
        return f"{host}%{socket.if_indextoname(scope)}"
    except OSError:
        return f"{host}%{scope}"


KIT = TwistedKit()
