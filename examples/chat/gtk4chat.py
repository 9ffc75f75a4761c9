"""The chat in a window of GTK 4: python examples/chat/gtk4chat.py [HOST:PORT [NAME]]"""

from __future__ import annotations

from chatlogic import Chat, arguments

from ropewalk.internet.gtk4reactor import Gtk4Reactor

reactor = Gtk4Reactor()   # from then on "Gtk" is GTK 4

from gi.repository import GLib, Gtk  # noqa: E402


class Window:
    """A list, an entry and a button."""

    def __init__(self, application: Gtk.Application) -> None:
        self.chat = Chat(self, reactor, **arguments())
        self.model = Gtk.StringList()
        labels = Gtk.SignalListItemFactory()
        labels.connect("setup", lambda factory, item: item.set_child(Gtk.Label(xalign=0, wrap=True)))
        labels.connect("bind", lambda factory, item: item.get_child().set_text(item.get_item().get_string()))
        self.rows = Gtk.ListView(model=Gtk.NoSelection(model=self.model), factory=labels)
        self.entry = Gtk.Entry(hexpand=True)
        self.entry.connect("activate", self.send)
        self.button = Gtk.Button(label="Connect", width_request=110)
        self.button.connect("clicked", lambda button: self.chat.toggle())
        row = Gtk.Box()
        row.append(self.entry)
        row.append(self.button)
        column = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
        column.append(Gtk.ScrolledWindow(child=self.rows, vexpand=True))
        column.append(row)
        window = Gtk.ApplicationWindow(application=application, title="Chat: GTK 4", child=column)
        window.set_default_size(480, 360)
        window.present()

    def send(self, entry: Gtk.Entry) -> None:
        if self.chat.say(entry.get_text()):
            entry.set_text("")

    def add_line(self, line: str) -> None:
        self.model.append(line)
        self.rows.activate_action("list.scroll-to-item", GLib.Variant("u", self.model.get_n_items() - 1))

    def show_connected(self, connected: bool) -> None:
        self.button.set_label("Disconnect" if connected else "Connect")

    def lines(self) -> list[str]:
        return [item.get_string() for item in self.model]


application = Gtk.Application()
application.connect("activate", Window)
reactor.registerGApplication(application)
reactor.run()
