"""The reactor on poll(2), on every Unix."""

from functools import partial

from ropewalk.internet.base import ReactorBase
from ropewalk.internet.main import install_preset


class PollReactor(ReactorBase):
    """Our own loop, waiting by poll."""

    name = "poll"


install = partial(install_preset, PollReactor)
