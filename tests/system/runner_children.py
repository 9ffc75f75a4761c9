"""What the tests of the runner share: the command as a child process, the files that it runs, and who asks it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGTERM
from typing import Any

WARNINGS = [   # are errors, but for those of PyGObject, PySDL2 and PyUI
    "error", "ignore::ImportWarning", "ignore:Using SDL2 binaries from pysdl2-dll:UserWarning",
    "ignore:unclosed file:ResourceWarning",
]
ROPEWALK = [sys.executable, *(part for each in WARNINGS for part in ("-W", each)), "-m", "ropewalk"]
PATIENCE = 60   # seconds, for whatever is waited for
LOCAL = "tcp:0:interface=127.0.0.1"

STOPPED = -SIGTERM if hasattr(os, "fork") else 1   # the exit code of what SIGTERM, or TerminateProcess, has stopped

# An application that mentions no reactor. It answers each line with that line, and with the number of its process.
LINES = """
import os
from ropewalk.application import service, strports
from ropewalk.internet.protocol import Factory
from ropewalk.protocols.basic import LineReceiver

WORD = b"first"

class Answers(LineReceiver):
    delimiter = b"\\n"
    def lineReceived(self, line):
        self.sendLine(WORD + b" " + line)

application = service.Application("lines")
strports.service("{endpoint}", Factory.forProtocol(Answers)).setServiceParent(application)
"""


def environment(**extra: str) -> dict[str, str]:
    """This process's environment without our own variables and systemd's, and with `extra`."""
    ours = ("ROPEWALK_", "LISTEN_", "NOTIFY_", "WATCHDOG_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | extra


def with_modules(folder: Path) -> dict[str, str]:
    """As environment(), with what is in `folder` to be imported."""
    others = os.environ.get("PYTHONPATH")
    return environment(PYTHONPATH=os.pathsep.join([str(folder), others] if others else [str(folder)]))


def run(*arguments: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """The command, to its end."""
    how.setdefault("env", environment())
    return subprocess.run([*ROPEWALK, *arguments], capture_output=True, text=True, timeout=PATIENCE, **how)


def one_line(errors: str) -> str:
    """The one line that `errors` has to be."""
    assert errors.startswith("ropewalk: "), errors
    assert errors.count("\n") == 1, errors
    return errors


def application(folder: Path, text: str = LINES, endpoint: str = LOCAL, name: str = "app.tac") -> str:
    """A file for -y."""
    path = folder / name
    path.write_text(textwrap.dedent(text).replace("{endpoint}", endpoint), encoding="utf-8")
    return str(path)


class Running:
    """A command that has said where it listens. port: of the first TCP port."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.line = process.stdout.readline().strip()
        if not self.line.startswith("listening on "):
            process.kill()
            raise AssertionError(f"it says {self.line!r}, and then {process.communicate(timeout=PATIENCE)}")
        self.endpoint = self.line.removeprefix("listening on ")

    @property
    def port(self) -> int:
        return int(self.line.rpartition(":")[2])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def end(self, number: int = SIGTERM) -> tuple[int, str]:
        """Its exit code after the signal `number`, and what it wrote, its first line aside."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """Its exit code, and what it wrote, its first line aside."""
        output, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output + errors


@contextlib.contextmanager
def running(*arguments: str, command: list[str] = ROPEWALK, **how: Any) -> Iterator[Running]:
    """The command, listening; it is killed at the end if it still runs."""
    how.setdefault("env", environment())
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*command, *arguments], text=True, **(pipes | how)) as process:
        try:
            yield Running(process)
        finally:
            if process.poll() is None:
                process.kill()


def answer(connection: socket.socket, line: bytes = b"hello") -> bytes:
    """What the application LINES answers to `line`."""
    connection.sendall(line + b"\n")
    with connection.makefile("rb") as file:
        return file.readline().rstrip(b"\n")


def asked(port: int, line: bytes = b"hello") -> bytes:
    """As answer(), on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        return answer(connection, line)


def is_refused(app: Running) -> bool:
    """Whether nothing listens any more on the port of `app`."""
    try:
        app.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def free_port() -> int:
    """The number of a TCP port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def is_alive(pid: int) -> bool:
    """Whether there is a process of that number that has not ended: a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(what: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait until `what()` is true."""
    deadline = time.monotonic() + patience
    while not what():
        assert time.monotonic() < deadline, "it has not come true"
        threading.Event().wait(0.01)
