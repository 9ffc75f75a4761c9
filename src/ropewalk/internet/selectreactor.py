"""The reactor on select(2), on every system."""

from functools import partial

from ropewalk.internet.base import ReactorBase
from ropewalk.internet.main import install_preset


class SelectReactor(ReactorBase):
    """Our own loop, waiting by select."""

    name = "select"


install = partial(install_preset, SelectReactor)
