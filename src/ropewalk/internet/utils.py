"""Run a program and wait for its output or its exit code. Names and results are those of twisted.internet.utils."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ropewalk.errors import ProcessExitedAlready, ProcessTerminated
from ropewalk.internet.defer import Deferred
from ropewalk.internet.failure import Failure
from ropewalk.internet.protocol import ProcessProtocol

__all__ = ["KilledWithOutput", "getProcessOutput", "getProcessOutputAndValue", "getProcessValue"]

Text = str | bytes
_NOTHING: Mapping[Any, Any] = {}


class KilledWithOutput(ProcessTerminated):
    """A signal ended a program whose output was asked for.

    output, errors: what it had written. It can be taken apart like Twisted's triple: (output, errors, signal).
    """

    def __init__(self, output: bytes, errors: bytes, ended: ProcessTerminated) -> None:
        super().__init__(ended.exitCode, ended.signal, ended.status)
        self.output = output
        self.errors = errors

    def __iter__(self) -> Iterator[Any]:
        return iter((self.output, self.errors, self.signal))


def getProcessOutput(
    executable: Text,
    args: Sequence[Text] = (),
    env: Mapping[Any, Any] | None = _NOTHING,
    path: Text | None = None,
    reactor: Any = None,
    errortoo: bool = False,
) -> Deferred[bytes]:
    """A Deferred of what a program writes to its standard output, whatever its exit code.

    executable: its path; args: its arguments, without its name; env, path: as spawnProcess() has them; reactor: None
    for the installed one; errortoo: whether its standard error is a part of the output. If it is not, and the program
    writes there, the Deferred fails at once with an OSError, whose `processEnded` is a Deferred that fails with the
    reason of the program's end. It fails with what spawnProcess() raises, too. Cancelling it kills the program.
    """
    return _run(_Output(errortoo), executable, args, env, path, reactor)


def getProcessValue(
    executable: Text,
    args: Sequence[Text] = (),
    env: Mapping[Any, Any] | None = _NOTHING,
    path: Text | None = None,
    reactor: Any = None,
) -> Deferred[int | None]:
    """A Deferred of the exit code of a program, None if a signal ended it; the arguments are getProcessOutput()'s."""
    return _run(_Value(), executable, args, env, path, reactor)


def getProcessOutputAndValue(
    executable: Text,
    args: Sequence[Text] = (),
    env: Mapping[Any, Any] | None = _NOTHING,
    path: Text | None = None,
    reactor: Any = None,
    stdinBytes: bytes | None = None,
) -> Deferred[tuple[bytes, bytes, int]]:
    """A Deferred of (output, error output, exit code) of a program; the arguments are getProcessOutput()'s.

    stdinBytes: what it gets as its standard input, which is closed then; None leaves that open. If a signal ends the
    program, the Deferred fails with KilledWithOutput.
    """
    return _run(_Everything(stdinBytes), executable, args, env, path, reactor)


def _run(
    protocol: _Awaited, executable: Text, args: Sequence[Text], env: Any, path: Text | None, reactor: Any
) -> Deferred[Any]:
    if reactor is None:
        from ropewalk.internet import reactor
    try:
        if isinstance(args, str | bytes):
            raise TypeError(f"the arguments of a program are a sequence; not {args!r}")
        reactor.spawnProcess(protocol, executable, (executable, *args), env, path)
    except Exception:
        protocol.result.errback(Failure())
    return protocol.result


class _Awaited(ProcessProtocol):
    """Collects what a program writes; `result` is what somebody waits for."""

    def __init__(self) -> None:
        self.result: Deferred[Any] = Deferred(self._kill)
        self.output: list[bytes] = []
        self.errors: list[bytes] = []

    def outReceived(self, data: bytes) -> None:
        self.output.append(data)

    def errReceived(self, data: bytes) -> None:
        self.errors.append(data)

    def processEnded(self, reason: Failure[Any]) -> None:
        if not self.result.called:   # it was cancelled
            self.ended(reason)

    def ended(self, reason: Failure[Any]) -> None:
        """Give the result. For a subclass to override."""

    def _kill(self, result: Deferred[Any]) -> None:
        with contextlib.suppress(ProcessExitedAlready, PermissionError):   # one that became another user, as sudo
            self.transport.signalProcess("KILL")
        for pipe in list(self.transport.pipes.values()):   # a child of the program's may hold them
            pipe.loseConnection()


class _Output(_Awaited):
    def __init__(self, errortoo: bool) -> None:
        super().__init__()
        self._over: Deferred[None] | None = None   # of the end of a program that wrote what nobody expected
        self.errReceived = self.outReceived if errortoo else self._unexpected  # type: ignore[method-assign]

    def _unexpected(self, data: bytes) -> None:
        if self.result.called:
            return
        self._over = Deferred()
        error = OSError(f"got stderr: {data!r}")
        error.processEnded = self._over  # type: ignore[attr-defined]
        self.result.errback(Failure(error))
        self.transport.loseConnection()

    def processEnded(self, reason: Failure[Any]) -> None:
        if self._over is not None:
            self._over.errback(reason)
        else:
            super().processEnded(reason)

    def ended(self, reason: Failure[Any]) -> None:
        self.result.callback(b"".join(self.output))


class _Value(_Awaited):
    def ended(self, reason: Failure[Any]) -> None:
        self.result.callback(reason.value.exitCode)


class _Everything(_Awaited):
    def __init__(self, stdin: bytes | None) -> None:
        super().__init__()
        self._stdin = stdin

    def connectionMade(self) -> None:
        if self._stdin is not None:
            self.transport.write(self._stdin)
            self.transport.closeStdin()

    def ended(self, reason: Failure[Any]) -> None:
        output, errors = b"".join(self.output), b"".join(self.errors)
        if reason.value.signal is not None:
            self.result.errback(KilledWithOutput(output, errors, reason.value))
        else:
            self.result.callback((output, errors, reason.value.exitCode))
