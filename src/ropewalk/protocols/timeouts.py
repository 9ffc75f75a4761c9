"""Timeouts: connections that are closed when nothing happens on them. Names and behaviour are Twisted's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ropewalk.internet.base import current
from ropewalk.internet.failure import Failure
from ropewalk.protocols.wrapping import ProtocolWrapper, WrappingFactory


class TimeoutProtocol(ProtocolWrapper):
    """Closes its connection when nothing has been received or written for a while.

    timeoutPeriod: seconds, counted from the connection on; None for no limit. The wrapped protocol may change it:
    `self.transport.setTimeout(5)`.
    """

    def __init__(self, factory: Any, wrappedProtocol: Any, timeoutPeriod: float | None) -> None:
        super().__init__(factory, wrappedProtocol)
        self.timeoutPeriod = timeoutPeriod
        self.timeoutCall: Any = None

    def setTimeout(self, timeoutPeriod: float | None = None) -> None:
        """Count anew, `timeoutPeriod` seconds from now on; None for no limit any more."""
        self.cancelTimeout()
        self.timeoutPeriod = timeoutPeriod
        if timeoutPeriod is not None:
            self.timeoutCall = self.factory.callLater(timeoutPeriod, self._timed_out)

    def cancelTimeout(self) -> None:
        """There is no limit any more."""
        self.timeoutPeriod = None
        call, self.timeoutCall = self.timeoutCall, None
        if call is not None and call.active():
            call.cancel()

    def resetTimeout(self) -> None:
        """Something happened: the limit begins again, if there is one."""
        if self.timeoutCall is not None:
            self.timeoutCall.reset(self.timeoutPeriod)

    def timeoutFunc(self) -> None:
        """The time is over: loseConnection().

        That waits for a peer that reads; where it may not, override this with self.transport.abortConnection().
        """
        self.loseConnection()

    def _timed_out(self) -> None:
        self.timeoutCall = None
        self.timeoutFunc()

    def makeConnection(self, transport: Any) -> None:
        self.setTimeout(self.timeoutPeriod)
        super().makeConnection(transport)

    def dataReceived(self, data: bytes) -> None:
        self.resetTimeout()
        super().dataReceived(data)

    def connectionLost(self, reason: Failure[Any]) -> None:
        try:
            super().connectionLost(reason)
        finally:
            self.cancelTimeout()

    def write(self, data: bytes) -> None:
        self.resetTimeout()
        super().write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self.resetTimeout()
        super().writeSequence(iovec)


class TimeoutFactory(WrappingFactory):
    """Closes connections on which nothing happens for `timeoutPeriod` seconds (half an hour; None: no limit)."""

    protocol = TimeoutProtocol

    def __init__(self, wrappedFactory: Any, timeoutPeriod: float | None = 30 * 60) -> None:
        super().__init__(wrappedFactory)
        self.timeoutPeriod = timeoutPeriod

    def wrap(self, protocol: Any) -> Any:
        return self.protocol(self, protocol, timeoutPeriod=self.timeoutPeriod)


class TimeoutMixin:
    """Gives a protocol of the program's a timeout, which that starts, resets and ends itself.

    timeOut: its seconds, None if there is none; set by setTimeout(). A protocol calls setTimeout(None) in its
    connectionLost(), or the call stays with the reactor until it is due.
    """

    timeOut: float | None = None
    transport: Any
    __timeout_call: Any = None   # two underscores: the names of the class that it is mixed into are not ours

    def callLater(self, period: float, func: Callable[[], object]) -> Any:
        """Call `func` in `period` seconds, by the reactor that runs; returns the IDelayedCall.

        A test may replace it with the callLater of a task.Clock.
        """
        return current().callLater(period, func)

    def setTimeout(self, period: float | None) -> float | None:
        """Call timeoutConnection() in `period` seconds; None for never. Returns what the period was before."""
        before, self.timeOut = self.timeOut, period
        call, self.__timeout_call = self.__timeout_call, None
        if call is not None and call.active():
            call.cancel()
        if period is not None:
            self.__timeout_call = self.callLater(period, self.__timed_out)
        return before

    def resetTimeout(self) -> None:
        """Something happened: the period begins again, unless it is over or there is none."""
        if self.__timeout_call is not None and self.timeOut is not None:
            self.__timeout_call.reset(self.timeOut)

    def __timed_out(self) -> None:
        self.__timeout_call = None
        self.timeoutConnection()

    def timeoutConnection(self) -> None:
        """The time is over: loseConnection(). For the program to override."""
        self.transport.loseConnection()
