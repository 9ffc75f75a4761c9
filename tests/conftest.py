"""What all tests share: the garbage collector's patience, and a display for those that open windows."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from ropewalk.testing.display import missing, virtual_display


def pytest_collection_finish() -> None:
    """The rig collects garbage twice a behaviour: it need not look at all that pytest made, which was half its time."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Who asks the garbage collector for the referrers of something, as Hypothesis does, finds them again."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def display() -> Iterator[None]:
    """A display of the tests' own, where Xvfb is installed; else whatever is there."""
    if sys.platform == "win32":
        with a_window():
            yield
    elif missing() is not None:
        yield
    else:
        with virtual_display():
            yield


@contextlib.contextmanager
def a_window() -> Iterator[None]:
    """One that stays, and is not seen. The first one starts Wine's desktop, a process that holds its opener's pipes:
    of a child that opened it, nobody would read the end."""
    user: Any = ctypes.WinDLL("user32")   # type: ignore[attr-defined]   # not there on other systems
    user.CreateWindowExW.restype = ctypes.c_void_p
    window = user.CreateWindowExW(0, "STATIC", None, 0, 0, 0, 0, 0, None, None, None, None)
    yield
    user.DestroyWindow(ctypes.c_void_p(window))
