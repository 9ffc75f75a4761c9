"""The command `forward`: continues each connection by one to another place."""

from __future__ import annotations

from typing import Any

import click


@click.command()
@click.argument("listen")
@click.argument("dest")
def command(listen: str, dest: str) -> Any:
    """Forward each connection to LISTEN to DEST."""
    from ropewalk.application.commands.serving import destination, serving
    from ropewalk.protocols.portforward import Forwarder

    return serving(listen, Forwarder(destination(dest)))
