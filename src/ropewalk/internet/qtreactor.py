"""The reactor inside Qt 6, by PySide6 or PyQt6."""

from functools import partial

from ropewalk.internet.base import ReactorBase
from ropewalk.internet.main import install_preset


class QtReactor(ReactorBase):
    """Qt's main loop, with this system's best poller; makes a QApplication where the program has none."""

    name = "qt"


install = partial(install_preset, QtReactor)
