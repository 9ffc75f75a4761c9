"""A folder of PEM files as a server's certificates: which is served, and how changes are noticed."""

from __future__ import annotations

import logging
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ropewalk.internet.ssl import (
    CertificateOptions,
    DiffieHellmanParameters,
    PEMFolder,
    PrivateCertificate,
    TLSVersion,
    optionsForClientTLS,
)
from ropewalk.internet.task import Clock
from ropewalk.testing.certificates import Authority
from ropewalk.testing.handshakes import handshake

AUTHORITY = Authority()
CLIENT = CertificateOptions(trustRoot=AUTHORITY.certificate, acceptableProtocols=["h2", "http/1.1"])


def put(path: Path, shown: PrivateCertificate) -> PrivateCertificate:
    """Replace the file as a renewal does."""
    new = path.with_suffix(".new")
    new.write_bytes(shown.dumpPEM())
    os.replace(new, path)
    return shown


def issue(*names: str, days: float = 90) -> PrivateCertificate:
    return AUTHORITY.issue(*names, until=datetime.now(UTC) + timedelta(days=days))


def shown_to(name: str | None, server: PEMFolder) -> bytes | None:
    """The certificate that a client gets who asks for `name`; None if the server does not know it."""
    asking, answering = handshake(CLIENT, server, name)
    if asking.error is not None:
        assert asking.error.reason is not None
        assert "UNRECOGNIZED_NAME" in asking.error.reason
        return None
    assert answering.error is None
    return asking.tls.getpeercert(binary_form=True)


class Watched:
    """A folder, and a server whose clock the test turns."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.clock = Clock()
        self.server = PEMFolder(path, seconds=self.clock.seconds, **options)

    def shown(self, name: str | None) -> bytes | None:
        return shown_to(name, self.server)

    def later(self, name: str | None) -> bytes | None:
        self.clock.advance(1)
        return shown_to(name, self.server)


# -- which


def test_a_certificate_serves_the_host_that_its_file_is_called_after_and_those_that_it_is_for(tmp_path: Path) -> None:
    one = put(tmp_path / "one.example.pem", issue("other.example", "xn--bcher-kva.example", "*.wild.example"))
    server = PEMFolder(tmp_path)
    for name in ("one.example", "other.example", "xn--bcher-kva.example", "a.wild.example"):
        assert shown_to(name, server) == one.dump()
    for name in ("wild.example", "a.b.wild.example", "two.example"):
        assert shown_to(name, server) is None


def test_the_chain_in_a_file_is_served_too(tmp_path: Path) -> None:
    put(tmp_path / "one.pem", AUTHORITY.authority().issue("one.example"))
    asking, _ = handshake(optionsForClientTLS("one.example", AUTHORITY.certificate), PEMFolder(tmp_path))
    assert asking.error is None


def test_a_file_may_be_called_after_a_pattern(tmp_path: Path) -> None:
    one = put(tmp_path / "*.one.example.pem", issue("*.one.example"))
    assert shown_to("a.one.example", PEMFolder(tmp_path)) == one.dump()


def test_the_default_serves_whoever_asks_for_a_host_that_is_not_there(tmp_path: Path) -> None:
    one = put(tmp_path / "one.example.pem", issue("one.example"))
    default = put(tmp_path / "DEFAULT.pem", issue("default.example"))
    server = PEMFolder(tmp_path)
    for name, shown in [("two.example", default), (None, default), ("default.example", default), ("one.example", one)]:
        assert shown_to(name, server) == shown.dump()


def test_without_a_default_who_asks_for_no_host_gets_the_first_certificate(tmp_path: Path) -> None:
    put(tmp_path / "two.example.pem", issue("two.example", days=900))
    one = put(tmp_path / "one.example.pem", issue("one.example"))
    assert shown_to(None, PEMFolder(tmp_path)) == one.dump()
    assert shown_to("127.0.0.1", PEMFolder(tmp_path)) == one.dump()


def test_of_several_certificates_for_a_host_the_one_that_is_valid_longest_serves_it(tmp_path: Path) -> None:
    put(tmp_path / "a.pem", issue("one.example", days=10))
    longest = put(tmp_path / "b.pem", issue("one.example", days=30))
    put(tmp_path / "c.pem", issue("one.example", days=20))
    assert shown_to("one.example", PEMFolder(tmp_path)) == longest.dump()


def test_the_name_of_a_file_goes_before_what_other_certificates_are_for(tmp_path: Path) -> None:
    put(tmp_path / "a.pem", issue("one.example", days=900))
    called = put(tmp_path / "one.example.pem", issue("one.example"))
    assert shown_to("one.example", PEMFolder(tmp_path)) == called.dump()


def test_a_name_in_a_certificate_that_is_no_pattern_is_left_out(tmp_path: Path) -> None:
    one = put(tmp_path / "one.pem", issue("f*.example", "one.example"))
    assert shown_to("one.example", PEMFolder(tmp_path)) == one.dump()


def test_keys_and_certificates_may_be_in_files_of_their_own(tmp_path: Path) -> None:
    """As certbot lays them out."""
    folder = tmp_path / "one.example"
    folder.mkdir()
    intermediate = AUTHORITY.authority()
    one = intermediate.issue("one.example")
    (folder / "privkey.pem").write_bytes(one.privateKey.dump(1))
    (folder / "cert.pem").write_bytes(one.dump(1))
    (folder / "chain.pem").write_bytes(intermediate.pem)
    (folder / "fullchain.pem").write_bytes(one.dump(1) + intermediate.pem)
    asking, _ = handshake(optionsForClientTLS("one.example", AUTHORITY.certificate), PEMFolder(tmp_path))
    assert asking.error is None
    assert asking.tls.getpeercert(binary_form=True) == one.dump()


def test_hidden_files_and_those_of_another_kind_do_not_count(tmp_path: Path) -> None:
    put(tmp_path / ".one.example.pem", issue("one.example"))
    put(tmp_path / "two.example.crt", issue("two.example"))
    server = PEMFolder(tmp_path)
    assert shown_to("one.example", server) is None
    assert shown_to("two.example", server) is None


def test_a_folder_with_nothing_in_it_is_a_warning_and_may_be_filled_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(tmp_path)
    assert "there is no certificate" in caplog.text
    assert watched.shown(None) is None
    one = put(tmp_path / "one.example.pem", issue("one.example"))
    assert watched.later("one.example") == one.dump()


def test_a_folder_that_there_is_not_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        PEMFolder(tmp_path / "nowhere")


def test_protocols_and_options_are_those_of_all_certificates(tmp_path: Path) -> None:
    put(tmp_path / "one.example.pem", issue("one.example"))
    server = PEMFolder(tmp_path, ["http/1.1"], raiseMinimumTo=TLSVersion.TLSv1_3, trustRoot=AUTHORITY.certificate)
    for factory, protocol in [(server, "http/1.1"), (server.withProtocols([b"h2"]), "h2")]:
        asking, answering = handshake(CLIENT, factory, "one.example")
        assert asking.tls.selected_alpn_protocol() == protocol
        assert answering.error is not None
        assert answering.error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    assert server.withProtocols([b"http/1.1"]) is server


# -- changes


def test_a_renewed_file_is_noticed_within_a_second_of_use(tmp_path: Path) -> None:
    path = tmp_path / "one.example.pem"
    old = put(path, issue("one.example"))
    watched = Watched(tmp_path)
    new = put(path, issue("one.example"))
    watched.clock.advance(0.9)
    assert watched.shown("one.example") == old.dump()
    watched.clock.advance(0.1)
    assert watched.shown("one.example") == new.dump()


def test_new_files_are_served_and_removed_ones_no_longer(tmp_path: Path) -> None:
    put(tmp_path / "one.example.pem", issue("one.example"))
    watched = Watched(tmp_path)
    two = put(tmp_path / "two.example.pem", issue("two.example"))
    (tmp_path / "one.example.pem").unlink()
    assert watched.later("two.example") == two.dump()
    assert watched.shown("one.example") is None


def test_what_has_not_changed_is_not_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = put(tmp_path / "one.example.pem", issue("one.example"))
    (tmp_path / "broken.pem").write_text("nothing")
    watched = Watched(tmp_path)
    caplog.clear()
    put(tmp_path / "two.example.pem", issue("two.example"))
    assert watched.later("one.example") == one.dump()
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "this is no PEM"),
        (b"nothing", "this is no PEM"),
        (issue("one.example").dumpPEM()[:-40], "it is cut off"),
        (issue("one.example").dump(1), "there is a certificate, but no private key"),
        (issue("one.example").dump(1) + issue("one.example").privateKey.dump(1), "does not belong to the certificate"),
        (AUTHORITY.expired("one.example").dumpPEM(), "the certificate expired at"),
    ],
    ids=["empty", "no PEM", "cut off", "no key", "another key", "expired"],
)
def test_a_file_that_is_of_no_use_is_logged_once_and_what_it_had_is_served_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes, why: str
) -> None:
    path = tmp_path / "one.example.pem"
    old = put(path, issue("one.example"))
    watched = Watched(tmp_path)
    path.write_bytes(content)
    for _ in range(3):
        assert watched.later("one.example") == old.dump()
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "one.example.pem: " in errors[0].getMessage()
    assert why in errors[0].getMessage()
    new = put(path, issue("one.example"))
    assert watched.later("one.example") == new.dump()


def test_a_key_that_was_renewed_before_its_certificates_waits_for_them(tmp_path: Path) -> None:
    old, new = issue("one.example"), issue("one.example")
    key, chain = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    key.write_bytes(old.privateKey.dump(1))
    chain.write_bytes(old.dump(1))
    watched = Watched(tmp_path)
    key.write_bytes(new.privateKey.dump(1))
    assert watched.later("one.example") == old.dump()
    chain.write_bytes(new.dump(1))
    assert watched.later("one.example") == new.dump()


def test_a_folder_that_has_gone_is_logged_once_and_what_was_there_is_served_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    one = put(folder / "one.example.pem", issue("one.example"))
    watched = Watched(folder)
    folder.rename(tmp_path / "elsewhere")
    for _ in range(3):
        assert watched.later("one.example") == one.dump()
    assert caplog.text.count("what was there goes on being served") == 1


def test_a_link_that_leads_nowhere_does_not_disturb_the_others(tmp_path: Path) -> None:
    one = put(tmp_path / "one.example.pem", issue("one.example"))
    (tmp_path / "two.example.pem").symlink_to(tmp_path / "nowhere")
    assert shown_to("one.example", PEMFolder(tmp_path)) == one.dump()


def test_an_expired_certificate_that_was_there_from_the_start_is_served_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path / "one.example.pem", AUTHORITY.expired("one.example"))
    asking, _ = handshake(CLIENT, PEMFolder(tmp_path), "one.example")
    assert "certificate has expired" in str(asking.error)
    assert "one.example.pem: the certificate expired at " in caplog.text


def test_a_certificate_that_is_not_valid_yet_does_not_replace_one_that_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = put(tmp_path / "one.example.pem", issue("one.example"))
    watched = Watched(tmp_path)
    put(tmp_path / "one.example.pem", AUTHORITY.issue("one.example", since=datetime.now(UTC) + timedelta(days=1)))
    assert watched.later("one.example") == old.dump()
    assert "one.example.pem: the certificate is not valid before " in caplog.text


def test_a_file_that_the_options_name_may_go_without_harm_to_what_is_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parameters = tmp_path / "parameters"
    command = ["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048"]
    parameters.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    old = put(tmp_path / "one.example.pem", issue("one.example"))
    watched = Watched(tmp_path, dhParameters=DiffieHellmanParameters(parameters))
    parameters.unlink()
    put(tmp_path / "one.example.pem", issue("one.example"))
    assert watched.later("one.example") == old.dump()
    assert "No such file" in caplog.text


def test_a_folder_in_a_log_says_where_it_is(tmp_path: Path) -> None:
    assert repr(PEMFolder(tmp_path)) == f"<PEMFolder {tmp_path}>"


def test_a_session_outlives_a_renewal(tmp_path: Path) -> None:
    path = tmp_path / "one.example.pem"
    put(path, issue("one.example"))
    watched = Watched(tmp_path)
    client = optionsForClientTLS("one.example", AUTHORITY.certificate)
    client.remember(handshake(client, watched.server)[0].tls.session)
    put(path, issue("one.example"))
    watched.clock.advance(1)
    again, answering = handshake(client, watched.server)
    assert (again.error, answering.error) == (None, None)
    assert again.tls.session_reused
