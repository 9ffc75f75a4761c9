"""Becoming a daemon, and telling the process that a shell waits for how that went.

The command forks before it loads anything: a poller, a thread, a connection to a display do not survive a fork. So what
the program says while it loads still goes to the terminal, and the process in front waits on a pipe for one byte, the
exit code. It comes when the service is up (0), or with whatever ended it before. A daemon that was killed sends none.

setsid() leaves the terminal's session; the second fork makes a process that leads no session, which can therefore get
no controlling terminal again by opening one: daemon(7).
"""

from __future__ import annotations

import os
import sys

from ropewalk.application.exits import Exit

assert sys.platform != "win32"

_front = -1   # the pipe to the process in front; -1: none waits


def daemonize() -> None:
    """Go on in a process without a terminal; the one in front exits with the code that tell() gives."""
    global _front
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        _wait(reading, child)
    os.close(reading)
    os.setsid()
    if os.fork():
        os._exit(Exit.OK)
    _front = writing


def _wait(reading: int, child: int) -> None:
    os.waitpid(child, 0)
    said = os.read(reading, 1)
    if not said:
        os.write(2, b"ropewalk: the daemon was killed before it was up\n")
    os._exit(said[0] if said else Exit.SOFTWARE)


def is_up() -> None:
    """The service is up: let the terminal go, and have the process in front exit with 0. If none waits, do nothing."""
    if _front < 0:
        return
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    if nothing > 2:
        os.close(nothing)
    tell(Exit.OK)


def tell(code: int) -> None:
    """Have the process in front, if one waits, exit with `code`."""
    global _front
    front, _front = _front, -1
    if front < 0:
        return
    os.write(front, bytes([code & 0xFF]))
    os.close(front)
