"""What the system tests share: Python programs in child processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

PATIENCE = 60   # seconds that a child may take

Child = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**extra: str) -> dict[str, str]:
    """This process's environment without our own variables, and with `extra`."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ROPEWALK_")} | extra


@pytest.fixture
def child(tmp_path: Path) -> Child:
    """Runs a program in a child process to its end: child(program, **environment)."""

    def run(program: str, **extra: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "program.py"
        file.write_text(textwrap.dedent(program), encoding="utf-8")
        command = [sys.executable, "-W", "error", str(file)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, env=environment(**extra), cwd=tmp_path
        )

    return run


@pytest.fixture
def succeeds(child: Child) -> Callable[..., str]:
    """As `child`, for a program that must end well and say nothing on stderr; what it printed."""

    def run(program: str, **extra: str) -> str:
        ended = child(program, **extra)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout.strip()

    return run
