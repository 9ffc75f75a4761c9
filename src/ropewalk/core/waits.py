"""Registered waits of Windows: a thread of the system's waits for a handle, of whatever kind, and calls.

Facts, and what they mean for us:
* RegisterWaitForSingleObject waits in threads of the system's, 63 handles each, so there may be any number of handles.
* A handle must not be closed while a wait for it goes on; programs do. So a wait has a duplicate of its own.
"""

from __future__ import annotations

import ctypes
import importlib
import itertools
from collections.abc import Callable
from functools import cache, partial
from typing import Any

_ctypes: Any = ctypes   # type checkers on other systems do not know what it has on Windows alone
_FOR_EVER = 0xFFFFFFFF
_IN_WAIT_THREAD_ONCE = 0x4 | 0x8   # WT_EXECUTEINWAITTHREAD | WT_EXECUTEONLYONCE
_UNTIL_CALLED = ctypes.c_void_p(-1)   # UnregisterWaitEx returns when a callback that has begun is over


class Waits:
    """The registered waits of this process. A wait is known by a number that no other ever has."""

    def __init__(self) -> None:
        self._api: Any = importlib.import_module("_winapi")
        self._kernel = _ctypes.WinDLL("kernel32", use_last_error=True)
        self._callback = _ctypes.WINFUNCTYPE(None, ctypes.c_void_p, ctypes.c_ubyte)(self._signalled)
        self._numbers = itertools.count(1)
        self._calls: dict[int, Callable[[], object]] = {}

    def wait_for(self, handle: int, call: Callable[[], object]) -> Callable[[], object]:
        """Call `call` once, in a thread of the system's, when `handle` is signalled. Raises OSError.

        Returns what ends the wait, before or after that; it has to be called, and before the handle is closed.
        """
        us = self._api.GetCurrentProcess()
        own = self._api.DuplicateHandle(us, handle, us, 0, False, self._api.DUPLICATE_SAME_ACCESS)
        wait, number = ctypes.c_void_p(), next(self._numbers)
        self._calls[number] = call
        if not self._kernel.RegisterWaitForSingleObject(
            ctypes.byref(wait), ctypes.c_void_p(own), self._callback, ctypes.c_void_p(number),
            ctypes.c_ulong(_FOR_EVER), _IN_WAIT_THREAD_ONCE,
        ):  # fmt: skip
            error = _ctypes.WinError(_ctypes.get_last_error())
            del self._calls[number]
            self._api.CloseHandle(own)
            raise error
        return partial(self._end, wait, number, own)

    def _end(self, wait: ctypes.c_void_p, number: int, own: int) -> None:
        self._calls.pop(number, None)
        self._kernel.UnregisterWaitEx(wait, _UNTIL_CALLED)
        self._api.CloseHandle(own)

    def _signalled(self, number: int, _: int) -> None:
        call = self._calls.pop(number, None)
        if call is not None:
            call()


@cache
def waits() -> Waits:
    """Those of this process."""
    return Waits()
