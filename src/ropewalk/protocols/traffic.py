"""Traffic: what is received and sent, in the log or in a file for each connection. Names and lines are Twisted's."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, TextIO

from ropewalk.internet.failure import Failure
from ropewalk.protocols.wrapping import ProtocolWrapper, WrappingFactory

_log = logging.getLogger("ropewalk.protocols")
_ELIDED = b"<... elided>"


class SpewingProtocol(ProtocolWrapper):
    """Logs everything that is received and sent, at level INFO."""

    def dataReceived(self, data: bytes) -> None:
        _log.info("Received: %r", data)
        super().dataReceived(data)

    def write(self, data: bytes) -> None:
        _log.info("Sending: %r", data)
        super().write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        pieces = list(iovec)
        _log.info("Sending: %r", pieces)
        super().writeSequence(pieces)


class SpewingFactory(WrappingFactory):
    """Logs everything that its connections receive and send."""

    protocol = SpewingProtocol


class TrafficLoggingProtocol(ProtocolWrapper):
    """Writes what happens on its connection to a file, one event a line.

    "*": it was made; "C 1: ...": the peer sent this, or the connection was lost for this reason; "S 1: ...", and "SV"
    for a sequence: the protocol wrote this; "S 1: *": it closes. The number is `number`.

    logfile: a text file; lengthLimit: how many bytes of a piece are written at most (0 or None: all).
    """

    def __init__(
        self, factory: Any, wrappedProtocol: Any, logfile: TextIO, lengthLimit: int | None = None, number: int = 0
    ) -> None:
        super().__init__(factory, wrappedProtocol)
        self.logfile = logfile
        self.lengthLimit = lengthLimit
        self._number = number

    def _log(self, line: str) -> None:
        if not self.logfile.closed:   # the connection is over, and so is what a protocol still writes
            self.logfile.write(line + "\n")
            self.logfile.flush()

    def _shortened(self, data: bytes) -> bytes:
        if not self.lengthLimit or len(data) <= self.lengthLimit:
            return data
        return bytes(data[: max(0, self.lengthLimit - len(_ELIDED))]) + _ELIDED

    def connectionMade(self) -> None:
        self._log("*")

    def dataReceived(self, data: bytes) -> None:
        self._log(f"C {self._number}: {self._shortened(data)!r}")
        super().dataReceived(data)

    def connectionLost(self, reason: Failure[Any]) -> None:
        try:
            self._log(f"C {self._number}: {reason!r}")
        finally:
            super().connectionLost(reason)

    def write(self, data: bytes) -> None:
        self._log(f"S {self._number}: {self._shortened(data)!r}")
        super().write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        pieces = list(iovec)
        self._log(f"SV {self._number}: {[self._shortened(piece) for piece in pieces]!r}")
        super().writeSequence(pieces)

    def loseConnection(self) -> None:
        self._log(f"S {self._number}: *")
        super().loseConnection()


class TrafficLoggingFactory(WrappingFactory):
    """Writes what happens on each connection to a file of its own.

    logfilePrefix: how the names of the files begin: prefix-1, prefix-2 and so on; lengthLimit: that of
    TrafficLoggingProtocol.
    """

    protocol = TrafficLoggingProtocol
    _counter = 0

    def __init__(self, wrappedFactory: Any, logfilePrefix: str, lengthLimit: int | None = None) -> None:
        super().__init__(wrappedFactory)
        self.logfilePrefix = logfilePrefix
        self.lengthLimit = lengthLimit
        self._opened: set[TextIO] = set()

    def open(self, name: str) -> TextIO:
        """The file `name`, empty, to write to; closed when the connection is lost. Raises OSError, which refuses it.

        A program may override this to return another file, which it then closes itself.
        """
        logfile = open(name, "w", encoding="utf-8")  # noqa: SIM115
        self._opened.add(logfile)
        return logfile

    def unregisterProtocol(self, p: Any) -> None:
        super().unregisterProtocol(p)
        if p.logfile in self._opened:
            self._opened.remove(p.logfile)
            p.logfile.close()

    def wrap(self, protocol: Any) -> Any:
        self._counter += 1
        logfile = self.open(f"{self.logfilePrefix}-{self._counter}")
        return self.protocol(self, protocol, logfile, self.lengthLimit, self._counter)

    def resetCounter(self) -> None:
        """The next connection is number 1 again."""
        self._counter = 0
