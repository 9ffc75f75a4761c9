"""The command in the background: --daemon, the pidfile, --umask and --rundir."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from runner_children import LINES, application, asked, eventually, free_port, is_alive, one_line, run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="daemons are Unix's")


@contextmanager
def daemon(folder: Path, *arguments: str) -> Iterator[int]:
    """The process number of a daemon whose pidfile is in `folder`; it is stopped by that at the end."""
    pidfile = folder / "pid"
    ended = run("--daemon", "--pidfile", str(pidfile), "--rundir", str(folder), *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    pid = int(pidfile.read_text())
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not is_alive(pid))
    assert not pidfile.exists()


def test_a_daemon_serves_when_the_command_returns_and_is_stopped_by_its_pidfile(tmp_path: Path) -> None:
    port = free_port()
    with daemon(tmp_path, "-y", application(tmp_path, endpoint=f"tcp:{port}:interface=127.0.0.1")) as pid:
        assert asked(port) == b"first hello"
        assert is_alive(pid)
    with pytest.raises(ConnectionRefusedError):
        asked(port)


def test_a_daemon_has_no_terminal_leads_no_session_and_has_its_own_descriptors(tmp_path: Path) -> None:
    with daemon(tmp_path, "-y", application(tmp_path)) as pid:
        session, terminal = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3:5]
        assert int(session) not in (pid, os.getsid(0))
        assert terminal == "0"
        assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)} == {os.devnull}
        assert os.readlink(f"/proc/{pid}/cwd") == str(tmp_path)


def test_a_daemon_has_a_log_and_a_umask_that_keeps_others_out(tmp_path: Path) -> None:
    text = f"{LINES}\nimport logging\nlogging.getLogger('mine').info('loaded')\n"
    text += f"open({str(tmp_path / 'made')!r}, 'w').close()"
    with daemon(tmp_path, "-y", application(tmp_path, text)):
        pass
    assert "INFO mine: loaded\n" in (tmp_path / "ropewalk.log").read_text()
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "ropewalk.log").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("where", [["--daemon"], []])
def test_the_umask_is_the_one_asked_for(where: list[str], tmp_path: Path) -> None:
    text = f"import sys\nopen({str(tmp_path / 'made')!r}, 'w').close()\nsys.exit(3)"
    assert run(*where, "--rundir", str(tmp_path), "-l", str(tmp_path / "log"), "--umask", "027", "-y",
               application(tmp_path, text)).returncode == 3
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("text", ["9", "1000", "-1", "rwx"])
def test_a_umask_that_is_none_is_a_usage_error(text: str) -> None:
    ended = run("--umask", text, "echo", "tcp:0")
    assert ended.returncode == 64
    assert "octal" in one_line(ended.stderr)


def test_the_application_is_loaded_before_the_folder_changes(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    application(tmp_path, f"{LINES}\nfrom ropewalk.internet import reactor\nimport os\n"
                          "reactor.callWhenRunning(lambda: print(os.getcwd()))")
    ended = run("-n", "--check", "--rundir", "there", "-y", "app.tac", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert str(tmp_path / "there") in ended.stdout


# -- a start that fails


def test_a_daemon_that_cannot_start_says_why_in_front_and_gives_its_exit_code(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        ended = run("--daemon", "--rundir", str(tmp_path), "--pidfile", str(tmp_path / "pid"), "echo", text)
    assert ended.returncode == 74
    assert "address already in use" in one_line(ended.stderr)
    assert not (tmp_path / "pid").exists()


def test_a_daemon_whose_file_raises_prints_the_traceback_in_front(tmp_path: Path) -> None:
    ended = run("--daemon", "--rundir", str(tmp_path), "-y", application(tmp_path, "1 / 0"))
    assert ended.returncode == 70
    assert "ZeroDivisionError" in ended.stderr


def test_a_daemon_that_is_killed_while_it_starts_is_an_error(tmp_path: Path) -> None:
    text = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    ended = run("--daemon", "--rundir", str(tmp_path), "-y", application(tmp_path, text))
    assert ended.returncode == 70
    assert "killed before it was up" in one_line(ended.stderr)


@pytest.mark.parametrize(
    "arguments", [["--nodaemon"], ["--debug"], ["--check"], ["--logfile", "-"]], ids=lambda arguments: arguments[0]
)
def test_what_a_daemon_cannot_do_is_a_usage_error(arguments: list[str]) -> None:
    ended = run("--daemon", *arguments, "echo", "tcp:0")
    assert ended.returncode == 64
    one_line(ended.stderr)


# -- the pidfile


def test_the_pidfile_of_a_live_process_keeps_another_from_starting(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    pidfile.write_text(f"{os.getpid()}\n")
    ended = run("--pidfile", str(pidfile), "echo", "tcp:0")
    assert ended.returncode == 78
    assert f"it runs already, as process {os.getpid()}: {pidfile} says so" in one_line(ended.stderr)
    assert pidfile.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("left", ["dead", "empty"])
def test_the_pidfile_of_a_dead_process_is_replaced(left: str, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    (tmp_path / "pid").write_text(f"{dead.pid}\n" if left == "dead" else "")
    with daemon(tmp_path, "echo", "tcp:0:interface=127.0.0.1") as pid:
        assert pid != dead.pid


def test_a_pidfile_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text("my diary")
    ended = run("--pidfile", str(tmp_path / "pid"), "echo", "tcp:0")
    assert ended.returncode == 73
    assert "is no pidfile" in one_line(ended.stderr)
    assert (tmp_path / "pid").read_text() == "my diary"


@pytest.mark.parametrize("path", ["nowhere/pid", "."])
def test_a_pidfile_that_cannot_be_written_is_an_error_before_anything_runs(path: str, tmp_path: Path) -> None:
    ended = run("--pidfile", str(tmp_path / path), "echo", "tcp:0:interface=127.0.0.1")
    assert ended.returncode == 73
    assert "cannot be" in one_line(ended.stderr)
    assert ended.stdout == ""


def test_without_the_option_there_is_no_pidfile(tmp_path: Path) -> None:
    assert run("--check", "--rundir", str(tmp_path), "echo", "tcp:0:interface=127.0.0.1", cwd=tmp_path).returncode == 0
    assert list(tmp_path.iterdir()) == []
