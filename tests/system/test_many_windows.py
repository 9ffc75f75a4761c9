"""Thousands of sockets, handles that are bad, and idleness, on the reactors that Windows alone has."""

from __future__ import annotations

import contextlib
import importlib
import socket
import time
from typing import Any

import pytest

from ropewalk.core import choose
from ropewalk.internet.defer import Deferred
from ropewalk.testing.features import why_missing
from ropewalk.testing.peers import IPV4, Echo, Recorder, Server
from ropewalk.testing.rig import Rig

_MISSING = why_missing("handles")
pytestmark = pytest.mark.skipif(_MISSING is not None, reason=str(_MISSING))
TEXT = b"are you there?"
LIMIT = 100   # seconds
IDLE = 1.0    # seconds


def rig_of(name: str) -> Rig:
    row = choose.choice(name)
    return Rig(getattr(importlib.import_module(f"ropewalk.internet.{row.module}"), row.reactor))


async def waits(rig: Rig, seconds: float) -> None:
    over: Deferred[None] = Deferred()
    rig.reactor.callLater(seconds, over.callback, None)
    await over


@pytest.mark.parametrize(("name", "connections"), [("iocp", 1000), ("wfmo", 500)])
def test_so_many_connections_each_with_two_sockets_here_echo_and_close(name: str, connections: int) -> None:
    with rig_of(name) as rig, contextlib.ExitStack() as opened:

        async def scenario() -> None:
            port = rig.reactor.listenTCP(0, Server(Echo), backlog=200, interface=IPV4)
            clients = []
            for number in range(connections):
                client = Recorder()
                plain = opened.enter_context(socket.create_connection((IPV4, port.getHost().port)))
                rig.reactor.adoptStreamConnection(plain.fileno(), socket.AF_INET, Server(lambda made=client: made))
                clients.append(client)
                if number % 50 == 49:
                    await port.factory.accepts(number + 1)
            opened.close()
            assert len(rig.reactor.transports) == 2 * connections + 1
            for client in clients:
                client.transport.write(TEXT)
            for client in clients:
                await client.gets(TEXT)
                client.transport.loseConnection()
            for server in port.factory.protocols:
                await server.ends()
            await port.stopListening()
            assert not rig.reactor.getReaders()

        rig.play(scenario, limit=LIMIT)


@pytest.mark.parametrize("name", ["select", "iocp", "wfmo"])
def test_an_idle_reactor_is_not_woken(name: str) -> None:
    with rig_of(name) as rig:
        here, there = rig.socket_pair()
        waited: list[float] = []

        async def scenario() -> None:
            port = rig.reactor.listenTCP(0, Server(Echo), interface=IPV4)
            await waits(rig, 0.1)
            poller, wait = rig.reactor.poller, rig.reactor.poller.wait

            def counted(timeout: float | None) -> list[tuple[int, int]]:
                waited.append(time.perf_counter())
                found: list[tuple[int, int]] = wait(timeout)
                return found

            poller.wait = counted
            await waits(rig, IDLE)
            del poller.wait
            await port.stopListening()

        rig.play(scenario)
        assert len(waited) <= 5, f"the poller was asked {len(waited)} times in {IDLE} s"
        del here, there


class Descriptor:
    """Something to watch, by its number."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.lost: list[Any] = []

    def fileno(self) -> int:
        return self.number

    def logPrefix(self) -> str:
        return "descriptor"

    def doRead(self) -> None:
        """There is nothing to read."""

    def connectionLost(self, reason: Any) -> None:
        self.lost.append(type(reason.value).__name__)


@pytest.mark.parametrize("name", ["iocp", "wfmo"])
def test_a_handle_that_is_no_socket_is_refused_with_what_can_be_watched(name: str, tmp_path: Any) -> None:
    import msvcrt

    with rig_of(name) as rig, (tmp_path / "file").open("wb") as file:
        handle = msvcrt.get_osfhandle(file.fileno())   # type: ignore[attr-defined]
        with pytest.raises(OSError, match="cannot be watched"):
            rig.reactor.addReader(Descriptor(handle))
        assert not rig.reactor.getReaders()


@pytest.mark.parametrize("name", ["select", "iocp", "wfmo"])
def test_a_socket_that_is_closed_behind_its_back_is_lost_and_the_others_go_on(name: str) -> None:
    with rig_of(name) as rig:
        here, there = rig.socket_pair()
        gone = Descriptor(here.fileno())

        async def scenario() -> None:
            rig.reactor.addReader(gone)
            await waits(rig, 0.05)
            here.close()
            there.close()
            await waits(rig, 0.1)
            assert gone.lost == ["ConnectionFdescWentAway"]
            assert not rig.reactor.getReaders()

        rig.play(scenario)


def test_select_refuses_a_socket_too_many_where_it_is_added_and_names_who_takes_it() -> None:
    with rig_of("select") as rig, contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(512)]
        for one in sockets[:-1]:
            rig.reactor.addReader(Descriptor(one.fileno()))
        with pytest.raises(OSError, match="use the iocp or wfmo reactor"):
            rig.reactor.addReader(Descriptor(sockets[-1].fileno()))
        assert len(rig.reactor.getReaders()) == 511
        rig.reactor.callWhenRunning(rig.reactor.stop)
        rig.run(installSignalHandlers=False)
