"""The reactor on GLib's main loop with GTK 4."""

from functools import partial

from ropewalk.internet.gireactor import GIReactor
from ropewalk.internet.main import install_preset


class Gtk4Reactor(GIReactor):
    """GLib's loop with GTK 4's display, or that of a registered GtkApplication."""

    name = "gtk4"


install = partial(install_preset, Gtk4Reactor)
