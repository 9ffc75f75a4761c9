"""Sockets that systemd passes: taken before a fork, and passed again to a service that is loaded again.

LISTEN_PID names the process that they are meant for, which after a fork is not the one that serves; so they are taken
before. The endpoint systemd:name=... adopts them: ropewalk.internet.systemd.
"""

from __future__ import annotations

import os

from ropewalk.internet import systemd


class PassedSockets:
    """The sockets of systemd, kept so that a service that is loaded again finds them again.

    An endpoint takes the descriptor over that it was passed, and closes it. So duplicates are passed the next time.
    """

    def __init__(self) -> None:
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
        """Let systemd.inherited() be as it was at first."""
        if self._kept:
            systemd.inherit(systemd.ListenFDs([_duplicate(kept) for kept in self._kept], self._names))


def _duplicate(descriptor: int) -> int:
    try:
        return os.dup(descriptor)
    except OSError:   # it was not open at all; whoever needs it is told
        return descriptor
