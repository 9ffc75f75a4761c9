"""Handing listening sockets over, from a service to the one that takes its place.

Two sockets cannot be bound to one port, and connections that wait to be accepted belong to the socket. So a port that
is to listen where an old one does gets a duplicate of its descriptor: both accept from one queue until the old one
stops, and no client is refused meanwhile.

A reactor asks its kit which class is made where one of its transports is (Kit.variant): there a port is made one that
looks for its predecessor before it binds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ropewalk.application.runner.stopping import ports


@contextmanager
def handing_over(reactor: Any) -> Iterator[None]:
    """Meanwhile whatever listens on `reactor` where something listens already, shares its socket."""
    before = reactor.kit
    reactor.kit = _HandoverKit(before, ports(reactor))
    try:
        yield
    finally:
        reactor.kit = before


class _HandoverKit:
    """The kit `kit`, with ports that look for their predecessors among `old`."""

    def __init__(self, kit: Any, old: list[Any]) -> None:
        self._kit = kit
        self._old = old

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kit, name)

    def variant(self, ours: Any) -> Any:
        variant = self._kit.variant(ours)
        if not hasattr(variant, "stopListening"):
            return variant
        return type(variant.__name__, (_Successor, variant), {"predecessors": self._old, "__doc__": variant.__doc__})


class _Successor:
    """Mixed into the class of a port: one of `predecessors` gives it the socket, if it has the same place."""

    predecessors: list[Any]

    def bind(self) -> Any:
        place = _place(self)
        found = next((old for old in self.predecessors if old.connected and _place(old) == place), None)
        if found is None:
            return super().bind()   # type: ignore[misc]
        self.predecessors.remove(found)
        return self.succeed(found)   # type: ignore[attr-defined]


def _place(port: Any) -> tuple[Any, ...]:
    """What was asked for: so tcp:0 stays on the port that the system chose before. Streams have a factory."""
    is_stream = hasattr(port, "factory")
    if not is_stream and not port.port:
        return (port,)   # nobody else's: the answers to what it sends are for it alone
    return is_stream, port.port, getattr(port, "interface", None), getattr(port, "remoteaddr", None)
