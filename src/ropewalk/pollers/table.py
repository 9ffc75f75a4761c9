"""The table of watched descriptors that every poller shares.

Descriptor numbers are reused: a descriptor that is closed and opened again while a batch of readiness is in
hand must not get the entries of its predecessor. So whoever loses interest makes its entries stale, and
wait(), which starts a new batch, clears the mark.
"""

from __future__ import annotations

import contextlib
import errno
import os
from abc import ABC, abstractmethod

from ropewalk.interfaces import INVALID, Handler

_GONE = {errno.ENOENT, errno.EBADF}


class Table(ABC):
    """Base of the pollers: who watches which descriptor for what. A subclass supplies change() and wait()."""

    def __init__(self) -> None:
        self.handlers: dict[int, Handler] = {}
        self.masks: dict[int, int] = {}
        self.stale: set[int] = set()
        self._muted: dict[int, Handler] = {}
        self._process = os.getpid()

    @abstractmethod
    def change(self, fd: int, old: int, new: int) -> None:
        """Tell the kernel that interest in `fd` goes from `old` to `new`; 0 is none."""

    def set(self, fd: int, mask: int, handler: Handler) -> None:
        holder = self.handlers.get(fd)
        if holder is not handler:
            if not mask:
                return
            if holder is not None:   # the number was closed behind its back and has a new owner
                self.set(fd, 0, holder)
                holder.ready(INVALID)
        old = self.masks.get(fd, 0)
        if old == mask:
            return
        if old & ~mask:
            self.stale.add(fd)
        if not self._muted or self._muted.get(fd) is not handler:
            try:
                self.change(fd, old, mask)
            except OSError as error:
                self._change_failed(error, fd, old, mask)
        if mask:
            self.masks[fd] = mask
            self.handlers[fd] = handler
        else:
            del self.masks[fd]
            del self.handlers[fd]

    def _change_failed(self, error: OSError, fd: int, old: int, new: int) -> None:
        if error.errno not in _GONE or not old:
            raise error
        if new:   # closed behind our back and opened again
            self.change(fd, 0, new)

    def mute(self, fd: int, handler: Handler) -> None:
        if self.handlers.get(fd, handler) is not handler:   # the number has a new owner
            return
        if fd in self.masks:
            with contextlib.suppress(OSError):   # it may be closed already
                self.change(fd, self.masks[fd], 0)
        self._muted[fd] = handler

    def unmute(self, fd: int, handler: Handler) -> None:
        if self._muted.get(fd) is not handler:
            return
        del self._muted[fd]
        if self.handlers.get(fd) is handler:
            try:
                self.change(fd, 0, self.masks[fd])
            except OSError:   # closed behind our back meanwhile
                handler.ready(INVALID)

    def apply(self) -> None:
        """Every change has reached the kernel already."""

    def abandon(self) -> None:
        self.stale.update(self.handlers)   # the batch in hand is the parent's
        self.close()
        self.handlers.clear()   # the waker's number, too, will be another's
        self.masks.clear()
        self.change = self.wait = self._forked  # type: ignore[assignment, method-assign]

    @abstractmethod
    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """See interfaces.Poller."""

    @abstractmethod
    def close(self) -> None:
        """See interfaces.Poller."""

    def _forked(self, *_: object) -> list[tuple[int, int]]:
        raise RuntimeError(
            f"this reactor was in use when process {self._process} forked; its descriptors belong to that "
            "process: fork before the reactor is first used, or make a new reactor in the child"
        )
