"""A host that owns the wait: it watches the poller's descriptor, or a helper thread watches for it."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from ropewalk.core import choose
from ropewalk.core.attention import Helper
from ropewalk.core.reactor import Reactor
from ropewalk.internet.epollreactor import EPollReactor
from ropewalk.internet.kit import KIT
from ropewalk.internet.protocol import ClientFactory, Protocol, ServerFactory

pytestmark = pytest.mark.skipif(choose.why_not("epoll") is not None, reason="this system has no epoll to watch")
LIMIT = 10.0   # seconds


class PollHost:
    """The smallest foreign loop: what was posted, and one descriptor. can_watch: whether it may watch that."""

    foreign = True

    def __init__(self, reactor: Any, can_watch: bool = True) -> None:
        self._reactor = reactor
        self._can_watch = can_watch
        self._posted: deque[Callable[[], object]] = deque()
        self._bell, self._ring = os.pipe()
        self._watched: tuple[int, Callable[[], object]] | None = None
        self._going = False
        self.turns = 0
        self.served = False

    def run(self) -> None:
        self._going = True
        while self._going:
            self.turn()

    def turn(self) -> None:
        """What a nested loop, too, does."""
        waited = select.poll()
        waited.register(self._bell, select.POLLIN)
        if self._watched is not None:
            waited.register(self._watched[0], select.POLLIN)
        ready = [fd for fd, _ in waited.poll(LIMIT * 1000)]
        assert ready, "nothing happened for too long"
        self.turns += 1
        if self._bell in ready:
            os.read(self._bell, 1)
            self._posted.popleft()()
        elif self._watched is not None:
            self._watched[1]()

    def quit(self) -> None:
        self._going = False

    def leave(self) -> None:
        """The toolkit's loop ends by itself, as with the last window."""
        self._going = False

    def post(self, call: Callable[[], object]) -> None:
        self._posted.append(call)
        os.write(self._ring, b"\0")

    def watch(self, fd: int, call: Callable[[], object]) -> bool:
        if self._can_watch:
            self._watched = fd, call
        return self._can_watch

    def begin(self) -> None:
        self.served = True

    def end(self) -> None:
        self.served = False
        self._watched = None

    def step(self) -> None:
        """Nothing underneath."""

    def close(self) -> None:
        os.close(self._bell)
        os.close(self._ring)


PAIRS = [("epoll", True), ("epoll", False), ("poll", False), ("select", False)]


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]}-{'watched' if pair[1] else 'helped'}")
def reactor(request: Any) -> Iterator[Reactor]:
    name, can_watch = request.param
    _, poller = choose.parts(name)
    made = Reactor(partial(PollHost, can_watch=can_watch), poller, KIT)   # type: ignore[arg-type]
    yield made
    made._host.close()


@pytest.fixture
def host(reactor: Reactor) -> Any:
    return reactor._host


def give_up(reactor: Reactor) -> None:
    reactor.callLater(LIMIT, reactor.crash)


class Echo(Protocol):
    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


def test_it_serves_connections_timers_and_calls_from_threads(reactor: Reactor) -> None:
    port = reactor.listenTCP(0, ServerFactory.forProtocol(Echo), interface="127.0.0.1")
    heard: list[bytes] = []

    def talk() -> None:
        with socket.create_connection(("127.0.0.1", port.getHost().port), LIMIT) as client:
            client.sendall(b"hello")
            heard.append(client.recv(5))
        reactor.callFromThread(reactor.callLater, 0.01, reactor.stop)

    reactor.callWhenRunning(reactor.callInThread, talk)
    reactor.run(installSignalHandlers=False)
    assert heard == [b"hello"]


def test_between_two_turns_a_callback_of_the_toolkit_uses_it(reactor: Reactor, host: Any) -> None:
    """What it writes goes out, what it schedules is called, what it opens is served, though nothing else happens."""
    port = reactor.listenTCP(0, ServerFactory.forProtocol(Echo), interface="127.0.0.1")
    seen: list[object] = []

    class Client(Protocol):
        def connectionMade(self) -> None:
            host.post(click)

        def dataReceived(self, data: bytes) -> None:
            seen.append(data)
            if b"".join(seen) == b"one two":   # type: ignore[arg-type]
                seen.clear()
                host.post(second_click)

    def click() -> None:
        client.transport.write(b"one ")
        client.transport.write(b"two")

    def second_click() -> None:
        reactor.callLater(0.02, seen.append, "later")
        reactor.callLater(0.01, seen.append, "sooner")
        reactor.callLater(0.03, reactor.stop)

    client = Client()
    factory = ClientFactory()
    factory.buildProtocol = lambda addr: client   # type: ignore[method-assign]
    host.post(lambda: reactor.connectTCP("127.0.0.1", port.getHost().port, factory))
    reactor.run(installSignalHandlers=False)
    assert seen == ["sooner", "later"]


def test_a_nested_loop_of_the_toolkit_is_served_from_its_beginning(reactor: Reactor, host: Any) -> None:
    """And what the callback that opened it had scheduled and written before."""
    here, there = socket.socketpair()
    there.settimeout(LIMIT)
    heard: list[bytes] = []
    done: list[str] = []

    class Opener(Protocol):
        def dataReceived(self, data: bytes) -> None:
            assert not done
            self.transport.write(b"first ")
            self.transport.write(b"second")
            other.append(data)
            reactor.callLater(0.01, done.append, "timer")
            reactor.callInThread(read)
            while len(done) < 2:
                host.turn()
            turns = host.turns
            reactor.callLater(0.05, done.append, "idle")
            while len(done) < 3:
                host.turn()
            assert host.turns - turns < 8, "a descriptor that is left out makes the loop spin"
            reactor.stop()

    other: list[bytes] = []

    def read() -> None:
        while b"".join(heard) != b"first second":
            heard.append(there.recv(100))
        there.sendall(b"for a handler that is on the stack")
        reactor.callFromThread(done.append, "thread")

    reactor.adoptStreamConnection(here.fileno(), socket.AF_UNIX, ServerFactory.forProtocol(Opener))
    here.close()
    there.sendall(b"open")
    reactor.run(installSignalHandlers=False)
    there.close()
    assert sorted(done) == ["idle", "thread", "timer"]


def test_it_is_not_woken_when_there_is_nothing_to_do(reactor: Reactor, host: Any) -> None:
    reactor.callLater(0.1, lambda: (turns.append(host.turns), reactor.callLater(0.3, check)))
    turns: list[int] = []

    def check() -> None:
        turns.append(host.turns)
        reactor.stop()

    reactor.run(installSignalHandlers=False)
    assert turns[1] - turns[0] <= 2


def test_turns_that_take_long_leave_nothing_busy_behind(reactor: Reactor, host: Any) -> None:
    """The helper asks for the next turn while one goes on; the two must not overtake each other from then on."""
    turns: list[int] = []

    def take_long(times: int) -> None:
        until = reactor.seconds() + 0.04
        while reactor.seconds() < until:
            pass
        turns.append(host.turns)
        if times:
            reactor.callLater(0.02, take_long, times - 1)
        else:
            reactor.stop()

    reactor.callLater(0, take_long, 20)
    reactor.run(installSignalHandlers=False)
    assert max(later - sooner for sooner, later in itertools.pairwise(turns)) <= 4


def test_attached_it_is_served_by_the_programs_loop_and_leaves_that_running(reactor: Reactor, host: Any) -> None:
    told: list[str] = []
    for phase in ("before", "during", "after"):
        reactor.addSystemEventTrigger(phase, "shutdown", told.append, phase)
    reactor.attach()
    assert reactor.running
    reactor.callLater(0.01, reactor.stop)
    while reactor.running:
        host.turn()
    assert told == ["before", "during", "after"]
    host.post(lambda: told.append("the loop goes on"))
    host.turn()
    assert told[-1] == "the loop goes on"
    reactor.attach()
    reactor.stop()
    while reactor.running:
        host.turn()


def test_it_is_stopped_when_the_loop_ends(reactor: Reactor, host: Any) -> None:
    told: list[str] = []

    def ended() -> None:
        reactor.addSystemEventTrigger("before", "shutdown", told.append, "before")
        reactor.addSystemEventTrigger("after", "shutdown", told.append, "after")

    ended()
    reactor.callLater(0.01, host.leave)
    reactor.run(installSignalHandlers=False)
    assert told == ["before", "after"]
    assert not reactor.running
    ended()
    reactor.attach()
    reactor.host_ended()
    assert told == ["before", "after"] * 2
    assert not reactor.running


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_what_ends_a_program_leaves_run_but_not_through_the_toolkit(reactor: Reactor, error: BaseException) -> None:
    def leave() -> None:
        raise error

    reactor.callLater(0, leave)
    with pytest.raises(type(error)):
        reactor.run(installSignalHandlers=False)
    assert not reactor.running


def test_our_own_loop_hands_over_to_one_that_is_set_while_it_runs() -> None:
    reactor = EPollReactor()
    told: list[object] = []

    def use() -> None:
        reactor.use(PollHost)   # type: ignore[arg-type]
        reactor.callFromThread(told.append, "a call")
        reactor.callLater(0.01, told.append, "a timer")
        reactor.callLater(0.02, reactor.stop)

    reactor.callLater(0, use)
    reactor.run(installSignalHandlers=False)
    assert told == ["a call", "a timer"]
    assert reactor._host.turns   # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="PollHost"):
        reactor.use(PollHost)   # type: ignore[arg-type]
    reactor._host.close()


def test_only_a_foreign_loop_can_be_attached_to() -> None:
    with pytest.raises(RuntimeError, match="use a reactor of a toolkit"):
        EPollReactor().attach()


def test_a_host_is_told_when_it_begins_to_serve_and_when_it_no_longer_does(reactor: Reactor, host: Any) -> None:
    assert not host.served
    reactor.callLater(0, lambda: (served.append(host.served), reactor.stop()))
    served: list[bool] = []
    reactor.run(installSignalHandlers=False)
    served.append(host.served)
    reactor.attach()
    served.append(host.served)
    reactor.crash()
    served.append(host.served)
    assert served == [True, False, True, False]


def test_a_host_that_cannot_begin_leaves_the_reactor_stopped_and_no_thread(reactor: Reactor, host: Any) -> None:
    def refuse() -> None:
        raise OSError("no window is left")

    host.begin = refuse
    for serve in (reactor.run, reactor.attach):
        with pytest.raises(OSError, match="no window is left"):
            serve(installSignalHandlers=False)
        assert not reactor.running
    assert not [thread for thread in threading.enumerate() if thread.name == "reactor-helper"]


@pytest.mark.parametrize("name", [name for name in ("epoll", "poll", "select") if choose.why_not(name) is None])
def test_a_helper_that_has_begun_to_wait_learns_of_a_new_alarm_before_what_woke_it_is_undone(name: str) -> None:
    """A turn by hand, iterate(), sets an alarm and calms the poller, both while the helper is waiting."""
    _, make_poller = choose.parts(name)
    poller = make_poller()
    posted: queue.Queue[Callable[[], object]] = queue.Queue()
    helper = Helper(posted.put, poller, lambda: None)
    for _ in range(100):
        helper.alarm(0.001)
        helper.calm()
        posted.get(timeout=LIMIT)()
    helper.end()
    poller.close()


def test_a_helper_thread_ends_with_its_run(reactor: Reactor) -> None:
    reactor.callLater(0, reactor.stop)
    reactor.run(installSignalHandlers=False)
    assert not [thread for thread in threading.enumerate() if thread.name == "reactor-helper"]
    with contextlib.suppress(AttributeError):
        assert reactor._host._watched is None   # type: ignore[attr-defined]
