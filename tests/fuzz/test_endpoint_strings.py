"""Endpoint strings: any text is an endpoint or a ValueError that names it, and any text can be quoted."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ropewalk.internet import endpoints
from ropewalk.internet.endpoint_strings import Description
from ropewalk.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

KINDS = ["tcp", "tcp6", "unix", "fd", "systemd", "haproxy", "ssl"]
KEYS = ["port", "interface", "backlog", "host", "timeout", "mode", "lockfile", "checkPID", "domain", "name", "index"]
VALUES = ["80", "0", "1", "660", "x", "-", "", "INET", "UNIX", "9" * 30, "\0", "\udcff"]
PUNCTUATION = [":", "=", "\\"]

ANYTHING = st.text()
NEARLY = st.lists(st.sampled_from(KINDS + KEYS + VALUES + PUNCTUATION)).map("".join)
WELL_FORMED = st.builds(
    lambda kinds, arguments: ":".join([*kinds, *arguments]),
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=3),
    st.lists(
        st.sampled_from(VALUES)
        | st.builds("{}={}".format, st.sampled_from(KEYS), st.sampled_from(VALUES) | st.text().map(
            endpoints.quoteStringArgument)),
        max_size=4,
    ),
)  # fmt: skip

PARSERS: list[Any] = [
    pytest.param(endpoints.serverFromString, IStreamServerEndpoint, id="server"),
    pytest.param(endpoints.clientFromString, IStreamClientEndpoint, id="client"),
]


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()


def parsed(parse: Any, text: str) -> Any:
    """What `parse` makes of `text`: an endpoint, or the ValueError."""
    try:
        return parse(None, text)
    except ValueError as error:
        return error


@pytest.mark.parametrize(("parse", "interface"), PARSERS)
@given(text=ANYTHING | NEARLY | WELL_FORMED)
@example(text="tcp:" + "9" * 5000)
@example(text="tcp:a:80:timeout=" + "9" * 5000)
@example(text="unix:/s:mode=" + "7" * 5000)
@example(text="fd:" + "9" * 5000)
@example(text="haproxy:" * 1200)
@example(text="haproxy:unix:/s")
@example(text="\\" * 1201)
@settings(deadline=None)   # a kind that is not known costs a look at everything that is installed
def test_any_text_is_an_endpoint_or_a_ValueError_that_names_it(parse: Any, interface: type, text: str) -> None:
    before = descriptors()
    outcome = parsed(parse, text)
    assert descriptors() == before
    if isinstance(outcome, interface):
        return
    start = f"{text}: position "
    assert str(outcome).startswith(start)
    position = str(outcome).removeprefix(start).partition(":")[0]
    assert 0 <= int(position) <= len(text)


@given(st.text(min_size=1))
def test_quoted_text_stands_for_itself_wherever_it_is(text: str) -> None:
    quoted = endpoints.quoteStringArgument(text)
    description = Description.of(f"kind:{quoted}:key={quoted}:{quoted}={quoted}:{quoted}")
    assert description.kind.value == "kind"
    assert [(argument.key, argument.value) for argument in description.arguments] == [
        (None, text), ("key", text), (text, text), (None, text)
    ]  # fmt: skip


class Reactor:
    """In the place of a reactor: keeps the host and the local address it is asked to connect."""

    def connectTCP(self, host: str, port: int, factory: Any, **options: Any) -> None:
        self.asked = host, options["bindAddress"]


@given(st.text(min_size=1), st.text())
def test_quoted_arguments_arrive_as_they_were(host: str, local: str) -> None:
    reactor = Reactor()
    quoted = map(endpoints.quoteStringArgument, (host, local))
    endpoints.clientFromString(reactor, "tcp:{}:80:bindAddress={}".format(*quoted)).connect(None)  # type: ignore[arg-type]
    assert reactor.asked == (host, (local, 0) if local else None)


@given(st.lists(st.text()), st.dictionaries(st.text(), st.text()))
def test_a_parser_of_somebody_else_gets_the_arguments_as_they_were(args: list[str], kwargs: dict[str, str]) -> None:
    quote = endpoints.quoteStringArgument
    text = ":".join(["kind", *map(quote, args), *(f"{quote(key)}={quote(value)}" for key, value in kwargs.items())])
    assert Description.of(text).sorted_out() == (args, kwargs)
