"""Errors: which one a system's error becomes, and what they say."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from ropewalk import errors
from ropewalk.internet import error as names

TABLE = [
    (OSError(errno.ENETUNREACH, "Network is unreachable"), errors.NoRouteError),
    (OSError(errno.EHOSTUNREACH, "No route to host"), errors.NoRouteError),
    (OSError(errno.ECONNREFUSED, "Connection refused"), errors.ConnectionRefusedError),
    (OSError(errno.ETIMEDOUT, "Connection timed out"), errors.TCPTimedOutError),
    (OSError(errno.EBADF, "Bad file descriptor"), errors.BadFileError),
    (OSError(errno.EPERM, "Operation not permitted"), errors.ConnectError),
    (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), errors.UnknownHostError),
]
each_error = pytest.mark.parametrize(("error", "kind"), TABLE, ids=lambda value: repr(value))


@each_error
def test_a_failed_attempt_becomes_the_error_of_its_number_and_says_where(error: OSError, kind: type) -> None:
    found = errors.connect_error(error, "192.0.2.1:80")
    assert type(found) is kind
    assert isinstance(found, errors.ConnectError)
    assert found.osError == error.errno
    assert str(found) == f"{kind.summary}: 192.0.2.1:80: {error.strerror.lower()}"  # type: ignore[attr-defined]
    assert found.__cause__ is error


def test_an_error_with_a_number_alone_is_told_in_the_systems_words() -> None:
    error = OSError(errno.ECONNREFUSED, None)
    assert os.strerror(errno.ECONNREFUSED).lower() in str(errors.connect_error(error, "there"))


def test_an_error_without_a_number_is_told_in_its_own_words() -> None:
    found = errors.connect_error(OSError("the proxy said no"), "there")
    assert type(found) is errors.ConnectError
    assert str(found) == "the connection failed: there: the proxy said no"


@each_error
def test_getConnectError_gives_the_error_of_the_number(error: OSError, kind: type) -> None:
    found = names.getConnectError(error)
    assert type(found) is kind
    assert (found.osError, found.args[1]) == (error.errno, error.strerror)


def test_getConnectError_takes_a_pair_and_any_exception() -> None:
    assert type(names.getConnectError((errno.ECONNREFUSED, "refused"))) is errors.ConnectionRefusedError
    assert str(names.getConnectError(LookupError("elsewhere"))) == "the connection failed: elsewhere"


@pytest.mark.parametrize(
    ("interface", "port", "number", "text"),
    [
        ("127.0.0.1", 80, errno.EACCES, "127.0.0.1:80: denied (ports below 1024 need CAP_NET_BIND_SERVICE or root)"),
        ("127.0.0.1", 8080, errno.EACCES, "127.0.0.1:8080: denied"),
        ("", 80, errno.EPERM, "any:80: denied"),
        (
            "::1",
            8080,
            errno.EADDRINUSE,
            "[::1]:8080: denied (another socket listens there; use port 0 for any free one, or reusePort to share it)",
        ),
        ("192.0.2.1", 0, errno.EADDRNOTAVAIL, "192.0.2.1:0: denied (no interface of this machine has that address)"),
        (None, "/run/socket", errno.EACCES, "/run/socket: denied"),
    ],
)
def test_a_port_that_cannot_listen_says_where_why_and_what_to_do(
    interface: str | None, port: int | str, number: int, text: str
) -> None:
    assert str(errors.CannotListenError(interface, port, OSError(number, "Denied"))) == text


def test_a_port_that_another_socket_on_windows_has_alone_says_so() -> None:
    class Refused(OSError):
        winerror = 10013   # WSAEACCES

    text = str(errors.CannotListenError("", 80, Refused(errno.EACCES, "Denied")))
    assert text.startswith("any:80: denied (another socket listens there")


def test_a_port_that_cannot_listen_for_another_reason_says_that() -> None:
    assert str(errors.CannotListenError("", 80, LookupError("no such service"))) == "any:80: no such service"
    assert str(errors.CannotListenError("", 80, LookupError())) == "any:80: LookupError"


def test_a_lack_of_bytes_for_descriptors_is_a_lost_connection_with_a_text() -> None:
    assert isinstance(names.FileDescriptorOverrun(), names.ConnectionLost)
    assert str(names.FileDescriptorOverrun("2 of 3")) == (
        "more descriptors than bytes were sent over a UNIX socket: 2 of 3"
    )
