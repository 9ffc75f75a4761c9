"""The Python peers, each as one `Engine`: the same few verbs, so that a workload is one program for all.

Names are `asyncio`, `uvloop`, `twisted` and `ropewalk` (both with their epollreactor), or one of the last
two with a reactor: `ropewalk-poll`, `twisted-gtk3` (the modules pollreactor, gtk3reactor).

The echo servers are what each one's documentation shows. asyncio and uvloop set TCP_NODELAY on every
connection, Twisted and Ropewalk leave it to the program (setTcpNoDelay): each as it comes. All have the same
backlog.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

BACKLOG = 1024

DEFAULT_REACTOR = "epoll"


@dataclass(frozen=True)
class Engine:
    """One event loop. `call_later` and `post` are its own methods: no wrapper, which would cost them all."""

    call_later: Callable[..., Any]
    post: Callable[..., Any]
    run: Callable[[Callable[[], object]], None]
    stop: Callable[[], object]
    echo: Callable[[Callable[[int], object]], None]


def make_engine(peer: str) -> Engine:
    """Return the engine of the peer named `peer`. Raises ValueError for a name that is none."""
    family, _, variant = peer.partition("-")
    if family in ("asyncio", "uvloop") and not variant:
        return _event_loop(family)
    if family in ("twisted", "ropewalk"):
        return _reactor(family, variant or DEFAULT_REACTOR)
    raise ValueError(f"no such peer: {peer!r}; known are asyncio, uvloop, twisted[-REACTOR], ropewalk[-REACTOR]")


def _event_loop(module: str) -> Engine:
    import asyncio

    loop: asyncio.AbstractEventLoop = importlib.import_module(module).new_event_loop()

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    def run(first: Callable[[], object]) -> None:
        loop.call_soon(first)
        loop.run_forever()

    def echo(listening: Callable[[int], object]) -> None:
        server = loop.run_until_complete(loop.create_server(Echo, "127.0.0.1", 0, backlog=BACKLOG))
        port = server.sockets[0].getsockname()[1]
        run(lambda: listening(port))

    return Engine(loop.call_later, loop.call_soon_threadsafe, run, loop.stop, echo)


def _reactor(package: str, name: str) -> Engine:
    importlib.import_module(f"{package}.internet.{name}reactor").install()
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

    return Engine(reactor.callLater, reactor.callFromThread, run, reactor.stop, echo)
