"""Programs written for Twisted, unchanged, on our reactors: sites, a crawl, WebSockets, a service, trial's tests.

They are in twisted_programs/, and know nothing of us.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ropewalk.core import choose

from .conftest import PATIENCE, environment
from .twisted_children import LOCAL, TROUBLE, needs, run, running, tool

PROGRAMS = Path(__file__).parent / "twisted_programs"
HERE = [   # those with a loop of their own; a toolkit's has its tests in tests/gui
    name for name, row in choose.CHOICES.items() if row.host == "own:OwnHost" and choose.why_not(name) is None
]

FETCHED = [f"pages {' '.join(map(str, range(20)))}", "posted 200 True", "slow at last", "missing 404"]

pytest.importorskip("twisted", reason="Twisted is not installed")
on_every_reactor = pytest.mark.parametrize("name", HERE)


def script(name: str, program: str, *arguments: str) -> list[str]:
    """The command line that runs a script on the reactor `name`."""
    return [sys.executable, "-m", "ropewalk.twisted", name, str(PROGRAMS / program), *arguments]


def twistd(name: str, *arguments: str) -> list[str]:
    return tool("twistd", "-r", f"ropewalk-{name}", "--pidfile=", "-n", *arguments)


def load(url: str, connections: int = 64) -> int:
    """Have wrk ask for a page for a second, over many connections; how many answers came, all of which were good."""
    if shutil.which("wrk") is None:
        pytest.skip("the command wrk is not installed")
    command = ["wrk", "-t1", f"-c{connections}", "-d1s", url]
    said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    assert "Non-2xx" not in said, said
    assert "Socket errors" not in said, said
    found = re.search(r"(\d+) requests in", said)
    assert found is not None, said
    return int(found[1])


def fetch(url: str, data: str | None = None) -> str:
    """What curl gets there."""
    if shutil.which("curl") is None:
        pytest.skip("the command curl is not installed")
    posted = [] if data is None else ["--data", data]
    command = ["curl", "--silent", "--show-error", "--fail", *posted, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout


# -- sites


@on_every_reactor
def test_a_site_of_twistd_serves_files_under_load(name: str, tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text("text " * 100)
    web = twistd(name, "web", "--listen", LOCAL, "--path", str(tmp_path))
    with running(web, tmp_path, -signal.SIGTERM) as site:
        assert fetch(f"http://127.0.0.1:{site.port}/page.txt") == "text " * 100
        assert load(f"http://127.0.0.1:{site.port}/page.txt") > 100


@on_every_reactor
def test_a_klein_site_answers_under_load(name: str, tmp_path: Path) -> None:
    needs("klein")
    with running(script(name, "klein_site.py", LOCAL), tmp_path) as site:
        url = f"http://127.0.0.1:{site.port}"
        assert fetch(f"{url}/") == "Hello, world!"
        assert fetch(f"{url}/later") == "later"
        assert fetch(f"{url}/thread/12") == "144"
        assert json.loads(fetch(f"{url}/sum", "[1, 2]")) == {"sum": 3}
        assert load(f"{url}/") > 100


@on_every_reactor
def test_treq_fetches_over_kept_connections(name: str, tmp_path: Path) -> None:
    needs("treq")
    with running(script(name, "site.py", LOCAL), tmp_path) as site:
        said = run(script(name, "fetch.py", f"http://127.0.0.1:{site.port}"), tmp_path)
    assert said.splitlines() == FETCHED


@on_every_reactor
def test_treq_fetches_over_tls_from_a_site_with_a_certificate(name: str, tmp_path: Path) -> None:
    needs("treq", "OpenSSL", "cryptography")
    from ropewalk.testing.certificates import Authority

    authority = Authority()
    (tmp_path / "server.pem").write_bytes(authority.issue("localhost").dumpPEM())
    (tmp_path / "authority.pem").write_bytes(authority.pem)
    endpoint = "ssl:0:interface=127.0.0.1:privateKey=server.pem:certKey=server.pem"
    with running(script(name, "site.py", endpoint), tmp_path) as site:
        said = run(script(name, "fetch.py", f"https://localhost:{site.port}", "authority.pem"), tmp_path)
    assert said.splitlines() == FETCHED


# -- crawling


def test_scrapy_crawls_a_site_of_500_pages_on_the_reactor_that_a_setting_names(tmp_path: Path) -> None:
    needs("scrapy")
    crawls([sys.executable, "-m", "scrapy"], choose.default_name(), tmp_path)


@on_every_reactor
def test_scrapy_crawls_a_site_of_500_pages_on_the_reactor_that_is_installed(name: str, tmp_path: Path) -> None:
    needs("scrapy")
    crawls(script(name, *tool("scrapy")), name, tmp_path)


def crawls(scrapy: list[str], name: str, folder: Path) -> None:
    """Assert that Scrapy, a command line, gets a whole site by the reactor `name`."""
    reactor = f"ropewalk.twisted.{choose.choice(name).reactor}"
    with running(script(name, "site.py", LOCAL), folder) as site:
        start = f"start=http://127.0.0.1:{site.port}/0"
        spider = ["runspider", str(PROGRAMS / "spider.py"), "-a", start, "-O", "pages.json"]
        said = crawl([*scrapy, *spider, "-s", f"TWISTED_REACTOR={reactor}"], folder)
    titles = [page["title"] for page in json.loads((folder / "pages.json").read_text())]
    assert sorted(titles) == sorted(f"Page {number}" for number in range(500))
    assert f"Using reactor: {reactor}" in said
    assert "'response_received_count': 500" in said
    assert "'finish_reason': 'finished'" in said


def crawl(command: list[str], folder: Path) -> str:
    """Run Scrapy; its log, in which there must be no error."""
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment(), cwd=folder)
    assert ended.returncode == 0, ended.stderr
    assert "log_count/ERROR" not in ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


# -- WebSockets


@on_every_reactor
def test_autobahn_echoes_over_a_websocket(name: str, tmp_path: Path) -> None:
    needs("autobahn")
    with running(script(name, "websocket.py", "serve", LOCAL), tmp_path) as server:
        said = run(script(name, "websocket.py", "ask", str(server.port)), tmp_path)
    assert said == "clean 1000 None 0 left\n"


# -- coroutines, services, tests


@on_every_reactor
def test_coroutines_use_children_threads_timers_streams_and_datagrams(name: str, tmp_path: Path) -> None:
    assert run(script(name, "chores.py"), tmp_path).splitlines() == [
        "child b'A CHILD' b'!' 3",
        "thread from the reactor",
        "thread raised invalid literal for int() with base 10: 'x'",
        "timeout TimeoutError",
        "ticks 3",
        "locked a b c",
        "line b'HELLO'",
        "line lost Connection was closed cleanly.",
        "refused ConnectionRefusedError",
        "amp 3",
        "amp raised nothing",
        "datagram b'margatad'",
    ]


@on_every_reactor
def test_a_service_becomes_a_daemon_and_ends_when_it_is_told(name: str, tmp_path: Path) -> None:
    options = ["-r", f"ropewalk-{name}", "--pidfile=echo.pid", "--logfile=echo.log"]
    run(tool("twistd", *options, "-y", str(PROGRAMS / "echo.tac")), tmp_path)
    log = (tmp_path / "echo.log").read_text()   # its parent has waited until it serves
    port = re.search(r"starting on (\d+)", log)
    assert port is not None, log
    with ended_by_us(int((tmp_path / "echo.pid").read_text())) as daemon:
        with socket.create_connection(("127.0.0.1", int(port[1])), timeout=PATIENCE) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
        signal.pidfd_send_signal(daemon, signal.SIGTERM)
        assert select.select([daemon], [], [], PATIENCE)[0]
    assert not (tmp_path / "echo.pid").exists()
    log = (tmp_path / "echo.log").read_text()
    assert "Server Shut Down" in log
    assert not re.search(TROUBLE, log), log


@contextlib.contextmanager
def ended_by_us(pid: int) -> Iterator[int]:
    """A descriptor of the process `pid`, which is no child of ours and must not live longer than the block."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        os.close(descriptor)


@on_every_reactor
def test_trial_runs_tests_and_sees_what_they_leave_behind(name: str, tmp_path: Path) -> None:
    command = tool("trial", "--reactor", f"ropewalk-{name}", str(PROGRAMS / "trial_cases.py"))
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment(), cwd=tmp_path)
    assert ended.returncode == 1
    assert "FAILED (errors=4, successes=5)" in ended.stdout
    reports = re.split("={50,}", ended.stdout)[1:]
    found = {report.rpartition("trial_cases.")[2].split("\n")[0]: report for report in reports}
    assert "DelayedCalls:" in found["Bad.test_leaves_a_call"]
    assert "Selectables:" in found["Bad.test_leaves_a_port"]
    assert "ValueError: logged" in found["Bad.test_logs_an_error"]
    assert "still running at 0.05 secs" in found["Bad.test_takes_too_long"]


# -- the command that runs a script


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["libevent", "chores.py"], ["'libevent'", *choose.names()]),
        (["default", "nonesuch.py"], ["cannot run nonesuch.py", "no such file"]),
        (["epoll"], ["usage:"]),
    ],
)
def test_a_script_that_cannot_be_run_is_refused_with_a_reason(arguments: list[str], said: list[str]) -> None:
    command = [sys.executable, "-m", "ropewalk.twisted", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment())
    assert (ended.returncode, ended.stdout) == (2, "")
    assert [word for word in said if word not in ended.stderr.splitlines()[0]] == []


def test_the_command_that_runs_a_script_explains_itself() -> None:
    command = [sys.executable, "-m", "ropewalk.twisted", "--help"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment())
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("usage:")


def test_a_script_that_installs_a_reactor_itself_learns_that_it_has_one_by_the_command(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("from ropewalk.twisted import install; install('poll')")
    command = [sys.executable, "-m", "ropewalk.twisted", "select", "own.py"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment(), cwd=tmp_path)
    assert ended.returncode == 1
    assert "SelectReactor of ropewalk.twisted already, installed by python -m ropewalk.twisted select" in ended.stderr


def test_a_script_gets_its_arguments_and_ends_as_it_wants(tmp_path: Path) -> None:
    (tmp_path / "ends.py").write_text("import sys; print(sys.argv); sys.exit(3)")
    command = [sys.executable, "-m", "ropewalk.twisted", "default", "ends.py", "--", "-v"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment(), cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "['ends.py', '--', '-v']\n", "")
