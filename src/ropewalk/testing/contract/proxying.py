"""Connections behind a proxy (the PROXY protocol): what the program sees, and how bad headers end."""

from __future__ import annotations

import logging
import socket
import struct
from typing import Any

from ropewalk.errors import ConnectionDone
from ropewalk.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from ropewalk.protocols.haproxy import HAProxyWrappingFactory, proxyEndpoint
from ropewalk.protocols.portforward import Forwarder
from ropewalk.testing.contract import behaviour
from ropewalk.testing.peers import (
    IPV4,
    Echo,
    HalfCloser,
    Recorder,
    Server,
    in_reactor,
    listen,
    log_records,
    passes,
    plain_socket,
)
from ropewalk.testing.rig import Rig

_TEXT = b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 443\r\n"
_BINARY = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11"
    + struct.pack("!H", 12)
    + socket.inet_aton("192.0.2.1")
    + socket.inet_aton("192.0.2.2")
    + struct.pack("!2H", 4000, 443)
)


class _Asks(Recorder):
    """Keeps the addresses that it sees when it is connected."""

    seen: Any = None

    def connectionMade(self) -> None:
        peer, host = self.transport.getPeer(), self.transport.getHost()
        self.seen = (peer.host, peer.port, host.host, host.port)
        super().connectionMade()


def _behind_a_proxy(rig: Rig, make: Any = Recorder) -> tuple[Any, Server]:
    """A port behind a proxy, and the factory of its program."""
    program = Server(make)
    return rig.reactor.listenTCP(0, HAProxyWrappingFactory(program), interface=IPV4), program


@behaviour
@in_reactor
async def a_program_behind_a_proxy_sees_its_client_from_the_beginning(rig: Rig) -> None:
    port, program = _behind_a_proxy(rig, _Asks)
    for number, header in enumerate((_TEXT, _BINARY), 1):
        plain = plain_socket(rig, port)
        plain.sendall(header + b"hello")
        server = await program.accepts(number)
        await server.gets(b"hello")
        assert server.seen == ("192.0.2.1", 4000, "192.0.2.2", 443)
        plain.sendall(b" again")
        await server.gets(b"hello again")
        server.transport.loseConnection()
        assert isinstance(await server.ends(), ConnectionDone)
        assert server.transport.getPeer().host == "192.0.2.1"
    assert not rig.reactor.getDelayedCalls()


@behaviour
@in_reactor
async def a_header_may_arrive_byte_by_byte(rig: Rig) -> None:
    port, program = _behind_a_proxy(rig, _Asks)
    for number, header in enumerate((_TEXT, _BINARY), 1):
        plain = plain_socket(rig, port)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(header)):
            assert len(program.protocols) == number - 1
            plain.sendall(header[at : at + 1])
            await passes(rig)
        plain.sendall(b"hello")
        server = await program.accepts(number)
        await server.gets(b"hello")
        assert server.seen == ("192.0.2.1", 4000, "192.0.2.2", 443)


@behaviour
@in_reactor
async def a_health_check_of_the_proxy_has_the_addresses_of_its_connection(rig: Rig) -> None:
    port, program = _behind_a_proxy(rig, _Asks)
    for number, header in enumerate((b"PROXY UNKNOWN\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"), 1):
        plain = plain_socket(rig, port)
        plain.sendall(header)
        server = await program.accepts(number)
        assert server.seen == (*plain.getsockname(), *plain.getpeername())


@behaviour
@in_reactor
async def a_bad_header_closes_its_connection_alone_and_is_said_in_the_log(rig: Rig) -> None:
    port, program = _behind_a_proxy(rig, Echo)
    for header, why in (
        (b"GET / HTTP/1.1\r\n", "InvalidProxyHeader: this is no PROXY header"),
        (b"PROXY TCP5 x\r\n", "InvalidNetworkProtocol: the protocol is to be TCP4"),
        (b"PROXY TCP4 x\r\n", "MissingAddressData: two addresses"),
        (b"PROXY UNKNOWN " + b"x" * 1000, "InvalidProxyHeader: the line has no end within 107 bytes"),
    ):
        plain = plain_socket(rig, port)
        with log_records(logging.WARNING) as records:
            plain.sendall(header)
            while not records:
                await passes(rig)
            await passes(rig)
        (record,) = records
        assert record.levelno == logging.WARNING
        assert why in record.getMessage()
        assert repr(plain.getsockname()[1]) in record.getMessage()
        assert not port.factory.protocols
        assert not program.protocols
    good = plain_socket(rig, port)
    good.sendall(_TEXT + b"hello")
    await (await program.accepts()).gets(b"hello")
    assert good.recv(100) == b"hello"


@behaviour
@in_reactor
async def a_header_that_does_not_end_frees_its_connection_after_the_time_limit(rig: Rig) -> None:
    port, program = _behind_a_proxy(rig)
    port.factory.headerTimeout = 0.02
    with log_records(logging.WARNING) as records:
        silent, slow = plain_socket(rig, port), plain_socket(rig, port)
        slow.sendall(_TEXT[:-1])
        while len(records) < 2:
            await passes(rig)
        while port.factory.protocols:
            await passes(rig)
    assert all("no whole PROXY header came within 0.02 seconds" in record.getMessage() for record in records)
    assert silent.recv(1) == slow.recv(1) == b""
    assert not program.protocols


@behaviour
@in_reactor
async def a_peer_that_leaves_before_its_header_is_not_worth_a_word(rig: Rig) -> None:
    port, program = _behind_a_proxy(rig)
    with log_records(logging.WARNING) as records:
        for sent in (b"", _TEXT[:-1], _BINARY[:-1]):
            plain = plain_socket(rig, port)
            plain.sendall(sent)
            while not port.factory.protocols:
                await passes(rig)
            plain.close()
            while port.factory.protocols:
                await passes(rig)
    assert not records
    assert not program.protocols
    assert not rig.reactor.getDelayedCalls()


@behaviour
@in_reactor
async def a_program_that_refuses_a_client_or_fails_closes_its_connection(rig: Rig) -> None:
    def fail() -> None:
        raise LookupError

    for make in (lambda: None, fail):
        port, _program = _behind_a_proxy(rig, make)
        plain = plain_socket(rig, port)
        plain.sendall(_TEXT)
        while not port.factory.protocols:
            await passes(rig)
        while port.factory.protocols:
            await passes(rig)
        assert plain.recv(1) == b""
    rig.expect_errors(LookupError)


@behaviour
@in_reactor
async def a_connection_behind_a_proxy_may_be_half_closed(rig: Rig) -> None:
    port, program = _behind_a_proxy(rig, HalfCloser)
    plain = plain_socket(rig, port)
    plain.sendall(_TEXT + b"question")
    plain.shutdown(socket.SHUT_WR)
    server = await program.accepts()
    await server.happens("read lost")
    assert server.received == b"question"
    server.transport.write(b"answer")
    server.transport.loseConnection()
    assert isinstance(await server.ends(), ConnectionDone)
    assert plain.recv(100) == b"answer"


@behaviour
@in_reactor
async def what_came_with_the_header_waits_until_a_forwarder_can_forward_it(rig: Rig) -> None:
    destination = listen(rig, Echo)
    address = destination.getHost()
    forwarder = Forwarder(TCP4ClientEndpoint(rig.reactor, address.host, address.port))
    port = rig.reactor.listenTCP(0, HAProxyWrappingFactory(forwarder), interface=IPV4)
    plain = plain_socket(rig, port)
    plain.sendall(_TEXT + b"hello")
    end = await destination.factory.accepts()
    await end.gets(b"hello")
    plain.sendall(b" again")
    await end.gets(b"hello again")


@behaviour
@in_reactor
async def a_proxy_endpoint_listens_for_connections_with_headers(rig: Rig) -> None:
    program = Server(_Asks)
    port: Any = await proxyEndpoint(TCP4ServerEndpoint(rig.reactor, 0, interface=IPV4)).listen(program)
    assert program.events == ["start"]
    plain = plain_socket(rig, port)
    plain.sendall(_TEXT + b"hello")
    server = await program.accepts()
    await server.gets(b"hello")
    assert server.seen == ("192.0.2.1", 4000, "192.0.2.2", 443)
    await port.stopListening()
    assert program.events[-1] == "stop"
