"""The exceptions that programs see, and the one table from errno to exception.

Names and constructor arguments are those of twisted.internet.error, so that a kit may supply that module
instead of this one.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

__all__ = [
    "AlreadyCalled",
    "AlreadyCancelled",
    "AlreadyListened",
    "BadFileError",
    "BindError",
    "CannotListenError",
    "CertificateError",
    "ConnectBindError",
    "ConnectError",
    "ConnectingCancelledError",
    "ConnectionAborted",
    "ConnectionClosed",
    "ConnectionDone",
    "ConnectionFdescWentAway",
    "ConnectionLost",
    "ConnectionRefusedError",
    "ConnectionTruncated",
    "DNSLookupError",
    "FileDescriptorOverrun",
    "InvalidAddressError",
    "MessageLengthError",
    "MulticastJoinError",
    "NoProtocol",
    "NoRouteError",
    "NotConnectingError",
    "NotListeningError",
    "ProcessDone",
    "ProcessExitedAlready",
    "ProcessTerminated",
    "ReactorAlreadyInstalledError",
    "ReactorAlreadyRunning",
    "ReactorNotAvailableError",
    "ReactorNotRestartable",
    "ReactorNotRunning",
    "SSLError",
    "ServiceNameUnknownError",
    "TCPTimedOutError",
    "TLSError",
    "TimeoutError",
    "UnknownHostError",
    "UnsupportedAddressFamily",
    "UnsupportedSocketType",
    "UserError",
    "getConnectError",
]


class BindError(Exception):
    """An address could not be bound."""


class CannotListenError(BindError):
    """A port could not listen.

    interface: the address asked for ('' means all); port: its number or path; socketError: the OSError.
    """

    def __init__(self, interface: str | None, port: int | str, socketError: BaseException) -> None:
        super().__init__(interface, port, socketError)
        self.interface = interface
        self.port = port
        self.socketError = socketError

    def __str__(self) -> str:
        where = f"{_bracketed(self.interface or 'any')}:{self.port}" if isinstance(self.port, int) else self.port
        return f"{where}: {_reason(self.socketError)}{_advice(self.socketError, self.port)}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


_HAS_IT_ALONE = 10013   # WSAEACCES of bind(): another socket has the address, and with SO_EXCLUSIVEADDRUSE


def _advice(error: BaseException, port: int | str) -> str:
    if not isinstance(port, int):
        return ""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE or getattr(error, "winerror", None) == _HAS_IT_ALONE:
        return " (another socket listens there; use port 0 for any free one, or reusePort to share it)"
    if number == errno.EACCES and 0 < port < 1024:
        return " (ports below 1024 need CAP_NET_BIND_SERVICE or root)"
    if number == errno.EADDRNOTAVAIL:
        return " (no interface of this machine has that address)"
    return ""


class ConnectError(Exception):
    """A connection could not be made. osError: the system's error number or exception; string: what happened."""

    summary = "the connection failed"

    def __init__(self, osError: Any = None, string: str = "") -> None:
        super().__init__(osError, string)
        self.osError = osError

    def __str__(self) -> str:
        detail = self.args[1] or (str(self.osError) if self.osError is not None else "")
        return f"{self.summary}: {detail}" if detail else self.summary


class ConnectBindError(ConnectError):
    """The local address of a connection could not be bound."""

    summary = "the local address could not be bound"


class UnknownHostError(ConnectError):
    """The host's name is not known."""

    summary = "unknown host"


class NoRouteError(ConnectError):
    """No route leads to the host."""

    summary = "no route to the host"


class ConnectionRefusedError(ConnectError):
    """Nobody listens there."""

    summary = "the connection was refused"


class TCPTimedOutError(ConnectError):
    """The system gave up on the connection."""

    summary = "the system timed out"


class BadFileError(ConnectError):
    """The file of the connection, its descriptor or its lock, is not valid."""

    summary = "bad file"


class ServiceNameUnknownError(ConnectError):
    """A port that was given by name is not known."""

    summary = "unknown service"


class UserError(ConnectError):
    """The program itself gave up on the connection."""

    summary = "the program gave up"


class TimeoutError(UserError):
    """It took longer than the program allowed."""

    summary = "timed out"


class SSLError(ConnectError):
    """TLS failed."""

    summary = "TLS failed"


class DNSLookupError(OSError):
    """A name could not be resolved."""


class ConnectingCancelledError(Exception):
    """The Deferred of a connection attempt was cancelled. address: where it was going."""

    def __init__(self, address: object) -> None:
        super().__init__(address)
        self.address = address


class NoProtocol(Exception):
    """A factory returned no protocol for a connection that was made."""


class ConnectionClosed(Exception):
    """A connection ended; base of the reasons for it."""


class ConnectionLost(ConnectionClosed):
    """The connection ended in another way than by an orderly close."""

    def __str__(self) -> str:
        return _sentence("the connection was lost", self.args)


class ConnectionAborted(ConnectionLost):
    """abortConnection() ended the connection."""

    def __str__(self) -> str:
        return _sentence("the connection was aborted", self.args)


class TLSError(ConnectionLost):
    """TLS failed, on either side."""

    def __str__(self) -> str:
        return _sentence("TLS failed", self.args)


class CertificateError(TLSError):
    """The peer's certificate was not accepted; the text says whose it is, and why."""


class ConnectionTruncated(TLSError):
    """The connection ended without TLS's end (close_notify): what came may have been cut short by somebody else."""

    def __str__(self) -> str:
        return _sentence("the connection was cut short", self.args)


class ConnectionDone(ConnectionClosed):
    """The connection was closed in an orderly way."""

    def __str__(self) -> str:
        return _sentence("the connection was closed cleanly", self.args)


class ConnectionFdescWentAway(ConnectionLost):
    """The descriptor of the connection was closed behind the reactor's back."""

    def __str__(self) -> str:
        return _sentence("the descriptor was closed behind the reactor's back", self.args)


class ProcessDone(ConnectionDone):
    """A child process ended with exit code 0. status: as of waitpid(2)."""

    exitCode = 0
    signal = None

    def __init__(self, status: int | None) -> None:
        super().__init__()
        self.status = status

    def __str__(self) -> str:
        return "the process ended with exit code 0"


class ProcessTerminated(ConnectionLost):
    """A child process ended in another way.

    exitCode: None if a signal ended it; signal: its number, None if it exited; status: as of waitpid(2). All three are
    None if somebody else has reaped the child, so that nobody can tell.
    """

    def __init__(self, exitCode: int | None = None, signal: int | None = None, status: int | None = None) -> None:
        super().__init__()
        self.exitCode = exitCode
        self.signal = signal
        self.status = status

    def __str__(self) -> str:
        if self.signal is not None:
            return f"the process was ended by signal {self.signal}"
        if self.exitCode is not None:
            return f"the process ended with exit code {self.exitCode}"
        return "the process ended in a way that is not known"


class ProcessExitedAlready(Exception):
    """The child process has exited, so nothing can be done to it."""


class FileDescriptorOverrun(ConnectionLost):
    """More descriptors were sent than bytes to carry them. Ours wait for bytes; kept for programs that catch it."""

    def __str__(self) -> str:
        return _sentence("more descriptors than bytes were sent over a UNIX socket", self.args)


def _sentence(start: str, details: tuple[object, ...]) -> str:
    return ": ".join([start, *map(str, details)])


class AlreadyCalled(ValueError):
    """A delayed call was to be changed that has already run."""


class AlreadyCancelled(ValueError):
    """A delayed call was to be changed that has been cancelled."""


class NotConnectingError(RuntimeError):
    """The connector is not connecting."""


class NotListeningError(RuntimeError):
    """The port is not listening."""


class AlreadyListened(Exception):
    """The endpoint or port has been listened on already."""


class ReactorNotRunning(RuntimeError):
    """The reactor is not running, or is stopping already."""


class ReactorNotRestartable(RuntimeError):
    """The reactor cannot be run again. Ours can; the name is kept for programs that catch it."""


class ReactorAlreadyRunning(RuntimeError):
    """run() was called while the reactor runs."""


class ReactorAlreadyInstalledError(AssertionError):
    """Another reactor has been installed already."""


class ReactorNotAvailableError(ImportError):
    """A reactor lacks its toolkit or kernel interface here; the message says what to do."""


class UnsupportedAddressFamily(Exception):
    """The socket has a family that the reactor does not serve."""


class UnsupportedSocketType(Exception):
    """The socket has a type that the reactor does not serve here."""


class InvalidAddressError(ValueError):
    """An address is not valid. address: what was given; message: why it is not valid."""

    def __init__(self, address: object, message: str) -> None:
        super().__init__(address, message)
        self.address = address
        self.message = message

    def __str__(self) -> str:
        return f"{self.address}: {self.message}"


class MessageLengthError(Exception):
    """A message is longer than allowed."""


class MulticastJoinError(Exception):
    """A multicast group could not be joined or left."""


_CONNECT_ERRORS = {
    errno.ENETUNREACH: "NoRouteError",
    errno.EHOSTUNREACH: "NoRouteError",
    errno.ECONNREFUSED: "ConnectionRefusedError",
    errno.ETIMEDOUT: "TCPTimedOutError",
    errno.EBADF: "BadFileError",
}
_WINSOCK = {"WSAECONNREFUSED": "ConnectionRefusedError", "WSAENETUNREACH": "NoRouteError",
            "WSAEHOSTUNREACH": "NoRouteError", "WSAETIMEDOUT": "TCPTimedOutError"}
_CONNECT_ERRORS |= {getattr(errno, name): kind for name, kind in _WINSOCK.items() if hasattr(errno, name)}


def getConnectError(e: Any) -> ConnectError:
    """The ConnectError for `e`, an OSError or a pair of its number and text; Twisted's."""
    error = e if isinstance(e, BaseException) else OSError(*e)
    number, text = (error.errno, error.strerror) if isinstance(error, OSError) else (None, None)
    found: ConnectError = globals()[_connect_kind(error)](number, text or str(error))
    return found


def connect_error(error: OSError, where: str) -> ConnectError:
    """The ConnectError for a connection to `where` that failed with `error`."""
    reason = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    found: ConnectError = globals()[_connect_kind(error)](error.errno, f"{where}: {reason.lower()}")
    found.__cause__ = error
    return found


def _connect_kind(error: BaseException) -> str:
    """The name of the error for a connection that failed with `error`."""
    if isinstance(error, socket.gaierror):
        return "UnknownHostError"
    number = error.errno if isinstance(error, OSError) else None
    return _CONNECT_ERRORS.get(number or 0, "ConnectError")
