"""Channels of descriptors that other processes use, too, such as standard input and output.

Facts, and what they mean for us:
* O_NONBLOCK belongs to the open file, which the shell and every process it started share: a program that sets it on
  its standard output lets cat and the shell itself fail with EAGAIN. So it is never set here.
* Linux opens a pipe or a terminal anew through /proc/self/fd: that open file is ours alone, and need not block. It is
  refused (EACCES) to who may not open the device itself, after su for instance; a pipe that nobody reads any more is
  (ENXIO); and the master of a pseudo terminal (/dev/ptmx) would be another terminal.
* A socket does not block for a call with MSG_DONTWAIT.
* Else poll(2) is asked before every call. What it reports can be read without blocking. A pipe that it reports as
  writable takes PIPE_BUF bytes; a terminal takes some, and blocks for no longer than 256 of them need.
* epoll(7) refuses (EPERM) what is always ready.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import stat
from collections.abc import Callable
from functools import partial
from typing import Any

from ropewalk.transports.channel import SocketChannel
from ropewalk.transports.file_channel import FileChannel
from ropewalk.transports.pipe import PipeChannel

_TERMINAL_PIECE = 256
_MASTERS = 5, 2   # the device number of /dev/ptmx
_NOT_OURS = -1

End = FileChannel | PipeChannel | SocketChannel


def reading_end(number: int) -> End:
    """A channel that reads what the descriptor `number` does, through a descriptor of its own. Raises OSError."""
    if _is_always_ready(number):
        return FileChannel(os.dup(number))
    if stat.S_ISSOCK(os.fstat(number).st_mode):
        return SharedSocket(fileno=os.dup(number))
    own = _opened_anew(number, os.O_RDONLY)
    return PatientChannel(os.dup(number), -1) if own == _NOT_OURS else PipeChannel(own, -1)


def writing_end(number: int) -> End:
    """A channel that writes where the descriptor `number` does, through a descriptor of its own. Raises OSError."""
    if _is_always_ready(number):
        return FileChannel(os.dup(number))
    if stat.S_ISSOCK(os.fstat(number).st_mode):
        return SharedSocket(fileno=os.dup(number))
    own = _opened_anew(number, os.O_WRONLY)
    return PatientChannel(-1, os.dup(number)) if own == _NOT_OURS else PipeChannel(-1, own)


class SharedSocket(SocketChannel):
    """A socket that blocks for others, and not for us."""

    __slots__ = ()

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        return super().recv(bufsize, flags | socket.MSG_DONTWAIT)

    def send(self, data: Any, flags: int = 0) -> int:
        return super().send(data, flags | socket.MSG_DONTWAIT)


class PatientChannel(PipeChannel):
    """A pipe, a terminal or another device that blocks: used only as far as poll(2) allows it. As PipeChannel."""

    __slots__ = ()

    def __init__(self, reader: int, writer: int) -> None:
        super().__init__(reader, writer)
        if reader >= 0:
            self.recv = partial(_read_if_ready, _question(reader, select.POLLIN), self.recv)
        if writer >= 0:
            limit = select.PIPE_BUF if stat.S_ISFIFO(os.fstat(writer).st_mode) else _TERMINAL_PIECE
            self.send = partial(_write_if_ready, _question(writer, select.POLLOUT), self.send, limit)


def _question(descriptor: int, mask: int) -> select.poll:
    asking = select.poll()
    asking.register(descriptor, mask)
    return asking


def _read_if_ready(asking: select.poll, read: Callable[[int], bytes], size: int) -> bytes:
    if not asking.poll(0):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return read(size)


def _write_if_ready(asking: select.poll, write: Callable[[Any], int], limit: int, data: Any) -> int:
    reported = asking.poll(0)
    if not reported:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    if reported[0][1] == select.POLLHUP:   # a terminal that nobody has open, and that is full: see pipe
        return len(data)
    return write(memoryview(data)[:limit])


def _opened_anew(number: int, access: int) -> int:
    """A descriptor of an open file of our own, for what `number` is, which does not block; -1 if there is none."""
    status = os.fstat(number)
    terminal = os.isatty(number) and (os.major(status.st_rdev), os.minor(status.st_rdev)) != _MASTERS
    had = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE
    if not (terminal or stat.S_ISFIFO(status.st_mode)) or had not in (access, os.O_RDWR):
        return _NOT_OURS
    try:
        return os.open(f"/proc/self/fd/{number}", access | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return _NOT_OURS


def _is_always_ready(number: int) -> bool:
    """Whether a poller cannot tell when `number` is ready, since it always is."""
    mode = os.fstat(number).st_mode
    if not (stat.S_ISCHR(mode) and hasattr(select, "epoll")):
        return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISBLK(mode)
    with contextlib.closing(select.epoll()) as asking:
        try:
            asking.register(number)
        except PermissionError:
            return True
    return False
