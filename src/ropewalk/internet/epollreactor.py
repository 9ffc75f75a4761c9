"""The reactor on epoll(7), Linux's default."""

from functools import partial

from ropewalk.internet.base import ReactorBase
from ropewalk.internet.main import install_preset


class EPollReactor(ReactorBase):
    """Our own loop, waiting by epoll."""

    name = "epoll"


install = partial(install_preset, EPollReactor)
