"""Every module can be imported on every system, but those that are inside and one system's alone."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from pathlib import Path

import pytest

import ropewalk

SAYS_WHY_NOT = {"ropewalk.internet.sendmsg", "ropewalk.twisted.processes"}   # on Windows: see test_missing.py
WINDOWS_ALONE, ALL_BUT_WINDOWS = 'assert sys.platform == "win32"', 'assert sys.platform != "win32"'
"""What an inner module begins with that is not for every system; who imports one has asked for the system before."""
UNIX_ALONE = {f"ropewalk.transports.{name}" for name in ("launch", "pipe", "serial", "shared", "terminal_process")}


def modules() -> list[str]:
    """Those of this system, but for what runs something when it is imported."""
    found = [module.name for module in pkgutil.walk_packages(ropewalk.__path__, "ropewalk.", onerror=lambda name: None)]
    if importlib.util.find_spec("twisted") is None:
        found = [name for name in found if not name.startswith("ropewalk.twisted")]
    return [name for name in found if not name.endswith(("__main__", ".reactor"))]


def is_of_this_system(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    if sys.platform == "win32":
        return name not in SAYS_WHY_NOT | UNIX_ALONE and ALL_BUT_WINDOWS not in source
    return WINDOWS_ALONE not in source


@pytest.mark.parametrize("name", modules())
def test_it_can_be_imported(name: str) -> None:
    if not is_of_this_system(name):
        pytest.skip("it is for other systems")
    importlib.import_module(name)
