"""Certificates and keys as objects, and what is said of those that are of no use."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.internet import ssl_pem
from ropewalk.internet.ssl import (
    DN,
    FILETYPE_ASN1,
    FILETYPE_PEM,
    Certificate,
    CertificateError,
    KeyPair,
    PrivateCertificate,
    optionsForClientTLS,
)
from ropewalk.internet.ssl_files import private_certificate
from ropewalk.testing.certificates import Authority, selfSigned
from ropewalk.testing.handshakes import handshake

AUTHORITY = Authority("An authority")
ISSUED = AUTHORITY.issue("a.example", "*.b.example", "192.0.2.1", "2001:db8::1", commonName="Näme")
STEPS = AUTHORITY.authority("A step").issue("a.example")


def openssl(*arguments: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=True).stdout


# -- certificates


def test_a_certificate_tells_what_it_says() -> None:
    since, until = datetime(2020, 1, 1, tzinfo=UTC), datetime(2060, 12, 31, 23, 59, 59, tzinfo=UTC)
    issued = AUTHORITY.issue("a.example", "192.0.2.1", "2001:db8::1", since=since, until=until)
    assert issued.getSubject() == {"commonName": b"a.example"}
    assert issued.getIssuer() == {"commonName": b"An authority"}
    assert issued.alternativeNames() == (("a.example",), ("192.0.2.1", "2001:db8::1"))
    assert issued.validity() == (since, until)


def test_what_a_certificate_says_is_what_openssl_reads_in_it() -> None:
    def said(what: str) -> str:
        return openssl("x509", "-noout", what, "-nameopt", "utf8,sname", stdin=ISSUED.dump(FILETYPE_PEM)).decode()

    assert int(said("-serial").partition("=")[2], 16) == ISSUED.serialNumber()
    assert "Näme" in said("-subject")
    assert ISSUED.getSubject().CN.decode() == "Näme"
    digest = openssl("x509", "-noout", "-fingerprint", "-sha256", stdin=ISSUED.dumpPEM()).decode()
    assert digest.partition("=")[2].strip() == ISSUED.digest("sha256").decode()
    key = openssl("x509", "-noout", "-pubkey", stdin=ISSUED.dumpPEM())
    (block,) = ssl_pem.blocks(key)
    assert block.der == ISSUED.getPublicKey()._der


def test_a_name_has_each_field_under_its_long_and_its_short_name(tmp_path: Path) -> None:
    subject = "/C=DE/ST=There/L=Here/O=Us/OU=All of us/OU=Nobody else/CN=me/emailAddress=me@example.org/serialNumber=1"
    key, made = tmp_path / "key", tmp_path / "certificate"
    openssl("req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", str(key), "-out", str(made), "-subj", subject)
    name = Certificate.loadPEM(made.read_bytes()).getSubject()
    assert name == DN(
        C="DE", ST="There", localityName="Here", O=b"Us", OU="All of us", CN="me", emailAddress="me@example.org"
    )
    assert (name.countryName, name.C, name["countryName"]) == (b"DE", b"DE", b"DE")
    assert "organizationName: Us" in name.inspect().splitlines()
    assert repr(DN(CN="me")) == "<DN commonName=b'me'>"


def test_a_field_that_a_name_does_not_have_is_an_attribute_error() -> None:
    assert not hasattr(DN(CN="me"), "organizationName")
    with pytest.raises(AttributeError, match="colour is no field"):
        DN(colour="red")


def test_a_certificate_is_the_same_as_der_and_as_pem() -> None:
    der, pem = ISSUED.dump(), ISSUED.dump(FILETYPE_PEM)
    assert ssl.PEM_cert_to_DER_cert(pem.decode()) == der
    for same in (Certificate.load(der), Certificate.load(pem, FILETYPE_PEM), Certificate.loadPEM(pem.decode())):
        assert same == ISSUED
        assert hash(same) == hash(ISSUED)
        assert same.original is same
    assert Certificate.load(der) != AUTHORITY.certificate
    assert Certificate.load(der) != der
    with pytest.raises(ValueError, match="FILETYPE_PEM or FILETYPE_ASN1, not 3"):
        ISSUED.dump(3)


def test_a_certificate_describes_itself() -> None:
    assert repr(AUTHORITY.certificate) == "<Certificate Subject=An authority Issuer=An authority>"
    text = ISSUED.inspect()
    for part in ("commonName: Näme", "An authority", str(ISSUED.serialNumber()), ISSUED.getPublicKey().keyHash()):
        assert part in text


def test_public_keys_match_if_they_are_the_same() -> None:
    again = AUTHORITY.issue("a.example")
    assert ISSUED.getPublicKey().matches(Certificate.load(ISSUED.dump()).getPublicKey())
    assert not ISSUED.getPublicKey().matches(again.getPublicKey())


def test_every_authority_of_this_system_can_be_read() -> None:
    context = ssl.create_default_context()
    for der, known in zip(context.get_ca_certs(True), context.get_ca_certs(), strict=True):
        found = Certificate.load(der)
        assert found.serialNumber() == int(str(known["serialNumber"]), 16)
        assert found.validity()[1].timestamp() == ssl.cert_time_to_seconds(str(known["notAfter"]))


@given(st.binary())
def test_any_bytes_are_a_certificate_or_an_error(data: bytes) -> None:
    with pytest.raises(CertificateError, match=r"no X\.509 certificate"):
        Certificate.load(data)


@given(st.integers(0, len(ISSUED.dump()) - 1), st.integers(0, 255))
def test_a_damaged_certificate_is_read_or_an_error(at: int, byte: int) -> None:
    data = bytearray(ISSUED.dump())
    data[at] = byte
    try:
        found = Certificate.load(bytes(data))
    except CertificateError:
        return
    assert found.inspect()


@pytest.mark.parametrize(
    "hostile", [b"\x30\x84\xff\xff\xff\xff", b"\x30\x80\x00\x00", b"\x1f\x81\x00", b"\x30\xff" + b"\x01" * 127]
)
def test_lengths_that_cannot_be_are_an_error(hostile: bytes) -> None:
    with pytest.raises(CertificateError):
        Certificate.load(hostile)


class FakeTransport:
    def __init__(self, shown: Any) -> None:
        self.getPeerCertificate = lambda: shown


def test_the_certificate_of_a_peer_comes_from_its_transport() -> None:
    for shown in (ISSUED.dump(), Certificate.load(ISSUED.dump())):
        assert Certificate.peerFromTransport(FakeTransport(shown)) == ISSUED
    with pytest.raises(CertificateError, match="has shown no certificate"):
        Certificate.peerFromTransport(FakeTransport(None))
    with pytest.raises(CertificateError, match="is no TLS transport"):
        Certificate.peerFromTransport(object())


# -- with their keys


RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (RSA, "PKCS8"),
        (RSA, "TraditionalOpenSSL"),
        (EC, "PKCS8"),
        (EC, "TraditionalOpenSSL"),
        (ed25519.Ed25519PrivateKey.generate(), "PKCS8"),
    ],
)
def test_a_private_key_may_be_of_any_kind_and_form(key: Any, kind: str, tmp_path: Path) -> None:
    form = getattr(serialization.PrivateFormat, kind)
    no = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, form, no)
    der = key.private_bytes(serialization.Encoding.DER, form, no)
    path = tmp_path / "key"
    path.write_bytes(pem)
    made = openssl("req", "-x509", "-key", str(path), "-subj", "/CN=me", "-addext", "subjectAltName=DNS:a.example")
    certificate = Certificate.loadPEM(made)
    for pair in (KeyPair.load(pem, FILETYPE_PEM), KeyPair.load(der), KeyPair.load(der, FILETYPE_ASN1)):
        assert pair.dump() == der
        assert pair.original is pair
        shown = pair.newCertificate(certificate.dump())
        asking, _ = handshake(optionsForClientTLS("a.example", certificate), shown.options())
        assert asking.error is None


def test_a_certificate_with_its_key_and_chain_survives_as_pem() -> None:
    again = PrivateCertificate.loadPEM(STEPS.dumpPEM().decode())
    assert again == STEPS
    assert again.chain == STEPS.chain
    assert again.privateKey.dump() == STEPS.privateKey.dump()
    assert again.options().extraCertChain == STEPS.chain


def test_a_certificate_and_a_key_can_be_put_together() -> None:
    for put in (
        PrivateCertificate.load(ISSUED.dump(), ISSUED.privateKey),
        PrivateCertificate.fromCertificateAndKeyPair(Certificate.load(ISSUED.dump()), ISSUED.privateKey),
        ISSUED.newCertificate(ISSUED.dump(FILETYPE_PEM), FILETYPE_PEM),
    ):
        assert put == ISSUED


OTHER_KIND = KeyPair.load(
    RSA.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
)


@pytest.mark.parametrize("other", [AUTHORITY.issue("a.example").privateKey, OTHER_KIND], ids=["same kind", "another"])
def test_a_key_that_is_another_certificates_is_an_error_that_names_the_certificate(other: KeyPair) -> None:
    with pytest.raises(CertificateError, match="'Näme': the private key does not belong to the certificate"):
        PrivateCertificate.fromCertificateAndKeyPair(ISSUED, other)


def encrypted(password: bytes, form: str = "PKCS8") -> bytes:
    key = serialization.load_der_private_key(ISSUED.privateKey.dump(), None)
    lock = serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), lock)


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_an_encrypted_key_needs_its_password_and_asks_nobody_for_it(form: str) -> None:
    text = ISSUED.dump(FILETYPE_PEM) + encrypted(b"secret", form)
    with pytest.raises(CertificateError, match="'Näme': the private key is encrypted, and no password is given"):
        PrivateCertificate.loadPEM(text)
    with pytest.raises(CertificateError, match="the password does not open the private key"):
        PrivateCertificate.loadPEM(text, password="wrong")
    for password in ("secret", b"secret"):
        shown = PrivateCertificate.loadPEM(text, password=password)
        asking, _ = handshake(optionsForClientTLS("a.example", AUTHORITY.certificate), shown.options())
        assert asking.error is None


def test_an_encrypted_key_may_be_der() -> None:
    der = ssl_pem.blocks(encrypted(b"secret"))[0].der
    pair = KeyPair.load(der, password=b"secret")
    assert repr(pair) == "<KeyPair, encrypted private key>"
    assert pair.newCertificate(ISSUED.dump()) == ISSUED


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "this is no PEM"),
        (b"hello", "this is no PEM"),
        (ISSUED.dump(FILETYPE_PEM), "there is a certificate, but no private key"),
        (ISSUED.privateKey.dump(FILETYPE_PEM), "there is a private key, but no certificate"),
        (ISSUED.dumpPEM()[:-30], "it is cut off"),
        (ISSUED.dumpPEM()[30:], "there is a private key, but no certificate"),
        (b"-----BEGIN DH PARAMETERS-----\n-----END DH PARAMETERS-----\n", "but DH PARAMETERS"),
        (ISSUED.dumpPEM().replace(b"\nMII", b"\n!!!"), "a certificate in it is damaged"),
        (
            ISSUED.dump(FILETYPE_PEM) + ssl_pem.block("PRIVATE KEY", b"nothing").text,
            "the private key or a certificate is damaged|OpenSSL does not take it",
        ),
        (ssl_pem.block("CERTIFICATE", b"nothing").text + ISSUED.privateKey.dump(FILETYPE_PEM), "no X.509 certificate"),
    ],
)
def test_a_text_that_is_of_no_use_is_an_error_that_says_why(text: bytes, why: str) -> None:
    with pytest.raises(CertificateError, match=why):
        PrivateCertificate.loadPEM(text)


@pytest.mark.parametrize("der", [b"", b"nothing", b"\x30\x00", b"\x30\x03\x02\x01\x00"])
def test_bytes_that_are_no_key_are_an_error(der: bytes) -> None:
    with pytest.raises(CertificateError, match="this is no private key"):
        KeyPair.load(der)


def test_a_key_that_is_too_short_is_refused_with_openssls_reason(tmp_path: Path) -> None:
    key, made = tmp_path / "key", tmp_path / "certificate"
    openssl("req", "-x509", "-newkey", "rsa:512", "-nodes", "-keyout", str(key), "-out", str(made), "-subj", "/CN=a")
    with pytest.raises(CertificateError, match="OpenSSL does not take it: ee key too small"):
        private_certificate(made, key)


def test_a_chain_may_be_in_a_file_of_its_own(tmp_path: Path) -> None:
    for name, content in [
        ("certificate", STEPS.dump(FILETYPE_PEM)),
        ("chain", STEPS.chain[0].dump(FILETYPE_PEM)),
        ("key", STEPS.privateKey.dump(FILETYPE_PEM)),
    ]:
        (tmp_path / name).write_bytes(content)
    found = private_certificate(tmp_path / "certificate", tmp_path / "key", chain=tmp_path / "chain")
    assert found.chain == STEPS.chain


@pytest.mark.parametrize("missing", ["memfd_create", "/proc"])
def test_a_key_gets_into_a_context_without_files_in_memory_and_leaves_nothing(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if missing == "/proc":
        monkeypatch.setattr(os.path, "isdir", lambda path: path != "/proc/self/fd")
    else:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    assert PrivateCertificate.loadPEM(STEPS.dumpPEM()) == STEPS
    assert list(tmp_path.iterdir()) == []


# -- those for tests


def test_certificates_for_tests_need_a_package_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.x509", None)
    with pytest.raises(ImportError, match=r"pip install 'ropewalk\[test\]'"):
        Authority()


def test_an_authority_is_known_by_its_pem() -> None:
    assert Certificate.loadPEM(AUTHORITY.pem) == AUTHORITY.certificate


def test_a_self_signed_certificate_has_itself_as_issuer() -> None:
    made = selfSigned("a.example", "192.0.2.1")
    assert made.getIssuer() == made.getSubject()
    assert made.alternativeNames() == (("a.example",), ("192.0.2.1",))
