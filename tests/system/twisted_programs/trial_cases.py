"""Test cases for trial, some of which are to fail: trial trial_cases.py."""

# ruff: noqa: PT009 - pytest has no part in this

from twisted.internet import defer, reactor, task, threads
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.wire import Echo
from twisted.python import log
from twisted.trial.unittest import TestCase


class Hears(Protocol):
    def connectionMade(self):
        self.heard = defer.Deferred()
        self.transport.write(b"hello")

    def dataReceived(self, data):
        self.heard.callback(data)
        self.transport.loseConnection()


class Good(TestCase):
    @defer.inlineCallbacks
    def test_echo(self):
        port = yield TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Factory.forProtocol(Echo))
        self.addCleanup(port.stopListening)
        client = yield connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port), Hears())
        self.assertEqual((yield client.heard), b"hello")

    async def test_thread(self):
        self.assertEqual(await threads.deferToThread(pow, 3, 2), 9)

    def test_expected_error(self):
        reactor.callLater(0, lambda: 1 / 0)
        later = task.deferLater(reactor, 0.01)
        return later.addCallback(lambda _: self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1))

    def test_own_clock(self):
        clock = task.Clock()
        waits = task.deferLater(clock, 10, lambda: "done")
        clock.advance(10)
        self.assertEqual(self.successResultOf(waits), "done")


class Bad(TestCase):
    """Each of them ends in an error of its own."""

    def test_leaves_a_call(self):
        reactor.callLater(100, lambda: None)

    def test_leaves_a_port(self):
        reactor.listenTCP(0, Factory.forProtocol(Echo), interface="127.0.0.1")

    def test_logs_an_error(self):
        log.err(ValueError("logged"))

    def test_takes_too_long(self):
        return defer.Deferred()

    test_takes_too_long.timeout = 0.05
