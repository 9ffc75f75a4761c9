"""A chat: its server, and what every window of it does; only how a window looks is another matter.

Run the server (python examples/chat/chatlogic.py), then any number of windows (python examples/chat/tkchat.py, ...):
whatever one says is listed in all of them. On the wire it is lines of UTF-8 text; a client's first line is its name.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import Any, Protocol

from ropewalk.internet.endpoints import HostnameEndpoint
from ropewalk.internet.protocol import Factory
from ropewalk.protocols.basic import LineReceiver

HOST, PORT = "127.0.0.1", 8123


# -- the server


class Member(LineReceiver):
    """The server's side of one connection."""

    factory: Room
    delimiter = b"\n"
    name = ""

    def lineReceived(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").strip()
        if self.name:
            self.factory.tell(f"{self.name}: {text}")
        else:
            self.name = text or "somebody"
            self.factory.members.append(self)
            self.factory.tell(f"* {self.name} is here")

    def connectionLost(self, reason: Any = None) -> None:
        if self in self.factory.members:
            self.factory.members.remove(self)
            self.factory.tell(f"* {self.name} is gone")


class Room(Factory):
    """Everybody who is connected."""

    protocol = Member

    def __init__(self) -> None:
        self.members: list[Member] = []

    def tell(self, text: str) -> None:
        for member in self.members:
            member.sendLine(text.encode())


# -- the client


class View(Protocol):
    """What a chat asks of its window."""

    def add_line(self, line: str) -> None:
        """List one more line, and show it."""

    def show_connected(self, connected: bool) -> None:
        """Say on the button what it does next: connect or disconnect."""

    def lines(self) -> list[str]:
        """What the window lists, asked of the toolkit; for who cannot see it."""


class Client(LineReceiver):
    """The window's side of its connection."""

    delimiter = b"\n"

    def __init__(self, chat: Chat) -> None:
        self.chat = chat

    def connectionMade(self) -> None:
        self.sendLine(self.chat.name.encode())
        self.chat.connected(self)

    def lineReceived(self, line: bytes) -> None:
        self.chat.view.add_line(line.decode("utf-8", "replace"))

    def connectionLost(self, reason: Any = None) -> None:
        self.chat.disconnected(reason.getErrorMessage())


class Chat:
    """One window's chat: what its button and its entry do.

    view: the window; reactor: whose loop is the toolkit's; where: the server's host and port; name: who speaks;
    connect: whether to do so when the window is there.
    """

    def __init__(self, view: View, reactor: Any, where: tuple[str, int], name: str, connect: bool) -> None:
        self.view = view
        self.reactor = reactor
        self.name = name
        self._server = HostnameEndpoint(reactor, *where)
        self._where = "{}:{}".format(*where)
        self._connection: Client | None = None
        self._connecting: Any = None
        OPEN.append(self)
        if connect:
            reactor.callLater(0, self.toggle)

    def toggle(self) -> None:
        """The button was pressed: connect, or disconnect."""
        if self._connection is not None:
            self._connection.transport.loseConnection()
        elif self._connecting is not None:
            self._connecting.cancel()
        else:
            self.view.add_line(f"* connecting to {self._where}")
            self._connecting = self._server.connect(Factory.forProtocol(lambda: Client(self)))
            self._connecting.addErrback(self._failed)

    def say(self, text: str) -> bool:
        """The entry was sent off; whether it could be, so that the window may empty it."""
        text = text.strip()
        if not text or self._connection is None:
            return False
        self._connection.sendLine(text.encode())
        return True

    def connected(self, connection: Client) -> None:
        self._connection, self._connecting = connection, None
        self.view.show_connected(True)

    def disconnected(self, why: str) -> None:
        self._connection = None
        self.view.show_connected(False)
        self.view.add_line(f"* disconnected: {why}")

    def _failed(self, failure: Any) -> None:
        self._connecting = None
        self.view.add_line(f"* could not connect: {failure.getErrorMessage()}")


OPEN: list[Chat] = []   # every chat of this process; the tests ask their windows what they show


def arguments() -> dict[str, Any]:
    """What a window's program was told on its command line: `where`, `name` and `connect`, for Chat."""
    parser = argparse.ArgumentParser(description="A chat in a window.")
    parser.add_argument("server", nargs="?", default=f"{HOST}:{PORT}", metavar="HOST:PORT", help="(%(default)s)")
    parser.add_argument("name", nargs="?", default=getpass.getuser(), help="of who speaks (%(default)s)")
    parser.add_argument("--connect", action="store_true", help="when the window opens")
    told = parser.parse_args()
    host, _, port = told.server.rpartition(":")
    return {"where": (host or HOST, int(port)), "name": told.name, "connect": told.connect}


def main() -> None:
    """Serve, on the port that the command line names."""
    from ropewalk.internet import reactor

    port = reactor.listenTCP(int(sys.argv[1]) if len(sys.argv) > 1 else PORT, Room(), interface=HOST)
    print(f"the chat is at {HOST}:{port.getHost().port}", flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
