"""Whatever comes in place of a SOCKS request, cut anywhere: a request or one error, and bounded memory."""

from __future__ import annotations

import ipaddress
import struct

from hypothesis import given
from hypothesis import strategies as st

from ropewalk.protocols.socksparsing import BIND, CONNECT, Code, Conversation, InvalidRequest, Request

GREETING = b"\5\1\0"
ANSWERS = {4: b"", 5: b"\5\0"}
MOST = 3 * 256   # bytes that a conversation may keep of what belongs to it

texts = st.text(st.characters(codec="ascii", min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255)
ports = st.integers(0, 65535)
users = st.binary(max_size=255).map(lambda user: user.replace(b"\0", b""))
bytes_of_requests = st.one_of(
    st.binary(max_size=600),
    st.binary(max_size=600).map(lambda rest: b"\4" + rest),
    st.binary(max_size=600).map(lambda rest: GREETING + b"\5" + rest),
    st.binary(max_size=600).map(lambda rest: GREETING + b"\5\1\0" + rest),
)


@st.composite
def right(draw: st.DrawFn) -> tuple[bytes, Request]:
    """A right request, and what it says."""
    version = draw(st.sampled_from([4, 5]))
    port, command = draw(ports), draw(st.sampled_from([CONNECT, BIND]))
    host = draw(st.one_of(texts, st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str)))
    user = draw(users)
    if version == 5:
        return GREETING + bytes([5, command, 0]) + _place_five(host) + struct.pack("!H", port), Request(
            5, command, host, port, ""
        )
    address, name = _place_four(host)
    said = bytes([4, command]) + struct.pack("!H", port) + address + user + b"\0" + name
    return said, Request(4, command, host, port, user.decode("utf-8", "replace"))


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _place_five(host: str) -> bytes:
    literal = _literal(host)
    if literal is not None and "%" not in host and str(literal) == host:
        return bytes([1 if literal.version == 4 else 4]) + literal.packed
    return bytes([3, len(host)]) + host.encode()


def _place_four(host: str) -> tuple[bytes, bytes]:
    literal = _literal(host)
    if isinstance(literal, ipaddress.IPv4Address) and not literal.packed.startswith(bytes(3)):
        return literal.packed, b""
    return b"\0\0\0\1", host.encode() + b"\0"


def fed(pieces: list[bytes]) -> tuple[bytes, Request | None, bytes, bool]:
    """What is answered, asked for and left when `pieces` have come, and whether that was refused."""
    conversation = Conversation()
    answers = b""
    for at, piece in enumerate(pieces):
        try:
            answers += conversation.feed(piece)
        except InvalidRequest as error:
            return answers + error.answer, None, b"", True
        if conversation.request is not None:
            return answers, conversation.request, conversation.rest + b"".join(pieces[at + 1 :]), False
        assert len(conversation.rest) <= MOST + len(piece)
    return answers, None, b"", False


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@given(right(), st.binary(max_size=100))
def test_a_right_request_says_what_it_says_however_it_is_cut_and_whatever_follows(
    example: tuple[bytes, Request], rest: bytes
) -> None:
    said, request = example
    expected = (ANSWERS[request.version], request, rest, False)
    assert fed([said + rest]) == expected
    assert fed(bytewise(said + rest)) == expected


@given(bytes_of_requests)
def test_cuts_make_no_difference_and_what_is_wrong_is_one_kind_of_error(data: bytes) -> None:
    assert fed([data]) == fed(bytewise(data))


@given(right(), st.data())
def test_a_request_that_is_not_complete_is_waited_for(example: tuple[bytes, Request], data: st.DataObject) -> None:
    said, _ = example
    begun = said[: data.draw(st.integers(0, len(said) - 1))]
    _, request, _, refused = fed([begun])
    assert request is None
    assert not refused


@given(right(), st.sampled_from(Code), st.ip_addresses().map(str), ports)
def test_every_answer_has_the_size_of_its_version(
    example: tuple[bytes, Request], code: Code, host: str, port: int
) -> None:
    _, request = example
    answer = request.answer(code, host, port)
    if request.version == 4:
        assert len(answer) == 8
        assert answer[1] == (90 if code is Code.GRANTED else 91)
    else:
        assert len(answer) == (22 if ":" in host else 10)
        assert answer[1] == code
