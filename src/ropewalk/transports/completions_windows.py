"""Tells what Windows has completed, for every pipe and child of this process: one thread at one completion port.

Facts, and what they mean for us:
* An overlapped read or write of a handle that belongs to a completion port reports there; RegisterWaitWithQueue makes
  the end of a process a packet, too. So neither a pipe nor a child takes a thread of its own, nothing is polled, and it
  does not matter which poller the reactor has: the packet is handed on by callFromThread.
* The packet comes even if the operation was over at once, or is cancelled. Until then the memory of the operation is
  the system's, and its address nobody else's: so it is kept here.
* What a thread has begun is cancelled when it ends, but not on a handle that belongs to a completion port.
* A thread that waits for packets keeps whatever its frame holds: what is told is told in a frame that is left.
The thread is there while something is awaited, and does not keep the interpreter from ending.
"""

from __future__ import annotations

import sys

assert sys.platform == "win32"   # type checkers pass over the rest on other systems

import _overlapped
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

INFINITE = 0xFFFFFFFF
BROKEN_PIPE = 109   # the error of a read when nobody can write any more

Done = Callable[[], object]
"""Called in the thread that waits; it must not raise."""


class Completions:
    """A completion port and its thread; one serves the whole process."""

    def __init__(self) -> None:
        self._port = _overlapped.CreateIoCompletionPort(_overlapped.INVALID_HANDLE_VALUE, 0, 0, 1)
        self._lock = threading.Lock()
        self._awaited: dict[int, tuple[Any, Done]] = {}   # by the address that the packet tells
        self._serving = False

    def join(self, handle: int) -> None:
        """What is begun on `handle` is told here from now on. Raises OSError."""
        _overlapped.CreateIoCompletionPort(handle, self._port, 0, 0)

    def begin(self, operation: Any, start: Callable[[], object], done: Done) -> None:
        """Begin `operation`, an _overlapped.Overlapped, by start(); done() is called when its packet has come.

        Raises what start() raises, an OSError; then there is no packet.
        """
        with self._lock:
            start()
            self._await(operation, done)

    def when_signalled(self, handle: int, done: Done) -> None:
        """Call done() once, when `handle` is signalled, as a process's is by its end. Raises OSError."""
        name = _overlapped.Overlapped(0)   # never begun: its address is one that no other packet has
        with self._lock:
            wait = _overlapped.RegisterWaitWithQueue(handle, self._port, name.address, INFINITE)
            self._await(name, partial(_signalled, wait, done))

    def _await(self, operation: Any, done: Done) -> None:
        self._awaited[operation.address] = operation, done
        if not self._serving:
            threading.Thread(target=self._serve, name="completions", daemon=True).start()
            self._serving = True

    def _serve(self) -> None:
        while self._serve_one():
            pass

    def _serve_one(self) -> bool:
        """Wait for a packet and tell; whether more are awaited."""
        _, _, _, address = _overlapped.GetQueuedCompletionStatus(self._port, INFINITE)
        with self._lock:
            _, done = self._awaited.pop(address)
            more = self._serving = bool(self._awaited)
        done()
        return more


def _signalled(wait: int, done: Done) -> None:
    with contextlib.suppress(OSError):   # pending: the wait is just about to be over
        _overlapped.UnregisterWait(wait)
    done()


completions = Completions()
