"""What all tests share: the garbage collector's patience, and a display for those that open windows."""

from __future__ import annotations

import gc
from collections.abc import Iterator

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
    if missing() is not None:
        yield
        return
    with virtual_display():
        yield
