"""Ropewalk inside Twisted: our reactors as twisted.internet.reactor.

`ropewalk.twisted.install("epoll")`, before anything imports twisted.internet.reactor, is all that a program needs; so
is `-r ropewalk-epoll` for twistd and trial. The reactors bear Twisted's names (EPollReactor, IOCPReactor, CFReactor:
one for each row of ropewalk.core.choose). Twisted is imported when the first of them is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ropewalk.errors import ReactorNotAvailableError
from ropewalk.internet import main

if TYPE_CHECKING:
    CFReactor: Any
    EPollReactor: Any
    IOCPReactor: Any
    KQueueReactor: Any
    PollReactor: Any
    SelectReactor: Any
    Win32Reactor: Any

__all__ = [
    "CFReactor", "EPollReactor", "IOCPReactor", "KQueueReactor", "PollReactor", "SelectReactor", "Win32Reactor",
    "install",
]  # fmt: skip

OLDEST = "22.10"
_NAMES = {named.reactor: named.name for named in main.names()}


def install(name: str = "default") -> None:
    """Make our reactor `name` the one that `from twisted.internet import reactor` gives.

    name: as ropewalk's command has it: 'epoll', 'poll', 'select', or 'default', the best of this system. Raises
    ReactorNotAvailableError if Twisted is missing or too old, or that reactor is unknown or cannot be used here, and
    Twisted's ReactorAlreadyInstalledError, which says which one, and who has it, if Twisted has a reactor already.
    """
    reactor_class(name).install()


def reactor_class(name: str) -> Any:
    """The class of the reactor `name`; calling it makes one without installing it. Raises ReactorNotAvailableError."""
    _require_twisted()
    from ropewalk.twisted import reactors

    return reactors.reactor_class(name)


def __getattr__(attribute: str) -> Any:
    if attribute not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
    return reactor_class(_NAMES[attribute])


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})


def _require_twisted() -> None:
    """Raises ReactorNotAvailableError unless a Twisted that we know is there."""
    get = "install one with: pip install 'ropewalk[twisted]'"
    try:
        from twisted import __version__ as version
    except ImportError as error:   # also where other packages' plugins have made a folder called twisted
        raise ReactorNotAvailableError(f"Twisted is not installed, and ropewalk.twisted needs it: {get}") from error
    if _numbers(version) < _numbers(OLDEST):
        raise ReactorNotAvailableError(
            f"Twisted {version} is too old for ropewalk.twisted, which needs {OLDEST} or newer: {get}"
        )


def _numbers(version: str) -> list[int]:
    """The year and month of one of Twisted's versions."""
    return [int(number) for number in version.split(".")[:2]]
