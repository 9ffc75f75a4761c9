"""A gigabyte through a producer, to a peer that at first does not read: memory stays where it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ropewalk.core import choose

pytest.importorskip("resource", reason="this system does not tell a process's largest size")
HERE = [   # those with a loop of their own; a toolkit's has its tests in tests/gui
    name for name, row in choose.CHOICES.items() if row.host == "own:OwnHost" and choose.why_not(name) is None
]

PROGRAM = """
import resource, socket, threading
from ropewalk.internet import protocol, reactor

TOTAL, PIECE = 1_000_000_000, bytes(100_000)
stuck = threading.Event()
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

class Sending(protocol.Protocol):
    sent, paused = 0, False

    def connectionMade(self):
        self.transport.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self):
        self.paused = False
        while not self.paused and self.sent < TOTAL:
            self.transport.write(PIECE)
            self.sent += len(PIECE)
        if self.sent == TOTAL:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def pauseProducing(self):
        self.paused = True
        stuck.set()

    def stopProducing(self):
        self.paused = True

def read_late(port):
    received, space = 0, bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", port)) as peer:
        assert stuck.wait(30)
        while size := peer.recv_into(space):
            received += size
    reactor.callFromThread(finish, received)

def finish(received):
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start
    print(received, grown < 20_000, flush=True)
    reactor.stop()

port = reactor.listenTCP(0, protocol.Factory.forProtocol(Sending), interface="127.0.0.1")
reactor.callWhenRunning(reactor.callInThread, read_late, port.getHost().port)
reactor.run()
"""


@pytest.mark.parametrize("name", HERE)
def test_a_gigabyte_through_a_producer_takes_no_memory(name: str, succeeds: Callable[..., str]) -> None:
    assert succeeds(PROGRAM, ROPEWALK_REACTOR=name) == "1000000000 True"
