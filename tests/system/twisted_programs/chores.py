"""What a program does besides serving, in coroutines and generators: children, threads, timeouts, locks, names, AMP."""

import sys

from twisted.internet import defer, error, task, threads, utils
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.protocols import amp, basic, policies


@defer.inlineCallbacks
def children(reactor):
    program = "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.stderr.write('!'); sys.exit(3)"
    out, err, code = yield utils.getProcessOutputAndValue(
        sys.executable, ["-c", program], reactor=reactor, stdinBytes=b"a child"
    )
    print("child", out, err, code)


async def in_threads(reactor):
    def asks():
        return threads.blockingCallFromThread(reactor, task.deferLater, reactor, 0.01, lambda: "from the reactor")

    print("thread", await threads.deferToThread(asks))
    try:
        await threads.deferToThread(int, "x")
    except ValueError as raised:
        print("thread raised", raised)


async def timeouts(reactor):
    try:
        await defer.Deferred().addTimeout(0.02, reactor)
    except defer.TimeoutError as late:
        print("timeout", type(late).__name__)
    ticks = []
    loop = task.LoopingCall(lambda: ticks.append(reactor.seconds()) or (len(ticks) == 3 and loop.stop()))
    await loop.start(0.005)
    print("ticks", len(ticks))


async def locks(reactor):
    lock, order = defer.DeferredLock(), []

    async def waits(name):
        async with lock:
            order.append(name)
            await task.deferLater(reactor, 0.001)

    await defer.gatherResults([defer.ensureDeferred(waits(name)) for name in "abc"])
    print("locked", *order)


class Shouts(basic.LineReceiver, policies.TimeoutMixin):
    def connectionMade(self):
        self.setTimeout(0.1)

    def lineReceived(self, line):
        self.resetTimeout()
        self.sendLine(line.upper())


class Hears(basic.LineReceiver):
    def __init__(self):
        self.lines = defer.DeferredQueue()
        self.lost = defer.Deferred()

    def lineReceived(self, line):
        self.lines.put(line)

    def connectionLost(self, reason):
        self.lost.errback(reason)


async def lines(reactor):
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Factory.forProtocol(Shouts))
    there = TCP4ClientEndpoint(reactor, "localhost", port.getHost().port)
    client = await connectProtocol(there, Hears())
    client.sendLine(b"hello")
    print("line", await client.lines.get())
    try:
        await client.lost
    except error.ConnectionDone as done:
        print("line lost", done)
    await port.stopListening()
    try:
        await there.connect(Factory.forProtocol(Protocol))
    except error.ConnectError as refused:
        print("refused", type(refused).__name__)


class Sum(amp.Command):
    arguments = [(b"a", amp.Integer()), (b"b", amp.Integer())]
    response = [(b"total", amp.Integer())]
    errors = {ZeroDivisionError: b"ZERO"}


class Adds(amp.AMP):
    @Sum.responder
    def add(self, a, b):
        if not a + b:
            raise ZeroDivisionError("nothing")
        return {"total": a + b}


async def calls(reactor):
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Factory.forProtocol(Adds))
    client = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port), amp.AMP())
    print("amp", (await client.callRemote(Sum, a=1, b=2))["total"])
    try:
        await client.callRemote(Sum, a=1, b=-1)
    except ZeroDivisionError as raised:
        print("amp raised", raised)
    client.transport.loseConnection()
    await port.stopListening()


class Answers(DatagramProtocol):
    def datagramReceived(self, datagram, addr):
        self.transport.write(datagram[::-1], addr)


class Asks(DatagramProtocol):
    def __init__(self):
        self.answer = defer.Deferred()

    def datagramReceived(self, datagram, addr):
        self.answer.callback(datagram)


async def datagrams(reactor):
    answers = reactor.listenUDP(0, Answers(), interface="127.0.0.1")
    asks = Asks()
    port = reactor.listenUDP(0, asks, interface="127.0.0.1")
    port.connect("127.0.0.1", answers.getHost().port)
    port.write(b"datagram")
    print("datagram", await asks.answer)
    await defer.gatherResults([answers.stopListening(), port.stopListening()])


async def main(reactor):
    await children(reactor)
    for chore in (in_threads, timeouts, locks, lines, calls, datagrams):
        await chore(reactor)


if __name__ == "__main__":
    task.react(lambda reactor: defer.ensureDeferred(main(reactor)))
