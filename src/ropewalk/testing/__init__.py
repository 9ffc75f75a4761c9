"""What tests of networking programs need: fakes that turn step by step, connected pairs, a pytest plugin.

The names that twisted.internet.testing has are here under the same names. Nothing is imported before it is asked for:
pytest imports this package in every session, for its plugin.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ropewalk.internet.task import Clock
    from ropewalk.testing.datagrams import FakeDatagramTransport
    from ropewalk.testing.lines import LineSendingProtocol
    from ropewalk.testing.pairs import ConnectedPair, Pump, connectedPair
    from ropewalk.testing.protocols import AccumulatingProtocol, NonStreamingProducer, waitUntilAllDisconnected
    from ropewalk.testing.reactors import MemoryReactor, MemoryReactorClock, RaisingMemoryReactor
    from ropewalk.testing.strings import StringIOWithoutClosing, StringTransport, StringTransportWithDisconnection

__all__ = [
    "AccumulatingProtocol",
    "Clock",
    "ConnectedPair",
    "FakeDatagramTransport",
    "LineSendingProtocol",
    "MemoryReactor",
    "MemoryReactorClock",
    "NonStreamingProducer",
    "Pump",
    "RaisingMemoryReactor",
    "StringIOWithoutClosing",
    "StringTransport",
    "StringTransportWithDisconnection",
    "connectedPair",
    "waitUntilAllDisconnected",
]

_CONTENTS = {
    "ropewalk.internet.task": ["Clock"],
    "ropewalk.testing.datagrams": ["FakeDatagramTransport"],
    "ropewalk.testing.lines": ["LineSendingProtocol"],
    "ropewalk.testing.pairs": ["ConnectedPair", "Pump", "connectedPair"],
    "ropewalk.testing.protocols": ["AccumulatingProtocol", "NonStreamingProducer", "waitUntilAllDisconnected"],
    "ropewalk.testing.reactors": ["MemoryReactor", "MemoryReactorClock", "RaisingMemoryReactor"],
    "ropewalk.testing.strings": ["StringIOWithoutClosing", "StringTransport", "StringTransportWithDisconnection"],
}
_HOMES = {name: module for module, names in _CONTENTS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
