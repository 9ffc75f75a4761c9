"""The header of the PROXY protocol, versions 1 and 2: what a proxy says of the connection that it forwards.

Specification: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt. What it tells receivers to reject is
rejected. Where it leaves them free: an unknown protocol (UNKNOWN, UNSPEC) is accepted, with the connection's own
addresses; a header may be cut anywhere; TLVs are skipped, but have to fill the header exactly.
"""

from __future__ import annotations

import re
import socket
import struct
from typing import NamedTuple

from ropewalk.internet.address import IPv4Address, IPv6Address, UNIXAddress

V1_START = b"PROXY "
V1_LONGEST = 107   # bytes, the end of the line included
V2_START = b"\r\n\r\n\0\r\nQUIT\n"
V2_FIXED = 16      # bytes: the start, version and command, family, and the length of the rest
LONGEST = V2_FIXED + 0xFFFF

Address = IPv4Address | IPv6Address | UNIXAddress


class InvalidProxyHeader(Exception):
    """What came is not a header of the PROXY protocol; the message says what is wrong with it."""


class InvalidNetworkProtocol(InvalidProxyHeader):
    """The header names a network protocol that there is not."""


class MissingAddressData(InvalidProxyHeader):
    """The header ends before the addresses do."""


class ProxyInfo(NamedTuple):
    """What a header says.

    header: its bytes; source, destination: the addresses of the connection that the proxy forwards, None if it does
    not say (health checks of the proxy itself; protocols unknown to it).
    """

    header: bytes
    source: Address | None
    destination: Address | None


class HeaderParser:
    """Takes the beginning of one connection, cut anywhere, until the header is complete.

    It keeps the bytes of the header: V1_LONGEST or LONGEST of them at most.
    """

    def __init__(self) -> None:
        self._begun = bytearray()

    def feed(self, data: bytes) -> tuple[ProxyInfo, bytes] | None:
        """Take `data`; returns what the header says and the bytes after it, or None while it is not complete.

        Raises InvalidProxyHeader, or one of its two subclasses; the parser is of no use after that, or the result.
        """
        begun = self._begun
        begun += data
        size = header_size(begun)
        if size is None or len(begun) < size:
            return None
        return parse(bytes(begun[:size])), bytes(begun[size:])


def header_size(begun: bytes | bytearray) -> int | None:
    """How long the header is that begins with `begun`; None while that cannot be told. Raises InvalidProxyHeader."""
    if begun.startswith(V1_START):
        end = begun.find(b"\r\n", 0, V1_LONGEST)
        if end >= 0:
            return end + 2
        if len(begun) >= V1_LONGEST:
            raise InvalidProxyHeader(f"the line has no end within {V1_LONGEST} bytes: {_shown(begun)}")
        return None
    if begun.startswith(V2_START):
        if len(begun) < V2_FIXED:
            return None
        _check_version(begun[12])
        return V2_FIXED + int.from_bytes(begun[14:16], "big")
    if V1_START.startswith(begun) or V2_START.startswith(begun):
        return None
    raise InvalidProxyHeader(f"this is no PROXY header: {_shown(begun)}")


def parse(header: bytes) -> ProxyInfo:
    """What `header`, complete, says. Raises InvalidProxyHeader, or one of its two subclasses."""
    if header_size(header) != len(header):
        raise InvalidProxyHeader(f"this is not one whole PROXY header: {_shown(header)}")
    return _parse_v1(header) if header.startswith(V1_START) else _parse_v2(header)


def _shown(data: bytes | bytearray) -> str:
    return repr(bytes(data[:V1_LONGEST]))


# -- version 1: PROXY TCP4 source destination port port


def _parse_v1(header: bytes) -> ProxyInfo:
    _, protocol, *fields = header[:-2].split(b" ")
    if protocol == b"UNKNOWN":
        return ProxyInfo(header, None, None)
    if protocol not in (b"TCP4", b"TCP6"):
        raise InvalidNetworkProtocol(f"the protocol is to be TCP4, TCP6 or UNKNOWN, not {_shown(protocol)}")
    if len(fields) < 4:
        raise MissingAddressData(f"two addresses and two ports are to follow the protocol: {_shown(header)}")
    if len(fields) > 4:
        raise InvalidProxyHeader(f"nothing is to follow the ports: {_shown(header)}")
    source, destination, source_port, destination_port = fields
    make = _text_ipv4 if protocol == b"TCP4" else _text_ipv6
    return ProxyInfo(header, make(source, source_port), make(destination, destination_port))


def _text_ipv4(host: bytes, port: bytes) -> IPv4Address:
    return IPv4Address("TCP", _normal(socket.AF_INET, host), _number(port))


def _text_ipv6(host: bytes, port: bytes) -> IPv6Address:
    return IPv6Address("TCP", _normal(socket.AF_INET6, host), _number(port))


def _normal(family: int, host: bytes) -> str:
    """The address `host` as getPeer() would write it."""
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, host.decode("ascii")))
    except (OSError, ValueError):
        kind = "IPv4" if family == socket.AF_INET else "IPv6"
        raise InvalidProxyHeader(f"{_shown(host)} is no {kind} address") from None


def _number(port: bytes) -> int:
    if re.fullmatch(rb"0|[1-9][0-9]{0,4}", port) and int(port) <= 65535:
        return int(port)
    raise InvalidProxyHeader(f"a port is a number from 0 to 65535, not {_shown(port)}")


# -- version 2: the start, version and command, family and kind, length; addresses; TLVs

_LOCAL, _PROXY = 0x20, 0x21   # with the version
_UNSPEC, _INET, _INET6, _UNIX = range(4)
_KINDS = (None, "TCP", "UDP")
_PATH = 108   # bytes


def _check_version(version_and_command: int) -> None:
    if version_and_command not in (_LOCAL, _PROXY):
        version, command = divmod(version_and_command, 16)
        raise InvalidProxyHeader(f"version 2 and command 0 or 1 are known, not version {version} and command {command}")


def _parse_v2(header: bytes) -> ProxyInfo:
    if header[12] == _LOCAL:
        return ProxyInfo(header, None, None)
    family, kind = divmod(header[13], 16)
    if family > _UNIX or kind >= len(_KINDS):
        raise InvalidNetworkProtocol(f"there is no address family {family} with transport {kind}")
    name = _KINDS[kind]
    if family == _UNSPEC or name is None:
        return ProxyInfo(header, None, None)
    rest = header[V2_FIXED:]
    if family == _INET:
        _check_size(rest, 12)
        return ProxyInfo(header, *(IPv4Address(name, *place) for place in _places(socket.AF_INET, 4, rest)))
    if family == _INET6:
        _check_size(rest, 36)
        return ProxyInfo(header, *(IPv6Address(name, *place) for place in _places(socket.AF_INET6, 16, rest)))
    _check_size(rest, 2 * _PATH)
    return ProxyInfo(header, UNIXAddress(_path(rest[:_PATH])), UNIXAddress(_path(rest[_PATH : 2 * _PATH])))


def _places(family: int, size: int, data: bytes) -> list[tuple[str, int]]:
    """Two hosts, of `size` bytes each, and their two ports."""
    hosts = (socket.inet_ntop(family, data[at : at + size]) for at in (0, size))
    return list(zip(hosts, struct.unpack_from("!2H", data, 2 * size), strict=True))


def _path(field: bytes) -> bytes | None:
    """The name in a field that is filled up with zeros; an abstract one begins with one (unix(7))."""
    if field.startswith(b"\0"):
        return field.rstrip(b"\0") or None
    return field.partition(b"\0")[0]


def _check_size(data: bytes, addresses: int) -> None:
    """Whether `data` has so many bytes of addresses, and whole TLVs (type, length in two bytes, value) after them."""
    if len(data) < addresses:
        raise MissingAddressData(f"the addresses have {addresses} bytes, the header has {len(data)} for them")
    at = addresses
    while at + 3 <= len(data):
        at += 3 + int.from_bytes(data[at + 1 : at + 3], "big")
    if at != len(data):
        raise InvalidProxyHeader(f"the last TLV of the header does not end where that does, after {len(data)} bytes")
