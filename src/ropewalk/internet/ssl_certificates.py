"""Certificates and private keys as objects: Twisted's Certificate, PrivateCertificate, KeyPair, DistinguishedName."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from ropewalk.internet import ssl_pem, ssl_x509
from ropewalk.internet.ssl_pem import CertificateError
from ropewalk.internet.ssl_policy import server_context

if TYPE_CHECKING:
    from ropewalk.internet.ssl_contexts import CertificateOptions

FILETYPE_PEM = 1   # the numbers that OpenSSL has for these
FILETYPE_ASN1 = 2

_FIELDS = {
    "CN": "commonName",
    "O": "organizationName",
    "OU": "organizationalUnitName",
    "L": "localityName",
    "ST": "stateOrProvinceName",
    "C": "countryName",
}
_FULL_FIELDS = {*_FIELDS.values(), "emailAddress"}


class DistinguishedName(dict[str, bytes]):
    """Who a certificate is for, or of: a dict of bytes, whose keys are attributes, too, as are their short forms.

    Keys: commonName (CN), organizationName (O), organizationalUnitName (OU), localityName (L), stateOrProvinceName
    (ST), countryName (C), emailAddress. A value may be given as str. Of a key that a certificate has several times,
    the first value counts. Twisted's DistinguishedName.
    """

    __slots__ = ()

    def __init__(self, **fields: str | bytes) -> None:
        super().__init__()
        for name, value in fields.items():
            setattr(self, name, value)

    def __getattr__(self, name: str) -> bytes:
        try:
            return self[_FIELDS.get(name, name)]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: str | bytes) -> None:
        full = _FIELDS.get(name, name)
        if full not in _FULL_FIELDS:
            raise AttributeError(f"{name} is no field of a distinguished name; there are: {sorted(_FULL_FIELDS)}")
        self[full] = value.encode() if isinstance(value, str) else value

    def __repr__(self) -> str:
        return f"<DN {', '.join(f'{name}={value!r}' for name, value in self.items())}>"

    def inspect(self) -> str:
        """The fields, one a line, for people."""
        return "\n".join(f"{name}: {self[name].decode(errors='replace')}" for name in sorted(self))


DN = DistinguishedName


class Certificate:
    """An X.509 certificate. It is only read here, and not verified.

    der: its bytes. Raises CertificateError if they are no certificate. Two are equal if their bytes are.
    """

    def __init__(self, der: bytes) -> None:
        try:
            self._contents = ssl_x509.read(der)
        except ValueError as error:
            raise CertificateError(f"this is no X.509 certificate: {error}") from error
        self._der = der

    @classmethod
    def load(cls, requestData: bytes, format: int = FILETYPE_ASN1) -> Certificate:
        """The certificate `requestData`, DER or with FILETYPE_PEM the first of a PEM text. Raises CertificateError."""
        if _checked(format) == FILETYPE_PEM:
            return cls.loadPEM(requestData)
        return Certificate(requestData)

    @classmethod
    def loadPEM(cls, data: str | bytes) -> Certificate:
        """The first certificate of a PEM text. Raises CertificateError."""
        return Certificate(_first_certificate(_pieces(data)))

    @classmethod
    def peerFromTransport(cls, transport: Any) -> Certificate:
        """The certificate that the peer of a TLS transport has shown. Raises CertificateError if there is none."""
        get = getattr(transport, "getPeerCertificate", None)
        if get is None:
            raise CertificateError(f"{transport!r} is no TLS transport: there is no certificate")
        found = get()
        if found is None:
            raise CertificateError(f"the peer of {transport!r} has shown no certificate")
        return found if isinstance(found, Certificate) else Certificate(found)

    @property
    def original(self) -> Self:
        """Itself: what CertificateOptions takes, as in Twisted."""
        return self

    def dump(self, format: int = FILETYPE_ASN1) -> bytes:
        """Its bytes, as DER or PEM."""
        if _checked(format) == FILETYPE_ASN1:
            return self._der
        return ssl_pem.block("CERTIFICATE", self._der).text

    def dumpPEM(self) -> bytes:
        """It as PEM; a PrivateCertificate's with its key."""
        return self.dump(FILETYPE_PEM)

    def getSubject(self) -> DistinguishedName:
        """Who it is for."""
        return _distinguished(self._contents.subject)

    def getIssuer(self) -> DistinguishedName:
        """Who has signed it."""
        return _distinguished(self._contents.issuer)

    def serialNumber(self) -> int:
        """The number that its issuer gave it."""
        return self._contents.serial

    def digest(self, method: str = "md5") -> bytes:
        """The digest of its DER by that method of hashlib: hexadecimal pairs between colons."""
        return hashlib.new(method, self._der, usedforsecurity=False).digest().hex(":").upper().encode("ascii")

    def getPublicKey(self) -> PublicKey:
        """Its public key."""
        return PublicKey(self._contents.public_key)

    def alternativeNames(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The names of hosts and the IP addresses that it is for (subjectAltName)."""
        return self._contents.dns_names, self._contents.addresses

    def validity(self) -> tuple[datetime, datetime]:
        """The first and the last moment at which it is valid, in UTC."""
        return self._contents.not_before, self._contents.not_after

    def inspect(self) -> str:
        """Everything that there is to say, for people."""
        about = ["Certificate For Subject:", self.getSubject().inspect(), "", "Issuer:", self.getIssuer().inspect(), ""]
        about += [f"Serial Number: {self.serialNumber()}", f"Digest: {self.digest().decode()}"]
        return "\n".join([*about, self.getPublicKey().inspect()])

    def addTo(self, context: ssl.SSLContext) -> None:
        """Let `context` trust it: a certificate is a trust root, too."""
        trust(context, [self])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Certificate):
            return NotImplemented
        return self._der == other._der

    def __hash__(self) -> int:
        return hash(self._der)

    def __repr__(self) -> str:
        subject, issuer = (name.get("commonName", b"").decode() for name in (self.getSubject(), self.getIssuer()))
        return f"<{type(self).__name__} Subject={subject} Issuer={issuer}>"


def trust(context: ssl.SSLContext, certificates: Iterable[Certificate]) -> None:
    """Let `context` trust `certificates`, and what they have signed: also those that another has signed."""
    data = b"".join(certificate.dump() for certificate in certificates)
    if data:
        context.load_verify_locations(cadata=data)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


class PublicKey:
    """The public half of a key. der: its SubjectPublicKeyInfo (RFC 5280)."""

    def __init__(self, der: bytes) -> None:
        self._der = der

    def matches(self, otherKey: PublicKey) -> bool:
        """Whether this is the same key."""
        return self._der == otherKey._der

    def keyHash(self) -> str:
        """A name for the key, of 32 hexadecimal digits; Twisted's are the same."""
        return hashlib.md5(self._der, usedforsecurity=False).hexdigest()

    def inspect(self) -> str:
        """What there is to say, for people."""
        return f"Public Key with Hash: {self.keyHash()}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.keyHash()}>"


class KeyPair:
    """A private key. It is given to OpenSSL as it is; nothing of it is shown.

    block: its PEM; password: of an encrypted one.
    """

    def __init__(self, block: ssl_pem.Block, password: str | bytes | None = None) -> None:
        self.block = block
        self.password = password

    @classmethod
    def load(cls, data: bytes, format: int = FILETYPE_ASN1, *, password: str | bytes | None = None) -> KeyPair:
        """The private key `data`, DER (PKCS #8, PKCS #1 or SEC 1) or with FILETYPE_PEM the first of a PEM text.

        Raises CertificateError.
        """
        if _checked(format) == FILETYPE_PEM:
            return _first_key(_pieces(data), password)
        return cls(ssl_pem.block(_label(data), data), password)

    @property
    def original(self) -> Self:
        """Itself: what CertificateOptions takes, as in Twisted."""
        return self

    def dump(self, format: int = FILETYPE_ASN1) -> bytes:
        """Its bytes, as DER or PEM; still encrypted if it was."""
        return self.block.der if _checked(format) == FILETYPE_ASN1 else self.block.text

    def newCertificate(self, newCertData: bytes, format: int = FILETYPE_ASN1) -> PrivateCertificate:
        """This key with the certificate `newCertData`. Raises CertificateError if it is another key's."""
        return PrivateCertificate.load(newCertData, self, format)

    def __repr__(self) -> str:
        return f"<KeyPair, {self.block.label.lower()}>"


class PrivateCertificate(Certificate):
    """A certificate with its private key, and the certificates that lead from it to a root. Twisted's, with a chain.

    Raises CertificateError if the key is another certificate's.
    """

    def __init__(self, der: bytes, privateKey: KeyPair, chain: Sequence[Certificate] = ()) -> None:
        super().__init__(der)
        self.privateKey = privateKey
        self.chain = tuple(chain)
        load_key(server_context(), self, privateKey, chain)

    @classmethod
    def load(  # type: ignore[override]   # Twisted's
        cls, data: bytes, privateKey: KeyPair, format: int = FILETYPE_ASN1
    ) -> PrivateCertificate:
        """The certificate `data`, DER or PEM, with its key. Raises CertificateError."""
        return cls.fromCertificateAndKeyPair(Certificate.load(data, format), privateKey)

    @classmethod
    def loadPEM(cls, data: str | bytes, *, password: str | bytes | None = None) -> PrivateCertificate:
        """The first private key of a PEM text with its certificates: its own first, then those of its chain.

        password: of an encrypted key. Raises CertificateError.
        """
        found = _pieces(data)
        key = _first_key(found, password)
        return cls(_first_certificate(found), key, [Certificate(der) for der in found.certificates[1:]])

    @classmethod
    def fromCertificateAndKeyPair(cls, certificateInstance: Certificate, privateKey: KeyPair) -> PrivateCertificate:
        """A certificate with its key. Raises CertificateError if they do not belong together."""
        return cls(certificateInstance.dump(), privateKey)

    def newCertificate(self, newCertData: bytes, format: int = FILETYPE_ASN1) -> PrivateCertificate:
        """The same key with another certificate, as after a renewal."""
        return self.privateKey.newCertificate(newCertData, format)

    def options(self, *authorities: Certificate) -> CertificateOptions:
        """A context factory that shows this certificate, and asks the peer for one of `authorities` if there are any.

        Twisted's PrivateCertificate.options().
        """
        from ropewalk.internet.ssl_contexts import CertificateOptions, trustRootFromCertificates

        return CertificateOptions(
            self.privateKey,
            self,
            extraCertChain=self.chain or None,
            trustRoot=trustRootFromCertificates(authorities) if authorities else None,
        )

    def dumpPEM(self) -> bytes:
        """The certificate, its chain and its private key as one PEM text."""
        certificates = [certificate.dump(FILETYPE_PEM) for certificate in (self, *self.chain)]
        return b"".join([*certificates, self.privateKey.dump(FILETYPE_PEM)])


def load_key(
    context: ssl.SSLContext, certificate: Certificate, key: KeyPair, chain: Iterable[Certificate]
) -> None:
    """Let `context` show `certificate` and its `chain`. Raises CertificateError if the key is another's."""
    ders = [certificate.dump(), *(one.dump() for one in chain)]
    subject = certificate.getSubject().get("commonName", b"").decode(errors="replace")
    with ssl_pem.naming(f"the certificate of {subject!r}"):
        ssl_pem.load(context, key.block, ders, key.password)


def _distinguished(pairs: Iterable[tuple[str, str]]) -> DistinguishedName:
    name = DistinguishedName()
    for field, value in pairs:
        name.setdefault(field, value.encode())
    return name


def _checked(format: int) -> int:
    if format not in (FILETYPE_PEM, FILETYPE_ASN1):
        raise ValueError(f"format is to be FILETYPE_PEM or FILETYPE_ASN1, not {format!r}")
    return format


def _pieces(data: str | bytes) -> ssl_pem.Pieces:
    return ssl_pem.pieces(data.encode() if isinstance(data, str) else data)


def _first_certificate(found: ssl_pem.Pieces) -> bytes:
    if not found.certificates:
        raise CertificateError("there is a private key, but no certificate")
    return found.certificates[0]


def _first_key(found: ssl_pem.Pieces, password: str | bytes | None) -> KeyPair:
    if not found.keys:
        raise CertificateError("there is a certificate, but no private key")
    return KeyPair(found.keys[0], password)


def _label(der: bytes) -> str:
    """What PEM calls the private key `der`: PKCS #8 has a SEQUENCE after its version, PKCS #1 a number, SEC 1 neither.

    An encrypted one begins with the SEQUENCE that says how.
    """
    try:
        (key,) = ssl_x509.items(der)
        first, second, *_ = key.inside(ssl_x509.SEQUENCE)
    except ValueError as error:
        raise CertificateError(f"this is no private key: {error}") from error
    if first.tag == ssl_x509.SEQUENCE:
        return "ENCRYPTED PRIVATE KEY"
    return {ssl_x509.SEQUENCE: "PRIVATE KEY", ssl_x509.INTEGER: "RSA PRIVATE KEY"}.get(second.tag, "EC PRIVATE KEY")
