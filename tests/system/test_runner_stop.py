"""How the command ends: gracefully, at once, by a signal, by a crash; and as process 1 of a container."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from runner_children import (
    LINES,
    ROPEWALK,
    answer,
    application,
    environment,
    eventually,
    is_refused,
    one_line,
    run,
    running,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="signals are Unix's")

NEVER_STOPS = LINES + """
from ropewalk.internet.defer import Deferred
class Stubborn(service.Service):
    def stopService(self):
        print("asked to stop", flush=True)
        return Deferred()
Stubborn().setServiceParent(application)
"""


# -- the graceful stop


def test_connections_may_finish_before_the_command_ends_but_none_is_accepted(tmp_path: Path) -> None:
    with running("--grace", "60", "-y", application(tmp_path)) as app, app.connect() as client:
        answer(client)
        app.process.send_signal(signal.SIGTERM)
        eventually(lambda: is_refused(app))
        assert answer(client, b"still") == b"first still"
        client.close()
        assert app.wait() == (-signal.SIGTERM, "")


def test_none_is_accepted_by_a_socket_that_it_has_inherited_either(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        file = application(tmp_path, endpoint=f"fd:{number}")
        with running("--grace", "60", "-y", file, pass_fds=[number]) as app, app.connect() as client:
            listener.close()
            answer(client)
            app.process.send_signal(signal.SIGTERM)
            eventually(lambda: is_refused(app))
            client.close()
            assert app.wait() == (-signal.SIGTERM, "")


def test_connections_that_do_not_finish_are_closed_when_the_time_is_over(tmp_path: Path) -> None:
    with running("--grace", "0.3", "-y", application(tmp_path)) as app, app.connect() as client:
        answer(client)
        code, said = app.end()
        assert client.recv(1) == b""
    assert code == -signal.SIGTERM
    assert "1 connections have not ended within 0.3 seconds, and are closed" in said


def test_without_grace_connections_are_closed_at_once(tmp_path: Path) -> None:
    with running("--grace", "0", "-y", application(tmp_path)) as app, app.connect() as client:
        answer(client)
        assert app.end() == (-signal.SIGTERM, "")
        assert client.recv(1) == b""


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(second: int, tmp_path: Path) -> None:
    with running("--pidfile", str(tmp_path / "pid"), "-y", application(tmp_path, NEVER_STOPS)) as app:
        app.process.send_signal(signal.SIGTERM)
        assert app.process.stdout is not None
        assert app.process.stdout.readline() == "asked to stop\n"
        assert app.end(second) == (-second, "")
    assert not (tmp_path / "pid").exists()


def test_a_service_that_never_stops_is_left_when_its_time_is_over(tmp_path: Path) -> None:
    hurried = NEVER_STOPS + "from ropewalk.application.runner import run; run._STOPPING = 0.1"   # seconds, not 10
    with running("--grace", "0", "-y", application(tmp_path, hurried)) as app:
        code, said = app.end()
    assert code == -signal.SIGTERM
    assert "<Application 'lines'> has not stopped within 0.1 seconds, and is left as it is" in said


def test_a_program_without_an_application_may_finish_too(tmp_path: Path) -> None:
    before, _, _ = LINES.partition("application = ")
    text = before + """
from ropewalk.internet import reactor
port = reactor.listenTCP(0, Factory.forProtocol(Answers), interface="127.0.0.1")
print(f"listening on tcp:127.0.0.1:{port.getHost().port}", flush=True)
"""
    with running("--grace", "60", "-y", application(tmp_path, text)) as app, app.connect() as client:
        answer(client)
        app.process.send_signal(signal.SIGTERM)
        assert answer(client, b"still") == b"first still"
        client.close()
        assert app.wait() == (-signal.SIGTERM, "")


def test_a_service_that_fails_to_stop_is_logged_and_stops_nothing(tmp_path: Path) -> None:
    text = LINES + "class Bad(service.Service):\n    def stopService(self):\n        1 / 0\n"
    with running("-y", application(tmp_path, text + "application.stopService = Bad().stopService")) as app:
        code, said = app.end()
    assert code == -signal.SIGTERM
    assert "ZeroDivisionError" in said


# -- crashes


@pytest.mark.parametrize("when", ["privilegedStartService", "startService"])
def test_a_service_that_raises_as_it_starts_prints_its_traceback_and_exits_with_70(when: str, tmp_path: Path) -> None:
    text = LINES + f"class Bad(service.Service):\n    def {when}(self):\n        1 / 0\n"
    text += "Bad().setServiceParent(application)"
    ended = run("-y", application(tmp_path, text))
    assert ended.returncode == 70
    assert "ZeroDivisionError" in ended.stderr
    assert ended.stdout == ""


def test_a_service_that_fails_later_ends_the_command(tmp_path: Path) -> None:
    text = LINES + """
from ropewalk.internet import reactor
from ropewalk.internet.defer import Deferred
class Bad(service.Service):
    def startService(self):
        up = Deferred()
        reactor.callLater(0.01, up.errback, ValueError("the database is gone"))
        return up
Bad().setServiceParent(application)
"""
    ended = run("-y", application(tmp_path, text))
    assert ended.returncode == 70
    assert "ValueError: the database is gone" in ended.stderr
    assert ended.stdout == "", "it never was up"


def test_what_leaves_the_reactor_is_a_crash_with_its_exit_code(tmp_path: Path) -> None:
    text = LINES + "from ropewalk.internet import reactor\nimport sys\nreactor.callLater(0, sys.exit, 5)"
    assert run("-y", application(tmp_path, text)).returncode == 5
    text = LINES + "from ropewalk.internet import reactor\nreactor.run = lambda: 1 / 0"
    ended = run("-y", application(tmp_path, text))
    assert ended.returncode == 70
    assert "ZeroDivisionError" in ended.stderr


def test_a_reactor_that_the_program_stops_is_a_good_end(tmp_path: Path) -> None:
    text = LINES + "from ropewalk.internet import reactor\nreactor.callLater(0, reactor.stop)"
    ended = run("-y", application(tmp_path, text))
    assert (ended.returncode, ended.stderr) == (0, "")


# -- process 1


def _may_unshare() -> bool:
    try:
        return subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


in_a_container = pytest.mark.skipif(not _may_unshare(), reason="nothing may have a process 1 of its own here")
CONTAINER = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
ORPHANS = LINES + """
import subprocess, sys
orphan = "import os\\nif os.fork() == 0: os._exit(0)"
for _ in range(5):
    subprocess.run([sys.executable, "-c", orphan.replace("os._exit(0)", "__import__('time').sleep(0.05)")], check=True)
"""


def first_process(tree: int) -> int:
    """The process 1 of the container that the process `tree` has made."""
    return int(Path(f"/proc/{tree}/task/{tree}/children").read_text().split()[0])


@in_a_container
def test_process_1_is_stopped_by_sigterm_and_reaps_the_orphans(tmp_path: Path) -> None:
    with running("-y", application(tmp_path, ORPHANS), command=[*CONTAINER, *ROPEWALK]) as app:
        first = first_process(app.process.pid)

        def children() -> list[str]:
            return Path(f"/proc/{first}/task/{first}/children").read_text().split()

        eventually(lambda: len(children()) == 1)   # the command itself
        with app.connect() as client:
            assert answer(client) == b"first hello"
        os.kill(first, signal.SIGTERM)
        assert app.wait() == (128 + signal.SIGTERM, "")


@in_a_container
def test_process_1_exits_as_the_command_does() -> None:
    ended = subprocess.run([*CONTAINER, *ROPEWALK, "-y", "/nowhere"], capture_output=True, text=True, env=environment())
    assert ended.returncode == 66
    one_line(ended.stderr)


@in_a_container
def test_process_1_cannot_become_a_daemon() -> None:
    command = [*CONTAINER, *ROPEWALK, "--daemon", "echo", "tcp:0"]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert ended.returncode == 64
    assert "process 1" in one_line(ended.stderr)


# -- the terminal


def test_when_its_terminal_is_gone_it_ends_by_sighup(tmp_path: Path) -> None:
    import pty

    here, there = pty.openpty()
    starts = "import fcntl, os, sys, termios\nos.setsid()\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    starts += "os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", starts, *ROPEWALK]
    with running("-y", application(tmp_path), command=command, stdin=there) as app:
        os.close(there)
        os.close(here)
        assert app.wait() == (-signal.SIGHUP, "")
