"""The file that holds the process number of the running command.

A file that is left of a process that has died is replaced: that number has no process, or is our own by chance, as it
is each time a container starts. Else the command runs already. The file is made anew (O_EXCL), so that of two commands
that start at the same time one fails.
"""

from __future__ import annotations

import contextlib
import os
import sys

from ropewalk.application.exits import CommandFailed, Exit


class PidFile:
    """The pidfile `path`, wherever the process goes afterwards."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self._descriptor = -1

    def check(self) -> None:
        """Raises CommandFailed if the process that it names is alive, or if it is none of ours to replace."""
        pid = self._read()
        if pid is not None and pid != os.getpid() and _is_alive(pid):
            raise CommandFailed(
                f"it runs already, as process {pid}: {self.path} says so; stop that one, or name another --pidfile",
                Exit.CONFIG,
            )

    def write(self) -> None:
        """Write our number. Raises CommandFailed."""
        self.check()
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOSED_ON_EXEC, 0o644)
            os.write(self._descriptor, b"%d\n" % os.getpid())
        except OSError as error:
            raise self._cannot("written", error) from error

    def remove(self) -> None:
        """Remove it; empty it where that is not allowed any more, after privileges were given up."""
        if self._descriptor < 0:
            return
        try:
            if os.path.samestat(os.fstat(self._descriptor), os.stat(self.path)):
                os.unlink(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = -1

    def _read(self) -> int | None:
        """The number in the file; None if there is none."""
        try:
            with open(self.path, "rb") as file:
                text = file.read(64).strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._cannot("read", error) from error
        if not text:
            return None
        if not text.isdigit():
            raise CommandFailed(
                f"{self.path} is no pidfile, so it is left alone: it holds {text[:20]!r}; name another --pidfile",
                Exit.CANNOT_CREATE,
            )
        return int(text)

    def _cannot(self, do: str, error: OSError) -> CommandFailed:
        why = (error.strerror or str(error)).lower()
        return CommandFailed(f"the pidfile {self.path} cannot be {do}: {why}", Exit.CANNOT_CREATE)


_CLOSED_ON_EXEC = getattr(os, "O_CLOEXEC", 0)
_QUERY = 0x1000   # PROCESS_QUERY_LIMITED_INFORMATION
_STILL_ACTIVE = 259


if sys.platform == "win32":

    def _is_alive(pid: int) -> bool:
        """os.kill(pid, 0) would end the process there."""
        import ctypes

        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(_QUERY, False, pid)
        if not handle:
            return False
        code = ctypes.c_ulong()
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        kernel.CloseHandle(handle)
        return code.value == _STILL_ACTIVE

else:

    def _is_alive(pid: int) -> bool:
        if pid < 1:
            return False
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:   # another user's
            return True
        return True
