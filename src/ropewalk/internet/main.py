"""The installed reactor: which one it is, who installed it, and the reasons a connection ends that programs know."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from ropewalk.core import choose, signals
from ropewalk.errors import ConnectionDone, ConnectionLost, ReactorAlreadyInstalledError

if TYPE_CHECKING:
    from ropewalk.internet.base import ReactorBase

CONNECTION_DONE = ConnectionDone("Connection done")
CONNECTION_LOST = ConnectionLost("Connection lost")

_MODULE = "ropewalk.internet.reactor"
_OURS = os.path.dirname(os.path.dirname(__file__)) + os.sep
_installed_by = ""


def installReactor(reactor: Any) -> None:
    """Make `reactor` the one that `from ropewalk.internet import reactor` gives; if it is that already, do nothing.

    Raises ReactorAlreadyInstalledError, which says which one is installed and by what line, if there is another.
    """
    global _installed_by
    present = sys.modules.get(_MODULE)
    if present is reactor:
        return
    if present is not None:
        raise ReactorAlreadyInstalledError(
            f"{type(reactor).__name__} cannot be installed by {caller()}: {type(present).__name__} has been already, "
            f"by {_installed_by}; install a reactor before anything imports {_MODULE}"
        )
    import ropewalk.internet

    _installed_by = caller()
    sys.modules[_MODULE] = reactor
    ropewalk.internet.reactor = reactor


def installed_by(who: str) -> None:
    """Have the error about a second reactor say that `who` installed the first, where no line of a program did."""
    global _installed_by
    _installed_by = who


def install_preset(preset: type[ReactorBase]) -> None:
    """Install a reactor of the class `preset`; one of that class being installed already, do nothing."""
    if type(installed()) is not preset:
        installReactor(preset())


def installed() -> Any:
    """The installed reactor; None if there is none yet."""
    return sys.modules.get(_MODULE)


class Available(NamedTuple):
    """A reactor by name: what it is, whether it is this system's default, why it cannot be used here (None: it can)."""

    name: str
    about: str
    default: bool
    why_not: str | None


def reactors() -> list[Available]:
    """Every reactor that has a name, the ones that cannot be used here too."""
    best = choose.default_name()
    return [Available(name, choose.choice(name).about, name == best, choose.why_not(name)) for name in choose.names()]


class Named(NamedTuple):
    """A reactor by name: its name, that of its class, what it is."""

    name: str
    reactor: str
    about: str


def names() -> list[Named]:
    """Every reactor that has a name; none is loaded."""
    rows = [(name, choose.choice(name)) for name in choose.names()]
    return [Named(name, row.reactor, row.about) for name, row in rows]


def die_by_exit_signal(reactor: Any) -> None:
    """If a signal stopped `reactor`, end this process by it, so that the parent sees why; output is flushed before."""
    if reactor.exitSignal is None:
        return
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:   # None: closed before the interpreter began
            with contextlib.suppress(OSError, ValueError):   # nobody reads it any more; the program closed it
                stream.flush()
    signals.die_by(reactor.exitSignal)


def caller() -> str:
    """The file and line, outside this package, that led here."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith((_OURS, "<frozen importlib")):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}, line {frame.f_lineno}"
