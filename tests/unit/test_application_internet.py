"""Services around a reactor, in memory: what they ask of it when they are started and stopped."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from ropewalk.application import internet, strports
from ropewalk.errors import CannotListenError
from ropewalk.internet.defer import Deferred, fail
from ropewalk.internet.endpoints import TCP4ServerEndpoint
from ropewalk.internet.failure import Failure
from ropewalk.internet.protocol import ClientFactory, DatagramProtocol, Factory, Protocol
from ropewalk.internet.task import Clock, SchedulerStopped
from ropewalk.testing.reactors import MemoryReactorClock, RaisingMemoryReactor

BUSY = CannotListenError("127.0.0.1", 80, OSError(98, "Address already in use"))

SERVERS: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "tcp": (internet.TCPServer, (80, Factory()), "tcpServers"),
    "ssl": (internet.SSLServer, (443, Factory(), object()), "sslServers"),
    "unix": (internet.UNIXServer, ("/path", Factory()), "unixServers"),
    "udp": (internet.UDPServer, (53, DatagramProtocol()), "udpPorts"),
    "multicast": (internet.MulticastServer, (53, DatagramProtocol()), "multicastPorts"),
    "unix datagrams": (internet.UNIXDatagramServer, ("/path", DatagramProtocol()), "unixDatagramServers"),
}
CLIENTS: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "tcp": (internet.TCPClient, ("host", 80, ClientFactory()), "tcpClients"),
    "ssl": (internet.SSLClient, ("host", 443, ClientFactory(), object()), "sslClients"),
    "unix": (internet.UNIXClient, ("/path", ClientFactory()), "unixClients"),
}


def outcomes(deferred: Any) -> list[Any]:
    found: list[Any] = []
    deferred.addBoth(found.append)
    return found


class Endpoint:
    """An endpoint whose answer the test gives."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.answer: Deferred[Any] = Deferred()

    def listen(self, factory: Any) -> Any:
        self.asked.append(factory)
        return self.answer


class Port:
    """A port that has stopped when the test says so."""

    def __init__(self) -> None:
        self.stopped: Deferred[None] = Deferred()

    def stopListening(self) -> Any:
        return self.stopped


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_listens_from_its_start_to_its_stop(kind: str) -> None:
    make, arguments, kept = SERVERS[kind]
    reactor = MemoryReactorClock()
    service = make(*arguments, reactor=reactor)
    service.startService()
    (asked,) = getattr(reactor, kept)
    assert asked[: len(arguments)] == arguments
    assert service.running
    assert arguments[1].numPorts == 1
    assert outcomes(service.stopService()) == [None]
    assert arguments[1].numPorts == 0
    assert not service.running


def test_a_server_that_was_started_with_privileges_does_not_listen_twice() -> None:
    reactor = MemoryReactorClock()
    service = internet.TCPServer(80, Factory(), reactor=reactor, interface="::1")
    service.privilegedStartService()
    service.startService()
    assert len(reactor.tcpServers) == 1
    assert reactor.tcpServers[0][3] == "::1"


def test_a_server_may_be_started_again() -> None:
    reactor = MemoryReactorClock()
    service = internet.TCPServer(80, Factory(), reactor=reactor)
    for _ in range(2):
        service.startService()
        service.stopService()
    assert len(reactor.tcpServers) == 2


def test_a_server_that_cannot_listen_raises_and_does_not_run() -> None:
    service = internet.TCPServer(80, Factory(), reactor=RaisingMemoryReactor(listenException=BUSY))
    with pytest.raises(CannotListenError):
        service.startService()
    assert not service.running
    assert service.stopService() is None


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_client_connects_at_its_start_and_disconnects_at_its_stop(kind: str) -> None:
    make, arguments, kept = CLIENTS[kind]
    reactor = MemoryReactorClock()
    service = make(*arguments, reactor=reactor)
    service.privilegedStartService()
    assert getattr(reactor, kept) == []
    service.startService()
    assert len(getattr(reactor, kept)) == 1
    service.stopService()
    assert reactor.connectors[0].state == "disconnected"
    assert service.stopService() is None


def test_a_service_of_an_endpoint_listens_from_its_start_to_its_stop() -> None:
    reactor = MemoryReactorClock()
    factory = Factory()
    service = internet.StreamServerEndpointService(TCP4ServerEndpoint(reactor, 80), factory)
    assert service.privilegedStartService() is None
    assert service.startService() is None
    assert reactor.tcpServers == [(80, factory, 50, "")]
    assert service.port is reactor.ports[0]
    assert outcomes(service.stopService()) == [None]
    assert service.port is None
    assert not reactor.ports[0].connected


def test_a_service_of_an_endpoint_raises_what_keeps_it_from_listening() -> None:
    endpoint = TCP4ServerEndpoint(RaisingMemoryReactor(listenException=BUSY), 80)
    service = internet.StreamServerEndpointService(endpoint, Factory())
    with pytest.raises(CannotListenError):
        service.privilegedStartService()
    assert outcomes(service.stopService()) == [None]


def test_a_service_of_an_endpoint_that_failed_tries_again() -> None:
    endpoint = Endpoint()
    service = internet.StreamServerEndpointService(endpoint, Factory())
    endpoint.answer = fail(BUSY)
    with pytest.raises(CannotListenError):
        service.startService()
    endpoint.answer = Deferred()
    service.startService()
    assert len(endpoint.asked) == 2


def test_a_service_of_a_slow_endpoint_is_up_when_that_listens() -> None:
    endpoint = Endpoint()
    service = internet.StreamServerEndpointService(endpoint, Factory())
    up = outcomes(service.privilegedStartService())
    assert service.startService() is None
    assert up == []
    port = Port()
    endpoint.answer.callback(port)
    assert up == [None]
    stopped = outcomes(service.stopService())
    assert stopped == []
    port.stopped.callback(None)
    assert stopped == [None]


def test_a_service_of_a_slow_endpoint_fails_with_that() -> None:
    endpoint = Endpoint()
    service = internet.StreamServerEndpointService(endpoint, Factory())
    (up,) = [outcomes(service.startService())]
    endpoint.answer.errback(Failure(BUSY))
    assert up[0].check(CannotListenError)
    assert outcomes(service.stopService()) == [None]


def test_a_service_of_an_endpoint_that_does_not_listen_yet_gives_up_when_it_is_stopped() -> None:
    endpoint = Endpoint()
    given_up: list[Any] = []
    endpoint.answer = Deferred(given_up.append)
    service = internet.StreamServerEndpointService(endpoint, Factory())
    up = outcomes(service.startService())
    assert outcomes(service.stopService()) == [None]
    assert len(given_up) == 1
    assert up == [None]


def test_a_service_of_one_connection_closes_that() -> None:
    closed: list[bool] = []

    class Only:
        """What stdio: is listened at with."""

        def loseConnection(self) -> None:
            closed.append(True)

    endpoint = Endpoint()
    service = internet.StreamServerEndpointService(endpoint, Factory())
    service.startService()
    endpoint.answer.callback(Only())
    service.stopService()
    assert closed == [True]


def test_a_string_says_where_to_listen() -> None:
    reactor = MemoryReactorClock()
    service = strports.service("tcp:80:interface=127.0.0.1", Factory.forProtocol(Protocol), reactor)
    service.startService()
    assert reactor.tcpServers[0][0] == 80
    assert reactor.tcpServers[0][3] == "127.0.0.1"


def test_a_string_that_is_wrong_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="tpc"):
        strports.service("tpc:80", Factory(), MemoryReactorClock())


def test_a_timer_calls_at_once_and_then_at_its_interval_until_its_stop() -> None:
    clock = Clock()
    calls: list[Any] = []
    service = internet.TimerService(2.0, lambda *args, **kwargs: calls.append((args, kwargs)), 1, key="word")
    service.clock = clock
    service.startService()
    assert calls == [((1,), {"key": "word"})]
    clock.pump([2, 2])
    assert len(calls) == 3
    assert len(outcomes(service.stopService())) == 1
    clock.advance(2)
    assert len(calls) == 3
    assert clock.getDelayedCalls() == []


def test_a_timer_may_be_started_again() -> None:
    calls: list[str] = []
    service = internet.TimerService(1, calls.append, "called")
    service.clock = Clock()
    for _ in range(2):
        service.startService()
        service.stopService()
    assert calls == ["called", "called"]


def test_the_stop_of_a_timer_waits_for_the_call_that_is_at_work() -> None:
    work: Deferred[None] = Deferred()
    service = internet.TimerService(1, lambda: work)
    service.clock = Clock()
    service.startService()
    stopped = outcomes(service.stopService())
    assert stopped == []
    work.callback(None)
    assert len(stopped) == 1


def test_a_timer_whose_call_fails_says_so_and_calls_no_more(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    service = internet.TimerService(1, lambda: 1 // 0)
    service.clock = clock
    with caplog.at_level(logging.ERROR):
        service.startService()
    assert "ZeroDivisionError" in caplog.text
    assert clock.getDelayedCalls() == []
    assert len(outcomes(service.stopService())) == 1


def test_a_timer_that_was_never_started_is_stopped_at_once() -> None:
    assert internet.TimerService(1, list).stopService() is None


def test_a_cooperator_ends_its_work_when_it_is_stopped() -> None:
    service = internet.CooperatorService()
    done = outcomes(service.coiterate(iter([])))
    service.startService()
    service.stopService()
    assert done[0].check(SchedulerStopped)
