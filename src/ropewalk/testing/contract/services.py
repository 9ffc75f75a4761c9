"""Services: what listens, connects, calls and runs programs on a reactor, from its start to its stop."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from ropewalk.application import app, internet, strports
from ropewalk.application.procmon import ProcessMonitor
from ropewalk.application.service import Application, MultiService, Service
from ropewalk.errors import CannotListenError, ConnectionDone, ConnectionRefusedError
from ropewalk.internet.defer import Deferred
from ropewalk.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from ropewalk.testing.children import PYTHON, is_reaped, needs_children
from ropewalk.testing.contract import behaviour
from ropewalk.testing.datagram_peers import Answering, Datagrams
from ropewalk.testing.peers import IPV4, Client, Echo, Server, Witness, dial, in_reactor, listen, passes
from ropewalk.testing.rig import Rig, raises
from ropewalk.testing.unix_peers import folder

_LOCAL = f"tcp:0:interface={IPV4}"


@behaviour
@in_reactor
async def a_service_that_is_given_no_reactor_listens_on_the_one_that_runs(rig: Rig) -> None:
    application = Application("echo")
    listening = strports.service(_LOCAL, Server(Echo))
    listening.setServiceParent(application)
    assert app.startApplication(application) is None
    address = listening.port.getHost()
    client = await dial(rig, address).connects()
    client.transport.write(b"hello")
    await client.gets(b"hello")
    await application.stopService()
    refused = dial(rig, address)
    assert isinstance(await refused.fails(), ConnectionRefusedError)
    client.transport.write(b" again")   # who is connected stays so
    await client.gets(b"hello again")
    client.transport.loseConnection()
    await client.ends()


@behaviour
@in_reactor
async def a_service_whose_port_is_taken_raises_and_the_others_can_be_stopped(rig: Rig) -> None:
    taken = listen(rig)
    whole = MultiService()
    first = internet.TCPServer(0, Server(), interface=IPV4)
    second = strports.service(f"tcp:{taken.getHost().port}:interface={IPV4}", Server())
    third = internet.TCPServer(0, Server(), interface=IPV4)
    for service in (first, second, third):
        service.setServiceParent(whole)
    with raises(CannotListenError):
        whole.privilegedStartService()
    await whole.stopService()
    await taken.stopListening()
    assert not rig.reactor.transports


@behaviour
@in_reactor
async def tcp_and_udp_servers_and_clients_are_services(rig: Rig) -> None:
    server, client = Server(Echo), Client()
    whole = MultiService()
    internet.TCPServer(0, server, interface=IPV4).setServiceParent(whole)
    hears = Answering()
    internet.UDPServer(0, hears, interface=IPV4).setServiceParent(whole)
    whole.startService()
    (port,) = [one for one in rig.reactor.transports if getattr(one, "factory", None) is server]
    internet.TCPClient(IPV4, port.getHost().port, client).setServiceParent(whole)
    asks = Datagrams()
    internet.UDPServer(0, asks, interface=IPV4).setServiceParent(whole)

    connected = await client.connects()
    connected.transport.write(b"stream")
    await connected.gets(b"stream")
    asks.transport.write(b"datagram", (IPV4, hears.transport.getHost().port))
    await asks.gets(b"DATAGRAM")
    await whole.stopService()
    assert isinstance(await connected.ends(), ConnectionDone)


@behaviour
@in_reactor
async def unix_servers_and_clients_are_services(rig: Rig) -> None:
    path = os.path.join(folder(rig), "port")
    client = Client()
    whole = MultiService()
    internet.UNIXServer(path, Server(Echo)).setServiceParent(whole)
    internet.UNIXClient(path, client).setServiceParent(whole)
    whole.startService()
    connected = await client.connects()
    connected.transport.write(b"local")
    await connected.gets(b"local")
    await whole.stopService()
    assert isinstance(await connected.ends(), ConnectionDone)
    assert not os.path.exists(path)


@behaviour
@in_reactor
async def a_client_service_connects_again_when_its_server_comes_back(rig: Rig) -> None:
    port = listen(rig, Echo)
    address = port.getHost()
    endpoint = TCP4ClientEndpoint(rig.reactor, address.host, address.port)
    service = internet.ClientService(endpoint, Client(), lambda failures: 0.01)
    service.startService()
    first = await service.whenConnected()
    accepted = await port.factory.accepts()
    await port.stopListening()
    accepted.transport.loseConnection()
    await first.ends()
    refused = await _failure(service.whenConnected(failAfterFailures=2))
    assert isinstance(refused, ConnectionRefusedError)
    again = rig.reactor.listenTCP(address.port, Server(Echo), interface=IPV4)
    second = await service.whenConnected()
    second.transport.write(b"back")
    await second.gets(b"back")
    await service.stopService()
    assert second.reason is not None
    await again.stopListening()


async def _failure(deferred: Deferred[Any]) -> Exception:
    try:
        await deferred
    except Exception as error:
        return error
    raise AssertionError("it has not failed")


@behaviour
@in_reactor
async def a_client_service_that_is_stopped_while_it_connects_leaves_nothing(rig: Rig) -> None:
    port = listen(rig)
    endpoint = TCP4ClientEndpoint(rig.reactor, IPV4, port.getHost().port)
    service = internet.ClientService(endpoint, Client())
    service.startService()
    await service.stopService()
    await port.stopListening()
    for accepted in port.factory.protocols:
        await accepted.ends()


@behaviour
@in_reactor
async def a_timer_service_calls_until_it_is_stopped(rig: Rig) -> None:
    seen = Witness()
    service = internet.TimerService(0.005, seen.note, "called")
    service.startService()
    await seen.happens("called", 3)
    stopping = service.stopService()
    assert stopping is not None
    await stopping
    calls = len(seen.events)
    await passes(rig, 0.02)
    assert len(seen.events) == calls


@behaviour
@in_reactor
async def a_service_that_is_up_only_later_delays_the_start_of_the_whole(rig: Rig) -> None:
    class Slow(Service):
        def startService(self) -> Any:
            super().startService()
            up: Deferred[None] = Deferred()
            rig.reactor.callLater(0.01, up.callback, None)
            return up

    class Later:
        """An endpoint that listens in a moment."""

        def listen(self, factory: Any) -> Any:
            listening: Deferred[Any] = Deferred()
            rig.reactor.callLater(0.005, listening.callback, None)
            return listening.addCallback(lambda _: TCP4ServerEndpoint(rig.reactor, 0, 50, IPV4).listen(factory))

    whole = MultiService()
    Slow().setServiceParent(whole)
    listening = internet.StreamServerEndpointService(Later(), Server())
    listening.setServiceParent(whole)
    started = whole.startService()
    assert started is not None
    await started
    assert listening.port.getHost().port
    await whole.stopService()


# -- programs that are kept running


class _Monitor(ProcessMonitor):
    """A monitor of a program that writes its process number to a file. Restarts are quick.

    before, after: what else the program does.
    """

    minRestartDelay = 0.01

    def __init__(self, rig: Rig, before: str = "", after: str = "") -> None:
        super().__init__(rig.reactor)
        self._rig = rig
        self._file = os.path.join(rig.keep(tempfile.TemporaryDirectory()), "numbers")
        told = f"print(os.getpid(), file=open({self._file!r}, 'a'), flush=True)"
        code = "\n".join(["import os, signal, sys", before, told, after])
        self.addProcess("program", [PYTHON, "-S", "-c", code], env=os.environ)

    async def starts(self, number: int) -> list[int]:
        """Wait until the program has been started so often; the process numbers."""
        while len(self._numbers()) < number:
            await passes(self._rig, 0.01)
        return self._numbers()

    def _numbers(self) -> list[int]:
        if not os.path.exists(self._file):
            return []
        with open(self._file, encoding="ascii") as file:
            return [int(line) for line in file if line.endswith("\n")]


_WAITS = "sys.stdin.read()"
_STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@behaviour
@in_reactor
async def a_program_that_ends_is_started_again_until_its_monitor_is_stopped(rig: Rig) -> None:
    needs_children(rig.reactor)
    monitor = _Monitor(rig)
    monitor.startService()
    numbers = await monitor.starts(3)
    assert len(set(numbers)) == len(numbers)
    stopping = monitor.stopService()
    if stopping is not None:
        await stopping
    number = len(await monitor.starts(0))
    await passes(rig, 0.05)
    assert len(await monitor.starts(0)) == number


@behaviour
@in_reactor
async def a_stopped_monitor_leaves_no_program_behind(rig: Rig) -> None:
    needs_children(rig.reactor)
    monitor = _Monitor(rig, after=_WAITS)
    monitor.startService()
    (number,) = await monitor.starts(1)
    stopping = monitor.stopService()
    assert stopping is not None
    await stopping
    assert is_reaped(number)


@behaviour
@in_reactor
async def a_program_that_does_not_end_when_it_is_told_to_is_killed(rig: Rig) -> None:
    needs_children(rig.reactor)
    monitor = _Monitor(rig, _STUBBORN, _WAITS)
    monitor.killTime = 0.2
    monitor.startService()
    (number,) = await monitor.starts(1)
    stopping = monitor.stopService()
    assert stopping is not None
    await stopping
    assert is_reaped(number)


@behaviour
@in_reactor
async def a_program_that_a_running_monitor_stops_is_started_again(rig: Rig) -> None:
    needs_children(rig.reactor)
    monitor = _Monitor(rig, after=_WAITS)
    monitor.startService()
    await monitor.starts(1)
    restarting = monitor.restartAll()
    assert restarting is not None
    await restarting
    first, second = await monitor.starts(2)
    assert is_reaped(first)
    assert not is_reaped(second)
    removed = monitor.removeProcess("program")
    assert removed is not None
    await removed
    assert is_reaped(second)
    monitor.stopService()
    with raises(KeyError):
        monitor.stopProcess("program")
