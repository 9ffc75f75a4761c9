"""Every behaviour of the contract on the loops of asyncio that test_contract_hosts.py does not take: others than the
standard one."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ropewalk.internet.asyncioreactor import AsyncioReactor
from ropewalk.testing import contract
from ropewalk.testing.rig import Rig

try:
    import uvloop
except ImportError:
    uvloop = None


class LoopWithoutReaders(asyncio.SelectorEventLoop):
    """A loop that cannot watch a descriptor, as Windows' Proactor loop: so the helper thread does."""

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:
        raise NotImplementedError

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> None:
        raise NotImplementedError


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"no_readers": LoopWithoutReaders}
if uvloop is not None:
    LOOPS["uvloop"] = uvloop.new_event_loop


USED_BY_LOOP = {("uvloop", "without_signal_handlers_those_of_the_program_stay")}   # it sets signal's wakeup fd itself


@pytest.fixture(scope="module", autouse=True)
def once() -> None:
    """What a loop opens with the first of its kind, and keeps, is no leak of a behaviour."""
    for make in LOOPS.values():
        reactor = AsyncioReactor(loop_factory=make)
        reactor.callWhenRunning(reactor.stop)
        reactor.run()


@pytest.mark.parametrize("behaviour", contract.behaviours(), ids=lambda function: function.__name__)
@pytest.mark.parametrize("loop", LOOPS)
def test(loop: str, behaviour: contract.Behaviour) -> None:
    if (loop, behaviour.__name__) in USED_BY_LOOP:
        return
    try:
        with Rig(partial(AsyncioReactor, loop_factory=LOOPS[loop])) as rig:
            behaviour(rig)
    except unittest.SkipTest as reason:
        pytest.skip(str(reason))
