"""Addresses, as buildProtocol, getHost and getPeer give them. Names and fields are those of Twisted."""

from __future__ import annotations

import os
import socket
from typing import Any, NamedTuple


class IPv4Address(NamedTuple):
    """An IPv4 address: type ('TCP' or 'UDP'), host (text, as 127.0.0.1), port."""

    type: str
    host: str
    port: int


class IPv6Address(NamedTuple):
    """An IPv6 address: type ('TCP' or 'UDP'), host (text, as ::1), port, flowInfo, scopeID."""

    type: str
    host: str
    port: int
    flowInfo: int = 0
    scopeID: int | str = 0


class UNIXAddress(NamedTuple):
    """The address of a UNIX socket: its name in the file system (bytes), or None for one that has no name."""

    name: bytes | None


def make_address(kind: str, family: int, sockaddr: Any) -> Any:
    """The address object for a socket address of the socket module."""
    if family == socket.AF_INET:
        return IPv4Address(kind, sockaddr[0], sockaddr[1])
    if family == socket.AF_INET6:
        return IPv6Address(kind, *sockaddr)
    return UNIXAddress(os.fsencode(sockaddr) or None)
