"""The base of the presets: the reactor with our kit, and the parts that its name stands for."""

from __future__ import annotations

from ropewalk.core import choose
from ropewalk.core.reactor import Reactor, running_as, running_here
from ropewalk.interfaces import Kit
from ropewalk.internet import main
from ropewalk.internet.kit import KIT

__all__ = ["ReactorBase", "current", "running_as"]


class ReactorBase(Reactor):
    """A reactor by name: host and poller are those of the row `name` of ropewalk.core.choose.

    Raises ReactorNotAvailableError, which says what to install, where they cannot be used.
    """

    name = "default"
    kit: Kit = KIT

    def __init__(self) -> None:
        super().__init__(*choose.parts(self.name), self.kit)


def current() -> Reactor:
    """The reactor that runs in this thread, else the installed one, which may be installed by asking."""
    running = running_here()
    if running is not None:
        return running
    import ropewalk.internet.reactor  # noqa: F401

    found: Reactor = main.installed()
    return found
