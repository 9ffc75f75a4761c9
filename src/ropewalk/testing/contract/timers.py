"""Time: delayed calls, their order, their changes, and what cannot starve them."""

from __future__ import annotations

import gc
import random
import weakref
from typing import Any

from ropewalk.internet.error import AlreadyCalled, AlreadyCancelled
from ropewalk.testing.contract import behaviour
from ropewalk.testing.rig import Rig, raises
from ropewalk.testing.watched import Watched

_LATE = 2.0   # seconds; a machine that is busy with other things is later than any reactor


@behaviour
def delayed_calls_come_in_order_with_their_arguments(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[Any] = []
    reactor.callLater(0.03, reactor.stop)
    reactor.callLater(0.02, seen.append, "third")
    reactor.callLater(0.01, lambda *args, **kw: seen.append((args, kw)), 1, two=2)
    reactor.callLater(0, seen.append, "first")
    rig.run()
    assert seen == ["first", ((1,), {"two": 2}), "third"]


@behaviour
def calls_with_the_same_delay_come_in_the_order_in_which_they_were_made(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[int] = []
    for number in range(50):
        reactor.callLater(0, seen.append, number)
    reactor.callLater(0.01, reactor.stop)
    rig.run()
    assert seen == list(range(50))


@behaviour
def a_delay_of_zero_is_not_at_once(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[str] = []

    def first() -> None:
        reactor.callLater(0, second)
        seen.append("first")

    def second() -> None:
        seen.append("second")
        reactor.stop()

    reactor.callWhenRunning(first)
    rig.run()
    assert seen == ["first", "second"]


@behaviour
def a_delayed_call_is_never_early_and_not_late(rig: Rig) -> None:
    reactor = rig.reactor
    late: list[float] = []

    def note(due: float) -> None:
        late.append(reactor.seconds() - due)

    delays = [0.0004, 0.001, 0.0015, 0.01, 0.0333, 0.1]
    for delay in delays:
        call = reactor.callLater(delay, note, 0)
        call.args = (call.getTime(),)
    reactor.callLater(0.11, reactor.stop)
    rig.run()
    assert len(late) == len(delays)
    assert min(late) >= 0
    assert max(late) < _LATE


@behaviour
def ten_thousand_delayed_calls_come_in_the_order_of_their_time(rig: Rig) -> None:
    reactor = rig.reactor
    chance = random.Random(1)
    seen: list[float] = []
    calls = [reactor.callLater(chance.random() / 10, lambda: None) for _ in range(10_000)]
    for call in calls:
        call.func, call.args = seen.append, (call.getTime(),)
    reactor.callLater(0.2, reactor.stop)
    rig.run()
    assert len(seen) == 10_000
    assert seen == sorted(seen)


@behaviour
def a_cancelled_call_is_never_made_and_cannot_be_changed(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[int] = []
    call = reactor.callLater(0, seen.append, 1)
    assert call.active()
    call.cancel()
    assert not call.active()
    for change in (call.cancel, lambda: call.delay(1), lambda: call.reset(1)):
        with raises(AlreadyCancelled):
            change()
    reactor.callLater(0.01, reactor.stop)
    rig.run()
    assert seen == []


@behaviour
def a_call_that_was_made_or_is_being_made_cannot_be_changed(rig: Rig) -> None:
    reactor = rig.reactor
    refused: list[BaseException] = []

    def change() -> None:
        assert not call.active()
        for verb in (call.cancel, lambda: call.delay(1), lambda: call.reset(1)):
            with raises(AlreadyCalled) as error:
                verb()
            refused.extend(error)

    call = reactor.callLater(0, change)
    reactor.callLater(0.01, reactor.stop)
    rig.run()
    change()
    assert len(refused) == 6


@behaviour
def a_call_may_cancel_another_that_is_due_at_the_same_time(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[int] = []
    calls: list[Any] = []
    reactor.callLater(0, lambda: calls[0].cancel())
    calls.append(reactor.callLater(0, seen.append, 1))
    reactor.callLater(0.01, reactor.stop)
    rig.run()
    assert seen == []


@behaviour
def a_call_may_put_off_another_that_is_due_at_the_same_time(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[str] = []
    calls: list[Any] = []
    reactor.callLater(0, lambda: calls[0].delay(0.02))
    calls.append(reactor.callLater(0, seen.append, "put off"))
    reactor.callLater(0.01, seen.append, "meanwhile")
    reactor.callLater(0.04, reactor.stop)
    rig.run()
    assert seen == ["meanwhile", "put off"]


@behaviour
def delay_and_reset_move_a_call_later_and_earlier(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[str] = []
    calls = {name: reactor.callLater(0.02, seen.append, name) for name in ("delayed", "put off", "kept")}
    calls["delayed"].delay(0.01)
    calls["put off"].reset(0.05)
    hastened, reset = (reactor.callLater(1000, seen.append, name) for name in ("hastened", "reset"))
    planned = hastened.getTime()
    hastened.delay(-1000)
    reset.reset(0.01)
    assert hastened.getTime() == planned - 1000
    assert reset.getTime() < planned - 900
    assert hastened.active()
    assert reset.active()
    reactor.callLater(0.08, reactor.stop)
    rig.run()
    assert seen == ["hastened", "reset", "kept", "delayed", "put off"]


@behaviour
def a_call_that_is_moved_again_and_again_is_made_once(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[int] = []
    call = reactor.callLater(1000, seen.append, 1)
    for _ in range(100):
        call.reset(1000)
        call.reset(500)
        call.delay(-499)
    call.reset(0.005)
    reactor.callLater(0.03, reactor.stop)
    rig.run()
    assert seen == [1]
    assert reactor.getDelayedCalls() == []


@behaviour
def a_reset_while_the_loop_waits_for_the_old_time_counts(rig: Rig) -> None:
    """Moved by a callback of another descriptor, in the middle of a long wait."""
    reactor = rig.reactor
    here, there = rig.socket_pair()
    end = reactor.callLater(1000, reactor.stop)

    def read(channel: Any) -> None:
        channel.recv(8)
        end.reset(0.01)

    reactor.addReader(Watched(here, read))
    reactor.callLater(0.01, there.send, b"x")
    rig.run()
    assert not end.active()


@behaviour
def calls_that_schedule_calls_starve_nobody(rig: Rig) -> None:
    reactor = rig.reactor
    here, there = rig.socket_pair()

    def again() -> None:
        if reactor.running:
            reactor.callLater(0, again)

    def again_from_thread() -> None:
        if reactor.running:
            reactor.callFromThread(again_from_thread)

    def read(channel: Any) -> None:
        channel.recv(8)
        reactor.callLater(0.01, reactor.stop)

    reactor.addReader(Watched(here, read))
    reactor.callLater(0, again)
    reactor.callFromThread(again_from_thread)
    reactor.callLater(0.01, there.send, b"x")
    rig.run()
    for call in reactor.getDelayedCalls():
        call.cancel()


@behaviour
def the_calls_that_are_pending_are_told(rig: Rig) -> None:
    reactor = rig.reactor
    assert list(reactor.getDelayedCalls()) == []
    later, sooner, cancelled = (reactor.callLater(delay, reactor.stop) for delay in (1000, 500, 2000))
    cancelled.cancel()
    assert set(reactor.getDelayedCalls()) == {later, sooner}
    sooner.reset(0)
    rig.run()
    assert list(reactor.getDelayedCalls()) == [later]
    later.cancel()
    assert list(reactor.getDelayedCalls()) == []


@behaviour
def a_bad_delay_is_refused_and_schedules_nothing(rig: Rig) -> None:
    reactor = rig.reactor
    for number in (-1, -0.001, float("nan"), float("inf"), float("-inf")):
        with raises(ValueError):
            reactor.callLater(number, reactor.stop)
    for no_number in ("1", None, 1j):
        with raises(TypeError):
            reactor.callLater(no_number, reactor.stop)
    for no_call in (None, "stop", 7):
        with raises(TypeError):
            reactor.callLater(1, no_call)
    assert list(reactor.getDelayedCalls()) == []


@behaviour
def a_bad_change_is_refused_and_the_call_stays_as_it_was(rig: Rig) -> None:
    reactor = rig.reactor
    call = reactor.callLater(0.01, reactor.stop)
    planned = call.getTime()
    for number in (-1, float("nan"), float("inf")):
        with raises(ValueError):
            call.reset(number)
    for number in (float("nan"), float("inf")):
        with raises(ValueError):
            call.delay(number)
    for change in (call.reset, call.delay):
        for no_number in ("1", None):
            with raises(TypeError):
                change(no_number)
    assert call.getTime() == planned
    rig.run()


@behaviour
def the_clock_goes_forward(rig: Rig) -> None:
    reactor = rig.reactor
    seen = [reactor.seconds()]
    reactor.callLater(0.02, lambda: seen.append(reactor.seconds()))
    reactor.callLater(0.03, reactor.stop)
    rig.run()
    assert seen[1] - seen[0] >= 0.02
    assert reactor.seconds() >= seen[1]


class _Thing:
    def method(self) -> None:
        pass


@behaviour
def a_call_that_was_made_or_cancelled_keeps_nothing_alive(rig: Rig) -> None:
    reactor = rig.reactor
    things = [_Thing() for _ in range(4)]
    known = [weakref.ref(thing) for thing in things]
    calls = [reactor.callLater(0, things[0].method), reactor.callLater(0, print, things[1], sep="", end="", file=None)]
    calls[1].func = lambda *args, **kw: None
    calls += [reactor.callLater(1000, things[2].method), reactor.callLater(1000, print, things[3])]
    things.clear()
    for call in calls[2:]:
        call.cancel()
    reactor.callLater(0.01, reactor.stop)
    rig.run()
    gc.collect()
    assert [reference() for reference in known] == [None] * 4
