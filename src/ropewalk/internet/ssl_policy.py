"""The contexts that everything here begins with: TLS 1.2 or later, no compression, no renegotiation, no old habits."""

from __future__ import annotations

import enum
import ssl
from collections.abc import Iterable, Sequence


class TLSVersion(enum.Enum):
    """A version of TLS; Twisted's names, which ssl.TLSVersion spells differently."""

    SSLv3 = ssl.TLSVersion.SSLv3
    TLSv1_0 = ssl.TLSVersion.TLSv1
    TLSv1_1 = ssl.TLSVersion.TLSv1_1
    TLSv1_2 = ssl.TLSVersion.TLSv1_2
    TLSv1_3 = ssl.TLSVersion.TLSv1_3


MINIMUM = TLSVersion.TLSv1_2
_ORDER = list(TLSVersion)


def client_context() -> ssl.SSLContext:
    """A new context for clients. It verifies certificates and the names of hosts, and trusts nobody yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False   # RFC 9525: subjectAltName alone counts
    return _hardened(context)


def server_context() -> ssl.SSLContext:
    """A new context for servers, whose order of ciphers counts. It asks clients for no certificate."""
    return _hardened(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def _hardened(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = MINIMUM.value
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF   # an end without close_notify is to be seen
    return context


Range = tuple[TLSVersion, TLSVersion | None]


def version_range(
    raiseMinimumTo: TLSVersion | None, insecurelyLowerMinimumTo: TLSVersion | None, highest: TLSVersion | None
) -> Range:
    """The lowest and the highest version (None: the newest) that these arguments of CertificateOptions stand for.

    Raises TypeError if two exclude each other, ValueError if nothing is left between them.
    """
    if raiseMinimumTo is not None and insecurelyLowerMinimumTo is not None:
        raise TypeError("raiseMinimumTo and insecurelyLowerMinimumTo exclude each other")
    lowest = insecurelyLowerMinimumTo or max(raiseMinimumTo or MINIMUM, MINIMUM, key=_ORDER.index)
    if highest is None:
        return lowest, None
    if (raiseMinimumTo, insecurelyLowerMinimumTo) == (None, None):
        lowest = min(lowest, highest, key=_ORDER.index)
    if _ORDER.index(lowest) > _ORDER.index(highest):
        raise ValueError(f"no version is left: the lowest is {lowest.name}, the highest {highest.name}")
    return lowest, highest


def set_versions(context: ssl.SSLContext, versions: Range) -> None:
    """Let `context` speak the versions from the first to the second alone."""
    lowest, highest = versions
    if _ORDER.index(lowest) < _ORDER.index(MINIMUM):
        context.set_ciphers("DEFAULT:@SECLEVEL=0")   # else OpenSSL 3 has no cipher for them
    if lowest is not MINIMUM:
        context.minimum_version = lowest.value
    if highest is not None:
        context.maximum_version = highest.value


def alpn(protocols: Iterable[str | bytes] | None) -> tuple[bytes, ...]:
    """Names of application protocols (RFC 7301) as bytes, each once, the one to be preferred first.

    Raises ValueError for what the standard library cannot offer: ASCII names of 1 to 255 bytes it can.
    """
    names = tuple(dict.fromkeys(name.encode() if isinstance(name, str) else name for name in protocols or ()))
    for name in names:
        if not (1 <= len(name) <= 255 and name.isascii()):
            raise ValueError(f"{name!r} cannot be offered: the name of a protocol has 1 to 255 ASCII characters here")
    return names


def offer(context: ssl.SSLContext, protocols: Sequence[bytes]) -> None:
    """Let `context` negotiate one of `protocols`, as alpn() returns them; nothing is changed if there are none."""
    if protocols:
        context.set_alpn_protocols([name.decode("ascii") for name in protocols])
