"""An idle reactor sleeps: no system call and no CPU time, however many connections it has."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ropewalk.core import choose

PATIENCE = 60   # seconds
WATCHED = 2.0   # seconds
SETTLED = 0.2   # seconds; on GLib the last event is followed by one thing more to do
HERE = [   # those with a loop of their own; a toolkit's has its tests in tests/gui
    name for name, row in choose.CHOICES.items() if row.host == "own:OwnHost" and choose.why_not(name) is None
]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads Linux's /proc")
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="the package strace is not installed")
on_every_reactor = pytest.mark.parametrize("name", HERE)

WAITS = ("epoll_wait(", "epoll_pwait(", "poll(", "ppoll(", "select(", "pselect6(", "restart_syscall(")

PROGRAM = """
import resource, socket, sys
from ropewalk.internet import reactor
from ropewalk.internet.protocol import Protocol, ServerFactory

wanted = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (max(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[0]),) * 2)
peers = []

class Silent(Protocol):
    def connectionMade(self):
        self.factory.made += 1
        if self.factory.made == wanted:
            reactor.callLater(0, print, "idle from now on", flush=True)

factory = ServerFactory.forProtocol(Silent)
factory.made = 0

def begin():
    port = reactor.listenTCP(0, factory, backlog=wanted, interface="127.0.0.1").getHost().port
    for _ in range(wanted):
        peers.append(socket.create_connection(("127.0.0.1", port)))

reactor.callWhenRunning(begin)
reactor.run()
"""


@contextmanager
def idle(name: str) -> Iterator[int]:
    """The process of a reactor with many connections and nothing to do."""
    connections = 300 if name == "select" else 1000   # select takes descriptors below 1024, two a connection here
    command = [sys.executable, "-c", PROGRAM, str(connections)]
    environment = os.environ | {"ROPEWALK_REACTOR": name, "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "idle from now on\n"
            wait(SETTLED)
            asleep(process.pid)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def asleep(pid: int) -> None:
    """Return when the process waits in the kernel."""
    while Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "S":
        pass


def cpu_time(pid: int) -> int:
    """The CPU time, in nanoseconds, of all threads of the process (proc(5): the first field of schedstat)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def wait(seconds: float) -> None:
    threading.Event().wait(seconds)


@on_every_reactor
def test_an_idle_reactor_takes_no_cpu_time(name: str) -> None:
    with idle(name) as pid:
        before = cpu_time(pid)
        wait(WATCHED)
        assert cpu_time(pid) == before


@needs_strace
@on_every_reactor
def test_an_idle_reactor_makes_no_system_call(name: str, tmp_path: Path) -> None:
    """Strace shows at most the call that is going on when it comes. That it does see is shown by the end."""
    trace = tmp_path / "trace"
    with idle(name) as pid:
        command = ["strace", "-f", "-p", str(pid), "-o", str(trace)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            first = strace.stderr.readline()
            if "attached" not in first:
                strace.wait(PATIENCE)
                pytest.skip(f"strace may not trace here: {first.strip()}")
            wait(WATCHED)
            idled = trace.read_text()
            os.kill(pid, signal.SIGTERM)
            strace.wait(PATIENCE)
    assert "SIGTERM" in trace.read_text()
    assert len(idled.splitlines()) <= 1
    assert idled == "" or any(name in idled for name in WAITS)
