"""The contract uses every method, argument and attribute of the interfaces; measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def measure(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ropewalk.testing.surface", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=110)


def test_every_method_and_argument_is_used_by_a_behaviour(tmp_path: Path) -> None:
    table = tmp_path / "surface.md"
    ended = measure("--output", str(table))
    assert ended.returncode == 0, ended.stderr
    assert "| IReactorTCP2 | the reactor | `connectTCP` | `attemptDelay` |" in table.read_text(encoding="utf-8")


def test_a_reactor_that_there_is_not_is_an_error_that_names_it() -> None:
    ended = measure("--reactor", "nonesuch")
    assert ended.returncode == 2
    assert "nonesuch" in ended.stderr
    assert "Traceback" not in ended.stderr
