"""Nine thousand connections at once, from a child process: all are served, all are closed, nothing is left.

Run as a program, this file is that child: `test_many.py PORT COUNT` connects, says so, and for each line that it reads
does the next thing: an echo on every connection, then their end.
"""

import contextlib
import importlib
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ropewalk.core import choose
from ropewalk.testing.peers import IPV4, Echo, Server, Witness
from ropewalk.testing.rig import Rig

COUNT = 9000
WINDOW = 200   # connections that are being made at a time
HELLO = b"hello"
TEXT = b"are you there?"


def main(port: int, count: int) -> None:
    """The child: COUNT connections."""
    allow_descriptors(count + 100)
    opened = [connection for _ in range(0, count, WINDOW) for connection in several(port, min(WINDOW, count))]
    say("connected")
    for one in opened:
        one.sendall(TEXT)
    for one in opened:
        assert receive(one, len(TEXT)) == TEXT
    say("echoed")
    for one in opened:
        one.close()
    say("closed")


def several(port: int, count: int) -> list[socket.socket]:
    """Connect so many sockets."""
    connecting = []
    for _ in range(count):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", port))
        connecting.append(one)
    waiting = select.poll()
    for one in connecting:
        waiting.register(one, select.POLLOUT)
    left = len(connecting)
    while left:
        for fd, mask in waiting.poll():
            assert mask == select.POLLOUT, f"a connection failed: {mask}"
            waiting.unregister(fd)
            left -= 1
    for one in connecting:
        one.settimeout(60)
        one.sendall(HELLO)
    for one in connecting:   # so that the next ones find room in the queue of the port
        assert receive(one, len(HELLO)) == HELLO
    return connecting


def receive(one: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = one.recv(count - len(data))
        assert piece, "the server closed a connection"
        data += piece
    return data


def say(word: str) -> None:
    """Say it, and wait to be told to go on."""
    sys.stdout.write(word + "\n")
    sys.stdout.flush()
    sys.stdin.readline()


def allow_descriptors(count: int) -> None:
    """Let this process have `count` descriptors. Raises ValueError or OSError if it may not."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


@contextlib.contextmanager
def many_descriptors(count: int) -> Iterator[None]:
    resource = pytest.importorskip("resource", reason="this system does not limit descriptors")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = before[1]
    if hard not in (resource.RLIM_INFINITY, -1) and hard < count:
        pytest.skip(f"this needs {count} descriptors, and the hard limit is {hard}")
    allow_descriptors(count)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


class Child(Witness):
    """The child process, as a reader of what it says: each word is an event."""

    def __init__(self, port: int) -> None:
        super().__init__()
        command = [sys.executable, __file__, str(port), str(COUNT)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def go_on(self):
        self.process.stdin.write(b"\n")

    def fileno(self):
        return self.process.stdout.fileno()

    def logPrefix(self):
        return "child"

    def doRead(self):
        for word in os.read(self.fileno(), 100).decode().split() or ["dead"]:
            self.note(word)
        assert "dead" not in self.events

    def connectionLost(self, reason):
        self.note("lost")


@pytest.mark.parametrize("name", ["epoll", "poll"])
def test_nine_thousand_connections_are_served_and_closed(name):
    reason = choose.why_not(name)
    if reason is not None:
        pytest.skip(f"{name}: {reason}")
    row = choose.choice(name)
    make_reactor = getattr(importlib.import_module(f"ropewalk.internet.{row.module}"), row.reactor)
    with many_descriptors(COUNT + 200), Rig(make_reactor) as rig:
        serve_all(rig)


def serve_all(rig):
    port = rig.reactor.listenTCP(0, Server(Echo), backlog=WINDOW, interface=IPV4)
    with Child(port.getHost().port) as child:
        rig.play(lambda: serve(rig, port, child), limit=90)


async def serve(rig, port, child):
    rig.reactor.addReader(child)
    await child.happens("connected")
    await port.factory.accepts(COUNT)
    child.go_on()
    await child.happens("echoed")
    protocols = port.factory.protocols
    assert all(one.received == HELLO + TEXT for one in protocols)
    assert len(rig.reactor.transports) == COUNT + 1
    child.go_on()
    await child.happens("closed")
    for one in protocols:
        await one.ends()
    await port.stopListening()
    assert not rig.reactor.transports
    assert rig.reactor.getReaders() == [child]
    rig.reactor.removeReader(child)
    assert not rig.reactor.getDelayedCalls()
    child.go_on()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
