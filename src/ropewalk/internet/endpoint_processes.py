"""The endpoint that is a child process: its standard input and output are the connection. As Twisted's."""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from ropewalk.errors import ConnectionDone, NoProtocol, ProcessDone
from ropewalk.internet.defer import Deferred, execute
from ropewalk.internet.failure import Failure
from ropewalk.internet.interfaces import IProtocolFactory, IReactorProcess
from ropewalk.internet.kit import KIT
from ropewalk.internet.protocol import ProcessProtocol

T = TypeVar("T")
Text = str | bytes
_INFO = 20   # logging's level
_NOTHING: Mapping[Any, Any] = {}


class StandardErrorBehavior(enum.Enum):
    """What becomes of what the child writes to its standard error."""

    LOG = "log"
    DROP = "drop"


class ProcessEndpoint:
    """A program that is started for each connection.

    errFlag: what becomes of its standard error; the other arguments are those of spawnProcess().
    """

    def __init__(
        self,
        reactor: IReactorProcess,
        executable: Text,
        args: Sequence[Text] = (),
        env: Mapping[Any, Any] | None = _NOTHING,
        path: Text | None = None,
        uid: int | None = None,
        gid: int | None = None,
        usePTY: bool | tuple[int, int, str] = False,
        childFDs: Mapping[int, int | str] | None = None,
        errFlag: StandardErrorBehavior = StandardErrorBehavior.LOG,
    ) -> None:
        self._reactor = reactor
        self._executable = executable
        self._spawning = args, env, path, uid, gid, usePTY, childFDs
        self._errFlag = errFlag

    def connect(self, protocolFactory: IProtocolFactory[T]) -> Deferred[T]:
        """Start the program, with a protocol of `protocolFactory`; a Deferred of that, which has fired.

        It fails with what spawnProcess() or buildProtocol() raises, and with NoProtocol if the factory builds none. The
        protocol's transport is the IProcessTransport. It loses its connection when the program has ended and its pipes
        are closed: the reason is ConnectionDone, or ProcessTerminated.
        """
        return execute(self._connect, protocolFactory)

    def _connect(self, factory: IProtocolFactory[T]) -> T:
        from ropewalk.transports.process import ProcessAddress  # with all that starts one

        protocol = factory.buildProtocol(ProcessAddress(None, os.fsdecode(self._executable)))
        if protocol is None:
            raise NoProtocol(f"{factory!r} built none for {self!r}")
        self._reactor.spawnProcess(_Wrapped(protocol, self._errFlag), self._executable, *self._spawning)
        return protocol

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._executable!r}>"


class _Wrapped(ProcessProtocol):
    """A stream protocol as a child's."""

    def __init__(self, protocol: Any, errFlag: StandardErrorBehavior) -> None:
        self.protocol = protocol
        self._errFlag = errFlag

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        self.protocol.makeConnection(transport)

    def outReceived(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def errReceived(self, data: bytes) -> None:
        if self._errFlag is StandardErrorBehavior.LOG:
            KIT.log(_INFO, f"{self.transport!r} wrote to its standard error: {data!r}")

    def processEnded(self, reason: Failure[Any]) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()) if reason.check(ProcessDone) else reason)
