"""System events: what is to happen before, during and after startup, shutdown and whatever a program names.

A trigger of the phase "before" may return a Deferred; the phase "during" waits for all of them. Triggers are
dropped as they fire. One that raises is logged, and the rest fire all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ropewalk.interfaces import Kit

_PHASES = ("before", "during", "after")


class Trigger(NamedTuple):
    """The identity of a trigger, for removal."""

    phase: str
    event: str
    call: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Triggers:
    """The triggers of one reactor, by event and phase."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._waiting: dict[tuple[str, str], list[Trigger]] = {}

    def add(self, phase: str, event: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Trigger:
        """A trigger for `phase` of `event`. Raises ValueError for a phase that is none of the three."""
        if phase not in _PHASES:
            raise ValueError(f"the phase of a trigger is one of {', '.join(_PHASES)}, not {phase!r}")
        trigger = Trigger(phase, event, call, args, kwargs)
        self._waiting.setdefault((event, phase), []).append(trigger)
        return trigger

    def remove(self, trigger: Trigger) -> None:
        """Forget `trigger`. Raises ValueError if it has fired or was removed already, TypeError if it is none."""
        if not isinstance(trigger, Trigger):
            raise TypeError(f"not the identity of a trigger: {trigger!r}")
        waiting = self._waiting.get((trigger.event, trigger.phase), [])
        for place, known in enumerate(waiting):
            if known is trigger:
                del waiting[place]
                return
        raise ValueError(f"this trigger has fired or was removed already: {trigger!r}")

    def waiting(self, event: str) -> bool:
        """Whether `event` has triggers."""
        return any(self._waiting.get((event, phase)) for phase in _PHASES)

    def fire(self, event: str, own: Callable[[Callable[[], None]], object] | None = None) -> None:
        """Fire `event`.

        own: what the reactor itself does first in the phase "during"; it calls its argument when that is done.
        """

        def finish() -> None:
            self._fire(event, "during")
            self._fire(event, "after")

        def rest() -> None:
            if own is None:
                finish()
            else:
                own(finish)

        awaited = [result for result in self._fire(event, "before") if self._kit.is_deferred(result)]
        if not awaited:
            rest()
            return
        left = len(awaited)

        def one_done(_: object) -> None:
            nonlocal left
            left -= 1
            if not left:
                rest()

        for deferred in awaited:
            deferred.addErrback(self._failed, event)
            deferred.addBoth(one_done)

    def _fire(self, event: str, phase: str) -> list[Any]:
        waiting = self._waiting.get((event, phase), [])
        results = []
        while waiting:
            trigger = waiting.pop(0)
            try:
                results.append(trigger.call(*trigger.args, **trigger.kwargs))
            except Exception as error:
                self._kit.report(error, f"a trigger {phase} {event} failed", trigger.call)
        return results

    def _failed(self, failure: Any, event: str) -> None:
        self._kit.report(failure.value, f"a Deferred that delayed {event} failed", failure)
