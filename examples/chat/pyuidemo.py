"""The chat in a window of PyUI, which is told what to show: python examples/chat/pyuidemo.py [HOST:PORT [NAME]]"""

from __future__ import annotations

from collections.abc import Iterator

import pyui
from chatlogic import Chat, arguments

from ropewalk.internet.pyuireactor import PyUIReactor

reactor = PyUIReactor()
SHOWN = 12   # lines


class Window(pyui.View):   # type: ignore[misc]   # PyUI tells no types
    """A list, an entry and a button."""

    listed = pyui.State(list, default=list)
    typed = pyui.State(str, default="")
    label = pyui.State(str, default="Connect")

    def __init__(self) -> None:
        super().__init__()
        self.chat = Chat(self, reactor, **arguments())

    def content(self) -> Iterator[pyui.View]:
        yield pyui.VStack(
            *map(pyui.Text, self.lines()),
            pyui.Spacer(),
            pyui.HStack(
                pyui.TextField(self.typed, "say something", action=self.send).lines(1),
                pyui.Button(self.label.value, action=self.chat.toggle).priority(pyui.Priority.HIGH),
            ),
            alignment=pyui.Alignment.LEADING,
        )

    def send(self, text: str) -> None:
        if self.chat.say(text):
            self.typed = ""

    def add_line(self, line: str) -> None:
        self.listed = [*self.listed.value, line]

    def show_connected(self, connected: bool) -> None:
        self.label = "Disconnect" if connected else "Connect"

    def lines(self) -> list[str]:
        shown: list[str] = self.listed.value[-SHOWN:]
        return shown


app = pyui.Application("org.ropewalk.Chat")
app.window("Chat: PyUI", Window(), width=480, height=360)
reactor.registerPyUIApp(app)
reactor.run()
