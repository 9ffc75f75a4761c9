"""The exit codes of the command `ropewalk`: those of sysexits.h, which Windows' os module lacks.

A command that a signal stopped has none: it dies by that signal.
"""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """Why the command ended."""

    USAGE = 64         # EX_USAGE: the command line is wrong, or the reactor it names cannot be used here
    DATA = 65          # EX_DATAERR: the file of -y left the reactor nothing to do
    NO_INPUT = 66      # EX_NOINPUT: the file of -y cannot be read
    UNAVAILABLE = 69   # EX_UNAVAILABLE: something that the command needs is not installed
    SOFTWARE = 70      # EX_SOFTWARE: the file of -y raised an exception
    IO = 74            # EX_IOERR: cannot listen there
