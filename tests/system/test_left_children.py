"""What a program leaves when it ends: a child that goes on, input that nobody has typed. Neither keeps it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.testing.children import Gate, run_python
from ropewalk.testing.rig import Rig

_BEGINNING = """
import os, sys
from ropewalk.internet import reactor
from ropewalk.internet.protocol import ProcessProtocol, Protocol
from ropewalk.internet.stdio import StandardIO
"""
_LEAVES_A_CHILD = """
class Child(ProcessProtocol):
    def outReceived(self, data):
        {leave}
reactor.spawnProcess(Child(), sys.executable, [sys.executable, "-S", "-c", {child!r}], env=None)
reactor.run()
print("over", flush=True)
"""
_READS = """
class Reads(Protocol):
    def connectionMade(self):
        reactor.callLater(0, {leave})
reactor.callWhenRunning(StandardIO, Reads())
reactor.run()
print("over", file=sys.stderr, flush=True)
"""


def _run(program: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _BEGINNING + program]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, **pipes)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("leave", ["reactor.stop()", "os._exit(0)", "reactor.crash()"])
def test_a_program_ends_while_its_child_goes_on(leave: str) -> None:
    with Gate() as gate:
        child = gate.connect + "import os; os.write(1, b'up')\n" + gate.wait
        with _run(_LEAVES_A_CHILD.format(leave=leave, child=child)) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            said = process.stdout.read()   # the child, whose output is another, does not hold it open
            assert process.wait() == 0
            assert said.strip() == (b"" if "exit" in leave else b"over")
            gate.open()


@pytest.mark.parametrize("leave", ["reactor.stop", "reactor.crash"])
def test_a_program_ends_while_nobody_types(leave: str) -> None:
    with _run(_READS.format(leave=leave)) as process:
        assert process.stderr is not None
        assert process.stderr.read().strip() == b"over"
        assert process.wait() == 0


def test_fifty_children_at_once_are_told_apart() -> None:
    with Rig(SelectReactor) as rig:

        async def scenario() -> None:
            children = [run_python(rig.reactor, f"say('{number}'); sys.exit({number})") for number in range(50)]
            for number, child in enumerate(children):
                ended = await child.ended
                assert getattr(ended, "exitCode", 0) == number
                assert child.data == {1: str(number).encode()}

        rig.play(scenario)
