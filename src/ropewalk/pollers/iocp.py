"""The IOCP poller, for Windows: it waits for packets of a completion port, as many as there are at a time.

Facts of completion ports, and what they mean for us:
* GetQueuedCompletionStatusEx hands over what is there in one call, so a busy reactor waits seldom.
* PostQueuedCompletionStatus wakes who waits, from any thread.
* A packet belongs to who takes it, so the helper thread under a foreign host keeps what it finds for wait().
* Timeouts are whole milliseconds, and as fine as the system's clock tick (15.6 ms, unless a program asks for less).
"""

from __future__ import annotations

from ropewalk.pollers.afd import Afd
from ropewalk.pollers.windows import available


class IOCP(Afd):
    """Waits by GetQueuedCompletionStatusEx."""

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be used here; None if it can."""
        return None if available() else "completion ports are Windows'"

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        return self.ready(self.packets.take(self.begin(timeout)))
