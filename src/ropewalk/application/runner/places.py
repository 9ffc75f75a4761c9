"""Where a service listens, as its users and its manager are told."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import Any

from ropewalk.application.runner.stopping import ports
from ropewalk.internet.address import UNIXAddress
from ropewalk.internet.endpoints import quoteStringArgument

_log = logging.getLogger("ropewalk.runner")


def places(reactor: Any) -> list[str]:
    """Where `reactor` listens, as endpoint strings to connect to."""
    return sorted(_described(port.getHost()) for port in ports(reactor))


def log(listening: list[str]) -> None:
    """Tell the log."""
    for place in listening:
        _log.info("listening on %s", place)


def announce(listening: list[str]) -> None:
    """Tell standard output, if there is one and somebody reads it."""
    if sys.stdout is None:
        return
    with contextlib.suppress(OSError, ValueError):
        for place in listening:
            print(f"listening on {place}", flush=True)


def status(listening: list[str]) -> str:
    """One line for `systemctl status`."""
    return f"listening on {', '.join(listening)}" if listening else "running"


def _described(address: Any) -> str:
    if isinstance(address, UNIXAddress):
        return f"unix:{quoteStringArgument(os.fsdecode(address.name or b''))}"
    return f"{address.type.lower()}:{quoteStringArgument(address.host)}:{address.port}"
