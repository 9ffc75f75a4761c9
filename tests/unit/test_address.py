"""Addresses."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from ropewalk.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress, make_address

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links take a privilege here")


def test_the_fields_are_those_of_twisted() -> None:
    four = IPv4Address("TCP", "127.0.0.1", 80)
    assert (four.type, four.host, four.port) == ("TCP", "127.0.0.1", 80)
    six = IPv6Address("UDP", "::1", 53)
    assert (six.type, six.host, six.port, six.flowInfo, six.scopeID) == ("UDP", "::1", 53, 0, 0)
    name = HostnameAddress(b"example.com", 443)
    assert (name.hostname, name.port) == (b"example.com", 443)
    assert UNIXAddress(b"/tmp/socket").name == b"/tmp/socket"


def test_addresses_are_made_of_what_the_socket_module_has() -> None:
    assert make_address("TCP", socket.AF_INET, ("127.0.0.1", 80)) == IPv4Address("TCP", "127.0.0.1", 80)
    assert make_address("TCP", socket.AF_INET6, ("::1", 80, 1, 2)) == IPv6Address("TCP", "::1", 80, 1, 2)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no UNIX sockets here")
def test_a_unix_socket_without_a_name_has_none() -> None:
    assert make_address("TCP", socket.AF_UNIX, "").name is None
    assert make_address("TCP", socket.AF_UNIX, "/tmp/socket") == UNIXAddress("/tmp/socket")
    assert make_address("TCP", socket.AF_UNIX, b"\0abstract").name == b"\0abstract"


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_the_name_of_a_unix_address_is_bytes_however_it_is_given(kind: type) -> None:
    assert UNIXAddress(kind("some-socket")).name == b"some-socket"


def test_repr_shows_what_makes_it() -> None:
    assert repr(IPv4Address("TCP", "h", 1)) == "IPv4Address(type='TCP', host='h', port=1)"
    assert repr(UNIXAddress(b"/tmp/socket")) == "UNIXAddress('/tmp/socket')"
    assert repr(UNIXAddress(None)) == "UNIXAddress(None)"
    assert repr(UNIXAddress(b"\0abstract")) == "UNIXAddress('\\x00abstract')"


def test_unix_addresses_are_equal_when_their_names_are() -> None:
    names: list[bytes | None] = [b"one", b"two", b"\0one", None]
    for first in names:
        for second in names:
            assert (UNIXAddress(first) == UNIXAddress(second)) == (first == second)
    assert UNIXAddress(b"one") != b"one"
    assert len({UNIXAddress(name) for name in names * 2}) == len(names)


@needs_links
def test_unix_addresses_are_equal_when_links_lead_to_one_place(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    address, linked = UNIXAddress(tmp_path / "real" / "socket"), UNIXAddress(tmp_path / "link" / "socket")
    assert address == linked
    assert hash(address) == hash(linked)
    assert address != UNIXAddress(tmp_path / "real" / "other")
    before = hash(address)
    (tmp_path / "real" / "socket").touch()
    assert hash(address) == before
