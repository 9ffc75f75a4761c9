"""Debug mode: a call from the wrong thread is refused where it is made, and otherwise nothing is checked."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ropewalk.internet.protocol import Protocol, ServerFactory
from ropewalk.internet.selectreactor import SelectReactor

LIMIT = 20.0

pytestmark = pytest.mark.skipif(sys.flags.dev_mode, reason="python -X dev is debug mode itself")


class Reader:
    """A reader of a socket; it is never ready."""

    def __init__(self, channel: socket.socket) -> None:
        self.fileno = channel.fileno

    def connectionLost(self, reason: Any) -> None:
        pass


@pytest.fixture
def reader() -> Any:
    here, there = socket.socketpair()
    with here, there:
        yield Reader(here)


def from_another_thread(reactor: Any, use: Callable[[], object]) -> BaseException | None:
    """What `use` raises in another thread, while `reactor` runs in this one."""
    raised: list[BaseException] = []

    def elsewhere() -> None:
        try:
            use()
        except BaseException as error:
            raised.append(error)
        reactor.callFromThread(reactor.crash)

    thread = threading.Thread(target=elsewhere, name="the wrong one")
    reactor.callWhenRunning(thread.start)
    reactor.run()
    thread.join(LIMIT)
    return raised[0] if raised else None


USES: dict[str, Callable[[Any, Any], object]] = {
    "callLater": lambda reactor, reader: reactor.callLater(1000, print),
    "callWhenRunning": lambda reactor, reader: reactor.callWhenRunning(int),
    "stop": lambda reactor, reader: reactor.stop(),
    "addReader": lambda reactor, reader: reactor.addReader(reader),
    "removeReader": lambda reactor, reader: reactor.removeReader(reader),
    "addWriter": lambda reactor, reader: reactor.addWriter(reader),
    "removeWriter": lambda reactor, reader: reactor.removeWriter(reader),
    "iterate": lambda reactor, reader: reactor.iterate(0),
    "listenTCP": lambda reactor, reader: reactor.listenTCP(0, ServerFactory(), interface="127.0.0.1"),
    "connectTCP": lambda reactor, reader: reactor.connectTCP("127.0.0.1", 9, None),
    "listenSSL": lambda reactor, reader: reactor.listenSSL(0, ServerFactory(), None, interface="127.0.0.1"),
    "connectSSL": lambda reactor, reader: reactor.connectSSL("127.0.0.1", 9, None, None),
}


@pytest.mark.parametrize("name", USES)
def test_a_call_from_the_wrong_thread_is_refused(name: str, reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROPEWALK_DEBUG", "1")
    reactor = SelectReactor()
    error = from_another_thread(reactor, lambda: USES[name](reactor, reader))
    assert isinstance(error, RuntimeError)
    for word in (f"reactor.{name}", "the wrong one", "callFromThread", "blockingCallFromThread"):
        assert word in str(error)
    assert list(reactor.getDelayedCalls()) == []
    assert reactor.getReaders() == []


def test_calls_from_the_reactors_own_thread_and_before_it_runs_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROPEWALK_DEBUG", "1")
    reactor = SelectReactor()
    reactor.callWhenRunning(reactor.callLater, 0, reactor.stop)
    reactor.callLater(0, int)
    reactor.run()
    reactor.callLater(0, reactor.stop)
    reactor.run()


def test_a_transport_used_from_the_wrong_thread_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROPEWALK_DEBUG", "1")
    reactor = SelectReactor()
    raised: list[BaseException] = []

    def elsewhere(transport: Any) -> None:
        for wrong in (transport.write, transport.write, transport.loseConnection, transport.pauseProducing):
            try:
                wrong(*([b"from the wrong thread"] if wrong == transport.write else []))
            except RuntimeError as error:
                raised.append(error)
        try:
            reactor.getDelayedCalls()[0].cancel()
        except RuntimeError as error:
            raised.append(error)
        reactor.callFromThread(reactor.stop)

    class Serving(Protocol):
        def connectionMade(self) -> None:
            reactor.callLater(1000, print)
            reactor.callLater(0, reactor.callInThread, elsewhere, self.transport)

    clients: list[socket.socket] = []

    def begin() -> None:
        port = reactor.listenTCP(0, ServerFactory.forProtocol(Serving), interface="127.0.0.1")
        clients.append(socket.create_connection(("127.0.0.1", port.getHost().port), LIMIT))

    reactor.callWhenRunning(begin)
    reactor.run()
    with clients[0] as client:
        assert client.recv(100) == b""   # nothing was sent before it was refused
    assert len(raised) == 5
    assert all("callFromThread" in str(error) for error in raised)


def test_without_debug_mode_nothing_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROPEWALK_DEBUG", raising=False)
    reactor = SelectReactor()
    assert from_another_thread(reactor, lambda: reactor.callLater(1000, print)) is None
    assert len(reactor.getDelayedCalls()) == 1
    assert type(reactor.late) is list
    assert "callLater" not in vars(type(reactor))
