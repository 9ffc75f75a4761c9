"""The names of the reactors and what is behind them."""

from __future__ import annotations

import importlib
import select
import sys

import pytest

from ropewalk.core import choose
from ropewalk.errors import ReactorNotAvailableError


@pytest.mark.parametrize("name", choose.names())
def test_every_name_has_a_module_and_a_class_that_bears_it(name: str) -> None:
    row = choose.choice(name)
    preset = getattr(importlib.import_module(f"ropewalk.internet.{row.module}"), row.reactor)
    assert preset.name == name
    assert row.about


@pytest.mark.parametrize("name", choose.names())
def test_every_name_gives_parts_or_says_why_not(name: str) -> None:
    reason = choose.why_not(name)
    if reason is None:
        make_host, make_poller = choose.parts(name)
        assert callable(make_host)
        assert callable(make_poller)
    else:
        with pytest.raises(ReactorNotAvailableError, match=name):
            choose.parts(name)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ReactorNotAvailableError) as caught:
        choose.choice("libevent")
    for name in ("libevent", "default", *choose.names()):
        assert name in str(caught.value)


def test_default_stands_for_a_name_that_can_be_used() -> None:
    name = choose.default_name()
    assert choose.why_not(name) is None
    assert choose.choice("default") == choose.choice(name)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="epoll is Linux's")
def test_the_default_on_linux_is_epoll() -> None:
    assert choose.default_name() == "epoll"


@pytest.mark.skipif(choose.why_not("iocp") is None, reason="on Windows nothing is taken away by that")
def test_the_default_falls_back_to_what_the_system_has(monkeypatch: pytest.MonkeyPatch) -> None:
    for interface in ("epoll", "kqueue", "poll"):
        monkeypatch.delattr(select, interface, raising=False)
    assert choose.default_name() == "select"


def test_a_missing_interface_is_named_together_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll", raising=False)
    reason = choose.why_not("epoll")
    assert reason is not None
    assert "select.epoll" in reason
    with pytest.raises(ReactorNotAvailableError, match=r"use .*\b(default|poll)\b"):
        choose.parts("epoll")
