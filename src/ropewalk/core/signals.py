"""Signals: SIGINT, SIGTERM and SIGBREAK stop the reactor.

Python runs signal handlers in the main thread, between two bytecodes. A signal that arrives just before the thread
blocks in the kernel, or while a toolkit's C loop blocks, would be handled at the next event only. So the C handler
writes to a socket (signal.set_wakeup_fd) that the reactor watches, as long as it runs.

Windows tells of Ctrl-C and Ctrl-Break (SIGBREAK) in a thread of its own, which writes to that socket, too. A process
that either of them ends has an exit code that batch files and shells know; SIGTERM's is its number.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

from ropewalk.interfaces import READ, Poller

_ENDED_BY_KEYS = -0x3FFFFEC6   # STATUS_CONTROL_C_EXIT
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]


class Signals:
    """The signal handlers of one run of a reactor.

    numbers: of the signals; handle: called with the number of one, in the main thread, between two bytecodes.
    """

    def __init__(self, numbers: Iterable[int], handle: Callable[[int], object]) -> None:
        self._numbers = numbers
        self._handle_it = handle
        self._replaced: dict[int, Any] = {}
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def install(self, poller: Poller) -> None:
        """Handle the signals from now on; a SIGINT handler of the program's own is left alone."""
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._poller = poller
        poller.set(self._reader.fileno(), READ, self)
        self.take()

    def take(self) -> None:
        """Handle those, too, that somebody has taken since."""
        for number in self._numbers:
            present = signal.getsignal(number)
            if present != self._handle and (number != signal.SIGINT or present is signal.default_int_handler):
                self._replaced[number] = signal.signal(number, self._handle)

    def restore(self) -> None:
        """Put back what install() replaced, unless the program has replaced it meanwhile."""
        for number, before in self._replaced.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, before)
        signal.set_wakeup_fd(self._wakeup_before)
        self._poller.set(self._reader.fileno(), 0, self)
        self._reader.close()
        self._writer.close()

    def ready(self, mask: int) -> None:
        """The C handler wrote: by now Python has run, or is about to run, the handler."""
        with contextlib.suppress(BlockingIOError):
            self._reader.recv(4096)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._handle_it(number)


@contextlib.contextmanager
def handle_signals(
    poller: Poller, numbers: Iterable[int], handle: Callable[[int], object]
) -> Iterator[Callable[[], object]]:
    """While inside, `handle(number)` is called for each of these signals; only the main thread can handle signals.

    It gives what takes again those that somebody else has taken since.
    """
    if threading.current_thread() is not threading.main_thread():
        yield _nothing
        return
    signals = Signals(numbers, handle)
    try:
        signals.install(poller)
        yield signals.take
    finally:
        signals.restore()


def _nothing() -> None:
    """This thread handles no signals."""


def die_by(number: int) -> None:
    """End this process by the signal `number`, so that its parent sees how it ended."""
    if sys.platform == "win32" and number in (signal.SIGINT, signal.SIGBREAK):
        os._exit(_ENDED_BY_KEYS)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
