"""The command `echo`: sends back what each connection sends."""

from __future__ import annotations

from typing import Any

import click

from ropewalk.internet.protocol import Factory, Protocol


class Echo(Protocol):
    """Sends back what it receives, as fast as the other side takes it, to the end."""

    def connectionMade(self) -> None:
        self.transport.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)

    def readConnectionLost(self) -> None:
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nobody takes what would be sent."""
        self.transport.loseConnection()


@click.command()
@click.argument("listen")
def command(listen: str) -> Any:
    """Send back what each connection to LISTEN sends."""
    from ropewalk.application.commands.serving import serving

    return serving(listen, Factory.forProtocol(Echo))
