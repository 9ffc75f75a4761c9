"""Kinds of endpoint strings that other distributions add through entry points; the distributions here are real ones."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ropewalk.internet import endpoints

PARSER = """
    class Endpoint:
        def __init__(self, side, reactor, args, kwargs):
            self.made_of = side, reactor, args, kwargs

        def listen(self, protocolFactory):
            raise NotImplementedError

        connect = listen

    class Both:
        prefix = "onion"

        def parseStreamServer(self, reactor, *args, **kwargs):
            return Endpoint("server", reactor, args, kwargs)

        def parseStreamClient(self, reactor, *args, **kwargs):
            return Endpoint("client", reactor, args, kwargs)

    class ServerOnly:
        @staticmethod
        def parseStreamServer(reactor, port):
            return Endpoint("server", reactor, (int(port),), {})

    class Forgetful:
        def parseStreamServer(self, reactor, *args, **kwargs):
            return "an endpoint"

    both, server_only, forgetful = Both(), ServerOnly, Forgetful()
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """install(distribution, code, kind="object" ...): a distribution, 1.0, with a module of that code."""
    modules = []

    def make(name: str, code: str = PARSER, **kinds: str) -> None:
        place = tmp_path / name
        metadata = place / f"{name}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (place / f"{name}.py").write_text(textwrap.dedent(code), encoding="utf-8")
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        points = "".join(f"{kind} = {name}:{thing}\n" for kind, thing in kinds.items())
        (metadata / "entry_points.txt").write_text(f"[ropewalk.endpoints]\n{points}", encoding="utf-8")
        monkeypatch.syspath_prepend(place)
        modules.append(name)

    yield make
    for name in modules:
        sys.modules.pop(name, None)


REACTOR = object()


def test_a_parser_is_given_the_reactor_and_the_arguments(install: Install) -> None:
    install("onions", onion="both")
    server = endpoints.serverFromString(REACTOR, r"onion:a\:b:port=80::key=x\=y")
    client = endpoints.clientFromString(REACTOR, "onion")
    assert server.made_of == ("server", REACTOR, ("a:b", ""), {"port": "80", "key": "x=y"})  # type: ignore[attr-defined]
    assert client.made_of == ("client", REACTOR, (), {})  # type: ignore[attr-defined]


def test_a_parser_is_not_imported_for_other_kinds(install: Install) -> None:
    install("onions", onion="both", tcp="both", garlic="both")
    endpoints.serverFromString(REACTOR, "tcp:80")
    with pytest.raises(ValueError, match=r"known; there are: fd, garlic, haproxy, onion, ssl, stdio, systemd, "):
        endpoints.serverFromString(REACTOR, "shallot:80")
    assert "onions" not in sys.modules


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("onion:x", PARSER, "failed: ValueError: invalid literal for int() with base 10: 'x'"),
        ("onion", PARSER, "failed: TypeError: "),
        ("onion:80", "import gone_for_good", "failed: ModuleNotFoundError: No module named 'gone_for_good'"),
        ("onion:80", "1 / 0", "failed: ZeroDivisionError: "),
        ("onion:80", "", "failed: AttributeError: "),
    ],
)
def test_a_parser_that_fails_is_a_ValueError_that_names_it_and_the_cause(
    text: str, code: str, said: str, install: Install
) -> None:
    install("onions", code, onion="server_only")
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        endpoints.serverFromString(REACTOR, text)
    assert str(caught.value).startswith(
        f"{text}: position 0: the parser of onion, onions:server_only (onions 1.0), {said}"
    )
    assert type(caught.value.__cause__).__name__ in said


def test_a_parser_that_makes_no_endpoint_is_named(install: Install) -> None:
    install("onions", onion="forgetful")
    said = "the parser of onion, onions:forgetful .onions 1.0., made no endpoint, but 'an endpoint'$"
    with pytest.raises(ValueError, match=said):
        endpoints.serverFromString(REACTOR, "onion")


def test_a_parser_for_the_other_side_only_is_named(install: Install) -> None:
    install("onions", onion="server_only")
    said = "position 0: onion cannot be connected to: onions:server_only .onions 1.0. has no parseStreamClient$"
    with pytest.raises(ValueError, match=said):
        endpoints.clientFromString(REACTOR, "onion:80")


def test_two_distributions_with_the_same_kind_are_named(install: Install) -> None:
    install("onions", onion="both")
    install("shallots", onion="both")
    said = "position 0: onion is a kind of more than one parser: .*(onions 1.0.*shallots 1.0|shallots 1.0.*onions 1.0)"
    with pytest.raises(ValueError, match=said):
        endpoints.serverFromString(REACTOR, "onion:80")
    assert not {"onions", "shallots"} & set(sys.modules)


def test_an_argument_given_twice_is_a_fault_before_any_parser_sees_it(install: Install) -> None:
    install("onions", onion="both")
    with pytest.raises(ValueError, match=r"^onion:a=1:a=2: position 10: a is given twice$"):
        endpoints.serverFromString(REACTOR, "onion:a=1:a=2")
    assert "onions" not in sys.modules


def test_a_kind_of_ones_own_can_be_behind_a_proxy(install: Install) -> None:
    install("onions", onion="server_only")
    with pytest.raises(ValueError, match=r"^haproxy:onion:x: position 8: the parser of onion, "):
        endpoints.serverFromString(REACTOR, "haproxy:onion:x")
