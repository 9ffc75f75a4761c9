"""Child processes in a pseudo terminal: what they see of it, and how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
from typing import Any

from ropewalk.internet import error
from ropewalk.internet.interfaces import IProcessTransport
from ropewalk.testing.children import Child, is_reaped, needs_children, run_python, run_shell
from ropewalk.testing.contract import behaviour
from ropewalk.testing.features import needs
from ropewalk.testing.rig import Rig, raises

_ROWS, _COLUMNS = 43, 123


@behaviour
@needs("terminals")
def a_child_in_a_terminal_has_it_as_its_own(rig: Rig) -> None:
    """All three standard descriptors, the controlling terminal, and a session that is led by the child."""
    needs_children(rig.reactor)
    program = (
        "names = {os.ttyname(fd) for fd in (0, 1, 2)}\n"
        "print(len(names), os.getsid(0) == os.getpid(), os.tcgetpgrp(os.open('/dev/tty', os.O_RDWR)) == os.getpgrp())"
    )

    async def scenario() -> None:
        child = run_python(rig.reactor, program, usePTY=True)
        assert isinstance(child.transport, IProcessTransport)
        pid = child.told("made")[0]
        ended: Any = await child.ended
        assert isinstance(ended, error.ProcessDone)
        assert child.data[1].split() == [b"1", b"True", b"True"]
        assert is_reaped(pid)
        assert [kind for kind, _ in child.events][-1] == "ended"

    rig.play(scenario)


@behaviour
@needs("terminals")
def a_terminal_carries_both_directions(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_shell(rig.reactor, "stty -echo; echo ready; read a; read b; read c; echo $c $b $a >&2", usePTY=True)
        await child.wait_for(b"ready")
        child.transport.write(b"one\n")
        child.transport.writeSequence([b"tw", b"o\n"])
        child.transport.writeToChild(0, b"three\n")
        with raises(KeyError):
            child.transport.writeToChild(3, b"there is none")
        await child.ended
        assert child.data[1].split() == [b"ready", b"three", b"two", b"one"]
        assert child.data.keys() == {1}

    rig.play(scenario)


@behaviour
@needs("terminals")
def the_size_of_a_terminal_can_be_set(rig: Rig) -> None:
    needs_children(rig.reactor)
    import fcntl
    import termios

    async def scenario() -> None:
        child = run_shell(rig.reactor, "read line; stty size", usePTY=True)
        size = struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0)
        fcntl.ioctl(child.transport.fileno(), termios.TIOCSWINSZ, size)
        child.transport.write(b"\n")
        await child.ended
        assert b"%d %d" % (_ROWS, _COLUMNS) in child.data[1]
        assert child.transport.fileno() == -1

    rig.play(scenario)


@behaviour
@needs("terminals")
def a_child_is_hung_up_when_its_terminal_is_closed(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_shell(rig.reactor, "echo up; while :; do read line || sleep 60; done", usePTY=True)
        await child.wait_for(b"up")
        for nothing_happens in (child.transport.closeStdin, child.transport.closeStdout, child.transport.closeStderr):
            nothing_happens()
        assert child.transport.pipes
        child.transport.loseConnection()
        ended: Any = await child.ended
        assert ended.signal == signal.SIGHUP

    rig.play(scenario)


@behaviour
@needs("terminals")
def a_child_that_does_not_read_its_terminal_stops_nobody(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_shell(rig.reactor, "stty raw -echo; echo ready; exec sleep 60", usePTY=True)
        await child.wait_for(b"ready")
        child.transport.write(bytes(1_000_000))
        child.transport.signalProcess("KILL")
        ended: Any = await child.ended
        assert ended.signal == signal.SIGKILL

    rig.play(scenario)


@behaviour
@needs("terminals")
def a_full_terminal_is_closed_when_its_child_has_exited(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        for way in ("exec sleep 60", "sleep 60"):   # the second leaves the terminal to another process for a moment
            child = run_shell(rig.reactor, f"stty raw -echo; echo ready; {way}; exit", usePTY=True)
            await child.wait_for(b"ready")
            child.transport.write(bytes(1_000_000))
            child.transport.loseConnection()
            assert child.transport.pipes
            child.transport.signalProcess("KILL")
            await child.ended
        late = run_shell(rig.reactor, "stty raw -echo; echo ready; exec sleep 60", usePTY=True)
        await late.wait_for(b"ready")
        late.transport.pauseProducing()
        late.transport.write(bytes(1_000_000))
        late.transport.signalProcess("KILL")
        await late.exited
        late.transport.loseConnection()
        await late.ended

    rig.play(scenario)


@behaviour
@needs("terminals")
def a_terminal_of_the_programs_own_can_be_used(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        master, slave = os.openpty()
        name = os.ttyname(slave)
        child = run_shell(rig.reactor, "tty", usePTY=(master, slave, name))
        await child.ended
        assert child.data[1].strip() == name.encode()
        for closed in (master, slave):
            with raises(OSError):
                os.fstat(closed)

    rig.play(scenario)


@behaviour
@needs("terminals")
def a_terminal_of_the_programs_own_stays_its_own_if_the_child_cannot_be_started(rig: Rig) -> None:
    needs_children(rig.reactor)

    def start() -> None:
        master, slave = os.openpty()
        child = Child()
        with raises(FileNotFoundError):
            rig.reactor.spawnProcess(child, "/nonexistent", usePTY=(master, slave, os.ttyname(slave)))
        for mine in (master, slave):
            os.close(mine)

    rig.in_run(start)


@behaviour
@needs("terminals")
def what_a_child_wrote_to_its_terminal_before_it_went_is_read(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_shell(rig.reactor, "stty -opost; head -c 3000 /dev/zero; exit 9", usePTY=True)
        child.transport.pauseProducing()
        await child.exited
        child.transport.resumeProducing()
        ended: Any = await child.ended
        assert ended.exitCode == 9
        assert child.data[1] == bytes(3000)

    rig.play(scenario)


@behaviour
@needs("terminals")
def a_terminal_that_is_hung_on_to_by_a_grandchild_delays_the_end(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_shell(rig.reactor, "trap '' HUP; sleep 60 & echo $!; exit 0", usePTY=True)
        await child.exited
        grandchild = int((await child.wait_for(b"\n")).split()[0])
        assert child.told("ended") == []
        os.kill(grandchild, signal.SIGKILL)
        await child.ended

    with contextlib.suppress(ProcessLookupError):
        rig.play(scenario)
