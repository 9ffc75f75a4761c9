"""Standard input and output: pipes, terminals, sockets and files, in any combination, as one transport."""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ropewalk.internet.address import PipeAddress
from ropewalk.internet.defer import Deferred
from ropewalk.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from ropewalk.internet.interfaces import IConsumer, IPushProducer, ITransport
from ropewalk.internet.protocol import Protocol
from ropewalk.internet.stdio import StandardIO
from ropewalk.testing.contract import behaviour
from ropewalk.testing.features import needs, why_missing
from ropewalk.testing.protocols import NonStreamingProducer
from ropewalk.testing.rig import LIMIT, Rig, raises

MEGABYTE = 1_000_000
TEXT = b"what comes in, goes out\n"


# -- the other sides


class Place:
    """One standard descriptor and its other side. fd: for the transport, which closes it."""

    def __init__(self, fd: int, other: int) -> None:
        self.fd = fd
        self.other = other
        self._shared = os.dup(fd)   # as the shell's: the same open file

    @property
    def blocks(self) -> bool:
        """Whether the open file, which others share, still blocks."""
        return os.get_blocking(self._shared)

    def share_no_more(self) -> None:
        """Let the transport's descriptor be the last one of this side."""
        os.close(self._shared)
        self._shared = -1

    def close(self) -> None:
        """Close what is open of it."""
        for descriptor in (self.other, self._shared):
            if descriptor >= 0:
                os.close(descriptor)
        self.other = self._shared = -1

    def feed(self, data: bytes) -> None:
        """Let `data` come in: no more than there is room for."""
        assert os.write(self.other, data) == len(data)

    def end(self) -> None:
        """End the input."""
        os.close(self.other)
        self.other = -1

    def take(self, size: int) -> bytes:
        """What came out: `size` bytes, or all that there is before the end."""
        taken = b""
        while len(taken) < size:
            data = in_time(os.read, self.other, size - len(taken))
            if not data:
                break
            taken += data
        return taken


def in_time(call: Callable[..., Any], *args: Any) -> Any:
    """What `call` returns; queue.Empty is raised if it has not returned in time."""
    returned: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=lambda: returned.put(call(*args)), daemon=True).start()
    return returned.get(timeout=LIMIT)


def pipe_in() -> Place:
    return Place(*os.pipe())


def pipe_out() -> Place:
    reader, writer = os.pipe()
    return Place(writer, reader)


def socket_place() -> Place:
    ours, other = socket.socketpair()
    return SocketPlace(ours.detach(), other.detach())


class SocketPlace(Place):
    def end(self) -> None:
        other = socket.socket(fileno=self.other)
        other.shutdown(socket.SHUT_WR)
        other.detach()


def terminal() -> Place:
    import termios
    import tty

    master, slave = os.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[tty.OFLAG] &= ~termios.OPOST
    attributes[tty.LFLAG] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    return Terminal(slave, master)


class Terminal(Place):
    def end(self) -> None:
        self.feed(b"\x04")   # Ctrl-D


def master_of_a_terminal() -> Place:
    """The other way round; it cannot be opened anew."""
    place = terminal()
    import tty

    place.share_no_more()
    tty.setraw(place.fd)
    return Place(place.other, place.fd)


def file() -> Place:
    """A file that is read what it was fed with, or written."""
    descriptor, path = tempfile.mkstemp()
    return FilePlace(descriptor, os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0)), path)


class FilePlace(Place):
    def __init__(self, fd: int, other: int, path: str) -> None:
        super().__init__(fd, other)
        self._path = path

    def end(self) -> None:
        """It ends where what it was fed with does."""

    def close(self) -> None:
        super().close()
        os.unlink(self._path)


def _those_there(*kinds: Callable[[], Place]) -> list[Callable[[], Place]]:
    """Those of `kinds` that the system has."""
    return [kind for kind in kinds if kind not in _NEEDS or why_missing(_NEEDS[kind]) is None]


_NEEDS = {socket_place: "descriptor table", terminal: "terminals", master_of_a_terminal: "terminals"}
INPUTS = _those_there(pipe_in, socket_place, terminal, file)
OUTPUTS = _those_there(pipe_out, socket_place, terminal, master_of_a_terminal, file)


class Recorder(Protocol):
    """Records what it is told. made, lost: Deferreds, the second one of the reason's value."""

    def __init__(self) -> None:
        self.data = b""
        self.events: list[str] = []
        self.lost: Deferred[Any] = Deferred()
        self._awaited: tuple[int, Deferred[None]] | None = None

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if self._awaited is not None and len(self.data) >= self._awaited[0]:
            (_, arrived), self._awaited = self._awaited, None
            arrived.callback(None)

    def has(self, size: int) -> Deferred[None]:
        """A Deferred that fires when that many bytes have come."""
        arrived: Deferred[None] = Deferred()
        self._awaited = size, arrived
        self.dataReceived(b"")
        return arrived

    def connectionLost(self, reason: Any) -> None:
        self.events.append("lost")
        self.lost.callback(reason.value)


class HalfCloseable(Recorder):
    """Is told of each end. ended: a Deferred of the first of the two."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: Deferred[str] = Deferred()

    def readConnectionLost(self) -> None:
        self._end("read")

    def writeConnectionLost(self) -> None:
        self._end("write")

    def _end(self, which: str) -> None:
        self.events.append(which)
        if not self.ended.called:
            self.ended.callback(which)


@contextlib.contextmanager
def places(*made_by: Callable[[], Place]) -> Iterator[list[Place]]:
    """A place by each of `made_by`; what is left open of it is closed."""
    made = [make() for make in made_by]
    try:
        yield made
    finally:
        for place in made:
            place.close()


def connect(rig: Rig, protocol: Any, stdin: Place, stdout: Place) -> StandardIO:
    return StandardIO(protocol, stdin.fd, stdout.fd, reactor=rig.reactor)


def soon(rig: Rig, seconds: float) -> Deferred[None]:
    fired: Deferred[None] = Deferred()
    rig.reactor.callLater(seconds, fired.callback, None)
    return fired


async def waits(rig: Rig, seconds: float) -> int:
    """How often the reactor looks for something to do."""
    poller = rig.reactor.poller
    counted, wait = [0], poller.wait

    def counting(timeout: Any) -> Any:
        counted[0] += 1
        return wait(timeout)

    poller.wait = counting
    await soon(rig, seconds)
    del poller.wait
    return counted[0]


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def in_thread(rig: Rig, call: Callable[..., Any], *args: Any) -> Deferred[Any]:
    """A Deferred of what `call` returns, in a thread."""
    returned: Deferred[Any] = Deferred()
    rig.reactor.callInThread(lambda: rig.reactor.callFromThread(returned.callback, call(*args)))
    return returned


# -- all combinations


@behaviour
def any_kind_of_input_goes_with_any_kind_of_output(rig: Rig) -> None:
    async def scenario() -> None:
        for input_kind in INPUTS:
            for output_kind in OUTPUTS:
                with places(input_kind, output_kind) as (stdin, stdout):
                    await one_goes_through(stdin, stdout)

    async def one_goes_through(stdin: Place, stdout: Place) -> None:
        stdin.feed(TEXT)
        protocol = Recorder()
        transport = connect(rig, protocol, stdin, stdout)
        await protocol.has(len(TEXT))
        transport.write(protocol.data)
        stdin.end()
        assert isinstance(await protocol.lost, ConnectionDone)
        assert protocol.data == TEXT
        assert await in_thread(rig, stdout.take, len(TEXT)) == TEXT

    rig.play(scenario)


@behaviour
@needs("descriptor table")
def the_open_files_that_others_share_still_block(rig: Rig) -> None:
    async def scenario() -> None:
        for input_kind in INPUTS:
            for output_kind in OUTPUTS:
                with places(input_kind, output_kind) as (stdin, stdout):
                    await all_block(stdin, stdout)

    async def all_block(stdin: Place, stdout: Place) -> None:
        stdin.feed(TEXT)
        protocol = Recorder()
        connect(rig, protocol, stdin, stdout)
        assert (stdin.blocks, stdout.blocks) == (True, True)
        await protocol.has(len(TEXT))
        protocol.transport.write(protocol.data)
        assert (stdin.blocks, stdout.blocks) == (True, True)
        stdin.end()
        await protocol.lost
        assert (stdin.blocks, stdout.blocks) == (True, True)

    rig.play(scenario)


@behaviour
def output_that_nobody_takes_does_not_stop_the_reactor(rig: Rig) -> None:
    sent = bytes(range(256)) * (MEGABYTE // 256)

    async def scenario() -> None:
        for output_kind in _those_there(pipe_out, socket_place, terminal, master_of_a_terminal):
            size = 50_000 if output_kind is master_of_a_terminal else MEGABYTE   # that goes by small pieces
            with places(pipe_in, output_kind) as (stdin, stdout):
                await all_is_taken(stdin, stdout, sent[:size])

    async def all_is_taken(stdin: Place, stdout: Place, sent: bytes) -> None:
        protocol = Recorder()
        connect(rig, protocol, stdin, stdout).write(sent)
        await soon(rig, 0.02)
        protocol.transport.loseConnection()
        await soon(rig, 0.02)
        assert protocol.events == []
        assert await in_thread(rig, stdout.take, len(sent)) == sent
        assert isinstance(await protocol.lost, ConnectionDone)

    rig.play(scenario)


@behaviour
def much_more_than_a_buffer_comes_in_by_every_kind_of_input(rig: Rig) -> None:
    sent = b"0123456789abcde\n" * 20_000

    def feed(stdin: Place) -> None:
        view = memoryview(sent)
        while view:
            view = view[os.write(stdin.other, view[:4096]) :]
        stdin.end()

    async def scenario() -> None:
        for input_kind in INPUTS:
            with places(input_kind, pipe_out) as (stdin, stdout):
                if input_kind is file:
                    feed(stdin)
                protocol = Recorder()
                connect(rig, protocol, stdin, stdout)
                if input_kind is not file:
                    await in_thread(rig, feed, stdin)
                await protocol.lost
                assert protocol.data == sent

    rig.play(scenario)


@behaviour
def one_descriptor_may_be_both_input_and_output(rig: Rig) -> None:
    async def scenario() -> None:
        for kind in _those_there(socket_place, terminal):
            with places(kind) as (both,):
                both.share_no_more()
                protocol = Recorder()
                transport = connect(rig, protocol, both, both)
                both.feed(TEXT)
                await protocol.has(len(TEXT))
                transport.write(b"answer")
                assert await in_thread(rig, both.take, 6) == b"answer"
                transport.loseConnection()
                await protocol.lost
                assert not is_open(both.fd)

    rig.play(scenario)


# -- files


@behaviour
def a_file_is_read_a_piece_a_turn_and_the_rest_of_the_program_goes_on(rig: Rig) -> None:
    turns: list[int] = []

    class Counting(Recorder):
        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            pieces.append(len(data))
            turns.append(0)

    pieces: list[int] = []

    def turn() -> None:
        turns.append(1)
        if not protocol.lost.called:
            rig.reactor.callLater(0, turn)

    protocol = Counting()

    async def scenario() -> None:
        with places(file, pipe_out) as (stdin, stdout):
            stdin.feed(bytes(MEGABYTE))
            connect(rig, protocol, stdin, stdout)
            turn()
            await protocol.lost
            assert sum(pieces) == MEGABYTE
            assert max(pieces) <= 65536
            assert not any(turns[at] == turns[at + 1] == 0 for at in range(len(turns) - 1))

    rig.play(scenario)


@behaviour
def nothing_spins_while_a_file_is_paused_or_over(rig: Rig) -> None:
    async def scenario() -> None:
        with places(file, file) as (stdin, stdout):
            stdin.feed(TEXT)
            protocol = HalfCloseable()
            transport = connect(rig, protocol, stdin, stdout)
            transport.pauseProducing()
            assert await waits(rig, 0.05) < 5
            assert protocol.data == b""
            transport.resumeProducing()
            assert await protocol.ended == "read"
            assert protocol.data == TEXT
            assert await waits(rig, 0.05) < 5
            transport.write(b"written at the end")
            assert await in_thread(rig, stdout.take, 18) == b"written at the end"
            transport.loseConnection()
            await protocol.lost

    rig.play(scenario)


@behaviour
def an_idle_pipe_or_terminal_does_not_wake_the_reactor(rig: Rig) -> None:
    async def scenario() -> None:
        for input_kind in _those_there(pipe_in, socket_place, terminal):
            for output_kind in OUTPUTS:
                with places(input_kind, output_kind) as (stdin, stdout):
                    await is_idle(stdin, stdout)

    async def is_idle(stdin: Place, stdout: Place) -> None:
        protocol = Recorder()
        transport = connect(rig, protocol, stdin, stdout)
        assert await waits(rig, 0.01) < 5
        transport.loseConnection()
        await protocol.lost

    rig.play(scenario)


@behaviour
def dev_null_is_an_empty_input_and_an_output_without_end(rig: Rig) -> None:
    async def scenario() -> None:
        protocol = HalfCloseable()
        stdin, stdout = (os.open(os.devnull, how) for how in (os.O_RDONLY, os.O_WRONLY))
        transport = StandardIO(protocol, stdin, stdout, rig.reactor)
        assert await protocol.ended == "read"
        producer = NonStreamingProducer(transport)
        transport.registerProducer(producer, False)
        await producer.result
        assert producer.counter == 10
        transport.loseConnection()
        await protocol.lost

    rig.play(scenario)


@behaviour
@needs("shell")
def a_full_disk_is_the_reason_of_the_loss(rig: Rig) -> None:
    full = "/dev/full"

    async def scenario() -> None:
        protocol = HalfCloseable()
        with places(pipe_in) as (stdin,):
            transport = StandardIO(protocol, stdin.fd, os.open(full, os.O_WRONLY), rig.reactor)
            transport.write(TEXT)
            reason: Any = await protocol.lost
        assert isinstance(reason, ConnectionLost)
        assert reason.__cause__.errno == errno.ENOSPC  # type: ignore[union-attr]

    if os.path.exists(full):
        rig.play(scenario)


# -- the ends


@behaviour
def a_half_closeable_protocol_goes_on_to_write_after_the_end_of_input(rig: Rig) -> None:
    async def scenario() -> None:
        for input_kind in INPUTS:
            with places(input_kind, pipe_out) as (stdin, stdout):
                protocol = HalfCloseable()
                transport = connect(rig, protocol, stdin, stdout)
                stdin.end()
                assert await protocol.ended == "read"
                transport.write(TEXT)
                assert await in_thread(rig, stdout.take, len(TEXT)) == TEXT
                transport.loseConnection()
                await protocol.lost
                assert protocol.events == ["read", "lost"]

    rig.play(scenario)


@behaviour
def the_output_can_be_ended_while_the_input_goes_on(rig: Rig) -> None:
    async def scenario() -> None:
        for output_kind in _those_there(pipe_out, socket_place, file):
            with places(pipe_in, output_kind) as (stdin, stdout):
                stdout.share_no_more()
                protocol = HalfCloseable()
                transport = connect(rig, protocol, stdin, stdout)
                transport.write(TEXT)
                transport.loseWriteConnection()
                assert await protocol.ended == "write"
                assert await in_thread(rig, stdout.take, MEGABYTE) == TEXT
                stdin.feed(TEXT)
                await protocol.has(len(TEXT))
                stdin.end()
                await protocol.lost
                assert protocol.events == ["write", "read", "lost"] or protocol.events == ["write", "lost", "read"]

    rig.play(scenario)


@behaviour
def to_lose_the_connection_closes_both_after_everything_is_written(rig: Rig) -> None:
    async def scenario() -> None:
        with places(pipe_in, pipe_out) as (stdin, stdout):
            stdin.share_no_more()
            stdout.share_no_more()
            protocol = Recorder()
            transport = connect(rig, protocol, stdin, stdout)
            transport.writeSequence([TEXT, TEXT])
            transport.loseConnection()
            assert isinstance(await protocol.lost, ConnectionDone)
            assert await in_thread(rig, stdout.take, MEGABYTE) == 2 * TEXT
            with raises(OSError):
                stdin.feed(TEXT)
            assert not is_open(stdin.fd)
            assert not is_open(stdout.fd)

    rig.play(scenario)


@behaviour
@needs("lost readers")
def the_loss_of_who_reads_the_output_is_the_end_even_if_nothing_is_written(rig: Rig) -> None:
    async def scenario() -> None:
        with places(pipe_in, pipe_out) as (stdin, stdout):
            protocol = Recorder()
            connect(rig, protocol, stdin, stdout)
            stdout.end()
            reason: Any = await protocol.lost
            assert isinstance(reason, ConnectionLost)
            assert isinstance(reason.__cause__, BrokenPipeError)

    rig.play(scenario)


@behaviour
@needs("lost readers")
def a_half_closeable_protocol_goes_on_to_read_when_nobody_reads_the_output(rig: Rig) -> None:
    async def scenario() -> None:
        with places(pipe_in, pipe_out) as (stdin, stdout):
            protocol = HalfCloseable()
            connect(rig, protocol, stdin, stdout)
            stdout.end()
            assert await protocol.ended == "write"
            stdin.feed(TEXT)
            await protocol.has(len(TEXT))
            assert protocol.events == ["write"]
            stdin.end()
            assert isinstance(await protocol.lost, ConnectionDone)

    rig.play(scenario)


@behaviour
def what_was_to_be_written_is_dropped_when_nobody_reads_the_output(rig: Rig) -> None:
    told: list[str] = []

    class Producer:
        def pauseProducing(self) -> None:
            told.append("pause")

        def resumeProducing(self) -> None:
            told.append("resume")

        def stopProducing(self) -> None:
            told.append("stop")

    async def scenario() -> None:
        with places(pipe_in, pipe_out) as (stdin, stdout), tempfile.TemporaryFile() as to_send:
            to_send.write(TEXT)
            protocol = HalfCloseable()
            transport = connect(rig, protocol, stdin, stdout)
            transport.registerProducer(Producer(), True)
            transport.write(bytes(MEGABYTE))
            unsent = transport.sendfile(to_send)
            stdout.end()
            assert await protocol.ended == "write"
            assert told == ["pause", "stop"]
            with raises(ConnectionLost):
                await unsent
            transport.loseConnection()
            await protocol.lost

    rig.play(scenario)


@behaviour
@needs("lost readers")
def when_the_input_has_ended_the_loss_of_the_output_is_the_end_of_all(rig: Rig) -> None:
    async def scenario() -> None:
        with places(pipe_in, pipe_out) as (stdin, stdout):
            protocol = HalfCloseable()
            connect(rig, protocol, stdin, stdout)
            stdin.end()
            assert await protocol.ended == "read"
            stdout.end()
            assert isinstance(await protocol.lost, ConnectionLost)

    rig.play(scenario)


@behaviour
@needs("terminals")
def a_terminal_that_is_closed_ends_the_input(rig: Rig) -> None:
    async def scenario() -> None:
        with places(terminal) as (both,):
            protocol = Recorder()
            connect(rig, protocol, both, both)
            Place.end(both)
            await protocol.lost

    rig.play(scenario)


@behaviour
def to_abort_closes_at_once(rig: Rig) -> None:
    async def scenario() -> None:
        with places(pipe_in, pipe_out) as (stdin, stdout):
            protocol = Recorder()
            transport = connect(rig, protocol, stdin, stdout)
            transport.write(bytes(MEGABYTE))
            transport.abortConnection()
            assert isinstance(await protocol.lost, ConnectionAborted)

    rig.play(scenario)


@behaviour
def a_reactor_that_stops_closes_them(rig: Rig) -> None:
    with places(file, pipe_out) as (stdin, stdout):
        protocol = HalfCloseable()

        def begin() -> None:
            connect(rig, protocol, stdin, stdout)
            rig.reactor.stop()

        rig.in_run(lambda: None)
        rig.reactor.callWhenRunning(begin)
        rig.run()
        assert protocol.lost.called
        assert not is_open(stdin.fd)
        assert not rig.reactor.getDelayedCalls()


# -- the rest


@behaviour
def what_is_paused_is_not_read(rig: Rig) -> None:
    async def scenario() -> None:
        for input_kind in INPUTS:
            with places(input_kind, pipe_out) as (stdin, stdout):
                stdin.feed(TEXT)
                protocol = Recorder()
                transport = connect(rig, protocol, stdin, stdout)
                transport.pauseProducing()
                await soon(rig, 0.01)
                assert protocol.data == b""
                transport.resumeProducing()
                await protocol.has(len(TEXT))
                transport.stopProducing()
                await protocol.lost

    rig.play(scenario)


@behaviour
def a_pull_producer_fills_every_kind_of_output(rig: Rig) -> None:
    async def scenario() -> None:
        for output_kind in OUTPUTS:
            with places(pipe_in, output_kind) as (stdin, stdout):
                protocol = Recorder()
                transport = connect(rig, protocol, stdin, stdout)
                producer = NonStreamingProducer(transport)
                transport.registerProducer(producer, False)
                await producer.result
                assert await in_thread(rig, stdout.take, 10) == b"0123456789"
                transport.loseConnection()
                await protocol.lost

    rig.play(scenario)


@behaviour
def it_is_a_transport_without_an_address(rig: Rig) -> None:
    async def scenario() -> None:
        with places(pipe_in, pipe_out) as (stdin, stdout):
            protocol = Recorder()
            transport = connect(rig, protocol, stdin, stdout)
            assert protocol.transport is transport
            for interface in (ITransport, IConsumer, IPushProducer):
                assert isinstance(transport, interface)
            assert transport.getHost() == transport.getPeer() == PipeAddress()
            transport.loseConnection()
            await protocol.lost

    rig.play(scenario)


@behaviour
def the_running_reactor_is_the_one_that_is_not_named(rig: Rig) -> None:
    async def scenario() -> None:
        with places(pipe_in, pipe_out) as (stdin, stdout):
            protocol = Recorder()
            transport = StandardIO(protocol, stdin=stdin.fd, stdout=stdout.fd)
            assert transport in rig.reactor.transports
            transport.loseConnection()
            await protocol.lost

    rig.play(scenario)


@behaviour
def a_descriptor_that_is_not_open_is_an_error_that_names_it(rig: Rig) -> None:
    with places(pipe_in, pipe_out) as (stdin, stdout):
        closed = os.dup(stdin.fd)
        os.close(closed)
        for pair in ((closed, stdout.fd), (stdin.fd, closed)):
            with raises(OSError) as error:
                StandardIO(Recorder(), *pair, reactor=rig.reactor)
            assert f"descriptor {closed} is not open" in str(error[0])
        os.close(stdin.fd)
        os.close(stdout.fd)


@behaviour
@needs("descriptor table")
def a_descriptor_that_was_closed_meanwhile_is_not_closed_again(rig: Rig) -> None:
    async def scenario() -> None:
        with places(pipe_in, pipe_out) as (stdin, stdout):
            protocol = Recorder()
            transport = connect(rig, protocol, stdin, stdout)
            others, _ = rig.socket_pair()
            os.dup2(others.fileno(), stdin.fd)
            transport.loseConnection()
            await protocol.lost
            assert os.path.sameopenfile(stdin.fd, others.fileno())
            os.close(stdin.fd)

    rig.play(scenario)
