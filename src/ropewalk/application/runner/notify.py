"""What systemd is told: that the service is up, that it reloads, stops, what it does, that its loop still turns.

The protocol is sd_notify(3): datagrams of VAR=value lines to the UNIX socket that NOTIFY_SOCKET names ('@' for the zero
byte of an abstract name). The socket is connected at once, since the path is out of reach after a chroot; and the
variables are removed, since they are not meant for child processes. A message that cannot be sent is dropped: nobody
could do anything about it.

With Type=notify-reload, RELOADING=1 has to come with MONOTONIC_USEC, its time in microseconds of CLOCK_MONOTONIC, and
READY=1 says that it is done: systemd.service(5). The watchdog (WatchdogSec=) is fed at half of its time by a delayed
call of the reactor, so that a loop that hangs starves it: sd_watchdog_enabled(3).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping
from typing import Any


class Notifier:
    """Tells the service manager; without one it says nothing.

    manager: a connected datagram socket; watchdog: seconds after which the manager takes us for hung, 0 for never.
    """

    def __init__(self, manager: socket.socket | None = None, watchdog: float = 0.0) -> None:
        self._manager = manager
        self._watchdog = watchdog

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] = os.environ) -> Notifier:
        """What the environment asks for; the variables are taken from it."""
        address = environ.pop("NOTIFY_SOCKET", "")
        microseconds = environ.pop("WATCHDOG_USEC", "")
        meant_for = environ.pop("WATCHDOG_PID", str(os.getpid()))
        if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
            return cls()
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            manager.connect(f"\0{address[1:]}" if address.startswith("@") else address)
        except OSError:
            manager.close()
            return cls()
        watched = microseconds.isdigit() and meant_for == str(os.getpid())
        return cls(manager, int(microseconds) / 1e6 if watched else 0.0)

    def ready(self, status: str) -> None:
        """The service is up, or is again after reloading(). status: one line for `systemctl status`."""
        self._say("READY=1", f"MAINPID={os.getpid()}", f"STATUS={status}")

    def reloading(self) -> None:
        """The configuration is being read again."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reloading")

    def stopping(self) -> None:
        """The service stops."""
        self._say("STOPPING=1", "STATUS=stopping")

    def feed_watchdog(self, reactor: Any) -> None:
        """Say that the loop of `reactor` turns, now and as often as the manager wants to know."""
        if not self._watchdog:
            return
        self._say("WATCHDOG=1")
        reactor.callLater(self._watchdog / 2, self.feed_watchdog, reactor)

    def close(self) -> None:
        """Say nothing more."""
        manager, self._manager = self._manager, None
        if manager is not None:
            manager.close()

    def _say(self, *lines: str) -> None:
        if self._manager is None:
            return
        with contextlib.suppress(OSError):
            self._manager.send("\n".join(lines).encode(), getattr(socket, "MSG_DONTWAIT", 0))
