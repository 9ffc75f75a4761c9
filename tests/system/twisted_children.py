"""Running programs of Twisted's in child processes."""

from __future__ import annotations

import contextlib
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import PATIENCE, environment

LOCAL = "tcp:0:interface=127.0.0.1"
TROUBLE = "Traceback|Unhandled|Error"   # in a log


def needs(*packages: str) -> None:
    for package in packages:
        pytest.importorskip(package, reason=f"{package} is not installed; pip install 'ropewalk[programs]' has it")


def tool(command: str, *arguments: str) -> list[str]:
    """The command line of a command that was installed beside this Python."""
    return [str(Path(sys.executable).with_name(command)), *arguments]


def run(command: list[str], folder: Path) -> str:
    """Run a command, which must end well; what it printed."""
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment(), cwd=folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    return ended.stdout


class Running:
    """A program that serves, in a child process; it logs where. port: that port, when it does."""

    port = 0

    def __init__(self, command: list[str], folder: Path) -> None:
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(), cwd=folder
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        """Take what it prints, so that it never waits for us."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def says(self, pattern: str) -> str:
        """Wait for a line that has `pattern`; the pattern's group."""
        while True:
            line = self._lines.get(timeout=PATIENCE)
            assert line, f"it ended; it said: {''.join(self._said)}"
            self._said.append(line)
            if found := re.search(pattern, line):
                return found[1]

    def end(self, status: int) -> None:
        """Ask it to end, which it must do with `status`, after a life without errors."""
        self.process.terminate()
        assert self.process.wait(PATIENCE) == status
        self._reader.join()
        self._said += iter(self._lines.get, "")
        said = "".join(self._said)
        assert not re.search(TROUBLE, said), said

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextlib.contextmanager
def running(command: list[str], folder: Path, status: int = 0) -> Iterator[Running]:
    """A program that serves while the block runs, and ends with `status` when it is terminated."""
    program = Running(command, folder)
    try:
        program.port = int(program.says(r"starting on (\d+)"))
        yield program
        program.end(status)
    finally:
        program.kill()
