"""Programs as functions (internet.utils) and as endpoints: their output, their exit code, their ends."""

from __future__ import annotations

import os
import signal
from typing import Any

from ropewalk.internet import endpoints, error, utils
from ropewalk.internet.defer import CancelledError, Deferred
from ropewalk.internet.protocol import Factory, Protocol
from ropewalk.testing.children import COPY, PYTHON, has_children, in_python, needs_children
from ropewalk.testing.contract import behaviour
from ropewalk.testing.features import needs
from ropewalk.testing.rig import Rig, raises


def _python(program: str) -> tuple[str, list[str]]:
    return PYTHON, in_python(program)


_WHERE = "say(os.environ['ROPEWALK_A'] + ' ' + os.getcwd())\n"
ROOT = os.path.abspath("/").encode()

# -- internet.utils


@behaviour
def the_output_of_a_program_is_a_deferred(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        output = utils.getProcessOutput
        said = await output(*_python(_WHERE + "sys.exit(3)"), {"ROPEWALK_A": "b"}, "/", rig.reactor)
        assert said == b"b " + ROOT
        both = await output(*_python("say('out '); say('err ', 2)"), reactor=rig.reactor, errortoo=True)
        assert sorted(both.split()) == [b"err", b"out"]

    rig.play(scenario)


@behaviour
def unexpected_error_output_fails_and_the_end_can_be_awaited(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        with raises(OSError) as raised:
            program = "say('oops', 2); sys.stdin.readline(); sys.exit(5)"
            await utils.getProcessOutput(*_python(program), reactor=rig.reactor)
        failed: Any = raised[0]
        assert "oops" in str(failed)
        with raises(error.ProcessTerminated) as ended:
            await failed.processEnded
        assert ended[0].exitCode == 5  # type: ignore[attr-defined]

    rig.play(scenario)


@behaviour
def the_exit_code_of_a_program_is_a_deferred(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        value = utils.getProcessValue
        assert await value(*_python("sys.exit(7)"), reactor=rig.reactor) == 7
        assert await value(*_python("say('much', 2)"), reactor=rig.reactor) == 0
        asked = "sys.exit(int(os.environ['ROPEWALK_A']))"
        assert await value(*_python(asked), {"ROPEWALK_A": "6"}, "/", rig.reactor) == 6

    rig.play(scenario)


@behaviour
def the_output_and_the_exit_code_of_a_program_are_a_deferred(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        everything = utils.getProcessOutputAndValue
        both = "say('a'); say('b', 2); sys.exit(4)"
        assert await everything(*_python(both), reactor=rig.reactor) == (b"a", b"b", 4)
        assert await everything(*_python(_WHERE), {"ROPEWALK_A": "b"}, "/", rig.reactor) == (b"b " + ROOT, b"", 0)
        sent = bytes(100_000)
        assert await everything(*_python(COPY), reactor=rig.reactor, stdinBytes=sent) == (sent, b"", 0)
        assert await everything(*_python(COPY), reactor=rig.reactor, stdinBytes=b"") == (b"", b"", 0)

    rig.play(scenario)


@behaviour
@needs("signals")
def a_program_that_a_signal_ends_has_no_exit_code(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        killed = "say('a'); say('b', 2); os.kill(os.getpid(), 15)"
        assert await utils.getProcessValue(*_python(killed), reactor=rig.reactor) is None
        with raises(utils.KilledWithOutput) as raised:
            await utils.getProcessOutputAndValue(*_python(killed), reactor=rig.reactor)
        output: Any = raised[0]
        assert tuple(output) == (b"a", b"b", signal.SIGTERM)

    rig.play(scenario)


@behaviour
def a_program_that_cannot_be_started_is_a_failure(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        for call in (utils.getProcessOutput, utils.getProcessValue, utils.getProcessOutputAndValue):
            with raises(FileNotFoundError):
                await call("/nonexistent/program", reactor=rig.reactor)
            with raises(TypeError):
                await call(PYTHON, "-V", reactor=rig.reactor)

    rig.play(scenario)


@behaviour
def a_program_whose_result_is_cancelled_is_killed(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        before = set(rig.reactor.transports)
        sleeps = "import sys; sys.stdin.read()"   # until it is told that nothing will come
        held = f"import subprocess; subprocess.run([sys.executable, '-S', '-c', {sleeps!r}], stdin=0, stdout=1)"
        for program in (sleeps, held):
            result = utils.getProcessOutput(*_python(program), reactor=rig.reactor)
            result.cancel()
            with raises(CancelledError):
                await result
        while set(rig.reactor.transports) != before:
            turn: Deferred[None] = Deferred()
            rig.reactor.callLater(0.005, turn.callback, None)
            await turn
        assert not has_children()

    rig.play(scenario)


# -- ProcessEndpoint


class _Talk(Protocol):
    """Records."""

    def __init__(self) -> None:
        self.data = b""
        self.arrived: Deferred[None] = Deferred()
        self.lost: Deferred[Any] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if not self.arrived.called:
            self.arrived.callback(None)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(reason.value)


@behaviour
def a_program_is_an_endpoint_to_connect_to(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        addresses: list[Any] = []

        class Talks(Factory):
            def buildProtocol(self, addr: Any) -> Any:
                addresses.append(addr)
                return _Talk()

        endpoint = endpoints.ProcessEndpoint(rig.reactor, PYTHON, [PYTHON, *in_python(COPY)])
        talk = await endpoint.connect(Talks())
        assert addresses[0].executable == PYTHON
        talk.transport.write(b"hello")
        await talk.arrived
        assert talk.data == b"hello"
        talk.transport.loseConnection()
        assert isinstance(await talk.lost, error.ConnectionDone)

    rig.play(scenario)


@behaviour
def the_end_of_an_endpoints_program_is_the_end_of_the_connection(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        program = in_python("say('bye'); sys.exit(3)")
        endpoint = endpoints.ProcessEndpoint(rig.reactor, PYTHON, [PYTHON, *program])
        talk = await endpoint.connect(Factory.forProtocol(_Talk))
        ended = await talk.lost
        assert isinstance(ended, error.ProcessTerminated)
        assert ended.exitCode == 3
        assert talk.data == b"bye"

    rig.play(scenario)


@behaviour
def what_an_endpoints_program_writes_to_its_standard_error_is_no_data(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        for behaviour_ in endpoints.StandardErrorBehavior:
            args = [PYTHON, *in_python("say('data'); say('err', 2)")]
            endpoint = endpoints.ProcessEndpoint(rig.reactor, PYTHON, args, errFlag=behaviour_)
            talk = await endpoint.connect(Factory.forProtocol(_Talk))
            assert isinstance(await talk.lost, error.ConnectionDone)
            assert talk.data == b"data"

    rig.play(scenario)


@behaviour
def an_endpoint_whose_program_cannot_be_started_fails(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        with raises(FileNotFoundError):
            await endpoints.ProcessEndpoint(rig.reactor, "/nonexistent").connect(Factory.forProtocol(_Talk))
        refusing = Factory()
        refusing.buildProtocol = lambda addr: None  # type: ignore[method-assign]
        with raises(error.NoProtocol):
            await endpoints.ProcessEndpoint(rig.reactor, PYTHON).connect(refusing)

    rig.play(scenario)
