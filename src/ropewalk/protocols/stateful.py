"""A protocol that says how many bytes it wants next, and what is to be done with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ropewalk.protocols.parsing import SizedParser

State = tuple[Callable[[bytes], Any], int]


class StatefulProtocol(SizedParser):
    """A parser of messages whose next size is known: a header, then what it announces.

    A state is a pair: a function, and the number of bytes that it is called with when they have come. It returns the
    next state; None keeps the present one. Twisted's StatefulProtocol.
    """

    _state: State

    def makeConnection(self, transport: Any) -> None:
        super().makeConnection(transport)
        self._state = self.getInitialState()

    def getInitialState(self) -> State:
        """The state of a new connection; asked for after connectionMade. For the program to override."""
        raise NotImplementedError

    def _deliver(self) -> bool:
        whole = self._whole
        while True:
            function, number = self._state
            start = self._at
            if start + number > len(whole):
                self._needed = number
                return True
            if self._over():
                return False
            self._at = start + number
            self._state = function(whole[start : self._at]) or self._state
