"""What somebody may have meant by a name that is unknown."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """"; did you mean ...?", with the nearest of `known`; nothing if none is near."""
    import difflib  # only errors need it

    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
