"""SOCKS, without a network: which destinations rules allow, and what the parser makes of single requests."""

from __future__ import annotations

import pytest

from ropewalk.protocols.socks import Rules
from ropewalk.protocols.socksparsing import Code, Conversation, InvalidRequest, Request


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "169.254.169.254", "224.0.0.1", "255.255.255.255",
        "::1", "::", "fe80::1", "fe80::1%eth0", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    ],
)  # fmt: skip
def test_what_only_this_machine_reaches_is_refused_unless_a_rule_allows_it(host: str) -> None:
    assert not Rules().allows(host, 80)
    assert Rules(allow=["0.0.0.0/0", "::/0"]).allows(host, 80)


@pytest.mark.parametrize("host", ["192.0.2.1", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.1"])
def test_other_destinations_are_allowed_unless_a_rule_refuses_them(host: str) -> None:
    assert Rules().allows(host, 80)
    assert not Rules(refuse=["192.0.2.0/24", "10.0.0.1", "2001:db8::/32"]).allows(host, 80)


def test_a_refused_port_is_refused_everywhere_but_where_a_rule_allows_all() -> None:
    rules = Rules(allow=["192.0.2.9"], refusePorts=[25])
    assert not rules.allows("192.0.2.1", 25)
    assert rules.allows("192.0.2.1", 587)
    assert rules.allows("192.0.2.9", 25)


@pytest.mark.parametrize("wrong", ["localhost", "192.0.2.1/24", "192.0.2", ""])
def test_a_rule_that_is_no_network_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"address|network|host bits|Octet"):
        Rules(refuse=[wrong])


def test_a_request_of_version_4_has_an_address_and_a_user() -> None:
    conversation = Conversation()
    assert conversation.feed(b"\4\1\0P\xc0\0\2\1me\0rest") == b""
    assert conversation.request == Request(4, 1, "192.0.2.1", 80, "me")
    assert conversation.rest == b"rest"


def test_a_request_of_version_4a_has_a_name() -> None:
    conversation = Conversation()
    conversation.feed(b"\4\1\0P\0\0\0\7me\0example.org\0")
    assert conversation.request == Request(4, 1, "example.org", 80, "me")


def test_a_request_of_version_5_may_have_a_password() -> None:
    conversation = Conversation(lambda user, password: (user, password) == ("me", "secret"))
    assert conversation.feed(b"\5\2\0\2") == b"\5\2"
    assert conversation.feed(b"\1\2me\6secret") == b"\1\0"
    assert conversation.feed(b"\5\1\0\4" + bytes(15) + b"\1\1\xbb") == b""
    assert conversation.request == Request(5, 1, "::1", 443, "me")


@pytest.mark.parametrize(
    ("said", "why", "answer"),
    [
        (b"GET / HTTP/1.1\r\n", "the first byte is 71", b""),
        (b"\4\7\0P\xc0\0\2\1\0", "no command 7 in version 4", b"\0\x5b" + bytes(6)),
        (b"\4\1\0P\xc0\0\2\1" + b"x" * 256, "longer than 255 bytes", b"\0\x5b" + bytes(6)),
        (b"\4\1\0P\0\0\0\1\0" + b"x" * 256, "longer than 255 bytes", b"\0\x5b" + bytes(6)),
        (b"\4\1\0P\0\0\0\1\0\xff\0", "no name of a host", b"\0\x5b" + bytes(6)),
        (b"\5\1\1", "not 0", b"\5\xff"),
        (b"\5\0", "not 0", b"\5\xff"),
        (b"\5\1\0\4\1\0\1", "version 4 after a greeting of 5", b"\5\0\5\1\0\1" + bytes(6)),
        (b"\5\1\0\5\1\0\2", "no kind of address 2", b"\5\0\5\x08\0\1" + bytes(6)),
        (b"\5\1\0\5\1\0\3\0\0P", "no name of a host", b"\5\0\5\4\0\1" + bytes(6)),
        (b"\5\1\0\5\x09\0\1" + bytes(6), "no command 9 in version 5", b"\5\0\5\7\0\1" + bytes(6)),
    ],
)
def test_what_cannot_be_served_is_answered_in_the_words_of_its_version(said: bytes, why: str, answer: bytes) -> None:
    with pytest.raises(InvalidRequest, match=why) as caught:
        Conversation().feed(said)
    assert caught.value.answer == answer


def test_an_answer_of_version_4_has_no_room_for_an_address_of_ipv6() -> None:


    request = Request(4, 1, "::1", 80, "")
    assert request.answer(Code.GRANTED, "::1", 80) == b"\0\x5a\0P" + bytes(4)
