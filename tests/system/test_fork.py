"""Forking: before the reactor is used it is free, afterwards the child is told what to do."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ropewalk.core import choose

HERE = [   # those with a loop of their own; a toolkit's has its tests in tests/gui
    name for name, row in choose.CHOICES.items() if row.host == "own:OwnHost" and choose.why_not(name) is None
]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
on_every_reactor = pytest.mark.parametrize("name", HERE)

Succeeds = Callable[..., str]

USED = """
import os, signal, socket
from ropewalk.internet import reactor

class Reader:
    def __init__(self, channel):
        self.channel = channel
        self.fileno = channel.fileno

    def doRead(self):
        print(self.channel.recv(8).decode(), flush=True)
        reactor.removeReader(self)
        reactor.stop()

    def connectionLost(self, reason):
        pass

here, there = socket.socketpair()
"""


@on_every_reactor
def test_a_reactor_in_use_refuses_in_the_child_and_goes_on_in_the_parent(name: str, succeeds: Succeeds) -> None:
    output = succeeds(USED + """
reactor.addReader(Reader(here))
pid = os.fork()
if pid == 0:
    for use in (reactor.run, lambda: reactor.iterate(0)):
        try:
            use()
        except RuntimeError as error:
            print(error, flush=True)
    assert signal.set_wakeup_fd(-1) == -1
    os._exit(7)
assert os.waitpid(pid, 0)[1] >> 8 == 7
there.send(b"parent")
reactor.run()
here.close()
there.close()
""", ROPEWALK_REACTOR=name).splitlines()
    assert output[2] == "parent"
    for line in output[:2]:
        assert "forked" in line
        assert "fork before the reactor is first used" in line
        assert "new reactor in the child" in line


@on_every_reactor
@pytest.mark.parametrize("handlers", [True, False])
def test_a_running_reactor_refuses_in_the_child_and_goes_on_in_the_parent(
    name: str, handlers: bool, succeeds: Succeeds
) -> None:
    """Also while it watches nothing at all."""
    output = succeeds(f"""
import os
from ropewalk.internet import reactor

def fork():
    pid = os.fork()
    if pid:
        assert os.waitpid(pid, 0)[1] >> 8 == 7
        reactor.callLater(0.01, reactor.stop)

home = os.getpid()
reactor.callLater(0, fork)
try:
    reactor.run(installSignalHandlers={handlers})
except RuntimeError as error:
    assert os.getpid() != home
    print(error, flush=True)
    os._exit(7)
print("parent", flush=True)
""", ROPEWALK_REACTOR=name).splitlines()
    assert "fork before the reactor is first used" in output[0]
    assert output[1:] == ["parent"]


@on_every_reactor
def test_an_idle_reactor_works_in_both(name: str, succeeds: Succeeds) -> None:
    """It has run before, and its run is over."""
    output = succeeds(USED + """
reactor.callLater(0, reactor.stop)
reactor.run()
pid = os.fork()
if pid == 0:
    reactor.addReader(Reader(here))
    there.send(b"child")
    reactor.run()
    os._exit(7)
assert os.waitpid(pid, 0)[1] >> 8 == 7
reactor.addReader(Reader(here))
there.send(b"parent")
reactor.run()
here.close()
there.close()
""", ROPEWALK_REACTOR=name)
    assert output.splitlines() == ["child", "parent"]


@on_every_reactor
def test_a_new_reactor_in_the_child_of_one_in_use_works(name: str, succeeds: Succeeds) -> None:
    output = succeeds(USED + """
old = Reader(here)
reactor.addReader(old)
pid = os.fork()
if pid == 0:
    reactor = type(reactor)()
    reactor.addReader(old)
    there.send(b"child")
    reactor.run()
    os._exit(7)
assert os.waitpid(pid, 0)[1] >> 8 == 7
there.send(b"parent")
reactor.run()
here.close()
there.close()
""", ROPEWALK_REACTOR=name)
    assert output.splitlines() == ["child", "parent"]


@on_every_reactor
def test_a_fork_inside_a_callback_with_more_to_deliver_is_refused_in_the_child(name: str, succeeds: Succeeds) -> None:
    output = succeeds(USED + """
pids = []

class Forking(Reader):
    def doRead(self):
        self.channel.recv(8)
        pids.append(os.fork())

pairs = [socket.socketpair() for _ in range(3)]
for mine, other in pairs:
    reactor.addReader(Forking(mine))
    other.send(b"x")
reactor.callLater(0.2, reactor.stop)
try:
    reactor.run()
except RuntimeError as error:
    os.write(1, f"child: {error}\\n".encode())   # in one piece: there are three children
    os._exit(7)
for pid in pids:
    assert os.waitpid(pid, 0)[1] >> 8 == 7
print("parent", len(pids))
for channel in (here, there, *sum(pairs, ())):
    channel.close()
""", ROPEWALK_REACTOR=name).splitlines()
    assert output[-1] == "parent 3"
    assert all(line.startswith("child: this reactor was in use when process") for line in output[:-1])


@on_every_reactor
def test_the_child_of_a_fork_in_another_thread_wakes_nobody(name: str, succeeds: Succeeds) -> None:
    """The waker's number may be a file's in the child."""
    output = succeeds("""
import os, tempfile
from ropewalk.internet import reactor

def in_a_thread():
    pid = os.fork()
    if pid == 0:
        with tempfile.TemporaryFile() as first, tempfile.TemporaryFile() as second, tempfile.TemporaryFile() as third:
            reactor.callFromThread(print)
            written = sum(os.fstat(file.fileno()).st_size for file in (first, second, third))
        os._exit(written)
    print("exit code", os.waitpid(pid, 0)[1] >> 8, flush=True)
    reactor.callFromThread(reactor.stop)

reactor.callWhenRunning(reactor.callInThread, in_a_thread)
reactor.run(installSignalHandlers=False)
""", ROPEWALK_REACTOR=name)
    assert output == "exit code 0"


@on_every_reactor
def test_a_name_that_was_asked_for_before_a_fork_is_looked_up_after_it(name: str, succeeds: Succeeds) -> None:
    output = succeeds("""
import os
from ropewalk.internet import reactor
from ropewalk.internet.protocol import ClientFactory

class Trying(ClientFactory):
    def clientConnectionFailed(self, connector, reason):
        print("child:", type(reason.value).__name__, flush=True)
        reactor.stop()

reactor.connectTCP("localhost", 1, Trying(), timeout=20)
pid = os.fork()
if pid == 0:
    reactor.run()
    os._exit(0)
print("status", os.waitpid(pid, 0)[1], flush=True)
""", ROPEWALK_REACTOR=name).splitlines()
    assert output == ["child: ConnectionRefusedError", "status 0"]


@on_every_reactor
@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no UNIX sockets")
def test_a_child_that_stops_a_unix_port_leaves_the_path_and_the_lock_to_the_parent(
    name: str, succeeds: Succeeds, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    output = succeeds(USED + """
from ropewalk.internet.protocol import ServerFactory
os.chdir(os.environ["PLACE"])
port = reactor.listenUNIX("port", ServerFactory(), wantPID=True)
pid = os.fork()
if pid == 0:
    port.stopListening()
    os._exit(7)
assert os.waitpid(pid, 0)[1] >> 8 == 7
print(sorted(os.listdir()))
reactor.callWhenRunning(reactor.stop)
reactor.run()
print(os.listdir())
here.close()
there.close()
""", ROPEWALK_REACTOR=name, PLACE=str(place))
    assert output.splitlines() == ["['port', 'port.lock']", "[]"]
