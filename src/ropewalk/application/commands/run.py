"""The command `run`: runs an application that is an object of a module."""

from __future__ import annotations

from typing import Any

import click


@click.command()
@click.argument("name", metavar="MODULE:OBJECT")
def command(name: str) -> Any:
    """Run an application or service, or what a function returns as one: mypackage.web:application."""
    from ropewalk.application import program

    return program.from_name(name)
