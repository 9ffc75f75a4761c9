"""Wrapping, limits, timeouts and traffic logs, over transports in memory."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

import pytest

from ropewalk.errors import ConnectionAborted, ConnectionDone
from ropewalk.internet.address import IPv4Address, IPv6Address, UNIXAddress
from ropewalk.internet.failure import Failure
from ropewalk.internet.kit import KIT
from ropewalk.internet.protocol import ClientFactory, Factory, Protocol
from ropewalk.internet.task import Clock
from ropewalk.protocols import policies
from ropewalk.testing.memory import MemoryLoop, ScriptedChannel
from ropewalk.testing.strings import StringTransport, StringTransportWithDisconnection
from ropewalk.transports.stream import Stream

PEER = IPv4Address("TCP", "192.0.2.1", 4000)


class Kept(Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def connectionMade(self) -> None:
        self.events.append("made")

    def dataReceived(self, data: bytes) -> None:
        self.events.append(data)

    def connectionLost(self, reason: Failure[Any]) -> None:  # type: ignore[override]
        self.events.append(reason.type)


class Halves(Kept):
    def readConnectionLost(self) -> None:
        self.events.append("read lost")

    def writeConnectionLost(self) -> None:
        self.events.append("write lost")


class Everything(Halves):
    def fileDescriptorReceived(self, descriptor: int) -> None:
        self.events.append(descriptor)

    def handshakeCompleted(self) -> None:
        self.events.append("handshake")


def connected(factory: Any, transport: Any = None, addr: Any = PEER) -> Any:
    """A wrapper that `factory` built, connected."""
    wrapper = factory.buildProtocol(addr)
    wrapper.makeConnection(StringTransport() if transport is None else transport)
    return wrapper


def done() -> Failure[Any]:
    return Failure(ConnectionDone())


FACTORIES: list[Callable[[Any], Any]] = [
    policies.WrappingFactory,
    policies.LimitConnectionsByPeer,
    policies.SpewingFactory,
    policies.ThrottlingFactory,
    lambda wrapped: policies.TimeoutFactory(wrapped, None),
]


@pytest.fixture(params=FACTORIES, ids=["wrapping", "limit", "spewing", "throttling", "timeout"])
def make_factory(request: pytest.FixtureRequest) -> Any:
    return request.param


# -- wrapping: the protocol's side


def test_the_transport_finds_in_a_wrapper_what_the_protocol_has_and_no_more(make_factory: Any) -> None:
    names = ["readConnectionLost", "writeConnectionLost", "fileDescriptorReceived", "handshakeCompleted"]
    for protocol, has in ((Kept, 0), (Halves, 2), (Everything, 4)):
        wrapper = connected(make_factory(Factory.forProtocol(protocol)))
        assert [name for name in names if hasattr(wrapper, name)] == names[:has]
    assert KIT.half_closeable(wrapper) is wrapper
    wrapper.readConnectionLost()
    wrapper.fileDescriptorReceived(7)
    assert wrapper.wrappedProtocol.events == ["made", "read lost", 7]


def test_a_wrapper_in_a_wrapper_asks_the_innermost_protocol_and_the_outermost_transport(make_factory: Any) -> None:
    factory = policies.WrappingFactory(make_factory(Factory.forProtocol(Halves)))
    wrapper = connected(factory, StringTransport(peerAddress=PEER))
    wrapper.readConnectionLost()
    wrapper.dataReceived(b"x")
    protocol = wrapper.wrappedProtocol.wrappedProtocol
    assert protocol.events == ["made", "read lost", b"x"]
    assert not hasattr(wrapper, "fileDescriptorReceived")
    protocol.transport.setTcpNoDelay(True)
    assert wrapper.transport.getTcpNoDelay()
    assert protocol.transport.getPeer() is PEER


def test_a_stream_tells_a_wrapped_protocol_of_halves_only_if_that_knows_them(make_factory: Any) -> None:
    for protocol, events in ((Halves, ["made", "read lost"]), (Kept, ["made", ConnectionDone])):
        loop, channel = MemoryLoop(), ScriptedChannel()
        wrapper = make_factory(Factory.forProtocol(protocol)).buildProtocol(PEER)
        program = wrapper.wrappedProtocol
        stream = Stream(loop, channel)
        channel.attach(loop, stream)
        stream.start(wrapper)
        channel.incoming.append(b"")
        loop.turn()
        assert program.events == events
        stream.drop(ConnectionAborted())


def test_connection_lost_reaches_the_protocol_once_and_cleans_the_factory(make_factory: Any) -> None:
    factory = make_factory(Factory.forProtocol(Kept))
    first, second = connected(factory), connected(factory)
    assert set(factory.protocols) == {first, second}
    protocol = first.wrappedProtocol
    first.connectionLost(done())
    assert set(factory.protocols) == {second}
    assert protocol.events == ["made", ConnectionDone]
    assert first.wrappedProtocol is None
    assert not hasattr(first, "readConnectionLost")


def test_a_protocol_that_fails_in_connection_lost_is_let_go_and_cleans_the_factory(make_factory: Any) -> None:
    class Fails(Kept):
        def connectionLost(self, reason: Any) -> None:
            raise LookupError

    factory = make_factory(Factory.forProtocol(Fails))
    wrapper = connected(factory)
    with pytest.raises(LookupError):
        wrapper.connectionLost(done())
    assert wrapper.wrappedProtocol is None
    assert not factory.protocols


def test_a_wrapper_that_fails_in_connection_made_is_known_to_its_factory_until_it_is_lost() -> None:
    class Fails(policies.ProtocolWrapper):
        def connectionMade(self) -> None:
            raise LookupError

    factory = policies.WrappingFactory(Factory.forProtocol(Kept))
    factory.protocol = Fails
    wrapper = factory.buildProtocol(PEER)
    with pytest.raises(LookupError):
        wrapper.makeConnection(StringTransport())
    wrapper.connectionLost(done())
    assert not factory.protocols


# -- wrapping: the transport's side


def test_what_a_protocol_does_to_a_wrapper_is_done_to_the_transport(make_factory: Any) -> None:
    transport = StringTransport(lenient=True)
    wrapper = connected(make_factory(Factory.forProtocol(Kept)), transport)
    wrapper.write(b"a")
    wrapper.writeSequence(iter([b"b", b"c"]))
    assert transport.value() == b"abc"
    wrapper.pauseProducing()
    assert transport.producerState == "paused"
    wrapper.resumeProducing()
    assert transport.producerState == "producing"
    producer = object()
    wrapper.registerProducer(producer, True)
    assert (transport.producer, transport.streaming) == (producer, True)
    wrapper.unregisterProducer()
    assert transport.producer is None
    assert (wrapper.getPeer(), wrapper.getHost()) == (transport.getPeer(), transport.getHost())
    wrapper.loseWriteConnection()
    assert transport.writeEnded
    assert not wrapper.disconnecting
    wrapper.loseConnection()
    assert wrapper.disconnecting is transport.disconnecting is True
    wrapper.abortConnection()
    assert transport.aborted


def test_a_wrapper_has_no_attribute_that_the_transport_has_not(make_factory: Any) -> None:
    wrapper = connected(make_factory(Factory.forProtocol(Kept)))
    with pytest.raises(AttributeError, match="sendFileDescriptor"):
        wrapper.sendFileDescriptor(0)
    assert not hasattr(make_factory(Factory.forProtocol(Kept)).buildProtocol(PEER), "setTcpNoDelay")


def test_stop_producing_is_lose_connection(make_factory: Any) -> None:
    wrapper = connected(make_factory(Factory.forProtocol(Kept)))
    wrapper.stopProducing()
    assert wrapper.disconnecting is wrapper.transport.disconnecting is True


def test_a_wrapper_is_connected_and_disconnecting_when_its_transport_is(make_factory: Any) -> None:
    factory = policies.WrappingFactory(make_factory(Factory.forProtocol(Kept)))
    wrapper = factory.buildProtocol(PEER)
    inner = wrapper.wrappedProtocol
    assert not inner.connected
    transport = StringTransport()
    wrapper.makeConnection(transport)
    assert inner.connected
    assert not inner.disconnecting
    transport.disconnecting = True
    assert inner.disconnecting
    transport.connected = False   # aborted, and not told yet
    assert not inner.connected


def test_a_wrapper_is_not_connected_after_connection_lost(make_factory: Any) -> None:
    wrapper = connected(make_factory(Factory.forProtocol(Kept)))
    wrapper.connectionLost(done())
    assert not wrapper.connected


def test_a_file_is_sent_through_a_wrapper_only_if_that_leaves_write_alone() -> None:
    for factory, passes in (
        (policies.WrappingFactory, True),
        (policies.LimitConnectionsByPeer, True),
        (policies.SpewingFactory, False),
        (policies.ThrottlingFactory, False),
    ):
        wrapper = connected(factory(Factory.forProtocol(Kept)))
        assert hasattr(wrapper, "sendfile") is passes
    with pytest.raises(AttributeError, match=r"ThrottlingProtocol has no sendfile: the file would go past its write"):
        wrapper.sendfile(io.BytesIO(b"x"))


def test_the_log_prefix_names_the_wrapped_and_the_wrapper() -> None:
    class Named(Kept):
        def logPrefix(self) -> str:
            return "mail"

    factory = policies.SpewingFactory(Factory.forProtocol(Named))
    assert factory.logPrefix() == "Factory (SpewingFactory)"
    assert connected(factory).logPrefix() == "mail (SpewingProtocol)"

    class Nameless:
        def makeConnection(self, transport: Any) -> None: ...

    assert policies.ProtocolWrapper(factory, Nameless()).logPrefix() == "Nameless (ProtocolWrapper)"


# -- wrapping: the factory


def test_a_wrapping_factory_is_told_and_tells_what_a_client_factory_is(make_factory: Any) -> None:
    told: list[Any] = []

    class Tells(ClientFactory):
        protocol = Kept

        def startFactory(self) -> None:
            told.append("start")

        def stopFactory(self) -> None:
            told.append("stop")

        def startedConnecting(self, connector: Any) -> None:
            told.append(connector)

        def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
            told.append((connector, "failed", reason))

        def clientConnectionLost(self, connector: Any, reason: Any) -> None:
            told.append((connector, "lost", reason))

    factory = make_factory(Tells())
    factory.doStart()
    factory.startedConnecting(1)
    factory.clientConnectionFailed(2, "why")
    factory.clientConnectionLost(3, "why not")
    factory.doStop()
    assert told == ["start", 1, (2, "failed", "why"), (3, "lost", "why not"), "stop"]


def test_a_wrapping_factory_is_started_and_stopped_itself(make_factory: Any) -> None:
    factory = make_factory(Factory())
    told: list[str] = []
    factory.startFactory = lambda: told.append("start")
    factory.stopFactory = lambda: told.append("stop")
    factory.doStart()
    factory.doStart()
    factory.doStop()
    factory.doStop()
    assert told == ["start", "stop"]


def test_a_factory_that_refuses_a_connection_refuses_it_through_the_wrapper(make_factory: Any) -> None:
    class Refuses(Factory):
        def buildProtocol(self, addr: Any) -> Any:
            assert addr is PEER

    factory = make_factory(Refuses())
    assert factory.buildProtocol(PEER) is None
    assert not factory.protocols


# -- limits


def test_a_peer_that_has_enough_connections_is_refused_until_one_is_lost() -> None:
    factory = policies.LimitConnectionsByPeer(Factory.forProtocol(Kept))
    factory.maxConnectionsPerPeer = 2
    here = [IPv4Address("TCP", "192.0.2.1", port) for port in (1, 2, 3)]
    first, _second = connected(factory, addr=here[0]), connected(factory, addr=here[1])
    assert factory.buildProtocol(here[2]) is None
    assert factory.buildProtocol(IPv6Address("TCP", "2001:db8::1", 1)) is not None
    first.connectionLost(done())
    assert factory.peerConnections["192.0.2.1"] == 1
    assert factory.buildProtocol(here[2]) is not None


def test_peers_without_a_host_count_as_one() -> None:
    factory = policies.LimitConnectionsByPeer(Factory.forProtocol(Kept))
    factory.maxConnectionsPerPeer = 1
    only = connected(factory, addr=UNIXAddress(None))
    assert factory.buildProtocol(UNIXAddress(None)) is None
    only.connectionLost(done())
    assert factory.peerConnections == {}


def test_a_connection_that_the_program_refuses_does_not_count() -> None:
    class Refuses(Factory):
        def buildProtocol(self, addr: Any) -> Any:
            return None

    by_peer = policies.LimitConnectionsByPeer(Refuses())
    throttling = policies.ThrottlingFactory(Refuses(), maxConnectionCount=1)
    for factory in (by_peer, throttling):
        assert factory.buildProtocol(PEER) is None
    assert by_peer.peerConnections == {}
    assert throttling.connectionCount == 0


def total(limit: int | None, overflow: Any = None) -> policies.LimitTotalConnectionsFactory:
    factory = policies.LimitTotalConnectionsFactory()
    factory.protocol = Kept
    factory.connectionLimit = limit
    factory.overflowProtocol = overflow
    return factory


def test_a_connection_beyond_the_limit_is_refused_until_another_is_lost() -> None:
    factory = total(1)
    first = connected(factory)
    assert first.wrappedProtocol.factory is factory
    assert factory.connectionCount == 1
    assert factory.buildProtocol(PEER) is None
    first.connectionLost(done())
    assert factory.connectionCount == 0
    assert factory.buildProtocol(PEER) is not None


def test_without_a_limit_every_connection_is_taken() -> None:
    factory = total(None)
    assert all(factory.buildProtocol(PEER) is not None for _ in range(100))


def test_the_overflow_protocol_takes_the_connections_beyond_the_limit() -> None:
    class Full(Kept):
        def connectionMade(self) -> None:
            self.transport.write(b"too many\n")
            self.transport.loseConnection()

    factory = total(1, Full)
    connected(factory)
    transport = StringTransport()
    extra = connected(factory, transport)
    assert type(extra.wrappedProtocol) is Full
    assert extra.wrappedProtocol.factory is factory
    assert transport.value() == b"too many\n"
    assert transport.disconnecting
    assert factory.connectionCount == 2
    extra.connectionLost(done())
    assert factory.connectionCount == 1


# -- timeouts


def timing(period: float | None) -> tuple[Clock, policies.TimeoutFactory]:
    clock = Clock()
    factory = policies.TimeoutFactory(Factory.forProtocol(Kept), period)
    factory.callLater = clock.callLater  # type: ignore[method-assign]
    return clock, factory


@pytest.mark.parametrize(
    "event",
    [
        lambda wrapper: wrapper.dataReceived(b"x"),
        lambda wrapper: wrapper.write(b"x"),
        lambda wrapper: wrapper.writeSequence([b"x"]),
        lambda wrapper: wrapper.resetTimeout(),
    ],
    ids=["received", "written", "written in pieces", "reset"],
)
def test_a_connection_is_closed_when_nothing_happened_for_the_period(event: Callable[[Any], None]) -> None:
    clock, factory = timing(3)
    wrapper = connected(factory)
    clock.advance(2)
    event(wrapper)
    clock.advance(2.9)
    assert not wrapper.transport.disconnecting
    clock.advance(0.1)
    assert wrapper.transport.disconnecting


def test_what_happens_after_the_timeout_is_harmless() -> None:
    clock, factory = timing(3)
    wrapper = connected(factory)
    clock.advance(3)
    wrapper.write(b"x")
    wrapper.dataReceived(b"x")
    wrapper.cancelTimeout()
    wrapper.connectionLost(done())
    assert not clock.getDelayedCalls()


def test_a_timeout_begins_with_the_connection_and_ends_with_it() -> None:
    clock, factory = timing(3)
    wrapper = factory.buildProtocol(PEER)
    assert not clock.getDelayedCalls()
    wrapper.makeConnection(StringTransport())
    assert len(clock.getDelayedCalls()) == 1
    wrapper.connectionLost(done())
    assert not clock.getDelayedCalls()


def test_a_timeout_ends_with_the_connection_even_if_the_protocol_fails_then_or_sets_it_again() -> None:
    class Odd(Kept):
        def connectionLost(self, reason: Any) -> None:
            self.transport.setTimeout(5)
            raise LookupError

    clock, factory = timing(3)
    factory.wrappedFactory = Factory.forProtocol(Odd)
    wrapper = connected(factory)
    with pytest.raises(LookupError):
        wrapper.connectionLost(done())
    assert not clock.getDelayedCalls()


def test_a_timeout_call_that_the_program_cancelled_is_no_obstacle() -> None:
    _, factory = timing(3)
    wrapper = connected(factory)
    wrapper.timeoutCall.cancel()
    wrapper.setTimeout(5)
    wrapper.cancelTimeout()
    assert wrapper.timeoutPeriod is None
    wrapper.connectionLost(done())


def test_a_protocol_may_change_its_timeout_when_it_is_connected() -> None:
    class Patient(Kept):
        def connectionMade(self) -> None:
            self.transport.setTimeout(30)

    clock, factory = timing(3)
    factory.wrappedFactory = Factory.forProtocol(Patient)
    wrapper = connected(factory)
    clock.advance(29)
    assert not wrapper.transport.disconnecting
    wrapper.setTimeout(None)
    assert wrapper.timeoutPeriod is None
    assert not clock.getDelayedCalls()
    wrapper.resetTimeout()
    assert not clock.getDelayedCalls()


def test_the_period_is_half_an_hour_unless_it_is_given() -> None:
    assert policies.TimeoutFactory(Factory()).timeoutPeriod == 1800


class Mixed(policies.TimeoutMixin, Kept):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.callLater = clock.callLater  # type: ignore[method-assign]


@pytest.fixture
def mixed() -> tuple[Clock, Mixed]:
    clock = Clock()
    protocol = Mixed(clock)
    protocol.makeConnection(StringTransport())
    return clock, protocol


def test_the_mixin_closes_the_connection_when_it_is_not_reset(mixed: tuple[Clock, Mixed]) -> None:
    clock, protocol = mixed
    assert protocol.timeOut is None
    assert protocol.setTimeout(5) is None
    clock.advance(4)
    protocol.resetTimeout()
    clock.advance(4.9)
    assert not protocol.transport.disconnecting
    clock.advance(0.1)
    assert protocol.transport.disconnecting
    protocol.resetTimeout()
    assert not clock.getDelayedCalls()


def test_the_mixin_returns_the_period_before_and_none_turns_it_off(mixed: tuple[Clock, Mixed]) -> None:
    clock, protocol = mixed
    protocol.setTimeout(5)
    assert protocol.setTimeout(7) == 5
    assert [call.getTime() for call in clock.getDelayedCalls()] == [7]
    assert protocol.setTimeout(None) == 7
    assert not clock.getDelayedCalls()
    protocol.resetTimeout()
    assert protocol.setTimeout(None) is None


def test_the_mixin_bears_a_program_that_cancels_its_call_or_changes_its_period(mixed: tuple[Clock, Mixed]) -> None:
    clock, protocol = mixed
    protocol.setTimeout(5)
    protocol.timeOut = None
    protocol.resetTimeout()
    clock.getDelayedCalls()[0].cancel()
    protocol.setTimeout(None)
    assert not clock.getDelayedCalls()


def test_a_period_set_in_timeout_connection_counts_anew(mixed: tuple[Clock, Mixed]) -> None:
    clock, protocol = mixed
    times: list[float] = []

    def again() -> None:
        times.append(clock.seconds())
        protocol.setTimeout(1)

    protocol.timeoutConnection = again  # type: ignore[method-assign]
    protocol.setTimeout(5)
    clock.pump([5, 1, 1])
    assert times == [5, 6, 7]
    protocol.setTimeout(None)


# -- traffic


def test_spewing_logs_what_is_received_and_sent(caplog: pytest.LogCaptureFixture) -> None:
    wrapper = connected(policies.SpewingFactory(Factory.forProtocol(Kept)))
    with caplog.at_level(logging.INFO, "ropewalk.protocols"):
        wrapper.dataReceived(b"in")
        wrapper.write(b"out")
        wrapper.writeSequence(iter([b"o", b"ut"]))
    assert caplog.messages == ["Received: b'in'", "Sending: b'out'", "Sending: [b'o', b'ut']"]
    assert wrapper.wrappedProtocol.events == ["made", b"in"]
    assert wrapper.transport.value() == b"outout"


class InMemory(policies.TrafficLoggingFactory):
    """Keeps its files."""

    def __init__(self, wrappedFactory: Any, **options: Any) -> None:
        super().__init__(wrappedFactory, "traffic", **options)
        self.files: dict[str, io.StringIO] = {}

    def open(self, name: str) -> io.StringIO:
        self.files[name] = io.StringIO()
        return self.files[name]


def test_the_traffic_of_a_connection_is_written_line_by_line_to_its_file() -> None:
    factory = InMemory(Factory.forProtocol(Kept))
    wrapper = connected(factory)
    wrapper.dataReceived(b"question")
    wrapper.write(b"answer")
    wrapper.writeSequence(iter([b"and", b"more"]))
    wrapper.loseConnection()
    assert wrapper.transport.disconnecting
    reason = done()
    wrapper.connectionLost(reason)
    assert wrapper.transport.value() == b"answerandmore"
    assert factory.files["traffic-1"].getvalue().splitlines() == [
        "*",
        "C 1: b'question'",
        "S 1: b'answer'",
        "SV 1: [b'and', b'more']",
        "S 1: *",
        f"C 1: {reason!r}",
    ]


def test_every_connection_has_a_file_of_its_own_which_is_closed_with_it(tmp_path: Any) -> None:
    factory = policies.TrafficLoggingFactory(Factory.forProtocol(Kept), str(tmp_path / "log"))
    first, second = connected(factory), connected(factory)
    first.connectionLost(done())
    assert first.logfile.closed
    assert not second.logfile.closed
    first.write(b"too late")
    second.connectionLost(done())
    assert second.logfile.closed
    for name in ("log-1", "log-2"):
        assert (tmp_path / name).read_text(encoding="utf-8").startswith("*\nC ")


def test_a_file_that_the_program_opened_is_the_programs_to_close() -> None:
    factory = InMemory(Factory.forProtocol(Kept))
    connected(factory).connectionLost(done())
    assert not factory.files["traffic-1"].closed


def test_the_counter_can_be_reset() -> None:
    factory = InMemory(Factory.forProtocol(Kept))
    connected(factory)
    connected(factory)
    assert sorted(factory.files) == ["traffic-1", "traffic-2"]
    factory.resetCounter()
    assert connected(factory).logfile is factory.files["traffic-1"]


def test_long_pieces_are_shortened_in_the_file_alone() -> None:
    factory = InMemory(Factory.forProtocol(Kept), lengthLimit=20)
    wrapper = connected(factory)
    wrapper.dataReceived(b"x" * 20)
    wrapper.dataReceived(b"x" * 21)
    wrapper.writeSequence([b"y" * 1000])
    assert wrapper.wrappedProtocol.events == ["made", b"x" * 20, b"x" * 21]
    assert wrapper.transport.value() == b"y" * 1000
    assert factory.files["traffic-1"].getvalue().splitlines() == [
        "*",
        f"C 1: {b'x' * 20!r}",
        f"C 1: {b'x' * 8 + b'<... elided>'!r}",
        f"SV 1: {[b'y' * 8 + b'<... elided>']!r}",
    ]
    wrapper.lengthLimit = 3
    wrapper.write(b"zzzz")
    assert factory.files["traffic-1"].getvalue().endswith("S 1: b'<... elided>'\n")


def test_a_connection_that_is_refused_has_no_file() -> None:
    class Refuses(Factory):
        def buildProtocol(self, addr: Any) -> Any:
            return None

    factory = InMemory(Refuses())
    assert factory.buildProtocol(PEER) is None
    assert not factory.files


def test_a_traffic_file_that_cannot_be_written_does_not_keep_the_end_from_the_protocol() -> None:
    factory = InMemory(Factory.forProtocol(Kept))
    wrapper = connected(factory)
    protocol = wrapper.wrappedProtocol

    def full(text: str) -> int:
        raise OSError("no space left")

    wrapper.logfile.write = full
    with pytest.raises(OSError, match="no space left"):
        wrapper.connectionLost(done())
    assert protocol.events == ["made", ConnectionDone]
    assert not factory.protocols


def test_a_wrapper_over_a_transport_that_tells_at_once_is_told_once() -> None:
    transport = StringTransportWithDisconnection()
    wrapper = policies.WrappingFactory(Factory.forProtocol(Kept)).buildProtocol(PEER)
    transport.protocol = wrapper
    wrapper.makeConnection(transport)
    protocol = wrapper.wrappedProtocol
    protocol.transport.loseConnection()
    assert protocol.transport.disconnecting
    protocol.transport.loseConnection()
    assert protocol.events == ["made", ConnectionDone]
