"""The virtual display: an X server of one's own, and an environment that is as it was afterwards."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ropewalk.testing import display

needs_xvfb = pytest.mark.skipif(display.missing() is not None, reason=str(display.missing()))


def server_of(name: str) -> Path:
    """The socket that the X server `name` listens on."""
    return Path("/tmp/.X11-unix", f"X{name.removeprefix(':')}")


def visitor(name: str) -> socket.socket:
    """A connection to the X server `name`; as it says nothing, it is no client that would keep the server alive."""
    made = socket.socket(socket.AF_UNIX)
    made.connect(str(server_of(name)))
    return made


@needs_xvfb
def test_a_virtual_display_accepts_connections_once_it_is_there_and_ends_afterwards() -> None:
    with display.virtual_display() as name:
        connection = visitor(name)
    with connection, contextlib.suppress(ConnectionResetError):   # it had not read what the visitor sent
        assert connection.recv(1) == b""


@needs_xvfb
def test_a_virtual_display_is_no_child_of_the_program() -> None:
    with display.virtual_display(), pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@needs_xvfb
def test_the_environment_names_the_virtual_display_and_is_as_it_was_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DISPLAY", ":12345")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-7")
    monkeypatch.delenv("GDK_BACKEND", raising=False)
    before = dict(os.environ)
    with display.virtual_display() as name:
        assert os.environ["DISPLAY"] == name != ":12345"
        assert os.environ["GDK_BACKEND"] == "x11"
        assert "WAYLAND_DISPLAY" not in os.environ
    assert dict(os.environ) == before


@needs_xvfb
def test_two_virtual_displays_do_not_disturb_each_other() -> None:
    with display.virtual_display() as first:
        with display.virtual_display() as second:
            assert second != first
        assert os.environ["DISPLAY"] == first
        assert server_of(first).exists()


@needs_xvfb
def test_a_virtual_display_ends_with_its_process_however_that_ends() -> None:
    program = "from ropewalk.testing.display import virtual_display\nimport sys\n"
    program += "with virtual_display() as name:\n    print(name, flush=True)\n    sys.stdin.read()"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        connection = visitor(process.stdout.readline().strip())
        process.kill()
    with connection, contextlib.suppress(ConnectionResetError):   # it had not read what the visitor sent
        assert connection.recv(1) == b""


@needs_xvfb
def test_a_virtual_display_outlives_its_last_window() -> None:
    with display.virtual_display() as name:
        for _ in range(3):
            subprocess.run([sys.executable, "-c", "import tkinter; tkinter.Tk().destroy()"], check=True)
        assert server_of(name).exists()


@needs_xvfb
def test_any_display_is_a_virtual_one_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with display.any_display() as name:
        assert server_of(name).exists()


def test_any_display_is_the_one_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":12345")
    with display.any_display() as name:
        assert name == os.environ["DISPLAY"] == ":12345"


def test_without_xvfb_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"Xvfb is not installed.*apt-get install xvfb"), display.virtual_display():
        pass


def test_an_xvfb_that_does_not_start_is_an_error_that_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "Xvfb").write_text("#!/bin/sh\necho no room >&2\n")
    (tmp_path / "Xvfb").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(RuntimeError, match=r"Xvfb -displayfd.*: no room"), display.virtual_display():
        pass
