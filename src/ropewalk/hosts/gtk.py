"""GTK 2, 3 and 4: GLib's main loop with the display of one of them.

Facts of GTK, and what they mean for us:
* One process can load one version, so each has a host of its own; asking what there is must load none.
* gtk_init_check() says yes in GTK 4 where there is no display: the display itself is asked for.
* Programs of GTK 2 and 3 end their loop by gtk_main_quit(), most of them when their window is destroyed; that knows
  only loops of gtk_main(), and ends the innermost. GTK 4 has neither.
* gtk_dialog_run() and the like have a loop of their own, which ours waits for.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from ropewalk.errors import ReactorNotAvailableError
from ropewalk.hosts.glib import GLibHost


class Gtk4Host(GLibHost):
    """GTK 4, on GLib's loop."""

    version = "4.0"

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot be used here, and what to install; None if it can. Loads no GTK."""
        return super().missing() or _why_not(cls.version)

    def __init__(self, reactor: Any) -> None:
        import gi

        gi.require_version("Gtk", self.version)
        gi.require_version("Gdk", self.version)
        with warnings.catch_warnings():
            # PyGObject advises against GTK 2; whoever asked for it knows.
            warnings.filterwarnings("ignore", "You have imported the Gtk 2.0 module", RuntimeWarning)
            from gi.repository import Gdk, Gtk

        if Gdk.Display.get_default() is None:
            raise ReactorNotAvailableError(
                f"GTK {self.version} finds no display: set DISPLAY or WAYLAND_DISPLAY, use xvfb-run, or, without "
                "windows, the gi reactor"
            )
        super().__init__(reactor)
        self._gtk = Gtk


class Gtk3Host(Gtk4Host):
    """GTK 3, on gtk_main(), so that gtk_main_quit() stops the reactor."""

    version = "3.0"

    def _loop(self) -> tuple[Callable[[], object], Callable[[], object]]:
        level = self._gtk.main_level() + 1

        def leave() -> None:
            """Every loop down to ours; each is left when the one within it has been."""
            self._gtk.main_quit()
            if self._gtk.main_level() > level:
                self.post(self.quit)

        return self._bare("Gtk").main, leave


class Gtk2Host(Gtk3Host):
    """GTK 2, on gtk_main(), too."""

    version = "2.0"


def _why_not(version: str) -> str | None:
    import gi

    repository = gi.Repository.get_default()
    if version not in repository.enumerate_versions("Gtk"):
        package = f"gir1.2-gtk-{version}"
        return f"there is no typelib of GTK {version} (Debian: apt-get install {package}); PyPI does not have GTK"
    loaded = gi.get_required_version("Gtk")
    if repository.is_registered("Gtk"):
        loaded = repository.get_version("Gtk")
    if loaded not in (None, version):
        return (
            f"GTK {loaded} is loaded in this process already, or was asked for by gi.require_version(), and only one "
            f"version can be: use the gtk{loaded[0]} reactor, or remove what loads GTK {loaded}"
        )
    return None
