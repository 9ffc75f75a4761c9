"""The log of the command: where it goes, what it looks like; when it is rotated, or cannot be written."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from runner_children import LINES, answer, application, eventually, one_line, run, running, with_modules

only_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may do that")
only_unix = pytest.mark.skipif(not hasattr(os, "fork"), reason="Unix's")

# Logs each line that comes.
LOGS = LINES.replace(
    "        self.sendLine(",
    "        logging.getLogger('mine').info('got %s', line.decode())\n        self.sendLine(",
).replace("import os", "import logging")

SAYS = """
import logging, sys
log = logging.getLogger("mine")
log.debug("a detail")
log.info("it %s", "happens", extra={"user": "jane", "thing": {1}})
log.warning("take care")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it failed")
sys.exit(0)
"""


def test_the_log_is_text_on_standard_error_and_tells_of_warnings(tmp_path: Path) -> None:
    ended = run("-y", application(tmp_path, SAYS))
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert lines[0].endswith(" WARNING mine: take care")
    assert lines[1].endswith(" ERROR mine: it failed")
    assert lines[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["-v"], 3), (["-vv"], 4), (["--log-level", "critical"], 0), (["--log-level", "ERROR"], 1),
        (["--log-level", "debug"], 4),
    ],
)
def test_what_is_logged_is_what_was_asked_for(arguments: list[str], count: int, tmp_path: Path) -> None:
    ended = run(*arguments, "-y", application(tmp_path, SAYS))
    assert sum(" mine: " in line for line in ended.stderr.splitlines()) == count


def test_json_is_one_object_a_line_with_what_the_program_has_added(tmp_path: Path) -> None:
    ended = run("-v", "--log-format", "json", "-y", application(tmp_path, SAYS))
    info, warning, error = [json.loads(line) for line in ended.stderr.splitlines()]
    assert info.pop("time").endswith("Z")
    assert info == {"level": "info", "logger": "mine", "message": "it happens", "user": "jane", "thing": "{1}"}
    assert (warning["level"], warning["message"]) == ("warning", "take care")
    assert error["exception"].startswith("Traceback")
    assert error["exception"].endswith("ZeroDivisionError: division by zero")


def test_the_log_goes_to_a_file_to_which_it_is_added(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("before\n")
    ended = run("--logfile", str(log), "-y", application(tmp_path, SAYS))
    assert ended.stderr == ""
    assert log.read_text().startswith("before\n")
    assert "take care" in log.read_text()


def test_a_dash_is_standard_output(tmp_path: Path) -> None:
    ended = run("-l", "-", "-y", application(tmp_path, SAYS))
    assert ended.stderr == ""
    assert "take care" in ended.stdout


def test_a_log_that_cannot_be_opened_is_an_error_before_anything_runs(tmp_path: Path) -> None:
    ended = run("-l", str(tmp_path / "nowhere" / "log"), "-y", application(tmp_path, SAYS))
    assert ended.returncode == 73
    assert "no such file or directory" in one_line(ended.stderr)


# -- rotation


@only_unix
def test_the_signal_usr1_begins_a_new_file_and_keeps_the_old_ones(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with running("-v", "-l", str(log), "-y", application(tmp_path, LOGS)) as app, app.connect() as client:
        for number in range(3):
            answer(client, b"line %d" % number)
            app.process.send_signal(signal.SIGUSR1)
            eventually(lambda number=number: (tmp_path / f"a.log.{number + 1}").exists())
        answer(client, b"line 3")
        client.close()
        assert app.end() == (-signal.SIGTERM, "")
    for name, line in {"a.log": 3, "a.log.1": 2, "a.log.2": 1, "a.log.3": 0}.items():
        assert f"got line {line}\n" in (tmp_path / name).read_text()
    assert (tmp_path / "a.log").read_text().count("got") == 1


@only_unix
def test_a_file_that_somebody_has_moved_away_is_begun_anew(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with running("-v", "-l", str(log), "-y", application(tmp_path, LOGS)) as app, app.connect() as client:
        log.rename(tmp_path / "moved")
        answer(client, b"one")
        app.process.send_signal(signal.SIGUSR1)
        eventually(log.exists)
        answer(client, b"two")
        client.close()
        app.end()
    assert "got one" in (tmp_path / "moved").read_text()
    assert "got two" in log.read_text()
    assert len(list(tmp_path.glob("a.log*"))) == 1


# -- a full disk


@only_root
def test_a_service_goes_on_when_the_disk_of_its_log_is_full_and_says_how_much_is_missing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"nothing may be mounted here: {mounted.stderr.decode().strip()}")
    try:
        with running("-v", "-l", str(disk / "log"), "-y", application(tmp_path, LOGS)) as app, app.connect() as client:
            for _ in range(100):
                assert answer(client, b"x" * 2000) == b"first " + b"x" * 2000
            (disk / "log").write_bytes(b"")
            assert answer(client, b"after") == b"first after"
            client.close()
            log = (disk / "log").read_text()
            code, said = app.end()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    assert code == -signal.SIGTERM
    assert said.count("\n") == 1
    assert "no space left on device; the service goes on" in said
    assert "lines could not be written before\n" in log
    assert log.endswith("got after\n")


# -- syslog, and handlers of the program's


@contextlib.contextmanager
def log_daemon() -> Iterator[socket.socket]:
    """The socket of a log daemon: /dev/log, for this test."""
    if os.path.exists("/dev/log"):
        pytest.skip("a log daemon runs here")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind("/dev/log")
        made.settimeout(30)
        try:
            yield made
        finally:
            os.unlink("/dev/log")


@only_root
def test_syslog_gets_each_line_with_its_priority_and_the_prefix(tmp_path: Path) -> None:
    with log_daemon() as log:
        assert run("--syslog", "--prefix", "shop", "-y", application(tmp_path, SAYS)).stderr == ""
        warning, error = log.recv(10_000).decode(), log.recv(10_000).decode()
    assert warning.startswith(f"<{3 * 8 + 4}>shop[")   # the facility daemon, the priority warning: RFC 3164
    assert warning.rstrip("\0").endswith("]: WARNING mine: take care")
    assert error.startswith(f"<{3 * 8 + 3}>shop[")


@only_unix
@pytest.mark.skipif(os.path.exists("/dev/log"), reason="a log daemon runs here")
def test_syslog_without_a_log_daemon_is_an_error() -> None:
    ended = run("--syslog", "echo", "tcp:0")
    assert ended.returncode == 69
    assert "/dev/log" in one_line(ended.stderr)


def test_a_handler_of_the_programs_takes_the_place_of_ours(tmp_path: Path) -> None:
    (tmp_path / "mylogs.py").write_text(textwrap.dedent("""
        import logging, sys
        class Shouting(logging.Handler):
            def emit(self, record):
                print(record.getMessage().upper())
        def nothing():
            return None
    """))
    file, variables = application(tmp_path, SAYS), with_modules(tmp_path)

    def with_handler(name: str) -> subprocess.CompletedProcess[str]:
        return run("--logger", name, "-y", file, env=variables)

    ended = with_handler("mylogs.Shouting")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "TAKE CARE\nIT FAILED\n", "")
    wrong = {"mylogs.Nobody": "Nobody", "nomodule.x": "nomodule", "mylogs.nothing": "no logging.Handler"}
    for name, why in wrong.items():
        ended = with_handler(name)
        assert ended.returncode == 64
        assert why in one_line(ended.stderr)


def test_two_places_for_one_log_are_a_usage_error() -> None:
    ended = run("--logger", "a.b", "-l", "log", "echo", "tcp:0")
    assert ended.returncode == 64
    assert "exclude each other" in one_line(ended.stderr)
