"""Literal addresses: telling them from names, and making socket addresses of them without asking a resolver."""

from __future__ import annotations

import socket
from typing import Any

from ropewalk.interfaces import Loop

UNIX: int = getattr(socket, "AF_UNIX", -1)   # Windows has none, which is of no socket


def literal_family(host: str) -> int:
    """AF_INET or AF_INET6 if `host` is a literal address (IPv6: with or without a zone), AF_UNSPEC if it is a name."""
    six = ":" in host
    family = socket.AF_INET6 if six else socket.AF_INET
    try:
        socket.inet_pton(family, host.partition("%")[0] if six else host)
    except (OSError, ValueError):
        return socket.AF_UNSPEC
    return family


def numeric_sockaddr(family: int, host: str, port: int) -> Any:
    """The socket address of a literal `host`; a zone after % becomes its scope. Raises OSError if it is no literal."""
    if family != socket.AF_INET6 or "%" not in host:
        return (host, port)
    literal, _, zone = host.partition("%")
    number = zone if zone.isdecimal() else socket.if_nametoindex(zone)   # Windows' getaddrinfo() takes no names
    flags = socket.AI_NUMERICHOST
    address = socket.getaddrinfo(f"{literal}%{number}", port, family, socket.SOCK_STREAM, 0, flags)[0][4]
    return (address[0], port, *address[2:])   # getaddrinfo takes 65536 for 0


def port_number(port: Any, what: str) -> int:
    """`port`, if it can be listened on. what: 'TCP' or 'UDP'. Raises ValueError."""
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise ValueError(f"a {what} port to listen on is a number from 0 to 65535, not {port!r}")
    return port


def interface_family(loop: Loop, interface: str) -> int:
    """The family of the literal address `interface`; AF_INET for ''. Raises InvalidAddressError."""
    family = literal_family(interface) if interface else socket.AF_INET
    if family == socket.AF_UNSPEC:
        bad: Exception = loop.kit.error.InvalidAddressError(interface, "an interface is given by its literal address")
        raise bad
    return family
