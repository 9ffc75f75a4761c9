"""The reactors, as --help-reactors and the errors about -r speak of them; and installing the one of -r."""

from __future__ import annotations

from ropewalk.application.exits import CommandFailed, Exit
from ropewalk.internet import default
from ropewalk.internet import main as installation
from ropewalk.internet.error import ReactorNotAvailableError


def install(name: str | None) -> None:
    """Install the reactor `name` before anything can import another. Raises CommandFailed."""
    if name is None:   # the file of -y may install one; else ROPEWALK_REACTOR counts when a reactor is needed
        return
    try:
        default.install(name)
    except ReactorNotAvailableError as error:
        raise CommandFailed(f"there is no reactor {name!r} here; {what_there_is()}", Exit.USAGE) from error
    installation.installed_by("the option -r")


def what_there_is() -> str:
    """The reactors that work here, and why the others do not."""
    rows = installation.reactors()
    here = ["default"] + [row.name for row in rows if row.why_not is None]
    missing = [f"{row.name} ({row.why_not})" for row in rows if row.why_not is not None]
    return f"available: {', '.join(here)}" + (f"; not available: {', '.join(missing)}" if missing else "")


def table() -> list[str]:
    """The lines of --help-reactors."""
    rows = [[row.name, row.about, _state(row)] for row in installation.reactors()]
    return _aligned([["NAME", "WHAT IT IS", "HERE"], *rows])


def _state(row: installation.Available) -> str:
    if row.why_not is not None:
        return f"not available: {row.why_not}"
    return "available, the default" if row.default else "available"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
