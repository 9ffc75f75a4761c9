"""Happy Eyeballs: connect to whichever address of a name answers first (RFC 8305).

Attempts start one after the other, the next one when the one before has failed or has had ATTEMPT_DELAY to answer;
address families alternate, beginning with the one that the resolver puts first. The first connection wins and the
others are closed. One address is the same with one attempt.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any

from ropewalk.interfaces import INVALID, WRITE, Loop
from ropewalk.transports.channel import SocketChannel, open_socket

ATTEMPT_DELAY = 0.25   # seconds; what RFC 8305, section 8, recommends

_PENDING = {errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR, getattr(errno, "WSAEWOULDBLOCK", errno.EINPROGRESS)}

Target = tuple[int, Any]
"""An address family and a socket address."""


class Attempt:
    """One socket that is connecting.

    prepare: binds or sets options before it connects; done: called with the attempt and None or the error.
    """

    def __init__(
        self,
        loop: Loop,
        target: Target,
        prepare: Callable[[SocketChannel], None],
        done: Callable[[Attempt, Exception | None], None],
    ) -> None:
        self._loop = loop
        self._done = done
        self.family, self.sockaddr = target
        self._prepare = prepare
        self.channel: SocketChannel | None = None

    def start(self) -> None:
        """Connect. Raises what prepare() raises, and OSError for what the system refuses at once."""
        self.channel = open_socket(self.family, socket.SOCK_STREAM, self._loop, self)
        try:
            self._prepare(self.channel)
            number = self.channel.connect_ex(self.sockaddr)
            if number and number not in _PENDING:
                raise OSError(number, os.strerror(number))
            self.channel.want(WRITE)
        except BaseException:
            self.cancel()
            raise

    def ready(self, mask: int) -> None:
        """Something happened; spurious readiness is allowed, so the socket is asked."""
        channel = self.channel
        if channel is None:
            return
        if mask & INVALID:
            channel.leave()
            self.channel = None
            self._done(self, self._loop.kit.error.ConnectionFdescWentAway())
            return
        number = channel.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self.fail(OSError(number, os.strerror(number)))
            return
        try:
            channel.getpeername()
        except OSError:
            return   # not yet
        self._done(self, None)

    def fail(self, error: OSError) -> None:
        """It failed with `error`."""
        self.cancel()
        self._done(self, self._loop.kit.connect_error(error, _text(self.sockaddr)))

    def cancel(self) -> None:
        """Close the socket, if it is still ours."""
        channel, self.channel = self.channel, None
        if channel is not None:
            channel.close()

    def take(self) -> SocketChannel:
        """The connected channel; from now on it is the caller's."""
        channel = self.channel
        assert channel is not None
        channel.want(0)
        self.channel = None
        return channel


class Race:
    """Attempts at several addresses.

    delay: seconds that an attempt has before the next one starts; prepare: see Attempt; won: called with the channel
    and its target; failed: called with the last attempt's error.
    """

    def __init__(
        self,
        loop: Loop,
        targets: Iterable[Target],
        delay: float,
        prepare: Callable[[SocketChannel], None],
        won: Callable[[SocketChannel, Target], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._loop = loop
        self._waiting = interleave(targets)
        self._delay = delay
        self._prepare = prepare
        self._won = won
        self._failed = failed
        self._running: list[Attempt] = []
        self._timer: Any = None
        self._next()

    def cancel(self) -> None:
        """Give up every attempt; nothing is called any more."""
        self._waiting = []
        self._stop_timer()
        for attempt in self._running:
            attempt.cancel()
        self._running = []

    def sockets(self) -> list[SocketChannel]:
        """The sockets that are connecting, the first one first."""
        return [attempt.channel for attempt in self._running if attempt.channel is not None]

    def _next(self) -> None:
        self._stop_timer()
        attempt = Attempt(self._loop, self._waiting.pop(0), self._prepare, self._done)
        self._running.append(attempt)
        try:
            attempt.start()
        except OSError as error:
            self._loop.callLater(0, self._refused, attempt, error)
            return
        except Exception as error:
            self._loop.callLater(0, self._done, attempt, error)
            return
        if self._waiting:
            self._timer = self._loop.callLater(self._delay, self._next)

    def _refused(self, attempt: Attempt, error: OSError) -> None:
        if attempt in self._running:
            attempt.fail(error)

    def _done(self, attempt: Attempt, error: Exception | None) -> None:
        if attempt not in self._running:
            return
        self._running.remove(attempt)
        if error is None:
            channel = attempt.take()
            self.cancel()
            self._won(channel, (attempt.family, attempt.sockaddr))
        elif self._waiting:
            self._next()
        elif not self._running:
            self._failed(error)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


def interleave(targets: Iterable[Target]) -> list[Target]:
    """`targets` without doubles, families alternating, otherwise in their order (RFC 8305, section 4)."""
    left = list(dict.fromkeys(targets))
    ordered: list[Target] = []
    while left:
        family = ordered[-1][0] if ordered else None
        ordered.append(next((one for one in left if one[0] != family), left[0]))
        left.remove(ordered[-1])
    return ordered


def _text(sockaddr: Any) -> str:
    if not isinstance(sockaddr, tuple):
        return os.fsdecode(sockaddr)
    host, port = sockaddr[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
