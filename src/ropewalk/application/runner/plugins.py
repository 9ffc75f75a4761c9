"""The subcommands: ours, and those of installed packages (entry points of the group `ropewalk.services`).

An entry point names a click command whose callback returns a service. The list of entry points is read from the
metadata of every installed package, and importing a plugin may import anything: so that is done for a name that is not
ours, and for --help. A plugin that fails to import is listed with the reason, and disturbs no other.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from ropewalk.application.exits import CommandFailed, Exit
from ropewalk.application.runner.naming import did_you_mean

GROUP = "ropewalk.services"
OURS = ("echo", "forward", "procmon", "run", "socks")


def names() -> list[str]:
    """Of all subcommands."""
    return sorted({*OURS, *_entry_points()})


def find(name: str) -> click.Command | None:
    """The subcommand `name`; None if there is none. Raises CommandFailed if it cannot be imported."""
    if name in OURS:
        ours: click.Command = import_module(f"ropewalk.application.commands.{name}").command
        return ours
    entry = _entry_points().get(name)
    if entry is None:
        return None
    try:
        found = entry.load()
    except Exception as error:
        raise CommandFailed(f"{name} does not import: {_reason(error)} (entry point {entry.value})",
                            Exit.UNAVAILABLE) from error
    if not isinstance(found, click.Command):
        raise CommandFailed(
            f"{name} is no click command, but {type(found).__name__} (entry point {entry.value})", Exit.UNAVAILABLE
        )
    return found


def listed(name: str) -> click.Command:
    """The subcommand `name`, for a list; one that says why, in its place, if it cannot be imported."""
    try:
        found = find(name)
    except CommandFailed as error:
        return click.Command(name, short_help=f"(not usable: {error.message.partition(': ')[2] or error.message})")
    assert found is not None
    return found


def unknown(name: str) -> str:
    """What to say about a subcommand that does not exist."""
    known = names()
    return f"there is no command {name!r}{did_you_mean(name, known)}; there are: {', '.join(known)}"


def _entry_points() -> dict[str, Any]:
    from importlib.metadata import entry_points  # a slow import

    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
