"""Messages with ancillary data, such as descriptors, on a socket: sendmsg(2) and recvmsg(2).

Python's sockets have both as methods; this is for programs that were written for twisted.python.sendmsg. On a system
whose sockets have no ancillary data, such as Windows, the import fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from socket import socket
from typing import Any, NamedTuple

from ropewalk.transports.missing import missing

try:
    from socket import CMSG_SPACE, SCM_RIGHTS
except ImportError as error:
    raise ImportError(f"{__name__}: {missing('ancillary data')}") from error

__all__ = ["SCM_RIGHTS", "ReceivedMessage", "getSocketFamily", "recvmsg", "sendmsg"]

_Socket = socket   # a parameter has its name


class ReceivedMessage(NamedTuple):
    """What recvmsg() got: the data, the ancillary data as tuples (level, type, bytes), and the flags of the system."""

    data: bytes
    ancillary: list[tuple[int, int, bytes]]
    flags: int


def sendmsg(socket: _Socket, data: bytes, ancillary: Sequence[tuple[int, int, Any]] = (), flags: int = 0) -> int:
    """Send `data` and `ancillary` on `socket`; how many bytes of the data were taken.

    ancillary: tuples (level, type, bytes-like); flags: MSG_ constants of sendmsg(2). Raises OSError. A stream socket
    may drop ancillary data that come without any data. Twisted's, as all in here.
    """
    return socket.sendmsg([data], ancillary, flags)


def recvmsg(socket: _Socket, maxSize: int = 8192, cmsgSize: int = 4096, flags: int = 0) -> ReceivedMessage:
    """Receive a message from `socket`.

    maxSize: of the data, in bytes; cmsgSize: of the ancillary data; flags: MSG_ constants of recvmsg(2). Raises
    OSError. A datagram or ancillary data that are longer are cut, and the result's flags say so: MSG_TRUNC, MSG_CTRUNC.
    A program that got descriptors has to close them; children inherit these, unless `flags` had MSG_CMSG_CLOEXEC.
    """
    return ReceivedMessage(*socket.recvmsg(maxSize, CMSG_SPACE(cmsgSize), flags)[:3])


def getSocketFamily(socket: _Socket) -> int:
    """The family of `socket`, such as AF_UNIX."""
    return socket.family
