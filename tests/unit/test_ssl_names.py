"""The names of hosts as TLS has them."""

from __future__ import annotations

import ipaddress
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ropewalk.internet.ssl_names import is_address, pattern, patterns_for, server_name


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("example.org", "example.org"),
        ("Example.ORG.", "example.org"),
        ("localhost", "localhost"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("Bücher。example", "xn--bcher-kva.example"),
        ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
        ("a_b.example", "a_b.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
@pytest.mark.parametrize("installed", [True, False], ids=["idna", "without idna"])
def test_a_name_is_written_in_ascii_and_an_address_in_its_shortest_form(
    given_name: str, name: str, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed:
        monkeypatch.setitem(sys.modules, "idna", None)
    assert server_name(given_name) == name


def test_with_the_package_idna_a_sharp_s_is_a_letter_of_its_own() -> None:
    pytest.importorskip("idna")
    assert server_name("faß.example") == "xn--fa-hia.example"


def test_without_the_package_idna_a_sharp_s_is_two_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "idna", None)
    assert server_name("faß.example") == "fass.example"


@pytest.mark.parametrize("installed", [True, False], ids=["idna", "without idna"])
@pytest.mark.parametrize(
    "name",
    ["", ".", "a..b", ".a", "a b", "a/b", "a:80", "[::1]", "*.example", "x" * 64, "x." * 127 + "xx", "ü" * 64, "ü..a"],
)
def test_what_is_no_name_is_an_error_that_names_it(
    name: str, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed:
        monkeypatch.setitem(sys.modules, "idna", None)
    with pytest.raises(ValueError, match="is no name of a host") as raised:
        server_name(name)
    assert repr(name) in str(raised.value)


def test_bytes_are_no_name() -> None:
    with pytest.raises(TypeError, match=r"is a str, not b'example\.org'"):
        server_name(b"example.org")   # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "made"),
    [("*.Example.org.", "*.example.org"), ("a.example", "a.example"), ("*.bücher.example", "*.xn--bcher-kva.example")],
)
def test_a_pattern_may_begin_with_a_label_that_is_a_star(text: str, made: str) -> None:
    assert pattern(text) == made


@pytest.mark.parametrize("text", ["*", "*.", "a.*.example", "**.example", "*a.example", "*.*.example"])
def test_a_star_anywhere_else_is_no_pattern(text: str) -> None:
    with pytest.raises(ValueError, match="is no name of a host"):
        pattern(text)


def test_the_star_stands_for_exactly_one_label() -> None:
    assert patterns_for("a.b.example") == ("a.b.example", "*.b.example")
    assert patterns_for("localhost") == ("localhost",)


@given(st.text())
@example("xn--")
@example("xn--a.example")
@example("\ud800")
@example("1.2.3.4.")
def test_any_text_is_a_name_in_ascii_or_a_value_error(text: str) -> None:
    try:
        name = server_name(text)
    except ValueError:
        return
    assert name.isascii()
    assert name == server_name(name)


@given(st.ip_addresses())
def test_addresses_are_told_from_names(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert is_address(server_name(str(address)))
    assert not is_address(server_name(f"host.{address.packed.hex()}x"))
