"""System events: before, during and after startup, shutdown and events of the program's own."""

from __future__ import annotations

from typing import Any

from ropewalk.internet.defer import Deferred, fail, succeed
from ropewalk.testing.contract import behaviour
from ropewalk.testing.rig import Rig, raises

_PHASES = ("before", "during", "after")


@behaviour
def the_phases_of_an_event_come_in_order_and_triggers_in_the_order_of_their_adding(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[str] = []
    for phase in reversed(_PHASES):
        for event in ("shutdown", "startup"):
            for number in (1, 2):
                reactor.addSystemEventTrigger(phase, event, seen.append, f"{phase} {event} {number}")
    rig.in_run(lambda: seen.append("running"))
    startup = [f"{phase} startup {number}" for phase in _PHASES for number in (1, 2)]
    shutdown = [f"{phase} shutdown {number}" for phase in _PHASES for number in (1, 2)]
    assert seen == startup + ["running"] + shutdown


@behaviour
def a_trigger_gets_its_arguments_and_fires_once(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[Any] = []
    reactor.addSystemEventTrigger("after", "startup", lambda *args, **kw: seen.append((args, kw)), 1, two=2)
    for _ in range(2):
        rig.in_run(lambda: None)
    assert seen == [((1,), {"two": 2})]


@behaviour
def deferreds_of_triggers_before_an_event_delay_it(rig: Rig) -> None:
    """The loop goes on meanwhile, and connections and timers with it."""
    reactor = rig.reactor
    seen: list[str] = []

    def slowly(seconds: float, name: str) -> Deferred[None]:
        finished: Deferred[None] = Deferred()
        finished.addCallback(lambda _: seen.append(name))
        reactor.callLater(seconds, finished.callback, None)
        return finished

    reactor.addSystemEventTrigger("before", "shutdown", slowly, 0.03, "slow")
    reactor.addSystemEventTrigger("before", "shutdown", slowly, 0.01, "quick")
    reactor.addSystemEventTrigger("before", "shutdown", lambda: succeed(None))
    reactor.addSystemEventTrigger("during", "shutdown", seen.append, "during")
    rig.in_run(lambda: None)
    assert seen == ["quick", "slow", "during"]


@behaviour
def a_deferred_before_startup_delays_running(rig: Rig) -> None:
    reactor = rig.reactor
    ready: Deferred[None] = Deferred()
    running: list[bool] = []

    def become_ready() -> None:
        running.append(reactor.running)
        ready.callback(None)

    reactor.addSystemEventTrigger("before", "startup", lambda: ready)
    reactor.callLater(0, become_ready)
    rig.in_run(lambda: running.append(reactor.running))
    assert running == [False, True]


@behaviour
def a_deferred_that_fails_is_logged_and_delays_no_longer(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[str] = []
    reactor.addSystemEventTrigger("before", "shutdown", lambda: fail(ZeroDivisionError("made to fail")))
    reactor.addSystemEventTrigger("during", "shutdown", seen.append, "during")
    rig.in_run(lambda: None)
    assert seen == ["during"]
    rig.expect_errors(ZeroDivisionError)


@behaviour
def a_trigger_that_raises_is_logged_and_the_others_fire(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[str] = []

    def broken() -> None:
        raise ZeroDivisionError("made to fail")

    for event in ("startup", "shutdown"):
        for phase in _PHASES:
            reactor.addSystemEventTrigger(phase, event, broken)
            reactor.addSystemEventTrigger(phase, event, seen.append, f"{phase} {event}")
    rig.in_run(lambda: None)
    assert seen == [f"{phase} {event}" for event in ("startup", "shutdown") for phase in _PHASES]
    rig.expect_errors(*[ZeroDivisionError] * 6)


@behaviour
def a_trigger_that_was_removed_does_not_fire_and_cannot_be_removed_again(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[str] = []
    keep, drop = (reactor.addSystemEventTrigger("after", "startup", seen.append, "same") for _ in range(2))
    reactor.removeSystemEventTrigger(drop)
    with raises(ValueError):
        reactor.removeSystemEventTrigger(drop)
    rig.in_run(lambda: None)
    assert seen == ["same"]
    with raises(ValueError):
        reactor.removeSystemEventTrigger(keep)
    with raises(TypeError):
        reactor.removeSystemEventTrigger(None)


@behaviour
def a_trigger_may_remove_one_that_has_yet_to_fire(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[str] = []
    triggers: list[Any] = []
    reactor.addSystemEventTrigger("during", "shutdown", lambda: reactor.removeSystemEventTrigger(triggers[0]))
    triggers.append(reactor.addSystemEventTrigger("during", "shutdown", seen.append, "removed"))
    rig.in_run(lambda: None)
    assert seen == []


@behaviour
def another_phase_than_the_three_is_refused(rig: Rig) -> None:
    with raises(ValueError):
        rig.reactor.addSystemEventTrigger("later", "shutdown", list)


@behaviour
def a_program_may_have_events_of_its_own(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[str] = []
    for phase in reversed(_PHASES):
        reactor.addSystemEventTrigger(phase, "persist", seen.append, f"{phase} persist")
        reactor.addSystemEventTrigger(phase, "harvest", seen.append, f"{phase} harvest")
    reactor.fireSystemEvent("harvest")
    reactor.fireSystemEvent("harvest")
    reactor.fireSystemEvent("nobody knows this one")
    assert seen == ["before harvest", "during harvest", "after harvest"]


@behaviour
def stop_during_startup_leads_to_an_orderly_shutdown(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[str] = []
    for phase in _PHASES:
        reactor.addSystemEventTrigger(phase, "shutdown", seen.append, phase)
    reactor.addSystemEventTrigger("during", "startup", reactor.stop)
    rig.run()
    assert seen == list(_PHASES)


@behaviour
def firing_shutdown_stops_the_reactor(rig: Rig) -> None:
    seen: list[str] = []
    rig.reactor.addSystemEventTrigger("during", "shutdown", seen.append, "during")
    rig.reactor.callWhenRunning(rig.reactor.fireSystemEvent, "shutdown")
    rig.run()
    assert seen == ["during"]
