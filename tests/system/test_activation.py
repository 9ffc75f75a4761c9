"""Socket activation: a service that is started as systemd starts it, with its sockets as the descriptors 3, 4 ..."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ropewalk.core import choose

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is part of Linux alone")

PATIENCE = 60   # seconds that a service may take
HERE = [   # those with a loop of their own; a toolkit's has its tests in tests/gui
    name for name, row in choose.CHOICES.items() if row.host == "own:OwnHost" and choose.why_not(name) is None
]

# What systemd does after fork: LISTEN_PID is the process that it execs in.
LAUNCHER = """
import fcntl, os, sys
count = int(sys.argv[1])
passed, command = sys.argv[2:2 + count], sys.argv[2 + count:]
away = [fcntl.fcntl(int(number), fcntl.F_DUPFD_CLOEXEC, 100) for number in passed]
for number, descriptor in enumerate(away, 3):
    os.dup2(descriptor, number, inheritable=True)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.environ.setdefault("LISTEN_FDS", str(count))
os.execv(command[0], command)
"""

ECHO = """
import sys
from ropewalk.internet import endpoints, reactor
from ropewalk.internet.protocol import Factory, Protocol

class Echo(Protocol):
    def dataReceived(self, data):
        self.transport.write(data)
        if data == b"stop":
            reactor.stop()

for text in sys.argv[1:]:
    endpoints.serverFromString(reactor, text).listen(Factory.forProtocol(Echo))
reactor.run()
"""

Activate = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.fixture
def activate(stack: ExitStack, tmp_path: Path) -> Activate:
    """activate(program, sockets, *arguments, **variables): the process of a service that was passed the sockets."""

    def start(program: str, sockets: list[socket.socket], *arguments: str, **variables: str) -> Any:
        file = tmp_path / "service.py"
        file.write_text(textwrap.dedent(program), encoding="utf-8")
        passed = [each.fileno() for each in sockets]
        service = [sys.executable, "-W", "error", str(file), *arguments]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ROPEWALK_", "LISTEN_"))}
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", LAUNCHER, str(len(passed)), *map(str, passed), *service],
                pass_fds=passed,
                env=inherited | variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(process.kill)
        return process

    return start


def listening(stack: ExitStack, family: int = socket.AF_INET, address: Any = ("127.0.0.1", 0)) -> socket.socket:
    made = stack.enter_context(socket.socket(family))
    made.bind(address)
    made.listen()
    return made


def connection(stack: ExitStack, listener: socket.socket) -> socket.socket:
    made = stack.enter_context(socket.socket(listener.family))
    made.settimeout(PATIENCE)
    made.connect(listener.getsockname())
    return made


def output(process: subprocess.Popen[str]) -> str:
    """What the service printed; it must end well and say nothing on stderr."""
    printed, complained = process.communicate(timeout=PATIENCE)
    assert (process.returncode, complained) == (0, "")
    return printed.strip()


@pytest.mark.parametrize("name", HERE)
def test_a_service_serves_the_sockets_that_it_was_passed(
    name: str, activate: Activate, stack: ExitStack, tmp_path: Path
) -> None:
    """The clients connect before the service is there: nobody is refused while it starts."""
    listeners = [listening(stack), listening(stack, socket.AF_UNIX, str(tmp_path / "s")), listening(stack)]
    clients = [connection(stack, listener) for listener in listeners]
    for client, data in zip(clients, (b"early", b"early", b"PROXY UNKNOWN\r\nearly"), strict=True):
        client.sendall(data)
    texts = ["systemd:name=http", "systemd:domain=UNIX:index=1", "haproxy:systemd:INET:name=proxied"]
    names = "http:control:proxied"
    service = activate(ECHO, listeners, *texts, LISTEN_FDNAMES=names, ROPEWALK_REACTOR=name)
    assert [client.recv(64) for client in clients] == [b"early"] * 3
    clients[1].sendall(b"stop")
    assert output(service) == ""


@pytest.mark.parametrize("name", HERE)
def test_a_service_serves_an_inherited_descriptor_without_any_variables(
    name: str, activate: Activate, stack: ExitStack
) -> None:
    listener = listening(stack)
    client = connection(stack, listener)
    client.sendall(b"stop")
    assert output(activate(ECHO, [listener], "fd:3", LISTEN_PID="", ROPEWALK_REACTOR=name)) == ""


def test_children_of_the_service_get_neither_the_descriptors_nor_the_variables(
    activate: Activate, stack: ExitStack
) -> None:
    printed = output(activate("""
        import os, subprocess, sys
        from ropewalk.internet import endpoints
        assert os.get_inheritable(3) and os.get_inheritable(4)
        endpoints.serverFromString(None, "systemd:index=0")
        endpoints.serverFromString(None, "systemd:index=1")   # what was passed is kept, not asked for again
        look = "import os; print([v for v in os.environ if v.startswith('LISTEN_')], os.path.exists('/proc/self/fd/4'))"
        subprocess.run([sys.executable, "-c", look], close_fds=False, check=True)
    """, [listening(stack), listening(stack)], LISTEN_FDNAMES="a:b"))
    assert printed == "[] False"


def test_a_child_that_inherits_the_variables_is_not_meant(activate: Activate, stack: ExitStack) -> None:
    printed = output(activate("""
        import os, subprocess, sys
        if len(sys.argv) == 1:
            subprocess.run([sys.executable, *sys.argv, "as a child"], close_fds=False, check=True)
            print(os.getpid())
            sys.exit()
        from ropewalk.internet import endpoints
        try:
            endpoints.serverFromString(None, "systemd:index=0")
        except ValueError as error:
            print(error, flush=True)
    """, [listening(stack)])).splitlines()
    assert printed[0].startswith("systemd:index=0: position 0: systemd passed no descriptor to this process, ")
    assert printed[0].endswith(f": LISTEN_PID is {printed[1]}, LISTEN_FDS is 1")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"LISTEN_FDS": "many"}, "position 0: systemd's variables are not right: LISTEN_FDS is to be a number"),
        ({"LISTEN_FDS": "-1"}, "position 0: systemd's variables are not right: LISTEN_FDS is to be a number"),
        ({"LISTEN_FDS": "99999999999"}, "position 0: systemd's variables are not right: LISTEN_FDS is to be a number"),
        ({"LISTEN_PID": "me"}, "position 0: systemd's variables are not right: LISTEN_PID is to be a number"),
        ({"LISTEN_FDNAMES": "a:b"}, "position 0: systemd's variables are not right: LISTEN_FDS says 1, but"),
        ({"LISTEN_PID": "1"}, "position 0: systemd passed no descriptor to this process"),
        ({"LISTEN_FDS": "0"}, "position 0: systemd passed no descriptor to this process"),
    ],
)
def test_malformed_variables_are_an_error_when_they_are_needed_and_nothing_is_taken(
    variables: dict[str, str], said: str, activate: Activate, stack: ExitStack
) -> None:
    printed = output(activate("""
        import os
        before = dict(os.environ)
        from ropewalk.internet import endpoints, reactor
        for _ in range(2):
            try:
                endpoints.serverFromString(reactor, "systemd:index=0")
            except ValueError as error:
                print(error)
        assert dict(os.environ) == before
        assert os.get_inheritable(3)
    """, [listening(stack)], **variables)).splitlines()
    assert len(printed) == 2
    assert printed[0] == printed[1]
    assert printed[0].startswith(f"systemd:index=0: {said}")


def test_what_is_no_listening_stream_socket_is_named(activate: Activate, stack: ExitStack) -> None:
    datagrams = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    connected, _ = [stack.enter_context(each) for each in socket.socketpair()]
    printed = output(activate("""
        from ropewalk.internet import endpoints, reactor
        from ropewalk.internet.protocol import Factory
        for index in range(3):
            try:
                endpoint = endpoints.serverFromString(reactor, f"systemd:index={index}")
                endpoint.listen(Factory()).addErrback(lambda failure: print(failure.type.__name__))
            except ValueError as error:
                print(error)
    """, [datagrams, connected], LISTEN_FDS="3")).splitlines()
    no_stream = "descriptor 3 is no stream socket of INET or INET6 or UNIX, but AF_INET, SOCK_DGRAM"
    assert printed[0] == f"systemd:index=0: position 14: {no_stream}"
    assert printed[1] in ("OSError", "CannotListenError")   # Accept=yes passes connections
    assert printed[2] == "systemd:index=2: position 14: descriptor 5 cannot be listened at: bad file descriptor"
