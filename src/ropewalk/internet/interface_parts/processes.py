"""Child processes: what starts them, what their protocols hear, and the transport in between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ropewalk.internet.failure import Failure


@runtime_checkable
class IProcessTransport(Protocol):
    """A child process."""

    @property
    def pid(self) -> int | None:
        """Its number; None when it has exited."""

    def closeStdin(self) -> None:
        """Close its standard input, when what was written has been sent."""

    def closeStdout(self) -> None:
        """Read its standard output no more."""

    def closeStderr(self) -> None:
        """Read its standard error no more."""

    def closeChildFD(self, descriptor: int) -> None:
        """Close the pipe that is its `descriptor`."""

    def writeToChild(self, childFD: int, data: bytes) -> None:
        """Write to its descriptor `childFD`."""

    def write(self, data: bytes) -> None:
        """Write to its standard input."""

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Write the pieces of `iovec` to its standard input."""

    def loseConnection(self) -> None:
        """Close its standard input, output and error."""

    def signalProcess(self, signalID: str | int) -> None:
        """Send it a signal."""

    def getPeer(self) -> Any:
        """The child."""

    def getHost(self) -> Any:
        """This process."""


@runtime_checkable
class IProcessProtocol(Protocol):
    """A child process, seen by the program."""

    def makeConnection(self, process: Any) -> None:
        """It was started: here is the transport."""

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """It wrote to its descriptor `childFD`."""

    def childConnectionLost(self, childFD: int) -> None:
        """The pipe that is its descriptor `childFD` is closed."""

    def processExited(self, reason: Failure[Any]) -> None:
        """It has exited."""

    def processEnded(self, reason: Failure[Any]) -> None:
        """It has exited, and its pipes are closed."""


@runtime_checkable
class IReactorProcess(Protocol):
    """Starts child processes."""

    def spawnProcess(
        self,
        processProtocol: Any,
        executable: str | bytes,
        args: Sequence[str | bytes] = (),
        env: Mapping[Any, Any] | None = None,
        path: str | bytes | None = None,
        uid: int | None = None,
        gid: int | None = None,
        usePTY: bool | tuple[int, int, str] = False,
        childFDs: Mapping[int, int | str] | None = None,
    ) -> IProcessTransport:
        """Start `executable` in a child process."""
