"""The stream under any sequence of what programs do and what channels do: what always holds."""

import contextlib
import errno
import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ropewalk.interfaces import ERROR, HANGUP, INVALID, READ, WRITE
from ropewalk.internet import error
from ropewalk.internet.protocol import Protocol
from ropewalk.testing.memory import MemoryLoop, ScriptedChannel
from ropewalk.transports.stream import BUFFER_SIZE, Stream

SIZES = st.sampled_from([0, 1, 2, 100, 4000, BUFFER_SIZE, BUFFER_SIZE + 1, 3 * BUFFER_SIZE])
ACTIONS = st.one_of(
    st.tuples(st.just("write"), SIZES),
    st.sampled_from(
        ["lose", "lose_write", "abort", "pause", "resume", "push", "pull", "unregister", "stop", "raise"]
    ).map(lambda name: (name,)),
)
PROTOCOL_EVENTS = ["made", "data", "read_lost", "write_lost", "lost"]
PRODUCER_EVENTS = ["pause", "resume", "stop"]
RECV_ERRORS = st.sampled_from([errno.ECONNRESET, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR])
SEND_ERRORS = st.sampled_from([errno.ECONNRESET, errno.EPIPE])


class Mistake(Exception):
    """What the program raises."""


class Told(Protocol):
    """A protocol that hands everything to the machine."""

    def __init__(self, machine):
        self.machine = machine
        self.got = bytearray()

    def connectionMade(self):
        self.machine.told("made")

    def dataReceived(self, data):
        assert data
        assert self.machine.may_read, "data came while reading was paused, or after an end"
        self.got += data
        self.machine.told("data")

    def connectionLost(self, reason):
        assert self.machine.reason is None, "the loss was told twice"
        self.machine.reason = reason.value
        self.machine.told("lost")


class ToldHalf(Told):
    """The same, with half-closed connections."""

    def readConnectionLost(self):
        assert not self.machine.peer_ended, "the end of input was told twice"
        self.machine.peer_ended = True
        if self.machine.asked_to_end:
            self.machine.asked_to_close = True
        self.machine.told("read_lost")

    def writeConnectionLost(self):
        assert self.machine.channel.calls == ["shutdown"]
        self.machine.told("write_lost")


class ToldProducer:
    """A producer that hands everything to the machine."""

    def __init__(self, machine, streaming):
        self.machine = machine
        self.streaming = streaming
        self.paused = False
        self.stopped = False

    def pauseProducing(self):
        assert self.streaming, "a pull producer was paused"
        assert not self.paused, "paused twice"
        self.paused = True
        self.machine.produce("pause", self)

    def resumeProducing(self):
        assert self.paused or not self.streaming, "resumed without having been paused"
        assert self.machine.stream.connected, "resumed when the connection is lost"
        self.paused = False
        self.machine.produce("resume", self)

    def stopProducing(self):
        assert not self.stopped, "stopped twice"
        self.stopped = True
        self.machine.produce("stop", self)


class StreamMachine(RuleBasedStateMachine):
    """A stream, the program that uses it, and what must be true of the two after every step."""

    @initialize(half=st.booleans(), calm=st.booleans(), actions=st.lists(ACTIONS, max_size=4))
    def start(self, half, calm, actions):
        self.half = half
        self.calm = calm              # nothing goes wrong: else most streams would not live long
        self.plans = {"made": [actions]}
        self.depth = 0                # how many calls of the program are on the stack
        self.accepted = bytearray()   # what was written while it was to be sent
        self.arrived = bytearray()    # what was to be received
        self.producer = None
        self.reading = True           # the program has not paused it
        self.asked_to_end = self.asked_to_close = self.peer_ended = False
        self.faults = []
        self.reason = None
        self.mistaken = False
        self.owner_told = 0
        self.loop, self.channel = MemoryLoop(), ScriptedChannel()
        self.stream = Stream(self.loop, self.channel, self.tell_owner)
        self.channel.attach(self.loop, self.stream)
        self.protocol = ToldHalf(self) if half else Told(self)
        self.stream.start(self.protocol)
        self.loop.flush()

    # -- the program

    @property
    def may_read(self):
        return self.reading and not (self.asked_to_close or self.peer_ended or self.reason)

    @property
    def shut(self):
        return "shutdown" in self.channel.calls

    def told(self, event):
        assert self.depth == 0, f"{event} was told within a call of the program"
        assert event == "lost" or self.reason is None, f"{event} was told after the loss"
        self.carry_out(self.next_plan(event), within=event)

    def produce(self, event, producer):
        assert event == "stop" or producer is self.producer, f"{event} was told to a producer that has gone"
        assert event == "pause" or self.depth == 0 or not self.stream.connected, f"{event} within a call of the program"
        assert self.reason is None or event == "stop", f"{event} was told after the loss"
        self.carry_out(self.next_plan(event), within=event)

    def next_plan(self, event):
        plans = self.plans.get(event)
        return plans.pop(0) if plans else []

    def tell_owner(self, reason):
        assert reason.value is self.reason, "the owner was told before the protocol, or something else"
        self.owner_told += 1

    def carry_out(self, actions, within=None):
        self.depth += 1
        try:
            for name, *arguments in actions:
                if self.calm and name in ("abort", "raise"):
                    continue
                if name != "raise":
                    getattr(self, f"do_{name}")(*arguments)
                elif within is not None:
                    self.mistaken = self.mistaken or self.stream.connected
                    raise Mistake
        finally:
            self.depth -= 1

    def do_write(self, size):
        start = len(self.accepted)
        data = bytes((start + index) % 251 for index in range(min(size, 251)))
        data = (data * (size // 251 + 1))[:size]
        waits = self.producer is not None and not self.shut
        if self.stream.connected and (waits or not self.asked_to_end):
            self.accepted += data
        self.stream.write(data)

    def do_lose(self):
        if self.stream.connected:
            self.asked_to_end = self.asked_to_close = True
        self.stream.loseConnection()

    do_stop = do_lose

    def do_lose_write(self):
        if self.stream.connected:
            self.asked_to_end = True
            self.asked_to_close = self.asked_to_close or self.peer_ended
        self.stream.loseWriteConnection()

    def do_abort(self):
        self.stream.abortConnection()
        assert not self.stream.connected

    def do_pause(self):
        self.reading = False
        self.stream.pauseProducing()

    def do_resume(self):
        self.reading = True
        self.stream.resumeProducing()

    def do_push(self):
        self.register(True)

    def do_pull(self):
        self.register(False)

    def register(self, streaming):
        if self.producer is not None and self.reason is None:
            return
        producer = ToldProducer(self, streaming)
        if self.stream.connected:
            self.producer = producer
        with contextlib.suppress(Mistake) if not self.stream.connected else contextlib.nullcontext():
            self.stream.registerProducer(producer, streaming)
        assert producer.stopped or self.stream.connected

    def do_unregister(self):
        self.producer = None
        self.stream.unregisterProducer()

    # -- what happens

    def fault(self, number):
        self.faults.append(OSError(number, os.strerror(number)))
        return self.faults[-1]

    @rule(event=st.sampled_from(PROTOCOL_EVENTS + PRODUCER_EVENTS), actions=st.lists(ACTIONS, min_size=1, max_size=4))
    def plan_what_to_do_at_an_event(self, event, actions):
        self.plans.setdefault(event, []).append(actions)

    @rule(actions=st.lists(ACTIONS, min_size=1, max_size=4))
    def act_from_outside(self, actions):
        self.carry_out(actions)
        self.loop.flush()

    @rule(data=st.binary(min_size=1, max_size=5))
    def something_arrives(self, data):
        if b"" not in self.channel.incoming:
            self.channel.incoming.append(data)
            self.arrived += data
        self.loop.turn()

    @rule()
    def the_peer_ends(self):
        self.channel.incoming.append(b"")

    @precondition(lambda self: not self.calm)
    @rule(number=RECV_ERRORS)
    def a_recv_fails(self, number):
        if b"" not in self.channel.incoming:
            self.channel.incoming.append(self.fault(number))

    @rule(sizes=st.lists(st.integers(0, 3 * BUFFER_SIZE), min_size=1, max_size=5))
    def sends_are_short(self, sizes):
        self.channel.outgoing.extend(sizes)

    @precondition(lambda self: not self.calm)
    @rule(number=SEND_ERRORS)
    def a_send_fails(self, number):
        self.channel.outgoing.append(self.fault(number))

    @precondition(lambda self: not self.calm)
    @rule()
    def a_shutdown_fails(self):
        self.channel.failing["shutdown"] = self.fault(errno.ENOTCONN)

    @rule(full=st.booleans())
    def the_channel_is_full_or_not(self, full):
        self.channel.full = full

    @rule(turns=st.integers(1, 5))
    def turn(self, turns):
        for _ in range(turns):
            self.loop.turn()

    @precondition(lambda self: self.channel.wanted)
    @rule(mask=st.sampled_from([READ, WRITE, READ | WRITE]), more=st.sampled_from([0, ERROR, HANGUP, ERROR | HANGUP]))
    def readiness_is_reported_that_may_be_spurious(self, mask, more):
        mask = mask & self.channel.wanted | more
        if mask:
            self.loop.tell(self.stream, mask)

    @precondition(lambda self: self.channel.wanted and not self.calm)
    @rule()
    def the_descriptor_goes_away(self):
        self.loop.tell(self.stream, INVALID)

    @precondition(lambda self: not self.calm)
    @rule()
    def the_reactor_shuts_down(self):
        self.stream.drop(error.ConnectionLost("stopped"))
        self.loop.flush()

    # -- what always holds

    @invariant()
    def what_was_sent_is_the_beginning_of_what_was_written(self):
        assert self.channel.sent == self.accepted[: len(self.channel.sent)]

    @invariant()
    def what_was_received_is_the_beginning_of_what_arrived(self):
        assert self.protocol.got == self.arrived[: len(self.protocol.got)]

    @invariant()
    def write_is_wanted_while_something_is_unsent_or_a_producer_waits(self):
        if not self.stream.connected:
            return
        unsent = len(self.accepted) > len(self.channel.sent)
        waits = self.producer is not None and (self.producer.paused or not self.producer.streaming) and not self.shut
        assert bool(self.channel.wanted & WRITE) is (unsent or waits)

    @invariant()
    def read_is_wanted_while_it_may_be_read(self):
        if self.stream.connected:
            assert bool(self.channel.wanted & READ) is self.may_read

    @invariant()
    def it_is_open_everywhere_or_closed_everywhere(self):
        assert self.stream.connected is (self.reason is None)
        assert self.channel.calls.count("close") == (self.reason is not None)
        assert (self.stream in self.loop.transports) is (self.reason is None)
        assert self.owner_told == (self.reason is not None)
        if self.reason is not None:
            assert self.channel.wanted == 0

    @invariant()
    def an_orderly_end_has_sent_everything(self):
        if isinstance(self.reason, error.ConnectionDone) and self.asked_to_close:
            peer_ended = not self.half and b"" in self.channel.incoming
            assert peer_ended or self.channel.sent == self.accepted

    @invariant()
    def no_error_is_of_its_own_making(self):
        """Such as sending on a side that is shut, or using a channel that is closed."""
        if self.calm:
            assert self.reason is None or isinstance(self.reason, error.ConnectionDone)
        cause = None if self.reason is None else self.reason.__cause__
        assert cause is None or any(cause is fault for fault in self.faults)

    @invariant()
    def a_producer_of_a_lost_connection_was_stopped(self):
        if self.reason is not None and self.producer is not None:
            assert self.producer.stopped

    @invariant()
    def a_mistake_of_the_program_ends_the_connection(self):
        assert self.reason is not None or not self.mistaken

    def teardown(self):
        if not hasattr(self, "stream"):
            return
        self.plans.clear()
        self.channel.full = False
        self.channel.outgoing.clear()
        self.channel.incoming.clear()
        self.channel.failing.clear()
        self.carry_out([("unregister",), ("lose",)])
        self.loop.finish()
        assert self.reason is not None
        self.it_is_open_everywhere_or_closed_everywhere()
        self.what_was_sent_is_the_beginning_of_what_was_written()
        assert not self.loop.late
        assert not self.loop.channels


TestStream = StreamMachine.TestCase
TestStream.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


@given(
    st.lists(st.binary(max_size=20), max_size=20),
    st.lists(st.integers(0, 30), max_size=60),
    st.lists(st.booleans(), max_size=20),
)
def test_however_sends_are_cut_everything_is_sent_in_order(pieces, sizes, turns):
    loop, channel = MemoryLoop(), ScriptedChannel()
    stream = Stream(loop, channel)
    channel.attach(loop, stream)
    stream.start(Protocol())
    channel.outgoing.extend(sizes)
    for piece, turn in zip(pieces, turns + [False] * len(pieces), strict=False):
        stream.write(piece)
        if turn:
            loop.turn()
    stream.loseConnection()
    loop.finish()
    assert channel.sent == b"".join(pieces)
    assert channel.calls == ["close"]


class Eager:
    """A push producer that behaves: it writes until it is paused, at most `left` times."""

    def __init__(self, stream, chunk, left):
        self.stream, self.chunk, self.left = stream, chunk, left
        self.going = True

    def pauseProducing(self):
        self.going = False

    def resumeProducing(self):
        self.going = True
        while self.going and self.left:
            self.left -= 1
            self.stream.write(self.chunk)
        if not self.left:
            self.stream.unregisterProducer()

    def stopProducing(self):
        self.going = False


@given(
    size=st.integers(1, 2 * BUFFER_SIZE),
    count=st.integers(1, 30),
    sizes=st.lists(st.integers(0, 2 * BUFFER_SIZE), max_size=30),
)
@settings(deadline=None)
def test_the_queue_of_a_producer_that_behaves_is_bounded(size, count, sizes):
    loop, channel = MemoryLoop(), ScriptedChannel()
    stream = Stream(loop, channel)
    channel.attach(loop, stream)
    stream.start(Protocol())
    channel.outgoing.extend(sizes)
    producer = Eager(stream, b"." * size, count)
    stream.registerProducer(producer, True)
    producer.resumeProducing()
    queued = 0
    while loop.turn():
        written = (count - producer.left) * size
        queued = max(queued, written - len(channel.sent))
    assert queued <= BUFFER_SIZE + size
    assert len(channel.sent) == count * size
