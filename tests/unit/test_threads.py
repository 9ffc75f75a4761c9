"""Work in threads, and threads that wait for the reactor."""

from __future__ import annotations

import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from ropewalk.core.threads import ThreadPool
from ropewalk.internet import threads
from ropewalk.internet.defer import Deferred
from ropewalk.internet.kit import KIT
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.testing.rig import Rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(SelectReactor) as made:
        yield made


def in_thread(rig: Rig, function: Any, *args: Any, **kwargs: Any) -> Any:
    """What deferToThread gives, on the rig's reactor."""

    async def scenario() -> Any:
        return await threads.deferToThread(function, *args, **kwargs)

    return rig.play(scenario)


def test_deferToThread_works_in_another_thread_and_fires_in_the_reactors(rig: Rig) -> None:
    async def scenario() -> None:
        worked_in = await threads.deferToThread(threading.get_ident).addCallback(fired)
        assert worked_in != threading.get_ident()

    def fired(worked_in: int) -> int:
        fired_in.append(threading.get_ident())
        return worked_in

    fired_in: list[int] = []
    rig.play(scenario)
    assert fired_in == [threading.get_ident()]


def test_deferToThread_hands_arguments_on(rig: Rig) -> None:
    assert in_thread(rig, lambda *args, **kwargs: (args, kwargs), 1, 2, key=3) == ((1, 2), {"key": 3})


def test_deferToThread_fails_with_what_the_function_raises(rig: Rig) -> None:
    def fails() -> None:
        raise KeyError("from the thread")

    with pytest.raises(KeyError, match="from the thread") as caught:
        in_thread(rig, fails)
    assert "fails" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


def test_a_cancelled_deferToThread_lets_the_work_go_on_unheard(rig: Rig) -> None:
    may_end, has_ended = threading.Event(), threading.Event()

    def work() -> str:
        may_end.wait(10)
        has_ended.set()
        return "too late"

    def cancel() -> None:
        deferred = threads.deferToThread(work)
        deferred.addErrback(lambda failure: may_end.set())
        deferred.cancel()
        rig.reactor.stop()   # waits for the pool

    rig.reactor.callWhenRunning(cancel)
    rig.run()
    assert has_ended.is_set()


def test_deferToThreadPool_uses_the_pool_it_is_given(rig: Rig) -> None:
    pool = ThreadPool(KIT, 0, 1, "my-own")
    pool.start()
    try:
        deferred = threads.deferToThreadPool(rig.reactor, pool, lambda: threading.current_thread().name)
        assert rig.run_until(deferred).startswith("my-own")
    finally:
        pool.stop()


def test_blockingCallFromThread_runs_in_the_reactors_thread_and_returns_the_result(rig: Rig) -> None:
    def ask() -> int:
        return threads.blockingCallFromThread(rig.reactor, threading.get_ident)

    assert in_thread(rig, ask) == threading.get_ident()


def test_blockingCallFromThread_waits_for_a_deferred(rig: Rig) -> None:
    def later() -> Deferred[str]:
        deferred: Deferred[str] = Deferred()
        rig.reactor.callLater(0.001, deferred.callback, "came later")
        return deferred

    assert in_thread(rig, threads.blockingCallFromThread, rig.reactor, later) == "came later"


def test_blockingCallFromThread_waits_for_a_coroutine(rig: Rig) -> None:
    async def work(number: int) -> int:
        return number * 2

    assert in_thread(rig, threads.blockingCallFromThread, rig.reactor, work, 21) == 42


def test_blockingCallFromThread_raises_with_the_frames_of_both_threads(rig: Rig) -> None:
    def fails_in_the_reactor() -> None:
        raise LookupError("nothing there")

    def waits_in_a_thread() -> list[str]:
        try:
            threads.blockingCallFromThread(rig.reactor, fails_in_the_reactor)
        except LookupError as error:
            return [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        return []

    names = in_thread(rig, waits_in_a_thread)
    assert names[0] == "waits_in_a_thread"
    assert names[-1] == "fails_in_the_reactor"


def test_blockingCallFromThread_raises_the_failure_of_a_deferred(rig: Rig) -> None:
    def fails_later() -> Deferred[None]:
        deferred: Deferred[None] = Deferred()
        rig.reactor.callLater(0, deferred.errback, LookupError("not even later"))
        return deferred

    with pytest.raises(LookupError, match="not even later"):
        in_thread(rig, threads.blockingCallFromThread, rig.reactor, fails_later)


def test_blockingCallFromThread_in_the_reactors_own_thread_is_refused(rig: Rig) -> None:
    called: list[int] = []

    def ask() -> None:
        with pytest.raises(RuntimeError, match="would wait for itself"):
            threads.blockingCallFromThread(rig.reactor, called.append, 1)

    rig.in_run(ask)
    assert called == []


def test_callMultipleInThread_makes_the_calls_in_order_in_one_thread(rig: Rig) -> None:
    seen: list[tuple[str, int]] = []

    def note(what: str, more: str = "") -> None:
        seen.append((what + more, threading.get_ident()))

    calls = [(note, ["a"], {}), (note, ["b"], {"more": "!"}), (rig.reactor.callFromThread, [rig.reactor.stop], {})]
    rig.reactor.callWhenRunning(threads.callMultipleInThread, calls)
    rig.run()
    assert [what for what, _ in seen] == ["a", "b!"]
    assert len({ident for _, ident in seen}) == 1
    assert threading.get_ident() not in {ident for _, ident in seen}


@pytest.mark.parametrize("module", ["threads", "task", "interfaces", "endpoints"])
def test_importing_the_module_installs_no_reactor(module: str) -> None:
    program = f"import sys, ropewalk.internet.{module}; assert 'ropewalk.internet.reactor' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
