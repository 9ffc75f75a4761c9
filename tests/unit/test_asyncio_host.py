"""The reactor on asyncio beyond the contract: who runs the loop, how both end, and what waits for what."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ropewalk.errors import ReactorAlreadyInstalledError
from ropewalk.internet import asyncioreactor
from ropewalk.internet.asyncioreactor import AsyncioReactor
from ropewalk.internet.defer import Deferred, ensureDeferred
from ropewalk.internet.protocol import ClientFactory, Protocol, ServerFactory
from ropewalk.internet.task import deferLater

try:
    import uvloop
except ImportError:
    uvloop = None

LIMIT = 10.0   # seconds


class LoopWithoutReaders(asyncio.SelectorEventLoop):
    """A loop that cannot watch a descriptor, as Windows' Proactor loop: so the helper thread does."""

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:
        raise NotImplementedError


MAKERS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop, "without-readers": LoopWithoutReaders,
}  # fmt: skip
if uvloop is not None:
    MAKERS["uvloop"] = uvloop.new_event_loop


@pytest.fixture(params=MAKERS)
def make_loop(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    return MAKERS[request.param]


@pytest.fixture
def loop(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> Iterator[asyncio.AbstractEventLoop]:
    made = make_loop()
    yield made
    made.run_until_complete(made.shutdown_asyncgens())
    made.close()


def in_runner(make_loop: Callable[[], asyncio.AbstractEventLoop], main: Callable[[], Any]) -> Any:
    """As asyncio.run(main()), on such a loop."""
    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(asyncio.wait_for(main(), LIMIT))


def told_of_shutdown(reactor: AsyncioReactor) -> list[str]:
    told: list[str] = []
    for phase in ("before", "during", "after"):
        reactor.addSystemEventTrigger(phase, "shutdown", told.append, phase)
    return told


class Echo(Protocol):
    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


async def echoed(reactor: AsyncioReactor) -> bytes:
    """What came back from an echo server, both ends served by `reactor`."""
    port = reactor.listenTCP(0, ServerFactory.forProtocol(Echo), interface="127.0.0.1")
    answer: Deferred[bytes] = Deferred()

    class Client(Protocol):
        def connectionMade(self) -> None:
            self.transport.write(b"hello")

        def dataReceived(self, data: bytes) -> None:
            self.transport.loseConnection()
            answer.callback(data)

    reactor.connectTCP("127.0.0.1", port.getHost().port, ClientFactory.forProtocol(Client))
    data = await answer
    await port.stopListening()
    return data


# -- the reactor runs the loop


def test_run_makes_a_loop_and_ends_it(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    reactor = AsyncioReactor(loop_factory=make_loop)
    loops: list[asyncio.AbstractEventLoop] = []
    for _ in range(2):
        reactor.callWhenRunning(lambda: loops.append(asyncio.get_running_loop()))
        reactor.callLater(0.01, reactor.stop)
        reactor.run()
    assert loops[0] is not loops[1]
    assert all(loop.is_closed() for loop in loops)


def test_what_becomes_due_while_the_loop_is_closed_disturbs_nobody() -> None:
    posts: list[Callable[[], object]] = []

    class SlowToEnd(LoopWithoutReaders):
        def call_soon_threadsafe(self, callback: Any, *args: Any, **kwargs: Any) -> Any:
            posts.append(callback)
            return super().call_soon_threadsafe(callback, *args, **kwargs)

        def close(self) -> None:
            super().close()
            before = len(posts)
            reactor.callFromThread(called.append, 1)
            while len(posts) == before:   # pytest fails a test in which a thread raises, as the one that posts would
                time.sleep(0.001)

    called: list[int] = []
    reactor = AsyncioReactor(loop_factory=SlowToEnd)
    reactor.callWhenRunning(sys.exit)   # leaves run() while the loop is served
    with pytest.raises(SystemExit):
        reactor.run()
    reactor.callWhenRunning(reactor.stop)
    reactor.run()
    assert called[0] == 1


def test_the_end_of_run_cancels_the_tasks_that_are_left(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    reactor = AsyncioReactor(loop_factory=make_loop)
    ended: list[str] = []

    async def work() -> None:
        reactor.callLater(0.01, reactor.stop)
        try:
            await asyncio.sleep(LIMIT)
        finally:
            ended.append("cancelled")

    tasks: list[Any] = []
    reactor.callWhenRunning(lambda: tasks.append(asyncio.create_task(work())))
    reactor.run()
    assert ended == ["cancelled"]


def test_run_runs_the_loop_that_it_was_given_and_leaves_it_open(loop: asyncio.AbstractEventLoop) -> None:
    reactor = AsyncioReactor(loop)
    seen: list[bool] = []
    for _ in range(2):
        reactor.callWhenRunning(lambda: seen.append(asyncio.get_running_loop() is loop))
        reactor.callLater(0.01, reactor.stop)
        reactor.run()
    assert seen == [True, True]
    assert not loop.is_closed()
    assert loop.run_until_complete(asyncio.sleep(0, "goes on")) == "goes on"


def test_when_the_loop_is_stopped_so_is_the_reactor(loop: asyncio.AbstractEventLoop) -> None:
    reactor = AsyncioReactor(loop)
    told = told_of_shutdown(reactor)
    loop.call_later(0.01, loop.stop)
    reactor.run()
    assert told == ["before", "during", "after"]


def test_to_stop_a_reactor_that_does_not_run_its_loop_is_harmless_to_it(loop: asyncio.AbstractEventLoop) -> None:
    reactor = AsyncioReactor(loop)
    reactor.crash()
    assert loop.run_until_complete(asyncio.sleep(0.001, "not stopped")) == "not stopped"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_what_ends_a_program_leaves_run(loop: asyncio.AbstractEventLoop, error: BaseException) -> None:
    reactor = AsyncioReactor(loop)

    def leave() -> None:
        raise error

    reactor.callLater(0, leave)
    with pytest.raises(type(error)):
        reactor.run()
    assert not reactor.running


def test_a_failing_callback_is_logged_and_both_go_on(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    reactor = AsyncioReactor(loop)
    reactor.callLater(0, lambda: 1 / 0)   # type: ignore[arg-type,return-value]
    reactor.callLater(0.01, reactor.stop)
    reactor.run()
    assert ["ZeroDivisionError" in str(record.exc_info) for record in caplog.records] == [True]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system has no signals to send to a thread")
def test_a_signal_stops_it_in_its_sleep(loop: asyncio.AbstractEventLoop) -> None:
    reactor = AsyncioReactor(loop)
    told = told_of_shutdown(reactor)
    killer = threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGTERM])
    reactor.callWhenRunning(killer.start)
    reactor.run()
    assert reactor.exitSignal == signal.SIGTERM
    assert told == ["before", "during", "after"]


def test_iterate_in_a_callback_turns_the_reactor_and_asyncio_not(loop: asyncio.AbstractEventLoop) -> None:
    """Asyncio does not nest."""
    reactor = AsyncioReactor(loop)
    ours: list[str] = []
    theirs: list[str] = []

    def busy() -> None:
        loop.call_soon(theirs.append, "asyncio's")
        reactor.callLater(0, ours.append, "ours")
        while not ours:
            reactor.iterate(0.01)
        assert theirs == []
        reactor.callLater(0.01, reactor.stop)

    reactor.callLater(0, busy)
    reactor.run()
    assert (ours, theirs) == (["ours"], ["asyncio's"])


def test_iterate_before_run_turns_both(loop: asyncio.AbstractEventLoop) -> None:
    reactor = AsyncioReactor(loop)
    done: list[str] = []
    loop.call_soon(done.append, "asyncio's")
    reactor.callLater(0, done.append, "ours")
    reactor.iterate()
    assert sorted(done) == ["asyncio's", "ours"]


# -- the program runs the loop


def test_attached_in_a_coroutine_it_is_served(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> tuple[bytes, list[str]]:
        reactor = AsyncioReactor()
        told = told_of_shutdown(reactor)
        reactor.attach()
        assert reactor.running
        data = await echoed(reactor)
        reactor.stop()
        while reactor.running:
            await asyncio.sleep(0.001)
        return data, told

    assert in_runner(make_loop, main) == (b"hello", ["before", "during", "after"])


def test_attached_it_can_be_stopped_and_attached_again(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    reactor = AsyncioReactor()

    async def main() -> list[bytes]:
        heard: list[bytes] = []
        for _ in range(2):
            reactor.attach()
            heard.append(await echoed(reactor))
            stopped: Deferred[None] = Deferred()
            reactor.addSystemEventTrigger("after", "shutdown", stopped.callback, None)
            reactor.stop()
            await stopped
            await asyncio.sleep(0)
            assert not reactor.running
        return heard

    assert in_runner(make_loop, main) == [b"hello", b"hello"]
    assert in_runner(make_loop, main) == [b"hello", b"hello"]


def test_attached_to_a_loop_before_it_runs_it_is_served(loop: asyncio.AbstractEventLoop) -> None:
    reactor = AsyncioReactor(loop)
    told = told_of_shutdown(reactor)
    reactor.attach()
    reactor.callLater(0.01, loop.stop)
    loop.run_forever()
    assert reactor.running, "a loop that is stopped may run again"
    reactor.stop()
    reactor.addSystemEventTrigger("after", "shutdown", loop.call_later, 0, loop.stop)
    loop.run_forever()
    assert not reactor.running
    assert told == ["before", "during", "after"]


def test_when_asyncio_run_ends_so_does_the_reactor(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    reactor = AsyncioReactor()
    told = told_of_shutdown(reactor)

    async def main() -> None:
        reactor.attach()
        ports.append(reactor.listenTCP(0, ServerFactory.forProtocol(Echo), interface="127.0.0.1"))

    ports: list[Any] = []
    in_runner(make_loop, main)
    assert told == ["before", "during", "after"]
    assert not reactor.running
    assert reactor.transports == set()


def test_a_program_that_waits_for_all_its_tasks_does_not_wait_for_us() -> None:
    async def main() -> list[str]:
        reactor = AsyncioReactor()
        reactor.attach()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        reactor.stop()
        return [task.get_name() for task in others]

    assert asyncio.run(main()) == []


def test_to_attach_where_no_loop_runs_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="in a coroutine, or give"):
        AsyncioReactor().attach()


def test_to_run_where_a_loop_runs_says_what_to_do() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"call reactor\.attach\(\) there"):
            AsyncioReactor().run()

    asyncio.run(main())


def test_to_run_in_another_thread_than_its_loop_says_so(loop: asyncio.AbstractEventLoop) -> None:
    runs, over = threading.Event(), threading.Event()

    def work() -> None:
        loop.call_soon(runs.set)
        loop.run_until_complete(asyncio.to_thread(over.wait, LIMIT))
        loop.run_until_complete(loop.shutdown_default_executor())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert runs.wait(LIMIT)
        with pytest.raises(RuntimeError, match="runs in another thread"):
            AsyncioReactor(loop).run()
    finally:
        over.set()
        thread.join()


# -- what waits for what


def test_tasks_and_deferreds_wait_for_each_other(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    reactor = AsyncioReactor(loop_factory=make_loop)
    done: list[str] = []

    async def a_task() -> str:
        return await deferLater(reactor, 0.001, lambda: "a Deferred, in a task")

    async def ours() -> None:
        done.append(await asyncio.create_task(a_task()))
        done.append(await asyncio.sleep(0.001, "asyncio's sleep, in a coroutine of ours"))
        done.append(await Deferred.fromFuture(asyncio.create_task(asyncio.sleep(0.001, "fromFuture"))))
        later = deferLater(reactor, 0.001, lambda: "asFuture")
        done.append(await later.asFuture(asyncio.get_running_loop()))

        reactor.stop()

    reactor.callWhenRunning(lambda: ensureDeferred(ours()).addErrback(done.append))
    reactor.run()
    assert done == ["a Deferred, in a task", "asyncio's sleep, in a coroutine of ours", "fromFuture", "asFuture"]


def test_a_task_keeps_its_context_over_what_it_awaits(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name")
    reactor = AsyncioReactor()

    async def request(who: str) -> str:
        name.set(who)
        await deferLater(reactor, 0.001)
        await asyncio.sleep(0.001)
        return name.get()

    async def main() -> list[Any]:
        reactor.attach()
        name.set("main")
        answers = await asyncio.gather(request("a task"), ensureDeferred(request("ours")), request("another"))
        return [*answers, name.get()]

    assert in_runner(make_loop, main) == ["a task", "ours", "another", "main"]


# -- installing


def test_install_takes_a_loop_and_says_who_was_first(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    import ropewalk.internet

    monkeypatch.delitem(sys.modules, "ropewalk.internet.reactor", raising=False)
    monkeypatch.setattr(ropewalk.internet, "reactor", None, raising=False)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        asyncioreactor.install(first)
        reactor = sys.modules["ropewalk.internet.reactor"]
        asyncioreactor.install(first)
        asyncioreactor.install()
        assert sys.modules["ropewalk.internet.reactor"] is reactor
        with pytest.raises(ReactorAlreadyInstalledError, match=r"test_asyncio_host\.py"):
            asyncioreactor.install(second)
    finally:
        sys.modules.pop("ropewalk.internet.reactor", None)
        first.close()
        second.close()
