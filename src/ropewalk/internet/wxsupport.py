"""A wx.App that an installed reactor, the default one for instance, is to serve from then on."""

from functools import partial
from typing import Any

from ropewalk.core import choose
from ropewalk.internet.base import current
from ropewalk.internet.wxreactor import WxReactor


def install(app: Any, reactor: Any = None) -> None:
    """Have wx's main loop serve `reactor` (None: the one that runs, else the installed one), while it runs, too.

    Then reactor.run() runs `app`, a wx.App; or the program calls reactor.attach(), and app.MainLoop() itself. Raises
    RuntimeError if another loop serves the reactor, or another app.
    """
    reactor = current() if reactor is None else reactor
    if isinstance(reactor, WxReactor):
        reactor.registerWxApp(app)
    else:
        make_host, _ = choose.parts(WxReactor.name)
        reactor.use(partial(make_host, app=app))
