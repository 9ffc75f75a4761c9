"""Endpoint strings: what they ask of a reactor, and which faults are named where."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ropewalk.internet import endpoints, systemd
from ropewalk.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from ropewalk.internet.protocol import Factory


class Recording:
    """In the place of a reactor: notes what it is asked to connect or to listen to."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> str:
        self.asked.append((port, backlog, interface))
        return "port"

    def listenUNIX(self, address: str, factory: Any, backlog: int, mode: int, wantPID: bool) -> str:
        self.asked.append((address, backlog, mode, wantPID))
        return "port"

    def connectTCP(self, host: str, port: int, factory: Any, **options: Any) -> None:
        self.asked.append((host, port, options["timeout"], options["bindAddress"]))

    def connectUNIX(self, path: str, factory: Any, timeout: float, checkPID: bool) -> None:
        self.asked.append((path, timeout, checkPID))


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("tcp:8080", (8080, 50, "")),
        ("tcp:port=8080", (8080, 50, "")),
        ("tcp:8080:interface=127.0.0.1", (8080, 50, "127.0.0.1")),
        ("tcp:8080:backlog=7:interface=127.0.0.1", (8080, 7, "127.0.0.1")),
        ("tcp:backlog=7:8080", (8080, 7, "")),
        (r"tcp:0:interface=\:\:1", (0, 50, "::1")),
        ("tcp6:8080", (8080, 50, "::")),
        (r"tcp6:8080:interface=fe80\:\:1%eth0:backlog=1", (8080, 1, "fe80::1%eth0")),
        ("unix:/run/my.sock", ("/run/my.sock", 50, 0o666, True)),
        ("unix:address=/run/my.sock:mode=660:backlog=7:lockfile=0", ("/run/my.sock", 7, 0o660, False)),
        (r"unix:/run/a\:b\=c:0600:lockfile=1", ("/run/a:b=c", 50, 0o600, True)),
        ("unix:\0name", ("\0name", 50, 0o666, True)),
    ],
)
def test_a_server_string_is_listened_to_as_it_says(text: str, asked: tuple[Any, ...]) -> None:
    reactor = Recording()
    endpoint = endpoints.serverFromString(reactor, text)
    assert isinstance(endpoint, IStreamServerEndpoint)
    endpoint.listen(Factory())
    assert reactor.asked == [asked]


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("tcp:localhost:80", ("localhost", 80, 30.0, None)),
        ("tcp:host=localhost:port=80", ("localhost", 80, 30.0, None)),
        ("tcp:host=localhost:80", ("localhost", 80, 30.0, None)),
        ("tcp:localhost:port=80", ("localhost", 80, 30.0, None)),
        ("tcp:localhost:80:5", ("localhost", 80, 5.0, None)),
        ("tcp:localhost:80:timeout=2.5:bindAddress=10.0.0.1", ("localhost", 80, 2.5, ("10.0.0.1", 0))),
        (r"tcp:\:\:1:80", ("::1", 80, 30.0, None)),
        ("unix:/run/my.sock", ("/run/my.sock", 30.0, False)),
        ("unix:path=/run/my.sock:timeout=2.5:checkPID=1", ("/run/my.sock", 2.5, True)),
        ("unix:/run/my.sock:lockfile=1:timeout=9", ("/run/my.sock", 9.0, True)),
        ("unix:/run/my.sock:9:0", ("/run/my.sock", 9.0, False)),
    ],
)
def test_a_client_string_is_connected_to_as_it_says(text: str, asked: tuple[Any, ...]) -> None:
    reactor = Recording()
    endpoint = endpoints.clientFromString(reactor, text)
    assert isinstance(endpoint, IStreamClientEndpoint)
    endpoint.connect(Factory())
    assert reactor.asked == [asked]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("tcp:80x", "position 4: port is to be a number from 0 to 65535, not '80x'"),
        ("tcp:65536", "position 4: port is"),
        ("tcp:-1", "position 4: port is"),
        ("tcp:", "position 4: port is"),
        ("tcp:\u0668\u0660", "position 4: port is"),
        ("tcp", "position 3: port is missing"),
        ("tcp:interface=::1", "position 15: port is"),
        ("tcp:80:127.0.0.1:5:6", "position 19: one argument too many"),
        ("tcp:80:backlog=many", "position 15: backlog is"),
        ("tcp:80:backlog=99999999999999999999999", "position 15: backlog is"),
        ("tcp:80:port=81", "position 7: port is given twice"),
        ("tcp:80:interfaces=127.0.0.1", "position 7: there is no argument 'interfaces', but port, interface, backlog"),
        ("tcp:port=80:port=81", "position 12: port is given twice"),
        ("tcp:80\\", "position 6: a backslash quotes the character after it"),
        ("", "position 0: this is no kind of endpoint that is known; there are: fd, haproxy, ssl, stdio, "),
        ("8080", "position 0: this is no kind"),
        ("udp:53", "position 0: this is no kind"),
        ("tcp=80", "position 0: this is no kind"),
        ("TCP:80", "position 0: this is no kind"),
        ("unix", "position 4: address is missing"),
        ("unix:", "position 5: address is to be a path, not ''"),
        ("unix:/s:mode=888", "position 13: mode is to be permissions in octal digits, such as 660, not '888'"),
        ("unix:/s:mode=0o600", "position 13: mode is"),
        ("unix:/s:mode=", "position 13: mode is"),
        ("unix:/s:lockfile=yes", "position 17: lockfile is to be 1 or 0, not 'yes'"),
        ("unix:/s:backlog=-1", "position 16: backlog is"),
        ("fd", "position 2: descriptor is missing"),
        ("fd:three", "position 3: descriptor is to be a number from 0 to 2147483647, not 'three'"),
        ("fd:-1", "position 3: descriptor is"),
        ("fd:2147483648", "position 3: descriptor is"),
        ("haproxy", "position 7: haproxy is to be followed by another endpoint"),
        ("haproxy:tcp:80x", "position 12: port is to be"),
        ("haproxy:unix:", "position 13: address is"),
        ("haproxy:", "position 8: this is no kind"),
        ("haproxy:tcp=80", "position 8: this is no kind"),
        ("haproxy:haproxy:tcp:80", "position 8: what is behind a proxy cannot be behind another one"),
    ],
)
def test_a_fault_in_a_server_string_is_named_with_its_place(text: str, fault: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        endpoints.serverFromString(Recording(), text)
    assert str(caught.value).startswith(f"{text}: {fault}")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("tcp:localhost", "position 13: port is missing"),
        ("tcp::80", "position 4: host is to be a name or an address, not ''"),
        ("tcp:localhost:0", "position 14: port is"),
        ("tcp:localhost:80:timeout=soon", "position 25: timeout is to be a number of seconds, not 'soon'"),
        ("tcp:localhost:80:timeout=nan", "position 25: timeout is"),
        ("tcp:localhost:80:timeout=-1", "position 25: timeout is"),
        ("tcp6:localhost:80", "position 0: this is no kind of endpoint that is known; there are: ssl, tcp, tls, unix"),
        ("unix", "position 4: path is missing"),
        ("unix:", "position 5: path is to be a path, not ''"),
        ("unix:/s:soon", "position 8: timeout is"),
        ("unix:/s:checkPID=2", "position 17: checkPID is to be 1 or 0, not '2'"),
        ("unix:/s:lockfile=2", "position 17: lockfile is"),
        ("unix:/s:checkPID=1:lockfile=1", "position 28: lockfile is another word for checkPID, which is given too"),
        ("unix:/s:5:1:1", "position 12: lockfile is another word"),
    ],
)
def test_a_fault_in_a_client_string_is_named_with_its_place(text: str, fault: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        endpoints.clientFromString(Recording(), text)
    assert str(caught.value).startswith(f"{text}: {fault}")


@pytest.mark.parametrize(
    ("parse", "text", "meant"),
    [
        (endpoints.serverFromString, "8007", "tcp:8007"),
        (endpoints.serverFromString, "8007:interface=127.0.0.1", "tcp:8007:interface=127.0.0.1"),
        (endpoints.serverFromString, "haproxy:8007:backlog=7", "haproxy:tcp:8007:backlog=7"),
        (endpoints.clientFromString, "localhost:80", "tcp:localhost:80"),
    ],
)
def test_a_string_that_lacks_but_its_kind_is_answered_with_what_was_meant(
    parse: Callable[[Any, str], Any], text: str, meant: str
) -> None:
    with pytest.raises(ValueError, match=f"; did you mean {meant}[?]$"):
        parse(Recording(), text)


@pytest.mark.parametrize("text", ["", "udp:53", "localhost", "80000"])
def test_a_string_that_lacks_more_than_its_kind_gets_no_such_hint(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        endpoints.serverFromString(Recording(), text)
    assert "did you mean" not in str(caught.value)


def test_quoting_is_done_with_backslashes() -> None:
    assert endpoints.quoteStringArgument(r"C:\some=path") == r"C\:\\some\=path"


# -- inherited sockets


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def listening(stack: ExitStack, family: int = socket.AF_INET, address: Any = ("127.0.0.1", 0)) -> socket.socket:
    made = stack.enter_context(socket.socket(family))
    made.bind(address)
    made.listen()
    return made


def fault(text: str) -> str:
    """What serverFromString says of `text`, without the text itself."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        endpoints.serverFromString(Recording(), text)
    said = str(caught.value)
    assert said.startswith(f"{text}: ")
    return said.removeprefix(f"{text}: ")


def test_fd_adopts_the_descriptor_in_the_family_that_its_socket_has(stack: ExitStack, tmp_path: Path) -> None:
    listeners = {
        socket.AF_INET: listening(stack),
        socket.AF_UNIX: listening(stack, socket.AF_UNIX, str(tmp_path / "s")),
    }
    for family, listener in listeners.items():
        domain = family.name.removeprefix("AF_")
        for text in (f"fd:{listener.fileno()}", f"fd:{listener.fileno()}:domain={domain}"):
            endpoint = endpoints.serverFromString(Recording(), text)
            assert isinstance(endpoint, endpoints.AdoptedStreamServerEndpoint)
            assert (endpoint.fileno, endpoint.addressFamily) == (listener.fileno(), family)
        assert listener.getsockname()   # it was only looked at


def test_fd_of_what_is_no_listening_socket_of_that_domain_is_a_fault(stack: ExitStack) -> None:
    stream = listening(stack).fileno()
    datagram = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)).fileno()
    file, end = os.pipe()
    stack.callback(os.close, file)
    stack.callback(os.close, end)
    with socket.socket() as gone:
        closed = gone.fileno()
    length = len(f"fd:{stream}")
    assert fault(f"fd:{closed}") == f"position 3: descriptor {closed} cannot be listened at: bad file descriptor"
    assert fault(f"fd:{file}").startswith(f"position 3: descriptor {file} cannot be listened at: ")
    no_stream = f"descriptor {datagram} is no stream socket of INET or INET6 or UNIX, but AF_INET, SOCK_DGRAM"
    assert fault(f"fd:{datagram}") == f"position 3: {no_stream}"
    at = f"position {length + 8}"
    assert fault(f"fd:{stream}:domain=UNIX") == f"{at}: descriptor {stream} is a socket of INET"
    assert fault(f"fd:{stream}:domain=INET4") == f"{at}: domain is to be INET or INET6 or UNIX, not 'INET4'"
    assert fault(f"fd:{stream}:domain=") == f"{at}: domain is to be INET or INET6 or UNIX, not ''"
    assert os.fstat(file)


@pytest.mark.parametrize("parse", [endpoints.serverFromString, endpoints.clientFromString])
@pytest.mark.parametrize("what", [b"tcp:80", None, 80])
def test_what_is_no_text_describes_no_endpoint(parse: Callable[..., object], what: object) -> None:
    with pytest.raises(TypeError, match="an endpoint is described by a str, not by "):
        parse(Recording(), what)


def test_the_page_of_the_endpoints_has_every_kind_in_its_tables() -> None:
    page = (Path(__file__).parents[2] / "docs" / "endpoints.md").read_text(encoding="utf-8")
    listening, connecting = page.split("\n## To ")[1:]
    assert listening.startswith("listen\n")
    assert set(re.findall(r"^\| `(\w+):", listening, re.MULTILINE)) == endpoints._SERVERS.keys()
    assert set(re.findall(r"^\| `(\w+):", connecting, re.MULTILINE)) == endpoints._CLIENTS.keys()


@pytest.fixture
def passed(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[socket.socket]]]:
    """passed(*names): listening sockets as systemd would have passed them with these names."""

    def pass_them(*names: str) -> list[socket.socket]:
        sockets = [listening(stack) for _ in names]
        numbers = [each.fileno() for each in sockets]
        monkeypatch.setattr(systemd, "inherited", lambda: systemd.ListenFDs(numbers, names))
        return sockets

    systemd.inherited.cache_clear()
    for variable in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        monkeypatch.delenv(variable, raising=False)
    yield pass_them
    monkeypatch.undo()
    systemd.inherited.cache_clear()


Passed = Callable[..., list[socket.socket]]


@pytest.mark.parametrize(
    ("text", "which"),
    [
        ("systemd:domain=INET:name=admin", 1),
        ("systemd:name=http", 0),
        ("systemd:domain=INET:index=1", 1),
        ("systemd:INET:0", 0),
        ("systemd:index=2", 2),
    ],
)
def test_systemd_adopts_the_descriptor_of_that_name_or_index(text: str, which: int, passed: Passed) -> None:
    sockets = passed("http", "admin", "metrics")
    endpoint = endpoints.serverFromString(Recording(), text)
    assert isinstance(endpoint, endpoints.AdoptedStreamServerEndpoint)
    assert (endpoint.fileno, endpoint.addressFamily) == (sockets[which].fileno(), socket.AF_INET)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("systemd", "position 7: name (or index) is missing"),
        ("systemd:domain=INET", "position 19: name (or index) is missing"),
        ("systemd:index=0:name=a", "position 21: one of index and name is to be given, not both"),
        ("systemd:index=3", "position 14: index is to be a number from 0 to 2, not '3'"),
        ("systemd:index=-1", "position 14: index is"),
        ("systemd:name=c", "position 13: systemd passed no descriptor that is called 'c', but a, b"),
        ("systemd:name=b", "position 13: systemd passed 2 descriptors that are called 'b'; use index"),
        ("systemd:domain=UNIX:name=a", "position 15: descriptor "),
        ("systemd:domain=APPLETALK:name=a", "position 15: domain is to be"),
        ("systemd:fd=0", "position 8: there is no argument 'fd', but domain, index, name"),
    ],
)
def test_a_fault_in_a_systemd_string_is_named_with_its_place(text: str, said: str, passed: Passed) -> None:
    passed("a", "b", "b")
    assert fault(text).startswith(said)


def test_systemd_says_so_when_the_process_was_passed_nothing(passed: Passed, monkeypatch: pytest.MonkeyPatch) -> None:
    here = f"position 0: systemd passed no descriptor to this process, {os.getpid()}: LISTEN_PID is "
    assert fault("systemd:index=0") == here + "not set, LISTEN_FDS is not set"
    systemd.inherited.cache_clear()
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "2")
    assert fault("systemd:index=0") == here + "1, LISTEN_FDS is 2"


def test_systemd_says_what_is_wrong_with_the_variables_and_takes_nothing(
    passed: Passed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "many")
    for _ in range(2):
        assert fault("haproxy:systemd:index=0").startswith("position 8: systemd's variables are not right: LISTEN_FDS")
    assert os.environ["LISTEN_FDS"] == "many"


def test_systemd_names_a_passed_descriptor_that_is_not_open(passed: Passed) -> None:
    [gone] = passed("a")
    number = gone.fileno()
    gone.close()
    assert fault("systemd:name=a") == f"position 13: descriptor {number} cannot be listened at: bad file descriptor"


def test_systemd_does_not_take_the_next_owner_of_a_number_for_what_was_passed(
    passed: Passed, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first] = passed("a")
    found, number = systemd.inherited(), first.fileno()
    monkeypatch.setattr(systemd, "inherited", lambda: found)
    assert endpoints.serverFromString(Recording(), "systemd:name=a")
    first.close()
    other = listening(stack)
    assert other.fileno() == number
    said = f"descriptor {number}, which systemd passed, was adopted or closed since"
    assert fault("systemd:name=a") == f"position 13: {said}"
    assert fault("systemd:index=0") == f"position 14: {said}"


def test_names_are_of_no_use_when_the_descriptors_have_none(passed: Passed, monkeypatch: pytest.MonkeyPatch) -> None:
    [one] = passed("a")
    monkeypatch.setattr(systemd, "inherited", lambda: systemd.ListenFDs([one.fileno()]))
    assert fault("systemd:name=a").endswith("called 'a', but none with a name")
    assert endpoints.serverFromString(Recording(), "systemd:index=0")


def test_importing_the_endpoints_reads_no_entry_points_and_no_environment() -> None:
    program = (
        "import sys; import ropewalk.internet.endpoints as e; e.clientFromString(None, 'unix:/s');"
        "print([name for name in ('importlib.metadata', 'ropewalk.protocols.haproxy') if name in sys.modules])"
    )
    environment = os.environ | {"LISTEN_PID": "nobody", "LISTEN_FDS": "many"}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
