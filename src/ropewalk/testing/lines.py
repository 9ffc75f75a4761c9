"""A protocol that sends lines and keeps the answers. Name and behaviour are those of Twisted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ropewalk.internet.failure import Failure
from ropewalk.protocols.basic import LineReceiver


class LineSendingProtocol(LineReceiver):
    """Sends lines when it is connected, or when the first line has come.

    lines: what it sends; start: whether it is the first to speak. response: the lines that came; lostConn: whether the
    connection is over.
    """

    lostConn = False

    def __init__(self, lines: Sequence[bytes], start: bool = True) -> None:
        self.lines = list(lines)
        self.start = start
        self.response: list[bytes] = []

    def connectionMade(self) -> None:
        if self.start:
            self._send_lines()

    def lineReceived(self, line: bytes) -> None:
        if not self.start:
            self._send_lines()
            self.lines = []
        self.response.append(line)

    def connectionLost(self, reason: Failure[Any]) -> None:
        self.lostConn = True

    def _send_lines(self) -> None:
        for line in self.lines:
            self.sendLine(line)
