"""The listener, over a scripted channel: bursts of connections, and running out of descriptors.

That the system itself runs out, and what the peers then see, is for the contract.
"""

import errno
import os
import socket
from collections import deque

import pytest

from ropewalk.errors import AlreadyListened, CannotListenError, ConnectionFdescWentAway, ConnectionLost
from ropewalk.interfaces import INVALID, READ
from ropewalk.internet.protocol import Protocol, ServerFactory
from ropewalk.testing.memory import MemoryLoop
from ropewalk.testing.rig import open_descriptors
from ropewalk.transports.listener import Listener
from ropewalk.transports.stream import Stream

LONG = 60.0   # seconds; longer than a listener rests


def os_error(number):
    return OSError(number, os.strerror(number))


class Waiting:
    """A listening channel: `script` has the connections that wait (peers, as text) and the errors of accept()."""

    def __init__(self, failing=None):
        self.script = deque()
        self.failing = failing
        self.calls = []
        self.wanted = 0
        self.accepts = 0

    def _accept(self):
        self.accepts += 1
        if not self.script:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        result = self.script.popleft()
        if isinstance(result, OSError):
            raise result
        return socket.socket().detach(), result

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


class Port(Listener):
    """A listener on channels of the test."""

    family = socket.AF_INET

    def __init__(self, loop, factory):
        super().__init__(loop, factory, 7)
        self.failing = None

    def bind(self):
        if self.failing == "bind":
            raise os_error(errno.EADDRINUSE)
        self.bound = Waiting(self.failing)
        return self.bound

    def cannot_listen(self, error):
        return CannotListenError("memory", 1, error)

    def peer_address(self, peer):
        return peer

    def getHost(self):
        return "memory"

    def make_stream(self, channel, peer):
        stream = Stream(self.reactor, channel)
        channel.attach(self.reactor, stream)
        return stream


class Factory(ServerFactory):
    """Keeps who came; `on_build` makes the protocol."""

    def __init__(self):
        self.came = []
        self.starts = self.stops = 0
        self.on_build = lambda peer: Protocol()

    def startFactory(self):
        self.starts += 1

    def stopFactory(self):
        self.stops += 1

    def buildProtocol(self, addr):
        self.came.append(addr)
        return self.on_build(addr)


class Hall:
    """A port that listens, and its loop."""

    def __init__(self):
        self.loop, self.factory = MemoryLoop(), Factory()
        self.port = Port(self.loop, self.factory)
        self.port.startListening()
        self.channel = self.port.bound

    def arrive(self, *results):
        """Let `results` wait, and report that once; how many accept() calls that took."""
        self.channel.script.extend(results)
        before = self.channel.accepts
        self.loop.tell(self.port, READ)
        return self.channel.accepts - before

    @property
    def streams(self):
        return [transport for transport in self.loop.transports if isinstance(transport, Stream)]

    def clear(self):
        for transport in list(self.loop.transports):
            transport.drop(ConnectionLost("the test is over"))
        self.loop.flush()


@pytest.fixture
def hall():
    before = open_descriptors()
    hall = Hall()
    yield hall
    hall.clear()
    assert open_descriptors() <= before


def peers(count):
    return [f"peer {number}" for number in range(count)]


# -- listening


def test_it_waits_to_read(hall):
    assert hall.channel.wanted == READ
    assert hall.port.connected
    assert hall.port in hall.loop.transports
    assert hall.factory.starts == 1


def test_it_refuses_to_listen_twice(hall):
    with pytest.raises(AlreadyListened):
        hall.port.startListening()


@pytest.mark.parametrize("failing", ["bind", "want"])
def test_a_port_that_cannot_listen_says_why_and_holds_nothing(failing):
    before = open_descriptors()
    loop, factory = MemoryLoop(), Factory()
    port = Port(loop, factory)
    port.failing = failing
    with pytest.raises(CannotListenError, match="memory:1: ") as caught:
        port.startListening()
    assert isinstance(caught.value.socketError, OSError)
    assert failing == "bind" or port.bound.calls[-1] == "close"
    assert not port.connected
    assert not loop.transports
    assert factory.starts == 0
    assert open_descriptors() <= before


def test_stopping_closes_it_at_once_and_tells_the_rest_later(hall):
    hall.arrive("kept")
    fired = []
    hall.port.stopListening().addCallback(fired.append)
    assert hall.channel.calls[-1] == "close"
    assert not hall.port.connected
    assert (fired, hall.factory.stops) == ([], 0)
    hall.loop.turn()
    assert (fired, hall.factory.stops) == ([None], 1)
    assert len(hall.streams) == 1


def test_stopping_what_is_stopped_already_fires_and_stops_the_factory_once(hall):
    fired = []
    for _ in range(2):
        hall.port.stopListening().addCallback(fired.append)
    hall.loop.turn()
    hall.port.stopListening().addCallback(fired.append)
    hall.loop.turn()
    assert fired == [None] * 3
    assert hall.factory.stops == 1


@pytest.mark.parametrize("turns", [0, 1])
def test_it_can_be_started_and_stopped_again(hall, turns):
    fired = []
    for round in range(1, 4):
        hall.port.stopListening().addCallback(fired.append)
        hall.port.stopListening()
        assert not hall.port.connected
        assert hall.port.bound.calls[-1] == "close"
        for _ in range(turns):
            hall.loop.turn()
        hall.port.startListening()
        assert hall.port.connected
        assert len(fired) == round * turns
    hall.loop.turn()
    assert fired == [None] * 3
    assert hall.factory.starts - hall.factory.stops == 1


def test_a_factory_that_cannot_stop_is_logged_and_the_deferred_fires(hall, caplog):
    hall.factory.stopFactory = lambda: 1 / 0
    fired = []
    hall.port.stopListening().addCallback(fired.append)
    hall.loop.turn()
    assert fired == [None]
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]


def test_shutdown_of_the_reactor_stops_it_at_once(hall):
    hall.port.drop(ConnectionLost("stopped"))
    assert hall.factory.stops == 1
    hall.port.drop(ConnectionLost("stopped"))
    assert hall.factory.stops == 1


# -- bursts


def test_each_connection_gets_a_protocol_and_is_read(hall):
    hall.arrive("a")
    hall.arrive("b")
    assert hall.factory.came == ["a", "b"]
    assert len(hall.streams) == 2
    assert list(hall.loop.poller.masks.values()) == [READ, READ]


def test_a_quiet_port_does_not_try_what_would_fail(hall):
    assert [hall.arrive("one") for _ in range(2)] == [1, 2]
    assert [hall.arrive("one") for _ in range(4)] == [1, 2, 1, 2]


def test_bursts_grow_while_they_are_all_used_up_to_a_limit(hall):
    hall.factory.on_build = lambda peer: None
    hall.channel.script.extend(peers(500))
    assert [hall.arrive() for _ in range(9)] == [1, 2, 4, 8, 16, 32, 64, 100, 100]


def test_a_burst_shrinks_to_what_was_there(hall):
    hall.factory.on_build = lambda peer: None
    hall.channel.script.extend(peers(15))
    for _ in range(4):
        hall.arrive()
    assert hall.arrive(*peers(3)) == 4
    assert hall.arrive(*peers(10)) == 3


def test_spurious_readiness_accepts_nothing(hall):
    assert hall.arrive() == 1
    assert hall.factory.came == []
    assert hall.arrive("a") == 1


def test_a_program_that_stops_the_port_gets_no_more_connections_of_the_burst(hall):
    hall.arrive(*peers(1))
    hall.arrive(*peers(2))

    def stop(peer):
        hall.port.stopListening()
        return Protocol()

    hall.factory.on_build = stop
    hall.factory.came.clear()
    assert hall.arrive(*peers(4)) == 1
    assert hall.factory.came == ["peer 0"]
    hall.loop.tell(hall.port, READ)
    assert hall.factory.came == ["peer 0"]


def test_a_program_that_starts_the_port_anew_gets_nothing_of_the_old_one(hall):
    hall.arrive("a")

    def restart(peer):
        hall.port.stopListening()
        hall.port.startListening()
        return Protocol()

    hall.factory.on_build = restart
    assert hall.arrive("b", "c") == 1
    assert hall.port.connected
    assert hall.port.bound is not hall.channel


def test_a_connection_without_a_protocol_is_closed(hall):
    before = open_descriptors()
    hall.factory.on_build = lambda peer: None
    hall.arrive("a")
    assert not hall.streams
    assert open_descriptors() == before


def test_a_connection_whose_protocol_cannot_be_built_is_closed_and_the_next_ones_are_served(hall, caplog):
    hall.arrive("a")
    before = open_descriptors()
    protocols = deque([None, Protocol()])

    def build(peer):
        return protocols.popleft() or 1 / 0

    hall.factory.on_build = build
    hall.arrive("b", "c")
    assert hall.factory.came == ["a", "b", "c"]
    assert len(hall.streams) == 2
    assert len(open_descriptors() - before) <= 1
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]


# -- errors of accept()


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ECONNRESET])
def test_a_connection_that_failed_before_it_was_accepted_changes_nothing(hall, number, caplog):
    hall.arrive(os_error(number))
    assert hall.channel.wanted == READ
    hall.arrive("a")
    assert hall.factory.came == ["a"]
    assert not caplog.records


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_out_of_descriptors_the_waiting_connections_are_closed_and_it_goes_on(hall, number, caplog):
    before = open_descriptors()
    hall.arrive(os_error(number), "a", "b")
    assert hall.factory.came == []
    assert not hall.channel.script
    assert len(open_descriptors()) == len(before)
    assert hall.channel.wanted == READ
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert os.strerror(number) in caplog.text
    hall.arrive("c")
    assert hall.factory.came == ["c"]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_where_closing_does_not_help_it_rests_and_goes_on_by_itself(hall, number):
    hall.arrive(os_error(number), os_error(number), "a")
    assert hall.channel.wanted == 0
    assert hall.port.connected
    hall.loop.advance(LONG)
    assert hall.channel.wanted == READ
    hall.arrive()
    assert hall.factory.came == ["a"]
    assert not hall.loop.clock.getDelayedCalls()


def test_a_flood_of_waiting_connections_does_not_hold_the_loop(hall):
    hall.arrive(os_error(errno.EMFILE), *peers(1000))
    assert 0 < len(hall.channel.script) < 1000
    assert hall.channel.wanted == READ


def test_a_port_that_is_stopped_while_it_rests_stays_stopped(hall):
    hall.arrive(os_error(errno.ENOBUFS), os_error(errno.ENOBUFS))
    hall.port.stopListening()
    hall.loop.advance(LONG)
    assert hall.channel.wanted == 0
    assert hall.channel.calls.count("close") == 1


def test_a_port_that_cannot_accept_any_more_is_closed_with_a_word(hall, caplog):
    hall.arrive("a")
    hall.arrive(os_error(errno.EINVAL), "b")
    assert hall.factory.came == ["a"]
    assert not hall.port.connected
    assert hall.channel.calls.count("close") == 1
    assert hall.factory.stops == 1
    assert [record.exc_info[1].errno for record in caplog.records] == [errno.EINVAL]
    assert len(hall.streams) == 1


def test_a_port_whose_descriptor_went_away_leaves_it_with_a_word(hall, caplog):
    hall.loop.tell(hall.port, INVALID)
    assert hall.channel.calls[-1] == "leave"
    assert "close" not in hall.channel.calls
    assert not hall.port.connected
    assert hall.factory.stops == 1
    assert hall.port not in hall.loop.transports
    assert [record.exc_info[0] for record in caplog.records] == [ConnectionFdescWentAway]
