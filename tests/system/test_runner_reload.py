"""SIGHUP: the service is made anew, in the same process, and no client notices."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from runner_children import LINES, PATIENCE, Running, answer, application, asked, eventually, is_refused, run, running

from ropewalk.internet.main import reactors

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP here")


def reload(app: Running, port: int, expected: bytes) -> None:
    """Send SIGHUP, and wait until a new connection is answered by `expected`."""
    app.process.send_signal(signal.SIGHUP)
    eventually(lambda: asked(port).split()[0] == expected)


@pytest.mark.usefixtures("display")
@pytest.mark.parametrize("row", reactors(), ids=lambda row: row.name)
def test_a_reload_runs_the_new_file_and_leaves_connections_to_the_old_one(row: Any, tmp_path: Path) -> None:
    if row.why_not is not None:
        pytest.skip(row.why_not)
    file = application(tmp_path)
    with running("-r", row.name, "-y", file) as app, app.connect() as old:
        assert answer(old) == b"first hello"
        application(tmp_path, LINES.replace("first", "second"))
        reload(app, app.port, b"second")
        assert answer(old, b"again") == b"first again"
        old.close()
        assert app.end() == (-signal.SIGTERM, "")


def test_no_client_is_refused_or_reset_while_it_reloads(tmp_path: Path) -> None:
    file = application(tmp_path)
    answers: list[bytes] = []
    errors: list[BaseException] = []
    over = threading.Event()

    def load(port: int) -> None:
        while not over.is_set():
            try:
                answers.append(asked(port))
            except BaseException as error:
                errors.append(error)

    with running("-y", file) as app:
        clients = [threading.Thread(target=load, args=[app.port]) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            for word in ("second", "third", "fourth", "fifth"):
                application(tmp_path, LINES.replace("first", word))
                reload(app, app.port, word.encode())
                so_far = len(answers)
                eventually(lambda so_far=so_far: len(answers) > so_far + 20)
        finally:
            over.set()
            for client in clients:
                client.join()
        assert app.end() == (-signal.SIGTERM, "")
    assert errors == []
    assert {line.split()[0] for line in answers} <= {b"first", b"second", b"third", b"fourth", b"fifth"}
    assert not [line for line in answers if not line.endswith(b" hello")]


@pytest.mark.parametrize(
    "broken", ["1 / 0", "(", "import sys; sys.exit(1)", "application = None", "x = 1", "BAD_SERVICE"]
)
def test_a_file_that_is_broken_now_leaves_the_service_as_it_is(broken: str, tmp_path: Path) -> None:
    bad_service = LINES + "class Bad(service.Service):\n    def startService(self):\n        raise ValueError('bad')\n"
    bad_service += "Bad().setServiceParent(application)"
    with running("-v", "-l", str(tmp_path / "log"), "-y", application(tmp_path)) as app:
        application(tmp_path, bad_service if broken == "BAD_SERVICE" else broken)
        app.process.send_signal(signal.SIGHUP)
        eventually(lambda: "the service goes on as it was" in (tmp_path / "log").read_text())
        for _ in range(10):
            assert asked(app.port) == b"first hello"
        application(tmp_path, LINES.replace("first", "second"))
        reload(app, app.port, b"second")
        assert app.end() == (-signal.SIGTERM, "")


def test_the_modules_beside_the_file_are_imported_anew(tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text("WORD = b'first'")
    file = application(tmp_path, LINES.replace('WORD = b"first"', "from words import WORD"))
    with running("-y", file) as app:
        assert asked(app.port) == b"first hello"
        (tmp_path / "words.py").write_text("WORD = b'second one'")   # another size: the .pyc of the same second
        reload(app, app.port, b"second")
        assert app.end() == (-signal.SIGTERM, "")


def test_an_object_of_a_module_is_reloaded_too(tmp_path: Path) -> None:
    application(tmp_path, name="mysite.py")
    with running("run", "mysite:application", cwd=tmp_path) as app:
        assert asked(app.port) == b"first hello"
        application(tmp_path, LINES.replace("first", "second!"), name="mysite.py")
        reload(app, app.port, b"second!")
        assert app.end() == (-signal.SIGTERM, "")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no UNIX sockets here")
def test_a_unix_socket_keeps_its_place_and_is_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "s"

    def ask() -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(path))
            return answer(client)

    with running("-y", application(tmp_path, endpoint=f"unix:{path}")) as app:
        inode = path.stat().st_ino
        for word in ("second", "third"):
            application(tmp_path, LINES.replace("first", word), endpoint=f"unix:{path}")
            app.process.send_signal(signal.SIGHUP)
            eventually(lambda word=word: ask().split()[0] == word.encode())
        assert path.stat().st_ino == inode
        assert app.end() == (-signal.SIGTERM, "")
    assert not path.exists()


def test_a_socket_that_is_named_by_its_number_is_kept(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, number = listener.getsockname()[1], listener.fileno()
        log, file = tmp_path / "log", application(tmp_path, endpoint=f"fd:{number}")
        with running("-v", "-l", str(log), "-y", file, pass_fds=[number]) as app:
            listener.close()
            assert app.port == port
            for word in ("second", "third"):
                application(tmp_path, LINES.replace("first", word), endpoint=f"fd:{number}")
                reload(app, port, word.encode())
            application(tmp_path, f"{LINES}\n1 / 0", endpoint=f"fd:{number}")
            app.process.send_signal(signal.SIGHUP)
            eventually(lambda: "the service goes on as it was" in log.read_text())
            application(tmp_path, LINES.replace("first", "fourth"), endpoint=f"fd:{number}")
            reload(app, port, b"fourth")
            assert app.end()[0] == -signal.SIGTERM


def test_a_reload_may_listen_elsewhere(tmp_path: Path) -> None:
    with running("-y", application(tmp_path)) as app:
        application(tmp_path, LINES.replace("{endpoint}", f"unix:{tmp_path / 's'}"))
        app.process.send_signal(signal.SIGHUP)
        eventually((tmp_path / "s").exists)
        eventually(lambda: is_refused(app))
        assert app.end() == (-signal.SIGTERM, "")


def test_a_built_in_command_reloads_too(tmp_path: Path) -> None:
    with running("-v", "-l", str(tmp_path / "log"), "echo", "tcp:0:interface=127.0.0.1") as app:
        app.process.send_signal(signal.SIGHUP)
        eventually(lambda: "INFO ropewalk.runner: reloaded" in (tmp_path / "log").read_text())
        assert asked(app.port) == b"hello"
        assert app.end() == (-signal.SIGTERM, "")


def test_privileged_ports_stay_open_when_the_privileges_are_gone(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give privileges up")
    if sys.platform == "linux" and int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) < 700:
        pytest.skip("no port is privileged here")
    tmp_path.chmod(0o755)
    tmp_path.parent.chmod(0o755)
    tmp_path.parent.parent.chmod(0o755)
    file = application(tmp_path, endpoint="tcp:699:interface=127.0.0.1")
    with running("--uid", "nobody", "-y", file) as app:
        application(tmp_path, LINES.replace("first", "second"), endpoint="tcp:699:interface=127.0.0.1")
        reload(app, 699, b"second")
        assert app.end() == (-signal.SIGTERM, "")


def test_a_program_without_an_application_is_not_reloaded(tmp_path: Path) -> None:
    text = """
        import os, signal
        from ropewalk.internet import reactor
        reactor.callWhenRunning(os.kill, os.getpid(), signal.SIGHUP)
        reactor.callLater(0.1, reactor.stop)
    """
    ended = run("-y", application(tmp_path, text))
    assert ended.returncode == 0
    assert "not reloaded: the program has no application" in ended.stderr
