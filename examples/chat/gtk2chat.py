"""The chat in a window of GTK 2: python examples/chat/gtk2chat.py [HOST:PORT [NAME]]

GTK 2 is served to today's Python by PyGObject; what PyGTK's pbgtk2.py was for.
"""

from __future__ import annotations

from chatlogic import Chat, arguments

from ropewalk.internet.gtk2reactor import Gtk2Reactor

reactor = Gtk2Reactor()   # from then on "Gtk" is GTK 2

from gi.repository import Gtk  # noqa: E402


class Window:
    """A list, an entry and a button."""

    def __init__(self) -> None:
        self.chat = Chat(self, reactor, **arguments())
        self.model = Gtk.ListStore(str)
        self.rows = Gtk.TreeView(model=self.model, headers_visible=False)
        self.rows.append_column(Gtk.TreeViewColumn("", Gtk.CellRendererText(), text=0))
        scrolled = Gtk.ScrolledWindow(hscrollbar_policy=Gtk.PolicyType.AUTOMATIC)
        scrolled.add(self.rows)
        self.entry = Gtk.Entry()
        self.entry.connect("activate", self.send)
        self.button = Gtk.Button(label="Connect", width_request=110)
        self.button.connect("clicked", lambda button: self.chat.toggle())
        row = Gtk.HBox()
        row.pack_start(self.entry, True, True, 0)
        row.pack_start(self.button, False, False, 0)
        column = Gtk.VBox()
        column.pack_start(scrolled, True, True, 0)
        column.pack_start(row, False, False, 0)
        window = Gtk.Window(title="Chat: GTK 2")
        window.set_default_size(480, 360)
        window.connect("destroy", lambda window: reactor.stop())
        window.add(column)
        window.show_all()

    def send(self, entry: Gtk.Entry) -> None:
        if self.chat.say(entry.get_text()):
            entry.set_text("")

    def add_line(self, line: str) -> None:
        added = self.model.append([line])
        self.rows.scroll_to_cell(self.model.get_path(added), None, False, 0, 0)

    def show_connected(self, connected: bool) -> None:
        self.button.set_label("Disconnect" if connected else "Connect")

    def lines(self) -> list[str]:
        return [row[0] for row in self.model]


Window()
reactor.run()
