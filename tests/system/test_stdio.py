"""Standard input and output of real processes, as a shell connects them: pipes, files, a terminal."""

from __future__ import annotations

import errno
import os
import random
import select
import signal
import socket
import subprocess
import sys
import termios
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ropewalk.core import choose

ROPEWALK = [sys.executable, "-W", "error", "-m", "ropewalk"]
HERE = [   # those with a loop of their own; a toolkit's has its tests in tests/gui
    name for name, row in choose.CHOICES.items() if row.host == "own:OwnHost" and choose.why_not(name) is None
]
PATIENCE = 60   # seconds
LOAD = random.Random(4).randbytes(10_000_000)

on_every_reactor = pytest.mark.parametrize("name", HERE)
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")

ECHO = """
import os, sys
from ropewalk.internet import reactor
from ropewalk.internet.protocol import Protocol
from ropewalk.internet.stdio import StandardIO

class Echo(Protocol):
    def connectionMade(self):
        self.transport.registerProducer(self.transport, True)
    def dataReceived(self, data):
        self.transport.write(data)
    def readConnectionLost(self):
        self.transport.unregisterProducer()
        self.transport.loseConnection()
    def writeConnectionLost(self):
        pass
    def connectionLost(self, reason):
        print(type(reason.value).__name__, file=sys.stderr, flush=True)
        reactor.callLater(0, reactor.stop)
"""
RUN = """
StandardIO(Echo())
reactor.run()
"""


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., list[str]]:
    """The command that runs the program ECHO, with more in it before it runs."""

    def command(*parts: str) -> list[str]:
        file = tmp_path / "program.py"
        file.write_text("".join([ECHO, *map(textwrap.dedent, parts)]), encoding="utf-8")
        return [sys.executable, "-W", "error", str(file)]

    return command


def run(command: list[str], **how: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, stderr=subprocess.PIPE, timeout=PATIENCE, **how)


# -- the command


@on_every_reactor
def test_what_is_piped_in_comes_out(name: str) -> None:
    ended = run([*ROPEWALK, "-r", name, "echo", "stdio:"], input=b"hi\n", stdout=subprocess.PIPE)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"hi\n", b"")


@on_every_reactor
def test_ten_megabytes_pass_between_processes(name: str) -> None:
    ended = run([*ROPEWALK, "-r", name, "echo", "stdio:"], input=LOAD, stdout=subprocess.PIPE)
    assert ended.stdout == LOAD
    assert (ended.returncode, ended.stderr) == (0, b"")


@on_every_reactor
def test_a_file_is_copied_to_a_file(name: str, tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(LOAD)
    with source.open("rb") as stdin, copy.open("wb") as stdout:
        ended = run([*ROPEWALK, "-r", name, "echo", "stdio:"], stdin=stdin, stdout=stdout)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert copy.read_bytes() == LOAD


@on_every_reactor
def test_a_reader_that_has_enough_ends_the_command(name: str) -> None:
    """As `yes | ropewalk echo stdio: | head -1`."""
    with (
        subprocess.Popen(["yes"], stdout=subprocess.PIPE) as yes,
        subprocess.Popen(
            [*ROPEWALK, "-r", name, "echo", "stdio:"], stdin=yes.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as echo,
    ):
        assert yes.stdout is not None
        assert echo.stdout is not None
        yes.stdout.close()
        head = run(["head", "-1"], stdin=echo.stdout, stdout=subprocess.PIPE)
        echo.stdout.close()
        assert head.stdout == b"y\n"
        _, errors = echo.communicate(timeout=PATIENCE)
        assert (echo.returncode, errors) == (0, b"")
        assert yes.wait(PATIENCE) == -signal.SIGPIPE


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_said_in_one_line() -> None:
    with open("/dev/full", "wb") as full:
        ended = run([*ROPEWALK, "echo", "stdio:"], input=b"hi\n", stdout=full)
    assert ended.returncode == 74
    assert os.strerror(errno.ENOSPC).encode() in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(("closed", "called"), [("<&-", b"standard input"), (">&-", b"standard output")])
def test_a_descriptor_that_the_shell_closed_is_said_in_one_line(closed: str, called: bytes) -> None:
    ended = run(["sh", "-c", f'exec "$@" {closed}', "sh", *ROPEWALK, "echo", "stdio:"], stdin=subprocess.DEVNULL)
    assert ended.returncode == 74
    assert called in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_stdio_takes_no_arguments() -> None:
    ended = run([*ROPEWALK, "echo", "stdio:0"], stdin=subprocess.DEVNULL)
    assert ended.returncode == 64
    assert b"stdio takes no arguments" in ended.stderr


def test_a_signal_ends_the_command_as_it_ends_any_other() -> None:
    with subprocess.Popen(
        [*ROPEWALK, "echo", "stdio:"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as echo:
        assert echo.stdin is not None
        assert echo.stdout is not None
        echo.stdin.write(b"hi\n")
        echo.stdin.flush()
        assert echo.stdout.readline() == b"hi\n"
        echo.send_signal(signal.SIGTERM)
        assert echo.wait(PATIENCE) == -signal.SIGTERM


def test_standard_io_can_be_forwarded() -> None:
    """As netcat does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                asked = b"".join(iter(lambda: connection.recv(65536), b""))
                connection.sendall(asked.upper())

        thread = threading.Thread(target=answer)
        thread.start()
        port = server.getsockname()[1]
        ended = run([*ROPEWALK, "forward", "stdio:", f"tcp:127.0.0.1:{port}"], input=b"hi\n", stdout=subprocess.PIPE)
        thread.join(PATIENCE)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"HI\n", b"")


def test_a_destination_that_refuses_is_said_and_ends_the_command_in_failure() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        ended = run([*ROPEWALK, "forward", "stdio:", f"tcp:127.0.0.1:{port}"], input=b"hi\n", stdout=subprocess.PIPE)
    assert ended.returncode == 74
    assert f"127.0.0.1:{port}: connection refused".encode() in ended.stderr


# -- the terminal


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Master and slave of a terminal that shows nothing by itself. The slave is the open file of whoever gets it."""
    master, slave = os.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    try:
        yield master, slave
    finally:
        os.close(master)
        os.close(slave)


def read(master: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        assert select.select([master], [], [], PATIENCE)[0], f"only {data!r} came"
        data += os.read(master, size - len(data))
    return data


@on_every_reactor
def test_a_terminal_still_blocks_for_the_shell_and_control_d_ends_the_input(name: str) -> None:
    command = [*ROPEWALK, "-r", name, "echo", "stdio:"]
    with terminal() as (master, slave):
        with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=subprocess.PIPE) as echo:
            os.write(master, b"hi\n")
            assert read(master, 4) == b"hi\r\n"
            assert os.get_blocking(slave)
            os.write(master, b"\x04")
            assert echo.wait(PATIENCE) == 0
            assert echo.stderr is not None
            assert echo.stderr.read() == b""
        assert os.get_blocking(slave)


def test_a_terminal_that_nobody_looks_at_does_not_stop_the_reactor(program: Callable[..., list[str]]) -> None:
    """And all of it comes, in order, when somebody does."""
    more = """
    io = StandardIO(Echo())
    io.write(b"x" * 300000)
    reactor.callLater(0.05, print, "goes on", file=sys.stderr, flush=True)
    reactor.run()
    """
    with (
        terminal() as (master, slave),
        subprocess.Popen(program(more), stdin=slave, stdout=slave, stderr=subprocess.PIPE) as child,
    ):
        assert child.stderr is not None
        assert child.stderr.readline() == b"goes on\n"
        assert read(master, 300_000) == b"x" * 300_000
        os.write(master, b"\x04")
        assert child.stderr.read() == b"ConnectionDone\n"


# -- the process


def test_pipes_still_block_for_the_others_that_have_them(program: Callable[..., list[str]]) -> None:
    said = """
    def blocking():
        return os.get_blocking(0), os.get_blocking(1)
    class Asking(Echo):
        def dataReceived(self, data):
            super().dataReceived(data)
            print(blocking(), file=sys.stderr)
    StandardIO(Asking())
    reactor.run()
    """
    ended = run(program(said), input=b"hi", stdout=subprocess.PIPE)
    assert ended.stdout == b"hi"
    assert ended.stderr == b"(True, True)\nConnectionDone\n"


@only_root
@pytest.mark.parametrize("how", ["cat", "reader"])
def test_pipes_that_may_not_be_opened_anew_do_as_well(program: Callable[..., list[str]], how: str) -> None:
    """A process that has given up its rights may use what it has, and open nothing."""
    source = f"""
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    try:
        os.open("/proc/self/fd/1", os.O_WRONLY)
    except PermissionError:
        print("cannot", file=sys.stderr, flush=True)
    if {how == "reader"}:
        io = StandardIO(Echo())
        io.write(b"x" * 300000)
        reactor.callLater(0.05, print, "goes on", file=sys.stderr, flush=True)
    else:
        StandardIO(Echo())
    reactor.run()
    """
    if how == "cat":
        ended = run(program(source), input=LOAD, stdout=subprocess.PIPE)
        assert ended.stdout == LOAD
        assert ended.stderr == b"cannot\nConnectionDone\n"
        return
    with subprocess.Popen(
        program(source), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stderr is not None
        assert [child.stderr.readline(), child.stderr.readline()] == [b"cannot\n", b"goes on\n"]
        output, errors = child.communicate(timeout=PATIENCE)
        assert (output, errors) == (b"x" * 300_000, b"ConnectionDone\n")


def test_what_was_printed_before_comes_before(program: Callable[..., list[str]]) -> None:
    ended = run(program("print('first ', end='')\n", RUN), input=b"second", stdout=subprocess.PIPE)
    assert ended.stdout == b"first second"


def test_whoever_reads_the_output_sees_its_end_and_nothing_after_it(program: Callable[..., list[str]]) -> None:
    """The program goes on, opens files, and prints: into none of them."""
    more = """
    class Closing(Echo):
        def connectionLost(self, reason):
            opened = open(sys.argv[0], "rb")
            print("printed", opened.fileno() > 2, file=sys.stderr, flush=True)
            print("nobody reads this", flush=True)
            print([os.path.samefile(fd, os.devnull) for fd in (0, 1)], file=sys.stderr, flush=True)
    io = StandardIO(Closing())
    io.write(b"all")
    io.loseConnection()
    reactor.run()
    """
    with subprocess.Popen(
        program(more), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.read() == b"all"
        assert child.stderr.readline() == b"printed True\n"
        assert child.stderr.readline() == b"[True, True]\n"
        assert child.poll() is None
        child.terminate()
        assert child.wait(PATIENCE) == 0


@on_every_reactor
@pytest.mark.parametrize("kind", ["pipe", "terminal", "file"])
def test_idle_standard_io_does_not_wake_the_reactor(program: Callable[..., list[str]], name: str, kind: str) -> None:
    counting = """
    waits = []
    wait = reactor.poller.wait
    def counted(timeout):
        waits.append(timeout)
        return wait(timeout)
    def begin():
        reactor.poller.wait = counted
    class Idle(Echo):
        def readConnectionLost(self):
            pass
    io = StandardIO(Idle())
    reactor.callLater(0.1, begin)
    reactor.callLater(0.3, io.loseConnection)
    reactor.run()
    print(len(waits), file=sys.stderr)
    """
    environment = os.environ | {"ROPEWALK_REACTOR": name}
    with terminal() as (_, slave), open(__file__, "rb") as file, open(os.devnull, "wb") as nothing:
        reader, writer = os.pipe()
        stdin = {"pipe": reader, "terminal": slave, "file": file.fileno()}[kind]
        stdout = slave if kind == "terminal" else nothing
        ended = run(program(counting), stdin=stdin, stdout=stdout, env=environment)
        os.close(reader)
        os.close(writer)
    lost, waits = ended.stderr.split()
    assert lost == b"ConnectionDone"
    assert int(waits) < 6
