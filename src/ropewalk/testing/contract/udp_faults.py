"""Faults on UDP: bad arguments, programs that raise, floods, descriptors that vanish; the rest goes on."""

from __future__ import annotations

import errno
import os
from typing import Any

from ropewalk.errors import CannotListenError, InvalidAddressError, MessageLengthError
from ropewalk.testing.contract import behaviour
from ropewalk.testing.contract.tcp_faults import Made, broken, expect_made
from ropewalk.testing.datagram_peers import Answering, Datagrams, address, deaf_udp, hear, plain_udp, unreachable
from ropewalk.testing.features import needs
from ropewalk.testing.peers import IPV4, IPV6, Echo, in_reactor, need_ipv6, pair, passes, waits
from ropewalk.testing.rig import Rig, open_descriptors, raises

_NOT_OURS = "198.51.100.1"   # TEST-NET-2 of RFC 5737
_LONGEST = 65507   # bytes: 65535, less the headers of IPv4 and UDP


# -- where it cannot listen


@behaviour
@in_reactor
async def a_udp_port_in_use_is_an_error_that_says_where_and_why(rig: Rig) -> None:
    heard, late = hear(rig), Datagrams()
    host, number = address(heard)
    before = open_descriptors()
    with raises(CannotListenError) as raised:
        rig.reactor.listenUDP(number, late, interface=host)
    error: Any = raised[0]
    assert (error.interface, error.port, error.socketError.errno) == (host, number, errno.EADDRINUSE)
    assert f"{host}:{number}" in str(error)
    assert "another socket listens there" in str(error)
    assert (late.events, late.transport) == ([], None)
    assert open_descriptors() <= before
    plain_udp(rig).sendto(b"first come", (host, number))
    await heard.gets(b"first come")


@behaviour
@in_reactor
async def what_is_no_udp_port_number_cannot_be_listened_on(rig: Rig) -> None:
    for number in (-1, 65536, "80", None, 1.5):
        with raises(ValueError) as raised:
            rig.reactor.listenUDP(number, Datagrams(), IPV4)
        assert "0 to 65535" in str(raised[0])
        assert repr(number) in str(raised[0])


@behaviour
@in_reactor
async def an_interface_for_udp_is_a_literal_address(rig: Rig) -> None:
    before = open_descriptors()
    for name in ("localhost", "127.0.0.1.1", "256.0.0.1", "127.0.0.1%lo", "::1::"):
        with raises(InvalidAddressError) as raised:
            rig.reactor.listenUDP(0, Datagrams(), name)
        assert raised[0].address == name   # type: ignore[attr-defined]
    assert open_descriptors() <= before


@behaviour
@needs("foreign addresses")
@in_reactor
async def an_interface_for_udp_is_one_of_this_machine(rig: Rig) -> None:
    before = open_descriptors()
    for host in (_NOT_OURS, "2001:db8::1", "fe80::1%no-such-interface"):
        with raises(CannotListenError) as raised:
            rig.reactor.listenUDP(0, Datagrams(), host)
        assert raised[0].interface == host   # type: ignore[attr-defined]
    assert open_descriptors() <= before


@behaviour
@in_reactor
async def a_max_packet_size_that_is_no_number_of_bytes_is_refused(rig: Rig) -> None:
    before = open_descriptors()
    for size in (0, -1, 8192.0, "8192", None, 2**63):
        with raises(ValueError) as raised:
            rig.reactor.listenUDP(0, Datagrams(), IPV4, size)
        assert "maxPacketSize" in str(raised[0])
    assert open_descriptors() <= before


# -- what cannot be written


@behaviour
@in_reactor
async def a_packet_is_not_sent_to_a_name_and_not_to_another_family(rig: Rig) -> None:
    need_ipv6()
    peer, sending, six = plain_udp(rig), hear(rig), hear(rig, interface=IPV6)
    number = peer.getsockname()[1]
    for _ in range(2):   # what was looked at once is remembered
        for host in ("localhost", "", "example.com.", IPV6, "127.1", "127.0.0.1%lo", "127.0.0.1\0"):
            with raises(InvalidAddressError) as raised:
                sending.transport.write(b"x", (host, number))
            assert raised[0].address == host   # type: ignore[attr-defined]
        for host in ("localhost", IPV4, "<broadcast>"):
            with raises(InvalidAddressError):
                six.transport.write(b"x", (host, number))
    sending.transport.write(b"mark", (IPV4, number))
    assert peer.recv(100) == b"mark"
    six.transport.write(b"mark", address(six))
    await six.gets(b"mark")


@behaviour
@in_reactor
async def a_port_without_a_peer_needs_an_address_to_send_to(rig: Rig) -> None:
    heard = hear(rig)
    for arguments in ((b"x",), (b"x", None)):
        with raises(ValueError):
            heard.transport.write(*arguments)
    with raises(ValueError):
        heard.transport.writeSequence([b"x"])
    heard.transport.write(b"mark", address(heard))
    await heard.gets(b"mark")


@behaviour
@in_reactor
async def a_packet_is_bytes(rig: Rig) -> None:
    heard = hear(rig)
    for packet in ("text", None, 5):
        with raises(TypeError):
            heard.transport.write(packet, address(heard))
    heard.transport.write(b"mark", address(heard))
    await heard.gets(b"mark")


@behaviour
@in_reactor
async def a_packet_that_is_too_long_is_an_error_and_the_next_one_is_sent(rig: Rig) -> None:
    heard, connected = hear(rig), hear(rig)
    connected.transport.connect(*address(heard))
    for size in (_LONGEST + 1, 100_000):
        with raises(MessageLengthError) as raised:
            heard.transport.write(bytes(size), address(heard))
        assert f"{size} bytes" in str(raised[0])
        with raises(MessageLengthError):
            connected.transport.write(bytes(size))
    heard.transport.write(b"mark", address(heard))
    connected.transport.write(b"mark")
    await heard.gets(b"mark", b"mark")


@behaviour
@in_reactor
async def what_the_system_refuses_to_send_is_raised_and_the_port_goes_on(rig: Rig) -> None:
    heard = hear(rig)
    with raises(OSError):
        heard.transport.write(b"x", (IPV4, 0))
    with raises(OverflowError):
        heard.transport.write(b"x", (IPV4, 65536))
    with raises(OSError):
        heard.transport.write(b"from loopback", (_NOT_OURS, 9))
    heard.transport.write(b"mark", address(heard))
    await heard.gets(b"mark")


# -- protocols that raise


@behaviour
@in_reactor
async def a_protocol_that_fails_when_it_receives_a_datagram_gets_the_next_one(rig: Rig) -> None:
    class Choosy(Datagrams):
        def datagramReceived(self, datagram: bytes, addr: Any) -> None:
            super().datagramReceived(datagram, addr)
            if datagram == b"bad":
                raise Made("datagramReceived")

    for already in ([], [b"good"] * 30):   # alone, and in a burst
        plain, choosy = plain_udp(rig), hear(rig, Choosy)
        datagrams = [*already, b"bad", b"good", b"bad", b"good"]
        for datagram in datagrams:
            plain.sendto(datagram, address(choosy))
        await choosy.gets(*datagrams)
        for error in rig.expect_errors(Made, Made):
            assert error.args == ("datagramReceived",)
        assert choosy.events == ["start"]


@behaviour
@in_reactor
async def a_protocol_that_fails_to_start_has_no_port(rig: Rig) -> None:
    before = open_descriptors()
    with raises(Made):
        hear(rig, broken(Datagrams, "startProtocol"))
    assert open_descriptors() <= before
    assert not rig.reactor.transports


@behaviour
@in_reactor
async def a_protocol_that_fails_to_stop_is_logged_and_its_port_is_closed(rig: Rig) -> None:
    before = open_descriptors()
    protocol = hear(rig, broken(Datagrams, "stopProtocol"))
    await protocol.transport.stopListening()
    expect_made(rig, "stopProtocol")
    assert open_descriptors() <= before


@behaviour
@needs("refusals")
@in_reactor
async def a_protocol_that_fails_when_it_is_refused_goes_on(rig: Rig) -> None:
    class Touchy(Answering):
        def connectionRefused(self) -> None:
            super().connectionRefused()
            raise Made("connectionRefused")

    deaf, touchy = deaf_udp(rig), hear(rig, Touchy)
    touchy.transport.connect(*deaf.getsockname())
    touchy.transport.write(b"anybody?")
    await touchy.happens("refused")
    expect_made(rig, "connectionRefused")
    there = deaf.getsockname()
    deaf.close()
    answering = Answering()
    rig.reactor.listenUDP(there[1], answering, there[0])
    answering.transport.write(b"here", address(touchy))
    await touchy.gets(b"here")
    await answering.gets(b"HERE")


@behaviour
@needs("127.0.0.0/8", "refusals")
@in_reactor
async def no_icmp_message_closes_a_port_or_keeps_it_from_sending(rig: Rig) -> None:
    peer = "127.0.0.64"   # the system remembers for minutes what code 4 says of it
    for code in range(16):   # of "destination unreachable": one per reason
        connected, answering = hear(rig), hear(rig, Answering, peer)
        connected.transport.connect(*address(answering))
        unreachable(code, address(connected), address(answering))
        await passes(rig)   # the port learns of it by receiving
        unreachable(code, address(connected), address(answering))
        connected.transport.write(b"still there")   # and by sending
        await connected.gets(b"STILL THERE")
        assert set(connected.events) <= {"start", "refused"}


@behaviour
@needs("refusals")
@in_reactor
async def a_port_may_be_stopped_when_its_peer_refuses(rig: Rig) -> None:
    class Leaving(Datagrams):
        def connectionRefused(self) -> None:
            super().connectionRefused()
            self.transport.stopListening()

    deaf = deaf_udp(rig)
    for writes in (1, 3):   # with more errors on their way
        leaving = hear(rig, Leaving)
        leaving.transport.connect(*deaf.getsockname())
        for _ in range(writes):
            leaving.transport.write(b"anybody?")
        await leaving.happens("stop")
        await passes(rig)
        assert leaving.events == ["start", "refused", "stop"]


# -- floods


class _Flooding(Datagrams):
    """Sends what it receives to itself again, so that there is always more; it gives up after `MOST`."""

    MOST = 200_000

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.count += 1
        if self.count < self.MOST:
            self.transport.write(datagram, addr)


@behaviour
@in_reactor
async def a_flood_on_one_port_starves_nobody(rig: Rig) -> None:
    plain, answering = plain_udp(rig), hear(rig, Answering)
    client, _ = await pair(rig, server=Echo)
    floods = {size: hear(rig, _Flooding, maxPacketSize=_LONGEST) for size in (1, 1000, 30_000)}
    for size, flooding in floods.items():
        for _ in range(150_000 // (size + 1000)):   # what a socket's buffer can be expected to hold
            flooding.transport.write(bytes(size), address(flooding))
    await passes(rig, 0.01)
    for _ in range(3):
        plain.sendto(b"question", address(answering))
        await answering.gets(b"question")
        client.transport.write(b"x")
        await client.until(lambda: bool(client.received))
        client.received.clear()
    counts = {size: flooding.count for size, flooding in floods.items()}
    assert all(0 < count < _Flooding.MOST for count in counts.values()), counts
    assert plain.recv(100) == b"QUESTION"


@behaviour
@needs("refusals")
@in_reactor
async def a_port_that_nothing_comes_to_does_not_keep_the_reactor_busy(rig: Rig) -> None:
    deaf, connected, heard = deaf_udp(rig), hear(rig), hear(rig)
    connected.transport.connect(*deaf.getsockname())
    connected.transport.write(b"anybody?")
    await connected.happens("refused")
    plain_udp(rig).sendto(b"one", address(heard))
    await heard.gets(b"one")
    count = await waits(rig, 0.1)
    assert count < 20, f"the poller was asked {count} times in 0.1 s"


# -- descriptors that vanish


@behaviour
@needs("descriptor table")
@in_reactor
async def a_udp_port_whose_descriptor_was_closed_can_still_be_stopped(rig: Rig) -> None:
    other, heard = hear(rig), hear(rig)
    port, there = heard.transport, address(other)
    os.close(port.getHandle().fileno())
    with raises(OSError):
        port.write(b"x", there)
    await passes(rig, 0.01)
    rig.take_errors()   # some pollers notice by themselves
    await port.stopListening()
    assert heard.events == ["start", "stop"]
    other.transport.write(b"mark", there)
    await other.gets(b"mark")
