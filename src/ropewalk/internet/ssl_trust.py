"""Authorities to trust, in PEM files."""

from __future__ import annotations

import logging
import os

from ropewalk.internet.ssl_certificates import Certificate
from ropewalk.internet.ssl_contexts import TrustRoot, trustRootFromCertificates
from ropewalk.internet.ssl_files import pieces_in
from ropewalk.internet.ssl_pem import CertificateError

_log = logging.getLogger("ropewalk.internet")


def trust_root(path: str) -> TrustRoot:
    """The certificates in the PEM file `path`, or in the *.pem files of that folder, as authorities to trust.

    A file of the folder that is of no use is logged as a warning. Raises OSError, and CertificateError if there is no
    certificate at all: nobody would be trusted.
    """
    if os.path.isdir(path):
        names = sorted(name for name in os.listdir(path) if name.lower().endswith(".pem"))
        found = [certificate for name in names for certificate in _if_usable(os.path.join(path, name))]
    else:
        found = _certificates(path)
    if not found:
        raise CertificateError(f"{path}: there is no certificate of an authority to trust")
    return trustRootFromCertificates(dict.fromkeys(found))


def _if_usable(path: str) -> list[Certificate]:
    try:
        return _certificates(path)
    except (OSError, CertificateError) as error:
        _log.warning("not trusted: %s", error)
        return []


def _certificates(path: str) -> list[Certificate]:
    return [Certificate(der) for der in pieces_in(path).certificates]
