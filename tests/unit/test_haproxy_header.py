"""The parser of PROXY headers: what it takes, what it refuses, and why; whole, byte by byte, with data after it."""

from __future__ import annotations

import socket
import struct

import pytest

from ropewalk.internet.address import IPv4Address, IPv6Address, UNIXAddress
from ropewalk.protocols.proxyheader import (
    LONGEST,
    V1_LONGEST,
    V2_START,
    HeaderParser,
    InvalidNetworkProtocol,
    InvalidProxyHeader,
    MissingAddressData,
    parse,
)

LOCAL, PROXY = 0x20, 0x21


def v2(command: int, family: int, rest: bytes) -> bytes:
    return V2_START + bytes([command, family]) + struct.pack("!H", len(rest)) + rest


def packed(family: int, *hosts: str) -> bytes:
    """Two addresses and the ports 1 and 65535."""
    return b"".join(socket.inet_pton(family, host) for host in hosts) + struct.pack("!2H", 1, 65535)


INET = packed(socket.AF_INET, "192.0.2.1", "192.0.2.2")
INET6 = packed(socket.AF_INET6, "2001:db8::1", "::1")
PATHS = b"/run/a".ljust(108, b"\0") + b"\0hidden".ljust(108, b"\0")
TLV = b"\x02\x00\x0bexample.org"
NOTHING = b"\x04\x00\x00"

VALID = {
    "v1 ipv4": (
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65535\r\n",
        IPv4Address("TCP", "192.0.2.1", 1),
        IPv4Address("TCP", "192.0.2.2", 65535),
    ),
    "v1 ipv6": (
        b"PROXY TCP6 2001:DB8:0:0:0:0:0:1 ::1 0 443\r\n",
        IPv6Address("TCP", "2001:db8::1", 0),
        IPv6Address("TCP", "::1", 443),
    ),
    "v1 longest": (
        b"PROXY TCP6 " + b" ".join([b"ffff:" * 7 + b"ffff"] * 2) + b" 65535 65535\r\n",
        IPv6Address("TCP", "ffff:" * 7 + "ffff", 65535),
        IPv6Address("TCP", "ffff:" * 7 + "ffff", 65535),
    ),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", None, None),
    "v1 unknown, with a rest": (b"PROXY UNKNOWN 1 2 3 \xff \r \n x\r\n", None, None),
    "v1 unknown, longest": (b"PROXY UNKNOWN ".ljust(V1_LONGEST - 2, b"f") + b"\r\n", None, None),
    "v2 ipv4 tcp": (
        v2(PROXY, 0x11, INET),
        IPv4Address("TCP", "192.0.2.1", 1),
        IPv4Address("TCP", "192.0.2.2", 65535),
    ),
    "v2 ipv4 udp": (
        v2(PROXY, 0x12, INET),
        IPv4Address("UDP", "192.0.2.1", 1),
        IPv4Address("UDP", "192.0.2.2", 65535),
    ),
    "v2 ipv6 tcp": (
        v2(PROXY, 0x21, INET6),
        IPv6Address("TCP", "2001:db8::1", 1),
        IPv6Address("TCP", "::1", 65535),
    ),
    "v2 ipv6 udp": (
        v2(PROXY, 0x22, INET6),
        IPv6Address("UDP", "2001:db8::1", 1),
        IPv6Address("UDP", "::1", 65535),
    ),
    "v2 unix stream": (v2(PROXY, 0x31, PATHS), UNIXAddress(b"/run/a"), UNIXAddress(b"\0hidden")),
    "v2 unix datagram": (v2(PROXY, 0x32, PATHS), UNIXAddress(b"/run/a"), UNIXAddress(b"\0hidden")),
    "v2 unix, nameless": (v2(PROXY, 0x31, bytes(216)), UNIXAddress(None), UNIXAddress(None)),
    "v2 unix, full": (v2(PROXY, 0x31, b"a" * 216), UNIXAddress(b"a" * 108), UNIXAddress(b"a" * 108)),
    "v2 tlvs": (
        v2(PROXY, 0x11, INET + TLV + NOTHING),
        IPv4Address("TCP", "192.0.2.1", 1),
        IPv4Address("TCP", "192.0.2.2", 65535),
    ),
    "v2 longest": (
        v2(PROXY, 0x11, INET + b"\x04" + struct.pack("!H", 0xFFFF - len(INET) - 3) + bytes(0xFFFF - len(INET) - 3)),
        IPv4Address("TCP", "192.0.2.1", 1),
        IPv4Address("TCP", "192.0.2.2", 65535),
    ),
    "v2 local": (v2(LOCAL, 0x00, b""), None, None),
    "v2 local, with anything": (v2(LOCAL, 0xFF, b"anything"), None, None),
    "v2 unspecified": (v2(PROXY, 0x00, b"anything"), None, None),
    "v2 unspecified transport": (v2(PROXY, 0x10, b"anything"), None, None),
    "v2 unspecified family": (v2(PROXY, 0x01, b""), None, None),
}


@pytest.fixture(params=VALID.values(), ids=VALID.keys())
def valid(request: pytest.FixtureRequest) -> tuple[bytes, object, object]:
    header: tuple[bytes, object, object] = request.param
    return header


def test_a_header_gives_its_addresses(valid: tuple[bytes, object, object]) -> None:
    assert HeaderParser().feed(valid[0]) == (valid, b"")
    assert parse(valid[0]) == valid


def test_a_header_may_come_byte_by_byte(valid: tuple[bytes, object, object]) -> None:
    header, parser = valid[0], HeaderParser()
    for at in range(len(header) - 1):
        assert parser.feed(header[at : at + 1]) is None
    assert parser.feed(header[-1:]) == (valid, b"")


def test_what_follows_a_header_is_given_back(valid: tuple[bytes, object, object]) -> None:
    header = valid[0]
    for after in (b"\r\n", b"PROXY UNKNOWN\r\n", V2_START, b"x" * 100_000):
        assert HeaderParser().feed(header + after) == (valid, after)
        parser = HeaderParser()
        assert parser.feed(header[:14]) is None
        assert parser.feed(header[14:] + after) == (valid, after)


def test_nothing_is_no_header_yet() -> None:
    parser = HeaderParser()
    assert parser.feed(b"") is None
    assert parser.feed(b"PROXY UNKNOWN\r\n") == ((b"PROXY UNKNOWN\r\n", None, None), b"")


def feed_bytes(data: bytes) -> None:
    parser = HeaderParser()
    for at in range(len(data)):
        parser.feed(data[at : at + 1])


INVALID = {
    "another protocol": (b"GET / HTTP/1.1\r\n", InvalidProxyHeader, "no PROXY header: b'GET"),
    "lower case": (b"proxy UNKNOWN\r\n", InvalidProxyHeader, "no PROXY header"),
    "two spaces": (b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", InvalidNetworkProtocol, "not b''"),
    "no protocol": (b"PROXY \r\n", InvalidNetworkProtocol, "TCP4, TCP6 or UNKNOWN"),
    "no such protocol": (b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", InvalidNetworkProtocol, "not b'UDP4'"),
    "nearly unknown": (b"PROXY UNKNOWNS\r\n", InvalidNetworkProtocol, "not b'UNKNOWNS'"),
    "no addresses": (b"PROXY TCP4\r\n", MissingAddressData, "two addresses and two ports"),
    "a port too few": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", MissingAddressData, "two addresses and two ports"),
    "a field too many": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", InvalidProxyHeader, "nothing is to follow"),
    "a space too many": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", InvalidProxyHeader, "nothing is to follow"),
    "an address of the other family": (b"PROXY TCP4 ::1 ::1 1 2\r\n", InvalidProxyHeader, "b'::1' is no IPv4 address"),
    "the same for ipv6": (b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", InvalidProxyHeader, "is no IPv6 address"),
    "too large a number": (b"PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n", InvalidProxyHeader, "is no IPv4 address"),
    "a number with a heading zero": (b"PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n", InvalidProxyHeader, "no IPv4 address"),
    "too few numbers": (b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", InvalidProxyHeader, "is no IPv4 address"),
    "a zone": (b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", InvalidProxyHeader, "is no IPv6 address"),
    "no ascii": (b"PROXY TCP4 1.2.3.\xb2 1.2.3.4 1 2\r\n", InvalidProxyHeader, "is no IPv4 address"),
    "a zero byte": (b"PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n", InvalidProxyHeader, "is no IPv4 address"),
    "a port too large": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", InvalidProxyHeader, "not b'65536'"),
    "a port with a heading zero": (b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", InvalidProxyHeader, "not b'01'"),
    "a port with a sign": (b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", InvalidProxyHeader, r"not b'\+1'"),
    "a port in other digits": (
        "PROXY TCP4 1.2.3.4 1.2.3.4 \N{ARABIC-INDIC DIGIT ONE} 2\r\n".encode(),
        InvalidProxyHeader,
        "a port is a number",
    ),
    "an empty port": (b"PROXY TCP4 1.2.3.4 1.2.3.4  2\r\n", InvalidProxyHeader, "not b''"),
    "a line feed alone": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n", InvalidProxyHeader, "not b'2"),
    "a line too long": (b"PROXY UNKNOWN ".ljust(V1_LONGEST - 1, b"f") + b"\r\n", InvalidProxyHeader, "107 bytes"),
    "a line without an end": (b"PROXY UNKNOWN " + b"f" * 1000, InvalidProxyHeader, "no end within 107 bytes"),
    "v2, version 1": (v2(0x11, 0x11, INET), InvalidProxyHeader, "not version 1 and command 1"),
    "v2, version 3": (v2(0x31, 0x11, INET), InvalidProxyHeader, "not version 3 and command 1"),
    "v2, command 2": (v2(0x22, 0x11, INET), InvalidProxyHeader, "not version 2 and command 2"),
    "v2, family 4": (v2(PROXY, 0x41, INET), InvalidNetworkProtocol, "address family 4 with transport 1"),
    "v2, transport 3": (v2(PROXY, 0x13, INET), InvalidNetworkProtocol, "address family 1 with transport 3"),
    "v2, ipv4 cut short": (v2(PROXY, 0x11, INET[:-1]), MissingAddressData, "have 12 bytes, the header has 11"),
    "v2, ipv6 cut short": (v2(PROXY, 0x21, INET), MissingAddressData, "have 36 bytes, the header has 12"),
    "v2, unix cut short": (v2(PROXY, 0x31, PATHS[:-1]), MissingAddressData, "have 216 bytes, the header has 215"),
    "v2, no addresses": (v2(PROXY, 0x11, b""), MissingAddressData, "have 12 bytes, the header has 0"),
    "v2, a tlv cut short": (v2(PROXY, 0x11, INET + TLV[:-1]), InvalidProxyHeader, "the last TLV"),
    "v2, a tlv without a length": (v2(PROXY, 0x11, INET + NOTHING + b"\x04\x00"), InvalidProxyHeader, "the last TLV"),
}


@pytest.mark.parametrize(("data", "kind", "why"), INVALID.values(), ids=INVALID.keys())
def test_what_is_no_header_is_refused_with_the_reason(data: bytes, kind: type[Exception], why: str) -> None:
    with pytest.raises(kind, match=why) as raised:
        HeaderParser().feed(data)
    assert raised.type is kind
    with pytest.raises(kind):
        feed_bytes(data)


def test_another_protocol_is_refused_at_the_first_byte_that_differs() -> None:
    for data in (b"PROXZ", b"PX", b"\r\n\r\n\0\r\nQUIX", b"x"):
        parser = HeaderParser()
        for at in range(len(data) - 1):
            assert parser.feed(data[at : at + 1]) is None
        with pytest.raises(InvalidProxyHeader):
            parser.feed(data[-1:])


def test_a_bad_version_is_refused_before_the_rest_has_come() -> None:
    with pytest.raises(InvalidProxyHeader):
        HeaderParser().feed(v2(0x31, 0x11, INET)[:16])


def test_a_line_that_does_not_end_is_refused_at_the_limit() -> None:
    parser = HeaderParser()
    line = b"PROXY UNKNOWN ".ljust(V1_LONGEST, b"f")
    assert parser.feed(line[:-1]) is None
    with pytest.raises(InvalidProxyHeader):
        parser.feed(line[-1:])


def test_the_longest_header_is_what_the_length_can_say() -> None:
    assert len(VALID["v2 longest"][0]) == LONGEST


def test_only_one_whole_header_is_parsed() -> None:
    binary = v2(LOCAL, 0, b"")
    for data in (b"", b"PROXY UNKNOWN", b"PROXY UNKNOWN\r\nx", V2_START, binary[:-1], binary + b"x"):
        with pytest.raises(InvalidProxyHeader):
            parse(data)
