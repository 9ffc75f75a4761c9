"""The reactor on a completion port, Windows' default."""

from functools import partial

from ropewalk.internet.base import ReactorBase
from ropewalk.internet.main import install_preset


class IOCPReactor(ReactorBase):
    """Our own loop, waiting by a completion port."""

    name = "iocp"


install = partial(install_preset, IOCPReactor)
