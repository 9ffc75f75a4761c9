"""Every behaviour of the contract, on every reactor of this machine that owns its loop.

With --ropewalk-reactor=NAMES on those of that name. The GUI toolkits' are named so by test_contract_hosts.py: each
needs a process of its own, since versions of GTK cannot be mixed in one.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import pytest

from ropewalk.core import choose
from ropewalk.testing import contract
from ropewalk.testing.rig import Rig


def reactor_class(name: str) -> Callable[[], Any]:
    row = choose.choice(name)
    made: Callable[[], Any] = getattr(importlib.import_module(f"ropewalk.internet.{row.module}"), row.reactor)
    return made


@functools.cache
def why_not(name: str) -> str | None:
    """Why the reactor `name` cannot be used here; None if it can, and then it ran once.

    A toolkit opens its display with its first reactor and keeps it: that is no leak of a behaviour.
    """
    reason = choose.why_not(name)
    if reason is None:
        reactor = reactor_class(name)()
        reactor.callWhenRunning(reactor.stop)
        reactor.run()
    return reason


@pytest.fixture(scope="module", autouse=True)
def windows(request: pytest.FixtureRequest) -> None:
    """The reactors that own their loop need no display; and SDL waits without looking only where it has a window."""
    asked = request.config.getoption("ropewalk_reactor") or ""
    if asked:
        request.getfixturevalue("display")
    if "pygame" in asked:
        importlib.import_module("pygame").display.set_mode((64, 64))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    asked = metafunc.config.getoption("ropewalk_reactor")
    own = [name for name, row in choose.CHOICES.items() if row.host == "own:OwnHost"]
    metafunc.parametrize("behaviour", contract.behaviours(), ids=lambda function: function.__name__)
    metafunc.parametrize("name", asked.split(",") if asked else own)


def test(name: str, behaviour: contract.Behaviour) -> None:
    reason = why_not(name)
    if reason is not None:
        pytest.skip(f"{name}: {reason}")
    with Rig(reactor_class(name)) as rig:
        behaviour(rig)
