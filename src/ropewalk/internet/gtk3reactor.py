"""The reactor on GTK 3's main loop."""

from functools import partial

from ropewalk.internet.gireactor import GIReactor
from ropewalk.internet.main import install_preset


class Gtk3Reactor(GIReactor):
    """GTK 3's loop, gtk_main(), or that of a registered GtkApplication."""

    name = "gtk3"


install = partial(install_preset, Gtk3Reactor)
