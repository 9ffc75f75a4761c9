"""Watching files and directories by the inotify of Linux; names as in twisted.internet.inotify.

    def notify(ignored, path, mask):
        print(humanReadableMask(mask), path)

    notifier = INotify()
    notifier.startReading()
    notifier.watch("/some/directory", callbacks=[notify])

Paths are given as str, bytes or os.PathLike; callbacks get a pathlib.Path (Twisted: a FilePath), absolute, in which a
name that is not UTF-8 stands as os.fsdecode() has it. Where this differs from Twisted:

* The end of what is watched ends that watch, not the whole INotify.
* A directory that comes below a watch with autoAdd, made or moved there, is watched before its coming is told, and
  what is in it by then is told too: IN_CREATE, and IN_CLOSE_WRITE for a file. The kernel's own IN_CREATE of the same is
  left out then; its IN_CLOSE_WRITE and IN_MOVED_TO are not, because to tell twice is better than not at all.
* A directory that leaves is not watched any more, nor is what is below it.
* IN_Q_OVERFLOW is told.
* A path may be watched by several calls, for different callbacks.
* Symbolic links below a watch are not followed.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ropewalk.internet.base import current
from ropewalk.internet.error import ConnectionDone
from ropewalk.internet.failure import Failure
from ropewalk.internet.inotify_calls import READ_SIZE, Event, INotifyError, Instance, Records, limit
from ropewalk.internet.inotify_masks import (
    IN_ACCESS,
    IN_ATTRIB,
    IN_CHANGED,
    IN_CLOSE,
    IN_CLOSE_NOWRITE,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_DONT_FOLLOW,
    IN_IGNORED,
    IN_ISDIR,
    IN_MASK_ADD,
    IN_MODIFY,
    IN_MOVE_SELF,
    IN_MOVED,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_ONESHOT,
    IN_ONLYDIR,
    IN_OPEN,
    IN_Q_OVERFLOW,
    IN_UNMOUNT,
    IN_WATCH_MASK,
    humanReadableMask,
)
from ropewalk.internet.inotify_watches import ARRIVES, LEAVES, Callback, Watch, Watches
from ropewalk.internet.kit import KIT

__all__ = [
    "IN_ACCESS",
    "IN_ATTRIB",
    "IN_CHANGED",
    "IN_CLOSE",
    "IN_CLOSE_NOWRITE",
    "IN_CLOSE_WRITE",
    "IN_CREATE",
    "IN_DELETE",
    "IN_DELETE_SELF",
    "IN_DONT_FOLLOW",
    "IN_IGNORED",
    "IN_ISDIR",
    "IN_MASK_ADD",
    "IN_MODIFY",
    "IN_MOVED",
    "IN_MOVED_FROM",
    "IN_MOVED_TO",
    "IN_MOVE_SELF",
    "IN_ONESHOT",
    "IN_ONLYDIR",
    "IN_OPEN",
    "IN_Q_OVERFLOW",
    "IN_UNMOUNT",
    "IN_WATCH_MASK",
    "INotify",
    "INotifyError",
    "humanReadableMask",
]

_BELOW = IN_ONLYDIR | IN_DONT_FOLLOW
_STEPS = READ_SIZE // 16   # a turn: what one read can give
_MOVES = 64
_GONE = (errno.ENOENT, errno.ENOTDIR)   # who was faster than we are

AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class INotify:
    """Tells callbacks what happens to files and directories; a reader (IReadDescriptor) of any reactor.

    reactor: None for the one that runs in this thread, else the installed one. Raises INotifyError, which says what to
    do, where the system has no inotify or gives no more of it. It ends with the reactor's run, or by loseConnection().
    """

    _open = Instance

    def __init__(self, reactor: Any = None) -> None:
        self.reactor = current() if reactor is None else reactor
        self._instance = self._open()
        self._records = Records()
        self._watches = Watches(self._instance)
        self._moves: deque[tuple[int, Watch]] = deque(maxlen=_MOVES)   # directories that left: cookie and tree
        self._looked: deque[Watch] = deque()   # directories whose `found` may still matter
        self._bytes_read = 0
        self._bytes_handled = 0
        self._reading = False   # what the program wants
        self._turn: Any = None   # the call that goes on with what is left; the reader rests until then
        # What is left to do, the first of them first:
        self._found: deque[tuple[Watch, os.DirEntry[str]]] = deque()   # to be told
        self._fresh: deque[Watch] = deque()   # directories to look into
        self._doubtful: deque[Watch] = deque()   # directories that may have changed unnoticed
        self._events: deque[Event] = deque()

    # -- what programs call

    def startReading(self) -> None:
        """Begin to tell what happens."""
        self._reading = True
        self._continue()

    def stopReading(self) -> None:
        """Tell nothing until startReading(); the kernel goes on collecting, as far as its queue goes."""
        self._reading = False
        self.reactor.removeReader(self)
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def loseConnection(self) -> None:
        """End every watch; nothing is told any more, not even what has happened already."""
        if self.connected:
            self.connectionLost(Failure(ConnectionDone()))

    @property
    def connected(self) -> bool:
        """Whether it can watch; until loseConnection() or the end of the reactor's run."""
        return self.fileno() != -1

    def watch(
        self,
        path: AnyPath,
        mask: int = IN_WATCH_MASK,
        autoAdd: bool = False,
        callbacks: Iterable[Callback] | None = None,
        recursive: bool = False,
    ) -> int:
        """Tell `callbacks` what happens to `path` and, if that is a directory, to what is directly in it.

        mask: the events to tell, of IN_ACCESS ... IN_MOVE_SELF, and IN_ONLYDIR, IN_DONT_FOLLOW, IN_ONESHOT;
        IN_DELETE_SELF, IN_UNMOUNT, IN_Q_OVERFLOW and IN_IGNORED (the watch has ended; not told after ignore() and
        IN_DELETE_SELF) are told in any case. recursive: also watch the directories below. autoAdd: watch directories
        that come later, too. Callbacks are called as callback(ignored, path, mask); what one raises is logged.

        Watching a path again with the same callbacks adds to the mask, with others it adds those. What is there
        already is not told. Returns the kernel's number of the watch. Raises INotifyError; then nothing was watched. A
        directory below that may not be read is logged and left out. Twisted's INotify.watch.
        """
        where = _absolute(path)
        tree = autoAdd or recursive
        new = Watch(where, 0, mask, autoAdd, tree, tuple(callbacks or ()))
        for callback in new.callbacks:
            if not callable(callback):
                raise TypeError(f"callbacks are callables, which {callback!r} is not")
        new.wd = self._instance.add(where, new.kernel_mask())
        watch = self._watches.enter(new, None)
        if recursive:
            made = [new] if watch is new else []
            try:
                self._watch_below(watch, made)
            except INotifyError:
                for one in made:
                    self._watches.end(one)
                raise
        return watch.wd

    def ignore(self, path: AnyPath) -> None:
        """Stop watching `path`, and what autoAdd or recursive added below it; nothing more is told of them.

        Raises KeyError if it is not watched. Twisted's INotify.ignore, which leaves what is below.
        """
        watches = self._watches.at(_absolute(path))
        if not watches:
            raise KeyError(f"{os.fsdecode(path)} is not watched")
        for watch in watches:
            self._watches.end(watch)

    # -- what the reactor calls

    def fileno(self) -> int:
        """The descriptor; -1 once it is closed."""
        return self._instance.fileno()

    def logPrefix(self) -> str:
        """What log lines call it."""
        return "inotify"

    def doRead(self) -> None:
        """Tell what one read gives: at most 512 events, so that one busy directory starves nobody."""
        data = self._instance.read()
        self._bytes_read += len(data)
        self._events.extend(self._records.feed(data))
        self._go_on()

    def connectionLost(self, reason: Any) -> None:
        """It is over: close the descriptor, forget everything."""
        self.stopReading()
        self._watches.clear()
        for left in (self._found, self._fresh, self._doubtful, self._events, self._looked):
            left.clear()
        try:
            self._instance.close()
        except OSError as error:
            KIT.report(error, "a descriptor was closed behind the back of its owner", self)

    # -- a turn

    def _go_on(self) -> None:
        """Do some of what is left."""
        self._turn = None
        try:
            for _ in range(_STEPS):
                if not self._reading or not self._step():
                    break
        finally:
            if self._reading:
                self._continue()

    def _continue(self) -> None:
        """Read, or do first, in turns of their own, what is left."""
        if not (self._found or self._fresh or self._doubtful or self._events):
            self.reactor.addReader(self)
            return
        self.reactor.removeReader(self)
        if self._turn is None:
            self._turn = self.reactor.callLater(0, self._go_on)

    def _step(self) -> bool:
        """Do the next thing; False if there is none."""
        if self._found:
            self._tell_found(*self._found.popleft())
        elif self._fresh:
            self._explore(self._fresh.popleft())
        elif self._doubtful:
            self._repair(self._doubtful.popleft())
        elif self._events:
            self._handle(self._events.popleft())
        else:
            return False
        return True

    # -- events

    def _handle(self, event: Event) -> None:
        self._bytes_handled += event.size
        while self._looked and self._looked[0].found_until < self._bytes_handled:
            self._looked.popleft().found = set()
        if event.mask & IN_Q_OVERFLOW:
            self._overflowed()
            return
        for watch in self._watches.numbered(event.wd):
            if not watch.ended:
                self._happened(watch, event)
        if event.mask & IN_IGNORED:
            self._watches.retired.discard(event.wd)

    def _happened(self, watch: Watch, event: Event) -> None:
        """`event` is about `watch`: keep up with it first, so that callbacks find it done, then tell it."""
        name, mask = os.fsdecode(event.name), event.mask
        known = self._is_known(watch, name, mask)
        if watch.tree and mask & IN_ISDIR and name and not known:
            self._directory_changed(watch, name, event)
        lost = mask & IN_MOVE_SELF and watch.tree and watch.parent is None   # no name in that tree is true any more
        if lost or mask & (IN_DELETE_SELF | IN_IGNORED):
            self._watches.end(watch)
        if known and mask & IN_CREATE:
            return
        watch.tell(watch.path / name, mask)
        if lost:
            watch.tell(watch.path, IN_IGNORED)

    def _is_known(self, watch: Watch, name: str, mask: int) -> bool:
        """Whether `name` arrives that was told when its directory was looked into: then this event was in the queue.

        Its leaving, also in the queue then, makes its next arrival news.
        """
        if mask & LEAVES:
            watch.found.discard(name)
        return bool(mask & ARRIVES) and name in watch.found

    def _directory_changed(self, watch: Watch, name: str, event: Event) -> None:
        """Watch a directory that arrives, forget one that leaves.

        The kernel's events are about the past: what is there now under that name decides.
        """
        if event.mask & IN_MOVED_FROM and name in watch.children:
            self._watches.end(watch.children[name])
            self._moves.append((event.cookie, watch.root))
        if not event.mask & (ARRIVES | IN_MOVED_FROM):
            return
        if watch.auto_add or (event.mask & IN_MOVED_TO and (event.cookie, watch.root) in self._moves):
            self._arrived(watch, name)

    def _overflowed(self) -> None:
        """Events are lost: tell that, and look for directories that came and went meanwhile."""
        KIT.log(
            logging.WARNING,
            f"{self!r} lost events, because the kernel's queue was full; callbacks are told IN_Q_OVERFLOW and should "
            f"look for themselves; raise {limit('max_queued_events')}, watch less, or return from callbacks sooner",
        )
        self._watches.retired.clear()
        self._moves.clear()
        watches = list(self._watches)
        self._doubtful.extend(watch for watch in watches if watch.auto_add)
        for watch in watches:
            if watch.parent is None and not watch.ended:
                watch.tell(watch.path, IN_Q_OVERFLOW)

    # -- directories below

    def _watch_below(self, top: Watch, made: list[Watch]) -> None:
        """Watch the directories below `top` now; those that are new go into `made`.

        Raises INotifyError if no watch is left.
        """
        below = [top]
        while below:
            watch = below.pop()
            for entry in _entries(watch.path):
                if not _is_directory(entry):
                    continue
                before = self._watches.known(watch.path / entry.name, watch.callbacks)
                child = self._try_to_join(watch, entry.name)
                if child is None:
                    continue
                below.append(child)
                if child is not before:
                    made.append(child)

    def _arrived(self, watch: Watch, name: str) -> None:
        """A directory `name` came into that of `watch`: watch it, and soon tell what is in it if that is wanted."""
        try:
            child = self._try_to_join(watch, name)
            if child is not None and not child.auto_add:
                self._watch_below(child, [])
        except INotifyError as error:
            KIT.log(logging.ERROR, f"{error}; what happens in it is not told")
            return
        if child is not None and child.auto_add:
            self._fresh.append(child)

    def _try_to_join(self, parent: Watch, name: str) -> Watch | None:
        """Watch the directory `name` as `parent` is watched; None, after a word in the log if need be, if one cannot.

        Raises INotifyError if no watch is left.
        """
        child = Watch(parent.path / name, 0, parent.mask, parent.auto_add, True, parent.callbacks)
        try:
            child.wd = self._instance.add(child.path, child.kernel_mask() | _BELOW)
        except INotifyError as error:
            if error.errno == errno.ENOSPC:
                raise
            if error.errno not in _GONE:
                KIT.log(logging.WARNING, f"{error}; what happens in it is not told")
            return None
        if parent.lies_in(child.wd):   # mounted into itself
            return None
        return self._watches.enter(child, parent)

    def _explore(self, watch: Watch) -> None:
        """Have everything told that is in the directory of `watch`, which is new."""
        if watch.ended:
            return
        entries = _entries(watch.path)
        watch.found = {entry.name for entry in entries}
        watch.found_until = self._bytes_read + self._instance.waiting()
        self._looked.append(watch)
        self._found.extend((watch, entry) for entry in entries)

    def _tell_found(self, watch: Watch, entry: os.DirEntry[str]) -> None:
        """Tell of `entry` what the kernel would have told, had the watch been there before."""
        if watch.ended:
            return
        path = watch.path / entry.name
        if _is_directory(entry):
            self._arrived(watch, entry.name)
            watch.tell(path, IN_CREATE | IN_ISDIR)
            return
        watch.tell(path, IN_CREATE)
        if not watch.ended and _is_file(entry):
            watch.tell(path, IN_CLOSE_WRITE)

    def _repair(self, watch: Watch) -> None:
        """Events of the directory of `watch` were lost: find out which directories are in it now."""
        if watch.ended:
            return
        there = {entry.name for entry in _entries(watch.path) if _is_directory(entry)}
        for name in watch.children.keys() - there:
            self._watches.end(watch.children[name])
        for name in there:
            before = watch.children.get(name)
            if before is None or not self._is_at(before):
                self._arrived(watch, name)

    def _is_at(self, watch: Watch) -> bool:
        """Whether the directory that is now at the path of `watch` is the one that it watches."""
        with contextlib.suppress(INotifyError):
            return self._instance.add(watch.path, watch.kernel_mask() | _BELOW) == watch.wd
        return False

    def __repr__(self) -> str:
        return f"<INotify, {len(self._watches)} watches>" if self.connected else "<INotify, closed>"


def _absolute(path: AnyPath) -> Path:
    return Path(os.fsdecode(path)).absolute()


def _entries(path: Path) -> list[os.DirEntry[str]]:
    """What is in the directory `path`; nothing if it is gone, or cannot be read, which is logged."""
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError as error:
        if error.errno not in _GONE:
            KIT.log(logging.WARNING, f"{error}; what is in it is not told")
        return []


def _is_directory(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError):
        return entry.is_dir(follow_symlinks=False)
    return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError):
        return entry.is_file(follow_symlinks=False)
    return False
