"""Every behaviour of the contract, on every reactor that this machine has."""

from __future__ import annotations

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


@pytest.mark.parametrize("name", choose.names())
@pytest.mark.parametrize("behaviour", contract.behaviours(), ids=lambda function: function.__name__)
def test(name: str, behaviour: contract.Behaviour) -> None:
    reason = choose.why_not(name)
    if reason is not None:
        pytest.skip(f"{name}: {reason}")
    with Rig(reactor_class(name)) as rig:
        behaviour(rig)
