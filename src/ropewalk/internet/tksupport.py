"""A Tk root that an installed reactor, the default one for instance, is to serve from then on."""

from __future__ import annotations

from functools import partial
from typing import Any

from ropewalk.core import choose
from ropewalk.internet.base import current
from ropewalk.internet.tkreactor import TkReactor

__all__ = ["getPassword", "install", "uninstall"]

_served: list[Any] = []   # the reactor that install() was given


def install(widget: Any, ms: int = 10, reactor: Any = None) -> None:
    """Have Tk's main loop serve `reactor` (None: the one that runs, else the installed one), while it runs, too.

    widget: any widget of the application. Then reactor.run() runs mainloop(), which the end of the root ends; or the
    program calls reactor.attach(), and mainloop() itself. ms: Twisted's interval of polling, which has no meaning here.
    Raises RuntimeError if another loop serves the reactor.
    """
    reactor = current() if reactor is None else reactor
    make_host, _ = choose.parts(TkReactor.name)
    reactor.use(partial(make_host, root=widget))
    _served[:] = [reactor]


def uninstall() -> None:
    """Have the reactor run its own loop again; to be called before the root is destroyed, if the reactor is to go on.

    Raises RuntimeError if there was no install().
    """
    if not _served:
        raise RuntimeError("tksupport.uninstall() without tksupport.install()")
    _served.pop().use_own()


def getPassword(prompt: str = "", confirm: bool = False) -> str | None:
    """Ask for a password in a dialog, twice if `confirm` is true, until both are the same; None if it is cancelled.

    The network goes on meanwhile.
    """
    from tkinter import messagebox, simpledialog

    while True:
        password = simpledialog.askstring("Password", prompt, show="*")
        if password is None or not confirm:
            return password
        again = simpledialog.askstring("Password", "The same password again:", show="*")
        if again is None or again == password:
            return again
        messagebox.showerror("Password", "These are two different passwords. Please try once more.")
