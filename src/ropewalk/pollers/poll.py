"""The poll poller, for every Unix.

Facts of poll(2), and what they mean for us:
* Interest is ours and handed over whole at each wait: changes are free, wait() costs a little a descriptor.
* It reports ERR, HUP and NVAL whether asked or not; NVAL is a descriptor that was closed behind our back, and it
  goes to the handler, which knows what to do about it.
* Regular files are always ready, as epoll refuses to say.
* There is nothing for a host to watch: a helper thread parks on a list that lags behind by a wake.
"""

from __future__ import annotations

import math
import select

from ropewalk.pollers.table import Table
from ropewalk.pollers.waker import make_waker


class Poll(Table):
    """Waits by poll(2)."""

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be used here; None if it can."""
        return None if hasattr(select, "poll") else "select.poll is not there: poll(2) is Unix's"

    def __init__(self) -> None:
        super().__init__()
        self._poll = select.poll()
        self.parked = False
        self._waker = make_waker()
        self.wake = self._waker.wake
        self._poll.register(self._waker.fd, select.POLLIN)

    def change(self, fd: int, old: int, new: int) -> None:
        if new:
            self._poll.register(fd, new)
        else:
            self._poll.unregister(fd)
        if self.parked:
            self.wake()

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        self.stale.clear()
        ready = self._poll.poll(None if timeout is None else math.ceil(timeout * 1000))
        if ready and ready[0][0] == self._waker.fd:   # it was registered first
            del ready[0]
            self._waker.calm()
        return ready

    def fileno(self) -> int | None:
        return None

    def park(self, timeout: float | None) -> None:
        self.parked = True
        try:
            copy = select.poll()
            copy.register(self._waker.fd, select.POLLIN)
            for fd, mask in self.masks.copy().items():
                if fd not in self._muted:
                    copy.register(fd, mask)
            copy.poll(None if timeout is None else math.ceil(timeout * 1000))
        finally:
            self.parked = False

    def alarm(self, seconds: float | None) -> None:
        """There is no descriptor that could tell; park() is given its limit."""

    def calm(self) -> None:
        self._waker.calm()

    def close(self) -> None:
        self._waker.close()
