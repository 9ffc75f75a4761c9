"""The reactor on GLib's main loop, under the name that programs of GLib 2 know."""

from functools import partial

from ropewalk.internet.gireactor import GIReactor
from ropewalk.internet.main import install_preset


class Glib2Reactor(GIReactor):
    """GLib's loop, without a display."""

    name = "glib2"


install = partial(install_preset, Glib2Reactor)
