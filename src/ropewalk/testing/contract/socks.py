"""A SOCKS server: connects clients of both versions, refuses what its rules say, and outlives bad clients."""

from __future__ import annotations

import logging
import socket
import struct
from typing import Any

from ropewalk.internet.error import ConnectionDone
from ropewalk.protocols.socks import Rules, SOCKSFactory
from ropewalk.testing.contract import behaviour
from ropewalk.testing.peers import (
    IPV4,
    Echo,
    HalfCloser,
    Recorder,
    dial,
    in_reactor,
    listen,
    log_records,
    passes,
    plain_socket,
)
from ropewalk.testing.rig import Rig

_GREETING = b"\5\1\0"
_WELCOME = b"\5\0"


def _serve(rig: Rig, factory: SOCKSFactory | None = None) -> Any:
    """The port of a SOCKS server that connects to this machine, too."""
    chosen = SOCKSFactory(Rules(allow=[IPV4])) if factory is None else factory
    return rig.reactor.listenTCP(0, chosen, interface=IPV4)


def _four(port: Any, command: int = 1) -> bytes:
    address = port.getHost()
    return struct.pack("!BBH4s", 4, command, address.port, socket.inet_aton(address.host)) + b"user\0"


def _four_by_name(port: Any, name: bytes) -> bytes:
    return struct.pack("!BBHI", 4, 1, port.getHost().port, 1) + b"user\0" + name + b"\0"


def _five(port: Any, command: int = 1) -> bytes:
    address = port.getHost()
    return bytes([5, command, 0, 1]) + socket.inet_aton(address.host) + struct.pack("!H", address.port)


def _five_by_name(port: Any, name: bytes) -> bytes:
    return bytes([5, 1, 0, 3, len(name)]) + name + struct.pack("!H", port.getHost().port)


async def _client(rig: Rig, server: Any, said: bytes, make: Any = Recorder) -> Any:
    """A client that has said that to the SOCKS server."""
    client = await dial(rig, server.getHost(), make).connects()
    client.transport.write(said)
    return client


async def _takes(client: Any, size: int) -> bytes:
    """The next `size` bytes that come."""
    await client.until(lambda: len(client.received) >= size or client.reason is not None)
    taken = bytes(client.received[:size])
    del client.received[:size]
    return taken


async def _end(*ports: Any) -> None:
    for port in ports:
        await port.stopListening()


@behaviour
@in_reactor
async def a_socks_client_of_each_version_reaches_its_destination(rig: Rig) -> None:
    destination, server = listen(rig, Echo), _serve(rig)
    requests = {
        _four(destination): b"\0\x5a",
        _four_by_name(destination, b"127.0.0.1"): b"\0\x5a",
        _GREETING + _five(destination): _WELCOME + b"\5\0\0\1",
        _GREETING + _five_by_name(destination, b"127.0.0.1"): _WELCOME + b"\5\0\0\1",
    }
    for request, granted in requests.items():
        client = await _client(rig, server, request)
        size = 8 if request[0] == 4 else 12
        answer = await _takes(client, size)
        assert answer.startswith(granted), f"{request!r} was answered {answer!r}"
        client.transport.write(b"there and back")
        await client.gets(b"there and back")
        client.transport.loseConnection()
        assert isinstance(await client.ends(), ConnectionDone)
    await _end(destination, server)


@behaviour
@in_reactor
async def a_socks_server_looks_names_up(rig: Rig) -> None:
    destination, server = listen(rig, Echo), _serve(rig)
    client = await _client(rig, server, _GREETING + _five_by_name(destination, b"localhost") + b"early")
    answer = await _takes(client, 12)
    assert answer.startswith(_WELCOME + b"\5\0\0\1")
    await client.gets(b"early")
    client.transport.loseConnection()
    await client.ends()
    await _end(destination, server)


@behaviour
@in_reactor
async def what_a_socks_client_sends_before_the_answer_is_not_lost(rig: Rig) -> None:
    destination, server = listen(rig, Echo), _serve(rig)
    early = b"early" * 100_000
    client = await _client(rig, server, _four(destination) + early)
    await _takes(client, 8)
    await client.gets(early)
    client.transport.loseConnection()
    await client.ends()
    await _end(destination, server)


@behaviour
@in_reactor
async def the_ends_of_a_socks_connection_are_passed_on_one_by_one(rig: Rig) -> None:
    destination, server = listen(rig, HalfCloser), _serve(rig)
    client = await _client(rig, server, _four(destination), HalfCloser)
    await _takes(client, 8)
    client.transport.loseWriteConnection()
    reached = await destination.factory.accepts()
    await reached.happens("read lost")
    reached.transport.write(b"answer")
    await client.gets(b"answer")
    reached.transport.loseConnection()
    assert isinstance(await client.ends(), ConnectionDone)
    await _end(destination, server)


@behaviour
@in_reactor
async def a_socks_server_refuses_what_its_rules_refuse(rig: Rig) -> None:
    destination = listen(rig)
    own = _serve(rig, SOCKSFactory())   # what only this machine reaches
    port = _serve(rig, SOCKSFactory(Rules(refuse=["0.0.0.0/0"], allow=["192.0.2.1"])))
    refusals = {
        _four(destination): b"\0\x5b" + bytes(6),
        _four_by_name(destination, b"localhost"): b"\0\x5b" + bytes(6),
        _GREETING + _five(destination): _WELCOME + b"\5\2\0\1" + bytes(6),
        _GREETING + _five_by_name(destination, b"localhost"): _WELCOME + b"\5\2\0\1" + bytes(6),
    }
    for server in (own, port):
        for request, refusal in refusals.items():
            with log_records(logging.WARNING) as records:
                client = await _client(rig, server, request + b"and some data that nobody reads" * 1000, HalfCloser)
                await client.happens("read lost")
                assert client.received == refusal, f"{request!r} was answered {bytes(client.received)!r}"
                client.transport.loseConnection()
                await client.ends()
            assert "the rules refuse" in records[0].getMessage()
    assert destination.factory.protocols == []
    await _end(destination, own, port)


@behaviour
@in_reactor
async def a_socks_client_is_told_that_nobody_listens_there(rig: Rig) -> None:
    nobody = listen(rig)
    await nobody.stopListening()
    server = _serve(rig)
    answers = {_four(nobody): b"\0\x5b", _GREETING + _five(nobody): _WELCOME + b"\5\5"}
    for request, refusal in answers.items():
        client = await _client(rig, server, request, HalfCloser)
        await client.happens("read lost")
        assert client.received.startswith(refusal)
        client.transport.loseConnection()
        await client.ends()
    await _end(server)


@behaviour
@in_reactor
async def a_socks_client_that_sends_something_else_is_closed_and_others_are_served(rig: Rig) -> None:
    destination, server = listen(rig, Echo), _serve(rig)
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\3\1", b"\5\1\2", b"\4\1\0P\0\0\0\1" + b"x" * 300, bytes(100)):
        client = await _client(rig, server, garbage, HalfCloser)
        await client.happens("read lost")
        client.transport.loseConnection()
        await client.ends()
    client = await _client(rig, server, _four(destination))
    assert (await _takes(client, 8)).startswith(b"\0\x5a")
    client.transport.loseConnection()
    await client.ends()
    await _end(destination, server)


@behaviour
@in_reactor
async def a_socks_client_that_stops_half_way_is_closed_after_a_while(rig: Rig) -> None:
    factory = SOCKSFactory()
    factory.timeLimit = 0.05
    server = _serve(rig, factory)
    for begun in (b"", b"\4", _GREETING + b"\5\1"):
        client = await _client(rig, server, begun)
        await client.ends()
    leaves = await _client(rig, server, b"\5")
    leaves.transport.loseConnection()
    await leaves.ends()
    ends_its_side = await _client(rig, server, b"\4\1", HalfCloser)
    ends_its_side.transport.loseWriteConnection()
    await ends_its_side.ends()
    await _end(server)


@behaviour
@in_reactor
async def a_socks_client_that_keeps_its_connection_after_a_refusal_is_closed(rig: Rig) -> None:
    factory = SOCKSFactory()
    factory.timeLimit = 0.05
    server = _serve(rig, factory)
    plain = plain_socket(rig, server)
    plain.sendall(b"GET")
    while rig.reactor.transports - {server}:
        await passes(rig, 0.01)
    await _end(server)


@behaviour
@in_reactor
async def a_socks_client_that_leaves_ends_the_attempt(rig: Rig) -> None:
    class Never:
        """A resolver that does not answer."""

        cancelled = False

        def resolveHostName(self, receiver: Any, hostName: str, *args: Any, **kwargs: Any) -> Never:
            receiver.resolutionBegan(self)
            return self

        def cancel(self) -> None:
            self.cancelled = True

    resolver = Never()
    rig.reactor.installNameResolver(resolver)
    server = _serve(rig)
    client = await _client(rig, server, _GREETING + b"\5\1\0\3\4name\0P")
    assert await _takes(client, 2) == _WELCOME
    (accepted,) = rig.reactor.transports - {server, client.transport}
    accepted.abortConnection()
    await client.ends()
    assert resolver.cancelled
    await _end(server)


@behaviour
@in_reactor
async def a_socks_client_that_may_not_connect_without_a_password_is_refused(rig: Rig) -> None:
    destination = listen(rig, Echo)
    known = SOCKSFactory(Rules(allow=[IPV4]), authenticate=lambda user, password: (user, password) == ("me", "secret"))
    server = _serve(rig, known)
    outcomes = {
        b"\5\1\2\1\2me\6secret" + _five(destination): b"\5\2\1\0\5\0",
        b"\5\1\2\1\2me\5wrong" + _five(destination): b"\5\2\1\1",
        _GREETING + _five(destination): b"\5\xff",
        _four(destination): b"\0\x5b",
    }
    for said, answer in outcomes.items():
        client = await _client(rig, server, said, HalfCloser)
        assert await _takes(client, len(answer)) == answer
        client.transport.loseConnection()
        await client.ends()
    await _end(destination, server)


@behaviour
@in_reactor
async def a_socks_server_says_which_commands_it_lacks(rig: Rig) -> None:
    destination, server = listen(rig), _serve(rig)
    answers = {
        _four(destination, command=2): b"\0\x5b",
        _GREETING + _five(destination, command=2): _WELCOME + b"\5\7",
        _GREETING + _five(destination, command=3): _WELCOME + b"\5\7",
    }
    for request, refusal in answers.items():
        client = await _client(rig, server, request, HalfCloser)
        await client.happens("read lost")
        assert client.received.startswith(refusal)
        client.transport.loseConnection()
        await client.ends()
    await _end(destination, server)
