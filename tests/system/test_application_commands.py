"""The commands `ropewalk socks` and `ropewalk procmon`, as child processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from runner_children import (
    LOCAL,
    PATIENCE,
    ROPEWALK,
    STOPPED,
    environment,
    eventually,
    is_alive,
    one_line,
    run,
    running,
)

with_signals = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="on Windows a process that is told to end cannot end its programs before"
)
GRANTED, REFUSED = b"\0\x5a", b"\0\x5b"


def asked(port: int, destination: int) -> bytes:
    """The first two bytes of what a SOCKS server answers a client who wants `destination` of this machine."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(struct.pack("!BBH4s", 4, 1, destination, socket.inet_aton("127.0.0.1")) + b"\0")
        return client.recv(2, socket.MSG_WAITALL)


def test_socks_connects_to_this_machine_only_if_it_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as destination:
        number = destination.getsockname()[1]
        with running("socks", LOCAL) as server:
            assert asked(server.port, number) == REFUSED
        with running("socks", LOCAL, "--allow", "127.0.0.0/8") as server:
            assert asked(server.port, number) == GRANTED


def test_socks_refuses_what_it_is_told_to_refuse() -> None:
    with socket.create_server(("127.0.0.1", 0)) as destination:
        number = destination.getsockname()[1]
        with running("socks", LOCAL, "--refuse", "0.0.0.0/0", "--allow", "192.0.2.0/24") as server:
            assert asked(server.port, number) == REFUSED
            assert server.end()[0] == STOPPED


@pytest.mark.parametrize("arguments", [["--refuse", "localhost"], ["--refuse-port", "70000"], ["--allow", "1.2.3.4/8"]])
def test_a_rule_that_is_wrong_is_said_in_a_line(arguments: list[str]) -> None:
    ended = run("socks", LOCAL, *arguments)
    assert ended.returncode == 64
    assert arguments[1] in one_line(ended.stderr)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("proxy", ["socks4", "socks4a", "socks5", "socks5h"])
def test_curl_gets_a_page_by_socks(proxy: str, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("the page")
    site = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    with subprocess.Popen(site, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as web:
        try:
            assert web.stdout is not None
            number = web.stdout.readline().split(" port ")[1].split()[0]
            with running("socks", LOCAL, "--allow", "127.0.0.1") as server:
                proxied = ["--proxy", f"{proxy}://127.0.0.1:{server.port}", f"http://127.0.0.1:{number}/page"]
                got = subprocess.run(["curl", "-sS", *proxied], capture_output=True, text=True, timeout=PATIENCE)
            assert (got.stdout, got.stderr) == ("the page", "")
        finally:
            web.kill()


@with_signals
def test_procmon_starts_a_program_again_and_leaves_none_behind(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers"
    program = ["sh", "-c", f"echo $$ >> {numbers}; exec sleep 1000"]
    command = [*ROPEWALK, "-v", "procmon", "-m", "0.01", *program]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as process:
        try:
            eventually(lambda: numbers.exists() and numbers.read_text().endswith("\n"))
            os.kill(int(numbers.read_text()), signal.SIGKILL)
            eventually(lambda: numbers.read_text().count("\n") == 2)
            second = int(numbers.read_text().split()[1])
            assert is_alive(second)
            process.terminate()
            _, log = process.communicate(timeout=PATIENCE)
            assert process.returncode == -signal.SIGTERM
            assert not is_alive(second)
            assert "is started again in 0.01 seconds" in log
        finally:
            process.kill()


@with_signals
def test_procmon_logs_what_the_program_writes() -> None:
    program = ["sh", "-c", "echo out; echo err >&2; printf unended; kill $PPID"]
    command = [*ROPEWALK, "-v", "procmon", *program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment())
    assert ended.returncode == -signal.SIGTERM
    for line in ("] out\n", "] err\n", "] unended\n"):
        assert line in ended.stderr


def test_procmon_needs_a_program_and_delays_that_fit() -> None:
    assert "program" in one_line(run("procmon").stderr).lower()
    ended = run("procmon", "-m", "5", "-M", "1", "true")
    assert ended.returncode == 64
    assert "longer than" in one_line(ended.stderr)
