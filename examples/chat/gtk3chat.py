"""The chat in a window of GTK 3: python examples/chat/gtk3chat.py [HOST:PORT [NAME]]"""

from __future__ import annotations

from chatlogic import Chat, arguments

from ropewalk.internet.gtk3reactor import Gtk3Reactor

reactor = Gtk3Reactor()   # from then on "Gtk" is GTK 3

from gi.repository import Gtk  # noqa: E402


class Window:
    """A list, an entry and a button."""

    def __init__(self, application: Gtk.Application) -> None:
        self.chat = Chat(self, reactor, **arguments())
        self.rows = Gtk.ListBox(selection_mode=Gtk.SelectionMode.NONE)
        self.scrolled = Gtk.ScrolledWindow(child=self.rows)
        self.rows.connect("size-allocate", self.scroll_down)
        self.entry = Gtk.Entry()
        self.entry.connect("activate", self.send)
        self.button = Gtk.Button(label="Connect", width_request=110)
        self.button.connect("clicked", lambda button: self.chat.toggle())
        row = Gtk.Box()
        row.pack_start(self.entry, True, True, 0)
        row.pack_start(self.button, False, False, 0)
        column = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
        column.pack_start(self.scrolled, True, True, 0)
        column.pack_start(row, False, False, 0)
        window = Gtk.ApplicationWindow(application=application, title="Chat: GTK 3")
        window.set_default_size(480, 360)
        window.add(column)
        window.show_all()

    def send(self, entry: Gtk.Entry) -> None:
        if self.chat.say(entry.get_text()):
            entry.set_text("")

    def scroll_down(self, *_: object) -> None:
        adjustment = self.scrolled.get_vadjustment()
        adjustment.set_value(adjustment.get_upper())

    def add_line(self, line: str) -> None:
        label = Gtk.Label(label=line, xalign=0, margin=2, wrap=True)
        self.rows.add(label)
        label.get_parent().show_all()

    def show_connected(self, connected: bool) -> None:
        self.button.set_label("Disconnect" if connected else "Connect")

    def lines(self) -> list[str]:
        return [row.get_child().get_text() for row in self.rows.get_children()]


application = Gtk.Application()
application.connect("activate", Window)
reactor.registerGApplication(application)
reactor.run()
