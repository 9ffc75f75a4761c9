"""Endpoints: each kind, as an object and as a string, from listening over a conversation to the end."""

from __future__ import annotations

import os
import pathlib
import socket
import stat
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from ropewalk.internet.defer import Deferred
from ropewalk.internet.endpoints import (
    AdoptedStreamServerEndpoint,
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    TCP6ClientEndpoint,
    TCP6ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    clientFromString,
    connectProtocol,
    quoteStringArgument,
    serverFromString,
)
from ropewalk.internet.error import (
    AlreadyListened,
    BadFileError,
    CannotListenError,
    ConnectError,
    ConnectingCancelledError,
    UnsupportedAddressFamily,
    UnsupportedSocketType,
)
from ropewalk.internet.protocol import Factory
from ropewalk.internet.systemd import ListenFDs
from ropewalk.testing.contract import behaviour
from ropewalk.testing.datagram_peers import plain_udp
from ropewalk.testing.features import require
from ropewalk.testing.peers import IPV4, IPV6, PATIENCE, Echo, Recorder, Server, in_reactor, need_ipv6
from ropewalk.testing.rig import Rig, raises


async def _converse(server: Any, client_of: Callable[[Any], Any]) -> None:
    """Listen at `server`, connect to what `client_of` its address says, exchange some bytes, and end everything."""
    port = await server.listen(Server(Echo))
    protocol = await client_of(port.getHost()).connect(Factory.forProtocol(Recorder))
    assert protocol.events == ["made"]
    protocol.transport.write(b"over the rope")
    await protocol.gets(b"over the rope")
    protocol.transport.loseConnection()
    await protocol.ends()
    await port.stopListening()


def _place(rig: Rig) -> str:
    """A path for a UNIX socket, with the characters that endpoint strings have to quote."""
    require("UNIX sockets")
    return os.path.join(rig.keep(tempfile.TemporaryDirectory()), "a:b=c.sock")


def _listening(rig: Rig, family: int = socket.AF_INET, address: Any = (IPV4, 0)) -> int:
    """The number, which nobody else owns, of a socket that listens as one that is inherited does: it blocks."""
    with socket.socket(family) as made:
        made.bind(address)
        made.listen()
        number = made.detach()
    rig.keep(_Closing(number))
    return number


class _Closing:
    """Closes the socket `number` in the end, if it is then still the one that it was."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._was = _name(number)

    def __enter__(self) -> None:
        """Nothing to do before."""

    def __exit__(self, *raised: object) -> None:
        if _name(self._number) == self._was:
            socket.close(self._number)


def _name(number: int) -> Any:
    """The address that the socket `number` has; None if it is no open socket."""
    try:
        known = socket.socket(fileno=number)
    except OSError:
        return None
    try:
        return known.getsockname()
    finally:
        known.detach()


# -- TCP


@behaviour
@in_reactor
async def a_tcp_endpoint_is_reached_by_address_by_name_and_by_string(rig: Rig) -> None:
    reactor = rig.reactor
    clients: list[Callable[[Any], Any]] = [
        lambda host: TCP4ClientEndpoint(reactor, host.host, host.port),
        lambda host: HostnameEndpoint(reactor, "localhost", host.port),
        lambda host: clientFromString(reactor, f"tcp:localhost:{host.port}:timeout=10"),
        lambda host: clientFromString(reactor, f"tcp:host=127.0.0.1:port={host.port}:bindAddress=127.0.0.1"),
    ]
    for client in clients:
        await _converse(TCP4ServerEndpoint(reactor, 0, interface=IPV4), client)
        await _converse(serverFromString(reactor, "tcp:0:interface=127.0.0.1:backlog=5"), client)


@behaviour
@in_reactor
async def an_ipv6_endpoint_is_reached_by_address_and_by_string(rig: Rig) -> None:
    need_ipv6()
    reactor = rig.reactor
    clients: list[Callable[[Any], Any]] = [
        lambda host: TCP6ClientEndpoint(reactor, host.host, host.port),
        lambda host: clientFromString(reactor, rf"tcp:\:\:1:{host.port}"),
    ]
    for client in clients:
        await _converse(TCP6ServerEndpoint(reactor, 0, interface=IPV6), client)
        await _converse(serverFromString(reactor, r"tcp6:0:interface=\:\:1"), client)


# -- UNIX sockets


@behaviour
@in_reactor
async def a_unix_endpoint_is_reached_by_path_and_by_string(rig: Rig) -> None:
    reactor, path = rig.reactor, _place(rig)
    quoted = quoteStringArgument(path)
    clients: list[Callable[[Any], Any]] = [
        lambda host: UNIXClientEndpoint(reactor, os.fsdecode(host.name)),
        lambda host: clientFromString(reactor, f"unix:{quoted}:timeout=10"),
    ]
    for client in clients:
        await _converse(UNIXServerEndpoint(reactor, path), client)
        await _converse(serverFromString(reactor, f"unix:{quoted}:backlog=5"), client)
        assert os.listdir(os.path.dirname(path)) == []


@behaviour
@in_reactor
async def a_unix_string_sets_the_mode_and_locks_unless_told_otherwise(rig: Rig) -> None:
    reactor, path = rig.reactor, _place(rig)
    folder, quoted = os.path.dirname(path), quoteStringArgument(path)
    port: Any = await serverFromString(reactor, f"unix:{quoted}:mode=640").listen(Server())
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o640
    assert len(os.listdir(folder)) == 2
    await port.stopListening()
    port = await serverFromString(reactor, f"unix:{quoted}:lockfile=0").listen(Server())
    assert os.listdir(folder) == [os.path.basename(path)]
    await port.stopListening()


@behaviour
@in_reactor
async def a_unix_client_that_checks_the_lock_connects_only_while_somebody_holds_it(rig: Rig) -> None:
    reactor, path = rig.reactor, _place(rig)
    quoted = quoteStringArgument(path)
    clients: list[Callable[[Any], Any]] = [
        lambda host: UNIXClientEndpoint(reactor, path, checkPID=True),
        lambda host: clientFromString(reactor, f"unix:{quoted}:checkPID=1"),
        lambda host: clientFromString(reactor, f"unix:path={quoted}:lockfile=1"),
    ]
    for client in clients:
        await _converse(UNIXServerEndpoint(reactor, path, wantPID=True), client)
        port: Any = await UNIXServerEndpoint(reactor, path).listen(Server())
        with raises(BadFileError):
            await client(None).connect(Factory.forProtocol(Recorder))
        await port.stopListening()


@behaviour
@in_reactor
async def what_is_wrong_with_a_unix_path_fails_the_deferred(rig: Rig) -> None:
    reactor, path = rig.reactor, _place(rig)
    await UNIXServerEndpoint(reactor, path).listen(Server())
    with raises(CannotListenError):
        await UNIXServerEndpoint(reactor, path).listen(Server())
    for wrong in (path + "x" * 200, "no\0path", path + ".nobody"):
        with raises(ConnectError, ValueError):
            await UNIXClientEndpoint(reactor, wrong).connect(Factory.forProtocol(Recorder))


@behaviour
@in_reactor
async def a_unix_connection_attempt_can_be_cancelled(rig: Rig) -> None:
    path = _place(rig)
    await UNIXServerEndpoint(rig.reactor, path).listen(Server())
    attempt = UNIXClientEndpoint(rig.reactor, path).connect(Factory.forProtocol(Recorder))
    attempt.cancel()
    with raises(ConnectingCancelledError) as cancelled:
        await attempt
    assert cancelled[0].address.name == os.fsencode(path)   # type: ignore[attr-defined]


class _Taker(Recorder):
    """Takes descriptors; `taken` fires with the first."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: Deferred[int] = Deferred()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self.taken.callback(descriptor)


@behaviour
@in_reactor
async def a_protocol_that_a_unix_endpoint_connects_receives_descriptors(rig: Rig) -> None:
    path = _place(rig)
    factory = Server()
    await UNIXServerEndpoint(rig.reactor, path).listen(factory)
    taker = await connectProtocol(UNIXClientEndpoint(rig.reactor, path), _Taker())
    accepted = await factory.accepts()
    sent, _ = rig.socket_pair()
    accepted.transport.sendFileDescriptor(sent.fileno())
    accepted.transport.write(b"x")
    taken = await taker.taken
    assert os.path.samestat(os.fstat(taken), os.fstat(sent.fileno()))
    os.close(taken)


# -- sockets that are there already


@behaviour
@in_reactor
async def an_inherited_socket_is_adopted_by_its_number(rig: Rig) -> None:
    reactor = rig.reactor
    for text in ("fd:{}", "fd:{}:domain=INET", "fd:descriptor={}:domain=INET"):
        number = _listening(rig)
        endpoint = serverFromString(reactor, text.format(number))
        await _converse(endpoint, lambda host: TCP4ClientEndpoint(reactor, host.host, host.port))
    path = _place(rig)
    endpoint = serverFromString(reactor, f"fd:{_listening(rig, socket.AF_UNIX, path)}:domain=UNIX")
    await _converse(endpoint, lambda host: UNIXClientEndpoint(reactor, os.fsdecode(host.name)))
    assert os.path.exists(path)   # who bound it removes it


@behaviour
@in_reactor
async def an_inherited_ipv6_socket_is_adopted_by_its_number(rig: Rig) -> None:
    need_ipv6()
    reactor = rig.reactor
    for text in ("fd:{}", "fd:{}:domain=INET6"):
        endpoint = serverFromString(reactor, text.format(_listening(rig, socket.AF_INET6, (IPV6, 0))))
        await _converse(endpoint, lambda host: TCP6ClientEndpoint(reactor, host.host, host.port))


@behaviour
@in_reactor
async def an_inherited_socket_is_adopted_once_and_its_descriptor_is_then_closed(rig: Rig) -> None:
    number = _listening(rig)
    was = _name(number)
    endpoint = AdoptedStreamServerEndpoint(rig.reactor, number, socket.AF_INET)
    await endpoint.listen(Server())
    assert _name(number) != was
    with raises(AlreadyListened):
        await endpoint.listen(Server())


@behaviour
@in_reactor
async def a_descriptor_that_cannot_be_adopted_stays_open(rig: Rig) -> None:
    listener = _listening(rig)
    datagrams = plain_udp(rig).fileno()
    connection, _ = rig.socket_pair()
    faults = {
        (listener, socket.AF_INET6): UnsupportedAddressFamily,
        (datagrams, socket.AF_INET): UnsupportedSocketType,
        (connection.fileno(), connection.family): OSError,   # as systemd passes it with Accept=yes
    }
    for (number, family), fault in faults.items():
        with raises(fault):
            await AdoptedStreamServerEndpoint(rig.reactor, number, family).listen(Server())
        assert _name(number) is not None


@behaviour
@in_reactor
async def what_systemd_passed_is_adopted_by_name(rig: Rig) -> None:
    number = _listening(rig)
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"}
    passed = ListenFDs.fromEnvironment(environ, start=number).inheritedNamedDescriptors()
    endpoint = AdoptedStreamServerEndpoint(rig.reactor, passed["http"], socket.AF_INET)
    await _converse(endpoint, lambda host: TCP4ClientEndpoint(rig.reactor, host.host, host.port))


# -- behind a proxy


@behaviour
@in_reactor
async def an_endpoint_behind_a_proxy_knows_the_peer_that_the_proxy_names(rig: Rig) -> None:
    factory = Server(Echo)
    endpoint = serverFromString(rig.reactor, "haproxy:tcp:0:interface=127.0.0.1")
    port = await endpoint.listen(factory)
    proxy = rig.keep(socket.create_connection((IPV4, port.getHost().port), PATIENCE))
    proxy.sendall(b"PROXY TCP4 192.0.2.1 198.51.100.2 4321 443\r\nhello")
    accepted = await factory.accepts()
    await accepted.gets(b"hello")
    peer = accepted.transport.getPeer()
    assert (peer.host, peer.port) == ("192.0.2.1", 4321)
    assert proxy.recv(64) == b"hello"


# -- kinds that others add


class _Loopback:
    """The parser of a kind of endpoint: loopback:PORT:host=HOST, a TCP port."""

    prefix = "loopback"

    def parseStreamServer(self, reactor: Any, *args: Any, **kwargs: Any) -> Any:
        return TCP4ServerEndpoint(reactor, int(args[0]), interface=kwargs["host"])

    def parseStreamClient(self, reactor: Any, *args: Any, **kwargs: Any) -> Any:
        return TCP4ClientEndpoint(reactor, kwargs["host"], int(args[0]))


loopback = _Loopback()   # the object of the entry point


@behaviour
@in_reactor
async def a_kind_that_another_distribution_adds_is_listened_at_and_connected_to(rig: Rig) -> None:
    place = pathlib.Path(rig.keep(tempfile.TemporaryDirectory()))
    metadata = place / "loopbacks-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: loopbacks\nVersion: 1.0\n", encoding="utf-8")
    point = f"[ropewalk.endpoints]\nloopback = {__name__}:loopback\n"
    (metadata / "entry_points.txt").write_text(point, encoding="utf-8")
    sys.path.insert(0, str(place))
    try:
        server = serverFromString(rig.reactor, f"loopback:0:host={IPV4}")
        await _converse(server, lambda at: clientFromString(rig.reactor, f"loopback:{at.port}:host={IPV4}"))
    finally:
        sys.path.remove(str(place))
