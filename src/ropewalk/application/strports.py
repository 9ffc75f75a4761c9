"""Services that listen where a string says. Names and behaviour are those of twisted.application.strports."""

from __future__ import annotations

from typing import Any

from ropewalk.application.internet import StreamServerEndpointService
from ropewalk.internet.base import current
from ropewalk.internet.endpoints import serverFromString

__all__ = ["service"]


def service(description: str, factory: Any, reactor: Any = None) -> StreamServerEndpointService:
    """A service that listens at `description` (see ropewalk.internet.endpoints) with the protocols of `factory`.

    reactor: what listens; None for the one that runs in this thread, else the installed one. Raises ValueError for a
    description that is wrong.
    """
    endpoint = serverFromString(current() if reactor is None else reactor, description)
    return StreamServerEndpointService(endpoint, factory)
