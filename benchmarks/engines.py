"""The Python peers, each as one `Engine`: the same few verbs, so that a workload is one program for all.

Names are `asyncio`, `uvloop`, `twisted` and `ropewalk` (both with their epollreactor), or one of the last
two with a reactor: `ropewalk-poll`, `twisted-gtk3` (the modules pollreactor, gtk3reactor); `qasync` is asyncio on Qt;
`bridge` is Twisted with Ropewalk's reactor, which may be named, too: `bridge-poll`.

The echo servers are what each one's documentation shows. asyncio and uvloop set TCP_NODELAY on every
connection, Twisted and Ropewalk leave it to the program (setTcpNoDelay), but Ropewalk sets it for TLS: each as
it comes. All have the same backlog. Those of TLS have a certificate, and else what each one's defaults are.
"""

from __future__ import annotations

import importlib
import ssl
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import toolkits

BACKLOG = 1024

DEFAULT_REACTOR = "epoll"


@dataclass(frozen=True)
class Engine:
    """One event loop. `call_later` and `post` are its own methods: no wrapper, which would cost them all.

    `echo` takes what is told the port, `tls_echo` before that the path of a certificate with its key, `udp_echo` the
    number of sockets and what is told their ports; they serve until the process is killed. `send_file` connects to a
    port of 127.0.0.1, sends the file at a path, closes, and returns when that is done; it may be called again. `spawn`
    starts a program with three pipes, and calls what it is given when that has exited and the pipes are closed.
    """

    call_later: Callable[..., Any]
    post: Callable[..., Any]
    run: Callable[[Callable[[], object]], None]
    stop: Callable[[], object]
    echo: Callable[[Callable[[int], object]], None]
    tls_echo: Callable[[str, Callable[[int], object]], None]
    udp_echo: Callable[[int, Callable[[Sequence[int]], object]], None]
    send_file: Callable[[str, int], None]
    spawn: Callable[[str, Callable[[], object]], object]


def make_engine(peer: str) -> Engine:
    """Return the engine of the peer named `peer`. Raises ValueError for a name that is none."""
    family, _, variant = peer.partition("-")
    if family in ("asyncio", "uvloop", "qasync") and not variant:
        return _event_loop(family)
    name = variant or DEFAULT_REACTOR
    if family in ("twisted", "ropewalk"):
        toolkits.install(family, name)
        return _reactor(family)
    if family == "bridge":
        importlib.import_module("ropewalk.twisted").install(name)
        return _reactor("twisted")
    known = "asyncio, uvloop, qasync, twisted[-REACTOR], ropewalk[-REACTOR], bridge[-REACTOR]"
    raise ValueError(f"no such peer: {peer!r}; known are {known}")


def _event_loop(module: str) -> Engine:
    import asyncio

    make = toolkits.qt_loop if module == "qasync" else importlib.import_module(module).new_event_loop
    loop: asyncio.AbstractEventLoop = make()

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    class UDPEcho(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.transport.sendto(data, addr)

    class Sender(asyncio.Protocol):
        def __init__(self) -> None:
            self.lost = loop.create_future()

        def connection_lost(self, reason: Exception | None) -> None:
            self.lost.set_result(reason)

    def run(first: Callable[[], object]) -> None:
        loop.call_soon(first)
        loop.run_forever()

    def serve(listening: Callable[[int], object], context: ssl.SSLContext | None) -> None:
        server = loop.run_until_complete(loop.create_server(Echo, "127.0.0.1", 0, backlog=BACKLOG, ssl=context))
        port = server.sockets[0].getsockname()[1]
        run(lambda: listening(port))

    def echo(listening: Callable[[int], object]) -> None:
        serve(listening, None)

    def tls_echo(certificate: str, listening: Callable[[int], object]) -> None:
        serve(listening, _context(certificate))

    def udp_echo(sockets: int, listening: Callable[[Sequence[int]], object]) -> None:
        ports = []
        for _ in range(sockets):
            opening = loop.create_datagram_endpoint(UDPEcho, local_addr=("127.0.0.1", 0))
            transport, _ = loop.run_until_complete(opening)
            ports.append(transport.get_extra_info("sockname")[1])
        run(lambda: listening(ports))

    async def sent(path: str, port: int) -> None:
        transport, protocol = await loop.create_connection(Sender, "127.0.0.1", port)
        with open(path, "rb") as file:
            await loop.sendfile(transport, file)
        transport.close()
        await protocol.lost

    def send_file(path: str, port: int) -> None:
        try:
            loop.run_until_complete(sent(path, port))
        except NotImplementedError:
            sys.exit(f"{module} has no loop.sendfile: it raises NotImplementedError")

    class Child(asyncio.SubprocessProtocol):
        def __init__(self, ended: Callable[[], object]) -> None:
            self.ended = ended

        def connection_lost(self, reason: Exception | None) -> None:
            self.ended()

    starting: set[asyncio.Task[Any]] = set()

    def spawn(program: str, ended: Callable[[], object]) -> None:
        task = loop.create_task(loop.subprocess_exec(lambda: Child(ended), program))
        starting.add(task)
        task.add_done_callback(starting.discard)

    post = loop.call_soon_threadsafe
    return Engine(loop.call_later, post, run, loop.stop, echo, tls_echo, udp_echo, send_file, spawn)


def _reactor(package: str) -> Engine:
    """The engine of the reactor that is installed in `package`."""
    reactor: Any = importlib.import_module(f"{package}.internet.reactor")
    protocol: Any = importlib.import_module(f"{package}.internet.protocol")

    class Echo(protocol.Protocol):  # type: ignore[misc]
        def dataReceived(self, data: bytes) -> None:
            self.transport.write(data)

    class EchoFactory(protocol.ServerFactory):  # type: ignore[misc]
        protocol = Echo
        noisy = False

    def run(first: Callable[[], object]) -> None:
        reactor.callWhenRunning(first)
        reactor.run()

    def echo(listening: Callable[[int], object]) -> None:
        port = reactor.listenTCP(0, EchoFactory(), backlog=BACKLOG, interface="127.0.0.1")
        run(lambda: listening(port.getHost().port))

    def tls_echo(certificate: str, listening: Callable[[int], object]) -> None:
        context = _context(certificate) if package == "ropewalk" else _twisted_options(certificate)
        port = reactor.listenSSL(0, EchoFactory(), context, backlog=BACKLOG, interface="127.0.0.1")
        run(lambda: listening(port.getHost().port))

    def udp_echo(sockets: int, listening: Callable[[Sequence[int]], object]) -> None:
        class UDPEcho(protocol.DatagramProtocol):  # type: ignore[misc]
            noisy = False

            def datagramReceived(self, data: bytes, addr: Any) -> None:
                self.transport.write(data, addr)

        ports = [reactor.listenUDP(0, UDPEcho(), interface="127.0.0.1") for _ in range(sockets)]
        run(lambda: listening([port.getHost().port for port in ports]))

    def send_file(path: str, port: int) -> None:
        basic: Any = importlib.import_module(f"{package}.protocols.basic")
        failures: list[Any] = []

        class Sender(protocol.Protocol):  # type: ignore[misc]
            def connectionMade(self) -> None:
                sent = basic.FileSender().beginFileTransfer(file, self.transport)
                sent.addErrback(failures.append)
                sent.addBoth(lambda _: self.transport.loseConnection())

            def connectionLost(self, reason: Any) -> None:
                reactor.crash()

        class SenderFactory(protocol.ClientFactory):  # type: ignore[misc]
            protocol = Sender
            noisy = False

            def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
                failures.append(reason)
                reactor.crash()

        with open(path, "rb") as file:
            run(lambda: reactor.connectTCP("127.0.0.1", port, SenderFactory()))
        if failures:
            failures[0].raiseException()

    class Child(protocol.ProcessProtocol):  # type: ignore[misc]
        def __init__(self, ended: Callable[[], object]) -> None:
            self.ended = ended

        def processEnded(self, reason: Any) -> None:
            self.ended()

    def spawn(program: str, ended: Callable[[], object]) -> None:
        reactor.spawnProcess(Child(ended), program, [program], None)

    post = reactor.callFromThread
    return Engine(reactor.callLater, post, run, reactor.stop, echo, tls_echo, udp_echo, send_file, spawn)


def _context(certificate: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


def _twisted_options(certificate: str) -> Any:
    tls: Any = importlib.import_module("twisted.internet.ssl")
    return tls.PrivateCertificate.loadPEM(Path(certificate).read_bytes()).options()
