"""The command `ropewalk` as its users meet it: a process, its output, its exit code, real connections."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ropewalk.core import choose
from ropewalk.internet.main import reactors

ROPEWALK = [sys.executable, "-W", "error", "-W", "ignore::ImportWarning", "-m", "ropewalk"]
PATIENCE = 30   # seconds, for whatever is waited for
MEGABYTE = random.Random(2).randbytes(1_000_000)
LOCAL = "tcp:0:interface=127.0.0.1"
HERE = [row.name for row in reactors() if row.why_not is None]
EXAMPLES = Path(__file__).parents[2] / "examples"

OWN = [name for name, row in choose.CHOICES.items() if row.host == "own:OwnHost"]   # the others: tests/gui
on_every_reactor = pytest.mark.parametrize("name", [name for name in HERE if name in OWN])


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, to its end."""
    return subprocess.run(
        [*ROPEWALK, *arguments], capture_output=True, text=True, timeout=PATIENCE, env=os.environ | environment
    )


class Running:
    """A command that has said where it listens."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.line = process.stdout.readline().strip()
        self.endpoint = self.line.removeprefix("listening on ")

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", int(self.line.rpartition(":")[2])), timeout=PATIENCE)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Its exit code after the signal `number`, and what it wrote, its first line aside."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.send_signal(number)
        output = self.process.stdout.read() + self.process.stderr.read()
        return self.process.wait(PATIENCE), output


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[Running]:
    command = [*ROPEWALK, *arguments]
    buffered = os.environ | {"PYTHONUNBUFFERED": ""}   # so that what is not flushed is missed
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=buffered
    ) as process:
        try:
            yield Running(process)
        finally:
            if process.poll() is None:
                process.kill()


def sent(connection: socket.socket, data: bytes) -> threading.Thread:
    """A thread that sends `data` and then shuts the sending side."""

    def send() -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def received(connection: socket.socket) -> bytes:
    """All that comes, to the end."""
    with connection.makefile("rb") as file:
        return file.read()


def program(folder: Path, text: str) -> str:
    """A file for -y."""
    path = folder / "app.py"
    path.write_text(text)
    return str(path)


def one_line(errors: str) -> str:
    """The one line that `errors` has to be."""
    assert errors.startswith("ropewalk: "), errors
    assert errors.count("\n") == 1, errors
    return errors


LISTENS = """
from ropewalk.internet import protocol, reactor

class Greeter(protocol.Protocol):
    def connectionMade(self):
        self.transport.write(b"hello")
        self.transport.loseConnection()

port = reactor.listenTCP(0, protocol.Factory.forProtocol(Greeter), interface="127.0.0.1")
print(f"listening on tcp:127.0.0.1:{port.getHost().port}", flush=True)
print("on", type(reactor).name)
"""

SIGNALS_ITSELF = """
import signal
from ropewalk.internet import reactor
print("said before the signal")
reactor.callLater(0, signal.raise_signal, signal.SIGTERM)
"""

INSTALLS_SELECT = """
from ropewalk.internet import selectreactor
selectreactor.install()
from ropewalk.internet import reactor
print(reactor.name)
reactor.callLater(0, reactor.stop)
"""


# -- echo and forward


@on_every_reactor
def test_echo_sends_back_everything_and_then_the_end(name: str) -> None:
    with running("-r", name, "echo", LOCAL) as echo, echo.connect() as client:
        sender = sent(client, MEGABYTE)
        assert received(client) == MEGABYTE
        sender.join()
        assert echo.end() == (-signal.SIGTERM, "")


@on_every_reactor
def test_forward_carries_bytes_both_ways_and_each_end_by_itself(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        destination = f"tcp:127.0.0.1:{listener.getsockname()[1]}"
        with running("-r", name, "forward", LOCAL, destination) as forwarder, forwarder.connect() as client:
            there, _ = listener.accept()
            with there:
                sender = sent(client, MEGABYTE)
                assert received(there) == MEGABYTE
                sender.join()
                sender = sent(there, MEGABYTE[::-1])
                assert received(client) == MEGABYTE[::-1]
                sender.join()
            assert forwarder.end() == (-signal.SIGTERM, "")


@on_every_reactor
def test_forward_carries_many_connections_at_a_time(name: str) -> None:
    with running("-r", name, "echo", LOCAL) as echo, running("-r", name, "forward", LOCAL, echo.endpoint) as forwarder:
        clients = [forwarder.connect() for _ in range(50)]
        for number, client in enumerate(clients):
            client.sendall(b"%d" % number)
            client.shutdown(socket.SHUT_WR)
        for number, client in enumerate(clients):
            assert received(client) == b"%d" % number
            client.close()
        assert forwarder.end() == (-signal.SIGTERM, "")


@on_every_reactor
def test_a_destination_that_refuses_resets_the_client_and_is_logged_in_one_line(name: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        with running("-r", name, "forward", LOCAL, f"tcp:127.0.0.1:{port}") as forwarder:
            with pytest.raises(ConnectionResetError), forwarder.connect() as client:   # as soon as it is connected
                received(client)
            _, errors = forwarder.end()
    assert "cannot be forwarded: the connection was refused" in errors
    assert f"127.0.0.1:{port}" in errors
    assert errors.count("\n") == 1


def test_the_line_that_says_where_it_listens_names_an_endpoint_to_connect_to() -> None:
    with running("echo", "tcp:0:interface=127.0.0.1") as echo:
        assert echo.line.startswith("listening on tcp:127.0.0.1:")
        with running("forward", LOCAL, echo.endpoint) as forwarder, forwarder.connect() as client:
            client.sendall(b"through")
            client.shutdown(socket.SHUT_WR)
            assert received(client) == b"through"


def test_an_ipv6_address_in_that_line_is_quoted_as_endpoints_want_it() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with running("echo", r"tcp:0:interface=\:\:1") as echo:
        assert echo.endpoint.startswith(r"tcp:\:\:1:")
        with running("forward", LOCAL, echo.endpoint) as forwarder, forwarder.connect() as client:
            client.sendall(b"through")
            client.shutdown(socket.SHUT_WR)
            assert received(client) == b"through"


# -- ends


@on_every_reactor
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_it_dies_by_that_signal(name: str, number: int) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("whoever runs the tests has this signal ignored, which processes inherit")
    with running("-r", name, "--grace", "0", "echo", LOCAL) as echo, echo.connect() as client:
        assert echo.end(number) == (-number, "")
        assert received(client) == b""


@pytest.mark.parametrize("closing", [">&-", "2>&-", ">&- 2>&-"])
def test_a_signal_is_what_it_dies_by_without_output_too(closing: str, tmp_path: Path) -> None:
    file = program(tmp_path, SIGNALS_ITSELF)
    command = ["sh", "-c", f'exec "$@" {closing}', "sh", *ROPEWALK, "-y", file]
    assert subprocess.run(command, capture_output=True, timeout=PATIENCE).returncode == -signal.SIGTERM


def test_a_signal_is_what_it_dies_by_when_nobody_reads_its_output(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [*ROPEWALK, "-y", program(tmp_path, SIGNALS_ITSELF)]
        buffered = os.environ | {"PYTHONUNBUFFERED": ""}
        ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, timeout=PATIENCE, env=buffered)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (-signal.SIGTERM, b"")


def test_a_port_in_use_is_one_line_and_exit_code_74() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run("echo", f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1")
    assert ended.returncode == 74
    assert "address already in use" in one_line(ended.stderr)
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to do"),
        (["nonsense"], "nonsense"),
        (["echo"], "LISTEN"),
        (["forward", "tcp:0"], "DEST"),
        (["echo", "carrier-pigeon:1"], "carrier-pigeon:1"),
        (["echo", "tcp:port"], "tcp:port"),
        (["forward", "tcp:0", "tcp:localhost"], "tcp:localhost"),
        (["-r", "nonsense", "echo", "tcp:0"], ", ".join(HERE)),
        (["-y", "app.py", "echo", "tcp:0"], "exclude each other"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_64(arguments: list[str], said: str) -> None:
    ended = run(*arguments)
    assert ended.returncode == 64
    assert said in one_line(ended.stderr)


def test_a_reactor_that_is_not_available_is_a_usage_error_that_says_why() -> None:
    code = "import select; del select.poll; from ropewalk.application.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, "-r", "poll", "echo", LOCAL], capture_output=True, text=True, timeout=PATIENCE
    )
    assert ended.returncode == 64
    assert "no reactor 'poll' here" in one_line(ended.stderr)
    assert "not available: poll (" in ended.stderr


def test_the_environment_names_a_reactor_too(tmp_path: Path) -> None:
    text = "from ropewalk.internet import reactor\nprint(type(reactor).name)\nreactor.callLater(0, reactor.stop)"
    path = program(tmp_path, text)
    assert run("-y", path, ROPEWALK_REACTOR="select").stdout == "select\n"
    assert run("-r", "select", "-y", path, ROPEWALK_REACTOR="nonsense").stdout == "select\n"
    ended = run("-y", path, ROPEWALK_REACTOR="nonsense")
    assert ended.returncode == 64
    assert "'nonsense'" in one_line(ended.stderr)
    assert "ROPEWALK_REACTOR" in ended.stderr
    ended = run("echo", LOCAL, ROPEWALK_REACTOR="nonsense")
    assert ended.returncode == 64
    assert "ROPEWALK_REACTOR" in one_line(ended.stderr)
    assert "ROPEWALK_REACTOR" in run("--help").stdout


def test_a_reactor_that_the_file_installs_goes_before_the_environment(tmp_path: Path) -> None:
    for named in ("poll", "nonsense"):
        ended = run("-y", program(tmp_path, INSTALLS_SELECT), ROPEWALK_REACTOR=named)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "select\n", "")


def test_a_file_that_installs_another_reactor_than_the_option_asks_for_is_told_which_line_does(tmp_path: Path) -> None:
    path = program(tmp_path, INSTALLS_SELECT)
    ended = run("-r", "poll", "-y", path)
    assert ended.returncode == 70
    assert f"SelectReactor cannot be installed by {path}, line 3: PollReactor has been" in one_line(ended.stderr)
    assert "by the option -r;" in ended.stderr


def test_without_click_click_it_says_what_to_install() -> None:
    code = "import runpy, sys; sys.modules['click'] = None; runpy.run_module('ropewalk', run_name='__main__')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 69
    assert "pip install click" in one_line(ended.stderr)


# -- what it says


def test_help_reactors_lists_each_reactor_and_says_which_is_the_default() -> None:
    ended = run("--help-reactors", ROPEWALK_REACTOR="nonsense")
    assert (ended.returncode, ended.stderr) == (0, "")
    _, *lines = ended.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [row.name for row in reactors()]
    assert len({line.index(row.about) for line, row in zip(lines, reactors(), strict=True)}) == 1, "not aligned"
    assert [line.split()[0] for line in lines if line.endswith("available, the default")] == [
        row.name for row in reactors() if row.default
    ]


def test_version_and_help_are_no_errors() -> None:
    assert run("--version").stdout.startswith("ropewalk, version ")
    for arguments in (["--help"], ["echo", "--help"], ["forward", "--help"]):
        ended = run(*arguments)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.startswith("Usage: ropewalk")


# -- files


@on_every_reactor
def test_a_file_that_listens_is_served_until_a_signal_comes(name: str, tmp_path: Path) -> None:
    with running("-r", name, "-y", program(tmp_path, LISTENS)) as app:
        with app.connect() as client:
            assert received(client) == b"hello"
        assert app.end() == (-signal.SIGTERM, f"on {name}\n")


@pytest.mark.parametrize(
    "work",
    [
        "reactor.callLater(0, end)",
        "reactor.callWhenRunning(end)",
        "reactor.callFromThread(end)",
        "reactor.callInThread(reactor.callFromThread, end)",
        "reactor.connectTCP('127.0.0.1', 1, Fails())",
    ],
)
def test_a_file_that_left_something_to_do_is_run(work: str, tmp_path: Path) -> None:
    text = f"""
from ropewalk.internet import protocol, reactor

class Fails(protocol.ClientFactory):
    def clientConnectionFailed(self, connector, reason):
        end()

def end():
    print("ran in", __name__)
    reactor.stop()

{work}
"""
    ended = run("-y", program(tmp_path, text))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ran in __main__\n", "")


def test_a_file_finds_its_neighbours_and_its_name(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("")
    path = program(tmp_path, "import sys, neighbour\nassert sys.argv == [__file__]\nsys.exit(3)")
    assert run("-y", path).returncode == 3


def test_a_file_that_ran_the_reactor_itself_just_ends(tmp_path: Path) -> None:
    text = (
        "from ropewalk.internet import reactor\n"
        "reactor.callLater(0, reactor.stop)\nreactor.run()\nreactor.callLater(0, print, 'not again')"
    )
    ended = run("-y", program(tmp_path, text))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_file_that_left_nothing_to_do_is_an_error_that_says_so(tmp_path: Path) -> None:
    ended = run("-y", program(tmp_path, "from ropewalk.internet import reactor"))
    assert ended.returncode == 65
    assert "left nothing to do" in one_line(ended.stderr)


@pytest.mark.parametrize(("text", "error"), [("def f():\n    1 / 0\nf()", "ZeroDivisionError"), ("(", "SyntaxError")])
def test_an_exception_in_the_file_prints_its_traceback_alone(text: str, error: str, tmp_path: Path) -> None:
    path = program(tmp_path, text)
    ended = run("-y", path)
    assert ended.returncode == 70
    assert error in ended.stderr
    assert [line for line in ended.stderr.splitlines() if "File " in line and path not in line] == []


def test_a_file_that_cannot_be_read_is_one_line_and_exit_code_66(tmp_path: Path) -> None:
    ended = run("-y", str(tmp_path / "nowhere.py"))
    assert ended.returncode == 66
    assert "nowhere.py" in one_line(ended.stderr)


def test_the_first_example_runs_as_it_stands(tmp_path: Path) -> None:
    text = (EXAMPLES / "echo.py").read_text()
    assert "8007" in text
    path = program(tmp_path, text.replace("8007", "0"))
    command = [sys.executable, "-W", "error", path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition("port=")[2].rstrip(")\n"))
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
        process.terminate()
        assert process.wait(PATIENCE) in (0, -signal.SIGTERM)
