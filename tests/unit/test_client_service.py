"""ClientService: what it does when a connection fails, is lost, or is refused by its preparation, and when it stops."""

from __future__ import annotations

from typing import Any

import pytest

from ropewalk.application.internet import ClientService, backoffPolicy
from ropewalk.errors import ConnectionDone, ConnectionRefusedError
from ropewalk.internet.defer import CancelledError, Deferred
from ropewalk.internet.failure import Failure
from ropewalk.internet.protocol import Factory, Protocol
from ropewalk.internet.task import Clock
from ropewalk.testing.strings import StringTransport


class Noting(Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def connectionMade(self) -> None:
        self.events.append("made")

    def dataReceived(self, data: bytes) -> None:
        self.events.append(data)

    def readConnectionLost(self) -> None:
        self.events.append("read lost")

    def connectionLost(self, reason: Failure[Any]) -> None:  # type: ignore[override]
        self.events.append(reason.type)


class Builds(Factory):
    """Builds a Noting for each connection, and keeps them."""

    def __init__(self) -> None:
        self.built: list[Noting] = []

    def buildProtocol(self, addr: Any) -> Any:
        self.built.append(Noting())
        return self.built[-1]


class Wire(StringTransport):
    """A transport that ends when the test says so."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self._protocol = protocol

    def end(self) -> None:
        self._protocol.connectionLost(Failure(ConnectionDone()))


class Endpoint:
    """An endpoint whose connections succeed, fail and end when the test says so."""

    def __init__(self) -> None:
        self.attempts: list[Any] = []   # (factory, Deferred) of each connect()
        self.given_up = 0

    def connect(self, factory: Any) -> Deferred[Any]:
        attempt: Deferred[Any] = Deferred(self._give_up)
        self.attempts.append((factory, attempt))
        return attempt

    def _give_up(self, _: Deferred[Any]) -> None:
        self.given_up += 1

    def succeed(self) -> Wire:
        factory, attempt = self.attempts[-1]
        protocol = factory.buildProtocol(None)
        wire = Wire(protocol)
        protocol.makeConnection(wire)
        attempt.callback(protocol)
        return wire

    def fail(self) -> None:
        self.attempts[-1][1].errback(ConnectionRefusedError())


class Bench:
    """A service with an endpoint and a clock in the test's hands; it waits 1, 2, 3 ... seconds."""

    def __init__(self, prepare: Any = None) -> None:
        self.endpoint = Endpoint()
        self.factory = Builds()
        self.clock = Clock()
        self.service = ClientService(self.endpoint, self.factory, float, self.clock, prepare)

    def started(self) -> Bench:
        self.service.startService()
        return self

    @property
    def attempts(self) -> int:
        return len(self.endpoint.attempts)


def outcomes(deferred: Deferred[Any]) -> list[Any]:
    found: list[Any] = []
    deferred.addBoth(found.append)
    return found


def failed_with(found: list[Any], kind: type[Exception]) -> bool:
    return len(found) == 1 and isinstance(found[0], Failure) and bool(found[0].check(kind))


def test_it_connects_when_it_is_started_and_not_before() -> None:
    bench = Bench()
    assert bench.attempts == 0
    bench.started()
    assert bench.attempts == 1


def test_the_protocol_is_the_factorys_own_and_gets_what_comes() -> None:
    bench = Bench().started()
    found = outcomes(bench.service.whenConnected())
    wire = bench.endpoint.succeed()
    (protocol,) = bench.factory.built
    assert found == [protocol]
    assert outcomes(bench.service.whenConnected()) == [protocol]
    assert repr(wire._protocol) == repr(protocol)   # in what is logged of the transport
    wire._protocol.dataReceived(b"data")
    wire._protocol.readConnectionLost()
    wire.end()
    assert protocol.events == ["made", b"data", "read lost", ConnectionDone]


def test_the_factory_is_seen_through() -> None:
    bench = Bench()
    bench.factory.acceptableProtocols = lambda: [b"h2"]  # type: ignore[attr-defined]
    bench.started()
    factory = bench.endpoint.attempts[0][0]
    assert factory.acceptableProtocols() == [b"h2"]
    assert factory.logPrefix() == "Builds"
    factory.doStart()
    assert bench.factory.numPorts == 1


def test_after_a_failure_it_connects_again_with_delays_that_the_policy_says() -> None:
    bench = Bench().started()
    for delay in (1.0, 2.0, 3.0):
        bench.endpoint.fail()
        before = bench.attempts
        bench.clock.advance(delay - 0.1)
        assert bench.attempts == before
        bench.clock.advance(0.1)
        assert bench.attempts == before + 1


def test_an_endpoint_that_raises_has_failed() -> None:
    bench = Bench()
    connect = bench.endpoint.connect

    def raises(factory: Any) -> Any:
        raise ZeroDivisionError("made to fail")

    bench.endpoint.connect = raises  # type: ignore[method-assign]
    bench.started()
    bench.endpoint.connect = connect  # type: ignore[method-assign]
    bench.clock.advance(1)
    assert bench.attempts == 1


def test_a_connection_that_is_lost_is_made_again_and_delays_begin_anew() -> None:
    bench = Bench().started()
    bench.endpoint.fail()
    bench.clock.advance(1)
    bench.endpoint.fail()
    bench.clock.advance(2)
    bench.endpoint.succeed().end()
    bench.clock.advance(1)
    assert bench.attempts == 4
    found = outcomes(bench.service.whenConnected())
    bench.endpoint.succeed()
    assert found == [bench.factory.built[1]]


def test_who_waits_for_the_connection_fails_after_as_many_failures_as_it_accepts() -> None:
    bench = Bench().started()
    once, twice, ever = (outcomes(bench.service.whenConnected(number)) for number in (1, 2, None))
    bench.endpoint.fail()
    assert failed_with(once, ConnectionRefusedError)
    assert twice == []
    bench.clock.advance(1)
    bench.endpoint.fail()
    assert failed_with(twice, ConnectionRefusedError)
    bench.clock.advance(2)
    assert ever == []
    bench.endpoint.succeed()
    assert ever == bench.factory.built


def test_who_waits_may_give_up() -> None:
    bench = Bench().started()
    waiting = bench.service.whenConnected()
    waiting.cancel()
    assert failed_with(outcomes(waiting), CancelledError)
    bench.endpoint.succeed()


def test_a_stop_gives_the_attempt_up() -> None:
    bench = Bench().started()
    found = outcomes(bench.service.whenConnected())
    assert outcomes(bench.service.stopService()) == [None]
    assert bench.endpoint.given_up == 1
    assert failed_with(found, CancelledError)
    assert bench.clock.getDelayedCalls() == []


def test_a_stop_gives_the_next_attempt_up() -> None:
    bench = Bench().started()
    found = outcomes(bench.service.whenConnected())
    bench.endpoint.fail()
    assert outcomes(bench.service.stopService()) == [None]
    assert bench.clock.getDelayedCalls() == []
    assert failed_with(found, CancelledError)


def test_a_stop_closes_the_connection_and_waits_for_its_end() -> None:
    bench = Bench().started()
    wire = bench.endpoint.succeed()
    stopped = [outcomes(bench.service.stopService()) for _ in range(2)]
    assert wire.disconnecting
    assert stopped == [[], []]
    wire.end()
    assert stopped == [[None], [None]]
    assert bench.clock.getDelayedCalls() == []
    assert failed_with(outcomes(bench.service.whenConnected()), CancelledError)


def test_a_stop_before_the_start_is_done_at_once() -> None:
    bench = Bench()
    assert outcomes(bench.service.stopService()) == [None]
    assert outcomes(bench.service.stopService()) == [None]


def test_who_waits_before_the_start_gets_the_first_connection() -> None:
    bench = Bench()
    found = outcomes(bench.service.whenConnected())
    bench.started().endpoint.succeed()
    assert found == bench.factory.built


def test_a_start_while_it_stops_connects_when_the_connection_is_closed() -> None:
    bench = Bench().started()
    wire = bench.endpoint.succeed()
    stopped = outcomes(bench.service.stopService())
    found = outcomes(bench.service.whenConnected())
    bench.started()
    assert bench.attempts == 1
    wire.end()
    assert stopped == [None]
    assert bench.attempts == 2
    bench.endpoint.succeed()
    assert found == [bench.factory.built[1]]


def test_it_may_be_stopped_and_started_again() -> None:
    bench = Bench().started()
    bench.service.stopService()
    bench.started()
    found = outcomes(bench.service.whenConnected())
    bench.endpoint.succeed()
    assert found == bench.factory.built


def test_a_second_start_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench().started().started()
    assert "is started already" in caplog.text
    assert bench.attempts == 1


def test_who_waits_may_stop_the_service_when_told(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench().started()
    stopped: list[Any] = []
    bench.service.whenConnected().addCallback(lambda _: stopped.append(bench.service.stopService()))
    wire = bench.endpoint.succeed()
    assert wire.disconnecting
    wire.end()
    assert outcomes(stopped[0]) == [None]
    assert caplog.records == []


def test_it_is_connected_when_its_preparation_is_done() -> None:
    ready: Deferred[None] = Deferred()
    prepared: list[Any] = []

    def prepare(protocol: Any) -> Deferred[None]:
        prepared.append(protocol)
        return ready

    bench = Bench(prepare).started()
    found = outcomes(bench.service.whenConnected())
    bench.endpoint.succeed()
    assert prepared == bench.factory.built
    assert found == []
    ready.callback(None)
    assert found == bench.factory.built


def test_a_connection_that_its_preparation_refuses_is_aborted_and_made_again() -> None:
    def prepare(protocol: Any) -> None:
        raise ZeroDivisionError("made to fail")

    bench = Bench(prepare).started()
    found = outcomes(bench.service.whenConnected(1))
    wire = bench.endpoint.succeed()
    assert wire.aborted
    assert found == []
    wire.end()
    assert failed_with(found, ZeroDivisionError)
    bench.clock.advance(1)
    assert bench.attempts == 2


def test_a_connection_that_is_lost_while_it_is_prepared_has_failed() -> None:
    given_up: list[Any] = []
    bench = Bench(lambda protocol: Deferred(given_up.append)).started()
    found = outcomes(bench.service.whenConnected(1))
    bench.endpoint.succeed().end()
    assert len(given_up) == 1
    assert failed_with(found, ConnectionDone)
    bench.clock.advance(1)
    assert bench.attempts == 2


def test_a_stop_does_not_wait_for_the_preparation() -> None:
    given_up: list[Any] = []
    bench = Bench(lambda protocol: Deferred(given_up.append)).started()
    wire = bench.endpoint.succeed()
    stopped = outcomes(bench.service.stopService())
    assert len(given_up) == 1
    assert wire.disconnecting
    wire.end()
    assert stopped == [None]


def test_an_endpoint_that_connects_though_it_was_given_up_has_its_connection_closed() -> None:
    bench = Bench()
    wires: list[Wire] = []

    class Stubborn(Endpoint):
        def _give_up(self, _: Deferred[Any]) -> None:
            wires.append(self.succeed())

    bench.endpoint = Stubborn()
    bench.service = ClientService(bench.endpoint, bench.factory, float, bench.clock)
    bench.started()
    stopped = outcomes(bench.service.stopService())
    assert wires[0].disconnecting
    assert stopped == []
    wires[0].end()
    assert stopped == [None]


def test_delays_grow_to_a_limit_and_are_spread() -> None:
    policy = backoffPolicy(initialDelay=1.0, maxDelay=10.0, factor=2.0, jitter=lambda: 0.5)
    assert [policy(failures) for failures in (1, 2, 3, 4, 5, 100000)] == [2.5, 4.5, 8.5, 10.5, 10.5, 10.5]
    assert backoffPolicy(factor=1e300, jitter=lambda: 0.0)(100) == 60.0
    assert 60.0 <= backoffPolicy()(1000) < 61.0
