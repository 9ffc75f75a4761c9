"""A host that owns the wait: the reactor under it ticks when its descriptor is readable or its alarm is due."""

from __future__ import annotations

import select
import socket
import time
from typing import Any

import pytest

from ropewalk.core import choose
from ropewalk.core.reactor import Reactor
from ropewalk.internet.kit import KIT
from ropewalk.internet.protocol import Protocol, ServerFactory

pytestmark = pytest.mark.skipif(choose.why_not("epoll") is not None, reason="this system has no epoll to watch")


class PollHost:
    """The smallest foreign host: one descriptor, one alarm."""

    foreign = True

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._due: float | None = 0.0
        self._going = False

    def run(self) -> None:
        self._going = True
        watched = select.poll()
        watched.register(self._reactor.poller.fileno() or -1, select.POLLIN)
        while self._going:
            left = None if self._due is None else max(0.0, self._due - time.monotonic())
            if watched.poll(None if left is None else left * 1000) or self._due is not None:
                self._due = None
                self._reactor.tick()

    def quit(self) -> None:
        self._going = False

    def alarm(self, seconds: float | None) -> None:
        self._due = None if seconds is None else time.monotonic() + seconds

    def step(self) -> None:
        """Nothing underneath."""

    def toolkit_callback(self, call: Any, *args: Any) -> None:
        """What a click does: the program runs between two ticks."""
        call(*args)


class Keeping(Protocol):
    made: list[Any] = []

    def connectionMade(self) -> None:
        self.made.append(self)


@pytest.fixture
def reactor() -> Reactor:
    _, poller = choose.parts("epoll")
    return Reactor(PollHost, poller, KIT)   # type: ignore[arg-type]


def test_it_serves_connections_timers_and_calls_from_threads(reactor: Reactor) -> None:
    class Echo(Protocol):
        def dataReceived(self, data: bytes) -> None:
            self.transport.write(data)

    port = reactor.listenTCP(0, ServerFactory.forProtocol(Echo), interface="127.0.0.1")
    heard: list[bytes] = []

    def talk() -> None:
        with socket.create_connection(("127.0.0.1", port.getHost().port), 10) as client:
            client.sendall(b"hello")
            heard.append(client.recv(5))
        reactor.callFromThread(reactor.callLater, 0.01, reactor.stop)

    reactor.callWhenRunning(reactor.callInThread, talk)
    reactor.run(installSignalHandlers=False)
    assert heard == [b"hello"]


def test_what_a_toolkit_callback_writes_schedules_and_closes_rings_the_alarm(reactor: Reactor) -> None:
    host: Any = reactor._host
    port = reactor.listenTCP(0, ServerFactory.forProtocol(Keeping), interface="127.0.0.1")
    with socket.create_connection(("127.0.0.1", port.getHost().port), 10) as client:
        for _ in range(3):
            reactor.tick()
        transport = Keeping.made.pop().transport
        for use in (
            lambda: (transport.write(b"one "), transport.write(b"two")),
            lambda: reactor.callLater(0, list),
            lambda: transport.loseConnection(),
        ):
            host.alarm(None)
            host.toolkit_callback(use)
            assert host._due is not None
            reactor.tick()
        assert client.recv(100) == b"one two"
        assert client.recv(100) == b""
    port.stopListening()
    reactor.tick()
