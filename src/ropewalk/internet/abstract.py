"""Telling literal addresses from names, under the names of twisted.internet.abstract."""

from __future__ import annotations

from socket import AF_INET, AF_INET6

from ropewalk.transports.address import literal_family

__all__ = ["isIPAddress", "isIPv6Address"]


def isIPAddress(addr: str | bytes, family: int = AF_INET) -> bool:
    """Whether `addr` is a literal address of `family`, AF_INET or AF_INET6; one of AF_INET6 may have a zone (%eth0).

    addr: text, or ASCII as bytes. Raises ValueError for another family. Twisted's, as the next one.
    """
    if family not in (AF_INET, AF_INET6):
        raise ValueError(f"a literal address is of AF_INET or AF_INET6, not of the family {family!r}")
    if isinstance(addr, bytes):
        addr = addr.decode("latin-1")   # never fails; what is not ASCII is in no address
    return literal_family(addr) == family


def isIPv6Address(addr: str | bytes) -> bool:
    """Whether `addr` is a literal IPv6 address, with or without a zone."""
    return isIPAddress(addr, AF_INET6)
