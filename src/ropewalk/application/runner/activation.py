"""Sockets that are passed to this process: kept, and passed again to a service that is loaded again.

Those of systemd are adopted by the endpoint systemd:name=... (ropewalk.internet.systemd). LISTEN_PID names the process
that they are meant for, which after a fork is not the one that serves; so they are taken before. Those of any other
parent are named by their numbers: fd:7 (ropewalk.internet.descriptors).
"""

from __future__ import annotations

import os

from ropewalk.internet import descriptors, systemd


class PassedSockets:
    """The sockets that are passed, kept so that a service that is loaded again finds them again.

    An endpoint takes the descriptor over that it was passed, and closes it. So duplicates are passed the next time.
    """

    def __init__(self) -> None:
        self._numbered = descriptors.keep()
        self._names: list[str] = []
        self._kept: list[int] = []
        try:
            passed = systemd.inherited()
        except ValueError:   # whoever needs them is told
            return
        self._names = passed.names()
        for descriptor in passed.inheritedDescriptors():
            self._kept.append(_duplicate(descriptor))

    def pass_again(self) -> None:
        """Let what is passed be as it was at first."""
        self._numbered.again()
        if self._kept:
            systemd.inherit(systemd.ListenFDs([_duplicate(kept) for kept in self._kept], self._names))

    def close(self) -> None:
        """They will not be passed again: who connects from now on is refused, unless the parent listens, as systemd."""
        self._numbered.close()


def _duplicate(descriptor: int) -> int:
    try:
        return os.dup(descriptor)
    except OSError:   # it was not open at all; whoever needs it is told
        return descriptor
