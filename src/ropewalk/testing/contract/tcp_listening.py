"""TCP ports: where they listen, how they share a number, how they stop, and why they cannot start."""

from __future__ import annotations

import contextlib
import os
import socket
import unittest
from collections.abc import Iterator
from typing import Any

from ropewalk.errors import AlreadyListened, CannotListenError, ConnectionDone, ConnectionRefusedError
from ropewalk.internet.address import IPv4Address, IPv6Address
from ropewalk.internet.tcp import makeBinding
from ropewalk.testing.contract import behaviour
from ropewalk.testing.features import needs, require
from ropewalk.testing.peers import (
    IPV4,
    IPV6,
    Recorder,
    Server,
    dial,
    in_reactor,
    listen,
    need_ipv6,
    passes,
    plain_socket,
)
from ropewalk.testing.rig import Rig, raises

_NOT_OURS = "198.51.100.1"   # TEST-NET-2 of RFC 5737


def raised_by_listening(rig: Rig, port: Any, **where: Any) -> Any:
    """What listening there raises."""
    with raises(CannotListenError) as raised:
        rig.reactor.listenTCP(port, Server(), **where)
    return raised[0]


@behaviour
@in_reactor
async def port_zero_becomes_a_free_port_that_get_host_tells(rig: Rig) -> None:
    first, second = listen(rig), listen(rig)
    host = first.getHost()
    assert host == IPv4Address("TCP", IPV4, host.port)
    assert host.port not in (0, second.getHost().port)
    await dial(rig, first.getHost()).connects()


@behaviour
@in_reactor
async def a_port_that_was_opened_before_run_serves_when_the_reactor_runs(rig: Rig) -> None:
    port = listen(rig)
    await dial(rig, port.getHost()).connects()
    await port.factory.accepts()


@behaviour
@in_reactor
async def no_interface_means_every_ipv4_interface(rig: Rig) -> None:
    for arguments in ({}, {"interface": ""}, {"interface": None}):
        port = rig.reactor.listenTCP(0, Server(), **arguments)
        assert port.getHost().host == "0.0.0.0"
        socket.create_connection((IPV4, port.getHost().port)).close()
        await port.factory.accepts()


@behaviour
@in_reactor
async def an_ipv6_interface_is_listened_on(rig: Rig) -> None:
    need_ipv6()
    port = listen(rig, interface=IPV6)
    assert isinstance(port.getHost(), IPv6Address)
    assert port.getHost().host == IPV6
    await dial(rig, port.getHost()).connects()
    peer = await port.factory.accepts()
    assert peer.transport.getPeer().host == IPV6


@behaviour
@in_reactor
async def connections_wait_in_the_backlog_until_the_reactor_comes_to_them(rig: Rig) -> None:
    port = rig.reactor.listenTCP(0, Server(), 20, IPV4)
    plain = [plain_socket(rig, port) for _ in range(20)]
    await port.factory.accepts(20)
    for one in plain:
        one.close()
    for protocol in port.factory.protocols:
        assert isinstance(await protocol.ends(), ConnectionDone)


@behaviour
@needs("SO_REUSEPORT")
@in_reactor
async def two_ports_share_a_number_if_both_ask_for_it(rig: Rig) -> None:
    first = rig.reactor.listenTCP(makeBinding(IPV4, 0, reusePort=True), Server())
    number = first.getHost().port
    second = rig.reactor.listenTCP(makeBinding(IPV4, number, reusePort=True), Server())
    assert second.getHost() == first.getHost()
    await first.stopListening()
    await dial(rig, second.getHost()).connects()
    await second.factory.accepts()
    assert "another socket listens there" in str(raised_by_listening(rig, number, interface=IPV4))


@behaviour
@in_reactor
async def a_binding_may_ask_to_reuse_an_address(rig: Rig) -> None:
    port = rig.reactor.listenTCP(makeBinding(IPV4, 0, reuseAddress=True), Server())
    assert port.getHost().host == IPV4
    assert port.channel.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    await dial(rig, port.getHost()).connects()


@behaviour
@in_reactor
async def stop_listening_fires_and_leaves_established_connections_alone(rig: Rig) -> None:
    port = listen(rig)
    address = port.getHost()
    client = await dial(rig, address).connects()
    server = await port.factory.accepts()
    await port.stopListening()
    assert isinstance(await dial(rig, address).fails(), ConnectionRefusedError)
    client.transport.write(b"still here")
    await server.gets(b"still here")


@behaviour
@in_reactor
async def a_number_can_be_listened_on_again_at_once(rig: Rig) -> None:
    port = listen(rig)
    number = port.getHost().port
    client = await dial(rig, port.getHost()).connects()
    server = await port.factory.accepts()
    server.transport.loseConnection()   # so that this side keeps the number in TIME_WAIT
    await client.ends()
    port.stopListening()
    again = rig.reactor.listenTCP(number, Server(), interface=IPV4)
    await dial(rig, again.getHost()).connects()


@behaviour
@in_reactor
async def a_stopped_port_can_start_and_stop_again(rig: Rig) -> None:
    port = listen(rig)
    await port.stopListening()
    await port.stopListening()
    port.startListening()
    await dial(rig, port.getHost()).connects()
    number = port.getHost().port
    await port.stopListening()
    await rig.reactor.listenTCP(number, Server(), interface=IPV4).stopListening()
    assert port.factory.events.count("start") == port.factory.events.count("stop") == 2


@behaviour
@in_reactor
async def a_port_that_listens_cannot_start_again(rig: Rig) -> None:
    port = listen(rig)
    with raises(AlreadyListened):
        port.startListening()
    await dial(rig, port.getHost()).connects()


@behaviour
@in_reactor
async def a_port_may_be_stopped_while_it_accepts(rig: Rig) -> None:
    class Single(Recorder):
        def connectionMade(self) -> None:
            port.stopListening()
            super().connectionMade()

    port = listen(rig, Single)
    for _ in range(3):
        plain_socket(rig, port)
    await port.factory.happens("stop")
    assert len(port.factory.protocols) == 1


@behaviour
@in_reactor
async def a_factory_starts_with_its_first_port_and_stops_with_its_last(rig: Rig) -> None:
    factory = Server()
    ports = [rig.reactor.listenTCP(0, factory, interface=IPV4) for _ in range(2)]
    assert (factory.events, factory.numPorts) == (["start"], 2)
    await ports[0].stopListening()
    assert (factory.events, factory.numPorts) == (["start"], 1)
    await ports[1].stopListening()
    assert (factory.events, factory.numPorts) == (["start", "stop"], 0)


@behaviour
@in_reactor
async def a_port_in_use_is_an_error_that_says_where_why_and_what_to_do(rig: Rig) -> None:
    number = listen(rig).getHost().port
    error = raised_by_listening(rig, number, interface=IPV4)
    assert (error.interface, error.port) == (IPV4, number)
    assert isinstance(error.socketError, OSError)
    for part in (f"{IPV4}:{number}", "another socket listens there", "port 0"):
        assert part in str(error), str(error)


@behaviour
@in_reactor
async def a_factory_does_not_start_when_its_port_cannot_listen(rig: Rig) -> None:
    number = listen(rig).getHost().port
    factory = Server()
    with contextlib.suppress(CannotListenError):
        rig.reactor.listenTCP(number, factory, interface=IPV4)
    assert factory.events == []


@behaviour
@in_reactor
async def an_address_that_is_not_ours_is_an_error_that_says_so(rig: Rig) -> None:
    error = raised_by_listening(rig, 0, interface=_NOT_OURS)
    for part in (f"{_NOT_OURS}:0", "no interface of this machine has that address"):
        assert part in str(error), str(error)


@behaviour
@in_reactor
async def a_privileged_port_is_an_error_that_says_which_right_is_missing(rig: Rig) -> None:
    with _without_privileges():
        error = raised_by_listening(rig, 7, interface=IPV4)
    for part in (f"{IPV4}:7", "permission denied", "CAP_NET_BIND_SERVICE"):
        assert part in str(error), str(error)


@contextlib.contextmanager
def _without_privileges() -> Iterator[None]:
    """Without the right to listen on port 7."""
    require("privileged ports")
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with socket.socket() as probe, contextlib.suppress(PermissionError):
            probe.bind((IPV4, 7))
            raise unittest.SkipTest("here everybody may bind port 7")
        yield
    finally:
        if root:
            os.seteuid(0)


@behaviour
@in_reactor
async def a_connection_that_the_factory_refuses_is_closed_and_the_next_one_is_served(rig: Rig) -> None:
    answers: list[Any] = [None, Recorder()]
    port = listen(rig, lambda: answers.pop(0))
    refused, served = plain_socket(rig, port), plain_socket(rig, port)
    await port.factory.accepts(2)
    assert refused.recv(1) == b""
    served.sendall(b"x")
    await port.factory.protocols[1].gets(b"x")


@behaviour
@in_reactor
async def a_factory_that_fails_to_build_is_logged_and_the_next_connection_is_served(rig: Rig) -> None:
    makers: list[Any] = [lambda: 1 / 0, Recorder]
    port = listen(rig, lambda: makers.pop(0)())
    broken, served = plain_socket(rig, port), plain_socket(rig, port)
    await port.factory.accepts()
    rig.expect_errors(ZeroDivisionError)
    assert broken.recv(1) == b""
    served.sendall(b"x")
    await port.factory.protocols[0].gets(b"x")


@behaviour
def stop_closes_the_ports_and_stops_their_factories(rig: Rig) -> None:
    port = listen(rig)
    number = port.getHost().port
    rig.reactor.callWhenRunning(rig.reactor.stop)
    rig.run()
    assert port.factory.events == ["start", "stop"]
    with contextlib.closing(socket.socket()) as probe:
        assert probe.connect_ex((IPV4, number)) != 0


@behaviour
@in_reactor
async def ports_that_stop_in_the_turn_of_their_start_accept_nobody(rig: Rig) -> None:
    port = listen(rig)
    plain_socket(rig, port)
    await port.stopListening()
    await passes(rig)
    assert port.factory.protocols == []


@behaviour
@in_reactor
async def a_duplicate_of_a_ports_handle_is_the_programs_own(rig: Rig) -> None:
    port = listen(rig)
    with port.getHandle().dup() as duplicate:
        assert duplicate.getsockname() == port.getHandle().getsockname()
        assert duplicate.gettimeout() == 0
    await dial(rig, port.getHost()).connects()


@behaviour
def a_port_that_is_no_port_is_refused(rig: Rig) -> None:
    for port in (-1, 65536, "80"):
        with raises(ValueError):
            rig.reactor.listenTCP(port, Server())
    assert not rig.reactor.transports
