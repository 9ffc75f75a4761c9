"""The reactor on a loop of asyncio: the standard one, uvloop's, or any other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ropewalk.internet.base import ReactorBase
from ropewalk.internet.main import install_preset, installed, installReactor


class AsyncioReactor(ReactorBase):
    """Served by an asyncio loop, in which Deferreds and asyncio's tasks and futures can wait for each other.

    eventloop: the loop, which is left open. None: run() makes one, and ends it as asyncio.run() does, so that the tasks
    that are left are cancelled; attach() takes the one that runs, and raises RuntimeError if there is none.
    loop_factory: makes the loop for run(), such as uvloop.new_event_loop; as asyncio.Runner's.
    """

    name = "asyncio"

    def __init__(
        self,
        eventloop: asyncio.AbstractEventLoop | None = None,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        super().__init__(eventloop=eventloop, loop_factory=loop_factory)
        self.eventloop = eventloop

    def attach(self, installSignalHandlers: bool = False) -> None:
        if self.eventloop is None and not _one_runs():
            raise RuntimeError(
                f"{self!r} has no loop to be attached to: call attach() in a coroutine, or give "
                "AsyncioReactor(eventloop) the loop that is going to run"
            )
        super().attach(installSignalHandlers)


def _one_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def install(eventloop: asyncio.AbstractEventLoop | None = None) -> None:
    """Install a reactor on `eventloop`, as AsyncioReactor(eventloop) is; one such being installed already, do nothing.

    Raises ReactorAlreadyInstalledError if another one is installed.
    """
    present = installed()
    if eventloop is None:
        install_preset(AsyncioReactor)
    elif not (isinstance(present, AsyncioReactor) and present.eventloop is eventloop):
        installReactor(AsyncioReactor(eventloop))
