"""Calls of Windows that the standard library lacks, by ctypes: completion ports, polls of sockets, events, messages.

Structures and numbers are those of Windows' headers. The libraries are loaded by load(), so that this module can be
imported, and its types be checked, on every system. What is called for each event gets its arguments ready made and
declares none: ctypes would convert them at each call.
"""

from __future__ import annotations

import ctypes
import struct
from functools import cache
from typing import Any

_ctypes: Any = ctypes   # type checkers on other systems do not know what it has on Windows alone

NO_TIMEOUT = 0xFFFFFFFF
SUCCESS, PENDING = 0, 0x103   # of NTSTATUS
_WAIT_TIMEOUT = 258
_BASE_HANDLE = 0x48000022   # SIO_BASE_HANDLE
_SOL_SOCKET, _SO_TYPE = 0xFFFF, 0x1008
_SYNCHRONIZE = 0x100000
_SHARED = 3     # FILE_SHARE_READ | FILE_SHARE_WRITE
_OPEN = 1       # FILE_OPEN
_SKIP_SET_EVENT = 2   # FILE_SKIP_SET_EVENT_ON_HANDLE: nobody waits for the device itself
_INVALID_HANDLE = ctypes.c_void_p(-1)

PACKET = struct.Struct("PPPI0P")   # OVERLAPPED_ENTRY: key, overlapped, internal, bytes


class _Text(ctypes.Structure):
    """UNICODE_STRING."""

    _fields_ = [("size", ctypes.c_ushort), ("room", ctypes.c_ushort), ("text", ctypes.c_wchar_p)]


class _ObjectAttributes(ctypes.Structure):
    """OBJECT_ATTRIBUTES."""

    _fields_ = [
        ("size", ctypes.c_ulong),
        ("root", ctypes.c_void_p),
        ("name", ctypes.POINTER(_Text)),
        ("attributes", ctypes.c_ulong),
        ("security", ctypes.c_void_p),
        ("quality", ctypes.c_void_p),
    ]


class Api:
    """The libraries."""

    def __init__(self) -> None:
        kernel = _ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.CreateIoCompletionPort.restype = ctypes.c_void_p
        kernel.CreateEventW.restype = ctypes.c_void_p
        sockets = _ctypes.WinDLL("ws2_32", use_last_error=True)
        self._native = _ctypes.WinDLL("ntdll")
        self._kernel = kernel
        self.user = _ctypes.WinDLL("user32", use_last_error=True)
        self.collect = kernel.GetQueuedCompletionStatusEx
        self.control = self._native.NtDeviceIoControlFile
        self.set_event = kernel.SetEvent
        self._post = kernel.PostQueuedCompletionStatus
        self._ioctl = sockets.WSAIoctl
        self._option = sockets.getsockopt

    def new_port(self) -> ctypes.c_void_p:
        """A completion port. Raises OSError."""
        return self._handle(self._kernel.CreateIoCompletionPort(_INVALID_HANDLE, None, None, 1))

    def new_event(self) -> ctypes.c_void_p:
        """An event that a wait for it resets. Raises OSError."""
        return self._handle(self._kernel.CreateEventW(None, False, False, None))

    def new_device(self, port: ctypes.c_void_p) -> ctypes.c_void_p:
        """The driver of sockets, opened for polls that report to `port`. Raises OSError."""
        path = "\\Device\\Afd\\Ropewalk"
        name = _Text(2 * len(path), 2 * len(path), path)
        attributes = _ObjectAttributes(ctypes.sizeof(_ObjectAttributes), None, ctypes.pointer(name), 0, None, None)
        device, block = ctypes.c_void_p(), (ctypes.c_void_p * 2)()
        status = self._native.NtCreateFile(
            ctypes.byref(device), _SYNCHRONIZE, ctypes.byref(attributes), block, None, 0, _SHARED, _OPEN, 0, None, 0
        )
        if status < 0:
            raise OSError(None, f"{path} cannot be opened", None, self._native.RtlNtStatusToDosError(status))
        self._handle(self._kernel.CreateIoCompletionPort(device, port, None, 0))
        self._kernel.SetFileCompletionNotificationModes(device, _SKIP_SET_EVENT)
        return device

    def base_handle(self, descriptor: int) -> int:
        """The socket that the driver knows, below what other software has put over it. Raises OSError for no socket."""
        socket, kind = ctypes.c_void_p(descriptor), ctypes.c_ulong()
        size = ctypes.c_ulong(ctypes.sizeof(kind))
        if self._option(socket, _SOL_SOCKET, _SO_TYPE, ctypes.byref(kind), ctypes.byref(size)):
            why = f"the handle {descriptor} cannot be watched: Windows' sockets can, files, pipes and consoles cannot"
            raise OSError(None, why, None, _ctypes.get_last_error())
        base = ctypes.c_void_p()
        asked = (socket, ctypes.c_ulong(_BASE_HANDLE), None, 0, ctypes.byref(base), ctypes.sizeof(base))
        if self._ioctl(*asked, ctypes.byref(size), None, None):
            return descriptor   # the system has no layers, and does not know the question
        return base.value or descriptor

    def post(self, port: ctypes.c_void_p) -> None:
        """Put a packet without a poll into `port`; from any thread."""
        self._post(port, 0, None, None)

    def cancel(self, device: ctypes.c_void_p, block: ctypes.c_void_p) -> None:
        """Have the poll that reports to `block` end; its packet comes in any case."""
        self._native.NtCancelIoFileEx(device, block, (ctypes.c_void_p * 2)())

    def close(self, handle: ctypes.c_void_p) -> None:
        """Close any handle that is not a socket's."""
        self._kernel.CloseHandle(handle)

    def _handle(self, value: int | None) -> ctypes.c_void_p:
        if not value:
            raise last_error()
        return ctypes.c_void_p(value)


def last_error() -> OSError:
    """The error of the last call in this thread."""
    error: OSError = _ctypes.WinError(_ctypes.get_last_error())
    return error


@cache
def load() -> Api:
    """The libraries, loaded once."""
    return Api()


def available() -> bool:
    """Whether this is Windows."""
    return hasattr(ctypes, "WinDLL")


class Packets:
    """Takes packets out of a completion port, many at a time; one for each thread that does."""

    def __init__(self, api: Api, port: ctypes.c_void_p, most: int) -> None:
        memory = bytearray(most * PACKET.size)
        self._view = memoryview(memory)
        self._count = ctypes.c_ulong()
        self._collect = api.collect
        self._arguments = (port, (ctypes.c_char * len(memory)).from_buffer(memory), most, ctypes.byref(self._count))

    def take(self, milliseconds: int) -> list[int]:
        """The overlapped addresses of the packets that there are, 0 for those without; waits for the first. OSError."""
        if not self._collect(*self._arguments, ctypes.c_ulong(milliseconds), 0):
            if _ctypes.get_last_error() == _WAIT_TIMEOUT:
                return []
            raise last_error()
        return [packet[1] for packet in PACKET.iter_unpack(self._view[: self._count.value * PACKET.size])]
