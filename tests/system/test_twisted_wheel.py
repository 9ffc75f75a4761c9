"""The wheel, installed in a new environment: Twisted finds our reactors there, and has its own package to itself."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import ropewalk

PROJECT = Path(ropewalk.__file__).parents[2]
PATIENCE = 120   # seconds that a command may take
CASE = """
from twisted.internet import reactor
from twisted.trial.unittest import TestCase


class Case(TestCase):
    def test(self):
        self.assertEqual(("ropewalk.twisted", "PollReactor"), (type(reactor).__module__, type(reactor).__name__))
"""


def run(*command: object, folder: Path) -> str:
    """What `command` prints; an AssertionError if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, cwd=folder, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, folder=PROJECT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel, and Twisted from this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    theirs = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", theirs))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return Path(sysconfig.get_path("scripts", "venv", theirs)) / "python"


def test_the_wheel_brings_a_plugin_and_no_package_called_twisted(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        theirs = [name for name in archive.namelist() if name.startswith("twisted/")]
    assert theirs == ["twisted/plugins/ropewalk_reactors.py"]


def test_it_is_the_wheel_that_is_imported(python: Path, tmp_path: Path) -> None:
    place = run(python, "-c", "import ropewalk; print(ropewalk.__file__)", folder=tmp_path)
    assert Path(place.strip()).is_relative_to(python.parents[1])


def test_twistd_lists_the_reactors(python: Path, tmp_path: Path) -> None:
    listed = run(
        python, "-c", "from twisted.scripts.twistd import run; run()", "--help-reactors", folder=tmp_path
    )
    names = [line.split()[0] for line in listed.splitlines() if line.strip()]
    assert {"ropewalk-epoll", "ropewalk-poll", "ropewalk-select"} <= set(names)
    assert "epoll" in names   # Twisted's own are still there


def test_trial_runs_on_the_reactor_that_is_named(python: Path, tmp_path: Path) -> None:
    (tmp_path / "test_case.py").write_text(CASE, encoding="utf-8")
    told = run(python, "-m", "twisted.trial", "--reactor", "ropewalk-poll", "test_case", folder=tmp_path)
    assert "PASSED" in told
