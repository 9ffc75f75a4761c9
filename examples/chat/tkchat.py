"""The chat in a window of Tk: python examples/chat/tkchat.py [HOST:PORT [NAME]]"""

from __future__ import annotations

import tkinter

from chatlogic import Chat, arguments

from ropewalk.internet import reactor, tksupport


class Window:
    """A list, an entry and a button."""

    def __init__(self, root: tkinter.Tk) -> None:
        self.chat = Chat(self, reactor, **arguments())
        root.title("Chat: Tk")
        root.geometry("480x360+0+0")
        self.list = tkinter.Listbox(root)
        row = tkinter.Frame(root)
        self.entry = tkinter.Entry(row)
        self.button = tkinter.Button(row, text="Connect", width=10, command=self.chat.toggle)
        self.entry.bind("<Return>", self.send)
        row.pack(side="bottom", fill="x")
        self.list.pack(side="top", fill="both", expand=True)
        self.button.pack(side="right")
        self.entry.pack(side="left", fill="both", expand=True)

    def send(self, event: object) -> None:
        if self.chat.say(self.entry.get()):
            self.entry.delete(0, "end")

    def add_line(self, line: str) -> None:
        self.list.insert("end", line)
        self.list.see("end")

    def show_connected(self, connected: bool) -> None:
        self.button["text"] = "Disconnect" if connected else "Connect"

    def lines(self) -> list[str]:
        return list(self.list.get(0, "end"))


root = tkinter.Tk()
tksupport.install(root)
Window(root)
reactor.run()
