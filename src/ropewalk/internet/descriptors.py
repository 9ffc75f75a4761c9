"""The descriptors that endpoint strings name by number, as fd:7: each is adopted, and so closed, once.

A runner that loads its program again needs them again: it keeps duplicates, and hands those out the next time.
"""

from __future__ import annotations

import contextlib
import os


class Kept:
    """Keeps a duplicate of each descriptor that is taken."""

    def __init__(self) -> None:
        self._kept: dict[int, int] = {}
        self._again: dict[int, int] = {}   # duplicates of those, by the same numbers

    def take(self, number: int) -> int:
        """What to adopt for the descriptor `number`: it the first time, and a duplicate of it after each again()."""
        if number in self._again:
            return self._again.pop(number)
        if number not in self._kept:
            with contextlib.suppress(OSError):   # whoever adopts it says why it cannot be
                self._kept[number] = os.dup(number)
        return number

    def again(self) -> None:
        """The program is loaded again: let it take each descriptor once more."""
        _close(self._again)
        self._again = {number: os.dup(kept) for number, kept in self._kept.items()}

    def close(self) -> None:
        """It will not be loaded again: keep none."""
        _close(self._again)
        _close(self._kept)


def _close(duplicates: dict[int, int]) -> None:
    while duplicates:
        os.close(duplicates.popitem()[1])


_keeper: Kept | None = None


def keep() -> Kept:
    """From now on every descriptor that is taken is kept; returns what hands it out again."""
    global _keeper
    if _keeper is None:
        _keeper = Kept()
    return _keeper


def take(number: int) -> int:
    """The descriptor to adopt for one that is named by its number."""
    return number if _keeper is None else _keeper.take(number)
