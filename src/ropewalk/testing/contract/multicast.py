"""Multicast, IPv4 and IPv6: groups that a port joins and leaves, by which interface, and how far a datagram goes.

That a datagram does not come is shown by one that is sent after it, and comes.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import unittest
from collections.abc import Iterator
from typing import Any

from ropewalk.errors import CannotListenError, InvalidAddressError, MulticastJoinError, NotListeningError
from ropewalk.internet.address import IPv4Address
from ropewalk.testing.contract import behaviour
from ropewalk.testing.contract.names import Book
from ropewalk.testing.datagram_peers import (
    Answering,
    Datagrams,
    address,
    address_of_interface,
    group,
    hear,
    loopback_interface,
    multicast_interface,
    plain_udp,
)
from ropewalk.testing.features import needs
from ropewalk.testing.peers import IPV4, IPV6, PATIENCE, in_reactor, need_ipv6
from ropewalk.testing.rig import Rig, open_descriptors, raises

_NOT_OURS = "198.51.100.1"   # TEST-NET-2 of RFC 5737
_NO_INTERFACE = "no-such-interface"
_GROUP = group(socket.AF_INET)
_GROUP6 = group(socket.AF_INET6)


def gather(rig: Rig, port: int = 0, interface: str = "", **how: Any) -> Datagrams:
    """The protocol of a multicast port."""
    protocol = Datagrams()
    rig.reactor.listenMulticast(port, protocol, interface, **how)
    return protocol


async def by_loopback(rig: Rig, **how: Any) -> Datagrams:
    """The protocol of a port that sends to groups by 127.0.0.1."""
    loopback_interface()
    protocol = gather(rig, **how)
    assert await protocol.transport.setOutgoingInterface(IPV4) == 1
    return protocol


async def by_ipv6(rig: Rig) -> tuple[Datagrams, int, str]:
    """The protocol of an IPv6 port that sends to groups by an interface, and the number and name of that."""
    need_ipv6()
    number, name = multicast_interface(socket.AF_INET6)
    protocol = gather(rig, interface="::")
    assert await protocol.transport.setOutgoingInterface(number) == 1
    return protocol, number, name


def number_of(protocol: Datagrams) -> int:
    return address(protocol)[1]


# -- groups


@behaviour
@in_reactor
async def who_has_joined_receives_what_is_sent_to_the_group_and_can_answer(rig: Rig) -> None:
    asking, member = await by_loopback(rig), Answering()
    port = rig.reactor.listenMulticast(0, member)
    assert port is member.transport
    assert port.getHost() == IPv4Address("UDP", "0.0.0.0", port.getHost().port)
    assert await port.joinGroup(_GROUP, IPV4) is None
    asking.transport.write(b"anybody?", (_GROUP, port.getHost().port))
    [(_, number)] = await member.gets(b"anybody?")
    assert number == number_of(asking)
    assert [number for _, number in await asking.gets(b"ANYBODY?")] == [port.getHost().port]


@behaviour
@in_reactor
async def nothing_comes_before_joining_nor_after_leaving(rig: Rig) -> None:
    member = await by_loopback(rig)
    everybody, alone = (_GROUP, number_of(member)), (IPV4, number_of(member))
    for _ in range(2):   # it may join again
        member.transport.write(b"not a member", everybody)
        member.transport.write(b"mark", alone)
        await member.gets(b"mark")
        await member.transport.joinGroup(_GROUP, IPV4)
        member.transport.write(b"member", everybody)
        await member.gets(b"member")
        assert await member.transport.leaveGroup(_GROUP, IPV4) is None
    member.transport.write(b"not a member", everybody)
    member.transport.write(b"mark", alone)
    await member.gets(b"mark")


@behaviour
@in_reactor
async def ipv6_groups_are_joined_and_left(rig: Rig) -> None:
    member, number, _ = await by_ipv6(rig)
    everybody, alone = (_GROUP6, number_of(member)), (IPV6, number_of(member))
    await member.transport.joinGroup(_GROUP6, number)
    member.transport.write(b"member", everybody)
    await member.gets(b"member")
    await member.transport.leaveGroup(_GROUP6, number)
    member.transport.write(b"not a member", everybody)
    member.transport.write(b"mark", alone)
    await member.gets(b"mark")


@behaviour
@in_reactor
async def a_port_may_be_in_several_groups(rig: Rig) -> None:
    loopback_interface()
    beside = _GROUP.replace("239.255.", "239.254.")
    member, sending = gather(rig), await by_loopback(rig)
    for name in (_GROUP, beside):
        await member.transport.joinGroup(name, IPV4)
        sending.transport.write(name.encode(), (name, number_of(member)))
        await member.gets(name.encode())
    await member.transport.leaveGroup(_GROUP, IPV4)
    sending.transport.write(b"one is left", (beside, number_of(member)))
    await member.gets(b"one is left")


@behaviour
@in_reactor
async def an_interface_is_given_by_address_by_name_or_by_number(rig: Rig) -> None:
    number, name = loopback_interface()
    member = await by_loopback(rig)
    for interface in (IPV4, name, number, str(number)):
        await member.transport.joinGroup(_GROUP, interface)
        member.transport.write(b"member", (_GROUP, number_of(member)))
        await member.gets(b"member")
        await member.transport.leaveGroup(_GROUP, interface)


@behaviour
@in_reactor
async def an_interface_for_ipv6_is_given_by_name_by_number_or_with_a_zone(rig: Rig) -> None:
    member, number, name = await by_ipv6(rig)
    for interface in (name, number, str(number), f"fe80::1%{name}"):
        await member.transport.joinGroup(_GROUP6, interface)
        member.transport.write(b"member", (_GROUP6, number_of(member)))
        await member.gets(b"member")
        await member.transport.leaveGroup(_GROUP6, interface)


@behaviour
@needs("addresses of interfaces")
@in_reactor
async def an_interface_for_ipv6_is_given_by_its_address_where_the_system_tells(rig: Rig) -> None:
    need_ipv6()
    member = gather(rig, interface="::")
    await member.transport.setOutgoingInterface(IPV6)
    number, _ = loopback_interface()
    assert member.transport.getOutgoingInterface() == number
    with raises(MulticastJoinError):
        await member.transport.joinGroup(_GROUP6, "2001:db8::1")


@behaviour
@in_reactor
async def without_an_interface_the_system_chooses(rig: Rig) -> None:
    member = gather(rig)
    joined = member.transport.joinGroup(_GROUP)
    try:
        await joined
    except MulticastJoinError as error:
        raise unittest.SkipTest(f"this system has no choice: {error}") from None
    with raises(MulticastJoinError):   # it is the same choice again
        await member.transport.joinGroup(_GROUP, "")
    await member.transport.leaveGroup(_GROUP)


@behaviour
@in_reactor
async def a_group_may_be_given_by_a_name(rig: Rig) -> None:
    book = Book(rig, _GROUP6, _GROUP)
    rig.reactor.installNameResolver(book)
    member = await by_loopback(rig)
    await member.transport.joinGroup("everybody.example", IPV4)
    member.transport.write(b"member", (_GROUP, number_of(member)))
    await member.gets(b"member")
    await member.transport.leaveGroup("everybody.example", IPV4)
    assert book.asked == ["everybody.example"] * 2


@behaviour
@in_reactor
async def an_ipv6_group_may_be_given_by_a_name(rig: Rig) -> None:
    rig.reactor.installNameResolver(Book(rig, _GROUP, _GROUP6))
    member, number, _ = await by_ipv6(rig)
    await member.transport.joinGroup("everybody.example", number)
    member.transport.write(b"member", (_GROUP6, number_of(member)))
    await member.gets(b"member")


@behaviour
@in_reactor
async def a_port_that_stops_has_left_its_groups(rig: Rig) -> None:
    member = await by_loopback(rig)
    port = member.transport
    await port.joinGroup(_GROUP, IPV4)
    await port.stopListening()
    port.startListening()
    await port.setOutgoingInterface(IPV4)
    port.write(b"not a member", (_GROUP, number_of(member)))
    port.write(b"mark", (IPV4, number_of(member)))
    await member.gets(b"mark")
    await port.joinGroup(_GROUP, IPV4)
    port.write(b"member", (_GROUP, number_of(member)))
    await member.gets(b"member")


# -- what cannot be joined


async def refused(rig: Rig, protocol: Datagrams, name: str, interface: str | int) -> str:
    """Assert that the group cannot be joined, nor left, and that the port goes on; what the error says."""
    texts = []
    for change in (protocol.transport.joinGroup, protocol.transport.leaveGroup):
        with raises(MulticastJoinError) as raised:
            await change(name, interface)
        texts.append(str(raised[0]))
        assert name in texts[-1], texts
        assert str(interface) in texts[-1], texts
        assert raised[0].__cause__ is not None
    plain = plain_udp(rig, IPV6 if ":" in protocol.transport.getHost().host else IPV4)
    plain.sendto(b"mark", (plain.getsockname()[0], number_of(protocol)))
    await protocol.gets(b"mark")
    return texts[0]


@behaviour
@in_reactor
async def what_is_no_group_cannot_be_joined(rig: Rig) -> None:
    rig.reactor.installNameResolver(Book(rig))   # which finds nothing
    member = gather(rig)
    for name in (IPV4, "255.255.255.255", _NOT_OURS, _GROUP6):
        await refused(rig, member, name, IPV4)
    assert "nowhere.example" in await refused(rig, member, "nowhere.example", IPV4)


@behaviour
@in_reactor
async def what_is_no_ipv6_group_cannot_be_joined(rig: Rig) -> None:
    member, number, _ = await by_ipv6(rig)
    for name in (IPV6, "2001:db8::1", _GROUP):
        await refused(rig, member, name, number)


@behaviour
@in_reactor
async def a_group_cannot_be_joined_at_an_interface_that_is_not_there(rig: Rig) -> None:
    member = gather(rig)
    for interface in (_NOT_OURS, _NO_INTERFACE, 999_999, "99999999999", "2001:db8::1"):
        await refused(rig, member, _GROUP, interface)
    six, _, _ = await by_ipv6(rig)
    for interface in (_NO_INTERFACE, 999_999, "99999999999", "2001:db8::1", f"fe80::1%{_NO_INTERFACE}"):
        await refused(rig, six, _GROUP6, interface)


@behaviour
@in_reactor
async def a_group_is_joined_once_and_left_once(rig: Rig) -> None:
    member = await by_loopback(rig)
    with raises(MulticastJoinError):
        await member.transport.leaveGroup(_GROUP, IPV4)
    await member.transport.joinGroup(_GROUP, IPV4)
    with raises(MulticastJoinError):
        await member.transport.joinGroup(_GROUP, IPV4)
    member.transport.write(b"member", (_GROUP, number_of(member)))
    await member.gets(b"member")
    await member.transport.leaveGroup(_GROUP, IPV4)
    with raises(MulticastJoinError):
        await member.transport.leaveGroup(_GROUP, IPV4)


@behaviour
@in_reactor
async def a_port_that_stops_while_a_group_is_looked_up_does_not_join(rig: Rig) -> None:
    rig.reactor.installNameResolver(Book(rig, _GROUP))
    member = gather(rig)
    port = member.transport
    joined = port.joinGroup("everybody.example", IPV4)
    await port.stopListening()
    with raises(MulticastJoinError):
        await joined


@behaviour
@in_reactor
async def a_multicast_port_that_does_not_listen_has_no_options(rig: Rig) -> None:
    member = gather(rig)
    port = member.transport
    await port.stopListening()
    for use in (port.getTTL, port.getLoopbackMode, port.getOutgoingInterface):
        with raises(NotListeningError):
            use()
    for change in (port.setTTL, port.setLoopbackMode):
        with raises(NotListeningError):
            change(1)
    with raises(NotListeningError):
        await port.setOutgoingInterface(IPV4)
    for move in (port.joinGroup, port.leaveGroup):
        with raises(MulticastJoinError):
            await move(_GROUP, IPV4)


# -- ports that share a number


@behaviour
@in_reactor
async def ports_that_ask_for_it_share_a_number_and_all_receive_what_is_sent_to_the_group(rig: Rig) -> None:
    first = await by_loopback(rig, listenMultiple=True)
    members = [first, *(gather(rig, number_of(first), listenMultiple=True) for _ in range(2))]
    for member in members:
        await member.transport.joinGroup(_GROUP, IPV4)
    first.transport.write(b"everybody", (_GROUP, number_of(first)))
    for member in members:
        await member.gets(b"everybody")
    await first.transport.stopListening()
    sending = await by_loopback(rig)
    sending.transport.write(b"the rest", (_GROUP, number_of(members[1])))
    for member in members[1:]:
        await member.gets(b"the rest")


@behaviour
@in_reactor
async def ports_share_a_number_only_if_all_of_them_ask_for_it(rig: Rig) -> None:
    for one, other in ((False, False), (True, False), (False, True)):
        protocol = gather(rig, listenMultiple=one)
        before = open_descriptors()
        with raises(CannotListenError) as raised:
            gather(rig, number_of(protocol), listenMultiple=other)
        assert "another socket listens there" in str(raised[0])
        assert open_descriptors() <= before


@behaviour
@needs("SO_REUSEADDR shares")
@in_reactor
async def a_port_shares_its_number_with_programs_that_know_of_address_reuse_alone(rig: Rig) -> None:
    member = await by_loopback(rig, listenMultiple=True)
    plain = rig.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    plain.settimeout(PATIENCE)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    plain.bind(("", number_of(member)))
    joined = socket.inet_aton(_GROUP) + socket.inet_aton(IPV4)
    plain.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
    await member.transport.joinGroup(_GROUP, IPV4)
    member.transport.write(b"everybody", (_GROUP, number_of(member)))
    assert plain.recv(100) == b"everybody"
    await member.gets(b"everybody")


# -- what is sent


@behaviour
@in_reactor
async def this_machine_hears_what_it_sends_unless_loopback_mode_is_off(rig: Rig) -> None:
    number, _ = multicast_interface(socket.AF_INET)
    host = address_of_interface(number)
    member = gather(rig)
    await _hears_itself_when_it_wants_to(member, _GROUP, host, (IPV4, number_of(member)))


@behaviour
@in_reactor
async def this_machine_hears_what_it_sends_by_ipv6_unless_loopback_mode_is_off(rig: Rig) -> None:
    member, number, _ = await by_ipv6(rig)
    await _hears_itself_when_it_wants_to(member, _GROUP6, number, (IPV6, number_of(member)))


async def _hears_itself_when_it_wants_to(
    member: Datagrams, name: str, interface: str | int, alone: tuple[str, int]
) -> None:
    port = member.transport
    await port.joinGroup(name, interface)
    await port.setOutgoingInterface(interface)
    assert port.getLoopbackMode() is True
    for mode in (True, False, True, False):
        port.setLoopbackMode(mode)
        assert port.getLoopbackMode() is mode
        port.write(b"everybody", (name, alone[1]))
        port.write(b"mark", alone)
        await member.gets(*([b"everybody"] if mode else []), b"mark")


@behaviour
@in_reactor
async def the_time_to_live_is_1_and_can_be_set_to_what_there_is(rig: Rig) -> None:
    need_ipv6()
    options = {
        "": (socket.IPPROTO_IP, socket.IP_MULTICAST_TTL),
        "::": (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS),
    }
    for interface, option in options.items():
        port = gather(rig, interface=interface).transport
        assert port.getTTL() == 1
        for ttl in (0, 255, 32, 1):
            assert port.setTTL(ttl) is None
            assert port.getTTL() == ttl == port.getHandle().getsockopt(*option)
        for ttl in (-1, 256, 1000):
            with raises(ValueError):
                port.setTTL(ttl)
            assert port.getTTL() == 1


@behaviour
@needs("IPV6_RECVHOPLIMIT")
@in_reactor
async def the_time_to_live_travels_with_the_datagram(rig: Rig) -> None:
    sending, number, _ = await by_ipv6(rig)
    with _plain_member(number) as member:
        for ttl in (1, 7):
            sending.transport.setTTL(ttl)
            sending.transport.write(b"x", (_GROUP6, member.getsockname()[1]))
            [(_, kind, value)] = member.recvmsg(100, 100)[1]
            assert (kind, int.from_bytes(value, sys.byteorder)) == (socket.IPV6_HOPLIMIT, ttl)


@contextlib.contextmanager
def _plain_member(number: int) -> Iterator[socket.socket]:
    """A plain socket that has joined at the interface `number`, and is told the hop limits."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as plain:
        plain.settimeout(PATIENCE)
        plain.bind(("::", 0))
        member = socket.inet_pton(socket.AF_INET6, _GROUP6) + number.to_bytes(4, sys.byteorder)
        plain.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
        plain.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        yield plain


@behaviour
@in_reactor
async def the_outgoing_interface_is_any_until_it_is_chosen_by_address_or_host_name(rig: Rig) -> None:
    loopback_interface()
    rig.reactor.installNameResolver(Book(rig, IPV4))
    port = gather(rig).transport
    assert port.getOutgoingInterface() == "0.0.0.0"
    for host in (IPV4, "0.0.0.0", "this-machine.example"):
        assert await port.setOutgoingInterface(host) == 1
        assert port.getOutgoingInterface() == (host if host[0].isdigit() else IPV4)


@behaviour
@in_reactor
async def the_outgoing_interface_of_ipv6_is_any_until_it_is_chosen_by_number_or_name(rig: Rig) -> None:
    need_ipv6()
    number, name = multicast_interface(socket.AF_INET6)
    port = gather(rig, interface="::").transport
    assert port.getOutgoingInterface() == 0
    for interface in (number, 0, name, "", str(number)):
        assert await port.setOutgoingInterface(interface) == 1
        assert port.getOutgoingInterface() == (number if interface else 0)


@behaviour
@in_reactor
async def an_outgoing_interface_that_is_not_there_is_refused_and_the_one_before_stays(rig: Rig) -> None:
    need_ipv6()
    rig.reactor.installNameResolver(Book(rig))
    number, _ = loopback_interface()
    four, six = (gather(rig, interface=interface).transport for interface in ("", "::"))
    await four.setOutgoingInterface(IPV4)
    await six.setOutgoingInterface(number)
    for interface in (_NOT_OURS, "nowhere.example"):
        with raises(OSError):
            await four.setOutgoingInterface(interface)
    for absent in (999_999, _NO_INTERFACE):
        with raises(OSError):
            await six.setOutgoingInterface(absent)
    for wrong in ("2001:db8::1", 2**40, -1):
        with raises(OSError, ValueError):
            await six.setOutgoingInterface(wrong)
    assert (four.getOutgoingInterface(), six.getOutgoingInterface()) == (IPV4, number)


# -- a multicast port is a UDP port


@behaviour
@in_reactor
async def a_multicast_port_sends_and_receives_as_a_udp_port_does(rig: Rig) -> None:
    asking, answering = gather(rig, interface=IPV4, maxPacketSize=5), hear(rig, Answering)
    there = address(answering)
    asking.transport.write(b"too long", there)
    asking.transport.write(b"right", there)
    assert await asking.gets(b"RIGHT") == [there]
    for allowed in (True, False):
        asking.transport.setBroadcastAllowed(allowed)
        assert asking.transport.getBroadcastAllowed() is allowed
    asking.transport.connect(*there)
    asking.transport.write(b"peer")
    assert await asking.gets(b"PEER") == [there]
    assert asking.transport.getHost() == IPv4Address("UDP", IPV4, number_of(asking))
    await asking.transport.stopListening()
    assert asking.events == ["start", "stop"]


@behaviour
@in_reactor
async def a_multicast_port_refuses_what_a_udp_port_refuses(rig: Rig) -> None:
    before = open_descriptors()
    for number in (-1, 65536):
        with raises(ValueError):
            gather(rig, number)
    with raises(InvalidAddressError):
        gather(rig, interface="localhost")
    with raises(ValueError):
        gather(rig, maxPacketSize=0)
    assert open_descriptors() <= before


@behaviour
@needs("foreign addresses")
@in_reactor
async def a_multicast_port_listens_at_no_address_of_another_machine(rig: Rig) -> None:
    before = open_descriptors()
    with raises(CannotListenError):
        gather(rig, interface=_NOT_OURS)
    assert open_descriptors() <= before
