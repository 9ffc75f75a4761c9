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
from ropewalk.testing.children import (
    COPY,
    PYTHON,
    Child,
    has_children,
    in_python,
    is_reaped,
    needs_children,
    needs_root,
    run_python,
    run_shell,
    wait_for_exit,
)
from ropewalk.testing.contract import behaviour
from ropewalk.testing.features import needs, require, why_missing
from ropewalk.testing.rig import Rig, open_descriptors, raises

WAYS: list[dict[str, Any]] = [{}, {"childFDs": {1: "r"}}]
if why_missing("terminals") is None:
    WAYS.append({"usePTY": True})
"""So that each way of starting a child is met."""
NOBODY = 65534


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
        rig.reactor.spawnProcess(child, PYTHON, [PYTHON, *in_python("sys.exit(6)")], **how)
    except OSError as error:
        return error
    return None


@contextlib.contextmanager
def _descriptors_left(count: int) -> Iterator[None]:
    """Only `count` more descriptors can be opened in here."""
    require("descriptor limit")
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
        assert not has_children()

    rig.in_run(start)


@behaviour
@needs("shell")
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
        assert not has_children()

    rig.in_run(start)


@behaviour
def a_file_that_is_no_program_is_an_error_of_spawn_process(rig: Rig) -> None:
    needs_children(rig.reactor)

    def start() -> None:
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "program")
            with open(program, "w") as file:
                file.write("neither a script nor a program")
            os.chmod(program, 0o700)
            for how in WAYS:
                assert _fails(rig, OSError, program, **how).errno == errno.ENOEXEC
        assert not has_children()

    rig.in_run(start)


@behaviour
def a_folder_that_does_not_exist_is_an_error_of_spawn_process(rig: Rig) -> None:
    needs_children(rig.reactor)

    def start() -> None:
        for how in WAYS:
            raised = _fails(rig, FileNotFoundError, PYTHON, path="/nonexistent/folder", **how)
            assert raised.filename == "/nonexistent/folder"
        assert not has_children()

    rig.in_run(start)


@behaviour
def arguments_that_no_program_can_get_are_refused(rig: Rig) -> None:
    needs_children(rig.reactor)

    def start() -> None:
        for how in WAYS:
            _fails(rig, ValueError, PYTHON + "\0", **how)
            _fails(rig, ValueError, PYTHON, ["a\0b"], **how)
            _fails(rig, ValueError, PYTHON, ["sh"], {"A": "\0"}, **how)
            _fails(rig, ValueError, PYTHON, ["sh"], {"A=B": "c"}, **how)
            _fails(rig, ValueError, PYTHON, ["sh"], {}, "a\0b", **how)
            _fails(rig, TypeError, PYTHON, ["sh", 1], **how)
            _fails(rig, TypeError, PYTHON, "sh -c exit", **how)
            _fails(rig, TypeError, None, **how)
        assert not has_children()

    rig.in_run(start)


@behaviour
@needs("users")
def what_is_no_user_is_refused(rig: Rig) -> None:
    needs_children(rig.reactor)

    def start() -> None:
        for how in WAYS:
            _fails(rig, TypeError, PYTHON, uid="nobody", **how)
            _fails(rig, ValueError, PYTHON, uid=-1, **how)
            _fails(rig, ValueError, PYTHON, gid=2**40, **how)
        assert not has_children()

    rig.in_run(start)


@behaviour
def what_no_child_can_have_on_this_system_is_refused_at_once(rig: Rig) -> None:
    needs_children(rig.reactor)
    ways: list[tuple[str, dict[str, Any]]] = [
        ("terminals", {"usePTY": True}),
        ("users", {"uid": 1}),
        ("users", {"gid": 1}),
        ("further descriptors", {"childFDs": {1: "r", 3: "r"}}),
    ]

    def start() -> None:
        for feature, how in ways:
            if why_missing(feature) is not None:
                _fails(rig, ValueError, PYTHON, **how)

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
            _fails(rig, ValueError, PYTHON, childFDs=uses)
        closed: list[Any] = [{0: "w", 1: "r", 2: write}, {0: "w", write: write}]
        for uses in closed:
            raised = _fails(rig, OSError, PYTHON, childFDs=uses)
            assert raised.errno == errno.EBADF
            assert str(write) in str(raised)
        _fails(rig, ValueError, PYTHON, childFDs={1: "r"}, usePTY=True)
        with raises(OSError, ValueError):
            rig.reactor.spawnProcess(Child(), PYTHON, childFDs={1: "r", 2**30: "w"})
        with raises(ValueError):
            rig.reactor.spawnProcess(None, PYTHON)
        with raises(ValueError):
            rig.reactor.spawnProcess(None, PYTHON, usePTY=True)
        assert not has_children()

    rig.in_run(start)


@behaviour
def a_process_without_descriptors_starts_no_child_until_it_has_some(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        begun = run_python(rig.reactor, "")
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
            child = run_python(rig.reactor, "sys.exit(7)", **how)
            later: Any = await child.ended
            assert later.exitCode == 7

    rig.play(scenario)
    assert not has_children()


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
        assert not has_children()

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
        child = run_python(rig.reactor, "say('fine')", protocol=Raising())
        other = run_python(rig.reactor, "say('fine')")
        await child.ended
        await other.ended
        assert child.data[1] == other.data[1] == b"fine"

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
        rig.reactor.spawnProcess(child, PYTHON, [PYTHON, *in_python("sys.exit(3)")], childFDs={})
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
        child = run_python(rig.reactor, "say('out'); sys.stdin.readline(); say('err', 2)", protocol=Raising())
        await child.lost(1)
        child.transport.write(b"go on\n")
        await child.ended
        assert child.data == {1: b"out", 2: b"err"}

    rig.play(scenario)
    rig.expect_errors(ValueError)


@behaviour
def a_child_takes_bytes_alone(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_python(rig.reactor, COPY)
        with raises(TypeError):
            child.transport.write("text")
        with raises(KeyError):
            child.transport.writeToChild(1, b"it is read, not written")
        with raises(KeyError):
            child.transport.writeToChild(9, b"there is none")
        with raises(ValueError):
            child.transport.signalProcess("NOSUCH")
        with raises(OSError, ValueError):
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
        other = subprocess.Popen([PYTHON, *in_python("sys.exit(3)")])
        ours = [run_python(rig.reactor, "sys.exit(4)") for _ in range(3)]
        for child in ours:
            ended: Any = await child.ended
            assert ended.exitCode == 4
        assert other.wait() == 3

    rig.play(scenario)


@behaviour
@needs("reaping")
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
@needs("reaping")
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
@needs("descriptor table")
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
    child = run_python(reactor, "sys.stdin.readline()")
    pid = child.transport.pid
    reactor.callWhenRunning(reactor.stop)
    reactor.run()
    wait_for_exit(pid)   # it ends with its input
