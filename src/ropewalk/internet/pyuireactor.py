"""The reactor inside PyUI as it is today; pyuisupport is for the classic PyUI, which has pyui.init()."""

from functools import partial
from typing import Any

from ropewalk.internet.base import ReactorBase
from ropewalk.internet.main import install_preset


class PyUIReactor(ReactorBase):
    """An asyncio loop with a PyUI application on it; run() makes one, without a window, where the program has none.

    A program that calls app.run() itself takes the asyncio reactor instead, and attaches it in a coroutine.
    """

    name = "pyui"

    def registerPyUIApp(self, app: Any) -> None:
        """Have run() run `app`, a pyui.Application, and stop when it ends, as it does with its last window.

        stop() leaves it alone: the next run() goes on with it. Raises RuntimeError if another one is registered.
        """
        self._host.register(app)   # type: ignore[attr-defined]


install = partial(install_preset, PyUIReactor)
