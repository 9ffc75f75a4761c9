"""The stream state machine, over a scripted channel: every state, every call, and every channel's answer."""

import array
import errno
import functools
import gc
import logging
import os
import weakref

import pytest

from ropewalk.interfaces import ERROR, HANGUP, INVALID, READ, WRITE
from ropewalk.internet.protocol import Protocol
from ropewalk.testing.memory import MemoryLoop, ScriptedChannel
from ropewalk.transports.pieces import SEND_SIZE
from ropewalk.transports.stream import BUFFER_SIZE, RECV_SIZE, State, Stream

MUCH = b"." * (BUFFER_SIZE + 1)


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


RESET = functools.partial(os_error, errno.ECONNRESET)


class Plain(Protocol):
    """Keeps what it is told; `on` maps the name of an event to what to do then, with the protocol."""

    def __init__(self, **on):
        self.log = []
        self.on = on

    def told(self, event, *details):
        self.log.append(" ".join([event, *details]))
        if event in self.on:
            self.on[event](self)

    def connectionMade(self):
        self.told("made")

    def dataReceived(self, data):
        self.told("data", data.decode())

    def connectionLost(self, reason):
        self.reason = reason.value
        self.told("lost", reason.type.__name__)


class Half(Plain):
    """Knows half-closed connections."""

    def readConnectionLost(self):
        self.told("read_lost")

    def writeConnectionLost(self):
        self.told("write_lost")


class Producer:
    """Keeps what it is told in the log of `protocol`."""

    def __init__(self, protocol):
        self.protocol = protocol

    def pauseProducing(self):
        self.protocol.told("pause")

    def resumeProducing(self):
        self.protocol.told("resume")

    def stopProducing(self):
        self.protocol.told("stop")


class Wire:
    """A started stream with its loop, channel and protocol."""

    def __init__(self, protocol=None, *, start=True):
        self.loop, self.channel = MemoryLoop(), ScriptedChannel()
        self.protocol = Half() if protocol is None else protocol
        self.log = self.protocol.log
        self.ended = []
        self.stream = Stream(self.loop, self.channel, self.ended.append)
        self.channel.attach(self.loop, self.stream)
        if start:
            self.start()

    def start(self):
        self.stream.start(self.protocol)
        self.loop.flush()

    def receive(self, *results):
        self.channel.incoming.extend(results)
        self.loop.finish()

    def drain(self):
        self.channel.full = False
        self.loop.finish()

    @property
    def state(self):
        return self.stream._state


# -- every state and every call


def opened(wire):
    pass


def ending(wire):
    wire.channel.full = True
    wire.stream.write(b"queued")
    wire.stream.loseWriteConnection()
    wire.loop.flush()


def ended(wire):
    wire.stream.loseWriteConnection()
    wire.loop.flush()


def peer_ended(wire):
    wire.receive(b"")
    wire.channel.incoming.clear()


def closing(wire):
    wire.channel.full = True
    wire.stream.write(b"queued")
    wire.stream.loseConnection()
    wire.loop.flush()


def broken(wire):
    wire.stream.abortConnection()


def closed(wire):
    wire.stream.abortConnection()
    wire.loop.flush()


BRING_TO = {
    State.OPEN: opened,
    State.ENDING: ending,
    State.ENDED: ended,
    State.PEER_ENDED: peer_ended,
    State.CLOSING: closing,
    State.BROKEN: broken,
    State.CLOSED: closed,
}


def incoming(result):
    def arrives(wire):
        wire.channel.incoming.append(result)
        wire.loop.turn()

    return arrives


def send_fails(wire):
    wire.channel.full = False
    wire.channel.outgoing.append(RESET())
    wire.stream.write(b"x")
    wire.loop.turn()


CALLS = {
    "write": lambda wire: wire.stream.write(b"x"),
    "writeSequence": lambda wire: wire.stream.writeSequence([b"x", b"y"]),
    "loseConnection": lambda wire: wire.stream.loseConnection(),
    "loseWriteConnection": lambda wire: wire.stream.loseWriteConnection(),
    "abortConnection": lambda wire: wire.stream.abortConnection(),
    "pauseProducing": lambda wire: wire.stream.pauseProducing(),
    "resumeProducing": lambda wire: wire.stream.resumeProducing(),
    "stopProducing": lambda wire: wire.stream.stopProducing(),
    "push_producer": lambda wire: wire.stream.registerProducer(Producer(wire.protocol), True),
    "pull_producer": lambda wire: wire.stream.registerProducer(Producer(wire.protocol), False),
    "unregisterProducer": lambda wire: wire.stream.unregisterProducer(),
    "drop": lambda wire: wire.stream.drop(wire.loop.kit.error.ConnectionLost("shutdown")),
    "data": incoming(b"in"),
    "end_of_input": incoming(b""),
    "recv_fails": incoming(RESET()),
    "send_fails": send_fails,
    "sendable": lambda wire: wire.drain(),
    "INVALID": lambda wire: wire.loop.tell(wire.stream, INVALID),
    "HANGUP": lambda wire: wire.loop.tell(wire.stream, HANGUP),
}

# What a call in a state leads to, when it has returned: the state, what is wanted of the channel (Read, Write or
# nothing), and what the program is told. A half-closeable protocol; in ENDING and CLOSING the channel is full.
TABLE = """
    OPEN         write                 OPEN        R
    OPEN         writeSequence         OPEN        R
    OPEN         loseConnection        CLOSED      -   lost ConnectionDone
    OPEN         loseWriteConnection   ENDED       R   write_lost
    OPEN         abortConnection       CLOSED      -   lost ConnectionAborted
    OPEN         pauseProducing        OPEN        -
    OPEN         resumeProducing       OPEN        R
    OPEN         stopProducing         CLOSED      -   lost ConnectionDone
    OPEN         push_producer         OPEN        R
    OPEN         pull_producer         OPEN        RW
    OPEN         unregisterProducer    OPEN        R
    OPEN         drop                  CLOSED      -   lost ConnectionLost
    OPEN         data                  OPEN        R   data in
    OPEN         end_of_input          PEER_ENDED  -   read_lost
    OPEN         recv_fails            CLOSED      -   lost ConnectionLost
    OPEN         send_fails            CLOSED      -   lost ConnectionLost
    OPEN         sendable              OPEN        R
    OPEN         INVALID               CLOSED      -   lost ConnectionFdescWentAway
    OPEN         HANGUP                OPEN        R

    ENDING       write                 ENDING      RW
    ENDING       writeSequence         ENDING      RW
    ENDING       loseConnection        CLOSING     W
    ENDING       loseWriteConnection   ENDING      RW
    ENDING       abortConnection       CLOSED      -   lost ConnectionAborted
    ENDING       pauseProducing        ENDING      W
    ENDING       resumeProducing       ENDING      RW
    ENDING       stopProducing         CLOSING     W
    ENDING       push_producer         ENDING      RW
    ENDING       pull_producer         ENDING      RW
    ENDING       unregisterProducer    ENDING      RW
    ENDING       drop                  CLOSED      -   lost ConnectionLost
    ENDING       data                  ENDING      RW  data in
    ENDING       end_of_input          CLOSING     W   read_lost
    ENDING       recv_fails            CLOSED      -   lost ConnectionLost
    ENDING       send_fails            CLOSED      -   lost ConnectionLost
    ENDING       sendable              ENDED       R   write_lost
    ENDING       INVALID               CLOSED      -   lost ConnectionFdescWentAway
    ENDING       HANGUP                ENDING      RW

    ENDED        write                 ENDED       R
    ENDED        writeSequence         ENDED       R
    ENDED        loseConnection        CLOSED      -   lost ConnectionDone
    ENDED        loseWriteConnection   ENDED       R
    ENDED        abortConnection       CLOSED      -   lost ConnectionAborted
    ENDED        pauseProducing        ENDED       -
    ENDED        resumeProducing       ENDED       R
    ENDED        stopProducing         CLOSED      -   lost ConnectionDone
    ENDED        push_producer         ENDED       R
    ENDED        pull_producer         ENDED       R
    ENDED        unregisterProducer    ENDED       R
    ENDED        drop                  CLOSED      -   lost ConnectionLost
    ENDED        data                  ENDED       R   data in
    ENDED        end_of_input          CLOSED      -   read_lost, lost ConnectionDone
    ENDED        recv_fails            CLOSED      -   lost ConnectionLost
    ENDED        send_fails            ENDED       R
    ENDED        sendable              ENDED       R
    ENDED        INVALID               CLOSED      -   lost ConnectionFdescWentAway
    ENDED        HANGUP                ENDED       R

    PEER_ENDED   write                 PEER_ENDED  -
    PEER_ENDED   writeSequence         PEER_ENDED  -
    PEER_ENDED   loseConnection        CLOSED      -   lost ConnectionDone
    PEER_ENDED   loseWriteConnection   CLOSED      -   lost ConnectionDone
    PEER_ENDED   abortConnection       CLOSED      -   lost ConnectionAborted
    PEER_ENDED   pauseProducing        PEER_ENDED  -
    PEER_ENDED   resumeProducing       PEER_ENDED  -
    PEER_ENDED   stopProducing         CLOSED      -   lost ConnectionDone
    PEER_ENDED   push_producer         PEER_ENDED  -
    PEER_ENDED   pull_producer         PEER_ENDED  W
    PEER_ENDED   unregisterProducer    PEER_ENDED  -
    PEER_ENDED   drop                  CLOSED      -   lost ConnectionLost
    PEER_ENDED   data                  PEER_ENDED  -
    PEER_ENDED   end_of_input          PEER_ENDED  -
    PEER_ENDED   recv_fails            PEER_ENDED  -
    PEER_ENDED   send_fails            CLOSED      -   lost ConnectionLost
    PEER_ENDED   sendable              PEER_ENDED  -
    PEER_ENDED   INVALID               CLOSED      -   lost ConnectionFdescWentAway
    PEER_ENDED   HANGUP                PEER_ENDED  -

    CLOSING      write                 CLOSING     W
    CLOSING      writeSequence         CLOSING     W
    CLOSING      loseConnection        CLOSING     W
    CLOSING      loseWriteConnection   CLOSING     W
    CLOSING      abortConnection       CLOSED      -   lost ConnectionAborted
    CLOSING      pauseProducing        CLOSING     W
    CLOSING      resumeProducing       CLOSING     W
    CLOSING      stopProducing         CLOSING     W
    CLOSING      push_producer         CLOSING     W
    CLOSING      pull_producer         CLOSING     W
    CLOSING      unregisterProducer    CLOSING     W
    CLOSING      drop                  CLOSED      -   lost ConnectionLost
    CLOSING      data                  CLOSING     W
    CLOSING      end_of_input          CLOSING     W
    CLOSING      recv_fails            CLOSING     W
    CLOSING      send_fails            CLOSED      -   lost ConnectionLost
    CLOSING      sendable              CLOSED      -   lost ConnectionDone
    CLOSING      INVALID               CLOSED      -   lost ConnectionFdescWentAway
    CLOSING      HANGUP                CLOSING     W

    BROKEN       write                 CLOSED      -   lost ConnectionAborted
    BROKEN       writeSequence         CLOSED      -   lost ConnectionAborted
    BROKEN       loseConnection        CLOSED      -   lost ConnectionAborted
    BROKEN       loseWriteConnection   CLOSED      -   lost ConnectionAborted
    BROKEN       abortConnection       CLOSED      -   lost ConnectionAborted
    BROKEN       pauseProducing        CLOSED      -   lost ConnectionAborted
    BROKEN       resumeProducing       CLOSED      -   lost ConnectionAborted
    BROKEN       stopProducing         CLOSED      -   lost ConnectionAborted
    BROKEN       push_producer         CLOSED      -   stop, lost ConnectionAborted
    BROKEN       pull_producer         CLOSED      -   stop, lost ConnectionAborted
    BROKEN       unregisterProducer    CLOSED      -   lost ConnectionAborted
    BROKEN       drop                  CLOSED      -   lost ConnectionAborted
    BROKEN       data                  CLOSED      -   lost ConnectionAborted
    BROKEN       end_of_input          CLOSED      -   lost ConnectionAborted
    BROKEN       recv_fails            CLOSED      -   lost ConnectionAborted
    BROKEN       send_fails            CLOSED      -   lost ConnectionAborted
    BROKEN       sendable              CLOSED      -   lost ConnectionAborted
    BROKEN       INVALID               CLOSED      -   lost ConnectionAborted
    BROKEN       HANGUP                CLOSED      -   lost ConnectionAborted

    CLOSED       write                 CLOSED      -
    CLOSED       writeSequence         CLOSED      -
    CLOSED       loseConnection        CLOSED      -
    CLOSED       loseWriteConnection   CLOSED      -
    CLOSED       abortConnection       CLOSED      -
    CLOSED       pauseProducing        CLOSED      -
    CLOSED       resumeProducing       CLOSED      -
    CLOSED       stopProducing         CLOSED      -
    CLOSED       push_producer         CLOSED      -   stop
    CLOSED       pull_producer         CLOSED      -   stop
    CLOSED       unregisterProducer    CLOSED      -
    CLOSED       drop                  CLOSED      -
    CLOSED       data                  CLOSED      -
    CLOSED       end_of_input          CLOSED      -
    CLOSED       recv_fails            CLOSED      -
    CLOSED       send_fails            CLOSED      -
    CLOSED       sendable              CLOSED      -
    CLOSED       INVALID               CLOSED      -
    CLOSED       HANGUP                CLOSED      -
"""
ROWS = [line.split(maxsplit=4) for line in TABLE.splitlines() if line.strip()]
MASKS = {"-": 0, "R": READ, "W": WRITE, "RW": READ | WRITE}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_a_call_in_a_state_leads_to_the_state_and_the_calls_of_the_table(row):
    state, call, after, mask, told = row if len(row) == 5 else [*row, ""]
    wire = Wire()
    BRING_TO[State[state]](wire)
    assert wire.state is State[state]
    wire.log.clear()
    CALLS[call](wire)
    wire.loop.flush()
    assert (wire.state, wire.channel.wanted) == (State[after], MASKS[mask])
    assert wire.log == (told.split(", ") if told else [])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_a_stream_that_is_over_is_closed_once_and_forgotten(row):
    wire = Wire()
    BRING_TO[State[row[0]]](wire)
    CALLS[row[1]](wire)
    wire.loop.flush()
    wire.stream.drop(wire.loop.kit.error.ConnectionLost("shutdown"))
    wire.loop.flush()
    assert wire.state is State.CLOSED
    assert wire.channel.calls.count("close") == 1
    assert sum(entry.startswith("lost") for entry in wire.log) == 1
    assert len(wire.ended) == 1
    assert not wire.loop.transports
    assert not wire.loop.channels
    assert not wire.loop.late


@pytest.mark.parametrize("state", BRING_TO)
def test_connected_and_disconnecting_say_where_it_stands(state):
    wire = Wire()
    BRING_TO[state](wire)
    assert wire.stream.connected is (state not in (State.BROKEN, State.CLOSED))
    assert wire.stream.disconnecting is (state in (State.CLOSING, State.BROKEN))
    assert state.name.lower() in repr(wire.stream)


@pytest.mark.parametrize("state", BRING_TO)
@pytest.mark.parametrize("data", ["text", None, 7])
def test_writing_what_is_no_bytes_raises_type_error_in_every_state(state, data):
    wire = Wire()
    BRING_TO[state](wire)
    with pytest.raises(TypeError):
        wire.stream.write(data)


@pytest.mark.parametrize("state", [State.OPEN, State.PEER_ENDED])
def test_what_is_written_while_our_side_is_open_is_sent(state):
    wire = Wire()
    BRING_TO[state](wire)
    wire.stream.write(b"x")
    wire.stream.writeSequence([b"y", b"z"])
    wire.loop.finish()
    assert wire.channel.sent == b"xyz"


@pytest.mark.parametrize("state", [State.ENDING, State.ENDED, State.CLOSING])
def test_what_is_written_after_the_end_was_announced_is_dropped_with_a_warning(state, caplog):
    wire = Wire()
    BRING_TO[state](wire)
    wire.stream.write(b"late")
    wire.drain()
    assert b"late" not in wire.channel.sent
    assert [(record.levelno, record.getMessage()[:15]) for record in caplog.records] == [
        (logging.WARNING, "4 bytes dropped")
    ]


@pytest.mark.parametrize("state", [State.BROKEN, State.CLOSED])
def test_what_is_written_to_a_lost_connection_is_dropped_without_a_warning(state, caplog):
    wire = Wire()
    BRING_TO[state](wire)
    wire.stream.write(b"late")
    wire.drain()
    assert not wire.channel.sent
    assert not caplog.records


# -- starting


def test_the_protocol_is_connected_before_anything_is_read():
    wire = Wire(start=False)
    wire.channel.incoming.append(b"in")
    wire.start()
    assert wire.log == ["made"]
    assert wire.protocol.transport is wire.stream
    assert wire.stream in wire.loop.transports
    wire.loop.finish()
    assert wire.log == ["made", "data in"]


@pytest.mark.parametrize(
    ("call", "log"),
    [
        (lambda stream: stream.loseConnection(), ["made", "lost ConnectionDone"]),
        (lambda stream: stream.abortConnection(), ["made", "lost ConnectionAborted"]),
        (lambda stream: stream.loseWriteConnection(), ["made", "write_lost"]),
        (lambda stream: 1 / 0, ["made", "lost ZeroDivisionError"]),
    ],
    ids=["loseConnection", "abortConnection", "loseWriteConnection", "raise"],
)
def test_connection_made_may_end_it(call, log, caplog):
    wire = Wire(Half(made=lambda protocol: (protocol.transport.write(b"hello"), call(protocol.transport))))
    assert wire.log == log
    assert wire.channel.sent == b"hello"
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError] * ("ZeroDivisionError" in log[-1])


def test_connection_made_may_pause_reading():
    wire = Wire(Half(made=lambda protocol: protocol.transport.pauseProducing()))
    wire.receive(b"in")
    assert wire.log == ["made"]
    wire.stream.resumeProducing()
    wire.loop.finish()
    assert wire.log == ["made", "data in"]


def test_a_descriptor_that_the_system_refuses_ends_the_stream():
    wire = Wire(start=False)
    wire.channel.failing["want"] = os_error(errno.EPERM)
    wire.start()
    assert wire.log == ["made", "lost ConnectionLost"]
    assert wire.channel.calls == ["close"]


# -- receiving


def test_one_event_is_one_recv():
    wire = Wire()
    wire.channel.incoming.extend([b"a", b"b"])
    wire.loop.turn()
    assert wire.channel.receives == 1
    assert wire.log[1:] == ["data a"]


def test_what_is_longer_than_one_recv_comes_in_order():
    wire = Wire()
    wire.channel.incoming.append(b"a" * RECV_SIZE + b"b")
    wire.loop.finish()
    assert wire.log[1:] == ["data " + "a" * RECV_SIZE, "data b"]


@pytest.mark.parametrize("spurious", [errno.EAGAIN, errno.EINTR])
def test_spurious_readiness_does_nothing(spurious):
    wire = Wire()
    wire.channel.incoming.append(os_error(spurious))
    wire.loop.finish()
    wire.loop.tell(wire.stream, READ)
    wire.loop.tell(wire.stream, WRITE)
    assert (wire.log, wire.state) == (["made"], State.OPEN)
    assert wire.channel.sends == 0


@pytest.mark.parametrize("mask", [HANGUP, ERROR, READ | HANGUP, READ | WRITE, ERROR | HANGUP | READ])
def test_anything_but_write_means_try_to_read(mask):
    wire = Wire()
    wire.channel.incoming.append(b"in")
    wire.loop.tell(wire.stream, mask)
    assert wire.log == ["made", "data in"]


def test_nothing_is_read_while_paused_whatever_the_poller_says():
    wire = Wire()
    wire.stream.pauseProducing()
    wire.channel.incoming.append(b"in")
    wire.loop.tell(wire.stream, HANGUP)
    wire.loop.tell(wire.stream, READ | WRITE)
    assert wire.channel.receives == 0


@pytest.mark.parametrize("state", [State.PEER_ENDED, State.CLOSING])
@pytest.mark.parametrize("mask", [HANGUP, ERROR, ERROR | HANGUP])
def test_nothing_is_read_after_the_end_whatever_the_poller_says(state, mask):
    wire = Wire()
    BRING_TO[state](wire)
    receives = wire.channel.receives
    wire.channel.incoming.append(b"in")
    wire.loop.tell(wire.stream, mask)
    assert wire.channel.receives == receives


@pytest.mark.parametrize("step", range(4))
def test_a_reset_at_any_recv_ends_it_with_connection_lost(step):
    wire = Wire()
    wire.receive(*[b"x"] * step, RESET(), b"never")
    assert wire.log == ["made", *["data x"] * step, "lost ConnectionLost"]
    assert isinstance(wire.protocol.reason.__cause__, ConnectionResetError)


@pytest.mark.parametrize("step", range(4))
def test_the_end_of_input_at_any_recv_ends_a_plain_protocol(step):
    wire = Wire(Plain())
    wire.receive(*[b"x"] * step, b"")
    assert wire.log == ["made", *["data x"] * step, "lost ConnectionDone"]
    assert wire.channel.calls == ["close"]


def test_data_and_a_hangup_in_one_event_lose_nothing():
    wire = Wire(Plain())
    wire.channel.incoming.extend([b"last", b""])
    wire.loop.tell(wire.stream, READ | HANGUP)
    wire.loop.tell(wire.stream, READ | HANGUP)
    assert wire.log == ["made", "data last", "lost ConnectionDone"]


# -- sending


def test_the_first_write_of_a_callback_goes_out_at_once_and_the_others_together():
    sent = []

    def answer(protocol):
        protocol.transport.write(b"a")
        sent.append(bytes(wire.channel.sent))
        protocol.transport.write(b"b")
        protocol.transport.write(b"c")
        sent.append(bytes(wire.channel.sent))

    wire = Wire(Half(data=answer))
    wire.receive(b"in")
    assert sent == [b"a", b"a"]
    assert wire.channel.sent == b"abc"
    assert wire.channel.sends == 2
    wire.receive(b"in")
    assert wire.channel.sent == b"abcabc"
    assert wire.channel.sends == 4


def test_writes_from_outside_are_gathered_until_the_callback_has_returned():
    wire = Wire()
    for letter in b"abcd":
        wire.stream.write(bytes([letter]))
    assert wire.channel.sent == b"a"
    assert wire.loop.late
    wire.loop.flush()
    assert wire.channel.sent == b"abcd"
    assert wire.channel.sends == 2
    wire.stream.write(b"e")
    assert wire.channel.sent == b"abcde"


@pytest.mark.parametrize("script", [[1], [3], [0], [1, 1, 1, 1], [0, 0, 2], [2, 0, 0, 1], [5, 1]])
def test_short_and_refused_sends_lose_and_repeat_nothing(script):
    wire = Wire()
    wire.channel.outgoing.extend(script)
    wire.stream.write(b"hello")
    wire.stream.write(b" ")
    wire.stream.writeSequence([b"wor", b"ld"])
    wire.loop.finish()
    assert wire.channel.sent == b"hello world"
    assert wire.channel.wanted == READ


def test_write_is_wanted_from_a_short_send_until_everything_is_sent():
    wire = Wire()
    wire.channel.outgoing.append(1)
    wire.stream.write(b"abc")
    assert wire.channel.wanted == READ | WRITE
    wire.channel.outgoing.append(1)
    wire.loop.turn()
    assert (wire.channel.wanted, wire.channel.sent) == (READ | WRITE, b"ab")
    wire.loop.turn()
    assert (wire.channel.wanted, wire.channel.sent) == (READ, b"abc")


def test_nothing_is_tried_while_the_channel_is_full():
    wire = Wire()
    wire.channel.full = True
    wire.stream.write(b"a")
    tried = wire.channel.sends
    wire.stream.write(b"b")
    wire.stream.write(b"c")
    wire.loop.finish()
    assert wire.channel.sends == tried
    wire.drain()
    assert wire.channel.sent == b"abc"


@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize("number", [errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT])
def test_an_error_at_any_send_ends_it_with_connection_lost(step, number):
    wire = Wire()
    wire.channel.outgoing.extend([2] * step + [os_error(number)])
    wire.stream.write(b"0123456789")
    assert not any(entry.startswith("lost") for entry in wire.log)
    wire.loop.finish()
    assert wire.log == ["made", "lost ConnectionLost"]
    assert wire.protocol.reason.__cause__.errno == number
    assert wire.channel.sent == b"0123456789"[: 2 * step]


def test_an_error_of_a_write_in_a_callback_is_told_when_that_has_returned():
    wire = Wire(Half(data=lambda protocol: (protocol.transport.write(b"a"), protocol.told("returns"))))
    wire.channel.outgoing.append(RESET())
    wire.receive(b"in")
    assert wire.log == ["made", "data in", "returns", "lost ConnectionLost"]


def test_much_that_is_queued_is_sent_in_pieces_of_a_bounded_size():
    wire = Wire()
    wire.channel.full = True
    pieces = [bytes([number]) * (SEND_SIZE // 10) for number in range(100)]
    wire.stream.writeSequence(pieces[:1])
    for piece in pieces[1:]:
        wire.stream.write(piece)
    sends = wire.channel.sends
    wire.drain()
    assert wire.channel.sent == b"".join(pieces)
    assert wire.channel.sends - sends == 10


def test_what_a_short_send_leaves_comes_before_the_rest_of_a_long_queue():
    wire = Wire()
    wire.channel.full = True
    pieces = [bytes([number]) * SEND_SIZE for number in range(5)]
    for piece in pieces:
        wire.stream.write(piece)
    wire.channel.outgoing.extend([1, SEND_SIZE - 1, 10, 10])
    wire.drain()
    assert wire.channel.sent == b"".join(pieces)


@pytest.mark.parametrize("limit", [None, 0, 1, 3, 4, 5])
@pytest.mark.parametrize(
    "data",
    [bytearray(b"abcdefghijkl"), memoryview(b"abcdefghijkl"), array.array("i", [1, 2, 3])],
    ids=["bytearray", "memoryview", "array"],
)
def test_every_byte_of_a_bytes_like_object_is_sent(data, limit):
    wire = Wire()
    if limit is not None:
        wire.channel.outgoing.append(limit)
    wire.stream.write(data)
    wire.stream.write(data)
    wire.loop.finish()
    assert wire.channel.sent == bytes(data) * 2


@pytest.mark.parametrize("limit", [None, 0, 1])
def test_a_buffer_that_is_changed_after_write_is_sent_as_it_was(limit):
    wire = Wire()
    buffer = bytearray(b"abc")
    if limit is not None:
        wire.channel.outgoing.append(limit)
    wire.stream.write(buffer)
    wire.stream.write(buffer)
    buffer[:] = b"xyz!"
    wire.loop.finish()
    assert wire.channel.sent == b"abcabc"


def test_an_empty_write_sends_nothing_and_blocks_nothing():
    wire = Wire()
    wire.stream.write(b"")
    wire.stream.writeSequence([])
    wire.loop.finish()
    wire.channel.full = True
    wire.stream.write(b"")
    wire.loop.finish()
    assert (wire.channel.sent, wire.channel.wanted) == (b"", READ)


# -- back-pressure


def producing(streaming, protocol=None):
    wire = Wire(protocol)
    wire.producer = Producer(wire.protocol)
    wire.stream.registerProducer(wire.producer, streaming)
    wire.loop.flush()
    wire.log.clear()
    return wire


def test_a_push_producer_is_paused_when_much_is_queued_and_resumed_when_all_is_sent():
    wire = producing(True)
    wire.channel.full = True
    wire.stream.write(MUCH[1:])
    assert wire.log == []
    wire.stream.write(b"x")
    assert wire.log == ["pause"]
    wire.stream.write(MUCH)
    assert wire.log == ["pause"]
    wire.loop.finish()
    wire.channel.outgoing.extend([10])
    wire.channel.full = False
    wire.loop.turn()
    assert wire.log == ["pause"]
    wire.loop.finish()
    assert wire.log == ["pause", "resume"]
    assert len(wire.channel.sent) == 2 * len(MUCH)
    assert wire.channel.wanted == READ


def test_a_push_producer_whose_data_is_taken_at_once_is_never_paused():
    wire = producing(True)
    for _ in range(20):
        wire.stream.write(MUCH)
    wire.loop.finish()
    assert wire.log == []


def test_a_push_producer_that_is_registered_late_is_paused_by_its_first_write():
    wire = Wire()
    wire.channel.full = True
    wire.stream.write(MUCH)
    wire.stream.registerProducer(Producer(wire.protocol), True)
    assert wire.log == ["made"]
    wire.stream.write(b"x")
    assert wire.log == ["made", "pause"]


def test_a_pull_producer_is_asked_once_for_each_time_the_queue_is_empty():
    wire = producing(False, Half(resume=lambda protocol: protocol.transport.write(b"abc")))
    wire.channel.outgoing.extend([1, 3, 3])
    wire.loop.turn()
    assert (wire.log, wire.channel.sent) == (["resume"], b"a")
    wire.loop.turn()
    assert (wire.log, wire.channel.sent) == (["resume"] * 2, b"abcabc")
    wire.stream.unregisterProducer()
    wire.loop.finish()
    assert wire.channel.wanted == READ
    assert wire.log == ["resume"] * 2


def test_a_pull_producer_may_write_nothing():
    wire = producing(False)
    for _ in range(3):
        wire.loop.turn()
    assert wire.log == ["resume"] * 3
    assert wire.channel.wanted == READ | WRITE


@pytest.mark.parametrize("streaming", [True, False])
def test_a_second_producer_is_refused_and_both_are_named(streaming):
    wire = producing(streaming)
    with pytest.raises(RuntimeError, match=r"Producer object.*cannot be registered.*Producer object.*still is"):
        wire.stream.registerProducer(Producer(wire.protocol), True)
    wire.stream.unregisterProducer()
    wire.stream.registerProducer(Producer(wire.protocol), True)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(
    "lose", [lambda wire: wire.stream.abortConnection(), lambda wire: wire.channel.incoming.append(RESET())]
)
def test_a_producer_is_stopped_before_the_protocol_is_told_of_the_loss(streaming, lose):
    wire = producing(streaming)
    wire.channel.full = True
    lose(wire)
    wire.loop.finish()
    assert wire.log[0] == "stop"
    assert wire.log[1].startswith("lost")
    assert len(wire.log) == 2


def test_a_paused_producer_is_not_resumed_by_a_send_that_fails():
    wire = producing(True)
    wire.channel.full = True
    wire.stream.write(MUCH)
    wire.channel.full = False
    wire.channel.outgoing.append(RESET())
    wire.loop.finish()
    assert wire.log == ["pause", "stop", "lost ConnectionLost"]


def test_a_paused_producer_that_unregisters_is_not_resumed():
    wire = producing(True)
    wire.channel.full = True
    wire.stream.write(MUCH)
    wire.stream.unregisterProducer()
    wire.drain()
    assert wire.log == ["pause"]
    assert wire.channel.sent == MUCH


def test_a_connection_that_is_to_be_closed_stays_while_a_pull_producer_has_more():
    pieces = iter([b"one", b"two"])

    def produce(protocol):
        piece = next(pieces, None)
        if piece is None:
            protocol.transport.unregisterProducer()
        else:
            protocol.transport.write(piece)

    wire = producing(False, Half(resume=produce))
    wire.stream.write(b"zero")
    wire.stream.loseConnection()
    wire.loop.finish()
    assert wire.channel.sent == b"zeroonetwo"
    assert wire.log == ["resume"] * 3 + ["lost ConnectionDone"]


def test_a_connection_that_is_to_be_half_closed_stays_while_a_pull_producer_has_more():
    pieces = iter([b"one", b"two"])

    def produce(protocol):
        piece = next(pieces, None)
        if piece is None:
            protocol.transport.unregisterProducer()
        else:
            protocol.transport.write(piece)

    wire = producing(False, Half(resume=produce))
    wire.stream.loseWriteConnection()
    wire.loop.finish()
    assert wire.channel.sent == b"onetwo"
    assert wire.log == ["resume"] * 3 + ["write_lost"]
    assert wire.channel.calls == ["shutdown"]


def test_a_paused_push_producer_may_finish_before_the_connection_closes():
    wire = producing(True, Half(resume=lambda protocol: protocol.transport.write(b"the end")))
    wire.channel.full = True
    wire.stream.write(MUCH)
    wire.stream.loseConnection()
    wire.drain()
    assert wire.channel.sent == MUCH + b"the end"
    assert wire.log == ["pause", "resume", "stop", "lost ConnectionDone"]


def test_a_push_producer_that_writes_after_our_side_was_shut_does_not_break_the_connection():
    wire = producing(True)
    wire.stream.loseWriteConnection()
    wire.loop.finish()
    wire.stream.write(b"late")
    wire.receive(b"in")
    assert wire.log == ["write_lost", "data in"]
    assert wire.channel.sent == b""


def test_a_pull_producer_is_not_asked_for_what_could_not_be_sent():
    wire = Wire()
    ended(wire)
    wire.stream.registerProducer(Producer(wire.protocol), False)
    wire.loop.finish()
    assert "resume" not in wire.log
    assert wire.channel.wanted == READ


@pytest.mark.parametrize("end", ["loseConnection", "end_of_input"])
@pytest.mark.parametrize("streaming", [True, False])
def test_a_producer_keeps_a_connection_whose_side_was_shut_from_nothing(end, streaming):
    wire = Wire(Half(**dict.fromkeys(["read_lost", "resume"], lambda protocol: wire.stream.write(b"late"))))
    ended(wire)
    wire.stream.registerProducer(Producer(wire.protocol), streaming)
    wire.loop.flush()
    CALLS[end](wire)
    wire.stream.write(b"late")
    wire.loop.finish()
    assert wire.log[-2:] == ["stop", "lost ConnectionDone"]
    assert "resume" not in wire.log
    assert wire.channel.sent == b""


def test_pausing_and_resuming_reading_leaves_writing_alone():
    wire = Wire()
    wire.channel.full = True
    wire.stream.write(b"a")
    wire.stream.pauseProducing()
    assert wire.channel.wanted == WRITE
    wire.drain()
    assert (wire.channel.wanted, wire.channel.sent) == (0, b"a")
    wire.stream.resumeProducing()
    assert wire.channel.wanted == READ


def test_a_connection_that_broke_while_only_a_producer_waits_is_noticed():
    """Some systems report nothing but an error then, and would do so for ever."""
    wire = producing(False, Half(resume=lambda protocol: protocol.transport.write(b"x")))
    wire.stream.pauseProducing()
    wire.channel.outgoing.append(RESET())
    wire.loop.tell(wire.stream, ERROR | HANGUP)
    assert wire.log == ["resume", "stop", "lost ConnectionLost"]


@pytest.mark.parametrize("mask", [ERROR, HANGUP, ERROR | HANGUP])
def test_a_connection_that_broke_while_reading_is_paused_and_the_channel_full_is_noticed(mask):
    wire = Wire()
    wire.stream.pauseProducing()
    wire.channel.full = True
    wire.stream.write(b"x")
    wire.channel.full = False
    wire.channel.outgoing.append(RESET())
    wire.loop.tell(wire.stream, mask)
    assert wire.log == ["made", "lost ConnectionLost"]


# -- closing


def test_everything_that_was_written_is_sent_before_it_closes():
    wire = Wire()
    wire.channel.outgoing.extend([1, 0, 2, 0])
    wire.stream.write(b"hel")
    wire.stream.write(b"lo")
    wire.stream.loseConnection()
    wire.loop.finish()
    assert wire.channel.sent == b"hello"
    assert wire.log == ["made", "lost ConnectionDone"]
    assert wire.channel.calls == ["close"]


def test_abort_drops_what_is_unsent_and_resets():
    wire = Wire()
    wire.channel.full = True
    wire.stream.write(b"hello")
    wire.stream.abortConnection()
    wire.channel.full = False
    wire.loop.finish()
    assert wire.channel.sent == b""
    assert wire.channel.calls == ["reset_on_close", "close"]
    assert wire.log == ["made", "lost ConnectionAborted"]


def test_abort_drops_what_was_not_tried_yet():
    wire = Wire()
    for letter in (b"a", b"b", b"c"):
        wire.stream.write(letter)
    wire.stream.abortConnection()
    wire.loop.finish()
    assert wire.channel.sent == b"a"


def test_abort_ends_it_also_where_the_system_cannot_reset():
    wire = Wire()
    wire.channel.failing["reset_on_close"] = os_error(errno.EINVAL)
    wire.stream.abortConnection()
    wire.loop.finish()
    assert wire.log == ["made", "lost ConnectionAborted"]
    assert wire.channel.calls == ["close"]


@pytest.mark.parametrize("state", [State.ENDING, State.CLOSING])
def test_abort_overtakes_an_orderly_end(state):
    wire = Wire()
    BRING_TO[state](wire)
    wire.stream.abortConnection()
    wire.drain()
    assert wire.log == ["made", "lost ConnectionAborted"]
    assert wire.channel.sent == b""


def test_the_first_reason_is_the_one_that_is_told():
    wire = Wire()
    wire.channel.outgoing.append(RESET())
    wire.stream.write(b"x")
    wire.stream.abortConnection()
    wire.stream.loseConnection()
    wire.loop.finish()
    assert wire.log == ["made", "lost ConnectionLost"]


def test_a_descriptor_that_went_away_is_left_and_not_used_again():
    wire = Wire()
    wire.channel.full = True
    wire.stream.write(b"x")
    sends = wire.channel.sends
    wire.loop.tell(wire.stream, INVALID)
    assert wire.channel.calls == ["leave", "close"]
    assert wire.channel.sends == sends


def test_the_owner_hears_the_reason_after_the_protocol():
    wire = Wire(Half(lost=lambda protocol: protocol.log.append(len(wire.ended))))
    wire.stream.loseConnection()
    wire.loop.finish()
    assert wire.log[1:] == ["lost ConnectionDone", 0]
    assert [reason.value for reason in wire.ended] == [wire.protocol.reason]


def test_a_closed_stream_does_not_keep_its_protocol():
    wire = Wire()
    wire.stream.loseConnection()
    wire.loop.finish()
    forgotten = weakref.ref(wire.protocol)
    wire.protocol.transport = None
    wire.protocol = wire.log = None
    wire.ended.clear()
    gc.collect()
    assert forgotten() is None


def test_shutdown_of_the_reactor_ends_it_at_once_with_its_reason():
    wire = Wire()
    wire.channel.full = True
    wire.stream.write(b"x")
    wire.stream.loseConnection()
    reason = wire.loop.kit.error.ConnectionLost("stopped")
    wire.stream.drop(reason)
    assert wire.protocol.reason is reason


# -- half-closing


def test_our_side_is_shut_when_everything_is_sent_and_the_peer_is_still_heard():
    wire = Wire()
    wire.channel.full = True
    wire.stream.write(b"request")
    wire.stream.loseWriteConnection()
    wire.loop.finish()
    assert wire.channel.calls == []
    wire.drain()
    assert wire.channel.calls == ["shutdown"]
    assert wire.channel.sent == b"request"
    wire.receive(b"answer", b"")
    assert wire.log == ["made", "write_lost", "data answer", "read_lost", "lost ConnectionDone"]


def test_a_plain_protocol_may_shut_its_side_and_is_still_heard():
    wire = Wire(Plain())
    wire.stream.loseWriteConnection()
    wire.receive(b"answer", b"")
    assert wire.log == ["made", "data answer", "lost ConnectionDone"]
    assert wire.channel.calls == ["shutdown", "close"]


def test_a_half_closeable_protocol_may_answer_after_the_peer_has_ended():
    wire = Wire(Half(read_lost=lambda protocol: protocol.transport.write(b"answer")))
    wire.channel.outgoing.append(3)
    wire.receive(b"")
    assert wire.channel.sent == b"answer"
    assert wire.log == ["made", "read_lost"]
    wire.stream.loseConnection()
    wire.loop.finish()
    assert wire.log == ["made", "read_lost", "lost ConnectionDone"]


def test_a_queue_is_sent_when_the_peer_ends_while_we_are_ending():
    wire = Wire()
    ending(wire)
    wire.receive(b"")
    wire.drain()
    assert wire.channel.sent == b"queued"
    assert wire.log == ["made", "read_lost", "lost ConnectionDone"]


def test_a_shutdown_that_fails_ends_it_with_connection_lost():
    wire = Wire()
    wire.channel.failing["shutdown"] = os_error(errno.ENOTCONN)
    wire.stream.loseWriteConnection()
    wire.loop.finish()
    assert wire.log == ["made", "lost ConnectionLost"]


@pytest.mark.parametrize("event", ["read_lost", "write_lost"])
@pytest.mark.parametrize("call", ["loseConnection", "abortConnection"])
def test_it_may_be_closed_when_one_side_is_lost(event, call):
    wire = Wire(Half(**{event: lambda protocol: getattr(protocol.transport, call)()}))
    if event == "write_lost":
        wire.stream.loseWriteConnection()
    else:
        wire.channel.incoming.append(b"")
    wire.loop.finish()
    name = "ConnectionDone" if call == "loseConnection" else "ConnectionAborted"
    assert wire.log == ["made", event, f"lost {name}"]


# -- the program, from within its own calls


EVENTS = ["made", "data", "read_lost", "write_lost", "lost", "pause", "resume", "stop"]


def lead_to(event, wire):
    """Make `event` happen."""
    if event == "made":
        wire.start()
        return
    wire.start()
    if event in ("pause", "resume", "stop"):
        wire.stream.registerProducer(Producer(wire.protocol), True)
    if event in ("pause", "resume"):
        wire.channel.full = True
        wire.stream.write(MUCH)
    {
        "data": lambda: wire.channel.incoming.append(b"in"),
        "read_lost": lambda: wire.channel.incoming.append(b""),
        "write_lost": lambda: wire.stream.loseWriteConnection(),
        "lost": lambda: wire.stream.loseConnection(),
        "pause": lambda: None,
        "resume": lambda: setattr(wire.channel, "full", False),
        "stop": lambda: wire.stream.loseConnection(),
    }[event]()
    wire.loop.finish()


def once(call):
    """`call`, the first time; then nothing."""
    calls = [call]
    return lambda protocol: calls.pop()(protocol) if calls else None


def fail(protocol):
    raise ArithmeticError("a mistake of the program")


@pytest.mark.parametrize("event", EVENTS)
def test_an_exception_of_the_program_is_logged_and_ends_this_connection(event, caplog):
    wire = Wire(Half(**{event: once(fail)}), start=False)
    lead_to(event, wire)
    wire.drain()
    assert [record.exc_info[0] for record in caplog.records] == [ArithmeticError]
    assert wire.log.count("lost ArithmeticError") == (event not in ("lost", "stop"))
    assert sum(entry.startswith("lost") for entry in wire.log) == 1
    assert wire.log[-1].startswith("lost")
    assert wire.channel.calls[-1] == "close"
    assert not wire.loop.transports


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_exit_of_the_program_passes_and_what_was_written_is_not_stuck(event, error):
    def leave(protocol):
        wire.stream.write(b"[a]")
        wire.stream.write(b"[b]")
        raise error

    wire = Wire(Half(**{event: once(leave)}), start=False)
    with pytest.raises(error):
        lead_to(event, wire)
    wire.drain()
    if wire.stream.connected and event != "write_lost":
        wire.stream.write(b"[c]")
        wire.loop.finish()
        assert wire.channel.sent.replace(b".", b"") == b"[a][b][c]"


@pytest.mark.parametrize("event", EVENTS)
def test_what_is_written_from_within_any_call_is_sent_once_or_dropped(event):
    def write(protocol):
        wire.stream.write(b"[a]")
        wire.stream.write(b"[b]")

    wire = Wire(Half(**{event: once(write)}), start=False)
    lead_to(event, wire)
    wire.drain()
    if wire.stream.connected:
        wire.stream.write(b"[c]")
        wire.loop.finish()
    writable = event not in ("write_lost", "lost", "stop")
    assert wire.channel.sent.replace(b".", b"") == (b"[a][b][c]" if writable else b"")


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("call", ["loseConnection", "abortConnection", "stopProducing"])
def test_it_may_be_closed_from_within_any_call_and_is_told_when_that_has_returned(event, call):
    def close(protocol):
        getattr(wire.stream, call)()
        getattr(wire.stream, call)()
        protocol.log.append("returns")

    wire = Wire(Half(**{event: once(close)}), start=False)
    lead_to(event, wire)
    wire.drain()
    lost = [index for index, entry in enumerate(wire.log) if entry.startswith("lost")]
    assert len(lost) == 1
    returned = wire.log.index("returns")
    assert returned == lost[0] + 1 if event == "lost" else returned < lost[0]
    assert wire.channel.calls.count("close") == 1
    assert not wire.loop.transports


@pytest.mark.parametrize("event", EVENTS)
def test_a_producer_may_be_changed_from_within_any_call(event):
    def change(protocol):
        wire.stream.unregisterProducer()
        wire.stream.registerProducer(Producer(protocol), True)
        wire.stream.unregisterProducer()

    wire = Wire(Half(**{event: once(change)}), start=False)
    lead_to(event, wire)
    wire.drain()
    assert wire.log.count("resume") <= wire.log.count("pause")
    if wire.stream.connected:
        assert not wire.channel.wanted & WRITE


@pytest.mark.parametrize("event", EVENTS)
def test_reading_may_be_paused_from_within_any_call(event):
    wire = Wire(Half(**{event: once(lambda protocol: wire.stream.pauseProducing())}), start=False)
    lead_to(event, wire)
    wire.drain()
    wire.log.clear()
    wire.receive(b"in")
    assert wire.log == []
    wire.stream.resumeProducing()
    wire.loop.finish()
    assert wire.log == ["data in"] * (wire.stream.connected and event != "read_lost")


def test_a_producer_that_writes_much_when_it_is_resumed_is_paused_again():
    wire = producing(True, Half(resume=lambda protocol: wire.stream.write(MUCH)))
    wire.channel.full = True
    wire.stream.write(MUCH)
    for turn in range(1, 4):
        wire.channel.outgoing.extend([len(MUCH), 0])
        wire.channel.full = False
        wire.loop.turn()
        wire.channel.full = True
        assert wire.log == ["pause"] + ["resume", "pause"] * turn
    wire.stream.unregisterProducer()
    wire.drain()
    assert wire.channel.sent == MUCH * 4


def test_a_producer_that_writes_when_it_is_paused_is_not_paused_twice():
    wire = producing(True, Half(pause=lambda protocol: wire.stream.write(MUCH)))
    wire.channel.full = True
    wire.stream.write(MUCH)
    wire.stream.write(MUCH)
    assert wire.log == ["pause"]
    wire.drain()
    assert wire.log == ["pause", "resume"]
    assert len(wire.channel.sent) == 3 * len(MUCH)


def test_another_stream_may_be_closed_from_a_callback():
    one, two = Wire(), Wire(Half(data=lambda protocol: one.stream.loseConnection()))
    one.loop, one.stream.reactor = two.loop, two.loop
    two.loop.transports.add(one.stream)
    two.receive(b"in")
    assert one.log == ["made", "lost ConnectionDone"]
    assert two.log == ["made", "data in"]
