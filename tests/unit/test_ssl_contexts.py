"""Context factories: versions, ALPN, sessions, and the arguments that cannot be."""

from __future__ import annotations

import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ropewalk.internet.ssl import (
    AcceptableCiphers,
    CertificateError,
    CertificateOptions,
    ContextFactory,
    DefaultOpenSSLContextFactory,
    DiffieHellmanParameters,
    TLSVersion,
    optionsForClientTLS,
)
from ropewalk.testing.certificates import Authority
from ropewalk.testing.handshakes import handshake

AUTHORITY = Authority()
SHOWN = AUTHORITY.issue("a.example")


def client_of(**arguments: Any) -> Any:
    protocols = arguments.pop("acceptableProtocols", None)
    return optionsForClientTLS("a.example", AUTHORITY.certificate, None, protocols, extraCertificateOptions=arguments)


def server_of(**arguments: Any) -> CertificateOptions:
    return CertificateOptions(SHOWN.privateKey, SHOWN, **arguments)


def negotiated(client: Any, server: Any) -> str | None:
    asking, answering = handshake(client, server)
    assert (asking.error, answering.error) == (None, None)
    assert asking.tls.selected_alpn_protocol() == answering.tls.selected_alpn_protocol()
    return asking.tls.selected_alpn_protocol()


# -- versions


@pytest.mark.parametrize(
    ("client", "server", "spoken"),
    [
        ({}, {}, "TLSv1.3"),
        ({"lowerMaximumSecurityTo": TLSVersion.TLSv1_2}, {}, "TLSv1.2"),
        ({}, {"lowerMaximumSecurityTo": TLSVersion.TLSv1_2}, "TLSv1.2"),
        ({"raiseMinimumTo": TLSVersion.TLSv1_0, "lowerMaximumSecurityTo": TLSVersion.TLSv1_2}, {}, "TLSv1.2"),
        ({"raiseMinimumTo": TLSVersion.TLSv1_3}, {}, "TLSv1.3"),
    ],
)
def test_the_newest_version_that_both_may_speak_is_spoken(client: Any, server: Any, spoken: str) -> None:
    asking, _ = handshake(client_of(**client), server_of(**server))
    assert asking.tls.version() == spoken


def test_what_has_no_version_in_common_is_refused() -> None:
    client = client_of(lowerMaximumSecurityTo=TLSVersion.TLSv1_2)
    asking, answering = handshake(client, server_of(raiseMinimumTo=TLSVersion.TLSv1_3))
    assert answering.error is not None
    assert answering.error.reason == "UNSUPPORTED_PROTOCOL"
    assert asking.error is not None


@pytest.mark.parametrize("old", [TLSVersion.TLSv1_0, TLSVersion.TLSv1_1])
def test_versions_before_1_2_are_refused_unless_it_is_asked_for_them(old: TLSVersion) -> None:
    with pytest.warns(DeprecationWarning, match=r"ssl\.TLSVersion"):
        aged = client_of(insecurelyLowerMinimumTo=old, lowerMaximumSecurityTo=old)
    _, answering = handshake(aged, server_of())
    assert answering.error is not None
    assert answering.error.reason == "UNSUPPORTED_PROTOCOL"
    lax = server_of(insecurelyLowerMinimumTo=TLSVersion.TLSv1_0)
    with pytest.warns(DeprecationWarning, match=r"ssl\.TLSVersion"):
        asking, _ = handshake(aged, lax)
    assert asking.tls.version() == old.value.name.replace("_", ".").replace("TLSv1.0", "TLSv1")


def test_a_maximum_below_the_minimum_pulls_it_down() -> None:
    with pytest.warns(DeprecationWarning, match=r"ssl\.TLSVersion"):
        context = server_of(lowerMaximumSecurityTo=TLSVersion.TLSv1_1).getContext()
    assert (context.minimum_version, context.maximum_version) == (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1)


@pytest.mark.parametrize("make", [lambda: server_of().getContext(), lambda: client_of().getContext()])
def test_every_context_has_no_compression_no_renegotiation_and_notices_a_truncation(make: Any) -> None:
    context = make()
    wanted = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    assert context.options & wanted == wanted
    assert not context.options & ssl.OP_IGNORE_UNEXPECTED_EOF
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


# -- ciphers


def test_acceptable_ciphers_are_the_ones_that_are_used() -> None:
    one = AcceptableCiphers.fromOpenSSLCipherString("ECDHE-ECDSA-AES128-GCM-SHA256")
    asking, _ = handshake(client_of(lowerMaximumSecurityTo=TLSVersion.TLSv1_2), server_of(acceptableCiphers=one))
    cipher = asking.tls.cipher()
    assert cipher is not None
    assert cipher[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"


def test_the_servers_order_of_ciphers_counts() -> None:
    two = ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"]
    client = client_of(acceptableCiphers=AcceptableCiphers(":".join(reversed(two))))
    server = server_of(acceptableCiphers=AcceptableCiphers(":".join(two)), lowerMaximumSecurityTo=TLSVersion.TLSv1_2)
    cipher = handshake(client, server)[0].tls.cipher()
    assert cipher is not None
    assert cipher[0] == two[0]


def test_a_cipher_that_there_is_not_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="'ROT13'"):
        AcceptableCiphers.fromOpenSSLCipherString("ROT13")


def test_parameters_for_dhe_are_read_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "dh.pem"
    command = ["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    assert server_of(dhParameters=DiffieHellmanParameters.fromFile(path)).getContext()
    with pytest.raises(FileNotFoundError):
        server_of(dhParameters=DiffieHellmanParameters.fromFile(tmp_path / "other")).getContext()


# -- ALPN


def test_the_protocol_that_the_server_prefers_is_negotiated() -> None:
    client = client_of(acceptableProtocols=[b"http/1.1", b"h2"])
    assert negotiated(client, server_of(acceptableProtocols=[b"h2", "http/1.1"])) == "h2"


@pytest.mark.parametrize("offered", [None, [b"spdy"]])
def test_without_a_protocol_in_common_none_is_negotiated(offered: Any) -> None:
    assert negotiated(client_of(acceptableProtocols=offered), server_of(acceptableProtocols=[b"h2"])) is None


def test_a_factory_with_further_protocols_prefers_them_and_has_its_own() -> None:
    server = server_of(acceptableProtocols=[b"http/1.1"])
    client = client_of(acceptableProtocols=[b"http/1.1"])
    assert server.withProtocols([b"h2"]).acceptableProtocols == (b"h2", b"http/1.1")
    assert negotiated(client.withProtocols([b"h2"]), server.withProtocols([b"h2"])) == "h2"
    assert negotiated(client, server.withProtocols([b"h2"])) == "http/1.1"
    assert negotiated(client.withProtocols([b"h2"]), server) == "http/1.1"


def test_a_factory_with_the_protocols_that_it_has_anyway_is_itself() -> None:
    server, client = server_of(acceptableProtocols=[b"h2"]), client_of(acceptableProtocols=[b"h2"])
    assert server.withProtocols([b"h2"]) is server
    assert client.withProtocols([]) is client


@pytest.mark.parametrize("name", [b"", b"x" * 256, b"\xff\xff"])
def test_a_protocol_that_cannot_be_offered_is_an_error_that_names_it(name: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be offered"):
        server_of(acceptableProtocols=[name])


# -- sessions


@pytest.mark.parametrize("version", [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3])
def test_a_remembered_session_is_resumed(version: TLSVersion) -> None:
    client, server = client_of(lowerMaximumSecurityTo=version), server_of()
    asking, _ = handshake(client, server)
    assert not asking.tls.session_reused
    client.remember(asking.tls.session)
    again, answering = handshake(client, server)
    assert again.tls.session_reused
    assert answering.tls.session_reused
    assert again.tls.getpeercert(binary_form=True) == SHOWN.dump()


def test_a_server_without_tickets_makes_a_whole_handshake_every_time() -> None:
    client, server = client_of(), server_of(enableSessionTickets=False)
    client.remember(handshake(client, server)[0].tls.session)
    again, answering = handshake(client, server)
    assert again.done
    assert answering.done
    assert not again.tls.session_reused


def test_without_tickets_a_server_of_1_2_has_the_sessions_itself() -> None:
    client, server = client_of(), server_of(enableSessionTickets=False, lowerMaximumSecurityTo=TLSVersion.TLSv1_2)
    asking, _still_open = handshake(client, server)   # OpenSSL forgets the session of a connection that just ends
    client.remember(asking.tls.session)
    assert handshake(client, server)[0].tls.session_reused


def test_a_session_of_before_a_restart_of_the_server_costs_a_whole_handshake_and_no_more() -> None:
    client = client_of()
    client.remember(handshake(client, server_of())[0].tls.session)
    again, answering = handshake(client, server_of())
    assert (again.error, answering.error) == (None, None)
    assert not again.tls.session_reused


def test_a_session_that_is_too_old_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of()
    session = handshake(client, server_of())[0].tls.session
    assert session is not None
    client.remember(session)
    assert client.session is session
    later = time.time() + session.timeout + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert client.session is None


def test_a_connection_without_a_session_is_nothing_to_remember() -> None:
    client = client_of()
    client.remember(None)
    client.remember(handshake(client, server_of(enableSessionTickets=False))[0].tls.session)
    assert client.session is None


# -- arguments


def test_the_contexts_of_a_factory_are_made_once() -> None:
    server, client = server_of(), client_of()
    assert server.getContext() is server.getContext()
    assert server.getClientContext() is server.getClientContext()
    assert client.getContext() is client.context


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"privateKey": SHOWN.privateKey}, "privateKey and certificate belong together"),
        ({"certificate": SHOWN}, "privateKey and certificate belong together"),
        ({"extraCertChain": [SHOWN]}, "extraCertChain belongs to a certificate"),
        ({"verify": True}, "verify needs caCerts"),
        ({"trustRoot": SHOWN, "verify": True}, "give it alone"),
        ({"trustRoot": SHOWN, "caCerts": [SHOWN]}, "give it alone"),
        ({"trustRoot": SHOWN, "requireCertificate": True}, "give it alone"),
        (
            {"raiseMinimumTo": TLSVersion.TLSv1_3, "insecurelyLowerMinimumTo": TLSVersion.TLSv1_0},
            "exclude each other",
        ),
        (
            {"raiseMinimumTo": TLSVersion.TLSv1_3, "lowerMaximumSecurityTo": TLSVersion.TLSv1_2},
            "no version is left: the lowest is TLSv1_3, the highest TLSv1_2",
        ),
        ({"colour": "red"}, "no argument 'colour'"),
        ({"method": 6}, "method=6 is not supported.*raiseMinimumTo"),
        ({"verifyDepth": 2}, "verifyDepth=2 is not supported"),
        ({"verifyOnce": False}, "no renegotiation"),
        ({"enableSessions": False}, "enableSessionTickets=False"),
        ({"contextForServerName": print}, "use SNIMap or PEMFolder"),
    ],
)
def test_arguments_that_cannot_be_are_an_error_that_says_what_to_do(arguments: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        CertificateOptions(**arguments)


def test_arguments_of_twisted_that_say_what_is_so_anyway_are_taken() -> None:
    assert server_of(enableSingleUseKeys=True, verifyOnce=True, enableSessions=True, method=None).getContext()


def test_further_options_are_left_as_they_were() -> None:
    further: dict[str, Any] = {"raiseMinimumTo": TLSVersion.TLSv1_3}
    optionsForClientTLS("a.example", clientCertificate=SHOWN, extraCertificateOptions=further)
    assert list(further) == ["raiseMinimumTo"]


@pytest.mark.parametrize(("host", "sent"), [("a.example", True), ("127.0.0.1", False)])
def test_a_name_is_always_sent_to_the_server_and_an_address_never(host: str, sent: bool) -> None:
    assert optionsForClientTLS(host, sendServerName=sent)
    with pytest.raises(ValueError, match="sendServerName"):
        optionsForClientTLS(host, sendServerName=not sent)


def test_a_factory_without_get_context_is_an_error_that_names_it() -> None:
    class Mine(ContextFactory):
        pass

    with pytest.raises(NotImplementedError, match="Mine"):
        Mine().getContext()


# -- files


def test_a_server_has_its_key_and_certificates_from_two_files(tmp_path: Path) -> None:
    issued = AUTHORITY.authority().issue("a.example")
    key, certificates = tmp_path / "key.pem", tmp_path / "certificates.pem"
    key.write_bytes(issued.privateKey.dump(1))
    certificates.write_bytes(issued.dump(1) + issued.chain[0].dump(1))
    factory = DefaultOpenSSLContextFactory(str(key), certificates)
    asking, _ = handshake(client_of(), factory)
    assert asking.error is None
    assert (factory.privateKeyFileName, factory.certificateFileName) == (str(key), certificates)
    assert factory.getContext() is factory.getContext()


def test_the_method_of_a_file_factory_is_not_supported() -> None:
    with pytest.raises(TypeError, match="method=6 is not supported"):
        DefaultOpenSSLContextFactory("key.pem", "certificate.pem", 6)   # type: ignore[arg-type]


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        DefaultOpenSSLContextFactory(tmp_path / "nowhere", tmp_path / "nowhere")


def test_an_error_about_files_names_them(tmp_path: Path) -> None:
    key, certificates = tmp_path / "key.pem", tmp_path / "certificates.pem"
    key.write_bytes(AUTHORITY.issue("a.example").privateKey.dump(1))
    certificates.write_bytes(SHOWN.dump(1))
    with pytest.raises(CertificateError, match=r"certificates\.pem and .*key\.pem: .*'a\.example'.* does not belong"):
        DefaultOpenSSLContextFactory(key, certificates)
    with pytest.raises(CertificateError, match=r"key\.pem: there is a private key, but no certificate"):
        DefaultOpenSSLContextFactory(key, key)
    with pytest.raises(CertificateError, match=r"certificates\.pem: there is a certificate, but no private key"):
        DefaultOpenSSLContextFactory(certificates, certificates)
    key.write_text("not a key")
    with pytest.raises(CertificateError, match=r"key\.pem: this is no PEM"):
        DefaultOpenSSLContextFactory(key, certificates)


def test_an_expired_certificate_is_served_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "server.pem"
    path.write_bytes(AUTHORITY.expired("a.example").dumpPEM())
    DefaultOpenSSLContextFactory(path, path)
    assert "server.pem: the certificate expired at " in caplog.text
