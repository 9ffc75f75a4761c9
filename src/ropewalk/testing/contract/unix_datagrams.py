"""UNIX datagram sockets: bound and connected ones, what they deliver, and what goes wrong."""

from __future__ import annotations

import os
import socket
import stat
from typing import Any

from ropewalk.internet.address import UNIXAddress
from ropewalk.internet.error import (
    AlreadyListened,
    CannotListenError,
    ConnectError,
    ConnectionRefusedError,
    MessageLengthError,
)
from ropewalk.internet.protocol import ConnectedDatagramProtocol, DatagramProtocol
from ropewalk.testing.contract import behaviour
from ropewalk.testing.peers import Witness, in_reactor, passes, waits
from ropewalk.testing.rig import Rig, raises
from ropewalk.testing.unix_peers import folder


class Mailbox(Witness, DatagramProtocol):
    """Keeps what it receives as pairs of datagram and sender; notes "start", "got" and "stop"."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[tuple[bytes, Any]] = []

    def startProtocol(self) -> None:
        self.note("start")

    def stopProtocol(self) -> None:
        self.note("stop")

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.received.append((datagram, addr))
        self.note("got")


class Answering(Mailbox):
    """Answers in capitals."""

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        super().datagramReceived(datagram, addr)
        self.transport.write(datagram.upper(), addr)


class Penfriend(Witness, ConnectedDatagramProtocol):
    """Keeps what it receives; notes "start", "got", "refused", "failed" and "stop"."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[bytes] = []
        self.reason: Any = None

    def startProtocol(self) -> None:
        self.note("start")

    def stopProtocol(self) -> None:
        self.note("stop")

    def datagramReceived(self, datagram: bytes) -> None:  # type: ignore[override]
        self.received.append(datagram)
        self.note("got")

    def connectionRefused(self) -> None:
        self.note("refused")

    def connectionFailed(self, failure: Any) -> None:
        self.reason = failure.value
        self.note("failed")


@behaviour
@in_reactor
async def datagrams_go_between_two_bound_unix_sockets(rig: Rig) -> None:
    place = folder(rig)
    paths = [os.path.join(place, name) for name in ("here", "there")]
    here, there = Mailbox(), Answering()
    ports = [rig.reactor.listenUNIXDatagram(path, end) for path, end in zip(paths, (here, there), strict=True)]
    here.transport.write(b"first", paths[1])
    here.transport.write(b"", paths[1])
    await here.happens("got", 2)
    assert there.received == [(b"first", paths[0]), (b"", paths[0])]
    assert here.received == [(b"FIRST", paths[1]), (b"", paths[1])]
    assert ports[0].getHost() == UNIXAddress(paths[0])
    assert paths[0] in repr(ports[0])
    for port in ports:
        await port.stopListening()
    assert os.listdir(place) == []
    assert here.events == ["start", "got", "got", "stop"]
    for port in ports:
        port.startListening()
    here.transport.write(b"again", paths[1])
    await here.happens("got", 3)


@behaviour
@in_reactor
async def a_unix_datagram_socket_has_the_mode_that_was_asked_for(rig: Rig) -> None:
    place = folder(rig)
    rig.reactor.listenUNIXDatagram(os.path.join(place, "a"), Mailbox(), mode=0o600)
    rig.reactor.listenUNIXDatagram(os.path.join(place, "b"), Mailbox())
    assert stat.S_IMODE(os.stat(os.path.join(place, "a")).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.join(place, "b")).st_mode) == 0o666


@behaviour
@in_reactor
async def a_unix_datagram_socket_without_a_path_can_send(rig: Rig) -> None:
    path = os.path.join(folder(rig), "port")
    there, nameless = Mailbox(), Mailbox()
    rig.reactor.listenUNIXDatagram(path, there)
    port = rig.reactor.listenUNIXDatagram(None, nameless)
    port.write(b"anonymous", path)
    await there.happens("got")
    assert there.received[0][0] == b"anonymous"
    assert not there.received[0][1]
    assert port.getHost() == UNIXAddress(b"") or port.getHost() == UNIXAddress(None)


@behaviour
@in_reactor
async def a_connected_unix_datagram_socket_exchanges_datagrams_with_one_other(rig: Rig) -> None:
    place = folder(rig)
    there, own = os.path.join(place, "there"), os.path.join(place, "own")
    answering, friend = Answering(), Penfriend()
    rig.reactor.listenUNIXDatagram(there, answering)
    port = rig.reactor.connectUNIXDatagram(there, friend, bindAddress=own, mode=0o611)
    assert stat.S_IMODE(os.stat(own).st_mode) == 0o611
    port.write(b"hello")
    await friend.happens("got")
    assert friend.received == [b"HELLO"]
    assert answering.received == [(b"hello", own)]
    assert port.getPeer() == UNIXAddress(there)
    assert port.getHost() == UNIXAddress(own)
    with raises(AlreadyListened):
        port.startListening()
    await port.stopListening()
    assert os.listdir(place) == ["there"]
    assert friend.events == ["start", "got", "stop"]


@behaviour
@in_reactor
async def a_unix_datagram_longer_than_the_limit_is_dropped_and_the_next_one_arrives(rig: Rig) -> None:
    path = os.path.join(folder(rig), "port")
    there = Mailbox()
    rig.reactor.listenUNIXDatagram(path, there, maxPacketSize=10)
    friend = Penfriend()
    port = rig.reactor.connectUNIXDatagram(path, friend, maxPacketSize=10)
    for datagram in (b"x" * 11, b"y" * 10):
        port.write(datagram)
    await there.happens("got")
    assert [datagram for datagram, _ in there.received] == [b"y" * 10]


@behaviour
@in_reactor
async def a_unix_datagram_that_the_system_does_not_send_is_an_error(rig: Rig) -> None:
    path = os.path.join(folder(rig), "port")
    there = Mailbox()
    rig.reactor.listenUNIXDatagram(path, there)
    port = rig.reactor.connectUNIXDatagram(path, Penfriend())
    with raises(MessageLengthError) as raised:
        port.write(bytes(100_000_000))
    assert "100000000 bytes" in str(raised[0])
    port.write(b"this one")
    await there.happens("got")


@behaviour
@in_reactor
async def a_unix_datagram_to_nobody_is_an_error(rig: Rig) -> None:
    place = folder(rig)
    dead = os.path.join(place, "dead")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as plain:
        plain.bind(dead)
    sender = Mailbox()
    rig.reactor.listenUNIXDatagram(os.path.join(place, "sender"), sender)
    for path in (dead, os.path.join(place, "nothing")):
        with raises(OSError):
            sender.transport.write(b"lost", path)
    sender.transport.write(b"to myself", os.path.join(place, "sender"))
    await sender.happens("got")


@behaviour
@in_reactor
async def a_connected_unix_datagram_socket_is_told_that_its_peer_has_gone(rig: Rig) -> None:
    path = os.path.join(folder(rig), "port")
    there = rig.reactor.listenUNIXDatagram(path, Mailbox())
    friend = Penfriend()
    port = rig.reactor.connectUNIXDatagram(path, friend)
    await there.stopListening()
    port.write(b"anybody?")
    await friend.happens("refused")
    assert port.connected


@behaviour
@in_reactor
async def a_unix_datagram_socket_that_cannot_be_connected_tells_its_protocol(rig: Rig) -> None:
    place = folder(rig)
    dead, stream = os.path.join(place, "dead"), os.path.join(place, "stream")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as plain:
        plain.bind(dead)
    listener = rig.keep(socket.socket(socket.AF_UNIX))
    listener.bind(stream)
    own = os.path.join(place, "own")
    faults: dict[str, type[Exception]] = {
        dead: ConnectionRefusedError, stream: ConnectError, os.path.join(place, "nothing"): ConnectError
    }
    for path, kind in faults.items():
        friend = Penfriend()
        rig.reactor.connectUNIXDatagram(path, friend, bindAddress=own)
        assert friend.events == []
        await friend.happens("failed")
        assert isinstance(friend.reason, kind)
        assert path in str(friend.reason)
        assert not os.path.lexists(own)
    friend = Penfriend()
    rig.reactor.connectUNIXDatagram(dead, friend, bindAddress=os.path.join(place, "no", "where"))
    await friend.happens("failed")
    assert isinstance(friend.reason, CannotListenError)


@behaviour
@in_reactor
async def a_path_in_use_is_refused_to_a_unix_datagram_socket_and_a_dead_one_is_replaced(rig: Rig) -> None:
    place = folder(rig)
    path, dead = os.path.join(place, "port"), os.path.join(place, "dead")
    rig.reactor.listenUNIXDatagram(path, Mailbox())
    refused = Mailbox()
    with raises(CannotListenError):
        rig.reactor.listenUNIXDatagram(path, refused)
    assert refused.events == []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as plain:
        plain.bind(dead)
    there = Mailbox()
    rig.reactor.listenUNIXDatagram(dead, there)
    there.transport.write(b"alive", dead)
    await there.happens("got")


@behaviour
@in_reactor
async def datagrams_wait_for_room_at_a_slow_unix_peer_and_arrive_in_order(rig: Rig) -> None:
    path = os.path.join(folder(rig), "port")
    slow = rig.keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    slow.bind(path)
    port = rig.reactor.connectUNIXDatagram(path, Penfriend())
    sent = [str(number).encode() for number in range(1000)]
    for datagram in sent:
        port.write(datagram)
    assert await waits(rig, 0.05) < 30   # it waits; it does not try again and again
    slow.setblocking(False)
    received: list[bytes] = []
    while len(received) < len(sent):
        try:
            received.append(slow.recv(100))
        except BlockingIOError:
            await passes(rig)
    assert received == sent


@behaviour
@in_reactor
async def datagrams_to_a_full_unix_socket_are_dropped_without_an_error_or_a_busy_loop(rig: Rig) -> None:
    place = folder(rig)
    path = os.path.join(place, "full")
    full = rig.keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    full.bind(path)
    sender = Mailbox()
    own = os.path.join(place, "sender")
    rig.reactor.listenUNIXDatagram(own, sender)
    for _ in range(5000):
        sender.transport.write(b"x" * 1000, path)
    assert await waits(rig, 0.05) < 30
    sender.transport.write(b"another way", own)
    await sender.happens("got")


@behaviour
@in_reactor
async def the_end_of_the_reactor_stops_a_unix_datagram_protocol(rig: Rig) -> None:
    path = os.path.join(folder(rig), "port")
    there = Mailbox()
    rig.reactor.listenUNIXDatagram(path, there)

    def look() -> None:
        assert there.events == ["start", "stop"]
        assert not os.path.lexists(path)

    rig.reactor.addSystemEventTrigger("after", "shutdown", look)
