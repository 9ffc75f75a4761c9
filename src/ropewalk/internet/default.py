"""The default reactor: the best one of this system, or the one that ROPEWALK_REACTOR names."""

from __future__ import annotations

import importlib
import os

from ropewalk.core import choose
from ropewalk.errors import ReactorNotAvailableError


def install(name: str | None = None) -> None:
    """Install the reactor `name`; without one that of ROPEWALK_REACTOR, or the system's best.

    Raises ReactorNotAvailableError for a name that is unknown or cannot be used here.
    """
    if name is not None:
        _install(name)
        return
    named = os.environ.get("ROPEWALK_REACTOR")
    try:
        _install(named or "default")
    except ReactorNotAvailableError as error:
        if not named:
            raise
        raise ReactorNotAvailableError(f"{error}; the environment variable ROPEWALK_REACTOR asks for it") from error


def _install(name: str) -> None:
    row = choose.choice(name)
    importlib.import_module(f"ropewalk.internet.{row.module}").install()
