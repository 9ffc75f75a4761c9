"""What behaviours of TLS need: contexts, connected protocols, and a peer whose every record is in our hands."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import unittest
from collections.abc import Callable
from typing import Any, NamedTuple

from ropewalk.internet.ssl import CertificateOptions, ClientTLSOptions, TLSVersion, optionsForClientTLS
from ropewalk.testing.certificates import Authority
from ropewalk.testing.peers import IPV4, Client, Recorder, Server, passes, plain_socket
from ropewalk.testing.rig import Rig

VERSIONS = (TLSVersion.TLSv1_2, TLSVersion.TLSv1_3)
HANDSHAKE, ALERT, DATA = 22, 21, 23   # kinds of records (RFC 8446, 5.1)


@functools.cache
def authority() -> Authority:
    """The authority that the contexts here trust; without the package that makes one the behaviour is skipped."""
    try:
        return Authority()
    except ImportError as error:
        raise unittest.SkipTest(str(error)) from None


@functools.cache
def server_options(version: TLSVersion | None = None) -> CertificateOptions:
    """The context factory of a server at 127.0.0.1 that speaks `version` alone (None: whatever is safe)."""
    shown = authority().issue("127.0.0.1", "localhost")
    return CertificateOptions(shown.privateKey, shown, raiseMinimumTo=version, lowerMaximumSecurityTo=version)


def client_options(name: str = IPV4, **arguments: Any) -> ClientTLSOptions:
    """A new context factory for connections to `name` that trusts authority(); see optionsForClientTLS()."""
    arguments.setdefault("trustRoot", authority().certificate)
    return optionsForClientTLS(name, **arguments)


class Secured(Recorder):
    """A Recorder that notes "secured" when the handshake is done."""

    def handshakeCompleted(self) -> None:
        self.note("secured")


def listen_tls(rig: Rig, make: Callable[[], Any] = Secured, context: Any = None) -> Any:
    """A TLS port on a free number, with a Server as its factory; context: None for server_options()."""
    return rig.reactor.listenSSL(0, Server(make), context or server_options(), interface=IPV4)


def dial_tls(rig: Rig, port: Any, make: Callable[[], Any] = Secured, context: Any = None) -> Client:
    """The factory of a TLS connection to `port`; context: None for client_options()."""
    factory = Client(make)
    rig.reactor.connectSSL(IPV4, port.getHost().port, factory, context or client_options())
    return factory


async def tls_pair(
    rig: Rig,
    client: Callable[[], Any] = Secured,
    server: Callable[[], Any] = Secured,
    *,
    clientContext: Any = None,
    serverContext: Any = None,
) -> tuple[Any, Any]:
    """The protocols of the two ends of a new connection, whose handshake may still be under way."""
    port = listen_tls(rig, server, serverContext)
    connected = await dial_tls(rig, port, client, clientContext).connects()
    accepted = await port.factory.accepts()
    await port.stopListening()
    return connected, accepted


class Record(NamedTuple):
    """A record as it travels. kind: its type; size: of what it contains, in bytes."""

    kind: int
    size: int


def split_records(data: bytes) -> tuple[list[Record], bytes]:
    """The whole records at the beginning of `data`, and the rest."""
    records = []
    while len(data) >= 5 and len(data) >= 5 + (size := int.from_bytes(data[3:5], "big")):
        records.append(Record(data[0], size))
        data = data[5 + size :]
    return records, data


class ByHand:
    """A TLS peer over a plain socket: what it has to send is sent by the behaviour, and its records are counted.

    plain: the socket; context: an ssl.SSLContext; name: the one that the other side has to prove.

    early: plaintext to send together with the end of its handshake.
    received: the plaintext that came; records: those that came; ended: whether close_notify did; closed: whether the
    connection is over, by an end or a reset; error: the ssl.SSLError that ended TLS here, or None.
    """

    def __init__(
        self, rig: Rig, plain: socket.socket, context: ssl.SSLContext, *, server_side: bool = False,
        name: str | None = IPV4,
    ) -> None:  # fmt: skip
        plain.setblocking(False)
        self.plain = plain
        self._rig = rig
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side, None if server_side else name)
        self.done = False
        self.early = b""
        self.received = bytearray()
        self.records: list[Record] = []
        self.ended = False
        self.closed = False
        self.error: ssl.SSLError | None = None
        self._partial = b""
        self._unsent = b""

    # -- what it sends

    def hello(self) -> bytes:
        """Its first flight, to be sent by the caller."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self._outgoing.read()

    def encrypt(self, *pieces: bytes) -> bytes:
        """A record of each piece, to be sent by the caller."""
        for piece in pieces:
            self.tls.write(piece)
        return self._outgoing.read()

    def goodbye(self) -> bytes:
        """Its close_notify, to be sent by the caller."""
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
        return self._outgoing.read()

    def send(self, data: bytes) -> None:
        """Send `data` as it is, as much as there is room for now; until() sends the rest."""
        self._unsent += data
        with contextlib.suppress(BlockingIOError, ConnectionError):
            self._unsent = self._unsent[self.plain.send(self._unsent) :]

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        self.send(self.encrypt(data))

    # -- what comes

    async def shakes(self) -> None:
        """Wait until the handshake is done."""
        await self.until(lambda: self.done or self.error is not None)
        assert self.error is None, self.error

    async def gets(self, data: bytes) -> None:
        """Wait until that has come."""
        await self.until(lambda: len(self.received) >= len(data) or self.closed)
        assert self.received == data, f"{len(self.received)} bytes came, {len(data)} were expected, or they differ"

    async def ends(self) -> None:
        """Wait until close_notify has come."""
        await self.until(lambda: self.ended or self.closed)
        assert self.ended, "an end without close_notify"

    async def closes(self) -> None:
        """Wait until the connection is over, in whatever way."""
        await self.until(lambda: self.closed)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Send what is unsent and take what comes, until `condition()` holds."""
        while not condition():
            self.step()
            await passes(self._rig)

    def step(self) -> None:
        """Take what is there."""
        self.send(b"")
        try:
            data = self.plain.recv(1_000_000)
        except BlockingIOError:
            data = None
        except ConnectionError:
            data = b""
        if data == b"":
            self.closed = True
        elif data:
            found, self._partial = split_records(self._partial + data)
            self.records += found
            self._incoming.write(data)
        self._go_on()

    def _go_on(self) -> None:
        try:
            if not self.done:
                self.tls.do_handshake()
                self.done = True
                self.tls.write(self.early)
            while not self.ended:
                plain = self.tls.read(65536)
                self.received += plain
                self.ended = not plain
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            self.error = error
        self.send(self._outgoing.read())

    def close(self) -> None:
        """Close the socket, with what is unread read first, so that it does not reset."""
        with contextlib.suppress(OSError):
            while self.plain.recv(1_000_000):
                pass
        self.plain.close()


async def by_hand(
    rig: Rig, server: Callable[[], Any] = Secured, *, context: ssl.SSLContext | None = None, serverContext: Any = None
) -> tuple[ByHand, Any]:
    """A client in our hands that has done its handshake, and the protocol of the server at the other end."""
    port = listen_tls(rig, server, serverContext)
    peer = ByHand(rig, plain_socket(rig, port), context or client_options().context)
    accepted = await port.factory.accepts()
    await port.stopListening()
    await peer.shakes()
    return peer, accepted
