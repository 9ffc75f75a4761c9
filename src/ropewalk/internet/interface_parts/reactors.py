"""The reactor: what runs, calls later, calls in threads and watches descriptors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ropewalk.core.threads import ThreadPool
    from ropewalk.internet.defer import Deferred
    from ropewalk.internet.interface_parts.descriptors import IReadDescriptor, IWriteDescriptor


@runtime_checkable
class IReactorCore(Protocol):
    """Runs, stops, and says when."""

    @property
    def running(self) -> bool:
        """Whether it runs."""

    def resolve(self, name: str, timeout: Sequence[int] = (1, 3, 11, 45)) -> Deferred[str]:
        """A Deferred of the IPv4 address of `name`; the sum of `timeout`, in seconds, is the limit."""

    def run(self) -> None:
        """Run until stop() or crash()."""

    def stop(self) -> None:
        """Fire "shutdown" and leave run()."""

    def crash(self) -> None:
        """Leave run() without firing anything."""

    def iterate(self, delay: float = 0.0) -> None:
        """Make one turn, waiting at most `delay` seconds for something to do."""

    def fireSystemEvent(self, eventType: str) -> None:
        """Fire the triggers of `eventType`."""

    def addSystemEventTrigger(
        self, phase: str, eventType: str, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Call `callable` "before", "during" or "after" `eventType`; returns what removes it."""

    def removeSystemEventTrigger(self, triggerID: Any) -> None:
        """Undo addSystemEventTrigger()."""

    def callWhenRunning(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `callable` now if it runs, else after startup."""


@runtime_checkable
class IDelayedCall(Protocol):
    """A call that was scheduled by callLater()."""

    def getTime(self) -> float:
        """When it is due, in the seconds of its clock."""

    def cancel(self) -> None:
        """Never make it."""

    def delay(self, secondsLater: float) -> None:
        """Make it later than planned."""

    def reset(self, secondsFromNow: float) -> None:
        """Make it so many seconds from now."""

    def active(self) -> bool:
        """Whether it is still to be made."""


@runtime_checkable
class IReactorTime(Protocol):
    """Tells the time and calls later."""

    @property
    def seconds(self) -> Callable[[], float]:
        """seconds(): the time in seconds; only differences mean something."""

    @property
    def callLater(self) -> Callable[..., IDelayedCall]:
        """callLater(delay, callable, *args, **kwargs): call in `delay` seconds."""

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """The calls that are still to be made."""


@runtime_checkable
class IReactorFromThreads(Protocol):
    """What other threads may call."""

    def callFromThread(self, callable: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Call `callable` in the reactor's thread."""


@runtime_checkable
class IReactorInThreads(Protocol):
    """Runs calls in threads."""

    def callInThread(self, callable: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Call `callable` in a thread of the pool."""


@runtime_checkable
class IReactorThreads(IReactorFromThreads, IReactorInThreads, Protocol):
    """Has a pool of threads."""

    def getThreadPool(self) -> ThreadPool:
        """The pool."""

    def suggestThreadPoolSize(self, size: int) -> None:
        """Let the pool have at most `size` threads."""


@runtime_checkable
class IReactorFDSet(Protocol):
    """Watches descriptors for objects of the program's."""

    def addReader(self, reader: IReadDescriptor) -> None:
        """Call reader.doRead() while its descriptor is readable."""

    def addWriter(self, writer: IWriteDescriptor) -> None:
        """Call writer.doWrite() while its descriptor is writable."""

    def removeReader(self, reader: IReadDescriptor) -> None:
        """Undo addReader()."""

    def removeWriter(self, writer: IWriteDescriptor) -> None:
        """Undo addWriter()."""

    def removeAll(self) -> list[Any]:
        """Watch nothing any more; returns what was watched."""

    def getReaders(self) -> list[Any]:
        """What is watched for reading."""

    def getWriters(self) -> list[Any]:
        """What is watched for writing."""
