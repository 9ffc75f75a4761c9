"""What unit tests share: kqueue, where the system has none."""

from __future__ import annotations

import importlib.util
import select

import pytest

_OF_UNIX = ["test_pipe.py", "test_sendmsg.py", "test_shared.py"]
collect_ignore = [] if importlib.util.find_spec("fcntl") else _OF_UNIX
"""The tests of what Windows has not, or has in modules of its own."""


@pytest.fixture
def kqueue(monkeypatch: pytest.MonkeyPatch) -> None:
    """select.kqueue is there, the system's or else, on Linux, the emulation."""
    if hasattr(select, "kqueue"):
        return
    if not hasattr(select, "epoll"):
        pytest.skip("this system has no kqueue, and the emulation is Linux's")
    from tools.testbeds import kqueue as emulation

    for name, value in emulation.NAMES.items():
        monkeypatch.setattr(select, name, value, raising=False)
