"""The reactor on WaitForMultipleObjects, for programs with native windows on Windows."""

from functools import partial
from typing import Any

from ropewalk.internet.base import ReactorBase
from ropewalk.internet.main import install_preset


class Win32Reactor(ReactorBase):
    """Our own loop, waiting for sockets and for the messages of this thread's windows, which it dispatches.

    WM_QUIT, which PostQuitMessage posts, stops it. While Windows runs a loop of its own (a
    message box, a menu, a window that is being moved) the network waits.
    """

    name = "wfmo"

    def __init__(self) -> None:
        super().__init__()
        self._make_poller: Any = partial(self._make_poller, self._quit)

    def _quit(self) -> None:
        if self.running:
            self.stop()


install = partial(install_preset, Win32Reactor)
