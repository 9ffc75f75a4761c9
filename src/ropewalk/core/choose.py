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
    """One row: the preset's module and class in ropewalk.internet, its host and its poller, what it is."""

    module: str
    reactor: str
    host: str
    poller: str
    about: str


CHOICES = {
    "select": Choice("selectreactor", "SelectReactor", "own:OwnHost", "select:Select", "select(2), on every system"),
    "poll": Choice("pollreactor", "PollReactor", "own:OwnHost", "poll:Poll", "poll(2), on every Unix"),
    "epoll": Choice("epollreactor", "EPollReactor", "own:OwnHost", "epoll:EPoll", "epoll(7), on Linux"),
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
    row = choice(name)
    for part in (_load(_HOSTS + row.host), _load(_POLLERS + row.poller)):
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
    row = choice(name)
    return _load(_HOSTS + row.host), _load(_POLLERS + row.poller)


def _load(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)
