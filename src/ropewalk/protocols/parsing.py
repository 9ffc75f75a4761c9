"""What the parsers of byte streams have in common: the bytes that are not parsed yet, pausing, and when to stop.

A stream may be cut anywhere, and a byte is copied a few times at most, whatever the cuts are: `_whole` is parsed in
place, from `_at` on, and what comes before it can be parsed is appended to `_more`. A call that delivers may write,
pause, close, or feed the parser again: what it feeds is parsed when it returns.
"""

from __future__ import annotations

from typing import Any

from ropewalk.internet.protocol import Protocol


class Parser(Protocol):
    """A protocol that cuts what it receives into messages.

    Once the connection is closing, aborted or lost, and after a message that is not valid, nothing is delivered any
    more.
    """

    paused = False
    _whole: bytes = b""
    _at = 0
    _more: bytes | bytearray = b""
    _parsing = False
    _deaf = False   # nothing will be delivered any more

    def makeConnection(self, transport: Any) -> None:
        self._replace(b"")
        self._deaf = False
        super().makeConnection(transport)

    def dataReceived(self, data: bytes) -> None:
        """Some bytes came, cut anywhere: deliver what they complete."""
        if self._deaf:
            return
        if not (self._whole or self._more):
            self._whole = data
        elif not self._more:
            self._more = bytearray(data)
        else:
            self._more += data
        if self._parsing or self.paused:
            return
        self._parsing = True
        try:
            self._parse()
        finally:
            self._parsing = False

    def _parse(self) -> None:
        """Deliver what is complete, until a call that delivers pauses or closes."""
        raise NotImplementedError

    def _over(self) -> bool:
        """Whether the connection is, so that nothing may be delivered; asked before each delivery."""
        transport = self.transport   # over() at half its price: this is done for every line
        if transport is None or not (transport.disconnecting or not getattr(transport, "connected", True)):
            return False
        self._deaf = True
        return True

    def _rest(self) -> bytes:
        """What is not parsed, as one piece."""
        return self._whole[self._at :] + self._more

    def _replace(self, data: bytes) -> None:
        """Have `data` parsed next, instead of what there is."""
        self._whole, self._at, self._more = data, 0, b""

    def _take(self) -> bytes:
        """What is not parsed, as one piece; it is not kept."""
        rest = self._rest()
        self._replace(b"")
        return rest


class Pausable(Parser):
    """A parser that is paused and resumed as a push producer is.

    paused: whether it is; what comes then is kept.
    """

    def pauseProducing(self) -> None:
        """Deliver and read nothing until resumeProducing(). Twisted's IPushProducer."""
        self.paused = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read again, and deliver what was kept."""
        self.paused = False
        self.transport.resumeProducing()
        self.dataReceived(b"")

    def stopProducing(self) -> None:
        """Deliver nothing more; the connection is closed."""
        self.paused = True
        self.transport.stopProducing()


class SizedParser(Parser):
    """A parser that knows how many bytes it needs to go on, and looks at none before they are there.

    _needed: that number, counted from what was parsed last.
    """

    _needed = 0

    def _parse(self) -> None:
        while len(self._whole) - self._at + len(self._more) >= self._needed:
            if self._more:
                self._replace(self._rest())
            self._needed = 0
            if not self._deliver():
                return
        if self._at:   # let go of what is parsed
            self._whole, self._at = self._whole[self._at :], 0

    def _replace(self, data: bytes) -> None:
        super()._replace(data)
        self._needed = 0

    def _deliver(self) -> bool:
        """Deliver from `_whole`, until no whole message is left or a call wants something else; False: no more for now.

        To be set: `_at`, before each delivery; `_needed`, when no whole message is left.
        """
        raise NotImplementedError


def over(transport: Any) -> bool:
    """Whether the connection is closing, aborted or lost. None is a protocol that is not connected yet: False.

    `disconnecting` alone does not say that a connection is over; not every consumer has `connected`.
    """
    return transport is not None and (transport.disconnecting or not getattr(transport, "connected", True))
