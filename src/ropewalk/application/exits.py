"""The exit codes of the command `ropewalk`: those of sysexits.h, which Windows' os module lacks.

A command that a signal stopped has none: it dies by that signal.
"""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """Why the command ended."""

    OK = 0
    USAGE = 64           # EX_USAGE: the command line is wrong, or the reactor it names cannot be used here
    DATA = 65            # EX_DATAERR: what was loaded has no application, and left the reactor nothing to do
    NO_INPUT = 66        # EX_NOINPUT: what was to be loaded cannot be read
    UNAVAILABLE = 69     # EX_UNAVAILABLE: something that the command needs is not installed, or does not import
    SOFTWARE = 70        # EX_SOFTWARE: what was loaded raised an exception
    CANNOT_CREATE = 73   # EX_CANTCREAT: the pidfile or the log cannot be written
    IO = 74              # EX_IOERR: cannot listen there
    NO_PERMISSION = 77   # EX_NOPERM: the privileges for chroot, or for becoming another user, are lacking
    CONFIG = 78          # EX_CONFIG: it runs already


class CommandFailed(Exception):
    """The command cannot go on. message: one line for the user; code: how the process exits."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
