"""The reactor on GTK 2's main loop, through PyGObject."""

from functools import partial

from ropewalk.internet.gireactor import GIReactor
from ropewalk.internet.main import install_preset


class Gtk2Reactor(GIReactor):
    """GTK 2's loop, gtk_main()."""

    name = "gtk2"


install = partial(install_preset, Gtk2Reactor)
