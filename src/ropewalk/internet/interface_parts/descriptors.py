"""Descriptors of the program's own: what IReactorFDSet watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ropewalk.internet.failure import Failure


@runtime_checkable
class ILoggingContext(Protocol):
    """Has a name in the log."""

    def logPrefix(self) -> str:
        """The name."""


@runtime_checkable
class IFileDescriptor(ILoggingContext, Protocol):
    """Has a descriptor."""

    def fileno(self) -> int:
        """The descriptor; -1 once it is closed."""

    def connectionLost(self, reason: Failure[Any]) -> None:
        """It is over."""


@runtime_checkable
class IReadDescriptor(IFileDescriptor, Protocol):
    """Reads from its descriptor."""

    def doRead(self) -> Failure[Any] | BaseException | None:
        """Read; what is returned, unless None, ends it."""


@runtime_checkable
class IWriteDescriptor(IFileDescriptor, Protocol):
    """Writes to its descriptor."""

    def doWrite(self) -> Failure[Any] | BaseException | None:
        """Write; what is returned, unless None, ends it."""


@runtime_checkable
class IHalfCloseableDescriptor(Protocol):
    """Has two sides that end one by one."""

    def writeConnectionLost(self, reason: Failure[Any]) -> None:
        """The writing side is over."""

    def readConnectionLost(self, reason: Failure[Any]) -> None:
        """The reading side is over."""


@runtime_checkable
class IReadWriteDescriptor(IReadDescriptor, IWriteDescriptor, Protocol):
    """Reads from its descriptor and writes to it."""


@runtime_checkable
class ISystemHandle(Protocol):
    """Has an object of the system's behind it."""

    def getHandle(self) -> Any:
        """That object, such as a socket."""


@runtime_checkable
class IReactorWin32Events(Protocol):
    """Watches events of Windows for objects of the program's."""

    def addEvent(self, event: Any, fd: Any, action: str) -> None:
        """Call the method `action` of `fd` whenever `event`, a handle that can be waited for, is signalled."""

    def removeEvent(self, event: Any) -> None:
        """Undo addEvent()."""
