"""A descriptor watched by GLib's default main context, which GTK turns, and wx on GTK.

Facts of GLib, and what they mean for us:
* A GUnixFDSource is level-triggered, as we need it: what one dispatch leaves is reported by the next.
* The context is every nested loop's, too; but a source is not dispatched within its own callback, so that a dialog
  opened there would be cut off from the network, unless g_source_set_can_recurse().
* While a source is ready, none of a lower priority is dispatched. At the default priority a busy network leaves 3 to 10
  of 60 repaints a second; below GDK's events (0) and repaints (120), all of them, at no loss of its own throughput. But
  there a program that keeps GLib busy by a timeout of its own stops the network.
  So the rule is: it has the default priority, and after each turn, for 20 ms, the one of idle calls (200).
* A source whose callback raises, or returns false, is removed without a word: so `call` has to let nothing out.
* PyGObject has no call for this whose name and arguments stay from version to version, and its callbacks cost a third
  more: the C library is asked, which also serves programs without PyGObject.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

_IN = 1   # G_IO_IN; errors and hang-ups are reported in any case
_DEFAULT, _IDLE = 0, 200   # G_PRIORITY_*
_BACK = 20   # milliseconds
_REMOVE, _CONTINUE = 0, 1   # G_SOURCE_*
_LIBRARY = "libglib-2.0.so.0"
_Ready = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
_Due = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class DescriptorSource:
    """Calls `call` in the thread of the default context while `fd` is readable, in nested loops, too.

    Raises OSError where GLib's library, under the name it has on Linux, cannot be loaded.
    """

    def __init__(self, fd: int, call: Callable[[], object]) -> None:
        glib = self._glib = _glib()
        self._call = call
        self._back = 0   # the id of the timeout that ends the low priority; 0: it has the default one
        self._ready, self._due = _Ready(self._dispatched), _Due(self._forward)   # GLib keeps no reference
        self._source: int | None = glib.g_unix_fd_source_new(fd, _IN)
        glib.g_source_set_can_recurse(self._source, True)
        glib.g_source_set_callback(self._source, self._ready, None, None)
        glib.g_source_attach(self._source, None)

    def _dispatched(self, fd: int, condition: int, data: object) -> int:
        if not self._back:
            self._glib.g_source_set_priority(self._source, _IDLE)
            self._back = self._glib.g_timeout_add_full(_DEFAULT, _BACK, self._due, None, None)
        self._call()
        return _CONTINUE

    def _forward(self, data: object) -> int:
        self._back = 0
        self._glib.g_source_set_priority(self._source, _DEFAULT)
        return _REMOVE

    def end(self) -> None:
        """Watch no more; also from within `call`."""
        source, self._source = self._source, None
        if source is None:
            return
        self._glib.g_source_destroy(source)
        self._glib.g_source_unref(source)
        if self._back:
            self._glib.g_source_remove(self._back)


@functools.cache
def _glib() -> Any:
    library = ctypes.CDLL(_LIBRARY)
    pointer, number = ctypes.c_void_p, ctypes.c_int
    library.g_unix_fd_source_new.restype = pointer
    for name, *arguments in (
        ("g_unix_fd_source_new", number, number),
        ("g_source_set_priority", pointer, number),
        ("g_source_set_can_recurse", pointer, number),
        ("g_source_set_callback", pointer, _Ready, pointer, pointer),
        ("g_source_attach", pointer, pointer),
        ("g_source_destroy", pointer),
        ("g_source_unref", pointer),
        ("g_timeout_add_full", number, ctypes.c_uint, _Due, pointer, pointer),
        ("g_source_remove", ctypes.c_uint),
    ):
        getattr(library, name).argtypes = arguments
    return library
