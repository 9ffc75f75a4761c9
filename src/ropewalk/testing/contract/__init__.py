"""The contract: what every reactor does, whatever its host and poller.

A behaviour is a function that takes a Rig, runs a reactor and asserts; its name is a sentence. Run all of them on a
reactor of your own:

    for behaviour in contract.behaviours():
        with Rig(MyReactor) as rig:
            behaviour(rig)
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from ropewalk.testing.rig import Rig

Behaviour = Callable[[Rig], None]
_behaviours: list[Behaviour] = []


def behaviour(function: Behaviour) -> Behaviour:
    """Make `function` a part of the contract."""
    _behaviours.append(function)
    return function


def behaviours() -> list[Behaviour]:
    """The whole contract."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return list(_behaviours)
