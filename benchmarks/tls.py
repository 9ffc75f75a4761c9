"""TLS: echo by number of connections and size of message, and full handshakes.

All serve one certificate (ECDSA, P-256), and the client leaves no choice: TLS 1.3, one cipher, one group, no
resumption. A handshake is a new connection with one message of 64 B and its echo, ended in order. It costs a client
more than a server: so by the clock a server is as fast as the load generator (`load generator busy` in the JSON tells),
and its CPU says how many it could do.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import (
    BARE,
    BenchmarkError,
    C,
    Plan,
    child_command,
    compiled,
    counted_by,
    last_words,
    serving,
    take_turns,
)
from benchmarks.results import Measure, Results

NAME = "tls"
CPU = "server CPU a request"
THROUGHPUT = "throughput"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Case:
    """What the load generator does: its mode, the number of connections, and the size of a message in bytes."""

    name: str
    mode: str
    connections: int
    size: int


ECHOES = (Case("64 x 64 B", "echo", 64, 64), Case("16 x 64 kB", "echo", 16, 65536))
HANDSHAKE = Case("handshake, 64 at a time", "handshake", 64, 64)


def run(plan: Plan, results: Results) -> None:
    generator = _generator()
    with _certificate() as certificate:
        for case in (*ECHOES, HANDSHAKE):
            _run_case(plan, results, generator, certificate, case)


def _run_case(plan: Plan, results: Results, generator: str, certificate: str, case: Case) -> None:
    seconds = 0.2 if plan.quick else 1.0
    measures = [
        Measure(NAME, case.name, CPU, "us"),
        Measure(NAME, case.name, THROUGHPUT, "1/s", less_is_better=False),
        Measure(NAME, case.name, "latency, median", "us", detail=True),
        Measure(NAME, case.name, "latency, p99", "us"),
        Measure(NAME, case.name, "server busy", "of a core", detail=True),
        Measure(NAME, case.name, "load generator busy", "of a core", detail=True),
    ]

    def measure_one(peer: str) -> Mapping[str, float]:
        with serving(peer, plan.cores.server, child_command(peer, "tls", certificate)) as server:
            counted = counted_by(generator, server, plan, case.mode, case.connections, case.size, seconds)
        return {
            CPU: counted["server_cpu_seconds"] / counted["completed"] * 1e6,
            THROUGHPUT: counted["completed"] / counted["seconds"],
            "latency, median": counted["latency_us"]["p50"],
            "latency, p99": counted["latency_us"]["p99"],
            "server busy": counted["server_cpu_seconds"] / counted["seconds"],
            "load generator busy": counted["load_cpu_seconds"] / counted["seconds"],
        }

    take_turns(results, measures, plan.turns(plan.rounds, plan.without(C, BARE)), measure_one)


def _generator() -> str:
    try:
        return compiled("tls_load.c", "ssl", "crypto")
    except BenchmarkError as error:
        if "openssl/" not in str(error):
            raise
        raise BenchmarkError("OpenSSL's headers are missing; on Debian: apt-get install libssl-dev") from None


@contextmanager
def _certificate() -> Iterator[str]:
    """Keep a certificate with its key in a file while the block runs; return the path. Raises BenchmarkError."""
    if shutil.which("openssl") is None:
        raise BenchmarkError("openssl, which makes the certificate, is missing; on Debian: apt-get install openssl")
    with tempfile.TemporaryDirectory(prefix="ropewalk-benchmark-") as folder:
        path = str(Path(folder) / "server.pem")
        what = ("-x509", *KEY, "-subj", "/CN=localhost", "-days", "2", "-keyout", path, "-out", path)
        done = subprocess.run(["openssl", "req", *what], capture_output=True, text=True)
        if done.returncode:
            raise BenchmarkError(f"openssl makes no certificate: {last_words(done.stderr)}")
        yield path
