"""The feature table: what a behaviour of the contract may need and a system may lack, and why it is missing there.

The behaviours are the same on every system; one that needs a feature names it, and is skipped where the feature is
missing, with the sentence of this table. docs/reactors.md shows the table.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import signal
import socket
import struct
import sys
import unittest
from collections.abc import Callable
from typing import NamedTuple, ParamSpec

LINGER = "hh" if sys.platform == "win32" else "ii"   # of SO_LINGER: two shorts on Windows
_Arguments = ParamSpec("_Arguments")


class Feature(NamedTuple):
    """One row. is_there: asks the system's interface; missing: where it is not there, and why."""

    is_there: Callable[[], bool]
    missing: str


def _on_linux() -> bool:
    return sys.platform.startswith("linux")


def _is_importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _has_all_of_127() -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.64", 0))
        except OSError:
            return False
    return True


@functools.cache
def _tells_a_reset() -> bool:
    """Whether recv() raises after the peer has reset the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as peer:
        accepted, _ = listener.accept()
        with accepted:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(LINGER, 1, 0))
            peer.close()
            try:
                accepted.recv(1)
            except ConnectionResetError:
                return True
    return False


@functools.cache
def _tells_a_refusal() -> bool:
    """Whether a UDP socket that waits is told that nobody listens where it has sent to."""
    with socket.socket(type=socket.SOCK_DGRAM) as deaf, socket.socket(type=socket.SOCK_DGRAM) as sender:
        deaf.bind(("127.0.0.1", 0))
        sender.connect(deaf.getsockname())
        deaf.close()
        sender.settimeout(1)
        sender.send(b"anybody?")
        try:
            sender.recv(1)
        except ConnectionError:
            return True
        except TimeoutError:
            return False
    return False


def _refuses_foreign_addresses() -> bool:
    """Whether a UDP socket can be bound to no address of another machine (here one of TEST-NET-2, RFC 5737)."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("198.51.100.1", 0))
        except OSError:
            return True
    return False


FEATURES = {
    "UNIX sockets": Feature(lambda: hasattr(socket, "AF_UNIX"), "CPython for Windows has no AF_UNIX"),
    "abstract names": Feature(_on_linux, "names of UNIX sockets that are no files are Linux's alone"),
    "peer credentials": Feature(lambda: hasattr(socket, "SO_PEERCRED"), "Windows, macOS and BSD have no SO_PEERCRED"),
    "SO_REUSEPORT": Feature(
        lambda: hasattr(socket, "SO_REUSEPORT"),
        "Windows has no SO_REUSEPORT, and with SO_REUSEADDR a port takes another one's place",
    ),
    "SO_REUSEADDR shares": Feature(
        _on_linux, "only Linux lets a socket with SO_REUSEADDR share a number with one that has SO_REUSEPORT, too"
    ),
    "privileged ports": Feature(lambda: hasattr(os, "geteuid"), "on Windows everybody may listen on port 80"),
    "users": Feature(lambda: hasattr(os, "setuid"), "Windows has no numbers of users that a child could be given"),
    "signals": Feature(
        lambda: hasattr(signal, "pthread_kill"), "Windows cannot send a signal to a thread or a process of its own"
    ),
    "descriptor table": Feature(
        lambda: _is_importable("fcntl"),
        "Windows watches sockets alone, numbers them apart from files and pipes, and reuses no number at once",
    ),
    "descriptor limit": Feature(
        lambda: _is_importable("resource"), "Windows does not let a process limit how many descriptors it may open"
    ),
    "terminals": Feature(lambda: hasattr(os, "openpty"), "Windows has consoles, no terminals: there is no openpty()"),
    "shell": Feature(lambda: hasattr(os, "fork") and os.path.exists("/bin/sh"), "Windows has no /bin/sh"),
    "further descriptors": Feature(
        lambda: _is_importable("fcntl"), "a child on Windows can be given 0, 1 and 2, and no other descriptors"
    ),
    "bare environments": Feature(
        lambda: _is_importable("fcntl"),
        "few programs work on Windows without SYSTEMROOT: what a child is to have is added to what we have",
    ),
    "reaping": Feature(
        lambda: hasattr(os, "WNOHANG"), "on Windows everybody may ask how a child ended, so nobody can reap it first"
    ),
    "exit codes of 32 bits": Feature(
        lambda: sys.platform == "win32", "a Unix keeps 8 bits of an exit code, and tells of signals in others"
    ),
    "lost readers": Feature(
        lambda: _is_importable("fcntl"),
        "Windows tells that nobody reads a pipe any more when it is written, and not before",
    ),
    "handles": Feature(
        lambda: hasattr(ctypes, "WinDLL"), "events, semaphores and windows that a reactor waits for are Windows'"
    ),
    "foreign addresses": Feature(
        _refuses_foreign_addresses, "in Wine 8 a plain UDP socket can be bound to the IPv4 address of another machine"
    ),
    "inotify": Feature(_on_linux, "inotify is Linux's alone"),
    "127.0.0.0/8": Feature(_has_all_of_127, "macOS and BSD have of 127.0.0.0/8 only 127.0.0.1, until they are told"),
    "resets": Feature(_tells_a_reset, "in Wine 8 recv() on a plain socket takes a reset for an orderly end"),
    "refusals": Feature(_tells_a_refusal, "in Wine 8 a plain UDP socket that waits is not told that nobody listens"),
    "TCP_INFO": Feature(_on_linux, "only Linux counts in TCP_INFO the segments that carried data"),
    "IP_RECVERR": Feature(_on_linux, "the queue of a socket's errors is Linux's"),
    "IPV6_RECVHOPLIMIT": Feature(
        lambda: hasattr(socket, "IPV6_RECVHOPLIMIT"), "CPython for Windows cannot ask for the hop limit of a datagram"
    ),
    "addresses of interfaces": Feature(_on_linux, "only Linux tells, in /proc, which interface has an IPv6 address"),
}  # fmt: skip


def why_missing(name: str) -> str | None:
    """Why this system lacks the feature `name`; None if it is there. Raises KeyError for a name the table has not."""
    feature = FEATURES[name]
    return None if feature.is_there() else feature.missing


def require(name: str) -> None:
    """Raise SkipTest where the feature `name` is missing."""
    reason = why_missing(name)
    if reason is not None:
        raise unittest.SkipTest(f"{name}: {reason}")


def needs(*names: str) -> Callable[[Callable[_Arguments, None]], Callable[_Arguments, None]]:
    """Let a behaviour be skipped where one of the features `names` is missing."""

    def decorate(function: Callable[_Arguments, None]) -> Callable[_Arguments, None]:
        @functools.wraps(function)
        def checked(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> None:
            for name in names:
                require(name)
            function(*args, **kwargs)

        return checked

    return decorate


def table() -> str:
    """The Markdown table that docs/reactors.md shows."""
    lines = ["| feature | where it is missing, and why |", "|---|---|"]
    lines += [f"| {name} | {feature.missing} |" for name, feature in FEATURES.items()]
    return "\n".join(lines) + "\n"
