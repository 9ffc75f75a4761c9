"""Twisted's errors under the names of ropewalk.errors; what Twisted lacks derives from its nearest class.

Twisted's CertificateError is a name that it does not use; ours is a reason for which a connection is lost, too.
"""

from __future__ import annotations

from types import SimpleNamespace

from twisted.internet import error

from ropewalk import errors


class TLSError(error.ConnectionLost):
    """TLS failed, on either side."""


class CertificateError(TLSError, error.CertificateError):
    """The peer's certificate was not accepted; the text says whose it is, and why."""


class ConnectionTruncated(TLSError):
    """The connection ended without TLS's end (close_notify): what came may have been cut short by somebody else."""


_LACKING = (TLSError, CertificateError, ConnectionTruncated, errors.ReactorNotAvailableError)
_OURS = {one.__name__: one for one in _LACKING}

NAMESPACE = SimpleNamespace(**{name: _OURS.get(name) or getattr(error, name) for name in errors.__all__})
"""The namespace of a kit: see ropewalk.interfaces.Kit.error."""
