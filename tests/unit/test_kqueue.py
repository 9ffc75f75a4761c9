"""The kqueue poller beyond the table: ends, files, devices, children, alarms, forks; and the facts that it relies on.

On macOS and the BSDs these are the kernel's, on Linux those of the emulation in tools/testbeds/kqueue.py.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ropewalk.core import choose
from ropewalk.interfaces import HANGUP, READ, WRITE
from ropewalk.internet.kqreactor import KQueueReactor
from ropewalk.pollers import kqueue as module
from ropewalk.pollers.kqueue import KQueue
from ropewalk.transports import reaper

pytestmark = [pytest.mark.usefixtures("kqueue"), pytest.mark.skipif(sys.platform == "win32", reason="kqueue is Unix's")]
LIMIT = 10.0   # seconds
EXITS_WITH_3 = [sys.executable, "-c", "import sys; sys.stdin.read(); sys.exit(3)"]


class Handler:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.masks: list[int] = []

    def ready(self, mask: int) -> None:
        self.masks.append(mask)


@pytest.fixture
def poller() -> Iterator[Any]:
    made = KQueue()
    yield made
    made.close()


@pytest.fixture
def pipe() -> Iterator[tuple[Any, Any]]:
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as reads, open(writer, "wb", buffering=0) as writes:
        yield reads, writes


@pytest.fixture
def child() -> Iterator[Any]:
    """It exits with 3 when its input is closed, and nobody but the test waits for it."""
    process = subprocess.Popen(EXITS_WITH_3, stdin=subprocess.PIPE)
    yield process
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, 0)
    process.returncode = 0   # it is reaped


def told(poller: Any, timeout: float | None = 0) -> list[tuple[int, int]]:
    """What is ready, the waker aside."""
    return [(fd, mask) for fd, mask in poller.wait(timeout) if fd in poller.masks]


# -- ends


def test_the_end_of_input_is_readable_and_comes_after_what_was_sent(poller: Any) -> None:
    here, there = socket.socketpair()
    with here, there:
        poller.set(here.fileno(), READ, Handler())
        there.send(b"last words")
        there.close()
        assert told(poller) == [(here.fileno(), READ)]
        assert here.recv(100) == b"last words"
        assert told(poller) == [(here.fileno(), READ)]
        assert here.recv(100) == b""


def test_a_refused_connection_is_writable_with_its_end(poller: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()
    with socket.socket() as here:
        here.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            here.connect(port)
        poller.set(here.fileno(), WRITE, Handler())
        assert told(poller, LIMIT) == [(here.fileno(), WRITE | HANGUP)]
        assert here.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


def test_a_writing_end_that_is_asked_for_read_tells_that_its_reader_left_and_nothing_else(
    poller: Any, pipe: Any
) -> None:
    reads, writes = pipe
    poller.set(writes.fileno(), READ, Handler())
    assert told(poller) == []
    writes.write(b"x")
    reads.read(1)
    assert told(poller) == []
    reads.close()
    assert told(poller) == [(writes.fileno(), HANGUP)]


def test_a_writing_end_is_writable_as_long_as_that_is_asked_for(poller: Any, pipe: Any) -> None:
    reads, writes = pipe
    handler = Handler()
    for _ in range(2):
        poller.set(writes.fileno(), READ | WRITE, handler)
        assert told(poller) == told(poller) == [(writes.fileno(), WRITE)]
        poller.set(writes.fileno(), READ, handler)
        assert told(poller) == []
    reads.close()
    assert told(poller) == [(writes.fileno(), HANGUP)]


def test_a_reader_that_leaves_while_a_helper_parks_is_not_forgotten(poller: Any, pipe: Any) -> None:
    """It is told once."""
    reads, writes = pipe
    poller.set(writes.fileno(), READ, Handler())
    poller.park(0)   # there is room to write, which is no news
    reads.close()
    poller.park(LIMIT)
    assert told(poller) == [(writes.fileno(), HANGUP)]


def test_what_a_helper_heard_of_a_descriptor_is_forgotten_with_it(poller: Any, pipe: Any) -> None:
    reads, writes = pipe
    handler = Handler()
    poller.set(writes.fileno(), READ, handler)
    reads.close()
    poller.park(LIMIT)
    poller.set(writes.fileno(), 0, handler)
    assert poller.wait(0) == []


# -- what cannot be waited for


def test_a_file_is_always_ready_also_at_its_end(poller: Any) -> None:
    with tempfile.TemporaryFile() as file:
        handler = Handler()
        poller.set(file.fileno(), READ | WRITE, handler)
        assert told(poller, None) == [(file.fileno(), READ | WRITE)]
        poller.calm()   # as at the end of a turn
        assert select.select([poller.fileno()], [], [], LIMIT)[0] == [poller.fileno()]
        poller.set(file.fileno(), 0, handler)
        assert poller.wait(0) == []


def test_a_device_that_refuses_is_always_ready(poller: Any) -> None:
    with open(os.devnull, "r+b", buffering=0) as null:
        handler = Handler()
        for mask in (READ, WRITE, READ | WRITE, READ):
            poller.set(null.fileno(), mask, handler)
            assert told(poller, None) == [(null.fileno(), mask)]
        poller.set(null.fileno(), 0, handler)
        assert poller.wait(0) == []


@pytest.mark.skipif(sys.platform.startswith("freebsd"), reason="FreeBSD waits for /dev/tty")
def test_a_terminal_that_is_refused_is_an_error_that_names_what_works() -> None:
    import pty

    pid, master = pty.fork()
    if pid == 0:
        tty = os.open("/dev/tty", os.O_RDWR)
        try:
            KQueue().set(tty, READ, Handler())
        except OSError as error:
            os.write(1, str(error).encode())
        os._exit(0)
    with open(master, "rb", buffering=0) as said:
        assert b"os.ttyname()" in said.read(1000)
        os.waitpid(pid, 0)


# -- children


def test_the_exit_of_a_child_is_told_once(poller: Any, child: Any) -> None:
    exits: list[str] = []
    poller.child(child.pid, lambda: exits.append("exited"))
    assert poller.wait(0) == []
    child.stdin.close()
    ((number, mask),) = poller.wait(LIMIT)
    assert number < 0, "as a descriptor's it could be taken for one"
    poller.handlers[number].ready(mask)
    assert exits == ["exited"]
    assert poller.wait(0) == []
    assert number not in poller.handlers


def test_an_exit_that_a_helper_has_heard_of_is_told(poller: Any, child: Any) -> None:
    poller.child(child.pid, lambda: None)
    child.stdin.close()
    poller.park(LIMIT)
    assert [mask for _, mask in poller.wait(0)] == [READ]


@pytest.mark.parametrize("quick", [False, True])
def test_the_status_of_a_child_is_known_also_of_one_that_had_exited_before(child: Any, quick: bool) -> None:
    reactor = KQueueReactor()
    statuses: list[int | None] = []

    def exited(status: int | None) -> None:
        statuses.append(status)
        reactor.stop()

    def begin() -> None:
        if quick:
            child.stdin.close()
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert isinstance(reaper.watch(reactor, child.pid, exited), reaper.ByPoller)
        if not quick:
            child.stdin.close()

    reactor.callWhenRunning(begin)
    reactor.callLater(LIMIT, reactor.crash)
    reactor.run(installSignalHandlers=False)
    assert [os.waitstatus_to_exitcode(status or 0) for status in statuses] == [3]


def test_a_child_that_is_told_of_a_moment_too_early_is_waited_for(child: Any) -> None:
    """As kernels do between the event and the moment when waitpid() knows."""
    reactor = KQueueReactor()
    statuses: list[int | None] = []
    reaper.watch(reactor, child.pid, statuses.append)
    thread = threading.Timer(0.05, child.stdin.close)
    thread.start()
    reactor.poller.handlers[-child.pid].ready(READ)
    thread.join()
    assert [os.waitstatus_to_exitcode(status or 0) for status in statuses] == [3]


# -- the queue as a descriptor


def test_the_alarm_makes_it_readable_is_replaced_and_removed(poller: Any) -> None:
    number = poller.fileno()
    for seconds in (LIMIT, 0.01, 0.0):
        poller.alarm(seconds)
    assert select.select([number], [], [], LIMIT)[0] == [number]
    assert poller.wait(LIMIT) == []
    assert select.select([number], [], [], 0)[0] == []
    for _ in range(2):
        poller.alarm(0.01)
        poller.alarm(None)
        poller.alarm(None)
    assert select.select([number], [], [], 0.05)[0] == []


@pytest.mark.parametrize("seen", ["never", "always"])
def test_a_queue_that_cannot_be_watched_truly_leaves_that_to_the_helper(
    poller: Any, pipe: Any, monkeypatch: pytest.MonkeyPatch, seen: str
) -> None:
    reads, writes = pipe
    if seen == "always":
        writes.write(b"x")

    class Untrue(select.kqueue):   # type: ignore[name-defined, misc]
        def fileno(self) -> int:
            return int(reads.fileno())

    monkeypatch.setattr(select, "kqueue", Untrue)
    module._can_be_watched.cache_clear()
    try:
        assert poller.fileno() is None
    finally:
        module._can_be_watched.cache_clear()


def test_the_child_of_a_fork_closes_nothing_but_its_own() -> None:
    """Its queue is gone, and the number another's."""
    poller = KQueue()
    number = poller.fileno()
    pid = os.fork()
    if pid == 0:
        poller.abandon()
        opened = [-1]
        while opened[-1] < number:
            opened.append(os.open(os.devnull, os.O_RDONLY))
        poller.close()
        del poller
        for fd in opened[1:]:
            os.fstat(fd)
        os._exit(0 if number in opened else 1)
    assert os.waitpid(pid, 0)[1] == 0
    poller.close()


# -- who is chosen


def test_it_is_the_default_where_there_is_no_epoll_and_the_hosts_wait_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll", raising=False)
    assert choose.default_name() == "kqueue"
    assert choose.parts("default")[1] is KQueue
    assert choose.parts("asyncio")[1] is KQueue


def test_where_it_is_missing_the_error_says_whose_it_is_and_names_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "kqueue")
    with pytest.raises(choose.ReactorNotAvailableError, match=r"macOS's and the BSDs'; use the default one \(\w+\)"):
        choose.parts("kqueue")


# -- facts


@pytest.fixture
def queue() -> Iterator[Any]:
    made: Any = select.kqueue()   # type: ignore[attr-defined]
    yield made
    made.close()


def event(*of: int) -> Any:
    return select.kevent(*of)   # type: ignore[attr-defined]


def error_of(queue: Any, *changes: Any) -> int | None:
    try:
        queue.control(changes, 0)
    except OSError as error:
        return error.errno
    return None


def test_what_is_not_there_cannot_be_deleted_and_what_is_not_open_not_be_added(queue: Any, pipe: Any) -> None:
    reads, _ = pipe
    kq: Any = select
    closed = os.dup(reads.fileno())
    os.close(closed)
    assert error_of(queue, event(reads.fileno(), kq.KQ_FILTER_READ, kq.KQ_EV_DELETE)) == errno.ENOENT
    assert error_of(queue, event(closed, kq.KQ_FILTER_READ, kq.KQ_EV_DELETE)) in (errno.EBADF, errno.ENOENT)
    assert error_of(queue, event(closed, kq.KQ_FILTER_READ, kq.KQ_EV_ADD)) == errno.EBADF


def test_changes_before_the_one_that_fails_hold(queue: Any, pipe: Any) -> None:
    reads, writes = pipe
    kq: Any = select
    writes.write(b"x")
    add = event(reads.fileno(), kq.KQ_FILTER_READ, kq.KQ_EV_ADD)
    assert error_of(queue, add, event(reads.fileno(), kq.KQ_FILTER_WRITE, kq.KQ_EV_DELETE)) is not None
    (found,) = queue.control(None, 10, 0)
    assert (found.ident, found.filter, found.data) == (reads.fileno(), kq.KQ_FILTER_READ, 1)


def test_to_close_a_descriptor_removes_its_filters(queue: Any, pipe: Any) -> None:
    reads, writes = pipe
    kq: Any = select
    number = reads.fileno()
    queue.control([event(number, kq.KQ_FILTER_READ, kq.KQ_EV_ADD)], 0)
    writes.write(b"x")
    reads.close()
    assert queue.control(None, 10, 0) == []


def test_with_clear_only_what_is_new_is_told(queue: Any, pipe: Any) -> None:
    _, writes = pipe
    kq: Any = select
    add = event(writes.fileno(), kq.KQ_FILTER_WRITE, kq.KQ_EV_ADD | kq.KQ_EV_CLEAR)
    assert len(queue.control([add], 10, 0)) == 1
    assert queue.control(None, 10, 0) == []
    queue.control([event(writes.fileno(), kq.KQ_FILTER_WRITE, kq.KQ_EV_DELETE)], 0)
    assert len(queue.control([add], 10, 0)) == 1
