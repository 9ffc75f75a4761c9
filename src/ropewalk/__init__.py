"""Ropewalk: one reactor on every native event loop.

`from ropewalk import reactor` is the installed reactor; the first import installs the default one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ropewalk.internet import reactor as reactor


def __getattr__(name: str) -> Any:
    if name != "reactor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ropewalk.internet import reactor

    return reactor
