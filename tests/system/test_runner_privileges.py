"""What the command may do: it binds as root, and then is somebody else, somewhere else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from runner_children import LINES, PATIENCE, ROPEWALK, answer, application, environment, one_line, run, running

pwd = pytest.importorskip("pwd")
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else, and change the root")

# What /proc says of the process, as an answer to each line.
STATUS = LINES.replace("self.sendLine(WORD", "self.sendLine(status()").replace("WORD = ", """
def status():
    with open("/proc/self/status", "rb") as file:
        return b" ".join(line.strip() for line in file if line[:3] in (b"Uid", b"Gid", b"Gro"))

WORD = """)
POWERLESS = ["setpriv", "--bounding-set=-setuid,-setgid,-sys_chroot"]   # root without these capabilities(7)


@pytest.fixture
def nobody() -> Any:
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        pytest.skip("there is no user nobody here")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that others may enter."""
    for each in (tmp_path, *tmp_path.parents[:2]):
        each.chmod(0o755)
    return tmp_path


def powerless(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, to its end, without the capabilities that it needs."""
    if shutil.which("setpriv") is None:
        pytest.skip("there is no setpriv here: it is part of util-linux")
    command = [*POWERLESS, *ROPEWALK, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment())


def ids(said: bytes) -> dict[str, list[str]]:
    """Uid: real, effective, saved, of the file system; Gid: likewise; Groups."""
    found: dict[str, list[str]] = {}
    for word in said.decode().split():
        if word.endswith(":"):
            found[word[:-1]] = []
        else:
            found[list(found)[-1]].append(word)
    return found


@only_root
@pytest.mark.parametrize("by", ["name", "number", "group", "the application"])
def test_privileges_are_given_up_once_the_port_is_bound(by: str, folder: Path, nobody: Any) -> None:
    uid, gid = nobody.pw_uid, 4242 if by == "group" else nobody.pw_gid
    arguments = {
        "name": ["--uid", "nobody"], "number": ["-u", str(uid)], "group": ["-u", "nobody", "-g", "4242"],
        "the application": [],
    }[by]
    text = STATUS.replace('("lines")', f'("lines", uid={uid}, gid={gid})') if by == "the application" else STATUS
    file = application(folder, text, endpoint="tcp:698:interface=127.0.0.1")
    with running(*arguments, "--pidfile", str(folder / "pid"), "-y", file) as app, app.connect() as client:
        found = ids(answer(client).removesuffix(b" hello"))
        client.close()
        assert app.end() == (-signal.SIGTERM, "")
    assert found["Uid"] == [str(uid)] * 4
    assert found["Gid"] == [str(gid)] * 4
    assert "0" not in found["Groups"], "the groups of root"
    assert (folder / "pid").read_text() == "", "it could not be removed any more"


@only_root
def test_with_euid_only_the_effective_ids_change(folder: Path, nobody: Any) -> None:
    with running("--euid", "-u", "nobody", "-y", application(folder, STATUS)) as app, app.connect() as client:
        found = ids(answer(client))
        client.close()
        assert app.end() == (-signal.SIGTERM, "")
    assert found["Uid"] == ["0", str(nobody.pw_uid), "0", str(nobody.pw_uid)]


@pytest.mark.parametrize(("option", "name"), [("--uid", "nobdy"), ("--gid", "nogruop")])
def test_an_unknown_account_is_a_usage_error_that_names_the_nearest(option: str, name: str) -> None:
    ended = run(option, name, "echo", "tcp:0")
    assert ended.returncode == 64
    assert f"{option} {name}: there is no such" in one_line(ended.stderr)
    assert "did you mean no" in ended.stderr


@only_root
def test_privileges_that_cannot_be_given_up_end_the_command(folder: Path, nobody: Any) -> None:
    ended = powerless("--uid", "nobody", "echo", "tcp:0:interface=127.0.0.1")
    assert ended.returncode == 77
    assert f"cannot become user {nobody.pw_uid}, group {nobody.pw_gid}: operation not p" in one_line(ended.stderr)
    assert ended.stdout == ""


@only_root
def test_only_root_may_change_the_root(folder: Path, nobody: Any) -> None:
    ended = powerless("--chroot", str(folder), "echo", "tcp:0:interface=127.0.0.1")
    assert ended.returncode == 77
    assert "only root may change the root" in one_line(ended.stderr)


@only_root
def test_a_root_that_is_not_there_is_a_usage_error(folder: Path) -> None:
    ended = run("--chroot", str(folder / "nowhere"), "echo", "tcp:0:interface=127.0.0.1")
    assert ended.returncode == 64
    assert "no such file or directory" in one_line(ended.stderr)


@only_root
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells")
def test_the_root_changes_and_log_and_pidfile_stay_what_they_are(folder: Path, nobody: Any) -> None:
    jail = folder / "jail"
    (jail / "var").mkdir(parents=True)
    shutil.chown(jail / "var", "nobody")
    arguments = ["--chroot", str(jail), "--uid", "nobody", "--rundir", "/var", "-v", "-l", str(jail / "var" / "log")]
    pidfile = folder / "pid"
    with running(*arguments, "--pidfile", str(pidfile), "-y", application(folder)) as app, app.connect() as client:
        assert pidfile.read_text() == f"{app.process.pid}\n"
        assert os.readlink(f"/proc/{app.process.pid}/root") == str(jail)
        assert os.readlink(f"/proc/{app.process.pid}/cwd") == str(jail / "var")
        assert answer(client) == b"first hello"
        app.process.send_signal(signal.SIGUSR1)
        assert answer(client) == b"first hello"
        client.close()
        code, said = app.end()
    assert (code, said) == (-signal.SIGTERM, "")
    assert (jail / "var" / "log.1").exists(), "rotated under the new root"
    assert pidfile.read_text() == ""


def test_the_process_is_called_as_the_application_says(tmp_path: Path) -> None:
    text = f"{LINES}\napplication.processName = 'shopkeeper'"
    if not Path("/proc/self/comm").exists():
        pytest.skip("processes have no names here")
    with running("-y", application(tmp_path, text)) as app:
        assert Path(f"/proc/{app.process.pid}/comm").read_text() == "shopkeeper\n"
        app.end()
    with running("--originalname", "-y", application(tmp_path, text)) as app:
        assert Path(f"/proc/{app.process.pid}/comm").read_text() != "shopkeeper\n"
        code, said = app.end()
    assert code == -signal.SIGTERM
    assert "deprecated" in said
