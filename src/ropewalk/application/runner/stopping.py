"""The graceful stop: nothing new is accepted, and the connections that clients have made may finish, up to a limit.

What the program has connected to itself does not count: nobody but the program would end that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ropewalk.internet.defer import Deferred

_PAUSE = 0.05   # seconds between two looks; a transport tells nobody but its protocol that it is gone


def ports(reactor: Any) -> list[Any]:
    """Whatever listens."""
    return [each for each in reactor.transports if hasattr(each, "stopListening")]


def finished(reactor: Any, limit: float, gone_on: Callable[[int], object]) -> Deferred[None]:
    """Stop listening; a Deferred that fires when the connections of clients have ended, or after `limit` seconds.

    gone_on: called with the number of those that are still there then.
    """
    for port in ports(reactor):
        port.stopListening()
    done: Deferred[None] = Deferred()
    deadline = reactor.seconds() + limit

    def look() -> None:
        left = sum(getattr(each, "accepted", False) for each in reactor.transports)
        pause = min(_PAUSE, deadline - reactor.seconds())
        if left and pause > 0:
            reactor.callLater(pause, look)
            return
        if left:
            gone_on(left)
        done.callback(None)

    look()
    return done
