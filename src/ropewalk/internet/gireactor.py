"""The reactor on GLib's main loop, through PyGObject; without a display, or under any version of GTK."""

from typing import Any

from ropewalk.internet.base import ReactorBase
from ropewalk.internet.main import install_preset


class GIReactor(ReactorBase):
    """GLib's loop; the program may open a display, or not."""

    name = "gi"

    def registerGApplication(self, app: Any) -> None:
        """Have the next run() run `app`, a GApplication or GtkApplication, and stop when that ends.

        It is held until its first window is there, if it has any; the last one's closing then ends it. stop() quits
        it, after which GLib can run it no more: another may be registered. When the program runs it itself, and
        attaches the reactor, its end stops the reactor, too. Raises RuntimeError if one is registered already.
        """
        self._host.register(app)   # type: ignore[attr-defined]


def install(useGtk: bool = False) -> None:
    """Install it; one of this class being installed already, do nothing. useGtk: Twisted's; makes no difference."""
    install_preset(GIReactor)
