"""What is watched by inotify, on whose behalf: the watches of one INotify, found by path and by the kernel's number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from ropewalk.internet.inotify_calls import Instance
from ropewalk.internet.inotify_masks import (
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_IGNORED,
    IN_MOVE_SELF,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_Q_OVERFLOW,
    IN_UNMOUNT,
    humanReadableMask,
)
from ropewalk.internet.kit import KIT

ARRIVES = IN_CREATE | IN_MOVED_TO
LEAVES = IN_DELETE | IN_MOVED_FROM
_KEEPING_UP = ARRIVES | LEAVES | IN_MOVE_SELF   # what a tree has to hear
_EVENTS = 0xFFF
_UNASKED = IN_DELETE_SELF | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED   # told whatever was asked for

K = TypeVar("K")

Callback = Callable[[Any, Path, int], object]
"""callback(ignored, path, mask): `path` is what it happened to, `mask` says what, and IN_ISDIR."""


class Watch:
    """What one path is watched for, on behalf of one list of callbacks."""

    __slots__ = (
        "auto_add", "callbacks", "children", "ended", "found", "found_until", "mask", "parent", "path", "tree", "wd"
    )  # fmt: skip

    def __init__(
        self, path: Path, wd: int, mask: int, auto_add: bool, tree: bool, callbacks: tuple[Callback, ...]
    ) -> None:
        self.path = path
        self.wd = wd
        self.mask = mask
        self.auto_add = auto_add
        self.tree = tree   # whether directories below it are, or will be, watched with it
        self.callbacks = callbacks
        self.parent: Watch | None = None
        self.children: dict[str, Watch] = {}
        self.ended = False
        self.found: set[str] = set()   # names that were told because they were there
        self.found_until = 0   # the byte of the queue behind the last event that may be about them

    @property
    def root(self) -> Watch:
        """The watch that the program made, which this one follows."""
        watch = self
        while watch.parent is not None:
            watch = watch.parent
        return watch

    def lies_in(self, wd: int) -> bool:
        """Whether it is, or is below, the directory of the watch number `wd`."""
        watch: Watch | None = self
        while watch is not None:
            if watch.wd == wd:
                return True
            watch = watch.parent
        return False

    def kernel_mask(self) -> int:
        """What to ask the kernel for."""
        return self.mask | IN_DELETE_SELF | (_KEEPING_UP if self.tree else 0)

    def widen(self, other: Watch) -> None:
        """Watch for what `other` is to watch, too."""
        self.mask |= other.mask
        self.auto_add |= other.auto_add
        self.tree |= other.tree

    def tell(self, path: Path, mask: int) -> None:
        """Call the callbacks, if they asked for that; what one raises is logged, and the others are called."""
        if not mask & (self.mask & _EVENTS | _UNASKED):
            return
        ended = self.ended
        for callback in self.callbacks:
            if self.ended is not ended:   # ignored by the callback before
                return
            try:
                callback(self, path, mask)
            except Exception as error:
                KIT.report(error, f"a callback failed, told {humanReadableMask(mask)} of {str(path)!r}", callback)

    def __repr__(self) -> str:
        return f"<watch of {self.path}>"


class Watches:
    """The watches of one INotify. instance: the kernel's side of them.

    retired: numbers of watches that ended here, whose IN_IGNORED is still to come.
    """

    def __init__(self, instance: Instance) -> None:
        self.retired: set[int] = set()
        self._instance = instance
        self._by_wd: dict[int, list[Watch]] = {}
        self._by_path: dict[Path, list[Watch]] = {}

    def __len__(self) -> int:
        """How many the kernel has."""
        return len(self._by_wd)

    def __iter__(self) -> Iterator[Watch]:
        return iter([watch for watches in self._by_wd.values() for watch in watches])

    def numbered(self, wd: int) -> tuple[Watch, ...]:
        """Those that an event of the kernel's number `wd` is about."""
        return () if wd in self.retired else tuple(self._by_wd.get(wd, ()))

    def at(self, path: Path) -> tuple[Watch, ...]:
        """Those of `path`, whatever the callbacks."""
        return tuple(self._by_path.get(path, ()))

    def enter(self, new: Watch, parent: Watch | None) -> Watch:
        """Keep `new`, or what is known at its path for the same callbacks and now does its work; that is returned."""
        watch = self.known(new.path, new.callbacks)
        if watch is not None and watch.wd != new.wd:   # something else was at that path
            self.end(watch)
            watch = None
        if watch is None:
            watch = new
            self._by_wd.setdefault(new.wd, []).append(new)
            self._by_path.setdefault(new.path, []).append(new)
        else:
            watch.widen(new)
        if parent is not None:
            watch.parent = parent
            parent.children[watch.path.name] = watch
        return watch

    def known(self, path: Path, callbacks: tuple[Callback, ...]) -> Watch | None:
        """What `path` is watched by for just these callbacks."""
        return next((watch for watch in self.at(path) if watch.callbacks == callbacks), None)

    def end(self, watch: Watch) -> None:
        """End `watch` and those that followed it."""
        if watch.parent is not None and watch.parent.children.get(watch.path.name) is watch:
            del watch.parent.children[watch.path.name]
        ending = [watch]
        while ending:
            one = ending.pop()
            ending.extend(one.children.values())
            one.children.clear()
            if one.ended:
                continue
            one.ended = True
            _take_out(self._by_path, one.path, one)
            _take_out(self._by_wd, one.wd, one)
            if one.wd not in self._by_wd:
                self._instance.remove(one.wd)
                self.retired.add(one.wd)

    def clear(self) -> None:
        """All of them end, with the kernel's instance."""
        for watch in self:
            watch.ended = True
        self._by_wd.clear()
        self._by_path.clear()


def _take_out(table: dict[K, list[Watch]], key: K, watch: Watch) -> None:
    table[key].remove(watch)
    if not table[key]:
        del table[key]
