"""The datagram port, over a scripted socket: what a real one cannot be made to do when a test wants it.

What goes over the network is for the contract.
"""

import errno
import logging
import os
import socket
import threading
from collections import deque

import pytest

from ropewalk.errors import CannotListenError, ConnectionFdescWentAway, ConnectionLost, MessageLengthError
from ropewalk.interfaces import ERROR, INVALID, READ, WRITE
from ropewalk.internet.protocol import DatagramProtocol
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.testing.memory import MemoryLoop
from ropewalk.transports.datagram import BYTES_A_TURN
from ropewalk.transports.udp import UDPPort

SENDER = ("192.0.2.1", 1000)
PEER = ("192.0.2.2", 2000)
OTHER = ("192.0.2.3", 3000)
LIMIT = 20.0   # seconds
MOST_WAITING = 262144   # bytes
REFUSALS = [
    errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENOPROTOOPT, errno.EPROTO,
    errno.EACCES, errno.EOPNOTSUPP, errno.ENETRESET, getattr(errno, "ENONET", errno.ENETRESET),
]  # fmt: skip
PASSING = [errno.ENOBUFS, errno.ENOMEM, errno.EINTR]


def os_error(number):
    return OSError(number, os.strerror(number))


def would_block():
    return os_error(errno.EAGAIN)


def datagrams(count, size=1):
    return [bytes([number % 256]) * size for number in range(count)]


class Scripted:
    """A datagram socket.

    incoming: what the next recvfrom()s give: a datagram, or an OSError to raise; empty: would block. outgoing: what
    the next sends do: an OSError to raise, or None to take it; empty: they take everything, unless it is `full`.
    """

    def __init__(self, failing=None):
        self.incoming, self.outgoing = deque(), deque()
        self.failing = failing
        self.full = False
        self.sent = []
        self.calls = []
        self.reads = 0
        self.wanted = 0

    def recvfrom(self, size):
        self.reads += 1
        if not self.incoming:
            raise would_block()
        result = self.incoming.popleft()
        if isinstance(result, OSError):
            raise result
        return result[:size], SENDER

    def recvmsg(self, size, space, flags):
        assert flags == socket.MSG_ERRQUEUE
        raise would_block()

    def send(self, datagram):
        return self.sendto(datagram, None)

    def sendto(self, datagram, address):
        result = would_block() if self.full else self.outgoing.popleft() if self.outgoing else None
        if result is not None:
            raise result
        self.sent.append((bytes(datagram), address))
        return len(datagram)

    def connect(self, address):
        self.calls.append("connect")
        if self.failing == "connect":
            raise os_error(errno.ENETUNREACH)

    def getsockname(self):
        return ("192.0.2.9", 9)

    def want(self, mask):
        if self.failing == "want":
            raise os_error(errno.EPERM)
        self.wanted = mask

    def close(self):
        self.calls.append("close")
        self.wanted = 0

    def leave(self):
        self.calls.append("leave")
        self.wanted = 0


class Port(UDPPort):
    """A port on sockets of the test."""

    failing = None

    def bind(self):
        self.bound = Scripted(self.failing)
        return self.bound


class Protocol(DatagramProtocol):
    """Keeps what came and what happened; `on_datagram` is called with each one."""

    def __init__(self):
        self.came = []
        self.events = []
        self.on_datagram = lambda datagram: None

    def startProtocol(self):
        self.events.append("start")

    def stopProtocol(self):
        self.events.append("stop")

    def datagramReceived(self, datagram, addr):
        assert addr == SENDER
        self.came.append(datagram)
        self.on_datagram(datagram)

    def connectionRefused(self):
        self.events.append("refused")


class Post:
    """A port that listens, its socket, its protocol and its loop."""

    def __init__(self, maxPacketSize=8192, peer=None):
        self.loop, self.protocol = MemoryLoop(), Protocol()
        self.port = Port(self.loop, 9, self.protocol, "192.0.2.9", maxPacketSize)
        self.port.startListening()
        self.socket = self.port.bound
        if peer is not None:
            self.port.connect(*peer)

    def arrive(self, *incoming, mask=READ):
        """Let these come, and report `mask` once; how many datagrams were delivered."""
        self.socket.incoming.extend(incoming)
        before = len(self.protocol.came)
        self.loop.tell(self.port, mask)
        return len(self.protocol.came) - before

    def write(self, *packets):
        for packet in packets:
            self.port.write(packet, None if self.port.peer else OTHER)

    @property
    def sent(self):
        return [datagram for datagram, _ in self.socket.sent]


@pytest.fixture(autouse=True)
def log_level(caplog):
    caplog.set_level(logging.WARNING, "ropewalk")


@pytest.fixture
def post():
    return Post()


@pytest.fixture
def connected():
    return Post(peer=PEER)


# -- receiving: how often it reads


def test_it_waits_to_read(post):
    assert post.socket.wanted == READ
    assert post.port in post.loop.transports
    assert post.protocol.events == ["start"]


def test_where_one_comes_at_a_time_a_read_that_fails_is_rare(post):
    for number in range(1000):
        assert post.arrive(b"%d" % number) == 1
    assert post.socket.reads - 1000 <= 1000 // 64 + 1
    assert post.protocol.came == [b"%d" % number for number in range(1000)]


def test_where_many_come_bursts_grow_up_to_a_limit(post):
    post.socket.incoming.extend(datagrams(1000))
    counts = [post.arrive() for _ in range(12)]
    assert counts == sorted(counts)
    assert counts[0] == 2
    assert counts[-1] == counts[-2] == 65
    post.socket.incoming.clear()
    assert post.socket.reads == sum(counts)


def test_a_port_that_was_quiet_finds_out_that_many_come(post):
    post.arrive()
    post.socket.incoming.extend(datagrams(1000))
    counts = [post.arrive() for _ in range(64 + 12)]
    assert counts[0] == 1
    assert counts[-1] == 65


def test_a_burst_shrinks_to_what_was_there(post):
    post.socket.incoming.extend(datagrams(1000))
    for _ in range(12):
        post.arrive()
    post.socket.incoming.clear()
    assert post.arrive(*datagrams(4)) == 4
    post.socket.incoming.extend(datagrams(1000))
    assert post.arrive() == 4
    assert post.arrive() == 7


def test_a_turn_ends_at_a_bound_of_bytes(post):
    post = Post(maxPacketSize=65535)
    post.socket.incoming.extend(datagrams(200, size=60_000))
    counts = [post.arrive() for _ in range(20)]
    assert max(counts) * 60_000 <= BYTES_A_TURN + 2 * 60_000
    assert counts[-1] * 60_000 > BYTES_A_TURN // 2
    assert post.protocol.came == datagrams(sum(counts), size=60_000)


def test_spurious_readiness_delivers_nothing(post, caplog):
    assert post.arrive() == 0
    assert post.arrive(b"real") == 1
    assert not caplog.records


def test_an_empty_datagram_is_a_datagram(post):
    assert post.arrive(b"", b"", b"x") == 2
    assert post.arrive() == 1
    assert post.protocol.came == [b"", b"", b"x"]


@pytest.mark.parametrize("already", [0, 1, 2, 20, 100])
def test_a_port_that_stops_gets_no_more_of_the_burst(post, already):
    post.protocol.on_datagram = lambda datagram: datagram == b"stop" and post.port.stopListening()
    post.socket.incoming.extend([*datagrams(already), b"stop", *datagrams(50)])
    while post.port.connected:
        post.arrive()
    post.loop.tell(post.port, READ)
    assert post.protocol.came == [*datagrams(already), b"stop"]
    assert len(post.socket.incoming) == 50


# -- receiving: what goes wrong


def test_a_program_that_raises_is_logged_and_gets_the_rest_of_the_burst(post, caplog):
    post.protocol.on_datagram = lambda datagram: 1 / 0
    assert post.arrive(b"1", b"2") == 2
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError] * 2


def test_a_datagram_that_is_longer_than_the_limit_is_dropped_with_a_warning(caplog):
    post = Post(maxPacketSize=4)
    post.arrive(b"1234", b"12345", b"1" * 1000, b"next")
    post.arrive()
    assert post.protocol.came == [b"1234", b"next"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "4 bytes" in caplog.text


def test_a_datagram_that_a_router_sent_back_because_it_was_too_long_is_lost_with_a_word(post, caplog):
    post.arrive(os_error(errno.EMSGSIZE), b"next")
    post.arrive()
    assert post.protocol.came == [b"next"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "longer than its way allows" in caplog.text


@pytest.mark.parametrize("number", PASSING)
def test_a_passing_error_of_receiving_changes_nothing(post, number, caplog):
    post.arrive(os_error(number), b"next")
    post.arrive()
    assert post.protocol.came == [b"next"]
    assert not caplog.records


@pytest.mark.parametrize("number", REFUSALS)
def test_a_refusal_is_told_to_the_protocol_of_a_connected_port_which_goes_on(connected, number, caplog):
    assert connected.arrive(os_error(number), mask=ERROR) == 0
    assert connected.protocol.events == ["start", "refused"]
    assert connected.arrive(b"next") == 1
    assert not caplog.records


@pytest.mark.parametrize("number", REFUSALS)
def test_a_refusal_means_nothing_to_a_port_that_has_no_peer(post, number, caplog):
    post.arrive(os_error(number))
    assert post.protocol.events == ["start"]
    assert post.arrive(b"next") == 1
    assert not caplog.records


def test_a_refusal_in_a_burst_loses_nothing(connected):
    connected.arrive(b"1", b"2", os_error(errno.ECONNREFUSED), b"3", b"4")
    while connected.arrive():
        pass
    assert connected.protocol.came == [b"1", b"2", b"3", b"4"]
    assert connected.protocol.events == ["start", "refused"]


def test_an_error_that_nothing_can_be_done_about_closes_the_port_with_a_word(post, caplog):
    post.arrive(b"before", os_error(errno.ENOTSOCK), b"after")
    post.arrive()
    assert post.protocol.came == [b"before"]
    assert post.socket.calls == ["close"]
    assert post.protocol.events == ["start", "stop"]
    assert post.port not in post.loop.transports
    assert [record.exc_info[1].errno for record in caplog.records] == [errno.ENOTSOCK]


def test_a_port_whose_descriptor_went_away_leaves_it_with_a_word(post, caplog):
    assert post.arrive(b"somebody else's", mask=INVALID) == 0
    assert post.socket.calls == ["leave"]
    assert post.protocol.events == ["start", "stop"]
    assert post.port not in post.loop.transports
    assert [record.exc_info[0] for record in caplog.records] == [ConnectionFdescWentAway]


@pytest.mark.parametrize("number", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_passes_and_nothing_is_lost(post, number):
    def leave(datagram):
        post.protocol.on_datagram = lambda datagram: None
        raise number

    post.protocol.on_datagram = leave
    with pytest.raises(number):
        post.arrive(b"1", b"2")
    post.arrive()
    assert post.protocol.came == [b"1", b"2"]


# -- sending: the queue


def test_what_the_socket_does_not_take_waits_for_it_in_order(post):
    post.write(b"at once")
    post.socket.outgoing.append(would_block())
    post.write(b"1", b"2", b"")
    post.port.write(b"3", SENDER)
    assert post.sent == [b"at once"]
    assert post.socket.wanted == READ | WRITE
    assert post.arrive(mask=WRITE) == 0
    assert post.socket.sent[1:] == [(b"1", OTHER), (b"2", OTHER), (b"", OTHER), (b"3", SENDER)]
    assert post.socket.wanted == READ
    post.write(b"at once again")
    assert post.sent[-1] == b"at once again"


def test_what_a_connected_socket_does_not_take_waits_for_it_in_order(connected):
    connected.socket.outgoing.append(would_block())
    connected.write(b"1", b"2")
    connected.loop.tell(connected.port, WRITE)
    assert connected.socket.sent == [(b"1", None), (b"2", None)]
    assert connected.socket.wanted == READ


def test_a_socket_that_takes_one_at_a_time_gets_all_of_them_in_order(post):
    post.socket.full = True
    post.write(*datagrams(5))
    post.socket.full = False
    for number in range(1, 5):
        post.socket.outgoing.extend([None, would_block()])
        post.loop.tell(post.port, WRITE)
        assert post.sent == datagrams(number)
        assert post.socket.wanted == READ | WRITE
    post.loop.tell(post.port, WRITE)
    assert post.sent == datagrams(5)
    assert post.socket.wanted == READ


def test_a_port_that_waits_to_send_goes_on_receiving(post):
    post.socket.full = True
    post.write(b"waits")
    assert post.arrive(b"1") == 1
    post.socket.full = False
    assert post.arrive(b"2", mask=READ | WRITE) == 1
    assert post.sent == [b"waits"]


def test_room_to_send_is_no_reason_to_read(post):
    post.socket.full = True
    post.write(b"waits")
    post.socket.full = False
    assert post.arrive(b"not announced", mask=WRITE) == 0
    assert post.sent == [b"waits"]


def test_what_waits_does_not_change_any_more(post):
    post.socket.full = True
    packet = bytearray(b"as it was")
    post.write(packet, memoryview(packet))
    packet[:] = b"different"
    post.socket.full = False
    post.loop.tell(post.port, WRITE)
    assert post.sent == [b"as it was"] * 2


@pytest.mark.parametrize("size", [0, 1, 1000, 60_000])
def test_the_queue_has_a_bound_and_what_exceeds_it_is_lost(post, size, caplog):
    caplog.set_level(logging.DEBUG, "ropewalk")
    post.socket.full = True
    for number in range(5000):
        post.write(bytes([number % 256]) * size)
    post.socket.full = False
    post.loop.tell(post.port, WRITE)
    kept = len(post.sent)
    assert 0 < kept < 5000
    assert post.sent == datagrams(kept, size)
    assert kept * size <= MOST_WAITING
    assert (kept + 1) * (size + 100) > MOST_WAITING
    assert [record.levelno for record in caplog.records] == [logging.DEBUG] * (5000 - kept)
    post.write(b"after it")
    post.socket.full = True
    post.write(b"waits")
    assert post.socket.wanted == READ | WRITE, "the room in the queue must be free again"


def test_a_waiting_datagram_that_cannot_be_sent_is_logged_and_the_rest_is_sent(post, caplog):
    post.socket.full = True
    post.write(*datagrams(4))
    post.socket.full = False
    post.socket.outgoing.extend([None, os_error(errno.EHOSTUNREACH), os_error(errno.EMSGSIZE)])
    post.loop.tell(post.port, WRITE)
    assert post.sent == [b"\0", b"\3"]
    assert [record.exc_info[0] for record in caplog.records] == [OSError, MessageLengthError]
    assert post.socket.wanted == READ


def test_what_waited_when_the_port_stopped_is_not_sent_by_its_successor(post):
    post.socket.full = True
    post.write(b"old", b"older")
    post.port.stopListening()
    post.loop.turn()
    post.port.startListening()
    post.socket = post.port.bound
    post.write(b"new")
    assert post.sent == [b"new"]
    assert post.socket.wanted == READ


# -- sending: what goes wrong


@pytest.mark.parametrize("number", PASSING)
def test_a_datagram_that_the_system_has_no_room_for_is_lost(post, number, caplog):
    post.socket.outgoing.append(os_error(number))
    post.write(b"lost", b"sent")
    assert post.sent == [b"sent"]
    assert post.socket.wanted == READ
    assert not caplog.records


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EINVAL])
def test_what_the_system_refuses_is_raised(post, number):
    post.socket.outgoing.append(os_error(number))
    with pytest.raises(OSError, match=os.strerror(number)):
        post.write(b"x")
    post.write(b"next")
    assert post.sent == [b"next"]


def test_a_refusal_that_a_port_without_a_peer_hears_of_is_about_somebody_else(post):
    post.socket.outgoing.append(os_error(errno.ECONNREFUSED))
    post.write(b"x", b"next")
    assert post.sent[-1] == b"next"
    post.loop.turn()
    assert post.protocol.events == ["start"]


@pytest.mark.parametrize("number", REFUSALS)
def test_a_refusal_that_a_connected_port_hears_of_is_told_later_and_the_datagram_is_sent(connected, number):
    connected.socket.outgoing.append(os_error(number))
    connected.write(b"this one")
    assert connected.sent == [b"this one"]
    assert connected.protocol.events == ["start"]
    connected.loop.turn()
    assert connected.protocol.events == ["start", "refused"]


def test_a_datagram_that_is_refused_twice_is_lost(connected):
    connected.socket.outgoing.extend([os_error(errno.ENETUNREACH)] * 2)
    connected.write(b"lost", b"sent")
    assert connected.sent == [b"sent"]
    connected.loop.turn()
    assert connected.protocol.events == ["start", "refused"]


def test_a_port_that_has_stopped_is_not_told_of_a_refusal(connected):
    connected.socket.outgoing.append(os_error(errno.ECONNREFUSED))
    connected.write(b"x")
    connected.port.stopListening()
    connected.loop.turn()
    assert connected.protocol.events == ["start", "stop"]


def test_a_datagram_that_is_too_long_is_an_error_that_tells_its_length(post):
    post.socket.outgoing.append(os_error(errno.EMSGSIZE))
    with pytest.raises(MessageLengthError, match="70000 bytes"):
        post.write(bytes(70_000))
    assert post.sent == []


def test_a_connected_port_tells_a_datagram_that_is_too_long_from_an_earlier_one_that_was(connected):
    connected.socket.outgoing.append(os_error(errno.EMSGSIZE))
    connected.write(b"short")
    assert connected.sent == [b"short"]
    connected.socket.outgoing.extend([os_error(errno.EMSGSIZE)] * 2)
    with pytest.raises(MessageLengthError):
        connected.write(bytes(70_000))
    assert connected.sent == [b"short"]


def test_the_hosts_that_were_looked_at_are_not_remembered_for_ever(post):
    for number in range(5000):
        post.port.write(b"x", (f"10.0.{number >> 8}.{number & 255}", 9))
    assert len(post.socket.sent) == 5000
    assert len(post.port._literals) <= 1000


# -- its life


def test_a_port_that_cannot_be_watched_says_why_and_is_closed():
    loop, protocol = MemoryLoop(), Protocol()
    port = Port(loop, 9, protocol, "192.0.2.9", 8192)
    port.failing = "want"
    with pytest.raises(CannotListenError, match=r"192\.0\.2\.9:9"):
        port.startListening()
    assert port.bound.calls == ["close"]
    assert (protocol.events, protocol.transport) == ([], None)
    assert not loop.transports


def test_a_port_that_cannot_connect_has_no_peer():
    post = Post()
    post.socket.failing = "connect"
    with pytest.raises(OSError, match="unreachable"):
        post.port.connect(*PEER)
    post.write(b"to somebody")
    assert post.socket.sent == [(b"to somebody", OTHER)]


def test_shutdown_of_the_reactor_stops_it_at_once_and_once(post):
    for _ in range(2):
        post.port.drop(ConnectionLost("stopped"))
    assert post.socket.calls == ["close"]
    assert post.protocol.events == ["start", "stop"]


def test_its_repr_says_where_it_listens_and_for_whom(post):
    assert repr(post.port) == "<Port of Protocol, on 192.0.2.9:9>"
    post.port.stopListening()
    assert repr(post.port) == "<Port of Protocol, not listening>"


# -- debug mode


@pytest.mark.parametrize("name", ["write", "stopListening", "connect", "setBroadcastAllowed"])
def test_debug_mode_refuses_the_use_of_a_port_from_another_thread(monkeypatch, name):
    monkeypatch.setenv("ROPEWALK_DEBUG", "1")
    reactor, protocol = SelectReactor(), Protocol()
    port = reactor.listenUDP(0, protocol, "127.0.0.1")
    host = port.getHost()
    arguments = {
        "write": (b"x", (host.host, host.port)), "connect": (host.host, host.port), "setBroadcastAllowed": (True,)
    }  # fmt: skip
    raised = []

    def elsewhere():
        try:
            getattr(port, name)(*arguments.get(name, ()))
        except RuntimeError as error:
            raised.append(str(error))
        reactor.callFromThread(reactor.stop)

    thread = threading.Thread(target=elsewhere)
    reactor.callWhenRunning(thread.start)
    reactor.run()
    thread.join(LIMIT)
    assert len(raised) == 1
    assert f"UDPPort.{name}" in raised[0]
    assert "callFromThread" in raised[0]
    assert protocol.came == []
    assert protocol.events == ["start", "stop"]
