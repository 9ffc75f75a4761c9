"""Whatever comes in place of a PROXY header, cut anywhere: a result or one of three errors, and bounded memory."""

from __future__ import annotations

import itertools
import socket
import struct

from hypothesis import example, given
from hypothesis import strategies as st

from ropewalk.protocols.proxyheader import LONGEST, V1_LONGEST, V2_START, HeaderParser, InvalidProxyHeader, ProxyInfo

Outcome = tuple[ProxyInfo, bytes] | type[Exception] | None
Place = tuple[str, int]

hosts = {
    b"TCP4": st.ip_addresses(v=4).map(str),
    b"TCP6": st.ip_addresses(v=6).map(str),
}
ports = st.integers(0, 65535)
fields = st.one_of(
    st.sampled_from([b"PROXY", b"TCP4", b"TCP6", b"UNKNOWN", b"", b"1.2.3.4", b"::1", b"0", b"65535", b"\r", b"\n"]),
    st.binary(max_size=50),
    ports.map(lambda port: str(port).encode()),
    st.ip_addresses().map(lambda host: str(host).encode()),
)
lines = st.lists(fields, max_size=8).map(lambda words: b"PROXY " + b" ".join(words) + b"\r\n")
tlvs = st.lists(st.binary(max_size=20).map(lambda value: b"\x04" + struct.pack("!H", len(value)) + value)).map(b"".join)


@st.composite
def binaries(draw: st.DrawFn) -> bytes:
    """Something like a header of version 2, whose parts need not fit."""
    command = draw(st.sampled_from([0x20, 0x21, 0x21, 0x21]) | st.integers(0, 255))
    family = draw(st.sampled_from([0x11, 0x12, 0x21, 0x22, 0x31, 0x32]) | st.integers(0, 255))
    addresses = draw(st.sampled_from([0, 12, 36, 216]).map(bytes) | st.binary(max_size=300))
    rest = addresses + draw(tlvs | st.binary(max_size=30))
    length = draw(st.just(len(rest)) | st.integers(0, 0xFFFF))
    return V2_START + bytes([command, family]) + struct.pack("!H", length) + rest


@st.composite
def right_lines(draw: st.DrawFn) -> tuple[bytes, Place, Place]:
    """A right header of version 1, and what it says."""
    kind = draw(st.sampled_from(sorted(hosts)))
    source, destination = draw(hosts[kind]), draw(hosts[kind])
    source_port, destination_port = draw(ports), draw(ports)
    line = f"PROXY {kind.decode()} {source} {destination} {source_port} {destination_port}\r\n".encode()
    family = socket.AF_INET if kind == b"TCP4" else socket.AF_INET6
    normal = [socket.inet_ntop(family, socket.inet_pton(family, host)) for host in (source, destination)]
    return line, (normal[0], source_port), (normal[1], destination_port)


beginnings = st.one_of(lines, binaries(), st.binary(max_size=200), st.sampled_from([b"PROXY ", V2_START]))


def fed(pieces: list[bytes]) -> Outcome:
    """What a parser makes of `pieces`; it may keep the piece in hand beside what belongs to the header, no more."""
    parser = HeaderParser()
    for at, piece in enumerate(pieces):
        try:
            result = parser.feed(piece)
        except InvalidProxyHeader as error:
            return type(error)
        if result is not None:
            info, rest = result
            return info, rest + b"".join(pieces[at + 1 :])
        longest = LONGEST if parser._begun.startswith(V2_START[:1]) else V1_LONGEST
        assert len(parser._begun) < longest, "it waits for more than a header can have"
    return None


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(ends)]


@given(beginnings, st.binary(max_size=300), st.lists(st.integers(0, 600)))
@example(b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", b"", [])
@example(b"\r\n\r\n", b"", [])
def test_the_outcome_is_the_same_wherever_the_data_is_cut(beginning: bytes, rest: bytes, places: list[int]) -> None:
    data = beginning + rest
    whole = fed([data])
    assert fed(cut(data, places)) == whole
    assert fed([data[at : at + 1] for at in range(len(data))]) == whole
    if isinstance(whole, tuple):
        assert whole[0].header + whole[1] == data


@given(right_lines(), st.binary(max_size=50))
def test_a_right_line_says_what_was_put_into_it(line: tuple[bytes, Place, Place], rest: bytes) -> None:
    header, source, destination = line
    parsed = HeaderParser().feed(header + rest)
    assert parsed is not None
    info, after = parsed
    assert info.source is not None
    assert info.destination is not None
    assert (info.source[1:3], info.destination[1:3]) == (source, destination)
    assert (info.header, after) == (header, rest)


@given(
    st.sampled_from([b"PROXY ", b"PROXY UNKNOWN ", V2_START + b"\x21\x11\xff\xff"]), st.binary(min_size=1, max_size=50)
)
def test_a_header_that_never_ends_is_refused_or_complete_at_its_limit(start: bytes, more: bytes) -> None:
    parser = HeaderParser()
    pieces = [start] + [more] * (LONGEST // len(more) + 1)
    try:
        assert any(parser.feed(piece) is not None for piece in pieces)
    except InvalidProxyHeader:
        return
