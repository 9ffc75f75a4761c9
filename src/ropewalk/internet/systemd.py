"""Sockets that systemd passes to a service: the protocol of sd_listen_fds(3).

systemd binds the sockets of a .socket unit and starts the service with them as its descriptors 3, 4 ... It says so in
three variables: LISTEN_PID, the process they are meant for (whoever else inherits them ignores them); LISTEN_FDS, how
many there are; LISTEN_FDNAMES, their FileDescriptorName= joined by ':', which other launchers may leave out. The
descriptors arrive without close-on-exec, so that a child process would have them too.

The endpoint string systemd:name=http adopts one: see ropewalk.internet.endpoints.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import MutableMapping, Sequence

_START = 3   # SD_LISTEN_FDS_START
_MOST = 1_048_576   # the descriptors that Linux lets a process have (fs.nr_open)
_HIGHEST_PID = 2**31 - 1   # pid_t is an int
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class ListenFDs:
    """The descriptors that this process was passed, as twisted.python.systemd has it.

    descriptors: their numbers; names: one for each, or none at all.
    """

    def __init__(self, descriptors: Sequence[int], names: Sequence[str] = ()) -> None:
        self._descriptors = descriptors
        self._names = names
        self._files = {descriptor: file_of(descriptor) for descriptor in descriptors}

    @classmethod
    def fromEnvironment(cls, environ: MutableMapping[str, str] | None = None, start: int | None = None) -> ListenFDs:
        """What the environment says; nothing if it does not speak of this process.

        environ: the variables (None: those of this process); start: the number of the first descriptor (None: 3).
        What was found is taken: the variables are removed, so that nobody adopts the descriptors again, and the
        descriptors get close-on-exec. Raises ValueError for values that cannot be right, and then takes nothing.
        """
        environ = os.environ if environ is None else environ
        start = _START if start is None else start
        if _number(environ, "LISTEN_PID", _HIGHEST_PID) != os.getpid():
            return cls([])
        descriptors = range(start, start + _number(environ, "LISTEN_FDS", _MOST))
        names = environ.get("LISTEN_FDNAMES", "")
        if names and len(names.split(":")) != len(descriptors):
            raise ValueError(f"LISTEN_FDS says {len(descriptors)}, but LISTEN_FDNAMES names others: {names!r}")
        if not descriptors:
            return cls([])
        for variable in _VARIABLES:
            environ.pop(variable, None)
        for descriptor in descriptors:
            with contextlib.suppress(OSError):   # not open: whoever asks for it is told
                os.set_inheritable(descriptor, False)
        return cls(descriptors, names.split(":") if names else ())

    def inheritedDescriptors(self) -> list[int]:
        """The numbers of the descriptors, in systemd's order: that of the ListenStream= lines within a unit."""
        return list(self._descriptors)

    def inheritedNamedDescriptors(self) -> dict[str, int]:
        """The numbers by name; the last one of those that share a name."""
        return dict(zip(self._names, self._descriptors, strict=False))

    def names(self) -> list[str]:
        """The names, in the order of the descriptors; none if whoever passed these gave none."""
        return list(self._names)

    def named(self, name: str) -> list[int]:
        """The numbers of all that are called `name`: those of one unit share its name."""
        return [number for called, number in zip(self._names, self._descriptors, strict=False) if called == name]

    def is_gone(self, descriptor: int) -> bool:
        """Whether `descriptor` was closed since, as by the port that adopted it: its number may have another owner."""
        was = self._files[descriptor]
        return was is not None and was != file_of(descriptor)


def file_of(descriptor: int) -> tuple[int, int] | None:
    """Which file is open as `descriptor`; None if none is."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _number(environ: MutableMapping[str, str], variable: str, highest: int) -> int:
    text = environ.get(variable, "0")
    if re.fullmatch("[0-9]{1,20}", text) and int(text) <= highest:
        return int(text)
    raise ValueError(f"{variable} is to be a number from 0 to {highest}, not {text!r}")


_again: ListenFDs | None = None   # see inherit()


@functools.cache
def inherited() -> ListenFDs:
    """What this process was passed; read from its environment the first time, and kept.

    Raises ValueError as ListenFDs.fromEnvironment() does.
    """
    return _again or ListenFDs.fromEnvironment()


def inherit(passed: ListenFDs) -> None:
    """Let inherited() return `passed` from now on: for a runner that has kept duplicates of what was adopted."""
    global _again
    _again = passed
    inherited.cache_clear()
