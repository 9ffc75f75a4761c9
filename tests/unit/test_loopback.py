"""Two protocols joined: in memory, over TCP and over a UNIX socket."""

from __future__ import annotations

import socket
import tempfile

import pytest

from ropewalk.internet.defer import CancelledError, Deferred
from ropewalk.internet.error import CannotListenError, ConnectionDone, UserError
from ropewalk.internet.interfaces import IConsumer, ITransport
from ropewalk.internet.protocol import Protocol
from ropewalk.internet.task import deferLater
from ropewalk.protocols.basic import LineReceiver
from ropewalk.protocols.loopback import (
    collapsingPumpPolicy,
    identityPumpPolicy,
    loopbackAsync,
    loopbackTCP,
    loopbackUNIX,
)

each_way = pytest.mark.parametrize("loopback", [loopbackAsync, loopbackTCP, loopbackUNIX])
over_sockets = pytest.mark.parametrize("loopback", [loopbackTCP, loopbackUNIX])
in_reactor = pytest.mark.ropewalk()


class Noting(Protocol):
    """Writes down what it is told, in a list that several may share; `says` at the beginning."""

    def __init__(self, name="it", says=(), notes=None):
        self.name = name
        self.says = says
        self.notes = [] if notes is None else notes
        self.inside = False

    def connectionMade(self):
        for piece in self.says:
            self.transport.write(piece)

    def dataReceived(self, data):
        assert not self.inside, "dataReceived was entered within dataReceived"
        self.inside = True
        self.notes.append((self.name, data))
        self.answer(data)
        self.inside = False

    def answer(self, data):
        pass

    def connectionLost(self, reason):
        self.notes.append((self.name, reason.type))


class Closing(Noting):
    """Closes as soon as it has been told everything."""

    def __init__(self, name="it", says=(), notes=None, after=b""):
        super().__init__(name, says, notes)
        self.after = after
        self.heard = b""

    def answer(self, data):
        self.heard += data
        if self.heard == self.after:
            self.transport.write(b"bye")
            self.transport.loseConnection()


class Counting(Noting):
    """Says the number that follows what it is told; told 5, it closes."""

    def answer(self, data):
        if data == b"5":
            self.transport.loseConnection()
        else:
            self.transport.write(b"%d" % (int(data) + 1))


def outcome(deferred):
    """What `deferred` fired with, or the exception of its failure; "not yet" if it has not."""
    results = []
    deferred.addBoth(results.append)
    if not results:
        return "not yet"
    return getattr(results[0], "value", results[0])


@in_reactor
@each_way
async def test_both_sides_converse_until_one_closes_and_then_both_know(loopback, reactor):
    server, client = Counting("server"), Counting("client", [b"0"])
    assert await loopback(server, client) is None
    assert server.notes == [("server", b"0"), ("server", b"2"), ("server", b"4"), ("server", ConnectionDone)]
    assert client.notes == [("client", b"1"), ("client", b"3"), ("client", b"5"), ("client", ConnectionDone)]


@in_reactor
@each_way
async def test_what_was_written_before_closing_arrives_and_what_is_written_after_does_not(loopback, reactor):
    class Leaving(Noting):
        def connectionMade(self):
            self.transport.write(b"last words")
            self.transport.loseConnection()
            self.transport.write(b"afterthought")

    client = Noting("client")
    await loopback(Leaving(), client)
    assert client.notes == [("client", b"last words"), ("client", ConnectionDone)]


@in_reactor
@each_way
async def test_a_protocol_that_closes_is_disconnecting_and_reads_no_more_lines(loopback, reactor):
    class Lines(LineReceiver):
        def connectionMade(self):
            self.lines = []

        def lineReceived(self, line):
            self.lines.append(line)
            self.transport.loseConnection()
            assert self.transport.disconnecting

    server = Lines()
    await loopback(server, Noting(says=[b"one\r\ntwo\r\n"]))
    assert server.lines == [b"one"]


# -- in memory


def test_what_is_said_at_the_beginning_is_delivered_at_once_the_servers_first():
    notes = []
    loopbackAsync(Noting("server", [b"a", b"b"], notes), Noting("client", [b"c"], notes))
    assert notes == [("client", b"a"), ("client", b"b"), ("server", b"c")]


def test_the_server_hears_of_the_end_first_and_the_deferred_fires_last():
    notes = []
    over = loopbackAsync(Closing("server", after=b"hello", notes=notes), Noting("client", [b"hello"], notes))
    over.addCallback(notes.append)
    assert notes == [
        ("server", b"hello"), ("client", b"bye"), ("server", ConnectionDone), ("client", ConnectionDone), None,
    ]  # fmt: skip


def test_one_piece_a_write_arrives_unless_the_policy_collapses_them():
    pieces = [b"a", b"bc", b"d"]
    whole, each = Closing(after=b"abcd"), Closing(after=b"abcd")
    client = Noting("client", pieces)
    assert outcome(loopbackAsync(whole, client, collapsingPumpPolicy)) is None
    assert whole.notes == [("it", b"abcd"), ("it", ConnectionDone)]
    assert client.notes == [("client", b"bye"), ("client", ConnectionDone)]
    assert outcome(loopbackAsync(each, Noting(says=pieces), identityPumpPolicy)) is None
    assert each.notes[:-1] == [("it", piece) for piece in pieces]


def test_a_policy_is_given_a_queue_that_ends_with_none():
    queues = []

    def policy(queue, target):
        taken = []
        while queue:
            taken.append(queue.get())
        queues.append((target, taken))

    class Leaving(Noting):
        def connectionMade(self):
            self.transport.writeSequence([b"a", b"b"])
            self.transport.loseConnection()
            self.transport.loseConnection()

    server, client = Leaving(), Noting()
    assert outcome(loopbackAsync(server, client, policy)) is None
    assert queues == [(client, [b"ab", None])]


def test_aborting_is_closing():
    class Aborting(Noting):
        def answer(self, data):
            self.transport.abortConnection()

    server, client = Aborting("server"), Noting("client", [b"go"])
    assert outcome(loopbackAsync(server, client)) is None
    assert client.notes == [("client", ConnectionDone)]


@in_reactor
async def test_a_later_write_arrives_in_the_reactors_next_turn(reactor):
    server, client = Closing("server", after=b"later"), Noting("client")
    over = loopbackAsync(server, client)
    client.transport.write(b"la")
    client.transport.write(b"ter")
    assert server.notes == []   # not within write()
    await over
    assert server.notes == [("server", b"la"), ("server", b"ter"), ("server", ConnectionDone)]


@in_reactor
async def test_cancelling_ends_the_deliveries(reactor):
    server, client = Noting("server"), Noting("client")
    over = loopbackAsync(server, client)
    over.cancel()
    assert type(outcome(over)) is CancelledError
    client.transport.write(b"nobody hears that")
    await deferLater(reactor, 0)
    await deferLater(reactor, 0)
    assert server.notes == []


@in_reactor
async def test_the_deferred_fails_with_what_a_protocol_raises(reactor):
    class Failing(Noting):
        def dataReceived(self, data):
            raise LookupError(data)

    client = Noting()
    at_once = loopbackAsync(Failing(), Noting(says=[b"x"]))
    with pytest.raises(LookupError):
        await at_once
    later = loopbackAsync(Failing(), client)
    client.transport.write(b"x")
    with pytest.raises(LookupError):
        await later


class Producer:
    """Writes three numbers, one whenever it is asked, then closes."""

    def __init__(self, transport):
        self.transport = transport
        self.number = 0

    def resumeProducing(self):
        self.number += 1
        self.transport.write(b"%d" % self.number)
        if self.number == 3:
            self.transport.unregisterProducer()
            self.transport.loseConnection()


def test_a_pull_producer_is_asked_whenever_everything_was_delivered():
    class Producing(Noting):
        def connectionMade(self):
            self.transport.registerProducer(Producer(self.transport), False)

    client = Noting("client")
    assert outcome(loopbackAsync(Producing(), client)) is None
    assert client.notes == [("client", b"1"), ("client", b"2"), ("client", b"3"), ("client", ConnectionDone)]


def test_a_push_producer_is_left_alone_and_a_second_one_is_refused():
    server = Noting()
    over = loopbackAsync(server, Noting(says=[b"x"]))
    producer = Producer(server.transport)
    server.transport.registerProducer(producer, True)
    assert producer.number == 0
    with pytest.raises(RuntimeError, match="cannot be registered"):
        server.transport.registerProducer(producer, True)
    server.transport.unregisterProducer()
    assert server.transport.producer is None
    assert outcome(over) == "not yet"


def test_the_transport_is_one_and_writes_bytes():
    server, client = Noting(), Noting()
    over = loopbackAsync(server, client)
    transport = server.transport
    assert isinstance(transport, ITransport)
    assert isinstance(transport, IConsumer)
    assert transport.getPeer() is not None
    assert transport.getHost() is not None
    with pytest.raises(TypeError):
        transport.write("text")
    assert outcome(over) == "not yet"


# -- over sockets


@in_reactor
async def test_loopbackTCP_listens_where_it_is_told(reactor):
    class Telling(Closing):
        def connectionMade(self):
            self.host = self.transport.getHost()
            super().connectionMade()

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListenError):
            loopbackTCP(Noting(), Noting(), port)
    server = Telling(after=b"go")
    await loopbackTCP(server, Noting(says=[b"go"]), port=port, noisy=False)
    assert server.host == ("TCP", "127.0.0.1", port)


@in_reactor
async def test_loopbackUNIX_leaves_no_files(reactor, tmp_path, monkeypatch):
    class Looking(Closing):
        def connectionMade(self):
            self.found = [path.is_socket() for path in tmp_path.rglob("socket")]

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    server = Looking(after=b"go")
    await loopbackUNIX(server, Noting(says=[b"go"]), noisy=False)
    assert server.found == [True]
    assert list(tmp_path.iterdir()) == []


@in_reactor
@over_sockets
async def test_cancelling_closes_the_connection_and_the_port(loopback, reactor):
    class Telling(Noting):
        def __init__(self):
            super().__init__(says=[b"here"])
            self.heard, self.over = Deferred(), Deferred()

        def answer(self, data):
            self.heard.callback(None)

        def connectionLost(self, reason):
            self.over.callback(reason.type)

    server, client = Telling(), Telling()
    over = loopback(server, client)
    await server.heard
    await client.heard
    over.cancel()
    with pytest.raises(CancelledError):
        await over
    assert [await server.over, await client.over] == [ConnectionDone, ConnectionDone]


@in_reactor
@over_sockets
async def test_an_attempt_that_is_given_up_is_the_failure_and_the_port_closes(loopback, reactor, monkeypatch):
    connect = reactor.connectTCP if loopback is loopbackTCP else reactor.connectUNIX

    def give_up(*args):
        connect(*args).stopConnecting()

    monkeypatch.setattr(reactor, connect.__name__, give_up)
    with pytest.raises(UserError):
        await loopback(Noting(), Noting())
