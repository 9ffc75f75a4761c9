"""The handles that this process has open on Windows: files, pipes, sockets, completion ports and processes.

* NtQuerySystemInformation(SystemExtendedHandleInformation) tells all handles of the system; its table grows while it is
  asked for, and then it says that there was no room.
* Events, threads, keys and the like are not told here: DLLs of the system open some at first use, and keep them.
"""

from __future__ import annotations

import contextlib
import ctypes
import msvcrt
import os
import sys
from collections.abc import Iterator
from ctypes import wintypes

assert sys.platform == "win32"

_TOLD = ("File", "IoCompletion", "Process")   # a socket and a pipe are files
_ALL_HANDLES = 64   # SystemExtendedHandleInformation
_TYPE_INFORMATION = 2   # ObjectTypeInformation of NtQueryObject()
_NO_ROOM = -0x3FFFFFFC   # STATUS_INFO_LENGTH_MISMATCH

_ntdll = ctypes.WinDLL("ntdll")
_ntdll.NtQueryObject.argtypes = [wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.ULONG, ctypes.c_void_p]


class _Entry(ctypes.Structure):
    _fields_ = [
        ("Object", ctypes.c_void_p), ("UniqueProcessId", ctypes.c_size_t), ("HandleValue", ctypes.c_size_t),
        ("GrantedAccess", wintypes.ULONG), ("CreatorBackTraceIndex", wintypes.USHORT),
        ("ObjectTypeIndex", wintypes.USHORT), ("HandleAttributes", wintypes.ULONG), ("Reserved", wintypes.ULONG),
    ]  # fmt: skip


class _Text(ctypes.Structure):
    """UNICODE_STRING."""

    _fields_ = [("Length", wintypes.USHORT), ("MaximumLength", wintypes.USHORT), ("Buffer", wintypes.LPWSTR)]


def open_handles() -> set[str]:
    """Of each such handle its number and kind, such as "1a4: File"; not the standard ones, which pytest exchanges."""
    told = set(_numbers()) - set(_standard())
    return {f"{number:x}: {kind}" for number in told if (kind := _kind(number)) in _TOLD}


def _standard() -> Iterator[int]:
    """The handles behind the descriptors 0, 1 and 2."""
    for fd in range(3):
        with contextlib.suppress(OSError):
            yield msvcrt.get_osfhandle(fd)


def _numbers() -> Iterator[int]:
    """Every handle of this process."""
    size, status = 1 << 20, _NO_ROOM
    while status == _NO_ROOM:
        buffer = ctypes.create_string_buffer(size)
        status = _ntdll.NtQuerySystemInformation(_ALL_HANDLES, buffer, size, None)
        size *= 2
    count = ctypes.c_size_t.from_buffer(buffer).value
    table = (_Entry * count).from_buffer(buffer, 2 * ctypes.sizeof(ctypes.c_size_t))
    here = os.getpid()
    return (entry.HandleValue for entry in table if entry.UniqueProcessId == here)


def _kind(handle: int) -> str:
    """The kind of object behind `handle`; '' if it is closed by now."""
    buffer = ctypes.create_string_buffer(1024)
    if _ntdll.NtQueryObject(handle, _TYPE_INFORMATION, buffer, len(buffer), None) < 0:
        return ""
    name: str = _Text.from_buffer(buffer).Buffer
    return name
