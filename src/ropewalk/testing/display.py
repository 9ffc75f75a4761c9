"""A display in memory, for programs with windows: Xvfb, an X server that needs no screen, no card and no rights.

* Xvfb takes the first number that is free, and tells it to `-displayfd` once it accepts connections (in about 40 ms).
* When its last client leaves, an X server starts anew, and turns away who comes meanwhile; with `-terminate` it ends.
  We are a client ourselves: so there is always one, and the server ends when our process does, even if that is killed.
* As a child of ours it would be in the way of programs that wait for theirs: a shell starts it, and ends.
* On a desktop with Wayland the toolkits would prefer that to DISPLAY: they are told to take X11.
* There is no card, so GTK 4 draws by cairo, and no session bus, so nothing looks for services of accessibility there.
* No window manager runs: keys go to the window under the pointer until a program takes the focus.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator

SETTINGS = {
    "GDK_BACKEND": "x11",
    "QT_QPA_PLATFORM": "xcb",
    "SDL_VIDEODRIVER": "x11",
    "SDL_AUDIODRIVER": "dummy",
    "GSK_RENDERER": "cairo",
    "GTK_A11Y": "none",
    "NO_AT_BRIDGE": "1",
}
"""What the toolkits find in the environment besides DISPLAY while there is a virtual display."""


def missing() -> str | None:
    """Why there can be no virtual display here, and what to install; None if there can."""
    if shutil.which("Xvfb") is None:
        return "Xvfb is not installed (Debian: apt-get install xvfb)"
    return None


@contextlib.contextmanager
def virtual_display(width: int = 1024, height: int = 768) -> Iterator[str]:
    """Start Xvfb, with a screen of that many pixels; its name, such as ":99", which DISPLAY is set to meanwhile.

    At the end the environment is as it was, and Xvfb ends as soon as nobody has a connection to it any more. Raises
    RuntimeError if Xvfb is not installed or does not start.
    """
    reason = missing()
    if reason is not None:
        raise RuntimeError(f"there can be no virtual display: {reason}")
    with _xvfb(width, height) as name, _environment(DISPLAY=name, **SETTINGS):
        yield name


@contextlib.contextmanager
def any_display() -> Iterator[str]:
    """The display that the environment names, else a virtual one; its name. Raises as virtual_display() does."""
    name = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY")
    if name:
        yield name
        return
    with virtual_display() as name:
        yield name


@contextlib.contextmanager
def _xvfb(width: int, height: int) -> Iterator[str]:
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"]
    command += ["-terminate"]
    with open(reading, encoding="ascii") as told, tempfile.TemporaryFile() as complaints:
        try:
            subprocess.run(
                ["/bin/sh", "-c", '"$@" &', "sh", *command], pass_fds=[writing], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=complaints, start_new_session=True,   # Ctrl-C is for the program
            )  # fmt: skip
        finally:
            os.close(writing)
        number = told.readline().strip()
        if not number:
            complaints.seek(0)
            why = complaints.read().decode(errors="replace").strip() or "it does not say why"
            raise RuntimeError(f"Xvfb did not start: {' '.join(command)}: {why}")
    with _client(number):
        yield f":{number}"


@contextlib.contextmanager
def _client(number: str) -> Iterator[None]:
    """Be a client of the X server meanwhile: X11's connection setup, version 11.0, without authorization."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"/tmp/.X11-unix/X{number}")
        client.sendall(struct.pack("<cxHHHHxx", b"l", 11, 0, 0, 0))
        client.recv(1)   # a client only once it is answered
        yield


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """The environment with `variables` in it, and without Wayland."""
    names = [*variables, "WAYLAND_DISPLAY"]
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)
