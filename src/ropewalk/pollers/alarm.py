"""The alarm of a poller that is a descriptor itself: a timerfd(2) in its set.

Whoever watches the set is woken by it as by anything else, and a host needs no timer of its own; those of toolkits are
rounded to milliseconds. The standard library has timerfd since Python 3.13; before, the C library is asked.
"""

from __future__ import annotations

import ctypes
import os

_CLOCK_MONOTONIC = 1
_SOONEST = 1e-9   # seconds: 0 would disarm


class _Time(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]


class _Setting(ctypes.Structure):
    _fields_ = [("interval", _Time), ("value", _Time)]


class TimerDescriptor:
    """A descriptor that becomes readable when its time has come."""

    def __init__(self) -> None:
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        if hasattr(os, "timerfd_create"):
            self.fd: int = os.timerfd_create(_CLOCK_MONOTONIC, flags=flags)
            return
        library = ctypes.CDLL(None, use_errno=True)
        self._settime = library.timerfd_settime
        self.fd = library.timerfd_create(_CLOCK_MONOTONIC, flags)
        if self.fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"timerfd_create: {os.strerror(number)}")

    def set(self, seconds: float | None) -> None:
        """Become readable in `seconds`; None: never."""
        left = 0.0 if seconds is None else max(seconds, _SOONEST)
        if hasattr(os, "timerfd_settime"):
            os.timerfd_settime(self.fd, initial=left)
            return
        whole = int(left)
        setting = _Setting(_Time(0, 0), _Time(whole, int((left - whole) * 1e9)))
        self._settime(self.fd, 0, ctypes.byref(setting), None)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    __del__ = close
