"""Connected pairs: two protocols and a connection between them in memory, which the test moves step by step.

The transports are the real ones, over channels in memory: a test sees back-pressure, half-closed connections, resets
and reasons as on a network, the same at every run.

    client, server, pump = connectedPair(Client(), Server())
    client.transport.write(b"ping")
    pump.flush()
    assert pump.serverSent == b"pong"
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

from ropewalk.internet.address import IPv4Address, IPv6Address, UNIXAddress
from ropewalk.internet.base import running_as
from ropewalk.internet.task import Clock
from ropewalk.testing.memory import MemoryLoop
from ropewalk.testing.wires import CAPACITY, MemoryChannel, MemoryWire
from ropewalk.transports.stream import Stream
from ropewalk.transports.tcp import Client, Server
from ropewalk.transports.unix import UNIXClient, UNIXServer

_CLIENT = IPv4Address("TCP", "127.0.0.1", 49152)
_SERVER = IPv4Address("TCP", "127.0.0.1", 8000)
_LIMIT = 100_000   # steps


class Pump:
    """Moves what is under way between the two sides of a connection, and everything else on their loop.

    wire: the connection; its `piece` and `capacity` may be changed. An assertion that fails in a protocol is raised by
    the method that made it run; another exception of a protocol closes its connection, as it always does.
    """

    def __init__(self, loop: MemoryLoop, wire: MemoryWire) -> None:
        self._loop = loop
        self.wire = wire

    @property
    def clock(self) -> Clock:
        """The clock of the two transports' reactor."""
        return self._loop.clock

    @property
    def clientSent(self) -> bytes:
        """All that the client has sent so far; what waits in its transport does not count."""
        return bytes(self.wire.ends[0].sending.log)

    @property
    def serverSent(self) -> bytes:
        """All that the server has sent so far; what waits in its transport does not count."""
        return bytes(self.wire.ends[1].sending.log)

    def pump(self) -> bool:
        """One step: what both sides had sent arrives, what they answer does not yet, and the calls that are due are
        made. Returns whether there was anything to do.
        """
        return self._loop.turn()

    def flush(self, limit: int = _LIMIT) -> None:
        """Step until there is nothing to do. Raises AssertionError if there still is after `limit` steps."""
        self._loop.flush()
        self._loop.finish(limit)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass. A call is made at its time, and what it sends has arrived before the next one."""
        end = self.clock.seconds() + seconds
        self.flush()
        while (due := self._next_call()) is not None and due <= end:
            self._loop.advance(due - self.clock.seconds())
            self.flush()
        self._loop.advance(end - self.clock.seconds())
        self.flush()

    def cut(self, error: OSError | None = None) -> None:
        """The network breaks: what is under way is lost, and at the next step both sides learn of `error`.

        error: what their sockets report (None: that the connection timed out).
        """
        self.wire.cut(OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) if error is None else error)

    def _next_call(self) -> float | None:
        calls = self.clock.getDelayedCalls()
        return calls[0].getTime() if calls else None


class ConnectedPair(NamedTuple):
    """The two protocols of a connection, and its pump; a side whose factory refused is None."""

    client: Any
    server: Any
    pump: Pump


def connectedPair(
    client: Any,
    server: Any,
    reactor: MemoryLoop | None = None,
    capacity: int = CAPACITY,
    piece: int | None = None,
) -> ConnectedPair:
    """Connect two protocols; nothing has moved yet but what connectionMade did.

    client, server: a protocol, a protocol class or another callable that makes one, or a factory, whose buildProtocol
    is called; reactor: a MemoryReactorClock or MemoryLoop to share with others (None: one of their own, with a clock
    that stands at 0); capacity: how many bytes a side sends at most before the other has read them; piece: how many
    bytes arrive at most in a step, in each direction (None: all; 1: one by one).
    """
    loop = MemoryLoop() if reactor is None else reactor

    def connect(channel: MemoryChannel) -> Any:
        return run_side(client, make_client(loop, channel, _CLIENT, _SERVER))

    return join(loop, MemoryWire(capacity, piece), server, (_CLIENT, _SERVER), connect)


def join(
    loop: MemoryLoop,
    wire: MemoryWire,
    server: Any,
    addresses: tuple[Any, Any],
    connect: Callable[[MemoryChannel], Any],
) -> ConnectedPair:
    """Start the server's side, then the client's, which `connect` does, given its channel; it returns its protocol.

    addresses: the client's and the server's.
    """
    loop.wires.append(wire)
    near, far = wire.ends
    client_address, server_address = addresses
    with running_as(loop):
        serving = run_side(server, make_server(loop, far, server_address, client_address))
        connecting = connect(near)
    loop.flush()
    return ConnectedPair(connecting, serving, Pump(loop, wire))


def run_side(source: Any, stream: Any) -> Any:
    """The protocol that `source` gives, started on `stream`; None, and the stream is closed, if it gives none."""
    protocol = _protocol(source, stream.getPeer())
    if protocol is None:
        stream.channel.close()
    else:
        stream.start(protocol)
    return protocol


def _protocol(source: Any, peer: Any) -> Any:
    if hasattr(source, "buildProtocol"):
        return source.buildProtocol(peer)
    if hasattr(source, "makeConnection") and not isinstance(source, type):
        return source
    if not callable(source):
        raise TypeError(f"a side is a protocol, a callable that makes one, or a factory, which {source!r} is not")
    return source()


def make_server(loop: MemoryLoop, channel: MemoryChannel, host: Any, peer: Any) -> Stream:
    """The transport of an accepted connection."""
    socket_like: Any = channel
    stream: Stream
    if isinstance(host, UNIXAddress):
        channel.name = host.name or b""
        stream = UNIXServer(loop, socket_like, peer.name or b"")
    else:
        stream = Server(loop, socket_like, *_tcp(peer, host))
    channel.attach(loop, stream)
    return stream


def make_client(
    loop: MemoryLoop, channel: MemoryChannel, host: Any, peer: Any, lost: Callable[[Any], object] | None = None
) -> Stream:
    """The transport of a connection that was made; `lost` is called when it is over."""
    socket_like: Any = channel
    stream: Stream
    if isinstance(host, UNIXAddress):
        channel.name = host.name or b""
        stream = UNIXClient(loop, socket_like, peer.name or b"", lost)
    else:
        stream = Client(loop, socket_like, *_tcp(peer, host), lost)
    channel.attach(loop, stream)
    return stream


def _tcp(peer: Any, host: Any) -> tuple[int, Any, Any]:
    """The family, and the socket addresses of the two ends."""
    family = socket.AF_INET6 if isinstance(peer, IPv6Address) else socket.AF_INET
    return family, tuple(peer)[1:], tuple(host)[1:]
