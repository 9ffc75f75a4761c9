"""The command `ropewalk shout`: sends each line back in capitals. It mentions no reactor: `ropewalk -r` chooses one.

It is a click command whose callback returns a service; the command `ropewalk` starts that, and stops it.
"""

from typing import Any

import click

from ropewalk.application import strports
from ropewalk.internet.protocol import Factory
from ropewalk.protocols.basic import LineOnlyReceiver


class Shout(LineOnlyReceiver):
    delimiter = b"\n"

    def lineReceived(self, line: bytes) -> None:
        self.sendLine(line.upper() + self.factory.ending)


@click.command()
@click.argument("listen")
@click.option("--loud", is_flag=True, help="Add an exclamation mark.")
def command(listen: str, loud: bool) -> Any:
    """Send each line that comes to LISTEN back in capitals."""
    factory = Factory.forProtocol(Shout)
    factory.ending = b"!" if loud else b""
    try:
        return strports.service(listen, factory)
    except ValueError as error:   # LISTEN is wrong: the command ends with a line that says so
        raise click.UsageError(str(error)) from error
