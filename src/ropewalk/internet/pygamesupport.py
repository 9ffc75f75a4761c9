"""pygame's event queue, whose loop is to serve an installed reactor, the default one for instance.

reactor.run() waits for events, hands them out and serves the network, with no frame clock of its own: a game that
moves makes its frames by task.LoopingCall. A program with a loop of its own calls reactor.attach() before it, and in it
once a turn reactor.iterate(), until reactor.running is false; pygame.event.wait() returns there, too, when the network
has something.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from ropewalk.core import choose
from ropewalk.internet.base import current
from ropewalk.internet.pygamereactor import PygameReactor


def install(handle: Callable[[Any], object] | None = None, reactor: Any = None) -> None:
    """Have `reactor` (None: the one that runs, else the installed one) be served by pygame, while it runs, too.

    handle: called with every event that reactor.run() takes; without one, pygame.QUIT stops the reactor and the other
    events are dropped. What it raises is logged. Raises RuntimeError if another loop serves the reactor.
    """
    reactor = current() if reactor is None else reactor
    if not isinstance(reactor, PygameReactor):
        make_host, _ = choose.parts(PygameReactor.name)
        reactor.use(partial(make_host, handle=handle))
    elif handle is not None:
        reactor.handlePygameEvents(handle)
