"""The command under systemd: what it is told, the watchdog, and sockets that are passed on, by name."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from runner_children import LINES, PATIENCE, ROPEWALK, answer, application, asked, environment, run, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is part of Linux alone")

# What systemd does after fork: the descriptors from 3 on, LISTEN_PID the process that it execs in.
LAUNCHER = """
import fcntl, os, sys
passed, command = sys.argv[1].split(","), sys.argv[2:]
away = [fcntl.fcntl(int(number), fcntl.F_DUPFD_CLOEXEC, 100) for number in passed]
for number, descriptor in enumerate(away, 3):
    os.dup2(descriptor, number, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(passed)))
os.execv(command[0], command)
"""


class Manager:
    """systemd's end of the notify socket."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.socket.settimeout(PATIENCE)
        self.address = address

    def told(self) -> dict[str, str]:
        """The next message; its variables."""
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))

    def told_of(self, variable: str) -> dict[str, str]:
        """The next message that has `variable`."""
        while variable not in (message := self.told()):
            pass
        return message


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify") if request.param == "path" else f"@ropewalk-test-{os.getpid()}")
    with made.socket:
        yield made


def test_systemd_is_told_when_it_is_ready_reloads_and_stops(manager: Manager, tmp_path: Path) -> None:
    file = application(tmp_path)
    with running("-y", file, env=environment(NOTIFY_SOCKET=manager.address)) as app:
        ready = manager.told()
        assert ready == {"READY": "1", "MAINPID": str(app.process.pid), "STATUS": f"listening on {app.endpoint}"}
        assert asked(app.port) == b"first hello"
        before = time.monotonic_ns() // 1000
        app.process.send_signal(signal.SIGHUP)
        reloading = manager.told()
        assert reloading["RELOADING"] == "1"
        assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        assert manager.told() == ready
        app.process.send_signal(signal.SIGTERM)
        assert manager.told()["STOPPING"] == "1"
        assert app.wait() == (-signal.SIGTERM, "")


def test_nothing_is_said_before_it_is_ready(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    with manager.socket, socket.create_server(("127.0.0.1", 0)) as taken:
        text = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        assert run("echo", text, env=environment(NOTIFY_SOCKET=manager.address)).returncode == 74
        assert select.select([manager.socket], [], [], 0)[0] == []


def test_children_do_not_inherit_the_way_to_systemd(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    text = f"{LINES}\nprint([name for name in os.environ if name.startswith(('NOTIFY', 'WATCHDOG'))])"
    with manager.socket:
        variables = environment(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="1000000")
        assert run("--check", "-y", application(tmp_path, text), env=variables).stdout.startswith("[]\n")


def test_the_watchdog_is_fed_while_the_loop_turns_and_starves_when_it_hangs(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    text = LINES.replace("        self.sendLine(WORD", "        import time; time.sleep(1)\n        self.sendLine(WORD")
    variables = environment(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="200000")
    with manager.socket, running("-y", application(tmp_path, text), env=variables) as app:
        fed = []
        for _ in range(4):
            assert manager.told_of("WATCHDOG") == {"WATCHDOG": "1"}
            fed.append(time.monotonic())
        assert fed[-1] - fed[0] >= 0.25, "at half of its time, not all the time"
        with app.connect() as client:
            client.sendall(b"hang\n")
            client.recv(1)
        times = [time.monotonic()]
        while select.select([manager.socket], [], [], 0)[0]:
            manager.told()
            times.append(time.monotonic())
        assert len(times) <= 4, "it was fed while the loop hung"


def test_a_watchdog_for_another_process_is_not_fed(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    variables = environment(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="1000", WATCHDOG_PID="1")
    with manager.socket, running("-y", application(tmp_path), env=variables) as app:
        manager.told_of("READY")
        assert asked(app.port) == b"first hello"
        assert app.end()[0] == -signal.SIGTERM
        assert "STOPPING" in manager.told()


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/notify", "@nobody-listens-here"])
def test_a_manager_that_is_not_there_disturbs_nobody(address: str, tmp_path: Path) -> None:
    ended = run("--check", "-y", application(tmp_path), env=environment(NOTIFY_SOCKET=address, WATCHDOG_USEC="x"))
    assert (ended.returncode, ended.stderr) == (0, "")


# -- socket activation


def test_sockets_are_adopted_by_their_names_and_survive_a_reload(tmp_path: Path) -> None:
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        ports = [listener.getsockname()[1] for listener in listeners]
        passed = [listener.fileno() for listener in listeners]
        file = application(tmp_path, endpoint="systemd:name=web")
        command = [sys.executable, "-c", LAUNCHER, ",".join(map(str, passed)), *ROPEWALK]
        variables = environment(LISTEN_FDNAMES="other:web")
        manager = Manager(str(tmp_path / "notify"))
        stack.callback(manager.socket.close)
        variables["NOTIFY_SOCKET"] = manager.address
        app = stack.enter_context(running("-y", file, command=command, pass_fds=passed, env=variables))
        assert app.port == ports[1]
        assert asked(ports[1]) == b"first hello"
        for word in ("second", "third"):
            Path(file).write_text(Path(file).read_text().replace("first", word).replace("second", word))
            app.process.send_signal(signal.SIGHUP)
            manager.told_of("RELOADING")
            manager.told_of("READY")
            assert asked(ports[1]) == word.encode() + b" hello"
        assert app.end() == (-signal.SIGTERM, "")


def test_a_daemon_gets_the_sockets_too(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, passed = listener.getsockname()[1], listener.fileno()
        command = [sys.executable, "-c", LAUNCHER, str(passed), *ROPEWALK, "--daemon", "--rundir", str(tmp_path)]
        command += ["--pidfile", str(tmp_path / "pid"), "-y", application(tmp_path, endpoint="systemd:name=web")]
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, pass_fds=[passed],
            env=environment(LISTEN_FDNAMES="web"),
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
            assert answer(client) == b"first hello"
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
