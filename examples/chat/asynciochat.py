"""The chat in a terminal, in a program of asyncio: python examples/chat/asynciochat.py --connect [HOST:PORT [NAME]]

The program's loop is asyncio's own, which the reactor is attached to. An empty line connects and disconnects.
"""

from __future__ import annotations

import asyncio
import sys

from chatlogic import Chat, arguments

from ropewalk.internet.asyncioreactor import AsyncioReactor


class Terminal:
    """Lines in, lines out."""

    def __init__(self, reactor: AsyncioReactor) -> None:
        self.chat = Chat(self, reactor, **arguments())
        self.listed: list[str] = []

    async def read(self) -> None:
        """Until the end of what is typed."""
        typed = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(typed), sys.stdin)
        async for line in typed:
            text = line.decode().strip()
            if not text:
                self.chat.toggle()
            elif not self.chat.say(text):
                self.add_line("* not connected: an empty line connects")

    def add_line(self, line: str) -> None:
        self.listed.append(line)
        print(line, flush=True)

    def show_connected(self, connected: bool) -> None:
        self.add_line("* an empty line disconnects" if connected else "* an empty line connects")

    def lines(self) -> list[str]:
        return self.listed


async def main() -> None:
    reactor = AsyncioReactor()
    reactor.attach()
    await Terminal(reactor).read()


asyncio.run(main())
