"""Kinds of endpoints that other distributions add, found through the entry points of the group ropewalk.endpoints.

An entry point's name is the kind (the text before the first ':'), its object is an IStreamServerEndpointStringParser,
an IStreamClientEndpointStringParserWithReactor, or both. In a pyproject.toml:

    [project.entry-points."ropewalk.endpoints"]
    onion = "onions.endpoints:Parser"

Reading the entry points of everything that is installed takes milliseconds: it is done, and the parser imported, only
for a string whose kind is none of Ropewalk's own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ropewalk.internet.endpoint_strings import Description
from ropewalk.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

GROUP = "ropewalk.endpoints"


class Side(NamedTuple):
    """What is asked of a parser. method: its method; makes: the interface of what that returns; use: for errors."""

    method: str
    makes: type
    use: str


SERVER = Side("parseStreamServer", IStreamServerEndpoint, "listened at")
CLIENT = Side("parseStreamClient", IStreamClientEndpoint, "connected to")


def entry_points() -> dict[str, list[Any]]:
    """The entry points of the group, by name."""
    from importlib import metadata  # it takes longer than all of ropewalk.internet

    found: dict[str, list[Any]] = {}
    for point in metadata.entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point)
    return found


def parse(points: list[Any], side: Side, reactor: Any, description: Description) -> Any:
    """The endpoint that the parser of `points`, the entry points of the description's kind, makes of it.

    Raises ValueError, caused by what went wrong: two distributions have that kind, the parser cannot be imported,
    cannot parse for this side, raises, or makes no endpoint.
    """
    whose = " and ".join(f"{point.value} ({_distribution(point)})" for point in points)
    kind = description.kind
    if len(points) > 1:
        raise description.fault(kind.at, f"{kind.value} is a kind of more than one parser: {whose}")
    args, kwargs = description.sorted_out()
    try:
        parser = getattr(points[0].load(), side.method, None)
        endpoint = None if parser is None else parser(reactor, *args, **kwargs)
    except Exception as error:
        why = f"the parser of {kind.value}, {whose}, failed: {type(error).__name__}: {error}"
        raise description.fault(kind.at, why) from error
    if parser is None:
        raise description.fault(kind.at, f"{kind.value} cannot be {side.use}: {whose} has no {side.method}")
    if not isinstance(endpoint, side.makes):
        raise description.fault(kind.at, f"the parser of {kind.value}, {whose}, made no endpoint, but {endpoint!r}")
    return endpoint


def _distribution(point: Any) -> str:
    return "of no distribution" if point.dist is None else f"{point.dist.name} {point.dist.version}"
