"""Programs as functions (internet.utils) and as endpoints: their output, their exit code, their ends."""

from __future__ import annotations

import os
import signal
from typing import Any

from ropewalk.internet import endpoints, error, utils
from ropewalk.internet.defer import CancelledError, Deferred
from ropewalk.internet.protocol import Factory, Protocol
from ropewalk.testing.children import SHELL, needs_children
from ropewalk.testing.contract import behaviour
from ropewalk.testing.rig import Rig, raises


def _shell(script: str) -> tuple[str, tuple[str, ...]]:
    return SHELL, ("-c", script)


# -- internet.utils


@behaviour
def the_output_of_a_program_is_a_deferred(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        output = utils.getProcessOutput
        assert await output(*_shell("echo $A; pwd; exit 3"), {"A": "b"}, "/", rig.reactor) == b"b\n/\n"
        both = await output(*_shell("echo out; echo err >&2"), reactor=rig.reactor, errortoo=True)
        assert sorted(both.split()) == [b"err", b"out"]

    rig.play(scenario)


@behaviour
def unexpected_error_output_fails_and_the_end_can_be_awaited(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        with raises(OSError) as raised:
            await utils.getProcessOutput(*_shell("echo oops >&2; read line; exit 5"), reactor=rig.reactor)
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
        assert await utils.getProcessValue("/bin/sh", ("-c", "exit 7"), reactor=rig.reactor) == 7
        assert await utils.getProcessValue(*_shell("echo much >&2; exit 0"), reactor=rig.reactor) == 0
        assert await utils.getProcessValue(*_shell("kill -9 $$"), reactor=rig.reactor) is None
        assert await utils.getProcessValue(*_shell("cd $A; exit $B"), {"A": "dev", "B": "6"}, "/", rig.reactor) == 6

    rig.play(scenario)


@behaviour
def the_output_and_the_exit_code_of_a_program_are_a_deferred(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        everything = utils.getProcessOutputAndValue
        assert await everything(*_shell("echo a; echo b >&2; exit 4"), reactor=rig.reactor) == (b"a\n", b"b\n", 4)
        assert await everything(*_shell("echo $A; pwd"), {"A": "b"}, "/", rig.reactor) == (b"b\n/\n", b"", 0)
        sent = bytes(100_000)
        assert await everything(*_shell("cat"), reactor=rig.reactor, stdinBytes=sent) == (sent, b"", 0)
        assert await everything(*_shell("cat"), reactor=rig.reactor, stdinBytes=b"") == (b"", b"", 0)
        with raises(utils.KilledWithOutput) as raised:
            await everything(*_shell("echo a; echo b >&2; kill $$"), reactor=rig.reactor)
        killed: Any = raised[0]
        assert tuple(killed) == (b"a\n", b"b\n", signal.SIGTERM)

    rig.play(scenario)


@behaviour
def a_program_that_cannot_be_started_is_a_failure(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        for call in (utils.getProcessOutput, utils.getProcessValue, utils.getProcessOutputAndValue):
            with raises(FileNotFoundError):
                await call("/nonexistent/program", reactor=rig.reactor)
            with raises(TypeError):
                await call("/bin/ls", "-l", reactor=rig.reactor)

    rig.play(scenario)


@behaviour
def a_program_whose_result_is_cancelled_is_killed(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        before = set(rig.reactor.transports)
        for script in ("exec sleep 60", "sleep 60"):
            result = utils.getProcessOutput(*_shell(script), reactor=rig.reactor)
            result.cancel()
            with raises(CancelledError):
                await result
        while set(rig.reactor.transports) != before:
            turn: Deferred[None] = Deferred()
            rig.reactor.callLater(0.005, turn.callback, None)
            await turn
        with raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

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

        endpoint = endpoints.ProcessEndpoint(rig.reactor, "/bin/cat", ["cat"])
        talk = await endpoint.connect(Talks())
        assert addresses[0].executable == "/bin/cat"
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
        endpoint = endpoints.ProcessEndpoint(rig.reactor, SHELL, ["sh", "-c", "echo bye; exit 3"])
        talk = await endpoint.connect(Factory.forProtocol(_Talk))
        ended = await talk.lost
        assert isinstance(ended, error.ProcessTerminated)
        assert ended.exitCode == 3
        assert talk.data == b"bye\n"

    rig.play(scenario)


@behaviour
def what_an_endpoints_program_writes_to_its_standard_error_is_no_data(rig: Rig) -> None:
    needs_children(rig.reactor)

    async def scenario() -> None:
        for behaviour_ in endpoints.StandardErrorBehavior:
            endpoint = endpoints.ProcessEndpoint(
                rig.reactor, SHELL, ["sh", "-c", "echo data; echo err >&2"], errFlag=behaviour_
            )
            talk = await endpoint.connect(Factory.forProtocol(_Talk))
            assert isinstance(await talk.lost, error.ConnectionDone)
            assert talk.data == b"data\n"

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
            await endpoints.ProcessEndpoint(rig.reactor, "/bin/cat").connect(refusing)

    rig.play(scenario)
