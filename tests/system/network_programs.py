"""The programs that test_network.py runs on its hosts: `network_programs.py NAME ARGUMENT...` runs the function NAME.

Each is a coroutine function of the reactor, of the test that started it, and of the arguments, all text. It does what
the test tells it, and says what happens, a line each. It ends when its input does.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import socket
import sys
import termios
import traceback
from collections.abc import Callable
from typing import Any

from ropewalk.errors import MulticastJoinError, ReactorNotRunning
from ropewalk.internet.address import IPv4Address, IPv6Address
from ropewalk.internet.defer import ensureDeferred, maybeDeferred
from ropewalk.internet.endpoints import HostnameEndpoint
from ropewalk.internet.protocol import DatagramProtocol
from ropewalk.internet.task import deferLater
from ropewalk.testing.peers import Client, Echo, Recorder, Server, Witness

TEXT = bytes(range(256)) * 1000   # more than a first flight of segments
PIECE = bytes(65536)
LOOK_AGAIN = 0.02   # seconds between looks at what the kernel tells nobody


class Test(Witness):
    """The test, as a reader of what it tells us: each line is an event."""

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor
        self._heard = b""
        self._taken = 0

    def say(self, *words: object) -> None:
        """Tell the test."""
        os.write(1, (" ".join(map(str, words)) + "\n").encode())

    async def tells(self) -> list[str]:
        """Wait for its next line; the words."""
        self._taken += 1
        await self.until(lambda: len(self.events) >= self._taken)
        return self.events[self._taken - 1].split()

    def fileno(self) -> int:
        return 0

    def logPrefix(self) -> str:
        return "test"

    def doRead(self) -> None:
        data = os.read(0, 4096)
        if not data:
            self._reactor.removeReader(self)
            self.connectionLost(None)
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            self.note(line.decode())

    def connectionLost(self, reason: Any) -> None:
        """The test has nothing more to tell, or the reactor stops already."""
        with contextlib.suppress(ReactorNotRunning):
            self._reactor.stop()


def main(name: str, *arguments: str) -> int:
    """Run one program; the exit status."""
    from ropewalk.internet import reactor

    failures: list[Any] = []

    def failed(failure: Any) -> None:
        failures.append(failure)
        reactor.stop()

    test = Test(reactor)
    reactor.addReader(test)
    reactor.callWhenRunning(lambda: ensureDeferred(globals()[name](reactor, test, *arguments)).addErrback(failed))
    reactor.run()
    for failure in failures:
        traceback.print_exception(failure.value)
    return len(failures)


# -- TCP


def listening(reactor: Any, test: Test, interface: str, make: Any) -> Any:
    """A port; its number was said."""
    port = reactor.listenTCP(0, Server(make), interface=interface)
    test.say("listening", port.getHost().port)
    return port


async def connected(reactor: Any, host: str, port: str, **options: Any) -> Any:
    """The protocol of a new connection."""
    factory = Client()
    reactor.connectTCP(host, int(port), factory, **options)
    return await factory.connects()


async def echo(reactor: Any, test: Test, interface: str) -> None:
    """Echo to everybody, and say where they come from."""
    port = listening(reactor, test, interface, Echo)
    while True:
        protocol = await port.factory.accepts(len(port.factory.protocols) + 1)
        test.say("accepted", protocol.transport.getPeer().host)


async def answer(reactor: Any, test: Test, interface: str) -> None:
    """Converse with who connects."""
    port = listening(reactor, test, interface, Recorder)
    await converse(reactor, test, await port.factory.accepts())


async def call(reactor: Any, test: Test, host: str, port: str) -> None:
    """Converse with who listens there."""
    await converse(reactor, test, await connected(reactor, host, port))


async def converse(reactor: Any, test: Test, protocol: Any) -> None:
    """Write when told, say when the system has had to send it again, and when the other's text is here."""
    test.say("connected")
    await test.tells()
    protocol.transport.write(TEXT)
    while not tries_again(protocol.transport.getHandle()):
        await deferLater(reactor, LOOK_AGAIN)
    test.say("waiting", len(protocol.received))
    started = reactor.seconds()
    await protocol.gets(TEXT)
    test.say("received", reactor.seconds() - started)


def tries_again(handle: socket.socket) -> bool:
    """Whether the system repeats what it could not send, by TCP_INFO's tcpi_retransmits and tcpi_probes.

    Where its own device is down it could not even send it once, and probes.
    """
    return any(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[2:4])


def probe(handle: socket.socket, protocol: Any) -> None:
    """Ask the peer after a second of silence, and give it up after two probes without an answer."""
    protocol.transport.setTcpKeepAlive(True)
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 2)):
        handle.setsockopt(socket.IPPROTO_TCP, option, value)


def limit(handle: socket.socket, protocol: Any) -> None:
    """Give the peer up when data has waited a second for its acknowledgement."""
    handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000)


async def endure(reactor: Any, test: Test, host: str, port: str, care: str, text: str = "") -> None:
    """Two connections to an echo, one of them with `care`; say how that one ends, and whether the other lives on."""
    cared, plain = await connected(reactor, host, port), await connected(reactor, host, port)
    globals()[care](cared.transport.getHandle(), cared)
    test.say("connected")
    await test.tells()
    started = reactor.seconds()
    for protocol in (cared, plain):
        protocol.transport.write(text.encode())
    say_loss(test, await cared.ends(), reactor.seconds() - started)
    test.say("plain", plain.transport.connected)
    await test.tells()
    plain.transport.write(b"still there?")
    await plain.gets(text.encode() + b"still there?")
    test.say("echoed")


def say_loss(test: Test, reason: Any, seconds: float = 0.0) -> None:
    """Say why a connection was lost, and how long that took."""
    cause = reason.__cause__
    name = errno.errorcode[cause.errno] if isinstance(cause, OSError) else cause
    test.say("lost", type(reason).__name__, name, seconds)


async def attempt(reactor: Any, test: Test, host: str, port: str, timeout: str) -> None:
    """Try to connect; say how that fails."""
    factory = Client()
    started = reactor.seconds()
    reactor.connectTCP(host, int(port), factory, timeout=float(timeout) or None)
    reason = await factory.fails()
    number = errno.errorcode.get(reason.osError)
    test.say("failed", type(reason).__name__, number, reactor.seconds() - started)


class Names:
    """An IHostnameResolver that gives every name the same addresses, at once."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self._addresses = addresses

    def resolveHostName(self, receiver: Any, name: str, portNumber: int = 0, *_: Any) -> Any:
        receiver.resolutionBegan(self)
        for text in self._addresses:
            host, _, zone = text.partition("%")
            scope = socket.if_nametoindex(zone) if zone else 0
            receiver.addressResolved(
                IPv6Address("TCP", host, portNumber, 0, scope) if ":" in host else IPv4Address("TCP", host, portNumber)
            )
        receiver.resolutionComplete()
        return self

    def cancel(self) -> None:
        """It has answered already."""


async def call_by_name(reactor: Any, test: Test, delay: str, port: str, *addresses: str) -> None:
    """Connect to a name with these addresses, and through an endpoint, too; say which one won, and how long it took.

    delay: the seconds between attempts, or "default".
    """
    delays = {} if delay == "default" else {"attemptDelay": float(delay)}
    reactor.installNameResolver(Names(addresses))
    started = reactor.seconds()
    protocol = await connected(reactor, "host.example", port, **delays)
    test.say("connected", protocol.transport.getPeer().host, reactor.seconds() - started)
    factory = Client()
    started = reactor.seconds()
    protocol = await HostnameEndpoint(reactor, "host.example", int(port), **delays).connect(factory)
    test.say("connected", protocol.transport.getPeer().host, reactor.seconds() - started)


async def ask(reactor: Any, test: Test, host: str, port: str, count: str, size: str) -> None:
    """Send so many texts to an echo, each when the one before is back; say how long that took."""
    protocol = await connected(reactor, host, port)
    protocol.transport.setTcpNoDelay(True)
    started = reactor.seconds()
    for number in range(1, int(count) + 1):
        protocol.transport.write(bytes(int(size)))
        await protocol.gets(bytes(int(size) * number))
    test.say("echoed", reactor.seconds() - started)
    protocol.transport.loseConnection()
    test.say("closed", type(await protocol.ends()).__name__)


# -- ends


async def ignore(reactor: Any, test: Test, interface: str) -> None:
    """Read nothing of what comes; say when so many bytes wait as the test names."""
    port = listening(reactor, test, interface, Recorder)
    protocol = await port.factory.accepts()
    protocol.transport.pauseProducing()
    test.say("accepted")
    (number,) = await test.tells()
    while unread(protocol.transport.getHandle()) < int(number):
        await deferLater(reactor, LOOK_AGAIN)
    test.say("unread")


def unread(handle: socket.socket) -> int:
    """How many bytes the system keeps for us: FIONREAD."""
    return int.from_bytes(fcntl.ioctl(handle, termios.FIONREAD, bytes(4)), sys.byteorder)


async def last_words(reactor: Any, test: Test, host: str, port: str) -> None:
    """Connect, do as the test says (`write TEXT`, `close`), and say how the connection ends."""
    protocol = await connected(reactor, host, port)
    protocol.connectionLost = lambda reason: say_loss(test, reason.value)
    test.say("connected")
    while True:
        order, *words = await test.tells()
        if order == "close":
            protocol.transport.loseConnection()
        else:
            protocol.transport.write(words[0].encode())


# -- back-pressure


class Pump:
    """A push producer that writes `left` bytes, as fast as it may, and notes what it is told."""

    def __init__(self, transport: Any, left: int) -> None:
        self.pauses = 0
        self._transport = transport
        self._left = left
        self._paused = False

    def resumeProducing(self) -> None:
        self._paused = False
        while self._left and not self._paused:
            self._left -= len(PIECE)
            self._transport.write(PIECE)
        if not self._left:
            self._transport.unregisterProducer()
            self._transport.loseConnection()

    def pauseProducing(self) -> None:
        self.pauses += 1
        self._paused = True

    def stopProducing(self) -> None:
        self._left = 0


async def produce(reactor: Any, test: Test, host: str, port: str, count: str) -> None:
    """Send so many bytes by a producer; say how often it was paused, how much memory that took, and how long."""
    protocol = await connected(reactor, host, port)
    pump = Pump(protocol.transport, int(count))
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, reactor.seconds()
    protocol.transport.registerProducer(pump, True)
    pump.resumeProducing()
    reason = await protocol.ends()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    test.say("sent", type(reason).__name__, pump.pauses, grown * 1024, reactor.seconds() - started)


class Counter(Recorder):
    """Counts what comes, and keeps none of it."""

    count = 0

    def dataReceived(self, data: bytes) -> None:
        self.count += len(data)


async def consume(reactor: Any, test: Test, interface: str) -> None:
    """Count what one connection brings, and say how it ends."""
    port = listening(reactor, test, interface, Counter)
    protocol = await port.factory.accepts()
    reason = await protocol.ends()
    test.say("counted", protocol.count, type(reason).__name__)


# -- UDP


class Listener(DatagramProtocol):
    """Says what comes, and from where; answers questions, which end with a question mark."""

    def __init__(self, test: Test) -> None:
        self._test = test

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._test.say("received", datagram.decode(), *addr)
        if datagram.endswith(b"?"):
            self.transport.write(b"yes", addr)

    def connectionRefused(self) -> None:
        self._test.say("refused")


async def receive(
    reactor: Any, test: Test, interface: str, number: str, group: str = "", *interfaces: str
) -> None:
    """Receive datagrams. Join `group` by each of the interfaces in turn, and leave it, each time when told."""
    port = reactor.listenMulticast(int(number), Listener(test), interface=interface)
    test.say("listening", port.getHost().port)
    for each in interfaces:
        await test.tells()
        await port.joinGroup(group, number_or_text(each))
        test.say("joined")
        await test.tells()
        await port.leaveGroup(group, number_or_text(each))
        test.say("left")


async def send(reactor: Any, test: Test, interface: str) -> None:
    """Do as the test says: an order of ORDERS and its arguments; say what the system denies, and what is refused."""
    port = reactor.listenMulticast(0, Listener(test), interface=interface)
    test.say("sending")
    while True:
        order, *words = await test.tells()
        try:
            await maybeDeferred(ORDERS[order], port, *words)
        except OSError as error:
            test.say("denied", errno.errorcode[error.errno or 0])
        except MulticastJoinError as error:
            test.say("failed", error)


ORDERS: dict[str, Callable[..., Any]] = {
    "to": lambda port, host, number, text: port.write(text.encode(), (host, int(number))),
    "connect": lambda port, host, number: port.connect(host, int(number)),
    "write": lambda port, text: port.write(text.encode()),
    "broadcast": lambda port: port.setBroadcastAllowed(True),
    "by": lambda port, interface: port.setOutgoingInterface(number_or_text(interface)),
    "ttl": lambda port, number: port.setTTL(int(number)),
    "loopback": lambda port, mode: port.setLoopbackMode(mode == "on"),
    "join": lambda port, group, interface="": port.joinGroup(group, number_or_text(interface)),
}


def number_or_text(text: str) -> int | str:
    """An interface as a program would name it."""
    return int(text) if text.isdecimal() else text


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
