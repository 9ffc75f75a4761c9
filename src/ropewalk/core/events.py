"""Events of Windows: what addEvent watches, any handle that can be waited for.

What registered waits (see waits) mean for us:
* There may be any number of handles, on every poller; the end of a wait comes to the reactor by callFromThread.
* A wait takes what it waits for: it resets an event that resets itself. So there is one wait at a time, and the next
  one begins when the action has returned; a handle that stays signalled is told each turn.
* A handle that is closed while it is watched is waited for until removeEvent().
* A mutex would belong to the thread that waited for it, which is not ours: use an event or a semaphore.
Source of the behaviour: Twisted's IReactorWin32Events.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ropewalk.core.loop import Loop


class _Event:
    """One event, and whose action it is."""

    def __init__(self, handle: int, owner: Any, action: str) -> None:
        self.handle = handle
        self.owner = owner
        self.action = action
        self.stop: Callable[[], object] = _nothing_goes_on


class Win32Events(Loop):
    """Twisted's IReactorWin32Events, on Windows."""

    if sys.platform == "win32":

        def addEvent(self, event: Any, fd: Any, action: str) -> None:
            """Call the method `action` of `fd` whenever `event` is signalled.

            event: a handle that can be waited for, as a number or what int() makes one of (pywin32's handles): of an
            event, a semaphore, a waitable timer, a process. An exception of the method, or what it returns, unless
            that is false, ends this: fd.connectionLost() is told. A handle that is watched already has this action
            from now on. Raises OSError for what is no such handle.
            """
            self.removeEvent(event)
            watched = _Event(int(event), fd, action)
            self._wait_for(watched)
            self._events()[watched.handle] = watched

        def removeEvent(self, event: Any) -> None:
            """Undo addEvent(): the handle may be closed afterwards. One that is not watched is ignored."""
            watched = self._events().pop(int(event), None)
            if watched is not None:
                watched.stop()

        def _events(self) -> dict[int, _Event]:
            events: dict[int, _Event] = self.__dict__.setdefault("_watched_events", {})
            return events

        def _wait_for(self, watched: _Event) -> None:
            from ropewalk.core.waits import waits

            def signalled() -> None:
                self.callFromThread(self._signalled, watched)

            watched.stop = waits().wait_for(watched.handle, signalled)

        def _signalled(self, watched: _Event) -> None:
            if self._events().get(watched.handle) is not watched:
                return
            watched.stop()
            watched.stop = _nothing_goes_on
            try:
                why = self._act(watched.owner, watched.action)
            except Exception as error:
                self.kit.report(error, f"{watched.action} failed", watched.owner)
                why = error
            if self._events().get(watched.handle) is not watched:   # removed by its action
                return
            try:
                if not why:
                    self._wait_for(watched)
            except OSError as error:   # closed behind our back
                why = error
            if why:
                self._lose(watched, why)

        def _act(self, owner: Any, action: str) -> Any:
            return getattr(owner, action)()

        def _lose(self, watched: _Event, why: Any) -> None:
            del self._events()[watched.handle]
            reason = self.kit.failure(why) if isinstance(why, BaseException) else why
            try:
                watched.owner.connectionLost(reason)
            except Exception as error:
                self.kit.report(error, "connectionLost failed", watched.owner)


def _nothing_goes_on() -> None:
    """There is no wait to end."""
