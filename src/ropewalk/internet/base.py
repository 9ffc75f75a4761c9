"""The base of the presets: the reactor with our kit, and the parts that its name stands for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ropewalk.core import choose
from ropewalk.core.reactor import Phase, Reactor, running_as, running_here
from ropewalk.interfaces import Kit
from ropewalk.internet import main
from ropewalk.internet.kit import KIT

__all__ = ["ReactorBase", "current", "running_as"]


class ReactorBase(Reactor):
    """A reactor by name: host and poller are those of the row `name` of ropewalk.core.choose.

    of_host: what else its host takes. Raises ReactorNotAvailableError, which says what to install, where they cannot be
    used.
    """

    name = "default"
    kit: Kit = KIT

    def __init__(self, **of_host: Any) -> None:
        make_host, make_poller = choose.parts(self.name)
        super().__init__(partial(make_host, **of_host), make_poller, self.kit)

    def interleave(self, post: Callable[[Callable[[], object]], object], installSignalHandlers: bool = True) -> None:
        """Run inside any loop that the program runs, if that can be told from another thread to call a function.

        post: takes a function without arguments, from any thread, and has it called in the loop's thread, soon and in
        the order of the calls: the put of a queue.Queue, the run_sync_soon of trio's token. Fires "startup" and
        returns, as attach() does; signals stop it if installSignalHandlers says so. Call stop() before the loop ends.
        Afterwards it may be interleaved again; use_own() makes it one for run() again. Twisted's
        ThreadedSelectReactor.interleave.

        Raises ReactorAlreadyRunning, and RuntimeError if the reactor is a toolkit's.
        """
        if self._phase is not Phase.STOPPED:
            raise self.kit.error.ReactorAlreadyRunning(f"{self!r} runs already")
        posted = choose.posted()
        if isinstance(self._host, posted):
            self.use_own()
        self.use(partial(posted, post=post))
        self.attach(installSignalHandlers)


def current() -> Reactor:
    """The reactor that runs in this thread, else the installed one, which may be installed by asking."""
    running = running_here()
    if running is not None:
        return running
    import ropewalk.internet.reactor  # noqa: F401

    found: Reactor = main.installed()
    return found
