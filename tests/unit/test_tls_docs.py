"""The examples of docs/tls.md do what the page says, on real sockets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ropewalk.errors import CertificateError, TLSError
from ropewalk.internet.endpoints import HostnameEndpoint, SSL4ServerEndpoint, connectProtocol
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.internet.ssl import FILETYPE_PEM, ClientTLSOptions, optionsForClientTLS
from ropewalk.testing.certificates import Authority
from ropewalk.testing.rig import Rig, raises

PAGE = Path(__file__).parents[2] / "docs" / "tls.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
AUTHORITY = Authority()
SHOWN = AUTHORITY.issue("localhost", "127.0.0.1")


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(SelectReactor) as made:
        yield made


@pytest.fixture
def page() -> Any:
    """What the examples define."""
    names: dict[str, Any] = {}
    for example in EXAMPLES:
        exec(compile(example, str(PAGE), "exec"), names)
    return type("Page", (), {name: staticmethod(value) for name, value in names.items()})


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a key, its certificate, and both in the folder `hosts`."""
    (tmp_path / "key.pem").write_bytes(SHOWN.privateKey.dump(FILETYPE_PEM))
    (tmp_path / "cert.pem").write_bytes(SHOWN.dump(FILETYPE_PEM))
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts" / "localhost.pem").write_bytes(SHOWN.dumpPEM())
    return tmp_path


def options(host: str = "localhost") -> ClientTLSOptions:
    return optionsForClientTLS(host, AUTHORITY.certificate)


def number(port: Any) -> int:
    return int(port.getHost().port)


def test_a_server_answers_who_believes_it(rig: Rig, page: Any, files: Path) -> None:
    async def scenario() -> None:
        port = await page.serve(rig.reactor, 0, files / "key.pem", files / "cert.pem")
        assert await page.ask(rig.reactor, options(), number(port), b"hello") == b"hello"
        assert await page.ask(rig.reactor, options("127.0.0.1"), number(port), b"hello") == b"hello"
        assert await page.is_it_really(rig.reactor, options(), number(port)) == "yes"
        said = await page.is_it_really(rig.reactor, options("example.org"), number(port))
        assert said.startswith("no: ")
        assert "the certificate of example.org is not accepted" in said
        await port.stopListening()

    rig.play(scenario)


def test_a_folder_of_certificates_is_served(rig: Rig, page: Any, files: Path) -> None:
    async def scenario() -> None:
        port = await page.serve_many(rig.reactor, 0, files / "hosts")
        assert await page.ask(rig.reactor, options(), number(port), b"hello") == b"hello"
        await port.stopListening()

    rig.play(scenario)


def test_the_second_connection_of_the_same_options_is_resumed(rig: Rig, page: Any, files: Path) -> None:
    async def scenario() -> None:
        port = await page.serve(rig.reactor, 0, files / "key.pem", files / "cert.pem")
        kept = options()
        await page.ask(rig.reactor, kept, number(port), b"hello")
        first = kept.session
        assert first is not None
        await page.ask(rig.reactor, kept, number(port), b"hello")
        assert kept.session is not first
        await port.stopListening()

    rig.play(scenario)


def test_a_protocol_is_negotiated(rig: Rig, page: Any) -> None:
    class Serves(page.Web):   # type: ignore[misc, name-defined]
        protocol = page.Echo

    async def scenario() -> None:
        port: Any = await SSL4ServerEndpoint(rig.reactor, 0, SHOWN.options()).listen(Serves())
        assert await page.what_is_spoken(rig.reactor, options(), number(port)) == b"h2"
        await port.stopListening()

    rig.play(scenario)


def test_only_members_are_served(rig: Rig, page: Any) -> None:
    async def scenario() -> None:
        port = await page.serve_members(rig.reactor, 0, SHOWN.dumpPEM(), AUTHORITY.pem)
        member = page.as_member("localhost", AUTHORITY.issue("me").dumpPEM(), AUTHORITY.pem)
        assert await page.ask(rig.reactor, member, number(port), b"hello") == b"hello"
        with raises(TLSError):
            await page.ask(rig.reactor, options(), number(port), b"hello")
        stranger = page.as_member("localhost", Authority("Nobody").issue("me").dumpPEM(), AUTHORITY.pem)
        with raises(TLSError) as refused:
            await page.ask(rig.reactor, stranger, number(port), b"hello")
        assert not isinstance(refused[0], CertificateError)   # it is ours that is not accepted
        await port.stopListening()

    rig.play(scenario)


def test_tls_begins_in_the_middle_of_a_stream(rig: Rig, page: Any) -> None:
    class Upgrades(page.Upgrades):   # type: ignore[misc, name-defined]
        context = SHOWN.options()

    async def scenario() -> None:
        port: Any = rig.reactor.listenTCP(0, page.Factory.forProtocol(Upgrades), interface="127.0.0.1")
        endpoint = HostnameEndpoint(rig.reactor, "localhost", number(port))
        protocol = await connectProtocol(endpoint, page.WantsTLS(options()))
        assert await protocol.answer == b"safe: hello"
        await port.stopListening()

    rig.play(scenario)
