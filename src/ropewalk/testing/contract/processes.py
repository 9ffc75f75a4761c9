"""Child processes: what they get, what they write, how they end, and in which order that is told."""

from __future__ import annotations

import os
import signal
import tempfile
from functools import partial
from typing import Any

from ropewalk.internet import error
from ropewalk.internet.defer import Deferred
from ropewalk.internet.interfaces import IProcessTransport, IReactorProcess
from ropewalk.internet.protocol import ProcessProtocol
from ropewalk.testing.children import (
    COPY,
    PYTHON,
    Child,
    Gate,
    in_python,
    is_reaped,
    needs_children,
    run_python,
    run_shell,
)
from ropewalk.testing.contract import behaviour
from ropewalk.testing.features import needs
from ropewalk.testing.rig import Rig, open_descriptors, raises

MEGABYTE = 1_000_000
STANDARD = {0: "w", 1: "r", 2: "r"}


def soon(rig: Rig, seconds: float = 0.0) -> Deferred[None]:
    """A Deferred that fires in `seconds`."""
    fired: Deferred[None] = Deferred()
    rig.reactor.callLater(seconds, fired.callback, None)
    return fired


# -- what goes in and comes out


@behaviour
def what_is_written_to_a_child_comes_back(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_python(rig.reactor, COPY)
        child.transport.write(b"one ")
        child.transport.writeSequence([b"two ", b"three "])
        child.transport.writeToChild(0, b"four")
        child.transport.closeStdin()
        ended: Any = await child.ended
        assert isinstance(ended, error.ProcessDone)
        assert child.data == {1: b"one two three four"}

    rig.play(scenario)


@behaviour
def output_and_errors_of_a_child_come_apart(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_python(rig.reactor, "say('out'); say('err', 2)")
        await child.ended
        assert child.data == {1: b"out", 2: b"err"}

    rig.play(scenario)


@behaviour
def a_million_bytes_go_both_ways(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        sent = bytes(range(256)) * (MEGABYTE // 256)
        child = run_python(rig.reactor, COPY)
        child.transport.write(sent)
        child.transport.closeStdin()
        await child.ended
        assert child.data[1] == sent

    rig.play(scenario)


@behaviour
def a_child_that_does_not_read_pauses_the_producer_until_it_does(rig: Rig) -> None:
    needs_children(rig.reactor)
    paused: Deferred[None] = Deferred()
    told: list[str] = []

    class Producer:
        def pauseProducing(self) -> None:
            told.append("pause")
            paused.callback(None)

        def resumeProducing(self) -> None:
            told.append("resume")
            child.transport.unregisterProducer()
            child.transport.closeStdin()

        def stopProducing(self) -> None:
            told.append("stop")

    async def scenario() -> None:
        await child.wait_for(b"ready", 2)
        child.transport.registerProducer(Producer(), True)
        child.transport.write(bytes(MEGABYTE))
        await paused
        await soon(rig, 0.02)
        assert told == ["pause"]
        gate.open()
        await child.ended
        assert told == ["pause", "resume"]
        assert child.data[1].split() == [b"%d" % MEGABYTE]

    gate = rig.keep(Gate())
    program = gate.connect + "say('ready', 2)\n" + gate.wait + "print(len(sys.stdin.buffer.read()))"
    child = run_python(rig.reactor, program)
    rig.play(scenario)


@behaviour
def a_child_whose_output_is_not_read_waits_until_it_is(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_python(rig.reactor, f"sys.stdout.write('x' * {MEGABYTE})")
        child.transport.pauseProducing()
        await soon(rig, 0.1)
        assert child.data[1] == b""
        assert child.transport.pid is not None
        child.transport.resumeProducing()
        await child.ended
        assert child.data[1] == b"x" * MEGABYTE

    rig.play(scenario)


@behaviour
def a_child_is_a_producer_that_can_be_stopped(rig: Rig) -> None:
    """As a connection does that is its consumer, and is lost."""
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_python(rig.reactor, "while True: say('more')")
        await child.wait_for(b"more")
        child.transport.stopProducing()
        ended: Any = await child.ended
        assert ended.exitCode == 1

    rig.play(scenario)


@behaviour
def a_producer_for_a_child_without_standard_input_is_told_to_stop(rig: Rig) -> None:
    needs_children(rig.reactor)
    told: list[str] = []

    class Producer:
        def stopProducing(self) -> None:
            told.append("stop")

    async def scenario() -> None:
        child = run_python(rig.reactor, "", childFDs={1: "r"})
        child.transport.registerProducer(Producer(), True)
        child.transport.unregisterProducer()
        child.transport.write(b"nobody reads this")
        await child.ended
        assert told == ["stop"]

    rig.play(scenario)


# -- the order of things


@behaviour
def a_protocol_has_its_transport_before_spawn_process_returns(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = Child()
        transport = rig.reactor.spawnProcess(child, PYTHON, [PYTHON, *in_python("")])
        assert child.transport is transport
        assert child.events == [("made", transport.pid)]
        assert isinstance(transport, IProcessTransport)
        assert isinstance(rig.reactor, IReactorProcess)
        await child.ended

    rig.play(scenario)


@behaviour
def a_protocol_hears_of_each_standard_descriptor_by_its_name(rig: Rig) -> None:
    _hears_by_name(rig)


@behaviour
@needs("further descriptors")
def a_protocol_hears_of_no_other_descriptor_by_a_name(rig: Rig) -> None:
    _hears_by_name(rig, childFDs={**STANDARD, 3: "r"})


def _hears_by_name(rig: Rig, **how: Any) -> None:
    needs_children(rig.reactor)
    told: list[tuple[str, bytes]] = []
    over: Deferred[None] = Deferred()

    class Named(ProcessProtocol):
        def outReceived(self, data: bytes) -> None:
            told.append(("out", data))

        def errReceived(self, data: bytes) -> None:
            told.append(("err", data))

        def inConnectionLost(self) -> None:
            told.append(("in lost", b""))

        def outConnectionLost(self) -> None:
            told.append(("out lost", b""))

        def errConnectionLost(self) -> None:
            told.append(("err lost", b""))

        def processEnded(self, reason: Any) -> None:
            over.callback(None)

    async def scenario() -> None:
        run_python(rig.reactor, "say('1'); say('2', 2)", protocol=Named(), **how)
        await over
        assert sorted(told) == sorted(
            [("err", b"2"), ("out", b"1"), ("in lost", b""), ("out lost", b""), ("err lost", b"")]
        )

    rig.play(scenario)


@behaviour
def a_child_has_ended_when_it_has_exited_and_its_pipes_are_closed(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        before = open_descriptors()
        child = run_python(rig.reactor, "")
        pid, transport = child.transport.pid, child.transport
        await child.ended
        assert open_descriptors() == before
        kinds = [kind for kind, _ in child.events]
        assert (kinds[0], kinds[-1]) == ("made", "ended")
        assert sorted(kinds) == ["ended", "exited", "lost", "lost", "lost", "made"]
        assert sorted(child.told("lost")) == [0, 1, 2]
        assert transport.pid is None
        assert transport.status == 0
        assert transport.pipes == {}
        assert is_reaped(pid)
        assert transport not in rig.reactor.transports

    rig.play(scenario)


@behaviour
def a_grandchild_that_holds_a_pipe_delays_the_end_not_the_exit(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        grandchild = "import sys; print('got', sys.stdin.readline())"
        child = run_python(
            rig.reactor,
            "import subprocess\n"
            f"held = subprocess.Popen([sys.executable, '-S', '-c', {grandchild!r}], stdin=0, stdout=1, stderr=2)\n"
            "os._exit(5)",
        )
        exited: Any = await child.exited
        assert exited.exitCode == 5
        await soon(rig, 0.02)
        assert child.told("ended") == []
        assert {1, 2} <= child.transport.pipes.keys()
        child.transport.write(b"news\n")
        ended: Any = await child.ended
        assert ended.exitCode == 5
        assert child.data[1].split() == [b"got", b"news"]

    rig.play(scenario)


@behaviour
def a_child_that_closes_its_output_may_live_on(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_python(rig.reactor, "os.close(1); os.close(2); os._exit(len(sys.stdin.readline().strip()))")
        await child.lost(1)
        await child.lost(2)
        assert child.told("exited") == []
        child.transport.write(b"seven77\n")
        ended: Any = await child.ended
        assert ended.exitCode == 7

    rig.play(scenario)


@behaviour
def a_child_that_closes_its_input_is_noticed_without_a_write(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_python(rig.reactor, "os.close(0)\n" + gate.connect + gate.wait)
        await child.lost(0)
        assert child.told("exited") == []
        child.transport.write(b"dropped")
        child.transport.writeToChild(0, b"dropped, too")
        gate.open()
        await child.ended

    gate = rig.keep(Gate())
    rig.play(scenario)


@behaviour
def a_child_that_exits_without_reading_ends_whatever_is_unsent(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_python(rig.reactor, "say('bye'); sys.exit(2)")
        child.transport.write(bytes(MEGABYTE))
        child.transport.closeStdin()
        ended: Any = await child.ended
        assert ended.exitCode == 2
        assert child.data == {1: b"bye"}

    rig.play(scenario)


@behaviour
def what_a_child_wrote_last_is_read_after_its_exit(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_python(rig.reactor, "say('last words')")
        child.transport.pauseProducing()
        await child.exited
        assert child.data == {}
        child.transport.resumeProducing()
        await child.ended
        assert child.data == {1: b"last words"}

    rig.play(scenario)


# -- ends


@behaviour
def an_exit_code_is_told(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        for code in (1, 255):
            child = run_python(rig.reactor, f"sys.exit({code})")
            ended: Any = await child.ended
            assert isinstance(ended, error.ProcessTerminated)
            assert (ended.exitCode, ended.signal, ended.status) == (code, None, code << 8)
            assert child.told("exited")[0].exitCode == code
        child = run_python(rig.reactor, "sys.exit(0)")
        done: Any = await child.ended
        assert isinstance(done, error.ProcessDone)
        assert (done.exitCode, done.signal, done.status) == (0, None, 0)

    rig.play(scenario)


@behaviour
@needs("exit codes of 32 bits")
def an_exit_code_that_the_system_has_given_is_told(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        code = 0xC0000005   # STATUS_ACCESS_VIOLATION
        child = run_python(rig.reactor, f"os._exit({code - 2**32})")
        ended: Any = await child.ended
        assert (ended.exitCode, ended.signal, ended.status) == (code, None, code << 8)

    rig.play(scenario)


@behaviour
def a_child_can_be_ended_by_force(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        for how in ("KILL", "TERM", "SIGKILL", 9):
            child = run_python(rig.reactor, "say('up'); sys.stdin.read()")
            await child.wait_for(b"up")
            child.transport.signalProcess(how)
            assert isinstance(await child.ended, error.ProcessTerminated)

    rig.play(scenario)


@behaviour
@needs("signals")
def the_signal_that_ended_a_child_is_told(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        for asked, number in (
            ("KILL", signal.SIGKILL),
            ("TERM", signal.SIGTERM),
            ("INT", signal.SIGINT),
            ("HUP", signal.SIGHUP),
            ("SIGUSR1", signal.SIGUSR1),
            (int(signal.SIGQUIT), signal.SIGQUIT),
        ):
            child = run_shell(rig.reactor, "ulimit -c 0; echo up; read line")
            await child.wait_for(b"up")
            child.transport.signalProcess(asked)
            ended: Any = await child.ended
            assert isinstance(ended, error.ProcessTerminated)
            assert (ended.exitCode, ended.signal) == (None, number)

    rig.play(scenario)


@behaviour
def a_child_that_has_exited_gets_no_signal(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_python(rig.reactor, "")
        transport = child.transport
        await child.ended
        with raises(error.ProcessExitedAlready):
            transport.signalProcess("KILL")

    rig.play(scenario)


@behaviour
def a_reactor_that_stops_leaves_its_children_and_hears_of_them_when_it_runs_again(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def first() -> Child:
        return run_python(rig.reactor, gate.connect + gate.wait + "sys.exit(3)", childFDs={0: "w"})

    gate = rig.keep(Gate())
    child = rig.play(first)
    assert child.told("lost") == [0]
    assert child.told("exited") == []
    pid = child.transport.pid
    assert not is_reaped(pid)
    gate.open()
    ended = rig.run_until(child.ended)
    assert ended.exitCode == 3
    assert is_reaped(pid)


# -- what a child gets


@behaviour
def a_child_gets_the_environment_that_is_asked_for(rig: Rig) -> None:
    needs_children(rig.reactor)
    os.environ["ROPEWALK_TEST"] = "inherited"

    async def printed(**how: Any) -> bytes:
        program = "say(', '.join(os.environ.get(name, '-') for name in ('ROPEWALK_A', 'ROPEWALK_B', 'ROPEWALK_TEST')))"
        child = Child()
        rig.reactor.spawnProcess(child, PYTHON, [PYTHON, *in_python(program)], **how)
        await child.ended
        return child.data[1]

    async def scenario() -> None:
        asked = {"ROPEWALK_A": "\N{LATIN SMALL LETTER O WITH DIAERESIS}", b"ROPEWALK_B": b"2", "ROPEWALK_TEST": ""}
        assert await printed(env=asked) == "ö, 2, ".encode()
        assert await printed(env=None) == b"-, -, inherited"
        assert await printed(env=None, childFDs={1: "r"}) == b"-, -, inherited"

    try:
        rig.play(scenario)
    finally:
        del os.environ["ROPEWALK_TEST"]


@behaviour
@needs("bare environments")
def a_child_gets_nothing_but_the_environment_that_is_asked_for(rig: Rig) -> None:
    needs_children(rig.reactor)
    os.environ["ROPEWALK_TEST"] = "inherited"

    async def printed(**how: Any) -> bytes:
        child = Child()
        rig.reactor.spawnProcess(child, "/usr/bin/env", ["env"], **how)
        await child.ended
        return child.data[1]

    async def scenario() -> None:
        assert await printed() == b""
        assert await printed(env={}) == b""
        assert await printed(env={"A": "\N{LATIN SMALL LETTER O WITH DIAERESIS}", b"B": b"2"}) == "A=ö\nB=2\n".encode()
        assert b"ROPEWALK_TEST=inherited\n" in await printed(env=None)
        assert b"ROPEWALK_TEST=inherited\n" in await printed(env=None, childFDs={1: "r"})
        assert await printed(childFDs={1: "r"}) == b""

    try:
        rig.play(scenario)
    finally:
        del os.environ["ROPEWALK_TEST"]


@behaviour
def a_child_starts_in_the_folder_that_is_asked_for(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        with tempfile.TemporaryDirectory() as folder:
            for how in ({"path": folder}, {"path": os.fsencode(folder)}, {"path": folder, "childFDs": {1: "r"}}):
                child = run_python(rig.reactor, "say(os.getcwd())", **how)
                await child.ended
                assert os.path.samefile(child.data[1].decode(), folder)
            child = run_python(rig.reactor, "say(os.getcwd())")
            await child.ended
            assert os.path.samefile(child.data[1].decode(), ".")

    rig.play(scenario)


@behaviour
def a_program_without_a_folder_is_looked_for_in_the_path_of_its_environment(rig: Rig) -> None:
    needs_children(rig.reactor)
    folder, name = os.path.split(PYTHON)

    async def scenario() -> None:
        for uses in (None, {1: "r"}):
            child = Child()
            env = {"PATH": os.pathsep.join(("/nowhere", folder))}
            rig.reactor.spawnProcess(child, name, [PYTHON, *in_python("say('found')")], env=env, childFDs=uses)
            await child.ended
            assert child.data[1] == b"found"
            with raises(FileNotFoundError):
                rig.reactor.spawnProcess(Child(), name, env={"PATH": "/nowhere"}, childFDs=uses)

    rig.play(scenario)


@behaviour
def a_script_is_looked_for_like_a_program_and_run_by_the_one_that_it_names(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        with tempfile.TemporaryDirectory() as folder:
            script = os.path.join(folder, "ropewalk-test-script")
            with open(script, "w") as file:
                file.write(f"#!{PYTHON}\nimport os, sys\nos.write(1, ascii(sys.argv).encode())\n")
            os.chmod(script, 0o700)
            for uses in (None, {1: "r"}):
                child = Child()
                name, env = os.path.basename(script), {"PATH": os.pathsep.join(("/nowhere", folder))}
                rig.reactor.spawnProcess(child, name, [name, "two words"], env=env, childFDs=uses)
                await child.ended
                assert child.data[1].decode() == ascii([script, "two words"])

    rig.play(scenario)


@behaviour
def a_child_without_arguments_gets_its_own_name(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        for how in ({}, {"childFDs": {0: "w", 1: "r"}}):
            child = Child()
            rig.reactor.spawnProcess(child, PYTHON, **how)
            child.transport.write(b"import os, sys; os.write(1, repr(sys.orig_argv).encode())\n")
            child.transport.closeStdin()
            await child.ended
            assert child.data[1].decode() == repr([PYTHON])

    rig.play(scenario)


@behaviour
def an_argument_arrives_as_it_was_given(rig: Rig) -> None:
    needs_children(rig.reactor)
    given = ["", " ", "two words", '"', "\\", '\\"', "a\\\\b", 'say "yes"', "\\ ", "*", "%PATH%", "$PATH", "\t\n"]
    given.append("ö€\U0001f600")

    async def scenario() -> None:
        child = run_python(rig.reactor, "say(ascii(sys.argv[1:]))", *given)
        await child.ended
        assert child.data[1].decode() == ascii(given)

    rig.play(scenario)


@behaviour
def a_child_reads_and_writes_the_files_that_it_is_given(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
            source.write(b"from a file")
            source.flush()
            source.seek(0)
            child = run_python(rig.reactor, COPY, childFDs={0: source.fileno(), 1: target.fileno(), 2: "r"})
            await child.ended
            target.seek(0)
            assert target.read() == b"from a file"
            assert child.data == {}

    rig.play(scenario)


@behaviour
@needs("further descriptors")
def a_child_gets_the_descriptors_of_the_map_and_no_others(rig: Rig) -> None:
    needs_children(rig.reactor)
    read, write = os.pipe()
    os.set_inheritable(write, True)
    high = os.dup2(write, 60)

    async def opened(uses: Any) -> bytes:
        program = (
            "def is_open(fd):\n try: os.fstat(fd)\n except OSError: return False\n return True\n"
            "out = os.open(sys.argv[1], os.O_WRONLY)\n"
            "os.write(out, repr([fd for fd in range(64) if fd != out and is_open(fd)]).encode())"
        )
        with tempfile.NamedTemporaryFile() as file:
            child = run_python(rig.reactor, program, file.name, childFDs=uses)
            await child.ended
            return file.read()

    async def scenario() -> None:
        assert await opened(None) == b"[0, 1, 2]"
        assert await opened(STANDARD) == b"[0, 1, 2]"
        assert await opened({**STANDARD, read: read}) == b"[0, 1, 2, %d]" % read
        assert await opened({7: "r"}) == b"[7]"
        assert await opened({0: read, 1: write, 2: "r", 7: write, 40: "w"}) == b"[0, 1, 2, 7, 40]"

    rig.play(scenario)
    for one in (read, write, high):
        os.close(one)


@behaviour
@needs("further descriptors")
def descriptors_may_trade_places_on_their_way_to_a_child(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario(one: int, two: int) -> None:
        program = f"os.write({two}, b'one'); os.write({one}, b'two')"
        child = run_python(rig.reactor, program, childFDs={one: two, two: one, 1: one})
        await child.ended

    with tempfile.TemporaryFile() as first, tempfile.TemporaryFile() as second:
        rig.play(partial(scenario, first.fileno(), second.fileno()))
        first.seek(0)
        second.seek(0)
        assert (first.read(), second.read()) == (b"one", b"two")


@behaviour
@needs("further descriptors")
def any_descriptor_of_a_child_can_be_a_pipe(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_shell(rig.reactor, "cat <&4 >&3; echo more >&1", childFDs={1: "r", 3: "r", 4: "w"})
        child.transport.writeToChild(4, b"through")
        child.transport.closeChildFD(4)
        child.transport.closeChildFD(77)
        await child.ended
        assert child.data == {1: b"more\n", 3: b"through"}
        assert sorted(child.told("lost")) == [1, 3, 4]

    rig.play(scenario)


@behaviour
def a_child_needs_no_pipes_and_no_protocol(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        with open(os.devnull, "r+b") as nothing:
            uses = dict.fromkeys((0, 1, 2), nothing.fileno())
            child = run_python(rig.reactor, "sys.exit(4)", childFDs=uses)
            ended: Any = await child.ended
            assert ended.exitCode == 4
            alone = rig.reactor.spawnProcess(None, PYTHON, [PYTHON, *in_python("")], childFDs={})
            pid = alone.pid
            while alone.pid is not None:
                await soon(rig, 0.005)
            assert is_reaped(pid)

    rig.play(scenario)


@behaviour
@needs("signals")
def a_child_has_the_signals_of_a_fresh_program(rig: Rig) -> None:
    """Python ignores SIGPIPE, nohup SIGHUP; what is ignored, or blocked in this thread, is not to be so there."""
    needs_children(rig.reactor)
    look = (
        "import signal\n"
        "print(signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL, signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    )

    async def scenario() -> None:
        for uses in (None, {1: "r"}):
            for number in (signal.SIGPIPE, signal.SIGHUP):
                child = run_shell(rig.reactor, f"kill -{int(number)} $$; echo alive", childFDs=uses)
                ended: Any = await child.ended
                assert ended.signal == number
            child = run_python(rig.reactor, look, childFDs=uses)
            await child.ended
            assert child.data[1] == b"True set()\n"

    handlers = [
        (signal.SIGUSR1, signal.signal(signal.SIGUSR1, lambda number, frame: None)),
        (signal.SIGHUP, signal.signal(signal.SIGHUP, signal.SIG_IGN)),
    ]
    try:
        rig.play(scenario)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        rig.play(scenario)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)


# -- closing


@behaviour
def a_child_whose_output_is_closed_cannot_write_it(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_python(rig.reactor, "sys.stdin.readline(); say('lost')")
        child.transport.closeStdout()
        await child.lost(1)
        child.transport.write(b"go\n")
        ended: Any = await child.ended
        assert ended.exitCode == 1
        assert child.data[1] == b""

    rig.play(scenario)


@behaviour
def lose_connection_closes_the_standard_descriptors(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "file")
            child = run_python(rig.reactor, "open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())", path)
            child.transport.write(b"before the end")
            child.transport.loseConnection()
            await child.ended
            with open(path, "rb") as file:
                assert file.read() == b"before the end"
            assert child.data == {}

    rig.play(scenario)


@behaviour
def a_child_and_this_process_are_the_ends_of_a_transport(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        child = run_python(rig.reactor, "")
        assert child.transport.getPeer() == (child.transport.pid, PYTHON)
        assert child.transport.getHost().pid == os.getpid()
        await child.ended

    rig.play(scenario)
