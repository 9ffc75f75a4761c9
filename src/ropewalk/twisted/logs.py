"""The log of Twisted: prefixes, and the context that tells whose event is being handled, at no cost an event.

Twisted's reactors push a context before each call into a protocol, so that `context.get(ILogContext)["system"]` is the
protocol's prefix. Ours push one for the whole run, and it asks the reactor who is on the stack when somebody asks it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import ILoggingContext


def prefix_of(program: Any) -> str:
    """What the log calls `program`, a protocol or a factory."""
    if ILoggingContext.providedBy(program):
        prefix: str = program.logPrefix()
        return prefix
    return type(program).__name__


class RunningContext(dict[str, Any]):
    """The log context of a reactor that runs. active: the handler that is on the stack, None without one."""

    def __init__(self, before: dict[str, Any], active: Callable[[], Any]) -> None:
        super().__init__(before)
        self._active = active

    def __getitem__(self, key: str) -> Any:
        return self.copy()[key]

    def get(self, key: str, default: Any = None) -> Any:
        return self.copy().get(key, default)

    def copy(self) -> dict[str, Any]:
        context = super().copy()
        handler = self._active()
        program = getattr(handler, "called", handler)   # what addReader() watches has a handler that calls it
        if hasattr(program, "logPrefix"):
            context["system"] = program.logPrefix()
        return context
