"""Servers that have a certificate for each name that clients ask for."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from ropewalk.internet.ssl import CertificateOptions, PrivateCertificate, SNIMap, TLSVersion, optionsForClientTLS
from ropewalk.testing.certificates import Authority
from ropewalk.testing.handshakes import Side, handshake

AUTHORITY = Authority()
ONE = AUTHORITY.issue("one.example")
WILD = AUTHORITY.issue("*.two.example")
SPECIAL = AUTHORITY.issue("special.two.example")
FALLBACK = AUTHORITY.issue("fallback.example")

VERSIONS = [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3]


def options_of(shown: PrivateCertificate, **arguments: Any) -> CertificateOptions:
    return CertificateOptions(shown.privateKey, shown, **arguments)


def client_context(version: TLSVersion = TLSVersion.TLSv1_3, protocols: Any = None) -> ssl.SSLContext:
    """Of a client that looks at what it gets."""
    options = CertificateOptions(
        trustRoot=AUTHORITY.certificate, lowerMaximumSecurityTo=version, acceptableProtocols=protocols
    )
    return options.getClientContext()


def shown_to(name: str | None, server: Any, version: TLSVersion = TLSVersion.TLSv1_3) -> bytes | None:
    asking, answering = handshake(client_context(version), server, name)
    assert (asking.error, answering.error) == (None, None)
    return asking.tls.getpeercert(binary_form=True)


def negotiated(server: Any, *protocols: str) -> str | None:
    asking, _ = handshake(client_context(protocols=protocols), server, "one.example")
    assert asking.error is None
    return asking.tls.selected_alpn_protocol()


def alert(side: Side) -> str:
    assert side.error is not None
    assert side.error.reason is not None
    return side.error.reason


MAP = {"one.example": ONE.options(), "*.two.example": WILD.options(), "special.two.example": SPECIAL.options()}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("one.example", ONE),
        ("ONE.example", ONE),
        ("a.two.example", WILD),
        ("special.two.example", SPECIAL),
        ("other.example", FALLBACK),
        ("two.example", FALLBACK),
        ("a.b.two.example", FALLBACK),
        ("127.0.0.1", FALLBACK),
        (None, FALLBACK),
    ],
)
def test_a_client_gets_the_certificate_of_the_name_that_it_asks_for(
    asked: str | None, shown: PrivateCertificate, version: TLSVersion
) -> None:
    assert shown_to(asked, SNIMap(MAP, FALLBACK.options()), version) == shown.dump()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("asked", ["other.example", "two.example", None])
def test_without_a_default_a_name_that_is_not_there_is_told_so(asked: str | None, version: TLSVersion) -> None:
    asking, answering = handshake(client_context(version), SNIMap(MAP), asked)
    assert "UNRECOGNIZED_NAME" in alert(asking)
    assert answering.error is not None


def test_an_international_name_may_be_written_in_its_own_letters() -> None:
    shown = AUTHORITY.issue("xn--bcher-kva.example")
    server = SNIMap({"BÜCHER.example.": shown.options()})
    asking, _ = handshake(optionsForClientTLS("bücher.example", AUTHORITY.certificate), server)
    assert asking.done


@pytest.mark.parametrize("name", ["f*.example.org", "*", "*.*.example", "", "a..b", "a b.example"])
def test_a_name_that_is_none_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a host"):
        SNIMap({name: ONE.options()})


def test_a_context_of_the_standard_library_may_be_in_a_map(tmp_path: Any) -> None:
    path = tmp_path / "one.pem"
    path.write_bytes(ONE.dumpPEM())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    assert shown_to("one.example", SNIMap({"one.example": context})) == ONE.dump()
    server = SNIMap({"one.example": context}, acceptableProtocols=["h2"])
    assert negotiated(server, "h2") == "h2"


# -- ALPN


def test_the_protocols_of_the_context_that_was_changed_to_are_negotiated() -> None:
    server = SNIMap(
        {"one.example": options_of(ONE, acceptableProtocols=["h2"])},
        options_of(FALLBACK, acceptableProtocols=["http/1.1"]),
    )
    assert negotiated(server, "http/1.1", "h2") == "h2"


def test_a_map_gives_its_protocols_to_all_of_its_contexts() -> None:
    own = options_of(ONE, acceptableProtocols=["http/1.1"])
    server = SNIMap({"one.example": own}, FALLBACK.options(), acceptableProtocols=["h2"])
    assert negotiated(server, "http/1.1", "h2") == "h2"
    assert negotiated(server, "http/1.1") == "http/1.1"
    assert own.acceptableProtocols == (b"http/1.1",)


def test_a_map_with_further_protocols_negotiates_them_too() -> None:
    server = SNIMap({"one.example": ONE.options()}, acceptableProtocols=["http/1.1"])
    both = server.withProtocols([b"h2"])
    assert negotiated(both, "http/1.1", "h2") == "h2"
    assert negotiated(both, "http/1.1") == "http/1.1"
    assert negotiated(server, "h2") is None
    assert server.withProtocols([b"http/1.1"]) is server


# -- what is settled before the name is known


@pytest.mark.parametrize("version", VERSIONS)
def test_a_map_asks_clients_for_a_certificate_if_its_contexts_do(version: TLSVersion) -> None:
    server = SNIMap({"one.example": ONE.options(AUTHORITY.certificate)}, FALLBACK.options(AUTHORITY.certificate))
    limit = {"lowerMaximumSecurityTo": version}
    nobody = optionsForClientTLS("one.example", AUTHORITY.certificate, extraCertificateOptions=limit)
    _, answering = handshake(nobody, server)
    assert alert(answering) == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    me = AUTHORITY.issue(commonName="me")
    somebody = optionsForClientTLS("one.example", AUTHORITY.certificate, me, extraCertificateOptions=limit)
    asking, answering = handshake(somebody, server)
    assert (asking.error, answering.error) == (None, None)
    assert answering.tls.getpeercert(binary_form=True) == me.dump()


@pytest.mark.parametrize(
    "other",
    [
        options_of(WILD, trustRoot=AUTHORITY.certificate),
        options_of(WILD, raiseMinimumTo=TLSVersion.TLSv1_3),
        options_of(WILD, lowerMaximumSecurityTo=TLSVersion.TLSv1_2),
        options_of(WILD, enableSessionTickets=False),
    ],
)
def test_contexts_that_do_not_agree_on_what_comes_before_the_name_are_refused(other: CertificateOptions) -> None:
    with pytest.raises(ValueError, match=r"one\.example and \*\.two\.example differ"):
        SNIMap({"one.example": ONE.options(), "*.two.example": other})
    with pytest.raises(ValueError, match=r"one\.example and the default differ"):
        SNIMap({"one.example": ONE.options()}, other)


def test_contexts_that_trust_different_authorities_of_clients_are_refused() -> None:
    other = Authority("Another").certificate
    with pytest.raises(ValueError, match="differ"):
        SNIMap({"one.example": ONE.options(AUTHORITY.certificate), "two.example": WILD.options(other)})


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_is_resumed_with_a_server_of_several_names(version: TLSVersion) -> None:
    server = SNIMap(MAP)
    limit = {"lowerMaximumSecurityTo": version}
    client = optionsForClientTLS("one.example", AUTHORITY.certificate, extraCertificateOptions=limit)
    client.remember(handshake(client, server)[0].tls.session)
    again, answering = handshake(client, server)
    assert (again.error, answering.error) == (None, None)
    assert again.tls.session_reused


def test_versions_and_options_of_the_contexts_hold_for_the_map() -> None:
    server = SNIMap({"one.example": options_of(ONE, raiseMinimumTo=TLSVersion.TLSv1_3)})
    asking, _ = handshake(client_context(TLSVersion.TLSv1_2), server, "one.example")
    assert alert(asking) == "TLSV1_ALERT_PROTOCOL_VERSION"


def test_a_map_with_nothing_in_it_knows_nobody() -> None:
    asking, _ = handshake(client_context(), SNIMap({}), "one.example")
    assert "UNRECOGNIZED_NAME" in alert(asking)


def test_a_failure_while_a_name_is_looked_up_is_logged_and_ends_the_handshake(caplog: pytest.LogCaptureFixture) -> None:
    from ropewalk.internet.ssl_by_name import choose_by_name

    def fail(name: str | None) -> ssl.SSLContext:
        raise RuntimeError("no idea")

    context = ONE.options().getContext()
    choose_by_name(context, fail)
    asking, _ = handshake(client_context(), context, "one.example")
    assert "INTERNAL_ERROR" in alert(asking)
    assert "no idea" in caplog.text
