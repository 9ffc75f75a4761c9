"""Whom a TLS client believes, and how a server asks clients who they are; with real handshakes in memory."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ropewalk.internet.ssl import (
    CertificateOptions,
    ClientContextFactory,
    ClientTLSOptions,
    PrivateCertificate,
    TLSVersion,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from ropewalk.testing.certificates import Authority, selfSigned
from ropewalk.testing.handshakes import handshake

AUTHORITY = Authority()


def client_of(name: str, **arguments: Any) -> ClientTLSOptions:
    arguments.setdefault("trustRoot", AUTHORITY.certificate)
    return optionsForClientTLS(name, **arguments)


def refused(client: Any, shown: PrivateCertificate) -> ssl.SSLCertVerificationError:
    """Why the client does not believe the server."""
    asking, answering = handshake(client, shown.options())
    assert isinstance(asking.error, ssl.SSLCertVerificationError)
    assert not asking.done
    assert answering.error is not None
    return asking.error


def accepted(client: Any, shown: PrivateCertificate) -> bool:
    asking, answering = handshake(client, shown.options())
    return asking.done and answering.done


@pytest.mark.parametrize(
    ("asked", "certified"),
    [
        ("example.org", "example.org"),
        ("EXAMPLE.org.", "example.org"),
        ("www.example.org", "*.example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("my_host.example.org", "my_host.example.org"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("0:0::1", "::1"),
        ("fe80::1%2", "fe80::1"),
    ],
)
def test_a_client_believes_a_certificate_for_the_host_that_it_asked_for(asked: str, certified: str) -> None:
    assert accepted(client_of(asked), AUTHORITY.issue(certified))


@pytest.mark.parametrize(
    ("asked", "certified"),
    [
        ("example.org", "other.example"),
        ("example.org", "*.example.org"),
        ("a.b.example.org", "*.example.org"),
        ("foo.example.org", "f*.example.org"),
        ("127.0.0.1", "127.0.0.2"),
        ("::1", "::2"),
        ("bücher.example", "xn--bcher-lva.example"),
    ],
)
def test_a_certificate_for_another_host_is_refused_by_the_name_that_was_asked_for(asked: str, certified: str) -> None:
    client = client_of(asked)
    error = refused(client, AUTHORITY.issue(certified))
    assert "not valid for" in error.verify_message
    assert client.hostname in error.verify_message


def test_an_address_is_no_name_of_a_host() -> None:
    shown = AUTHORITY.issue(commonName="127.0.0.1")
    assert "not valid for '127.0.0.1'" in refused(client_of("127.0.0.1"), shown).verify_message


def test_the_common_name_of_a_certificate_does_not_count() -> None:
    shown = AUTHORITY.issue(commonName="example.org")
    assert "not valid for 'example.org'" in refused(client_of("example.org"), shown).verify_message


def test_an_expired_certificate_is_refused() -> None:
    assert refused(client_of("a.example"), AUTHORITY.expired("a.example")).verify_message == "certificate has expired"


def test_a_certificate_that_is_not_valid_yet_is_refused() -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    shown = AUTHORITY.issue("a.example", since=tomorrow)
    assert refused(client_of("a.example"), shown).verify_message == "certificate is not yet valid"


def test_a_self_signed_certificate_is_refused() -> None:
    assert refused(client_of("a.example"), selfSigned("a.example")).verify_message == "self-signed certificate"


def test_an_authority_that_is_not_known_is_refused() -> None:
    shown = Authority("Somebody else").issue("a.example")
    assert "unable to get local issuer" in refused(client_of("a.example"), shown).verify_message


def test_without_a_trust_root_it_is_the_systems_authorities_that_count() -> None:
    shown = AUTHORITY.issue("a.example")
    assert "unable to get local issuer" in refused(optionsForClientTLS("a.example"), shown).verify_message
    assert "unable to get" in refused(client_of("a.example", trustRoot=platformTrust()), shown).verify_message


def test_the_systems_authorities_can_be_named_in_the_environment(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle"
    bundle.write_bytes(AUTHORITY.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert accepted(optionsForClientTLS("a.example"), AUTHORITY.issue("a.example"))


def test_a_chain_is_followed_to_the_root() -> None:
    intermediate = AUTHORITY.authority().authority("Another step")
    assert accepted(client_of("a.example"), intermediate.issue("a.example"))


def test_a_chain_that_lacks_a_certificate_is_refused() -> None:
    issued = AUTHORITY.authority().issue("a.example")
    bare = PrivateCertificate.fromCertificateAndKeyPair(issued, issued.privateKey)
    assert "unable to get local issuer" in refused(client_of("a.example"), bare).verify_message


def test_an_intermediate_authority_is_enough_of_a_trust_root() -> None:
    intermediate = AUTHORITY.authority()
    client = client_of("a.example", trustRoot=intermediate.certificate)
    assert accepted(client, intermediate.issue("a.example"))
    assert not accepted(client, AUTHORITY.issue("a.example"))


def test_a_servers_own_certificate_is_a_trust_root_for_itself_alone() -> None:
    pinned = selfSigned("a.example")
    client = client_of("a.example", trustRoot=pinned)
    assert accepted(client, pinned)
    assert not accepted(client, selfSigned("a.example"))


def test_each_of_several_trust_roots_is_believed() -> None:
    other = Authority("Another")
    client = client_of("a.example", trustRoot=trustRootFromCertificates([AUTHORITY.certificate, other.certificate]))
    assert accepted(client, AUTHORITY.issue("a.example"))
    assert accepted(client, other.issue("a.example"))


def test_with_no_trust_root_at_all_nobody_is_believed() -> None:
    client = client_of("a.example", trustRoot=trustRootFromCertificates([]))
    assert not accepted(client, AUTHORITY.issue("a.example"))


def test_what_is_no_certificate_is_no_trust_root() -> None:
    with pytest.raises(TypeError, match=r"objects of Certificate, not 'ca\.pem'"):
        trustRootFromCertificates(["ca.pem"])   # type: ignore[list-item]


def test_a_client_of_certificate_options_verifies_the_authority_and_not_the_name() -> None:
    client = CertificateOptions(trustRoot=AUTHORITY.certificate)
    assert accepted(client, AUTHORITY.issue("whoever.example"))
    assert not accepted(client, selfSigned("whoever.example"))


@pytest.mark.parametrize("client", [CertificateOptions(), ClientContextFactory()], ids=lambda one: type(one).__name__)
def test_a_client_without_trust_root_of_the_older_factories_believes_everybody(client: Any) -> None:
    assert accepted(client, selfSigned("whoever.example"))


def test_the_older_way_to_say_what_is_trusted_works() -> None:
    client = CertificateOptions(verify=True, caCerts=[AUTHORITY.certificate])
    assert accepted(client, AUTHORITY.issue("whoever.example"))
    assert not accepted(client, selfSigned("whoever.example"))


# -- the certificates of clients


@pytest.fixture(params=["1.2", "1.3"])
def version(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"lowerMaximumSecurityTo": TLSVersion.TLSv1_2 if request.param == "1.2" else TLSVersion.TLSv1_3}


def test_a_server_sees_the_certificate_of_a_client(version: dict[str, Any]) -> None:
    mine = AUTHORITY.authority().issue(commonName="me")
    client = client_of("a.example", clientCertificate=mine, extraCertificateOptions=version)
    asking, answering = handshake(client, AUTHORITY.issue("a.example").options(AUTHORITY.certificate))
    assert (asking.error, answering.error) == (None, None)
    assert answering.tls.getpeercert(binary_form=True) == mine.dump()


def test_a_client_without_the_certificate_that_is_demanded_is_refused(version: dict[str, Any]) -> None:
    client = client_of("a.example", extraCertificateOptions=version)
    asking, answering = handshake(client, AUTHORITY.issue("a.example").options(AUTHORITY.certificate))
    assert answering.error is not None
    assert answering.error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    assert asking.error is not None


def test_a_client_with_the_certificate_of_a_stranger_is_refused(version: dict[str, Any]) -> None:
    stranger = Authority("A stranger").issue(commonName="me")
    client = client_of("a.example", clientCertificate=stranger, extraCertificateOptions=version)
    asking, answering = handshake(client, AUTHORITY.issue("a.example").options(AUTHORITY.certificate))
    assert isinstance(answering.error, ssl.SSLCertVerificationError)
    assert asking.error is not None


def test_a_certificate_that_is_not_required_may_be_missing() -> None:
    shown = AUTHORITY.issue("a.example")
    server = CertificateOptions(
        shown.privateKey, shown, verify=True, caCerts=[AUTHORITY.certificate], requireCertificate=False
    )
    asking, answering = handshake(client_of("a.example"), server)
    assert (asking.error, answering.error) == (None, None)
    assert answering.tls.getpeercert(binary_form=True) is None
