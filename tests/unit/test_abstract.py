"""Literal addresses and what looks like them."""

from __future__ import annotations

import socket

import pytest

from ropewalk.internet.abstract import isIPAddress, isIPv6Address

IPV4 = ["127.0.0.1", "0.0.0.0", "255.255.255.255", b"192.0.2.1"]
IPV6 = ["::", "::1", "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0", "fe80::1%no-such-interface", "::1%", b"::1"]
NEITHER = [
    "", "example.com", "1.2.3", "0", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", " 1.2.3.4", "1.2.3.4%eth0", "1.2.3.4%::",
    "1.2.3.4\0", ":", "1::2::3", "\u0661.2.3.4", "\ud800", b"\xff", b"\xff::",
]  # fmt: skip


@pytest.mark.parametrize("address", IPV4)
def test_an_ipv4_address_is_one_and_no_ipv6_address(address: str | bytes) -> None:
    assert isIPAddress(address) is True
    assert isIPAddress(address, socket.AF_INET6) is False
    assert isIPv6Address(address) is False


@pytest.mark.parametrize("address", IPV6)
def test_an_ipv6_address_is_one_whatever_its_zone_and_no_ipv4_address(address: str | bytes) -> None:
    assert isIPv6Address(address) is True
    assert isIPAddress(address, family=socket.AF_INET6) is True
    assert isIPAddress(address) is False


@pytest.mark.parametrize("address", NEITHER)
def test_a_name_or_a_mistake_is_no_address(address: str | bytes) -> None:
    assert isIPAddress(address) is False
    assert isIPv6Address(address) is False


def test_another_family_is_refused() -> None:
    with pytest.raises(ValueError, match="of AF_INET or AF_INET6, not of the family"):
        isIPAddress("127.0.0.1", socket.AF_UNSPEC)
