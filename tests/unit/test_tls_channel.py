"""TLS over a connection in memory: limits of time and memory, which a clock of the test goes by."""

import ssl

import pytest

from ropewalk.interfaces import READ
from ropewalk.internet.error import ConnectionDone, ConnectionLost, TLSError
from ropewalk.internet.protocol import Protocol
from ropewalk.testing.memory import MemoryLoop
from ropewalk.testing.pairs import connectedPair
from ropewalk.testing.tls_peers import VERSIONS, client_options, server_options
from ropewalk.transports import farewell, tls


class Secured(Protocol):
    """Starts TLS at once with `context`."""

    def __init__(self, context):
        self.context = context
        self.received = b""
        self.secured = False
        self.reason = None

    def connectionMade(self):
        self.transport.startTLS(self.context)

    def dataReceived(self, data):
        self.received += data

    def handshakeCompleted(self):
        self.secured = True

    def connectionLost(self, reason):
        self.reason = reason.value


class Silent(Protocol):
    """Says nothing, and does not end."""

    def readConnectionLost(self):
        pass

    def writeConnectionLost(self):
        pass


def secured_pair(version=None, **arguments):
    client, server, pump = connectedPair(
        Secured(client_options()), Secured(server_options(version)), **arguments
    )
    pump.flush()
    return client, server, pump


def test_a_handshake_has_a_minute():
    loop = MemoryLoop()
    _, server, pump = connectedPair(Silent(), Secured(server_options()), loop)
    pump.advance(tls.HANDSHAKE_LIMIT - 0.001)
    assert server.reason is None
    pump.advance(0.001)
    assert isinstance(server.reason, TLSError)
    assert str(server.reason) == "TLS failed: no handshake within 60 seconds"


def test_a_context_factory_may_set_the_limit_of_a_handshake():
    class Hurried:
        handshakeTimeout = 3

        def getContext(self):
            return server_options().getContext()

    _, server, pump = connectedPair(Silent(), Secured(Hurried()))
    pump.advance(3)
    assert "within 3 seconds" in str(server.reason)


def test_a_handshake_that_is_done_leaves_no_limit():
    client, server, pump = secured_pair()
    assert client.secured
    assert server.secured
    assert not pump.clock.getDelayedCalls()


def test_a_farewell_waits_for_the_end_of_the_peer_no_longer_than_its_limit():
    loop = MemoryLoop()
    client, server, pump = secured_pair(reactor=loop)
    client.transport.pauseProducing()   # it will not notice that the other side ends
    pump.flush()
    server.transport.loseConnection()
    pump.flush()
    assert isinstance(server.reason, ConnectionDone)
    assert len(loop.transports) == 2, "the client's, and the farewell"
    pump.advance(farewell.LIMIT - 0.001)
    assert len(loop.transports) == 2
    pump.advance(0.001)
    assert loop.transports == {client.transport}
    assert not pump.clock.getDelayedCalls()


def test_a_farewell_with_a_peer_that_takes_nothing_more_ends_at_its_limit():
    loop = MemoryLoop()
    client, server, pump = secured_pair(reactor=loop)
    client.transport.pauseProducing()
    pump.flush()
    pump.wire.capacity = 0
    server.transport.loseConnection()
    pump.flush()
    assert isinstance(server.reason, ConnectionDone)
    pump.advance(farewell.LIMIT)
    assert loop.transports == {client.transport}


def test_a_farewell_sends_close_notify_when_there_is_room_again():
    client, server, pump = secured_pair()
    pump.wire.capacity = 0
    server.transport.loseConnection()
    pump.flush()
    pump.wire.capacity = 3
    pump.flush()
    assert isinstance(client.reason, ConnectionDone)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_answers_to_a_peer_that_asks_on_and_on_and_reads_nothing_are_bounded(version):
    """They are refusals of renegotiation here, or of a changed key: what TLS says by itself."""
    client, server, pump = secured_pair(version)
    channel = server.transport.channel
    pump.wire.capacity = 0
    answers = 0
    while server.reason is None and answers < 10_000_000:
        channel._outgoing.write(b"." * 1000)
        answers += 1000
        channel._answer()
        pump._loop.flush()
    assert answers < 3_000_000
    assert isinstance(server.reason, TLSError)
    assert "asks on and on" in str(server.reason)
    client.transport.abortConnection()


def test_a_context_that_verifies_a_name_must_have_one():
    context = ssl.create_default_context()

    class Nameless(Protocol):
        def connectionMade(self):
            with pytest.raises(ValueError, match="no name"):
                self.transport.startTLS(context, serverHostname="")
            assert not self.transport.TLS

    connectedPair(Nameless(), Silent())


@pytest.mark.parametrize("end", ["client", "server"])
def test_a_connection_whose_rest_was_dropped_ends_without_close_notify(end):
    """That would say that nothing is missing."""
    pair = secured_pair()
    here, there = (pair[0], pair[1]) if end == "client" else (pair[1], pair[0])
    pump = pair[2]
    here.transport.write(b"x" * 1_000_000)
    pump.pump()
    here.transport.drop(ConnectionLost("the reactor was stopped"))
    pump.flush()
    assert isinstance(there.reason, ConnectionLost)
    assert len(there.received) < 1_000_000


def test_sessions_are_offered_to_who_remembers_them():
    class Remembers:
        def __init__(self):
            self.options = client_options()
            self.hostname = self.options.hostname
            self.session = None
            self.kept = []

        def getContext(self):
            return self.options.getContext()

        def remember(self, session):
            self.kept.append(session)

    for version in VERSIONS:
        factory = Remembers()
        client, server, pump = connectedPair(Secured(factory), Secured(server_options(version)))
        pump.flush()
        client.transport.loseConnection()
        pump.flush()
        assert isinstance(server.reason, ConnectionDone)
        assert factory.kept[-1].has_ticket


def test_an_answer_of_tls_itself_is_sent_when_there_is_room_though_the_program_is_silent():
    _, server, pump = secured_pair()
    pump.wire.capacity = 0
    channel = server.transport.channel
    channel._outgoing.write(b"an answer")
    channel._answer()
    pump.flush()
    assert not pump.serverSent.endswith(b"an answer")
    pump.wire.capacity = 1000
    pump.flush()
    assert pump.serverSent.endswith(b"an answer")


def test_readiness_that_is_none_puts_no_tls_into_the_middle_of_what_is_sent_in_the_clear():
    loop = MemoryLoop()
    clear = b"clear" * 100_000

    class Upgrades(Secured):
        def connectionMade(self):
            self.transport.write(clear)
            super().connectionMade()

    peer, server, pump = connectedPair(Silent(), Upgrades(server_options()), loop, capacity=1000)
    hello = client_options().getContext()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = hello.wrap_bio(incoming, outgoing, False, "localhost")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    peer.transport.write(outgoing.read())
    while loop.turn():
        if server.transport.channel._stage is tls.Stage.PLAIN:
            loop.tell(server.transport, READ)
    assert pump.serverSent[: len(clear)] == clear
    assert pump.serverSent[len(clear)] == 22
    assert server.received == b""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_half_that_is_ended_with_the_handshake_loses_nothing_that_came_along(version):
    class Ends(Secured):
        def handshakeCompleted(self):
            super().handshakeCompleted()
            self.transport.loseWriteConnection()

        def readConnectionLost(self):
            self.ended = True

        def writeConnectionLost(self):
            pass

    class Speaks(Ends):
        def handshakeCompleted(self):
            self.transport.write(b"early")
            super().handshakeCompleted()

    client, server, pump = connectedPair(Speaks(client_options()), Ends(server_options(version)))
    while not client.secured:
        pump.pump()
    pump.wire.piece = 0   # what the client sends now arrives all at once
    for _ in range(10):
        pump.pump()
    pump.wire.piece = None
    pump.flush()
    assert server.received == b"early"
    assert client.ended
    assert server.ended
    assert isinstance(client.reason, ConnectionDone)
    assert isinstance(server.reason, ConnectionDone)
