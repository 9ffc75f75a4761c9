"""The command `ropewalk socks`: a SOCKS server."""

from __future__ import annotations

from typing import Any

import click

_NETWORK = "NETWORK"


@click.command(name="socks", short_help="Connect SOCKS clients to where they want.")
@click.argument("listen", default="tcp:1080:interface=127.0.0.1")
@click.option("--allow", metavar=_NETWORK, multiple=True, help="Connect to these addresses, whatever else is refused.")
@click.option("--refuse", metavar=_NETWORK, multiple=True, help="Do not connect to these addresses.")
@click.option("--refuse-port", type=click.IntRange(0, 65535), multiple=True, help="Do not connect to this port.")
def command(listen: str, allow: tuple[str, ...], refuse: tuple[str, ...], refuse_port: tuple[int, ...]) -> Any:
    """Connect each SOCKS client (versions 4, 4a and 5) at LISTEN to the destination that it names.

    LISTEN is tcp:1080:interface=127.0.0.1, unless it is given. Addresses of this machine and of its link, and those of
    groups, are refused unless --allow says otherwise; the options may be repeated. NETWORK is an address or a network:
    192.0.2.1, 192.0.2.0/24, 2001:db8::/32. --refuse 0.0.0.0/0 --refuse ::/0 leaves what --allow names.
    """
    from ropewalk.application.commands.serving import serving
    from ropewalk.protocols.socks import Rules, SOCKSFactory

    try:
        rules = Rules(allow, refuse, refuse_port)
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error
    return serving(listen, SOCKSFactory(rules))
