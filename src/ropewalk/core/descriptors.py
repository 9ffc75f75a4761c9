"""Foreign descriptors: what addReader and addWriter watch on behalf of objects that are not ours.

A reader has fileno(), doRead(), connectionLost(reason) and logPrefix(), a writer doWrite() instead of doRead(); the
two of one descriptor may be different objects. doRead and doWrite return None, or an exception or failure that ends
the descriptor. Source of the behaviour: Twisted's IReadDescriptor, IWriteDescriptor, IReactorFDSet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ropewalk.interfaces import ERROR, HANGUP, INVALID, READ, WRITE, Kit, Poller


class Foreign:
    """The reader and the writer of one descriptor, as one handler."""

    __slots__ = ("_end", "_kit", "called", "fd", "reader", "writer")

    def __init__(self, fd: int, kit: Kit, end: Callable[[Any, Any, bool], None]) -> None:
        self.fd = fd
        self.reader: Any = None
        self.writer: Any = None
        self.called: Any = None   # the one of the two that was called last; the log asks for its prefix
        self._kit = kit
        self._end = end

    @property
    def mask(self) -> int:
        """What the two want together."""
        return (READ if self.reader is not None else 0) | (WRITE if self.writer is not None else 0)

    def ready(self, mask: int) -> None:
        errors = self._kit.error
        if mask & INVALID:
            self._end_both(errors.ConnectionFdescWentAway())
            return
        if mask & (HANGUP | ERROR) and not mask & READ:
            self._end_both(errors.ConnectionDone() if self.reader is not None else errors.ConnectionLost())
            return
        if mask & ~WRITE and self.reader is not None:
            self._do(self.reader, "doRead", reading=True)
        if mask & WRITE and self.writer is not None:
            self._do(self.writer, "doWrite", reading=False)

    def _do(self, descriptor: Any, verb: str, reading: bool) -> None:
        self.called = descriptor
        gone = self._kit.error.ConnectionFdescWentAway
        try:
            # Closed behind our back: what is ready is another's.
            why = gone() if descriptor.fileno() == -1 else getattr(descriptor, verb)()
            watched = descriptor is self.reader or descriptor is self.writer
            if why is None and watched and descriptor.fileno() == -1:
                why = gone()
        except Exception as error:
            self._kit.report(error, f"{verb} failed", descriptor)
            why = error
        if why is not None:
            self._end(descriptor, why, reading)

    def _end_both(self, why: Exception) -> None:
        """End the reader and the writer; once if they are one object."""
        reader, writer = self.reader, self.writer
        if reader is not None:
            self._end(reader, why, True)
        if writer is not None and writer is not reader:
            self._end(writer, why, False)


class Descriptors:
    """The foreign descriptors of one reactor."""

    def __init__(self, kit: Kit, poller: Callable[[], Poller]) -> None:
        self._kit = kit
        self._poller = poller
        self._by_fd: dict[int, Foreign] = {}

    def add_reader(self, reader: Any) -> None:
        """Call reader.doRead() while its descriptor is readable."""
        foreign = self._at(reader, "reader")
        self._set(foreign, reader, foreign.writer)

    def add_writer(self, writer: Any) -> None:
        """Call writer.doWrite() while its descriptor is writable."""
        foreign = self._at(writer, "writer")
        self._set(foreign, foreign.reader, writer)

    def remove_reader(self, reader: Any) -> None:
        """Stop calling reader.doRead(); a reader that is not known is ignored."""
        for foreign in self._of(reader):
            if foreign.reader is reader:
                self._set(foreign, None, foreign.writer)

    def remove_writer(self, writer: Any) -> None:
        """Stop calling writer.doWrite(); a writer that is not known is ignored."""
        for foreign in self._of(writer):
            if foreign.writer is writer:
                self._set(foreign, foreign.reader, None)

    def readers(self) -> list[Any]:
        """The readers there are."""
        return [foreign.reader for foreign in self._by_fd.values() if foreign.reader is not None]

    def writers(self) -> list[Any]:
        """The writers there are."""
        return [foreign.writer for foreign in self._by_fd.values() if foreign.writer is not None]

    def remove_all(self) -> list[Any]:
        """Stop watching all of them; returns them, each once."""
        removed = dict.fromkeys(self.readers() + self.writers())
        for foreign in list(self._by_fd.values()):
            self._set(foreign, None, None)
        return list(removed)

    def _at(self, descriptor: Any, role: str) -> Foreign:
        fd = descriptor.fileno()
        if fd < 0:
            raise ValueError(f"{descriptor!r} has no descriptor to watch: its fileno() is {fd}")
        known = self._by_fd.get(fd)
        if known is not None and getattr(known, role) not in (None, descriptor):
            known.ready(INVALID)   # the number was closed behind its back and has a new owner
            known = None
        return Foreign(fd, self._kit, self._end) if known is None else known

    def _of(self, descriptor: Any) -> list[Foreign]:
        """Where `descriptor` is watched; all are searched once it has lost its number."""
        known = self._by_fd.get(descriptor.fileno())
        if known is not None and descriptor in (known.reader, known.writer):
            return [known]
        return [one for one in self._by_fd.values() if descriptor is one.reader or descriptor is one.writer]

    def _set(self, foreign: Foreign, reader: Any, writer: Any) -> None:
        before = foreign.reader, foreign.writer
        foreign.reader, foreign.writer = reader, writer
        try:
            self._poller().set(foreign.fd, foreign.mask, foreign)
        except OSError:
            foreign.reader, foreign.writer = before
            raise
        if foreign.mask:
            self._by_fd[foreign.fd] = foreign
        else:
            self._by_fd.pop(foreign.fd, None)

    def _end(self, descriptor: Any, why: Any, reading: bool) -> None:
        """`descriptor` is over because of `why`; an orderly end of its input may leave its output."""
        self.remove_reader(descriptor)
        reason = self._kit.failure(why) if isinstance(why, BaseException) else why
        try:
            if reading and reason.check(self._kit.error.ConnectionDone) and hasattr(descriptor, "readConnectionLost"):
                descriptor.readConnectionLost(reason)
                return
            self.remove_writer(descriptor)
            descriptor.connectionLost(reason)
        except Exception as error:
            self._kit.report(error, "a descriptor failed at the loss of its connection", descriptor)
