"""Private keys and certificates in PEM files; errors name the file."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime

from ropewalk.internet import ssl_pem
from ropewalk.internet.ssl_certificates import Certificate, KeyPair, PrivateCertificate
from ropewalk.internet.ssl_pem import CertificateError

_log = logging.getLogger("ropewalk.internet")

Path = str | os.PathLike[str]


def private_certificate(
    certificates: Path, key: Path | None = None, *, chain: Path | None = None, password: str | bytes | None = None
) -> PrivateCertificate:
    """The certificate that the PEM file `certificates` has first, with those after it as its chain.

    key: the file of its private key (None: the same); chain: a file of further certificates; password: of an encrypted
    key. One that has expired, or is not valid yet, is logged as a warning. Raises OSError or CertificateError.
    """
    shown = pieces_in(certificates)
    keys = shown if key is None else pieces_in(key)
    further = [] if chain is None else pieces_in(chain).certificates
    if not shown.certificates:
        raise CertificateError(f"{os.fspath(certificates)}: there is a private key, but no certificate")
    if not keys.keys:
        raise CertificateError(f"{os.fspath(key or certificates)}: there is a certificate, but no private key")
    source = os.fspath(certificates) if key is None else f"{os.fspath(certificates)} and {os.fspath(key)}"
    with ssl_pem.naming(source):
        found = assembled(keys.keys[0], [*shown.certificates, *further], password)
    problem = out_of_date(found)
    if problem is not None:
        _log.warning("%s: %s", os.fspath(certificates), problem)
    return found


def pieces_in(path: Path) -> ssl_pem.Pieces:
    """The keys and certificates in the PEM file `path`. Raises OSError or CertificateError."""
    with open(path, "rb") as file, ssl_pem.naming(os.fspath(path)):
        return ssl_pem.pieces(file.read())


def assembled(key: ssl_pem.Block, ders: list[bytes], password: str | bytes | None = None) -> PrivateCertificate:
    """The certificate `ders[0]` with its key and its chain. Raises CertificateError."""
    return PrivateCertificate(ders[0], KeyPair(key, password), [Certificate(der) for der in ders[1:]])


def out_of_date(certificate: Certificate) -> str | None:
    """Why `certificate` is not valid today; None if it is."""
    start, end = certificate.validity()
    now = datetime.now(UTC)
    if now > end:
        return f"the certificate expired at {end:%Y-%m-%d %H:%M:%S} UTC"
    if now < start:
        return f"the certificate is not valid before {start:%Y-%m-%d %H:%M:%S} UTC"
    return None
