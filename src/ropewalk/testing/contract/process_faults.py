"""Faults around child processes: programs that cannot be started, protocols that raise, others who meddle.

Whatever happens, nothing is left open (the rig looks), no child is left behind, and the others go on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

from ropewalk.internet import error
from ropewalk.testing.children import Child, is_reaped, needs_children, needs_root, run_shell
from ropewalk.testing.contract import behaviour
from ropewalk.testing.rig import Rig, open_descriptors, raises

WAYS: list[dict[str, Any]] = [{}, {"childFDs": {1: "r"}}, {"usePTY": True}]
"""So that each way of starting a child is met."""
NOBODY = 65534


def _no_children() -> None:
    with raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def _fails(rig: Rig, kind: type[Exception], *args: Any, **how: Any) -> Any:
    """The exception of spawnProcess(), which has told the protocol nothing and left nothing open."""
    child = Child()
    before = open_descriptors()
    with raises(kind) as raised:
        rig.reactor.spawnProcess(child, *args, **how)
    assert open_descriptors() == before
    assert child.events == []
    return raised[0]


def _refused(rig: Rig, child: Child, **how: Any) -> OSError | None:
    """Start a child that exits with 6; why it could not be started."""
    try:
        rig.reactor.spawnProcess(child, "/bin/sh", ["sh", "-c", "exit 6"], **how)
    except OSError as error:
        return error
    return None


@contextlib.contextmanager
def _descriptors_left(count: int) -> Iterator[None]:
    """Only `count` more descriptors can be opened in here."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.open(os.devnull, os.O_RDONLY) for _ in range(count)]
    highest = max(int(one.partition(":")[0]) for one in open_descriptors())
    fill = [os.open(os.devnull, os.O_RDONLY) for _ in range(highest + 1 - len(open_descriptors()))]
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
    for one in free:
        os.close(one)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for one in fill:
            os.close(one)


# -- what cannot be started


@behaviour
def a_program_that_does_not_exist_is_an_error_of_spawn_process(rig: Rig) -> None:
    needs_children(rig.reactor)

    def start() -> None:
        for how in WAYS:
            for name in ("/nonexistent/program", "nonexistent-program"):
                raised = _fails(rig, FileNotFoundError, name, [name], **how)
                assert raised.filename == name
        _no_children()

    rig.in_run(start)


@behaviour
def a_program_that_may_not_be_executed_is_an_error_of_spawn_process(rig: Rig) -> None:
    needs_children(rig.reactor)

    def start() -> None:
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "program")
            with open(program, "w") as file:
                file.write("#!/bin/sh\n")
            for how in WAYS:
                assert _fails(rig, PermissionError, program, **how).filename == program
                assert _fails(rig, PermissionError, folder, **how).filename == folder
            os.chmod(program, 0o700)
            with open(program, "w") as file:
                file.write("neither a script nor a program")
            for how in WAYS:
                assert _fails(rig, OSError, program, **how).errno == errno.ENOEXEC
        _no_children()

    rig.in_run(start)


@behaviour
def a_folder_that_does_not_exist_is_an_error_of_spawn_process(rig: Rig) -> None:
    needs_children(rig.reactor)

    def start() -> None:
        for how in WAYS:
            raised = _fails(rig, FileNotFoundError, "/bin/sh", path="/nonexistent/folder", **how)
            assert raised.filename == "/nonexistent/folder"
        _no_children()

    rig.in_run(start)


@behaviour
def arguments_that_no_program_can_get_are_refused(rig: Rig) -> None:
    needs_children(rig.reactor)

    def start() -> None:
        for how in WAYS:
            _fails(rig, ValueError, "/bin/sh\0", **how)
            _fails(rig, ValueError, "/bin/sh", ["a\0b"], **how)
            _fails(rig, ValueError, "/bin/sh", ["sh"], {"A": "\0"}, **how)
            _fails(rig, ValueError, "/bin/sh", ["sh"], {"A=B": "c"}, **how)
            _fails(rig, ValueError, "/bin/sh", ["sh"], {}, "a\0b", **how)
            _fails(rig, TypeError, "/bin/sh", ["sh", 1], **how)
            _fails(rig, TypeError, "/bin/sh", "sh -c exit", **how)
            _fails(rig, TypeError, None, **how)
            _fails(rig, TypeError, "/bin/sh", uid="nobody", **how)
            _fails(rig, ValueError, "/bin/sh", uid=-1, **how)
            _fails(rig, ValueError, "/bin/sh", gid=2**40, **how)
        _no_children()

    rig.in_run(start)


@behaviour
def a_map_of_descriptors_that_means_nothing_is_refused(rig: Rig) -> None:
    needs_children(rig.reactor)

    def start() -> None:
        read, write = os.pipe()
        os.close(read)
        os.close(write)
        nonsense: list[Any] = [{0: "w", 1: "x"}, {0: "w", -1: "r"}, {0: "w", "1": "r"}, {0: "w", 1: None}]
        for uses in nonsense:
            _fails(rig, ValueError, "/bin/sh", childFDs=uses)
        closed: list[Any] = [{0: "w", 1: "r", 2: write}, {0: "w", write: write}]
        for uses in closed:
            raised = _fails(rig, OSError, "/bin/sh", childFDs=uses)
            assert raised.errno == errno.EBADF
            assert str(write) in str(raised)
        _fails(rig, ValueError, "/bin/sh", childFDs={1: "r"}, usePTY=True)
        _fails(rig, OSError, "/bin/sh", childFDs={1: "r", 2**30: "w"})
        with raises(ValueError):
            rig.reactor.spawnProcess(None, "/bin/sh")
        with raises(ValueError):
            rig.reactor.spawnProcess(None, "/bin/sh", usePTY=True)
        _no_children()

    rig.in_run(start)


@behaviour
def a_process_without_descriptors_starts_no_child_until_it_has_some(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        begun = run_shell(rig.reactor, ":")
        await begun.ended   # what is imported, and made once, is there
        for how in WAYS:
            for left in range(9):
                with _descriptors_left(left):
                    child = Child()
                    refused = _refused(rig, child, **how)
                if refused is not None:
                    assert refused.errno == errno.EMFILE, refused
                    assert child.events == []
                    continue
                ended: Any = await child.ended
                assert ended.exitCode == 6
            child = run_shell(rig.reactor, "exit 7", **how)
            later: Any = await child.ended
            assert later.exitCode == 7

    rig.play(scenario)
    _no_children()


@behaviour
def only_root_may_run_a_child_as_somebody_else(rig: Rig) -> None:
    needs_children(rig.reactor)
    needs_root()

    def start() -> None:
        before = os.getresuid()
        os.setresuid(NOBODY, NOBODY, 0)
        try:
            for how in WAYS:
                raised = _fails(rig, PermissionError, "/bin/sh", uid=NOBODY - 1, **how)
                assert str(NOBODY - 1) in str(raised)
                _fails(rig, PermissionError, "/bin/sh", gid=NOBODY, **how)
        finally:
            os.setresuid(*before)
        _no_children()

    rig.in_run(start)


@behaviour
def a_child_runs_as_the_user_and_group_that_are_asked_for(rig: Rig) -> None:
    needs_children(rig.reactor)
    needs_root()
    look = "echo $(id -u) $(id -ru) $(id -g) $(id -rg) $(id -G)"
    unnamed = 54321

    async def ids(**how: Any) -> list[int]:
        child = run_shell(rig.reactor, look, **how)
        await child.ended
        return [int(word) for word in child.data[1].split()]

    async def scenario() -> None:
        for how in WAYS:
            assert await ids(uid=unnamed, gid=unnamed, **how) == [unnamed] * 5
            user, real_user, group, real_group, *_ = await ids(uid=unnamed, **how)
            assert (user, real_user, group, real_group) == (unnamed, unnamed, os.getegid(), os.getegid())
            user, real_user, group, real_group, *groups = await ids(gid=unnamed, **how)
            assert (user, real_user, group, real_group) == (0, 0, unnamed, unnamed)
            assert unnamed in groups
            assert (await ids(uid=os.geteuid(), **how))[:2] == [os.geteuid()] * 2

    groups = os.getgroups()
    os.setgroups([unnamed + 1])   # which nobody else may inherit
    try:
        rig.play(scenario)
    finally:
        os.setgroups(groups)


# -- protocols that raise


@behaviour
def a_protocol_that_raises_when_it_is_told_harms_nobody(rig: Rig) -> None:
    needs_children(rig.reactor)

    class Raising(Child):
        def connectionMade(self) -> None:
            super().connectionMade()
            raise ValueError("connectionMade")

        def childConnectionLost(self, childFD: int) -> None:
            super().childConnectionLost(childFD)
            raise ValueError("childConnectionLost")

        def processExited(self, reason: Any) -> None:
            super().processExited(reason)
            raise ValueError("processExited")

        def processEnded(self, reason: Any) -> None:
            super().processEnded(reason)
            raise ValueError("processEnded")

    async def scenario() -> None:
        child = run_shell(rig.reactor, "echo fine", protocol=Raising())
        other = run_shell(rig.reactor, "echo fine")
        await child.ended
        await other.ended
        assert child.data[1] == other.data[1] == b"fine\n"

    rig.play(scenario)
    rig.expect_errors(*[ValueError] * 6)


@behaviour
def a_child_whose_exit_ends_the_run_has_ended_all_the_same(rig: Rig) -> None:
    needs_children(rig.reactor)

    class Leaving(Child):
        def processExited(self, reason: Any) -> None:
            super().processExited(reason)
            raise SystemExit

    child = Leaving()

    async def scenario() -> None:
        rig.reactor.spawnProcess(child, "/bin/sh", ["sh", "-c", "exit 3"], childFDs={})
        await child.ended

    with raises(SystemExit):
        rig.play(scenario)
    assert [kind for kind, _ in child.events] == ["made", "exited", "ended"]
    assert not rig.reactor.transports


@behaviour
def a_protocol_that_raises_on_data_loses_that_pipe(rig: Rig) -> None:
    needs_children(rig.reactor)

    class Raising(Child):
        def outReceived(self, data: bytes) -> None:
            raise ValueError("outReceived")

        def childDataReceived(self, childFD: int, data: bytes) -> None:
            super().childDataReceived(childFD, data)
            if childFD == 1:
                self.outReceived(data)

    async def scenario() -> None:
        child = run_shell(rig.reactor, "echo out; read line; echo err >&2", protocol=Raising())
        await child.lost(1)
        child.transport.write(b"go on\n")
        await child.ended
        assert child.data == {1: b"out\n", 2: b"err\n"}

    rig.play(scenario)
    rig.expect_errors(ValueError)


@behaviour
def a_child_takes_bytes_alone(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_shell(rig.reactor, "cat")
        with raises(TypeError):
            child.transport.write("text")
        with raises(KeyError):
            child.transport.writeToChild(1, b"it is read, not written")
        with raises(KeyError):
            child.transport.writeToChild(9, b"there is none")
        with raises(ValueError):
            child.transport.signalProcess("NOSUCH")
        with raises(OSError):
            child.transport.signalProcess(4711)
        child.transport.closeStdin()
        await child.ended
        assert child.data == {}

    rig.play(scenario)


# -- others who meddle


@behaviour
def a_child_of_somebody_elses_is_left_alone(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        other = subprocess.Popen(["/bin/sh", "-c", "exit 3"])
        ours = [run_shell(rig.reactor, "exit 4") for _ in range(3)]
        for child in ours:
            ended: Any = await child.ended
            assert ended.exitCode == 4
        assert other.wait() == 3

    rig.play(scenario)


@behaviour
def a_child_that_somebody_else_has_reaped_ends_too(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_shell(rig.reactor, "exit 3")
        os.waitpid(child.transport.pid, 0)
        ended: Any = await child.ended
        assert isinstance(ended, error.ProcessTerminated)
        assert (ended.exitCode, ended.signal, ended.status) == (None, None, None)

    rig.play(scenario)


@behaviour
def children_end_where_their_signal_is_ignored(rig: Rig) -> None:
    """With SIGCHLD ignored the system reaps, so how they ended nobody can tell."""
    needs_children(rig.reactor)

    async def scenario() -> None:
        for how in WAYS:
            child = run_shell(rig.reactor, "exit 3", **how)
            ended: Any = await child.ended
            assert ended.status is None
            _fails(rig, FileNotFoundError, "/nonexistent/program", **how)

    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        rig.play(scenario)
    finally:
        signal.signal(signal.SIGCHLD, before)


@behaviour
def a_pipe_that_is_closed_behind_the_reactors_back_is_lost(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_shell(rig.reactor, "read line; exit 2")
        os.close(child.transport.pipes[0].channel.writer)
        child.transport.write(b"where to?")
        await child.lost(0)
        ended: Any = await child.ended
        assert ended.exitCode == 2
        assert is_reaped(child.told("made")[0])

    rig.play(scenario)


@behaviour
def a_reactor_that_is_dropped_with_a_living_child_leaves_nothing_open(rig: Rig) -> None:
    needs_children(rig.reactor)
    reactor = rig.make_reactor()
    child = run_shell(reactor, "read line")
    pid = child.transport.pid
    reactor.callWhenRunning(reactor.stop)
    reactor.run()
    with contextlib.suppress(ChildProcessError):   # it ends with its input, and the reactor may have seen that
        os.waitpid(pid, 0)
