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
        self._waker = make_waker()
        self.wake = self._waker.wake
        self.handlers[self._waker.fd] = self._waker
        self._poll.register(self._waker.fd, select.POLLIN)

    def change(self, fd: int, old: int, new: int) -> None:
        if new:
            self._poll.register(fd, new)
        else:
            self._poll.unregister(fd)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        self.stale.clear()
        return self._poll.poll(None if timeout is None else math.ceil(timeout * 1000))

    def fileno(self) -> int | None:
        return None

    def park(self, timeout: float | None) -> None:
        copy = select.poll()
        copy.register(self._waker.fd, select.POLLIN)
        for fd, mask in self.masks.copy().items():
            copy.register(fd, mask)
        copy.poll(None if timeout is None else math.ceil(timeout * 1000))

    def close(self) -> None:
        self._waker.close()
