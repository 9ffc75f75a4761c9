"""UDP: what is sent arrives whole and in order, to whom it belongs, and what a port tells of itself."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import unittest
from typing import Any

from ropewalk.errors import AlreadyListened, InvalidAddressError, NotListeningError
from ropewalk.internet.address import IPv4Address, IPv6Address
from ropewalk.testing.contract import behaviour
from ropewalk.testing.datagram_peers import Answering, Datagrams, address, deaf_udp, hear, link_local, plain_udp
from ropewalk.testing.features import needs
from ropewalk.testing.peers import IPV4, IPV6, in_reactor, log_records, need_ipv6, passes
from ropewalk.testing.rig import Rig, open_descriptors, raises


def numbered(count: int) -> list[bytes]:
    """So many datagrams that differ."""
    return [b"%d" % number for number in range(count)]


# -- to and fro


@behaviour
@in_reactor
async def a_datagram_arrives_with_its_senders_address_and_can_be_answered(rig: Rig) -> None:
    plain, heard = plain_udp(rig), hear(rig)
    plain.sendto(b"question", address(heard))
    [sender] = await heard.gets(b"question")
    assert sender == plain.getsockname()
    heard.transport.write(b"answer", sender)
    assert plain.recvfrom(100) == (b"answer", address(heard))


@behaviour
@in_reactor
async def two_ports_send_to_each_other(rig: Rig) -> None:
    asking, answering = hear(rig), hear(rig, Answering)
    for text in (b"first", b"second"):
        asking.transport.write(text, address(answering))
        assert await asking.gets(text.upper()) == [address(answering)]
    assert await answering.gets(b"first", b"second") == [address(asking)] * 2


@behaviour
@in_reactor
async def a_port_sends_to_itself(rig: Rig) -> None:
    heard = hear(rig)
    heard.transport.write(b"me", address(heard))
    assert await heard.gets(b"me") == [address(heard)]


@behaviour
@in_reactor
async def datagrams_keep_their_bounds_and_may_be_empty(rig: Rig) -> None:
    plain, heard = plain_udp(rig), hear(rig)
    written = [b"a", b"", b"bc", b"", b""]
    for datagram in written:
        plain.sendto(datagram, address(heard))
    await heard.gets(*written)
    for datagram in written:
        heard.transport.write(datagram, plain.getsockname())
    assert [plain.recv(100) for _ in written] == written


@behaviour
@in_reactor
async def what_is_written_may_be_any_bytes_like_object(rig: Rig) -> None:
    sending, heard = hear(rig), hear(rig)
    for packet in (b"bytes", bytearray(b"array"), memoryview(b"a view")[2:]):
        sending.transport.write(packet, address(heard))
    await heard.gets(b"bytes", b"array", b"view")


@behaviour
@in_reactor
async def write_sequence_sends_one_datagram(rig: Rig) -> None:
    sending, heard = hear(rig), hear(rig)
    sending.transport.writeSequence([b"a", b"", b"bc"], address(heard))
    sending.transport.writeSequence((piece for piece in (b"d", bytearray(b"e"))), address(heard))
    sending.transport.connect(*address(heard))
    sending.transport.writeSequence([b"f", b"g"])
    await heard.gets(b"abc", b"de", b"fg")


@behaviour
@in_reactor
async def a_datagram_is_sent_from_a_timer_and_from_a_thread(rig: Rig) -> None:
    sending, heard = hear(rig), hear(rig)
    rig.reactor.callLater(0, sending.transport.write, b"timer", address(heard))
    await heard.gets(b"timer")
    rig.reactor.callInThread(rig.reactor.callFromThread, sending.transport.write, b"thread", address(heard))
    await heard.gets(b"thread")


@behaviour
def what_came_before_the_reactor_ran_arrives_whole_and_in_order(rig: Rig) -> None:
    plain, heard = plain_udp(rig), hear(rig)
    datagrams = numbered(200)
    for datagram in datagrams:
        plain.sendto(datagram, address(heard))

    async def all_come() -> None:
        assert set(await heard.gets(*datagrams)) == {plain.getsockname()}

    rig.play(all_come)


@behaviour
@in_reactor
async def nothing_is_lost_however_many_come_at_once(rig: Rig) -> None:
    plain, heard = plain_udp(rig), hear(rig)
    for count in (1, 2, 3, 64, 65, 130, 200, 1, 1, 7):
        datagrams = numbered(count)
        for datagram in datagrams:
            plain.sendto(datagram, address(heard))
        await heard.gets(*datagrams)


@behaviour
@in_reactor
async def what_comes_one_by_one_arrives_one_by_one(rig: Rig) -> None:
    asking, answering = hear(rig), hear(rig, Answering)
    for datagram in numbered(150):
        asking.transport.write(datagram, address(answering))
        await asking.gets(datagram)
    await answering.gets(*numbered(150))


@behaviour
@in_reactor
async def many_ports_at_once_do_not_mix_their_datagrams(rig: Rig) -> None:
    answering = [hear(rig, Answering) for _ in range(100)]
    asking = [hear(rig) for _ in range(100)]
    assert len({address(protocol) for protocol in answering + asking}) == 200
    texts = [b"port %d" % number for number in range(100)]
    for one, other, text in zip(asking, answering, texts, strict=True):
        one.transport.write(text, address(other))
    for one, other, text in zip(asking, answering, texts, strict=True):
        assert await one.gets(text.upper()) == [address(other)]


@behaviour
@in_reactor
async def a_datagram_of_max_packet_size_is_delivered_and_a_longer_one_dropped_with_a_warning(rig: Rig) -> None:
    plain, heard = plain_udp(rig), hear(rig, maxPacketSize=100)
    with log_records(logging.WARNING) as records:
        for size in (100, 101, 5000, 99):
            plain.sendto(bytes(size), address(heard))
        await heard.gets(bytes(100), bytes(99))
    texts = [record.getMessage() for record in records if record.levelno == logging.WARNING]
    assert len(texts) == len(records) == 2
    for text in texts:
        for part in ("dropped", repr(plain.getsockname()), "maxPacketSize", "100 bytes"):
            assert part in text, text


@behaviour
@in_reactor
async def max_packet_size_is_8192_unless_it_is_told(rig: Rig) -> None:
    plain, heard = plain_udp(rig), Datagrams()
    rig.reactor.listenUDP(0, heard, IPV4)
    plain.sendto(bytes(8193), address(heard))
    plain.sendto(bytes(8192), address(heard))
    await heard.gets(bytes(8192))


@behaviour
@in_reactor
async def the_longest_datagram_of_all_goes_both_ways(rig: Rig) -> None:
    longest = bytes(65507)   # 65535, less the headers of IPv4 and UDP
    sending, heard = hear(rig), hear(rig, maxPacketSize=65535)
    sending.transport.write(longest, address(heard))
    await heard.gets(longest)


# -- where it listens


@behaviour
@in_reactor
async def udp_port_zero_becomes_a_free_port_that_get_host_tells(rig: Rig) -> None:
    first, second = hear(rig).transport, hear(rig).transport
    host = first.getHost()
    assert host == IPv4Address("UDP", IPV4, host.port)
    assert host.port not in (0, second.getHost().port)


@behaviour
@in_reactor
async def a_udp_port_listens_on_the_number_that_is_asked_for(rig: Rig) -> None:
    first, second = hear(rig), Datagrams()
    host, number = address(first)
    await first.transport.stopListening()
    port = rig.reactor.listenUDP(number, second, interface=host)
    assert port is second.transport
    assert port.getHost() == IPv4Address("UDP", host, number)
    plain_udp(rig).sendto(b"x", (host, number))
    await second.gets(b"x")


@behaviour
@in_reactor
async def a_udp_port_without_an_interface_listens_on_every_ipv4_interface(rig: Rig) -> None:
    heard = Datagrams()
    port = rig.reactor.listenUDP(0, heard)
    assert port.getHost() == IPv4Address("UDP", "0.0.0.0", port.getHost().port)
    plain_udp(rig).sendto(b"x", (IPV4, port.getHost().port))
    await heard.gets(b"x")


@behaviour
@in_reactor
async def the_handle_is_the_socket_and_there_is_none_when_it_does_not_listen(rig: Rig) -> None:
    port = hear(rig).transport
    handle = port.getHandle()
    assert isinstance(handle, socket.socket)
    assert handle.getsockname() == (port.getHost().host, port.getHost().port)
    await port.stopListening()
    assert port.getHandle() is None


@behaviour
@in_reactor
async def get_host_of_a_stopped_port_is_what_was_asked_for(rig: Rig) -> None:
    port = hear(rig).transport
    await port.stopListening()
    assert port.getHost() == IPv4Address("UDP", IPV4, 0)


# -- IPv6


@behaviour
@in_reactor
async def datagrams_go_both_ways_over_ipv6(rig: Rig) -> None:
    need_ipv6()
    asking, answering = hear(rig, interface=IPV6), hear(rig, Answering, IPV6)
    host = asking.transport.getHost()
    assert isinstance(host, IPv6Address)
    assert (host.type, host.host) == ("UDP", IPV6)
    asking.transport.write(b"six", address(answering))
    assert await asking.gets(b"SIX") == [address(answering)]
    assert await answering.gets(b"six") == [address(asking)]
    asking.transport.connect(*address(answering))
    asking.transport.write(b"")
    assert await asking.gets(b"") == [address(answering)]


@behaviour
@in_reactor
async def every_ipv6_interface_is_listened_on_if_that_is_asked_for(rig: Rig) -> None:
    need_ipv6()
    heard = hear(rig, interface="::")
    plain = plain_udp(rig, IPV6)
    plain.sendto(b"x", (IPV6, address(heard)[1]))
    assert await heard.gets(b"x") == [plain.getsockname()[:2]]


@behaviour
@in_reactor
async def a_link_local_sender_has_its_zone_and_can_be_answered(rig: Rig) -> None:
    host = link_local()
    asking, answering = hear(rig, interface=host), hear(rig, Answering, host)
    asked = asking.transport.getHost()
    assert isinstance(asked, IPv6Address)
    assert asked.host == host.partition("%")[0]
    assert asked.scopeID
    asking.transport.write(b"near", (host, answering.transport.getHost().port))
    assert await asking.gets(b"NEAR") == [(host, answering.transport.getHost().port)]
    assert await answering.gets(b"near") == [(host, asked.port)]


# -- connected


@behaviour
@in_reactor
async def a_connected_port_sends_to_its_peer_and_receives_from_it_alone(rig: Rig) -> None:
    peer, stranger, connected = plain_udp(rig), plain_udp(rig), hear(rig)
    assert connected.transport.connect(*peer.getsockname()) is None
    connected.transport.write(b"no address")
    connected.transport.write(b"None", None)
    connected.transport.write(b"its own", peer.getsockname())
    received = [peer.recvfrom(100) for _ in range(3)]
    assert received == [(text, address(connected)) for text in (b"no address", b"None", b"its own")]
    with contextlib.suppress(ConnectionRefusedError):
        stranger.sendto(b"let me in", address(connected))
    peer.sendto(b"friend", address(connected))
    assert await connected.gets(b"friend") == [peer.getsockname()]


@behaviour
@in_reactor
async def a_connected_port_sends_to_nobody_else_and_connects_once(rig: Rig) -> None:
    peer, stranger, connected = plain_udp(rig), plain_udp(rig), hear(rig)
    connected.transport.connect(*peer.getsockname())
    with raises(ValueError) as refused:
        connected.transport.write(b"x", stranger.getsockname())
    assert str(stranger.getsockname()) in str(refused[0])
    with raises(RuntimeError):
        connected.transport.connect(*stranger.getsockname())
    connected.transport.write(b"mark")
    assert peer.recv(100) == b"mark"


@behaviour
@in_reactor
async def a_port_connects_to_a_literal_address_of_its_family_only(rig: Rig) -> None:
    peer, heard = plain_udp(rig), hear(rig)
    for host in ("localhost", "", IPV6, "127.0.0.1.1", "127.0.0.1%lo"):
        with raises(InvalidAddressError) as error:
            heard.transport.connect(host, peer.getsockname()[1])
        assert error[0].address == host   # type: ignore[attr-defined]
    heard.transport.connect(*peer.getsockname())
    heard.transport.write(b"mark")
    assert peer.recv(100) == b"mark"


@behaviour
@needs("refusals")
@in_reactor
async def a_connected_port_hears_that_nobody_listens_and_goes_on(rig: Rig) -> None:
    deaf, connected = deaf_udp(rig), hear(rig)
    connected.transport.connect(*deaf.getsockname())
    for times in (1, 2):
        connected.transport.write(b"anybody?")
        await connected.happens("refused", times)
    there = deaf.getsockname()
    deaf.close()
    connected.transport.write(b"anybody now?")
    await connected.happens("refused", 3)
    answering = Answering()
    rig.reactor.listenUDP(there[1], answering, there[0])
    connected.transport.write(b"at last")
    assert await connected.gets(b"AT LAST") == [there]
    assert connected.events == ["start"] + ["refused"] * 3


@behaviour
@needs("refusals")
@in_reactor
async def a_datagram_that_is_written_when_an_earlier_one_was_refused_is_sent_all_the_same(rig: Rig) -> None:
    deaf, connected = deaf_udp(rig), hear(rig)
    connected.transport.connect(*deaf.getsockname())
    connected.transport.write(b"lost")   # on loopback the answer is there before write() returns
    deaf.close()
    answering = Answering()
    rig.reactor.listenUDP(connected.transport.peer[1], answering, IPV4)
    connected.transport.write(b"first")
    connected.transport.write(b"second")
    await connected.gets(b"FIRST", b"SECOND")
    await connected.happens("refused")
    assert connected.events == ["start", "refused"]


@behaviour
@needs("refusals")
@in_reactor
async def connection_refused_comes_in_a_turn_of_its_own(rig: Rig) -> None:
    deaf, connected = deaf_udp(rig), hear(rig)
    connected.transport.connect(*deaf.getsockname())
    for _ in range(5):
        connected.transport.write(b"anybody?")
    assert connected.events == ["start"]
    await connected.happens("refused")


@behaviour
@in_reactor
async def who_is_not_connected_does_not_hear_that_nobody_listens(rig: Rig) -> None:
    deaf, heard = deaf_udp(rig), hear(rig)
    for _ in range(3):
        heard.transport.write(b"anybody?", deaf.getsockname())
    heard.transport.write(b"mark", address(heard))
    await heard.gets(b"mark")
    assert heard.events == ["start"]


@behaviour
@in_reactor
async def a_port_that_was_stopped_and_started_has_no_peer_any_more(rig: Rig) -> None:
    peer, heard = plain_udp(rig), hear(rig)
    port = heard.transport
    port.connect(*peer.getsockname())
    await port.stopListening()
    port.startListening()
    stranger = plain_udp(rig)
    port.write(b"free again", stranger.getsockname())
    assert stranger.recv(100) == b"free again"


# -- broadcast


@behaviour
@in_reactor
async def broadcasts_are_refused_until_they_are_allowed(rig: Rig) -> None:
    sending = hear(rig, interface="")
    port = sending.transport
    assert port.getBroadcastAllowed() is False
    for host in ("255.255.255.255", "<broadcast>"):
        with raises(OSError) as error:
            port.write(b"x", (host, 9))
        assert error[0].errno in (errno.EACCES, errno.ENETUNREACH)   # type: ignore[attr-defined]
    for allowed in (True, False, True):
        port.setBroadcastAllowed(allowed)
        assert port.getBroadcastAllowed() is allowed
        assert bool(port.getHandle().getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)) is allowed


@behaviour
@in_reactor
async def a_broadcast_reaches_every_port_of_that_number(rig: Rig) -> None:
    heard, sending = hear(rig, interface=""), hear(rig, interface="")
    there = ("127.255.255.255", address(heard)[1])
    sending.transport.setBroadcastAllowed(True)
    try:
        sending.transport.write(b"all of you", there)
    except OSError as error:
        raise unittest.SkipTest(f"loopback has no broadcast address here: {error}") from None
    await heard.gets(b"all of you")
    sending.transport.setBroadcastAllowed(False)
    with raises(PermissionError):
        sending.transport.write(b"all of you", there)
    sending.transport.write(b"mark", (IPV4, there[1]))
    await heard.gets(b"mark")


# -- starting and stopping


@behaviour
@in_reactor
async def a_protocol_starts_with_its_port_and_may_send_at_once(rig: Rig) -> None:
    plain = plain_udp(rig)

    class Greeter(Datagrams):
        def startProtocol(self) -> None:
            super().startProtocol()
            self.transport.write(b"hello", plain.getsockname())

    greeter = Greeter()
    assert greeter.transport is None
    port = rig.reactor.listenUDP(0, greeter, IPV4)
    assert (greeter.events, greeter.transport, greeter.numPorts) == (["start"], port, 1)
    assert plain.recvfrom(100) == (b"hello", address(greeter))


@behaviour
@in_reactor
async def stop_listening_closes_the_port_and_then_tells_the_protocol(rig: Rig) -> None:
    before = open_descriptors()
    heard = hear(rig)
    port = heard.transport
    stopped = port.stopListening()
    assert open_descriptors() <= before
    assert heard.events == ["start"], "the protocol must not be told within the call"
    assert await stopped is None
    assert (heard.events, heard.transport, heard.numPorts) == (["start", "stop"], None, 0)
    assert port not in rig.reactor.transports


@behaviour
@in_reactor
async def stop_listening_may_be_called_again(rig: Rig) -> None:
    heard = hear(rig)
    port = heard.transport
    both = port.stopListening(), port.loseConnection()
    for stopped in both:
        assert not stopped.called
    for stopped in both:
        await stopped
    await port.stopListening()
    assert heard.events == ["start", "stop"]


@behaviour
@in_reactor
async def a_stopped_port_receives_nothing_and_drops_what_is_written_with_a_warning(rig: Rig) -> None:
    plain, heard = plain_udp(rig), hear(rig)
    port, there = heard.transport, address(heard)
    plain.sendto(b"too late", there)
    stopped = port.stopListening()
    with log_records(logging.WARNING) as records:
        port.write(b"too late", plain.getsockname())
        await stopped
        port.writeSequence([b"too ", b"late"], plain.getsockname())
    assert [record.levelno for record in records] == [logging.WARNING] * 2
    assert "8 bytes" in records[0].getMessage()
    for use in (port.getBroadcastAllowed, lambda: port.setBroadcastAllowed(True)):
        with raises(NotListeningError):
            use()
    with raises(RuntimeError):
        port.connect(*plain.getsockname())
    hear(rig).transport.write(b"mark", plain.getsockname())
    assert plain.recv(100) == b"mark"
    assert heard.came == []


@behaviour
@in_reactor
async def a_port_can_be_started_again(rig: Rig) -> None:
    plain, heard = plain_udp(rig), hear(rig)
    port = heard.transport
    for _ in range(3):
        await port.stopListening()
        port.startListening()
        assert heard.transport is port
        plain.sendto(b"again", address(heard))
        await heard.gets(b"again")
    assert heard.events == ["start"] + ["stop", "start"] * 3
    with raises(AlreadyListened):
        port.startListening()
    plain.sendto(b"still", address(heard))
    await heard.gets(b"still")


@behaviour
@in_reactor
async def a_port_that_stops_within_datagram_received_delivers_nothing_more(rig: Rig) -> None:
    class Leaving(Datagrams):
        def datagramReceived(self, datagram: bytes, addr: Any) -> None:
            super().datagramReceived(datagram, addr)
            if datagram == b"leave":
                self.transport.stopListening().addCallback(lambda _: self.note("gone"))

    for already in (0, 1, 30, 100):   # in a burst, and before there are any
        plain, leaving = plain_udp(rig), hear(rig, Leaving)
        for datagram in (*numbered(already), b"leave", *numbered(100)):
            plain.sendto(datagram, address(leaving))
        await leaving.happens("gone")
        await leaving.gets(*numbered(already), b"leave")
        assert leaving.events == ["start", "stop", "gone"]
        await passes(rig)
        assert leaving.came == []


@behaviour
@in_reactor
async def a_port_may_start_again_when_it_has_stopped_within_datagram_received(rig: Rig) -> None:
    class Restarting(Datagrams):
        def datagramReceived(self, datagram: bytes, addr: Any) -> None:
            super().datagramReceived(datagram, addr)
            port = self.transport
            port.stopListening().addCallback(lambda _: port.startListening())

    plain, restarting = plain_udp(rig), hear(rig, Restarting)
    for times in (1, 2, 3):
        plain.sendto(b"again", address(restarting))
        plain.sendto(b"dropped with the old socket", address(restarting))
        await restarting.happens("start", times + 1)
        await restarting.gets(b"again")


@behaviour
@in_reactor
async def a_protocol_has_one_port_at_a_time_and_may_have_another_afterwards(rig: Rig) -> None:
    plain, heard = plain_udp(rig), hear(rig)
    first = heard.transport
    before = open_descriptors()
    with raises(RuntimeError):
        rig.reactor.listenUDP(0, heard, IPV4)
    assert open_descriptors() <= before
    assert heard.transport is first
    await first.stopListening()
    second = rig.reactor.listenUDP(0, heard, IPV4)
    assert (heard.transport, heard.numPorts) == (second, 1)
    plain.sendto(b"anew", address(heard))
    await heard.gets(b"anew")
    assert heard.events == ["start", "stop", "start"]


@behaviour
def a_reactor_that_stops_closes_its_ports_and_tells_their_protocols(rig: Rig) -> None:
    heard = [hear(rig) for _ in range(3)]
    ports = [protocol.transport for protocol in heard]
    rig.reactor.callWhenRunning(ports[0].stopListening)   # one that is about to stop already
    rig.in_run(lambda: None)
    for port, protocol in zip(ports, heard, strict=True):
        assert (protocol.events, protocol.transport) == (["start", "stop"], None)
        assert port.getHandle() is None
    assert not rig.reactor.transports


@behaviour
def a_port_outlives_a_crash_and_serves_the_next_run(rig: Rig) -> None:
    plain, heard = plain_udp(rig), hear(rig)
    rig.reactor.callWhenRunning(rig.reactor.crash)
    rig.run()
    plain.sendto(b"still there", address(heard))
    rig.play(lambda: heard.gets(b"still there"))
