"""Line receivers over connections: what a line does to its connection holds for the lines that came with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ropewalk.errors import ConnectionAborted, ConnectionDone
from ropewalk.protocols.basic import LineReceiver
from ropewalk.testing.contract import behaviour
from ropewalk.testing.peers import Recorder, Witness, in_reactor, pair
from ropewalk.testing.rig import Rig


class _Lines(Witness, LineReceiver):
    """Keeps the lines that come; react(receiver, line) is called for each. It notes "lost"."""

    def __init__(self, react: Callable[[Any, bytes], object]) -> None:
        super().__init__()
        self.lines: list[bytes] = []
        self.reason: Any = None
        self._react = react

    def lineReceived(self, line: bytes) -> None:
        self.lines.append(line)
        self._react(self, line)
        self.stir()

    def connectionLost(self, reason: Any) -> None:
        self.reason = reason.value
        self.note("lost")


async def _pair(rig: Rig, react: Callable[[Any, bytes], object]) -> tuple[Any, Any]:
    return await pair(rig, Recorder, lambda: _Lines(react))


@behaviour
@in_reactor
async def lines_are_answered_in_order(rig: Rig) -> None:
    client, _ = await _pair(rig, lambda server, line: server.sendLine(line.upper()))
    client.transport.write(b"one\r\ntwo\r\nth")
    client.transport.write(b"ree\r\n")
    await client.gets(b"ONE\r\nTWO\r\nTHREE\r\n")


@behaviour
@in_reactor
async def no_line_comes_after_one_that_closed_the_connection(rig: Rig) -> None:
    def react(server: Any, line: bytes) -> None:
        server.sendLine(b"bye")
        server.transport.loseConnection()

    client, server = await _pair(rig, react)
    client.transport.write(b"one\r\ntwo\r\n")
    assert isinstance(await client.ends(), ConnectionDone)
    assert server.lines == [b"one"]
    assert client.received == b"bye\r\n"


@behaviour
@in_reactor
async def no_line_comes_after_one_that_aborted_the_connection(rig: Rig) -> None:
    client, server = await _pair(rig, lambda server, line: server.transport.abortConnection())
    client.transport.write(b"one\r\ntwo\r\n")
    await server.happens("lost")
    assert isinstance(server.reason, ConnectionAborted)
    assert server.lines == [b"one"]
    await client.ends()


@behaviour
@in_reactor
async def a_receiver_that_a_line_paused_reads_and_delivers_nothing_until_it_is_resumed(rig: Rig) -> None:
    client, server = await _pair(rig, lambda server, line: server.pauseProducing())
    client.transport.write(b"one\r\ntwo\r\n")
    await server.until(lambda: server.lines == [b"one"])
    assert server.transport not in rig.reactor.getReaders()
    client.transport.write(b"three\r\n")
    server.resumeProducing()
    assert server.lines == [b"one", b"two"]
    server.resumeProducing()
    await server.until(lambda: server.lines == [b"one", b"two", b"three"])


@behaviour
@in_reactor
async def a_peer_that_sends_a_line_without_end_is_disconnected(rig: Rig) -> None:
    client, server = await _pair(rig, lambda server, line: None)
    client.transport.write(b"x" * 1_000_000)
    await server.happens("lost")
    assert server.lines == []
    await client.ends()
