"""What Twisted's cfreactor takes of PyObjC, on the CoreFoundation of the test bed: so it can be compared with ours.

PyObjC itself is made for macOS alone. A reference here is the pointer; its callback and what that is given are kept in
a table as long as the socket or the timer is valid. There is one function for C a kind: it may not be freed while it
runs, and a callback may invalidate its own socket.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

kCFAllocatorDefault = None
kCFSocketReadCallBack, kCFSocketConnectCallBack, kCFSocketWriteCallBack = 1, 4, 8
kCFSocketAutomaticallyReenableReadCallBack, kCFSocketAutomaticallyReenableWriteCallBack = 1, 8

_pointer, _long, _ulong, _double = ctypes.c_void_p, ctypes.c_long, ctypes.c_ulong, ctypes.c_double
_SocketCall = ctypes.CFUNCTYPE(None, _pointer, _ulong, _pointer, _pointer, _pointer)
_TimerCall = ctypes.CFUNCTYPE(None, _pointer, _pointer)
_library = ctypes.CDLL(os.environ["COREFOUNDATION_LIBRARY"])
_kept: dict[int, tuple[Callable[..., object], Any]] = {}


def _function(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(_library, name)
    function.restype, function.argtypes = result, arguments
    return function


kCFRunLoopCommonModes = _pointer.in_dll(_library, "kCFRunLoopCommonModes").value
CFAbsoluteTimeGetCurrent = _function("CFAbsoluteTimeGetCurrent", _double)
CFRunLoopGetCurrent = _function("CFRunLoopGetCurrent", _pointer)
CFRunLoopRun = _function("CFRunLoopRun", None)
CFRunLoopStop = _function("CFRunLoopStop", None, _pointer)
CFRunLoopAddSource = _function("CFRunLoopAddSource", None, _pointer, _pointer, _pointer)
CFRunLoopRemoveSource = _function("CFRunLoopRemoveSource", None, _pointer, _pointer, _pointer)
CFRunLoopAddTimer = _function("CFRunLoopAddTimer", None, _pointer, _pointer, _pointer)
CFSocketCreateRunLoopSource = _function("CFSocketCreateRunLoopSource", _pointer, _pointer, _pointer, _long)
CFSocketDisableCallBacks = _function("CFSocketDisableCallBacks", None, _pointer, _ulong)
CFSocketEnableCallBacks = _function("CFSocketEnableCallBacks", None, _pointer, _ulong)
CFSocketSetSocketFlags = _function("CFSocketSetSocketFlags", None, _pointer, _ulong)
_create_socket = _function(
    "CFSocketCreateWithNative", _pointer, _pointer, ctypes.c_int, _ulong, _SocketCall, _pointer
)
_invalidate_socket = _function("CFSocketInvalidate", None, _pointer)
_create_timer = _function(
    "CFRunLoopTimerCreate", _pointer, _pointer, _double, _double, _ulong, _long, _TimerCall, _pointer
)
_invalidate_timer = _function("CFRunLoopTimerInvalidate", None, _pointer)


@_SocketCall
def _socket_is_ready(socket: int, kind: int, address: int, data: int, _: int) -> None:
    if socket in _kept:
        call, info = _kept[socket]
        call(socket, kind, address, data, info)


@_TimerCall
def _timer_is_due(timer: int, _: int) -> None:
    if timer in _kept:
        call, info = _kept.pop(timer)   # each is for one time
        call(timer, info)


def CFSocketCreateWithNative(allocator: Any, fd: int, kinds: int, call: Callable[..., object], info: Any) -> int:
    socket: int = _create_socket(allocator, fd, kinds, _socket_is_ready, None)
    _kept[socket] = call, info
    return socket


def CFSocketInvalidate(socket: int) -> None:
    _kept.pop(socket, None)
    _invalidate_socket(socket)


def CFRunLoopTimerCreate(
    allocator: Any, when: float, interval: float, flags: int, order: int, call: Callable[..., object], info: Any
) -> int:
    timer: int = _create_timer(allocator, when, interval, flags, order, _timer_is_due, None)
    _kept[timer] = call, info
    return timer


def CFRunLoopTimerInvalidate(timer: int) -> None:
    _kept.pop(timer, None)
    _invalidate_timer(timer)
