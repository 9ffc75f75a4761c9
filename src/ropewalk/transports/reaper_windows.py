"""Watching a child on Windows: it is told of once, when it has ended. No thread, and no poller, waits for it.

Facts, and what they mean for us:
* A process's handle is signalled by its end, which the system can report as a packet: see completions_windows.
* There are no signals. A process is ended by TerminateProcess, about which it can do nothing, or it is told to end by
  CTRL_BREAK, which takes a console that it shares with us; Ctrl-C cannot be sent to a single one.
* An exit code is a number of 32 bits; one that the system has given is an NTSTATUS, as 0xC0000005 after a bad address.
  It is told as os.waitpid() tells it: as a status, shifted by 8 bits.
"""

from __future__ import annotations

import sys

assert sys.platform == "win32"   # type checkers pass over the rest on other systems

import _winapi
import ctypes
import signal
from collections.abc import Callable
from functools import partial

from ropewalk.interfaces import Loop
from ropewalk.transports.completions_windows import completions
from ropewalk.transports.launch_windows import KILLED, handles

Exited = Callable[[int | None], object]
_CTRL_BREAK = 1
_TERMINATE = {"KILL": 9, "TERM": signal.SIGTERM}   # 9 is SIGKILL's, to which Windows gives no name
_TELL = {"INT": signal.SIGINT, "BREAK": signal.SIGBREAK}
_NUMBERS = _TERMINATE | _TELL
_kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)


def signal_number(signalID: str | int) -> int:
    """The number of a signal that a child can be sent on Windows. Raises ValueError for any other."""
    number = _NUMBERS.get(signalID.removeprefix("SIG")) if isinstance(signalID, str) else signalID
    if number is None or number not in _NUMBERS.values():
        raise ValueError(f"{signalID!r} cannot be sent to a child on Windows, which has: {', '.join(_NUMBERS)}")
    return number


class Watch:
    """A child that is watched: `exited` is called in the reactor's thread with its status. Raises OSError."""

    def __init__(self, loop: Loop, pid: int, exited: Exited) -> None:
        self._pid = pid
        self._handle = 0
        self._exited = exited
        completions.when_signalled(handles[pid], partial(loop.callFromThread, self._ended))
        self._handle = handles.pop(pid)

    def signal(self, number: int) -> None:
        """End the child (9, SIGTERM), or tell it to end (SIGINT, SIGBREAK: CTRL_BREAK).

        Raises ProcessLookupError if it has ended, OSError if there is no console by which it could be told.
        """
        if number in _TERMINATE.values():
            self._terminate()
        elif not _kernel32.GenerateConsoleCtrlEvent(_CTRL_BREAK, self._pid):
            error = ctypes.get_last_error()
            text = f"the child {self._pid} shares no console with us, so it cannot be sent CTRL_BREAK; KILL ends it"
            raise OSError(None, f"{text} ({ctypes.FormatError(error)})", None, error)

    def _terminate(self) -> None:
        try:
            _winapi.TerminateProcess(self._handle, KILLED)
        except PermissionError:
            if _winapi.GetExitCodeProcess(self._handle) == _winapi.STILL_ACTIVE:
                raise
            raise ProcessLookupError from None

    def _ended(self) -> None:
        code = _winapi.GetExitCodeProcess(self._handle)
        self._close()
        self._exited(code << 8)

    def _close(self) -> None:
        handle, self._handle = self._handle, 0
        if handle:
            _winapi.CloseHandle(handle)

    __del__ = _close   # of a reactor that is not run any more


watch = Watch
