"""reactor.interleave(): a loop of which nothing is known but how to post to it serves the reactor."""

from __future__ import annotations

import os
import queue
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ropewalk.core import choose
from ropewalk.errors import ReactorAlreadyRunning
from ropewalk.internet.asyncioreactor import AsyncioReactor
from ropewalk.internet.base import ReactorBase
from ropewalk.internet.pollreactor import PollReactor
from ropewalk.internet.protocol import Protocol, ServerFactory
from ropewalk.internet.selectreactor import SelectReactor

LIMIT = 10.0   # seconds


class QueueLoop:
    """The plainest of loops: it calls what is put into a queue."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Callable[[], object]] = queue.Queue()
        self.post = self._calls.put
        self.turns = 0

    def turn(self) -> None:
        self.turns += 1
        self._calls.get(timeout=LIMIT)()

    def turn_while(self, going: Callable[[], bool]) -> None:
        while going():
            self.turn()


def default_reactor() -> ReactorBase:
    class Default(ReactorBase):
        name = choose.default_name()

    return Default()


MAKERS: dict[str, Callable[[], ReactorBase]] = {"default": default_reactor, "select": SelectReactor}
if choose.why_not("poll") is None:
    MAKERS["poll"] = PollReactor


@pytest.fixture(params=MAKERS)
def reactor(request: pytest.FixtureRequest) -> ReactorBase:
    return MAKERS[request.param]()


@pytest.fixture
def loop() -> QueueLoop:
    return QueueLoop()


def test_a_queue_serves_connections_timers_and_calls_from_threads(reactor: ReactorBase, loop: QueueLoop) -> None:
    told: list[str] = []
    for phase in ("before", "during", "after"):
        reactor.addSystemEventTrigger(phase, "shutdown", told.append, phase)

    class Echo(Protocol):
        def dataReceived(self, data: bytes) -> None:
            self.transport.write(data)

    port = reactor.listenTCP(0, ServerFactory.forProtocol(Echo), interface="127.0.0.1")

    def talk() -> None:
        with socket.create_connection(("127.0.0.1", port.getHost().port), LIMIT) as client:
            client.sendall(b"hello")
            told.append(client.recv(5).decode())
        reactor.callFromThread(reactor.callLater, 0.01, reactor.stop)

    reactor.interleave(loop.post)
    assert reactor.running
    reactor.callInThread(talk)
    loop.turn_while(lambda: reactor.running)
    assert told == ["hello", "before", "during", "after"]
    assert not [thread for thread in threading.enumerate() if thread.name == "reactor-helper"]


def test_the_loop_goes_on_after_stop_and_may_be_used_again(reactor: ReactorBase, loop: QueueLoop) -> None:
    for _ in range(2):
        reactor.interleave(loop.post)
        reactor.callLater(0.001, reactor.stop)
        loop.turn_while(lambda: reactor.running)
    done: list[str] = []
    loop.post(lambda: done.append("the loop goes on"))
    loop.turn_while(lambda: not done)


def test_another_loop_may_be_the_next(reactor: ReactorBase, loop: QueueLoop) -> None:
    for each in (loop, QueueLoop()):
        reactor.interleave(each.post)
        reactor.stop()
        each.turn_while(lambda: reactor.running)
    with pytest.raises(RuntimeError, match=r"interleave\(\) again, or use_own\(\)"):
        reactor.run()
    reactor.use_own()
    reactor.callLater(0, reactor.stop)
    reactor.run()


def test_a_callback_of_the_loop_uses_the_reactor_between_two_turns(reactor: ReactorBase, loop: QueueLoop) -> None:
    done: list[str] = []
    reactor.interleave(loop.post)
    reactor.callLater(0.02, loop.post, lambda: reactor.callLater(0, done.append, "soon"))
    loop.turn_while(lambda: not done)
    reactor.stop()
    loop.turn_while(lambda: reactor.running)


def test_a_nested_turn_of_the_loop_serves_the_reactor(reactor: ReactorBase, loop: QueueLoop) -> None:
    done: list[str] = []

    def dialog() -> None:
        reactor.callLater(0.01, done.append, "inside")
        loop.turn_while(lambda: not done)
        reactor.stop()

    reactor.interleave(loop.post)
    reactor.callLater(0, dialog)
    loop.turn_while(lambda: reactor.running)
    assert done == ["inside"]


def test_nothing_is_posted_while_there_is_nothing_to_do(reactor: ReactorBase, loop: QueueLoop) -> None:
    turns: list[int] = []

    def look() -> None:
        turns.append(loop.turns)
        if len(turns) < 2:
            reactor.callLater(0.3, look)
        else:
            reactor.stop()

    reactor.interleave(loop.post)
    reactor.callLater(0.05, look)
    loop.turn_while(lambda: reactor.running)
    assert turns[1] - turns[0] <= 2


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system has no signals to send to a thread")
def test_a_signal_stops_it(reactor: ReactorBase, loop: QueueLoop) -> None:
    reactor.interleave(loop.post)
    killer = threading.Timer(0.02, os.kill, [os.getpid(), signal.SIGTERM])
    killer.start()
    loop.turn_while(lambda: reactor.running)
    assert reactor.exitSignal == signal.SIGTERM


def test_what_ends_a_program_does_not_pass_through_the_loop(
    reactor: ReactorBase, loop: QueueLoop, caplog: pytest.LogCaptureFixture
) -> None:
    def leave() -> None:
        raise SystemExit(3)

    reactor.interleave(loop.post)
    reactor.callLater(0, leave)
    loop.turn_while(lambda: reactor.running)
    assert "SystemExit" in str(caplog.records[0].exc_info)


def test_one_that_runs_is_refused_and_goes_on(reactor: ReactorBase, loop: QueueLoop) -> None:
    refused: list[BaseException] = []

    def again() -> None:
        with pytest.raises(ReactorAlreadyRunning) as caught:
            reactor.interleave(loop.post)
        refused.append(caught.value)
        reactor.stop()

    reactor.callLater(0, again)
    reactor.run()
    reactor.interleave(loop.post)
    reactor.callLater(0, again)
    loop.turn_while(lambda: reactor.running)
    assert len(refused) == 2


def test_a_reactor_of_a_toolkit_is_refused(loop: QueueLoop) -> None:
    with pytest.raises(RuntimeError, match="AsyncioHost"):
        AsyncioReactor().interleave(loop.post)


def test_trio_serves_it(reactor: ReactorBase) -> None:
    trio: Any = pytest.importorskip("trio")

    async def main() -> list[str]:
        done: list[str] = []
        stopped = trio.Event()
        reactor.interleave(trio.lowlevel.current_trio_token().run_sync_soon, installSignalHandlers=False)
        reactor.addSystemEventTrigger("after", "shutdown", stopped.set)
        reactor.callLater(0.01, done.append, "a delayed call")
        reactor.callLater(0.02, reactor.stop)
        with trio.fail_after(LIMIT):
            await stopped.wait()
        return done

    assert trio.run(main) == ["a delayed call"]


def test_trio_is_the_guest_of_any_reactor(reactor: ReactorBase) -> None:
    trio: Any = pytest.importorskip("trio")
    done: list[Any] = []

    async def main() -> str:
        await trio.sleep(0.01)
        await trio.to_thread.run_sync(reactor.callFromThread, done.append, "a call of ours")
        return "trio's result"

    def ended(outcome: Any) -> None:
        done.append(outcome.unwrap())
        reactor.stop()

    def begin() -> None:
        trio.lowlevel.start_guest_run(
            main, run_sync_soon_threadsafe=reactor.callFromThread, done_callback=ended,
            restrict_keyboard_interrupt_to_checkpoints=True, host_uses_signal_set_wakeup_fd=True,
        )  # fmt: skip

    reactor.callWhenRunning(begin)
    reactor.run()
    assert done == ["a call of ours", "trio's result"]
