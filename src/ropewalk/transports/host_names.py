"""Names of hosts in ASCII, in lower case, without the dot at the end: as DNS and the certificates of TLS have them.

A name is looked up in the form in which it is verified, or else two hosts could be meant. An international name travels
as its A-labels (RFC 5890). They are made by the package idna where it is installed (IDNA 2008, mapped as UTS 46 says),
else by the standard library's codec (IDNA 2003, which differs for a few letters: it takes 'ß' for 'ss'). An ASCII name
is taken as it is, so that hosts whose names have '_' can be reached.
"""

from __future__ import annotations

import importlib
import ipaddress
from typing import Any

_LONGEST = 253   # RFC 1035: 255 bytes on the wire
_LONGEST_LABEL = 63


def server_name(hostname: str) -> str:
    """The name or address `hostname` in the form that ssl.SSLContext.wrap_bio() takes as its server_hostname.

    An IP address comes back in its shortest spelling, without the zone of a link-local one. Raises ValueError for what
    is neither, TypeError for what is no str.
    """
    if not isinstance(hostname, str):
        raise TypeError(f"the name of a host is a str, not {hostname!r}")
    try:
        return str(ipaddress.ip_address(hostname.partition("%")[0]))
    except ValueError:
        return ascii_name(hostname)


def ascii_name(name: str) -> str:
    """`name`, that of a host, in the form that server_name() has. Raises ValueError for what is none."""
    try:
        found = name.lower() if name.isascii() else _a_labels(name)
    except UnicodeError as error:   # idna's error is one, too
        raise ValueError(f"{name!r} is no name of a host: {error}") from error
    found = found.removesuffix(".")
    labels = found.split(".")
    if not all(labels):
        raise ValueError(f"{name!r} is no name of a host: there is nothing between two dots, or nothing at all")
    if len(found) > _LONGEST or max(map(len, labels)) > _LONGEST_LABEL:
        raise ValueError(f"{name!r} is no name of a host: more than {_LONGEST} letters, or {_LONGEST_LABEL} in a label")
    if not all(character.isalnum() or character in "-_." for character in found):
        raise ValueError(f"{name!r} is no name of a host: only letters, digits, '-', '_' and '.' may be in one")
    return found


def _a_labels(name: str) -> str:
    idna = _idna()
    if idna is None:
        return name.encode("idna").decode("ascii").lower()
    encoded: bytes = idna.encode(name, uts46=True)
    return encoded.decode("ascii")


def _idna() -> Any:
    """The package idna; None without it. It is found by its name, for it must not be needed."""
    try:
        return importlib.import_module("idna")
    except ImportError:
        return None
