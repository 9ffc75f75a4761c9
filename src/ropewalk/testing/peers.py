"""Peers: protocols and factories that note what happens to them, and coroutines that wait for it.

What waits goes on in a turn of its own, never inside the callback that it waited for.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import socket
import struct
import unittest
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from ropewalk.internet.base import current
from ropewalk.internet.defer import Deferred
from ropewalk.internet.protocol import ClientFactory, Protocol, ServerFactory
from ropewalk.testing.features import LINGER
from ropewalk.testing.rig import Rig

IPV4 = "127.0.0.1"
IPV6 = "::1"
PATIENCE = 10.0   # seconds that a plain socket waits before its call fails


class Witness:
    """Keeps `events`, the names of what happened, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self._watchers: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def note(self, event: str) -> None:
        """`event` happened."""
        self.events.append(event)
        self.stir()

    def stir(self) -> None:
        """Something changed: who waits for it goes on at the next turn."""
        for waiting in list(self._watchers):
            condition, deferred = waiting
            if condition():
                self._watchers.remove(waiting)
                current().callLater(0, deferred.callback, None)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition()` holds; it is looked at whenever something happened here."""
        if condition():
            return
        deferred: Deferred[None] = Deferred()
        self._watchers.append((condition, deferred))
        await deferred

    async def happens(self, event: str, times: int = 1) -> None:
        """Wait until `event` has happened so many times."""
        await self.until(lambda: self.events.count(event) >= times)


class Recorder(Witness, Protocol):
    """A protocol that keeps what it received, in `received`, and why its connection ended, in `reason`.

    pieces: the size of each piece that came. It notes "made" and "lost".
    """

    def __init__(self) -> None:
        super().__init__()
        self.received = bytearray()
        self.pieces: list[int] = []
        self.reason: Any = None

    def connectionMade(self) -> None:
        self.note("made")

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self.pieces.append(len(data))
        self.stir()

    def connectionLost(self, reason: Any) -> None:
        self.reason = reason.value
        self.note("lost")

    async def gets(self, data: bytes) -> None:
        """Wait until that has come; AssertionError if it is something else."""
        await self.until(lambda: len(self.received) >= len(data) or self.reason is not None)
        assert self.received == data, f"{len(self.received)} bytes came, {len(data)} were expected, or they differ"

    async def ends(self) -> Any:
        """Wait until the connection is lost; the exception that is the reason."""
        await self.happens("lost")
        return self.reason


class Echo(Recorder):
    """Sends back what comes."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.transport.write(data)


class HalfCloser(Recorder):
    """Is told of each end on its own: notes "read lost" and "write lost"."""

    def readConnectionLost(self) -> None:
        self.note("read lost")

    def writeConnectionLost(self) -> None:
        self.note("write lost")


class Server(Witness, ServerFactory):
    """A server factory; `protocols` are those it built. It notes "start", "accepted" and "stop".

    make: makes a protocol, or None.
    """

    def __init__(self, make: Callable[[], Any] = Recorder) -> None:
        super().__init__()
        self.make = make
        self.protocols: list[Any] = []

    def startFactory(self) -> None:
        self.note("start")

    def stopFactory(self) -> None:
        self.note("stop")

    def buildProtocol(self, addr: Any) -> Any:
        protocol = self.make()
        self.protocols.append(protocol)
        self.note("accepted")
        return protocol

    async def accepts(self, number: int = 1) -> Any:
        """Wait for so many connections; the protocol of the last of them."""
        await self.happens("accepted", number)
        return self.protocols[number - 1]


class Client(Witness, ClientFactory):
    """A client factory; `protocols` are those it built, `reasons` the exceptions it was told.

    It notes "start", "started", "connected", "failed", "lost" and "stop". make: makes a protocol, or None.
    """

    def __init__(self, make: Callable[[], Any] = Recorder) -> None:
        super().__init__()
        self.make = make
        self.protocols: list[Any] = []
        self.reasons: list[Any] = []
        self.connector: Any = None

    def startFactory(self) -> None:
        self.note("start")

    def stopFactory(self) -> None:
        self.note("stop")

    def startedConnecting(self, connector: Any) -> None:
        self.connector = connector
        self.note("started")

    def buildProtocol(self, addr: Any) -> Any:
        protocol = self.make()
        self.protocols.append(protocol)
        self.note("connected")
        return protocol

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self.reasons.append(reason.value)
        self.note("failed")

    def clientConnectionLost(self, connector: Any, reason: Any) -> None:
        self.reasons.append(reason.value)
        self.note("lost")

    async def connects(self, number: int = 1) -> Any:
        """Wait for so many connections; the protocol of the last of them."""
        await self.until(lambda: self.events.count("connected") >= number or "failed" in self.events)
        assert "failed" not in self.events, f"the connection failed: {self.reasons!r}"
        return self.protocols[number - 1]

    async def fails(self) -> Any:
        """Wait until an attempt has failed; the exception that is the reason."""
        await self.happens("failed")
        return self.reasons[-1]


def in_reactor(scenario: Callable[[Rig], Coroutine[Any, Any, None]]) -> Callable[[Rig], None]:
    """Make a behaviour of a coroutine function: it runs in the running reactor, which is then stopped."""

    @functools.wraps(scenario)
    def behaviour(rig: Rig) -> None:
        rig.play(lambda: scenario(rig))

    return behaviour


def listen(rig: Rig, make: Callable[[], Any] = Recorder, interface: str = IPV4) -> Any:
    """A port that listens on a free number, with a Server as its factory."""
    return rig.reactor.listenTCP(0, Server(make), interface=interface)


def dial(rig: Rig, address: Any, make: Callable[[], Any] = Recorder) -> Client:
    """The factory of a connection to `address`, an IPv4Address or IPv6Address."""
    factory = Client(make)
    rig.reactor.connectTCP(address.host, address.port, factory)
    return factory


async def pair(
    rig: Rig, client: Callable[[], Any] = Recorder, server: Callable[[], Any] = Recorder, interface: str = IPV4
) -> tuple[Any, Any]:
    """The protocols of the two ends of a new connection: the client's and the server's."""
    port = listen(rig, server, interface)
    connected = await dial(rig, port.getHost(), client).connects()
    accepted = await port.factory.accepts()
    port.stopListening()
    return connected, accepted


async def plain_pair(rig: Rig, server: Callable[[], Any] = Recorder) -> tuple[socket.socket, Any]:
    """A plain blocking socket, and the protocol at the other end of its connection."""
    port = listen(rig, server)
    plain = plain_socket(rig, port)
    accepted = await port.factory.accepts()
    port.stopListening()
    return plain, accepted


def plain_socket(rig: Rig, port: Any) -> socket.socket:
    """A plain blocking socket that is connected to `port`; the system completes that without the reactor."""
    address = port.getHost()
    plain: socket.socket = rig.keep(socket.create_connection((address.host, address.port), PATIENCE))
    return plain


def reset(plain: socket.socket) -> None:
    """Close `plain` so that its peer sees a reset."""
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(LINGER, 1, 0))
    plain.close()


async def passes(rig: Rig, seconds: float = 0.0) -> None:
    """Wait until the time has passed; 0 is a turn of the reactor."""
    passed: Deferred[None] = Deferred()
    rig.reactor.callLater(seconds, passed.callback, None)
    await passed


async def waits(rig: Rig, seconds: float) -> int:
    """How often the poller was asked in that time: a few times, unless something keeps the reactor busy."""
    poller, count = rig.reactor.poller, 0
    wait = poller.wait

    def counted(timeout: float | None) -> Any:
        nonlocal count
        count += 1
        return wait(timeout)

    poller.wait = counted
    await passes(rig, seconds)
    del poller.wait
    return count


def need_ipv6() -> None:
    """Skip the behaviour on a machine without IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind((IPV6, 0))
    except OSError as error:
        raise unittest.SkipTest(f"{IPV6} cannot be used here: {error}") from None


@contextlib.contextmanager
def log_records(level: int) -> Iterator[list[logging.LogRecord]]:
    """What Ropewalk logs inside, at `level` or above."""
    log = logging.getLogger("ropewalk")
    handler = _Kept(level)
    before = log.level
    log.setLevel(level)
    log.addHandler(handler)
    try:
        yield handler.records
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


class _Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
