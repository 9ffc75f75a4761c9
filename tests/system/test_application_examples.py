"""The promise of the howto: a .tac and a plugin that never mention a reactor run on every one that this machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from signal import SIGTERM

import pytest
from runner_children import LOCAL, PATIENCE, asked, environment, one_line, run, running

from ropewalk.core import choose

EXAMPLES = Path(__file__).parents[2] / "examples"
TAC = str(EXAMPLES / "visitors.tac")

COMMAND = [sys.executable, "-m", "ropewalk"]   # some toolkits warn when they are imported

on_every_reactor = pytest.mark.parametrize("reactor", choose.CHOICES)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The PYTHONPATH with which the plugin `shout` is installed."""
    folder = str(tmp_path_factory.mktemp("plugins"))
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--target", folder]
    command = [sys.executable, "-m", "pip", "install", *options, str(EXAMPLES / "shout")]
    subprocess.run(command, check=True, timeout=PATIENCE, capture_output=True)
    return os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))


def needs(reactor: str) -> None:
    reason = choose.why_not(reactor)
    if reason is not None:
        pytest.skip(f"{reactor}: {reason}")


def test_neither_mentions_a_reactor_but_to_say_so() -> None:
    for file in (TAC, EXAMPLES / "shout" / "shout.py"):
        code = Path(file).read_text(encoding="utf-8").rpartition('"""\n\n')[2].partition('"""')[0]
        assert "reactor" not in code


@on_every_reactor
def test_the_application_file_runs_on(reactor: str, display: None) -> None:
    needs(reactor)
    with running("-r", reactor, "-y", TAC, command=COMMAND, env=environment(VISITORS_AT=LOCAL)) as app:
        assert [asked(app.port, b"") for _ in range(2)] == [b"you are visitor 1", b"you are visitor 2"]
        assert app.end()[0] == -SIGTERM


@on_every_reactor
def test_the_plugin_runs_on(reactor: str, plugin: str, display: None) -> None:
    needs(reactor)
    how = {"command": COMMAND, "env": environment(PYTHONPATH=plugin)}
    with running("-r", reactor, "shout", LOCAL, "--loud", **how) as app:
        assert asked(app.port, b"hello") == b"HELLO!"
        assert app.end()[0] == -SIGTERM


def test_the_plugin_is_listed_with_what_it_does(plugin: str) -> None:
    listed = run("--help", env=environment(PYTHONPATH=plugin)).stdout
    assert "shout" in listed
    assert "in capitals" in listed


def test_the_plugin_is_told_of_an_endpoint_that_is_wrong(plugin: str) -> None:
    ended = run("shout", "tpc:0", env=environment(PYTHONPATH=plugin))
    assert ended.returncode == 64
    assert "tpc" in one_line(ended.stderr)
