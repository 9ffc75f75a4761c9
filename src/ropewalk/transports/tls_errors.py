"""What ended TLS, in words: the errors of the ssl module as the reasons that connectionLost() gets."""

from __future__ import annotations

import ssl
from typing import Any

_REFUSED_CERTIFICATE = {
    "BAD_CERTIFICATE", "UNSUPPORTED_CERTIFICATE", "CERTIFICATE_REVOKED", "CERTIFICATE_EXPIRED", "CERTIFICATE_UNKNOWN",
    "UNKNOWN_CA",
}  # fmt: skip
_WORDS = {
    "HTTP_REQUEST": "the peer speaks HTTP, without TLS",
    "WRONG_VERSION_NUMBER": "what the peer sent is no TLS",
    "BAD_RECORD_TYPE": "what the peer sent is no TLS",
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": "a record was corrupted on its way",
    "UNSUPPORTED_PROTOCOL": "no version of TLS that both sides accept",
    "NO_PROTOCOLS_AVAILABLE": "no version of TLS that both sides accept",
    "NO_SHARED_CIPHER": "no cipher that both sides accept",
    "CALLBACK_FAILED": "there is no certificate for the name that the client asks for",
}


class Late(OSError):
    """What the peer did not do in time."""


def explained(errors: Any, error: OSError, peer: str, within: bool) -> Exception:
    """The reason, one of `errors` (a kit's namespace), for a connection with `peer` that ended because of `error`.

    within: whether that was before the end of the handshake.
    """
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        how = "in the middle of the handshake" if within else "without close_notify"
        kind, why = errors.ConnectionTruncated, f"the peer ended it {how}"
    elif isinstance(error, ssl.SSLCertVerificationError):
        kind, why = errors.CertificateError, f"the certificate of {peer} is not accepted: {error.verify_message}"
    elif isinstance(error, ssl.SSLError) and error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        kind, why = errors.CertificateError, f"{peer} showed no certificate"
    elif isinstance(error, ssl.SSLError):
        kind, why = errors.TLSError, _in_words(error)
    elif isinstance(error, Late):
        kind, why = errors.TLSError, str(error)
    else:
        kind, why = errors.ConnectionLost, error.strerror or str(error)
    reason: Exception = kind(why)
    reason.__cause__ = error
    return reason


def _in_words(error: ssl.SSLError) -> str:
    """What a person is told of an error of OpenSSL's, such as TLSV1_ALERT_UNKNOWN_CA."""
    reason = error.reason
    if not reason:
        return str(error)
    _, is_alert, alert = reason.partition("_ALERT_")
    if alert in _REFUSED_CERTIFICATE:
        return f"the peer does not accept our certificate: {_spaced(alert)}"
    if is_alert:
        return f"the peer says: {_spaced(alert)}"
    return _WORDS.get(reason) or _spaced(reason)


def _spaced(name: str) -> str:
    return name.lower().replace("_", " ")
