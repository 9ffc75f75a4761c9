"""The reactor inside Tk, for programs that have a default root, or none."""

from functools import partial

from ropewalk.internet.base import ReactorBase
from ropewalk.internet.main import install_preset


class TkReactor(ReactorBase):
    """Tk's main loop, with this system's best poller; it makes a hidden root where the program has none.

    root: any widget of the application whose loop it is; None: the program's default root.
    """

    name = "tk"


install = partial(install_preset, TkReactor)
