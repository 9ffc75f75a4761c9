"""Debug mode: a call from the wrong thread is refused where it is made, before it does anything.

The reactor is not thread-safe, apart from callFromThread. In debug mode (the environment variable ROPEWALK_DEBUG, or
python -X dev) its entry points, and the methods of its transports, ports, connectors and delayed calls, check the
thread first. Otherwise nothing is checked and nothing is paid.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

_CHECKED = (
    "addReader", "addSystemEventTrigger", "addWriter", "adoptDatagramPort", "adoptStreamConnection", "adoptStreamPort",
    "callInThread", "callLater", "callWhenRunning", "connectSSL", "connectTCP", "connectUNIX", "connectUNIXDatagram",
    "crash", "fireSystemEvent", "iterate", "listenMulticast", "listenSSL", "listenTCP", "listenUDP", "listenUNIX",
    "listenUNIXDatagram", "removeAll", "removeReader", "removeSystemEventTrigger", "removeWriter", "resolve",
    "spawnProcess", "stop",
)  # fmt: skip

_Check = Callable[[str], None]


def debugging() -> bool:
    """Whether reactors made now are in debug mode."""
    return bool(os.environ.get("ROPEWALK_DEBUG")) or sys.flags.dev_mode


def check_threads(reactor: Any, thread: Callable[[], int | None]) -> None:
    """Make `reactor` refuse calls from other threads than `thread()`, its own (None while it does not run)."""

    def check(what: str) -> None:
        home = thread()
        if home is not None and home != threading.get_ident():
            raise RuntimeError(
                f"{what} was called in the thread {threading.current_thread().name!r}, which is not the reactor's: "
                "use reactor.callFromThread, or threads.blockingCallFromThread if you need the result"
            )

    classes: dict[type, type] = {}

    def checked_class(plain: type) -> type:
        if plain not in classes:
            classes[plain] = _checked_class(plain, check)
        return classes[plain]

    class CheckedSet(set[Any]):
        """The transports of the reactor: each gets the checked class as it is opened."""

        def add(self, transport: Any) -> None:
            transport.__class__ = checked_class(type(transport))
            super().add(transport)

    def call_later(*args: Any, **kwargs: Any) -> Any:
        call = plain_call_later(*args, **kwargs)
        call.__class__ = checked_class(type(call))
        return call

    plain_call_later, reactor.callLater = reactor.callLater, call_later
    for name in filter(partial(hasattr, reactor), _CHECKED):   # a system may lack UNIX sockets
        setattr(reactor, name, _checked(getattr(reactor, name), f"reactor.{name}", check))
    reactor.transports = CheckedSet()


def _checked_class(plain: type, check: _Check) -> type:
    """A subclass of `plain`, of its layout, whose public methods check the thread; asking for an address is free."""
    if plain.__dict__.get("_is_checked"):
        return plain
    methods = {
        name: _checked(method, f"{plain.__name__}.{name}", check)
        for base in reversed(plain.__mro__)
        for name, method in vars(base).items()
        if isinstance(method, FunctionType) and not name.startswith(("_", "get"))
    }
    return type(plain.__name__, (plain,), {"__slots__": (), "_is_checked": True, **methods})


def _checked(method: Callable[..., Any], name: str, check: _Check) -> Callable[..., Any]:
    @functools.wraps(method)
    def checked(*args: Any, **kwargs: Any) -> Any:
        check(name)
        return method(*args, **kwargs)

    return checked
