"""The reactor inside pygame or pygame-ce."""

from collections.abc import Callable
from functools import partial
from typing import Any

from ropewalk.internet.base import ReactorBase
from ropewalk.internet.main import install_preset


class PygameReactor(ReactorBase):
    """A loop that waits for SDL's events and serves the network in between; see pygamesupport."""

    name = "pygame"

    def handlePygameEvents(self, handle: Callable[[Any], object]) -> None:
        """Have run() call `handle` with every pygame event, pygame.QUIT too, which without one stops the reactor.

        What `handle` raises is logged.
        """
        self._host.handle = handle   # type: ignore[attr-defined]


install = partial(install_preset, PygameReactor)
