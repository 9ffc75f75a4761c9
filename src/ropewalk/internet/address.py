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


class HostnameAddress(NamedTuple):
    """A host by its name and a port: hostname (bytes, as b"example.com"), port."""

    hostname: bytes
    port: int


class UNIXAddress:
    """The address of a UNIX socket. Two are equal when their names are, or lead to the same place.

    name: bytes; an abstract one begins with a zero byte; None for a socket without a name.
    """

    __slots__ = ("name",)

    def __init__(self, name: str | bytes | os.PathLike[str] | None) -> None:
        self.name = None if name is None else os.fsencode(name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UNIXAddress):
            return NotImplemented
        return self.name == other.name or self._place() == other._place()

    def __hash__(self) -> int:
        return hash(self._place())

    def _place(self) -> bytes | None:
        """The name without symbolic links, which stays the same when the socket is removed."""
        if not self.name or self.name.startswith(b"\0"):
            return self.name
        return os.path.realpath(self.name)

    def __repr__(self) -> str:
        return f"UNIXAddress({None if self.name is None else os.fsdecode(self.name)!r})"


class PipeAddress:
    """Either end of what has no address, such as standard input and output. All of them are equal."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PipeAddress) or NotImplemented

    def __hash__(self) -> int:
        return hash(PipeAddress)

    def __repr__(self) -> str:
        return "PipeAddress()"


def make_address(kind: str, family: int, sockaddr: Any) -> Any:
    """The address object for a socket address of the socket module."""
    if family == socket.AF_INET:
        return IPv4Address(kind, sockaddr[0], sockaddr[1])
    if family == socket.AF_INET6:
        return IPv6Address(kind, *sockaddr)
    return UNIXAddress(os.fsencode(sockaddr) or None)
