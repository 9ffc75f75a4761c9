"""Certificates for tests: an authority that signs whatever a test needs, also what no honest one would.

    authority = Authority()
    server = authority.issue("localhost", "127.0.0.1").options()
    client = optionsForClientTLS("localhost", trustRoot=authority.certificate)

It needs the package cryptography, which the extra `test` installs. Keys are of the curve P-256: they are made in less
than a millisecond.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ropewalk.internet.ssl import FILETYPE_PEM, Certificate, KeyPair, PrivateCertificate

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_HOUR = timedelta(hours=1)
_YEAR = timedelta(days=365)


class Authority:
    """An authority that signs certificates; its own is self-signed, unless another authority made it by authority().

    name: the common name of its certificate. Raises ImportError, which says what to install, without cryptography.
    """

    def __init__(self, name: str = "Authority of a test", *, parent: Authority | None = None) -> None:
        _require()
        self.name = name
        self._parent = parent
        self._key = _new_key()
        signer = self if parent is None else parent
        self.certificate = _signed(signer, name, self._key, (), _this_year(), is_authority=True)

    @property
    def pem(self) -> bytes:
        """Its certificate as PEM."""
        return self.certificate.dump(FILETYPE_PEM)

    def authority(self, name: str = "Intermediate authority of a test") -> Authority:
        """Another authority, whose certificate this one has signed."""
        return Authority(name, parent=self)

    def issue(
        self, *names: str, commonName: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> PrivateCertificate:
        """A new certificate with its key, for `names`: names of hosts as in certificates (A-labels, '*.') or addresses.

        commonName: of its subject (None: the first name); since, until: when it is valid, with a time zone (None: since
        an hour ago, for a year). Its chain leads to the root, without that.
        """
        start = datetime.now(UTC) - _HOUR if since is None else since
        end = start + _YEAR if until is None else until
        subject = commonName if commonName is not None else next(iter(names), "nobody")
        key = _new_key()
        signed = _signed(self, subject, key, names, (start, end), is_authority=False)
        return PrivateCertificate(signed.dump(), _key_pair(key), self._chain())

    def expired(self, *names: str) -> PrivateCertificate:
        """A certificate that was valid until an hour ago."""
        now = datetime.now(UTC)
        return self.issue(*names, since=now - _YEAR, until=now - _HOUR)

    def _chain(self) -> list[Certificate]:
        return [] if self._parent is None else [self.certificate, *self._parent._chain()]


def selfSigned(*names: str) -> PrivateCertificate:
    """A certificate for `names` that no authority has signed, but its own key."""
    nobody = Authority(names[0])
    signed = _signed(nobody, names[0], nobody._key, names, _this_year(), is_authority=False)
    return PrivateCertificate(signed.dump(), _key_pair(nobody._key))


def _signed(
    signer: Authority,
    subject: str,
    key: EllipticCurvePrivateKey,
    names: Sequence[str],
    valid: tuple[datetime, datetime],
    *,
    is_authority: bool,
) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding

    public, signing = key.public_key(), signer._key.public_key()
    builder = (
        x509.CertificateBuilder(_name(signer.name), _name(subject), public, x509.random_serial_number(), *valid)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing), critical=False)
    )
    if is_authority:
        builder = builder.add_extension(_may_sign(), critical=True)
    if names:
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    return Certificate(builder.sign(signer._key, SHA256()).public_bytes(Encoding.DER))


def _this_year() -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return now - _HOUR, now + _YEAR


def _require() -> None:
    try:
        import cryptography.x509  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "certificates for tests are made by the package cryptography: pip install 'ropewalk[test]'"
        ) from error


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _name(name: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _may_sign() -> x509.KeyUsage:
    from cryptography import x509

    others = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return x509.KeyUsage(
        **dict.fromkeys(others, False), key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False
    )


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pair(key: EllipticCurvePrivateKey) -> KeyPair:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return KeyPair.load(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), FILETYPE_PEM)
