"""Lines: pieces of a stream that end with a delimiter, and raw bytes between them. Twisted's names and behaviour.

Beyond Twisted: how the stream is cut decides nothing; what lineLengthExceeded puts back is parsed at once; what the
program's methods return is ignored. Lines are split off many at a time, which takes half the time of a search for each
delimiter.
"""

from __future__ import annotations

from ropewalk.protocols.parsing import Parser, Pausable

_FIRST_BLOCK = 256   # bytes


class _Lines(Parser):
    """Delivers lines."""

    delimiter = b"\r\n"
    MAX_LENGTH = 16384
    _sought = (b"", 0)   # for what, and up to where, the line in `_more`, whose end has not come, was searched

    def lineReceived(self, line: bytes) -> None:
        """A line came; `line` is without the delimiter. For the program to override."""
        raise NotImplementedError

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line is longer than MAX_LENGTH bytes. It closes the connection; the program may override it.

        line: it, or its beginning if the end has not come; it is not kept.
        """
        self.transport.loseConnection()

    def sendLine(self, line: bytes) -> None:
        """Send `line` and the delimiter."""
        self.transport.write(line + self.delimiter)

    def _keep(self, begun: bytes) -> bool:
        """Lines are delivered, and `begun` is left of `_whole`; whether there is something to parse all the same."""
        if self._more:   # a call that delivered has fed it
            self._replace(begun + self._more)
            return True
        self._whole, self._at = b"", 0
        return bool(begun) and self._keep_unfinished(bytearray(begun))

    def _end_came(self) -> bool:
        """Nothing is in `_whole`; whether there is now: the end has come of the line that began before."""
        if not self._more:
            return False
        sought, start = self._sought
        if self._more.find(self.delimiter, start if sought == self.delimiter else 0) < 0:
            return self._keep_unfinished(self._more)
        self._replace(self._rest())
        return True

    def _keep_unfinished(self, begun: bytes | bytearray) -> bool:
        """Keep `begun`, which has no end, unless it is too long; whether there is something to parse all the same."""
        if len(begun) >= self.MAX_LENGTH + len(self.delimiter):   # any less may have a part of the delimiter
            self._replace(b"")
            if self._over():
                return False
            self.lineLengthExceeded(bytes(begun))
            return True
        self._more = begun
        self._sought = self.delimiter, max(0, len(begun) - len(self.delimiter) + 1)
        return False


class LineOnlyReceiver(_Lines):
    """Receives lines and nothing else.

    delimiter: what ends a line; MAX_LENGTH: bytes that a line may have without it. If lineLengthExceeded does not
    close the connection, the lines that follow are delivered. Twisted's LineOnlyReceiver.
    """

    def _parse(self) -> None:
        while self._whole or self._end_came():
            delimiter = self.delimiter
            lines = self._whole[self._at :].split(delimiter)
            begun = lines.pop()
            for line in lines:
                if self._over():
                    return
                self._at += len(line) + len(delimiter)
                if len(line) > self.MAX_LENGTH:
                    self.lineLengthExceeded(line)
                else:
                    self.lineReceived(line)
            if not self._keep(begun):
                return


class LineReceiver(_Lines, Pausable):
    """Receives lines, and raw bytes between them: what follows a line is either, as setLineMode and setRawMode say.

    delimiter: what ends a line; MAX_LENGTH: bytes that a line may have without it; line_mode: whether lines are
    received. lineLengthExceeded gets all that has come, from the beginning of the line that is too long; it may put
    some of it back: setLineMode(extra). Twisted's LineReceiver.
    """

    line_mode: bool | int = True

    def rawDataReceived(self, data: bytes) -> None:
        """In raw mode some bytes came, cut anywhere. For the program to override."""
        raise NotImplementedError

    def setRawMode(self) -> None:
        """What comes next goes to rawDataReceived."""
        self.line_mode = False

    def setLineMode(self, extra: bytes = b"") -> None:
        """What comes next is lines. extra: bytes that rawDataReceived or lineLengthExceeded got and that come first."""
        self.line_mode = True
        if extra:
            self.dataReceived(extra)

    def clearLineBuffer(self) -> bytes:
        """What has come and is not delivered; it will not be."""
        return self._take()

    def _parse(self) -> None:
        while not self.paused:
            if self.line_mode:
                if not (self._deliver_lines() if self._whole else self._end_came()):
                    return
            elif (self._whole or self._more) and not self._over():
                self.rawDataReceived(self._take())
            else:
                return

    def _deliver_lines(self) -> bool:
        """Deliver lines, until none is left or a call wants something else; whether there is something to parse."""
        whole, delimiter = self._whole, self.delimiter
        size = _FIRST_BLOCK   # it doubles: what is split in vain is no more than what was not, or little
        while True:
            at = self._at
            lines = whole[at : at + size].split(delimiter)
            ends = at + size >= len(whole)
            begun = lines.pop()
            for line in lines:
                if self._over():
                    return False
                if len(line) > self.MAX_LENGTH:
                    self.lineLengthExceeded(self._take())
                    return True
                at += len(line) + len(delimiter)
                self._at = at
                self.lineReceived(line)
                # `_at` is another if the buffer was cleared, or filled anew
                if self._at != at or self.paused or not self.line_mode or self.delimiter != delimiter:
                    return True
            if ends:
                return self._keep(begun)
            size *= 2
