"""The classic PyUI (pyui.init(), update(), draw(), quit()), whose frames an installed reactor is to make from then on.

The PyUI of today has applications instead, which the reactor of pyuireactor runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ropewalk.core import choose
from ropewalk.internet.base import current

_NONE: Mapping[str, Any] = MappingProxyType({})


def install(ms: int = 10, reactor: Any = None, args: Sequence[Any] = (), kw: Mapping[str, Any] = _NONE) -> Any:
    """Call pyui.init(*args, **kw), and have reactor.run() draw and update PyUI; returns what init() returned.

    ms: milliseconds between two frames, in which the network is served without delay. reactor: None for the one that
    runs, else the installed one; it may run already. When pyui.update() returns 0, PyUI is quit and the reactor stops;
    stop() leaves PyUI alone. A program with a loop of its own calls reactor.attach() before it, and in it once a turn
    reactor.iterate(). What a frame raises is logged. Raises ReactorNotAvailableError if there is no classic PyUI, and
    RuntimeError if another loop serves the reactor.
    """
    opened: list[Any] = []

    def make_host(reactor: Any) -> Any:
        host = choose.classic_pyui()(reactor, ms, args, kw)
        opened.append(host.opened)
        return host

    (current() if reactor is None else reactor).use(make_host)
    return opened[0]
