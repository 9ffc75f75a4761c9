"""A child process as a transport: Twisted's IProcessTransport.

Each descriptor of the child that is a pipe to us is a stream of its own, so that order, back-pressure and errors are
those of every stream. The child's exit (see reaper) and the ends of its pipes come in any order: the protocol is told
of each, and of the end of all when all are there, since what a child wrote last may be read after it has gone, and its
pipes may live on in its own children.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from ropewalk.interfaces import READ, Loop
from ropewalk.transports.order import Order, Text
from ropewalk.transports.stream import Stream

if sys.platform == "win32":
    from ropewalk.transports.launch_windows import identity, kill, launch
    from ropewalk.transports.pipe_windows import open_pipe
    from ropewalk.transports.reaper_windows import Watch, signal_number, watch
else:
    from ropewalk.transports.launch import identity, kill, launch
    from ropewalk.transports.pipe import open_pipe
    from ropewalk.transports.reaper import Watch, signal_number, watch

Uses = Mapping[int, int | str]
_PIPES: Uses = {0: "w", 1: "r", 2: "r"}
_WARNING = 30   # logging's level


class ProcessAddress(NamedTuple):
    """One end of a transport that is a process. pid: None when it has exited; executable: its program."""

    pid: int | None
    executable: str


class Process:
    """A child process that was started, with its pipes.

    loop: the reactor; proto: the IProcessProtocol, or None; executable: the program's name; pid: the child's number.

    pid: None when it has exited. status: of the exit, as of waitpid(2); -1 before, None if somebody else has reaped the
    child. pipes: the open streams, by the number of the descriptor in the child.
    """

    watch = staticmethod(watch)   # how a child is watched
    input = 0   # the pipe that write() and the producer mean

    def __init__(self, loop: Loop, proto: Any, executable: bytes, pid: int) -> None:
        self.reactor = loop
        self.proto = proto
        self.executable = os.fsdecode(executable)
        self.pid: int | None = pid
        self.status: int | None = -1
        self.pipes: dict[int, Stream] = {}
        self._written: set[int] = set()   # the descriptors that are, or were, written to
        self._watch = self._watched(pid)

    def _watched(self, pid: int) -> Watch:
        try:
            return self.watch(self.reactor, pid, self._exited)
        except BaseException:
            kill(pid)
            raise

    def connect(self, pipes: Mapping[int, Stream]) -> None:
        """Read and write `pipes`, by their number in the child, which belong to this object now; tell the protocol."""
        self.pipes.update(pipes)
        self._written.update(number for number, stream in pipes.items() if stream.channel.writer >= 0)
        self.reactor.transports.add(self)
        for number, stream in pipes.items():
            stream.start(_Pipe(self, number))
        self._tell("makeConnection", self)

    # -- what happened

    def pipe_lost(self, number: int) -> None:
        """The pipe that is the child's descriptor `number` is closed."""
        del self.pipes[number]
        try:
            self._tell("childConnectionLost", number)
        finally:   # SystemExit and KeyboardInterrupt leave run(), which may be called again
            self._end_if_over()

    def _exited(self, status: int | None) -> None:
        if status is None:
            self.reactor.kit.log(_WARNING, f"{self!r}: somebody else has reaped it; how it ended is not known")
        self.pid = None
        self.status = status
        try:
            self._tell("processExited", self._reason())
        finally:
            self._end_if_over()

    def _end_if_over(self) -> None:
        """The child has exited, and its pipes are closed: that is the end."""
        if self.pid is not None or self.pipes or self not in self.reactor.transports:
            return
        self.reactor.transports.discard(self)
        self._tell("processEnded", self._reason())
        self.proto = None

    def _reason(self) -> Any:
        kit, status = self.reactor.kit, self.status
        if status == 0:
            return kit.failure(kit.error.ProcessDone(status))
        if status is None:
            return kit.failure(kit.error.ProcessTerminated())
        code = os.waitstatus_to_exitcode(status)
        ended = (code, None) if code >= 0 else (None, -code)
        return kit.failure(kit.error.ProcessTerminated(*ended, status))

    def _tell(self, method: str, *args: Any) -> None:
        if self.proto is None:
            return
        try:
            getattr(self.proto, method)(*args)
        except Exception as error:
            self.reactor.kit.report(error, f"{method} failed", self.proto)

    def drop(self, reason: Exception) -> None:
        """The reactor shuts down, and closes the pipes. The child goes on; its exit is told if the reactor runs again.

        A program that wants its children ended does so "before" the event "shutdown".
        """

    # -- IProcessTransport

    def signalProcess(self, signalID: str | int) -> None:
        """Send a signal to the child.

        signalID: a name as 'KILL', 'TERM', 'INT', 'HUP', with or without SIG before it, or a number. On Windows, which
        has no signals, KILL and TERM end the child by force, with exit code 1; INT and BREAK send it CTRL_BREAK, which
        takes a console that it shares with us. Raises ProcessExitedAlready, ValueError for a signal that there is not
        on this system, OSError.
        """
        number = signal_number(signalID)
        if self.pid is None:
            raise self._exited_already()
        try:
            self._watch.signal(number)
        except ProcessLookupError:
            raise self._exited_already() from None

    def _exited_already(self) -> Exception:
        already: Exception = self.reactor.kit.error.ProcessExitedAlready(f"{self!r} cannot be sent a signal")
        return already

    def writeToChild(self, childFD: int, data: bytes) -> None:
        """Write to the descriptor `childFD` of the child, as write(). Raises KeyError if it was no pipe for that."""
        if childFD not in self._written:
            raise KeyError(f"{self!r} has no descriptor {childFD} that could be written to")
        if childFD in self.pipes:
            self.pipes[childFD].write(data)

    def closeChildFD(self, descriptor: int) -> None:
        """Close our end of the pipe that is `descriptor` in the child, when what was written has been sent.

        A descriptor that is closed, or was never a pipe, is ignored.
        """
        if descriptor in self.pipes:
            self.pipes[descriptor].loseConnection()

    def closeStdin(self) -> None:
        """Close the child's standard input, when what was written has been sent."""
        self.closeChildFD(0)

    def closeStdout(self) -> None:
        """Read the child's standard output no more: what it goes on to write fails there."""
        self.closeChildFD(1)

    def closeStderr(self) -> None:
        """Read the child's standard error no more."""
        self.closeChildFD(2)

    # -- ITransport, IConsumer and IPushProducer; what is written goes to the standard input

    def write(self, data: bytes) -> None:
        """Write to the child's standard input, in order, when it is taken; returns at once.

        data: bytes. If there is no such pipe any more, it is dropped. Raises TypeError for anything else.
        """
        if self.input in self.pipes:
            self.pipes[self.input].write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Write the pieces of `iovec`, in order, as write()."""
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        """Close standard input, output and error. The child is told nothing else."""
        self.closeStdin()
        self.closeStderr()
        self.closeStdout()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let `producer` write as fast as the child reads; see Stream.registerProducer."""
        if self.input in self.pipes:
            self.pipes[self.input].registerProducer(producer, streaming)
        else:
            producer.stopProducing()

    def unregisterProducer(self) -> None:
        """There is no producer any more."""
        if self.input in self.pipes:
            self.pipes[self.input].unregisterProducer()

    def pauseProducing(self) -> None:
        """Read none of the child's descriptors until resumeProducing(): a full pipe will stop the child.

        A single one is paused by pipes[number].pauseProducing().
        """
        for stream in self._read():
            stream.pauseProducing()

    def resumeProducing(self) -> None:
        """Read the child's descriptors again."""
        for stream in self._read():
            stream.resumeProducing()

    def stopProducing(self) -> None:
        """As loseConnection()."""
        self.loseConnection()

    def _read(self) -> list[Stream]:
        return [stream for stream in self.pipes.values() if stream.channel.reader >= 0]

    def getPeer(self) -> ProcessAddress:
        """The child."""
        return ProcessAddress(self.pid, self.executable)

    def getHost(self) -> ProcessAddress:
        """This process."""
        return ProcessAddress(os.getpid(), sys.executable)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} pid={self.pid} status={self.status} {self.executable!r}>"


class _Pipe:
    """The protocol of one pipe: it hands on to the process."""

    __slots__ = ("_number", "_process")

    def __init__(self, process: Process, number: int) -> None:
        self._process = process
        self._number = number

    def makeConnection(self, stream: Stream) -> None:
        pass

    def dataReceived(self, data: bytes) -> None:
        self._process.proto.childDataReceived(self._number, data)

    def connectionLost(self, reason: Any) -> None:
        self._process.pipe_lost(self._number)

    def __repr__(self) -> str:
        return f"<descriptor {self._number} of {self._process!r}>"


def spawn(
    loop: Loop,
    proto: Any,
    executable: Text,
    args: Sequence[Text],
    env: Mapping[Text, Text] | None,
    path: Text | None,
    uid: int | None,
    gid: int | None,
    childFDs: Uses | None,
) -> Process:
    """Start a child process with pipes; the arguments are those of spawnProcess().

    Raises what launch() and Order.of() do, ValueError for childFDs that mean nothing, RuntimeError if the child cannot
    be watched; then there is no child, and every descriptor that was opened is closed.
    """
    with ExitStack() as ours:
        with ExitStack() as theirs:
            pipes, given = _open_pipes(loop, _PIPES if childFDs is None else childFDs, ours, theirs)
            if pipes:
                needs_protocol(proto)
            order = Order.of(executable, args, env, path, identity(uid, gid), given)
            pid = launch(order)
        process = Process(loop, proto, order.executable, pid)
        ours.pop_all()
    process.connect(pipes)
    return process


def needs_protocol(proto: Any) -> None:
    """Raises ValueError for None."""
    if proto is None:
        raise ValueError("a child with pipes, or in a terminal, needs a protocol that takes what it writes")


def _open_pipes(
    loop: Loop, uses: Uses, ours: ExitStack, theirs: ExitStack
) -> tuple[dict[int, Stream], dict[int, int]]:
    """Our ends of the pipes, by number in the child, and what the child gets; the stacks close them.

    They are watched from now on, so that a poller that refuses a descriptor does it before there is a child.
    """
    pipes: dict[int, Stream] = {}
    given = {number: int(use) for number, use in uses.items() if _is_ours(number, use)}
    for number, use in uses.items():
        if number in given:
            continue
        channel, given[number] = open_pipe(str(use))
        theirs.callback(os.close, given[number])
        pipes[number] = stream_over(loop, channel)
        ours.callback(channel.close)
        channel.want(READ)
    return pipes, given


def stream_over(loop: Loop, channel: Any) -> Stream:
    """A stream over `channel`, which is attached to it."""
    stream = Stream(loop, channel)
    channel.attach(loop, stream)
    return stream


def _is_ours(number: int, use: int | str) -> bool:
    """Whether `use` is a descriptor of ours, and no pipe to be opened. Raises ValueError, or OSError if it is closed.

    To be asked before any is opened, which could take the number of one that is closed.
    """
    if not isinstance(number, int) or number < 0:
        raise ValueError(f"childFDs maps descriptors of the child, not {number!r}")
    if not isinstance(use, int):
        if use not in ("r", "w"):
            raise ValueError(f"childFDs maps {number} to 'r', 'w' or a descriptor of this process, not to {use!r}")
        return False
    try:
        os.fstat(use)
    except OSError as error:   # the child could not say which one it is
        raise OSError(error.errno, f"childFDs maps {number} to {use}, which is no open descriptor of ours") from None
    return True
