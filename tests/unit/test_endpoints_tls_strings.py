"""The endpoint strings of TLS: what they ask of a reactor, of which contexts, and which faults are named where."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any

import pytest

from ropewalk.internet import endpoint_tls_strings, endpoints
from ropewalk.internet.endpoints import clientFromString, serverFromString
from ropewalk.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from ropewalk.internet.protocol import Factory
from ropewalk.internet.ssl import FILETYPE_PEM, PrivateCertificate, TLSVersion, optionsForClientTLS
from ropewalk.testing import MemoryReactor
from ropewalk.testing.certificates import Authority
from ropewalk.testing.handshakes import handshake

AUTHORITY = Authority()
LONG = "a number from 0 to 65535"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with what the strings name."""
    intermediate = AUTHORITY.authority()
    shown, mine = AUTHORITY.issue("one.example"), AUTHORITY.issue("me")
    chained = intermediate.issue("chained.example")
    written = {
        "server.pem": shown.dumpPEM(),
        "key.pem": shown.privateKey.dump(FILETYPE_PEM),
        "cert.pem": shown.dump(FILETYPE_PEM),
        "chained.pem": chained.dump(FILETYPE_PEM) + chained.privateKey.dump(FILETYPE_PEM),
        "chain.pem": intermediate.pem,
        "me.pem": mine.dumpPEM(),
        "me-key.pem": mine.privateKey.dump(FILETYPE_PEM),
        "me-cert.pem": mine.dump(FILETYPE_PEM),
        "rubbish.pem": b"rubbish",
        "roots/root.pem": AUTHORITY.pem,
        "roots/other.PEM": Authority("Another").pem,
        "roots/rubbish.pem": b"rubbish",
        "roots/README": b"not looked at",
        "hosts/one.example.pem": shown.dumpPEM(),
        "empty/README": b"",
    }
    for name, data in written.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listened(text: str) -> Any:
    """What the endpoint `text` asks of listenSSL."""
    reactor = MemoryReactor()
    endpoint = serverFromString(reactor, text)
    assert isinstance(endpoint, IStreamServerEndpoint)
    endpoint.listen(Factory())
    (asked,) = reactor.sslServers
    return asked


def connected(text: str) -> Any:
    """What the endpoint `text` asks of connectSSL."""
    reactor = MemoryReactor()
    endpoint = clientFromString(reactor, text)
    assert isinstance(endpoint, IStreamClientEndpoint)
    endpoint.connect(Factory())
    (asked,) = reactor.sslClients
    return asked


def believes(server: Any, name: str, **options: Any) -> bool:
    """Whether a client with these `options`, which trusts AUTHORITY, believes that `server` is `name`."""
    client = optionsForClientTLS(name, AUTHORITY.certificate, **options)
    return all(side.done and side.error is None for side in handshake(client, server))


# -- ssl:, to listen


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("ssl:443", (443, 50, "")),
        ("ssl:443:privateKey=server.pem", (443, 50, "")),
        ("ssl:port=443:privateKey=key.pem:certKey=cert.pem:backlog=7", (443, 7, "")),
        ("ssl:443:key.pem:cert.pem", (443, 50, "")),
        ("ssl:443:key.pem:cert.pem:SSLv23_METHOD:127.0.0.1:7", (443, 7, "127.0.0.1")),
        (r"ssl:0:interface=\:\:1", (0, 50, "::1")),
    ],
)
def test_ssl_listens_with_its_certificate(text: str, asked: tuple[Any, ...], folder: Path) -> None:
    port, _, contextFactory, backlog, interface = listened(text)
    assert (port, backlog, interface) == asked
    assert believes(contextFactory, "one.example")
    assert not believes(contextFactory, "two.example")


def test_ssl_shows_the_chain_too(folder: Path) -> None:
    _, _, without, _, _ = listened("ssl:443:chained.pem")
    assert not believes(without, "chained.example")
    _, _, contextFactory, _, _ = listened("ssl:443:chained.pem:extraCertChain=chain.pem")
    assert believes(contextFactory, "chained.example")


def test_the_method_of_ssl_may_leave_out_the_newest_version(folder: Path) -> None:
    only = {"extraCertificateOptions": {"raiseMinimumTo": TLSVersion.TLSv1_3}}
    _, _, contextFactory, _, _ = listened("ssl:443:sslmethod=TLSv1_2_METHOD")
    assert believes(contextFactory, "one.example")
    assert not believes(contextFactory, "one.example", **only)
    _, _, contextFactory, _, _ = listened("ssl:443:sslmethod=TLS_METHOD")
    assert believes(contextFactory, "one.example", **only)


# -- tls:, to listen


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("tls:hosts", (443, 50, "::")),
        ("tls:hosts:8443:7:127.0.0.1", (8443, 7, "127.0.0.1")),
        ("tls:path=hosts:port=0:backlog=5:interface=", (0, 5, "")),
    ],
)
def test_tls_listens_over_tcp(text: str, asked: tuple[Any, ...], folder: Path) -> None:
    reactor = MemoryReactor()
    endpoint = serverFromString(reactor, text)
    assert isinstance(endpoint, IStreamServerEndpoint)
    endpoint.listen(Factory())
    ((port, _, backlog, interface),) = reactor.tcpServers
    assert (port, backlog, interface) == asked


def test_tls_over_a_folder_without_certificates_says_so(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    serverFromString(MemoryReactor(), "tls:empty")
    assert "there is no certificate with its key in this folder" in caplog.text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("ssl", "position 3: port is missing"),
        ("ssl:https", f"position 4: port is to be {LONG}, not 'https'"),
        ("ssl:443:nokey.pem", "position 8: nokey.pem: no such file or directory"),
        ("ssl:443:rubbish.pem", "position 8: rubbish.pem: this is no PEM"),
        ("ssl:443:key.pem", "position 8: key.pem: there is a private key, but no certificate"),
        ("ssl:443:cert.pem", "position 8: cert.pem: there is a certificate, but no private key"),
        ("ssl:443:certKey=none.pem", "position 16: none.pem: no such file or directory"),
        ("ssl:443:me-key.pem:certKey=cert.pem", "position 8: cert.pem and me-key.pem: the certificate of"),
        ("ssl:443:extraCertChain=none.pem", "position 23: none.pem: no such file"),
        ("ssl:443:dhParameters=none.pem", "position 21: none.pem: no parameters for Diffie-Hellman: "),
        ("ssl:443:dhParameters=rubbish.pem", "position 21: rubbish.pem: no parameters for Diffie-Hellman: "),
        ("ssl:443:sslmethod=SSLv3_METHOD", "position 18: sslmethod is to be one of TLS_METHOD, SSLv23_METHOD, "),
        ("ssl:443:password=x", "position 8: there is no argument 'password', but port, privateKey, certKey"),
        ("tls", "position 3: path is missing"),
        ("tls:", "position 4: path is to be a folder of PEM files, not ''"),
        ("tls:nowhere", "position 4: nowhere: no such file or directory"),
        ("tls:server.pem", "position 4: server.pem: not a directory"),
        ("tls:hosts:port=https", f"position 15: port is to be {LONG}, not 'https'"),
        ("tls:hosts:backlog=-1", "position 18: backlog is"),
    ],
)
def test_a_fault_in_a_server_string_is_named_with_its_place(text: str, fault: str, folder: Path) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        serverFromString(MemoryReactor(), text)
    assert str(caught.value).startswith(f"{text}: {fault}")


def test_ssl_without_a_key_says_where_it_was_looked_for(folder: Path) -> None:
    (folder / "server.pem").unlink()
    with pytest.raises(ValueError, match=r"position 7: a privateKey that can be used \(server.pem: no such file"):
        serverFromString(MemoryReactor(), "ssl:443")


# -- tls:, to connect


def server(name: str = "one.example") -> PrivateCertificate:
    return AUTHORITY.issue(name)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("tls:one.example:443", ("one.example", 443, 30.0, None)),
        ("tls:host=one.example:port=443:timeout=2.5", ("one.example", 443, 2.5, None)),
        ("tls:one.example:443:5:10.0.0.1", ("one.example", 443, 5.0, ("10.0.0.1", 0))),
        (r"tls:\:\:1:443", ("::1", 443, 30.0, None)),
        ("tls:bücher.example:443", ("bücher.example", 443, 30.0, None)),
        ("tls:one.example:443:trustRoots=roots:certificate=me.pem", ("one.example", 443, 30.0, None)),
    ],
)
def test_tls_connects_over_tcp(text: str, asked: tuple[Any, ...], folder: Path) -> None:
    reactor = MemoryReactor()
    endpoint = clientFromString(reactor, text)
    assert isinstance(endpoint, IStreamClientEndpoint)
    endpoint.connect(Factory())
    ((host, port, _, timeout, local),) = reactor.tcpClients
    assert (host, port, timeout, local) == asked


@pytest.mark.parametrize("port", ["", ":443"])
def test_tls_connects_over_another_endpoint(port: str, folder: Path) -> None:
    reactor = MemoryReactor()
    clientFromString(reactor, rf"tls:one.example{port}:endpoint=unix\:/run/tunnel.sock\:timeout=3").connect(Factory())
    assert [(path, timeout) for path, _, timeout, _ in reactor.unixClients] == [("/run/tunnel.sock", 3.0)]


# -- ssl:, to connect


@pytest.fixture
def unadvised() -> None:
    """As in a process that has used no ssl: yet."""
    endpoint_tls_strings._advise.cache_clear()


def test_ssl_connects_and_says_once_that_tls_is_better(
    folder: Path, unadvised: None, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        host, port, _, _, timeout, local = connected("ssl:one.example:443:timeout=5:bindAddress=10.0.0.1")
        assert (host, port, timeout, local) == ("one.example", 443, 5.0, ("10.0.0.1", 0))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "write tls:host:port" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "ssl:one.example:443:caCertsDir=roots",
        "ssl:one.example:443:caCertsDir=roots/root.pem",
        "ssl:10.0.0.1:443:hostname=one.example:caCertsDir=roots",
    ],
)
def test_ssl_verifies_the_name(text: str, folder: Path) -> None:
    *_, contextFactory, _, _ = connected(text)
    asking, _ = handshake(contextFactory, server().options())
    assert asking.done
    asking, _ = handshake(contextFactory, server("two.example").options())
    assert isinstance(asking.error, ssl.SSLCertVerificationError)


def test_ssl_trusts_the_authorities_of_the_system_unless_told_others(folder: Path) -> None:
    *_, contextFactory, _, _ = connected("ssl:one.example:443")
    asking, _ = handshake(contextFactory, server().options())
    assert isinstance(asking.error, ssl.SSLCertVerificationError)


@pytest.mark.parametrize("shown", ["certKey=me.pem", "privateKey=me-key.pem:certKey=me-cert.pem"])
def test_a_client_shows_its_certificate(shown: str, folder: Path) -> None:
    *_, contextFactory, _, _ = connected(f"ssl:one.example:443:caCertsDir=roots:{shown}")
    asking, answering = handshake(contextFactory, server().options(AUTHORITY.certificate))
    assert asking.error is None
    assert answering.tls.getpeercert()["subject"] == ((("commonName", "me"),),)


def test_what_is_no_use_in_a_folder_of_authorities_is_logged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    clientFromString(MemoryReactor(), "tls:one.example:443:trustRoots=roots")
    assert "not trusted: roots/rubbish.pem: this is no PEM" in caplog.text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("tls", "position 3: host is missing"),
        ("tls:one.example", "position 15: port is missing"),
        ("tls::443", "position 4: host is to be a name or an address, not ''"),
        ("tls:a b:443", "position 4: 'a b' is no name of a host: only letters"),
        ("tls:one.example:0", "position 16: port is to be a number from 1 to 65535, not '0'"),
        ("tls:one.example:443:soon", "position 20: timeout is to be a number of seconds, not 'soon'"),
        ("tls:one.example:443:trustRoots=nowhere", "position 31: nowhere: no such file or directory"),
        ("tls:one.example:443:trustRoots=empty", "position 31: empty: there is no certificate of an authority"),
        ("tls:one.example:443:trustRoots=key.pem", "position 31: key.pem: there is no certificate of an authority"),
        ("tls:one.example:443:certificate=me-cert.pem", "position 32: me-cert.pem: there is a certificate, but no"),
        ("tls:one.example:443:privateKey=me-key.pem", "position 31: a privateKey belongs to a certificate"),
        ("tls:one.example:443:certificate=cert.pem:privateKey=me-key.pem", "position 52: cert.pem and me-key.pem: "),
        ("tls:one.example:endpoint=tpc", "position 25: tpc: position 0: this is no kind of endpoint"),
        (r"tls:one.example:endpoint=tcp\:h", "position 25: tcp:h: position 5: port is missing"),
        (r"tls:one.example:timeout=3:endpoint=unix\:s", "position 24: timeout belongs to the endpoint that is given"),
        (r"tls:one.example:bindAddress=10.0.0.1:endpoint=unix\:s", "position 28: bindAddress belongs to the endpoint"),
        (r"tls:one.example:x:endpoint=unix\:s", "position 16: port is to be a number"),
        ("tls:one.example:443:hostname=x", "position 20: there is no argument 'hostname', but host, port, timeout"),
        ("ssl:one.example", "position 15: port is missing"),
        ("ssl:one.example:443:caCertsDir=nowhere", "position 31: nowhere: no such file or directory"),
        ("ssl:one.example:443:privateKey=me-key.pem", "position 31: a privateKey belongs to a certificate"),
        ("ssl:one.example:443:hostname=", "position 29: hostname is to be a name or an address, not ''"),
    ],
)
def test_a_fault_in_a_client_string_is_named_with_its_place(text: str, fault: str, folder: Path) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        clientFromString(MemoryReactor(), text)
    assert str(caught.value).startswith(f"{text}: {fault}")


def test_the_classes_show_what_they_are(folder: Path) -> None:
    reactor = MemoryReactor()
    shown = [
        endpoints.SSL4ServerEndpoint(reactor, 443, None),
        endpoints.SSL4ClientEndpoint(reactor, "one.example", 443, None),
        serverFromString(reactor, "tls:hosts"),
        clientFromString(reactor, "tls:one.example:443"),
    ]
    assert [repr(endpoint) for endpoint in shown] == [
        "<SSL4ServerEndpoint any port 443>",
        "<SSL4ClientEndpoint one.example port 443>",
        "<TLS over <TCP6ServerEndpoint :: port 443>>",
        "<TLS over <HostnameEndpoint one.example port 443>>",
    ]
