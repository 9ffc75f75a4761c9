"""Sockets that others made: what is adopted works, stays the giver's, and has to be what it is said to be."""

from __future__ import annotations

import os
import socket
import stat
from typing import Any

from ropewalk.internet.address import IPv4Address, UNIXAddress
from ropewalk.internet.error import ConnectionDone, UnsupportedAddressFamily, UnsupportedSocketType
from ropewalk.testing.contract import behaviour
from ropewalk.testing.contract.unix_datagrams import Answering
from ropewalk.testing.features import needs
from ropewalk.testing.peers import IPV4, IPV6, PATIENCE, Echo, Server, dial, in_reactor, need_ipv6, passes, waits
from ropewalk.testing.rig import Rig, open_descriptors, raises
from ropewalk.testing.unix_peers import dial_unix, folder, need_unix_sockets


def bound(rig: Rig, family: int, address: Any, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A plain socket that is bound, and listens if it is a stream."""
    plain: socket.socket = rig.keep(socket.socket(family, kind))
    plain.bind(address)
    if kind == socket.SOCK_STREAM:
        plain.listen()
    return plain


@behaviour
@in_reactor
async def an_adopted_port_serves_when_the_giver_has_closed_its_own(rig: Rig) -> None:
    given = bound(rig, socket.AF_INET, (IPV4, 0))
    address = given.getsockname()
    port = rig.reactor.adoptStreamPort(given.fileno(), socket.AF_INET, Server(Echo))
    given.close()
    assert port.getHost() == IPv4Address("TCP", *address)
    client = await dial(rig, port.getHost()).connects()
    client.transport.write(b"adopted")
    await client.gets(b"adopted")
    client.transport.loseConnection()
    await client.ends()
    await port.stopListening()
    assert port.factory.events == ["start", "accepted", "stop"]


@behaviour
@in_reactor
async def an_ipv6_port_can_be_adopted(rig: Rig) -> None:
    need_ipv6()
    given = bound(rig, socket.AF_INET6, (IPV6, 0))
    port = rig.reactor.adoptStreamPort(given.fileno(), socket.AF_INET6, Server(Echo))
    client = await dial(rig, port.getHost()).connects()
    client.transport.write(b"over six")
    await client.gets(b"over six")


@behaviour
@in_reactor
async def an_adopted_unix_port_leaves_the_path_to_its_giver(rig: Rig) -> None:
    path = os.path.join(folder(rig), "port")
    given = bound(rig, socket.AF_UNIX, path)
    port = rig.reactor.adoptStreamPort(given.fileno(), socket.AF_UNIX, Server(Echo))
    assert port.getHost() == UNIXAddress(path)
    client = await dial_unix(rig, path).connects()
    client.transport.write(b"adopted")
    await client.gets(b"adopted")
    await port.stopListening()
    assert os.path.lexists(path)
    again = rig.reactor.adoptStreamPort(given.fileno(), socket.AF_UNIX, Server(Echo))
    second = await dial_unix(rig, path).connects()
    second.transport.write(b"again")
    await second.gets(b"again")
    await again.stopListening()


@behaviour
@in_reactor
async def an_adopted_socket_that_is_only_bound_begins_to_listen(rig: Rig) -> None:
    given = rig.keep(socket.socket())
    given.bind((IPV4, 0))
    port = rig.reactor.adoptStreamPort(given.fileno(), socket.AF_INET, Server(Echo))
    client = await dial(rig, port.getHost()).connects()
    client.transport.write(b"listening now")
    await client.gets(b"listening now")


@behaviour
@in_reactor
async def an_adopted_port_that_was_stopped_binds_its_address_again(rig: Rig) -> None:
    given = bound(rig, socket.AF_INET, (IPV4, 0))
    port = rig.reactor.adoptStreamPort(given.fileno(), socket.AF_INET, Server(Echo))
    given.close()
    address = port.getHost()
    await port.stopListening()
    port.startListening()
    assert port.getHost() == address
    client = await dial(rig, address).connects()
    client.transport.write(b"once more")
    await client.gets(b"once more")


@behaviour
@in_reactor
async def an_adopted_unix_port_that_is_started_again_has_the_mode_that_it_had(rig: Rig) -> None:
    path = os.path.join(folder(rig), "port")
    given = bound(rig, socket.AF_UNIX, path)
    os.chmod(path, 0o620)
    port = rig.reactor.adoptStreamPort(given.fileno(), socket.AF_UNIX, Server(Echo))
    given.close()
    await port.stopListening()
    port.startListening()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o620


@behaviour
@in_reactor
async def an_adopted_connection_gets_a_protocol_of_the_factory(rig: Rig) -> None:
    listener = bound(rig, socket.AF_INET, (IPV4, 0))
    plain = rig.keep(socket.create_connection(listener.getsockname(), PATIENCE))
    accepted = rig.keep(listener.accept()[0])
    factory = Server(Echo)
    assert rig.reactor.adoptStreamConnection(accepted.fileno(), socket.AF_INET, factory) is None
    accepted.close()
    protocol = await factory.accepts()
    assert protocol.transport.getPeer() == IPv4Address("TCP", *plain.getsockname())
    assert protocol.transport.getHost() == IPv4Address("TCP", *plain.getpeername())
    plain.sendall(b"adopted")
    await protocol.gets(b"adopted")
    await passes(rig)
    assert plain.recv(100) == b"adopted"
    plain.close()
    assert isinstance(await protocol.ends(), ConnectionDone)


@behaviour
@in_reactor
async def both_ends_of_a_socket_pair_can_be_adopted(rig: Rig) -> None:
    need_unix_sockets()
    factory = Server(Echo)
    pair = socket.socketpair()
    for one in pair:
        rig.reactor.adoptStreamConnection(one.fileno(), one.family, factory)
        one.close()
    first, second = factory.protocols
    first.dataReceived = lambda data: None
    first.transport.write(b"across")
    await second.gets(b"across")
    first.transport.loseConnection()
    await first.ends()
    await second.ends()


@behaviour
@in_reactor
async def an_adopted_connection_that_no_protocol_wants_is_closed(rig: Rig) -> None:
    def refuse() -> None:
        return None

    def fail() -> None:
        raise LookupError("no protocol")

    need_unix_sockets()
    before = open_descriptors()
    for make, kinds in ((refuse, ()), (fail, (LookupError,))):
        ours, theirs = socket.socketpair()
        with theirs:
            with ours:
                if kinds:
                    with raises(*kinds):
                        rig.reactor.adoptStreamConnection(ours.fileno(), ours.family, Server(make))
                else:
                    rig.reactor.adoptStreamConnection(ours.fileno(), ours.family, Server(make))
            assert theirs.recv(1) == b""
    assert open_descriptors() <= before


@behaviour
@in_reactor
async def an_adopted_datagram_port_receives_and_sends(rig: Rig) -> None:
    given = bound(rig, socket.AF_INET, (IPV4, 0), socket.SOCK_DGRAM)
    address = given.getsockname()
    answering = Answering()
    port = rig.reactor.adoptDatagramPort(given.fileno(), socket.AF_INET, answering, maxPacketSize=6)
    given.close()
    assert port.getHost() == IPv4Address("UDP", *address)
    plain = rig.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    plain.settimeout(PATIENCE)
    for datagram in (b"too long", b"adopt"):
        plain.sendto(datagram, address)
    await answering.happens("got")
    assert plain.recv(100) == b"ADOPT"
    assert [datagram for datagram, _ in answering.received] == [b"adopt"]


@behaviour
@in_reactor
async def a_socket_of_another_family_or_type_is_not_adopted(rig: Rig) -> None:
    need_unix_sockets()
    reactor = rig.reactor
    stream = bound(rig, socket.AF_INET, (IPV4, 0)).fileno()
    datagrams = bound(rig, socket.AF_INET, (IPV4, 0), socket.SOCK_DGRAM).fileno()
    before = open_descriptors()
    with raises(UnsupportedAddressFamily) as raised:
        reactor.adoptStreamPort(stream, 12345, Server())
    assert "12345" in str(raised[0])
    with raises(UnsupportedAddressFamily) as raised:
        reactor.adoptStreamPort(stream, socket.AF_UNIX, Server())
    assert "AF_INET, not AF_UNIX" in str(raised[0])
    with raises(UnsupportedAddressFamily):
        reactor.adoptStreamConnection(stream, socket.AF_INET6, Server())
    with raises(UnsupportedAddressFamily):
        reactor.adoptDatagramPort(datagrams, socket.AF_UNIX, Answering())
    with raises(UnsupportedSocketType) as raised:
        reactor.adoptStreamPort(datagrams, socket.AF_INET, Server())
    assert "SOCK_DGRAM, not SOCK_STREAM" in str(raised[0])
    with raises(UnsupportedSocketType):
        reactor.adoptStreamConnection(datagrams, socket.AF_INET, Server())
    with raises(UnsupportedSocketType):
        reactor.adoptDatagramPort(stream, socket.AF_INET, Answering())
    assert open_descriptors() <= before


@behaviour
@in_reactor
async def what_is_no_open_socket_is_not_adopted(rig: Rig) -> None:
    reading, writing = os.pipe()
    before = open_descriptors()
    for adopt in (rig.reactor.adoptStreamPort, rig.reactor.adoptStreamConnection, rig.reactor.adoptDatagramPort):
        with raises(OSError):
            adopt(reading, socket.AF_INET, Server())
    assert open_descriptors() <= before
    os.close(reading)
    os.close(writing)
    with raises(OSError):
        rig.reactor.adoptStreamPort(reading, socket.AF_INET, Server())


@behaviour
@in_reactor
async def an_adopted_socket_that_is_connected_sends_to_its_peer(rig: Rig) -> None:
    plain = bound(rig, socket.AF_INET, (IPV4, 0), socket.SOCK_DGRAM)
    plain.settimeout(PATIENCE)
    given = bound(rig, socket.AF_INET, (IPV4, 0), socket.SOCK_DGRAM)
    given.connect(plain.getsockname())
    port = rig.reactor.adoptDatagramPort(given.fileno(), socket.AF_INET, Answering())
    port.write(b"to the peer")
    assert plain.recv(100) == b"to the peer"


@behaviour
@needs("IP_RECVERR")
@in_reactor
async def the_error_queue_of_an_adopted_socket_does_not_keep_the_reactor_busy(rig: Rig) -> None:
    recverr = 11   # IP_RECVERR of Linux
    given = bound(rig, socket.AF_INET, (IPV4, 0), socket.SOCK_DGRAM)
    given.setsockopt(socket.IPPROTO_IP, recverr, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind((IPV4, 0))
        nobody = gone.getsockname()
    port = rig.reactor.adoptDatagramPort(given.fileno(), socket.AF_INET, Answering())
    port.write(b"anybody?", nobody)
    await passes(rig)
    assert await waits(rig, 0.05) < 30
    assert port.connected
