"""The chat in a window of wxPython: python examples/chat/wxdemo.py [HOST:PORT [NAME]]"""

from __future__ import annotations

import wx
from chatlogic import Chat, arguments

from ropewalk.internet.wxreactor import WxReactor

reactor = WxReactor()


class Window:
    """A list, an entry and a button."""

    def __init__(self) -> None:
        self.chat = Chat(self, reactor, **arguments())
        frame = wx.Frame(None, title="Chat: wx", size=(480, 360))
        panel = wx.Panel(frame)
        self.list = wx.ListBox(panel)
        self.entry = wx.TextCtrl(panel, style=wx.TE_PROCESS_ENTER)
        self.entry.Bind(wx.EVT_TEXT_ENTER, self.send)
        self.button = wx.Button(panel, label="Connect", size=(110, -1))
        self.button.Bind(wx.EVT_BUTTON, lambda event: self.chat.toggle())
        row = wx.BoxSizer()
        row.Add(self.entry, 1, wx.EXPAND)
        row.Add(self.button)
        column = wx.BoxSizer(wx.VERTICAL)
        column.Add(self.list, 1, wx.EXPAND)
        column.Add(row, 0, wx.EXPAND)
        panel.SetSizer(column)
        frame.Show()

    def send(self, event: wx.CommandEvent) -> None:
        if self.chat.say(self.entry.GetValue()):
            self.entry.Clear()

    def add_line(self, line: str) -> None:
        self.list.Append(line)
        self.list.EnsureVisible(self.list.GetCount() - 1)

    def show_connected(self, connected: bool) -> None:
        self.button.SetLabel("Disconnect" if connected else "Connect")

    def lines(self) -> list[str]:
        return list(self.list.GetStrings())


app = wx.App(clearSigInt=False)
reactor.registerWxApp(app)
Window()
reactor.run()
