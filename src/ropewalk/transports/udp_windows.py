"""Which ICMP errors a UDP socket on Windows hears of.

* Windows reports "nobody listens there" (WSAECONNRESET) and "lost on its way" (WSAENETRESET) by recvfrom() of the
  socket that sent, whether it has a peer or not. Without a peer nobody can tell whom the error is about, and each
  costs an event: two ioctls turn them off. socket.ioctl() does not take them, so WSAIoctl is called.
* Wine does not send such reports, and takes the first ioctl alone: what cannot be turned off is not there.
"""

from __future__ import annotations

import ctypes
import socket
import sys
from functools import cache
from typing import Any

assert sys.platform == "win32"   # type checkers pass over the rest on other systems

_UDP_CONNRESET = 0x9800000C   # SIO_UDP_CONNRESET
_UDP_NETRESET = 0x9800000F   # SIO_UDP_NETRESET
_NOT_SUPPORTED = 10045   # WSAEOPNOTSUPP


def hear_refusals(channel: socket.socket, wanted: bool) -> None:
    """Whether recvfrom() on the UDP socket `channel` is to fail after ICMP errors. Raises OSError."""
    given, size = ctypes.c_int(wanted), ctypes.c_ulong()
    for code in (_UDP_CONNRESET, _UDP_NETRESET):
        input_of = (ctypes.byref(given), ctypes.sizeof(given))
        failed = _ioctl()(ctypes.c_size_t(channel.fileno()), code, *input_of, None, 0, ctypes.byref(size), None, None)
        if failed and ctypes.get_last_error() != _NOT_SUPPORTED:
            raise ctypes.WinError(ctypes.get_last_error())


@cache
def _ioctl() -> Any:
    function = ctypes.WinDLL("ws2_32", use_last_error=True).WSAIoctl
    function.argtypes = [
        ctypes.c_size_t, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong,
        ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p,
    ]  # fmt: skip
    return function
