"""Threads: calls into the reactor's thread, calls out of it, and the pool."""

from __future__ import annotations

import threading
from typing import Any

from ropewalk.testing.contract import behaviour
from ropewalk.testing.rig import LIMIT, Rig, raises

_AT_ONCE = 2.0   # seconds; on an idle machine it is well below a millisecond


@behaviour
def calls_from_many_threads_all_arrive_and_in_order_for_each(rig: Rig) -> None:
    reactor = rig.reactor
    per_thread, names = 500, ["a", "b", "c", "d"]
    seen: dict[str, list[int]] = {name: [] for name in names}

    def arrive(name: str, number: int) -> None:
        seen[name].append(number)
        if all(len(numbers) == per_thread for numbers in seen.values()):
            reactor.stop()

    def send(name: str) -> None:
        for number in range(per_thread):
            reactor.callFromThread(arrive, name, number)

    threads = [threading.Thread(target=send, args=[name]) for name in names]
    for thread in threads:
        reactor.callWhenRunning(thread.start)
    rig.run()
    for thread in threads:
        thread.join()
    assert seen == {name: list(range(per_thread)) for name in names}


@behaviour
def a_call_from_a_thread_wakes_a_reactor_that_waits(rig: Rig) -> None:
    """Many times: whenever the reactor has fallen asleep again, or is just about to."""
    reactor = rig.reactor
    slowest = 0.0

    def knock() -> None:
        nonlocal slowest
        for _ in range(200):
            answered = threading.Event()
            begin = reactor.seconds()
            reactor.callFromThread(answered.set)
            answered.wait(LIMIT)
            slowest = max(slowest, reactor.seconds() - begin)
        reactor.callFromThread(reactor.stop)

    thread = threading.Thread(target=knock)
    reactor.callWhenRunning(thread.start)
    rig.run()
    thread.join()
    assert slowest < _AT_ONCE


@behaviour
def a_call_from_a_thread_runs_in_the_reactors_thread_with_its_arguments(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[Any] = []

    def called(*args: Any, **kw: Any) -> None:
        seen.append((threading.get_ident(), args, kw))
        reactor.stop()

    reactor.callInThread(lambda: reactor.callFromThread(called, 1, two=2))
    rig.run()
    assert seen == [(threading.get_ident(), (1,), {"two": 2})]


@behaviour
def a_call_posted_before_run_is_made_in_it(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[bool] = []
    reactor.callFromThread(lambda: seen.append(reactor.running))
    reactor.callFromThread(reactor.stop)
    assert seen == []
    rig.run()
    assert seen == [True]


@behaviour
def a_call_posted_by_the_reactors_own_thread_is_not_made_at_once(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[str] = []

    def first() -> None:
        reactor.callFromThread(second)
        seen.append("first")

    def second() -> None:
        seen.append("second")
        reactor.stop()

    reactor.callWhenRunning(first)
    rig.run()
    assert seen == ["first", "second"]


@behaviour
def what_cannot_be_called_is_refused_where_it_is_given(rig: Rig) -> None:
    with raises(TypeError):
        rig.reactor.callFromThread(None)
    rig.in_run(lambda: None)


@behaviour
def call_in_thread_runs_elsewhere_and_what_it_raises_is_logged(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[Any] = []

    def work(*args: Any, **kw: Any) -> None:
        seen.append((threading.get_ident() != home, args, kw))
        raise ZeroDivisionError("made to fail")

    home = threading.get_ident()
    rig.in_run(lambda: reactor.callInThread(work, 1, two=2))
    assert seen == [(True, (1,), {"two": 2})]
    rig.expect_errors(ZeroDivisionError)


@behaviour
def call_in_thread_before_run_is_done_once_it_runs(rig: Rig) -> None:
    reactor = rig.reactor
    running: list[bool] = []

    def work() -> None:
        running.append(reactor.running)
        reactor.callFromThread(reactor.stop)

    reactor.callInThread(work)
    assert running == []
    rig.run()
    assert running == [True]


@behaviour
def the_pool_reports_results_and_failures(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[tuple[bool, Any]] = []

    def note(succeeded: bool, result: Any) -> None:
        reactor.callFromThread(seen.append, (succeeded, result if succeeded else result.check(ZeroDivisionError)))

    def begin() -> None:
        pool = reactor.getThreadPool()
        assert pool is reactor.getThreadPool()
        pool.callInThreadWithCallback(note, divmod, 7, 2)
        pool.callInThreadWithCallback(note, divmod, 7, 0)
        pool.callInThreadWithCallback(note, int, "11", base=2)

    reactor.suggestThreadPoolSize(1)
    rig.in_run(begin)
    assert seen == [(True, (3, 1)), (False, ZeroDivisionError), (True, 3)]


@behaviour
def the_pool_runs_a_call_with_its_arguments_and_logs_what_it_raises(rig: Rig) -> None:
    seen: list[Any] = []

    def work(*args: Any, **kw: Any) -> None:
        seen.append((threading.get_ident() != home, args, kw))
        raise ZeroDivisionError("made to fail")

    home = threading.get_ident()
    rig.in_run(lambda: rig.reactor.getThreadPool().callInThread(work, 1, two=2))
    assert seen == [(True, (1,), {"two": 2})]
    rig.expect_errors(ZeroDivisionError)


@behaviour
def the_pool_can_be_told_its_smallest_and_its_largest_size(rig: Rig) -> None:
    reactor = rig.reactor
    sizes: list[int] = []

    def begin() -> None:
        pool = reactor.getThreadPool()
        pool.adjustPoolsize(minthreads=2, maxthreads=3)
        sizes.append(len(pool.threads))
        for _ in range(4):
            pool.callInThread(meeting.wait, LIMIT)
        with raises(ValueError):
            pool.adjustPoolsize(4, 3)
        sizes.append(len(pool.threads))
        for _ in range(2):
            pool.callInThread(meeting.wait, LIMIT)

    meeting = threading.Barrier(3)
    rig.in_run(begin)
    assert sizes == [2, 3]


@behaviour
def the_pool_has_as_many_threads_as_was_suggested(rig: Rig) -> None:
    """Three workers meet at a barrier, which one thread fewer would never do."""
    reactor = rig.reactor
    meeting = threading.Barrier(3)
    threads: set[int] = set()
    left = [9]

    def work() -> None:
        meeting.wait(LIMIT)
        threads.add(threading.get_ident())
        reactor.callFromThread(done)

    def done() -> None:
        left[0] -= 1
        if not left[0]:
            reactor.stop()

    reactor.suggestThreadPoolSize(3)
    for _ in range(left[0]):
        reactor.callInThread(work)
    rig.run()
    assert len(threads) == 3


@behaviour
def a_smaller_pool_does_one_thing_after_the_other(rig: Rig) -> None:
    reactor = rig.reactor
    order: list[int] = []
    reactor.suggestThreadPoolSize(1)
    for number in range(20):
        reactor.callInThread(order.append, number)
    rig.in_run(lambda: None)
    assert order == list(range(20))


@behaviour
def the_size_suggested_is_that_of_every_run(rig: Rig) -> None:
    reactor = rig.reactor
    reactor.suggestThreadPoolSize(2)
    for _ in range(2):
        rig.in_run(lambda: reactor.callInThread(int))
    assert reactor.getThreadPool().max == 2
    with raises(ValueError):
        reactor.suggestThreadPoolSize(-1)


@behaviour
def the_pool_ends_at_shutdown_and_works_again_in_the_next_run(rig: Rig) -> None:
    reactor = rig.reactor
    workers: list[threading.Thread] = []

    def work() -> None:
        workers.append(threading.current_thread())
        reactor.callFromThread(reactor.stop)

    for _ in range(2):
        reactor.callWhenRunning(reactor.callInThread, work)
        rig.run()
        workers[-1].join(LIMIT)
        assert not workers[-1].is_alive()
    assert len(workers) == 2


@behaviour
def shutdown_waits_for_work_in_threads_and_serves_their_calls_meanwhile(rig: Rig) -> None:
    reactor = rig.reactor
    stopping = threading.Event()
    seen: list[str] = []

    def work() -> None:
        stopping.wait(LIMIT)
        for _ in range(3):
            answered = threading.Event()
            reactor.callFromThread(answered.set)
            seen.append("answered" if answered.wait(LIMIT) else "deadlock")
        seen.append("done")

    reactor.addSystemEventTrigger("before", "shutdown", stopping.set)
    reactor.addSystemEventTrigger("after", "shutdown", lambda: seen.append("shut down"))
    rig.in_run(lambda: reactor.callInThread(work))
    assert seen == ["answered"] * 3 + ["done", "shut down"]


@behaviour
def work_given_to_a_thread_during_shutdown_leaves_no_thread_behind(rig: Rig) -> None:
    reactor = rig.reactor
    done: list[str] = []
    for phase in ("before", "during", "after"):
        reactor.addSystemEventTrigger(phase, "shutdown", reactor.callInThread, done.append, phase)
    rig.in_run(lambda: None)
    assert "before" in done


@behaviour
def crash_leaves_no_thread_that_keeps_the_program_alive(rig: Rig) -> None:
    rig.reactor.callInThread(rig.reactor.callFromThread, rig.reactor.crash)
    rig.run()


@behaviour
def the_pool_makes_no_more_threads_than_there_is_work(rig: Rig) -> None:
    reactor = rig.reactor
    together = threading.Barrier(4, timeout=10)

    def meet() -> None:
        for _ in range(3):
            reactor.callInThread(together.wait)
        reactor.callInThread(count)

    def count() -> None:
        together.wait()
        sizes.append(len(reactor.getThreadPool().threads))
        reactor.callFromThread(reactor.stop)

    sizes: list[int] = []
    reactor.callWhenRunning(meet)
    rig.run()
    assert sizes == [4]
