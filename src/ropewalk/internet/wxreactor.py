"""The reactor inside wxPython."""

from functools import partial
from typing import Any

from ropewalk.internet.base import ReactorBase
from ropewalk.internet.main import install_preset


class WxReactor(ReactorBase):
    """wx's main loop, which turns with no window open, too; makes a wx.App where the program has none."""

    name = "wx"

    def registerWxApp(self, wxapp: Any) -> None:
        """Have run() run `wxapp`, a wx.App, and stop when its main loop ends, as it does with its last window.

        When the program runs it itself, and attaches the reactor, its end stops the reactor, too. stop() ends the loop,
        but not the app. Raises RuntimeError if another one is registered.
        """
        self._host.register(wxapp)   # type: ignore[attr-defined]


install = partial(install_preset, WxReactor)
