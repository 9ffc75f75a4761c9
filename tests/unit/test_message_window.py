"""The message-only window: what is posted to it runs in its thread, in every loop that dispatches messages."""

from __future__ import annotations

import ctypes
import socket
import threading
from collections.abc import Callable, Iterator
from ctypes import wintypes
from typing import Any

import pytest

from ropewalk.internet.protocol import Protocol, ServerFactory
from ropewalk.internet.selectreactor import SelectReactor

pytestmark = pytest.mark.skipif(not hasattr(ctypes, "WinDLL"), reason="only Windows has window messages")
LIMIT = 10.0   # seconds
MANY = 20_000   # more messages than a queue takes
_TIMER = 0x113   # WM_TIMER


@pytest.fixture
def window() -> Iterator[Any]:
    from ropewalk.hosts.message_window import MessageWindow

    made = MessageWindow()
    yield made
    made.close()


@pytest.fixture
def dispatch_until() -> Callable[[Callable[[], object]], None]:
    """A loop as a program has it, which ends when it is told that it is over, or after LIMIT seconds."""
    user32: Any = ctypes.WinDLL("user32")   # type: ignore[attr-defined]

    def dispatch(over: Callable[[], object]) -> None:
        message = wintypes.MSG()
        place = ctypes.byref(message)
        timer = user32.SetTimer(None, 0, int(LIMIT * 1000), None)
        while not over():
            assert user32.GetMessageW(place, None, 0, 0) > 0
            assert message.message != _TIMER, "nothing happened for too long"
            user32.DispatchMessageW(place)
        user32.KillTimer(None, timer)

    return dispatch


def test_what_threads_post_runs_in_the_windows_thread_in_its_order(window: Any, dispatch_until: Any) -> None:
    ran: list[tuple[int, int]] = []

    def post() -> None:
        for number in range(100):
            window.post(lambda number=number: ran.append((number, threading.get_ident())))

    thread = threading.Thread(target=post)
    thread.start()
    dispatch_until(lambda: len(ran) == 100)
    thread.join()
    assert ran == [(number, threading.get_ident()) for number in range(100)]


def test_more_is_posted_than_the_queue_takes(window: Any, dispatch_until: Any) -> None:
    ran: list[int] = []
    for number in range(MANY):
        window.post(lambda number=number: ran.append(number))
    dispatch_until(lambda: len(ran) == MANY)
    assert ran == list(range(MANY))


def test_a_loop_within_a_call_runs_what_is_posted_then(window: Any, dispatch_until: Any) -> None:
    ran: list[str] = []

    def open_a_loop() -> None:
        window.post(lambda: ran.append("within"))
        dispatch_until(lambda: ran == ["before", "within"])
        ran.append("after")

    window.post(lambda: ran.append("before"))
    window.post(open_a_loop)
    dispatch_until(lambda: len(ran) == 3)
    assert ran == ["before", "within", "after"]


def test_what_a_closed_window_was_posted_is_forgotten(window: Any, dispatch_until: Any) -> None:
    from ropewalk.hosts.message_window import MessageWindow

    ran: list[str] = []
    closed = MessageWindow()
    closed.post(lambda: ran.append("the closed one's"))
    closed.close()
    closed.post(lambda: ran.append("later"))
    window.post(lambda: ran.append("the other's"))
    dispatch_until(lambda: ran)
    assert ran == ["the other's"]


def test_a_loop_of_windows_messages_serves_a_reactor(window: Any, dispatch_until: Any) -> None:
    """As a native program can have it: reactor.interleave(window.post)."""
    heard: list[bytes] = []

    class Echo(Protocol):
        def dataReceived(self, data: bytes) -> None:
            self.transport.write(data)

    def talk() -> None:
        with socket.create_connection(("127.0.0.1", port.getHost().port), LIMIT) as client:
            client.sendall(b"hello")
            heard.append(client.recv(5))
        reactor.callFromThread(reactor.callLater, 0.01, reactor.stop)

    reactor = SelectReactor()
    port = reactor.listenTCP(0, ServerFactory.forProtocol(Echo), interface="127.0.0.1")
    reactor.callWhenRunning(reactor.callInThread, talk)
    reactor.interleave(window.post)
    dispatch_until(lambda: not reactor.running)
    assert heard == [b"hello"]
