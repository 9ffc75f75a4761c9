"""The names of the reactors, and what each is made of; the only module that names concrete hosts and pollers.

A new poller or host is a row of this table and a preset in ropewalk.internet. Nothing is imported before it is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

from ropewalk.errors import ReactorNotAvailableError

_HOSTS = "ropewalk.hosts."
_POLLERS = "ropewalk.pollers."


class Choice(NamedTuple):
    """One row: the preset's module and class in ropewalk.internet, its host and its poller, what it is.

    The poller BEST is that of the system's default reactor.
    """

    module: str
    reactor: str
    host: str
    poller: str
    about: str


BEST = "best"
CHOICES = {
    "select": Choice("selectreactor", "SelectReactor", "own:OwnHost", "select:Select", "select(2), on every system"),
    "poll": Choice("pollreactor", "PollReactor", "own:OwnHost", "poll:Poll", "poll(2), on every Unix"),
    "epoll": Choice("epollreactor", "EPollReactor", "own:OwnHost", "epoll:EPoll", "epoll(7), on Linux"),
    "iocp": Choice("iocpreactor", "IOCPReactor", "own:OwnHost", "iocp:IOCP", "a completion port, on Windows"),
    "wfmo": Choice("win32eventreactor", "Win32Reactor", "own:OwnHost", "wfmo:WFMO", "sockets and windows, on Windows"),
    "kqueue": Choice("kqreactor", "KQueueReactor", "own:OwnHost", "kqueue:KQueue", "kqueue(2), on macOS and the BSDs"),
    "cf": Choice(
        "cfreactor", "CFReactor", "corefoundation:CoreFoundationHost", BEST, "CoreFoundation's run loop, on macOS"
    ),
    "glib2": Choice("glib2reactor", "Glib2Reactor", "glib:GLibHost", BEST, "GLib's main loop, by its old name"),
    "gi": Choice("gireactor", "GIReactor", "glib:GLibHost", BEST, "GLib's main loop, with or without a display"),
    "gtk2": Choice("gtk2reactor", "Gtk2Reactor", "gtk:Gtk2Host", BEST, "GTK 2's main loop"),
    "gtk3": Choice("gtk3reactor", "Gtk3Reactor", "gtk:Gtk3Host", BEST, "GTK 3's main loop"),
    "gtk4": Choice("gtk4reactor", "Gtk4Reactor", "gtk:Gtk4Host", BEST, "GTK 4's main loop"),
    "wx": Choice("wxreactor", "WxReactor", "wx:WxHost", BEST, "wxPython's main loop"),
    "pygame": Choice("pygamereactor", "PygameReactor", "pygame:PygameHost", BEST, "the event queue of pygame"),
    "pyui": Choice("pyuireactor", "PyUIReactor", "pyui:PyUIHost", BEST, "PyUI's application, on asyncio's loop"),
    "asyncio": Choice("asyncioreactor", "AsyncioReactor", "asyncio:AsyncioHost", BEST, "asyncio's loop, or uvloop's"),
    "qt": Choice("qtreactor", "QtReactor", "qt:QtHost", BEST, "Qt 6's main loop, by PySide6 or PyQt6"),
    "tk": Choice("tkreactor", "TkReactor", "tk:TkHost", BEST, "Tk's main loop"),
}
# Of every system; those without a row yet are passed over.
_BEST_FIRST = ("epoll", "kqueue", "iocp", "poll", "select")


def names() -> list[str]:
    """Every name that `-r`, ROPEWALK_REACTOR and choose understand, "default" aside."""
    return list(CHOICES)


def default_name() -> str:
    """The best reactor of this system."""
    return next(name for name in _BEST_FIRST if name in CHOICES and why_not(name) is None)


def choice(name: str) -> Choice:
    """The row of `name`. Raises ReactorNotAvailableError for an unknown name."""
    name = default_name() if name == "default" else name
    if name not in CHOICES:
        raise ReactorNotAvailableError(f"there is no reactor called {name!r}; there are: default, {', '.join(names())}")
    return CHOICES[name]


def why_not(name: str) -> str | None:
    """Why the reactor `name` cannot be used here, and what to install; None if it can."""
    for part in _parts(choice(name)):
        reason: str | None = part.missing()
        if reason is not None:
            return reason
    return None


def parts(name: str) -> tuple[Callable[..., Any], Callable[[], Any]]:
    """What makes the host and the poller of `name`. Raises ReactorNotAvailableError if they cannot be used here."""
    reason = why_not(name)
    if reason is not None:
        raise ReactorNotAvailableError(
            f"the {name} reactor cannot be used here: {reason}; use the default one ({default_name()})"
        )
    host, poller = _parts(choice(name))
    return host, poller


def posted() -> Any:
    """The host that needs nothing of its loop but to post to it; it has no name, since nothing can be said without."""
    return _load(_HOSTS + "posted:PostedHost")


def classic_pyui() -> Any:
    """The host of the classic PyUI; it has no name, since its window is opened with arguments of the program."""
    return _load(_HOSTS + "pyuiclassic:ClassicPyUIHost")


def _parts(row: Choice) -> tuple[Any, Any]:
    poller = CHOICES[default_name()].poller if row.poller == BEST else row.poller
    return _load(_HOSTS + row.host), _load(_POLLERS + poller)


def _load(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)
