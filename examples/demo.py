"""Real files through a real port forwarder, on every reactor of this machine; `make demo` runs it.

A folder is served by Python's own HTTP server. For each reactor, `ropewalk -r NAME forward` listens in a process of
its own and forwards to that server. Python's own HTTP client fetches files of 1 kB to 100 MB through it, as often as
the time allows and each at least once, and checks the digest of every one. Needs Python and the package; exits 1 if
anything arrived wrong. The toolkits' reactors take part where they can start, on a display of the demo's own (Xvfb)
where there is none.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import http.server
import itertools
import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

try:
    import resource
except ImportError:   # Windows: the CPU column stays empty
    resource = None   # type: ignore[assignment]

SMALL = {"1-kB": 1_000, "10-kB": 10_000, "100-kB": 100_000}
LARGE = {"1-MB": 1_000_000, "10-MB": 10_000_000, "100-MB": 100_000_000}
SECONDS = 24.0    # for all measurements together
LONGEST = 3.0     # seconds, for one
CONNECTIONS = 4   # at a time, for small files; one for large files
PATIENCE = 30.0   # seconds without a byte, then the demo fails
ROPEWALK = [sys.executable, "-m", "ropewalk"]
LOCAL = "tcp:0:interface=127.0.0.1"


class DemoFailed(Exception):
    """The demo cannot go on, or a file arrived wrong."""


@dataclass
class Fetched:
    """What was fetched; seconds: from the first request to the last byte, the checks of large files not counted."""

    requests: int
    size: int
    seconds: float


# -- the files and their server


def make_files(folder: Path) -> dict[str, str]:
    """Write the files into `folder`, the same ones every time; their digests by name."""
    digests = {}
    for name, size in (SMALL | LARGE).items():
        content = random.Random(size).randbytes(size)
        (folder / name).write_bytes(content)
        digests[name] = hashlib.sha256(content).hexdigest()
    return digests


class Handler(http.server.SimpleHTTPRequestHandler):
    """Python's file server, keeping connections open, and sending head and body of a small file in one piece."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536

    def log_message(self, format: str, *args: Any) -> None:
        """The demo prints one table and nothing else."""


def serve(folder: Path, port: Any) -> None:
    """Serve `folder` until killed; send the number of the port to the pipe `port`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    port.send(server.server_port)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


@contextlib.contextmanager
def file_server(folder: Path) -> Iterator[int]:
    """The port of a process that serves `folder`."""
    processes = multiprocessing.get_context("spawn")
    here, there = processes.Pipe()
    process = processes.Process(target=serve, args=(folder, there), daemon=True)
    process.start()
    try:
        if not here.poll(PATIENCE):
            raise DemoFailed("Python's HTTP server did not start")
        yield here.recv()
    finally:
        process.terminate()
        process.join()


# -- the forwarder


def reactors() -> list[str]:
    """The lines of `ropewalk --help-reactors`: its head, and one for each reactor, which begins with its name."""
    listed = subprocess.run([*ROPEWALK, "--help-reactors"], capture_output=True, text=True, timeout=PATIENCE)
    if listed.returncode:
        raise DemoFailed(listed.stderr.strip())
    return listed.stdout.splitlines()


def why_not(name: str) -> str | None:
    """Why the reactor `name` does not start here; None if it does. It may be a window system that is missing."""
    command = [*ROPEWALK, "-r", name, "--check", "echo", LOCAL]
    started = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    lines = started.stderr.strip().splitlines() or [f"it ended with exit code {started.returncode}"]
    return lines[-1].rpartition("Error: ")[2] if started.returncode else None


@contextlib.contextmanager
def forwarder(name: str, destination: int) -> Iterator[int]:
    """The port of a process that forwards to the port `destination`, on the reactor `name`."""
    command = [*ROPEWALK, "-r", name, "forward"]
    endpoints = [LOCAL, f"tcp:127.0.0.1:{destination}"]
    with subprocess.Popen(command + endpoints, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("listening on "):
                raise DemoFailed(f"{' '.join(command)} did not start; what it said is above")
            yield int(line.rpartition(":")[2])
        finally:
            process.terminate()


def cpu_of_ended_children() -> float:
    """The seconds of CPU of the child processes that have ended so far."""
    if resource is None:
        return 0.0
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


# -- the client


def fetch(connection: http.client.HTTPConnection, name: str, room: memoryview) -> int:
    """Fetch the file `name` into `room`; how many bytes came."""
    connection.request("GET", f"/{name}")
    response = connection.getresponse()
    if response.status != 200:
        raise DemoFailed(f"GET /{name} was answered by {response.status} {response.reason}")
    size = 0
    while got := response.readinto(room[size:]):
        size += got
    return size


def check(name: str, content: memoryview, digests: dict[str, str]) -> None:
    """Fail unless `content` is that of the file `name`."""
    if hashlib.sha256(content).hexdigest() != digests[name]:
        raise DemoFailed(f"{name} arrived wrong: {len(content)} bytes with another digest")


def fetch_for(seconds: float, port: int, files: dict[str, int], digests: dict[str, str]) -> Fetched:
    """Fetch `files` over one connection, in turn, for so many seconds, each at least once."""
    fetched = Fetched(0, 0, 0.0)
    room = memoryview(bytearray(max(files.values()) + 1))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    for name in itertools.cycle(files):
        if fetched.requests >= len(files) and fetched.seconds >= seconds:
            break
        start = time.perf_counter()
        size = fetch(connection, name, room)
        fetched.seconds += time.perf_counter() - start
        fetched.requests += 1
        fetched.size += size
        check(name, room[:size], digests)
    connection.close()
    return fetched


def fetch_small(seconds: float, port: int, digests: dict[str, str]) -> Fetched:
    """Fetch the small files over several connections at a time."""
    start = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        parts = list(threads.map(lambda _: fetch_for(seconds, port, SMALL, digests), range(CONNECTIONS)))
    requests, size = sum(part.requests for part in parts), sum(part.size for part in parts)
    return Fetched(requests, size, time.perf_counter() - start)


# -- the table


@dataclass
class Row:
    """One line of the table. cpu: seconds of the forwarder a request, None where nothing forwards or tells."""

    name: str
    small: Fetched
    large: Fetched
    cpu: float | None

    def cells(self) -> list[str]:
        cpu = "-" if self.cpu is None else f"{self.cpu * 1e6:.0f} us"
        rate = self.large.size / self.large.seconds / 1e6
        return [self.name, f"{self.small.requests / self.small.seconds:,.0f}", f"{rate:,.0f}", cpu]


def measure(name: str, web: int, seconds: float, digests: dict[str, str]) -> Row:
    """The row of the reactor `name`, in three runs: idle, for the CPU that starting takes; small files; large files."""
    before = cpu_of_ended_children()
    with forwarder(name, web):
        pass
    idle = cpu_of_ended_children()
    with forwarder(name, web) as port:
        small = fetch_small(seconds, port, digests)
    busy = cpu_of_ended_children()
    with forwarder(name, web) as port:
        large = fetch_for(seconds, port, LARGE, digests)
    cpu = None if resource is None else ((busy - idle) - (idle - before)) / small.requests
    return Row(name, small, large, cpu)


def measure_direct(web: int, seconds: float, digests: dict[str, str]) -> Row:
    """What the HTTP server and the client reach without a forwarder between them."""
    return Row("(direct)", fetch_small(seconds, web, digests), fetch_for(seconds, web, LARGE, digests), None)


def print_row(cells: list[str]) -> None:
    print("{:<12}{:>12}{:>10}{:>15}".format(*cells), flush=True)


def run(names: list[str]) -> int:
    """Print the table; how many files were fetched."""
    seconds = min(LONGEST, SECONDS / (2 * len(names) + 2))
    with tempfile.TemporaryDirectory(prefix="ropewalk-demo-") as folder:
        digests = make_files(Path(folder))
        with file_server(Path(folder)) as web:
            print_row(["reactor", "requests/s", "MB/s", "CPU/request"])
            rows = []
            for name in ["", *names]:
                rows.append(measure(name, web, seconds, digests) if name else measure_direct(web, seconds, digests))
                print_row(rows[-1].cells())
    return sum(row.small.requests + row.large.requests for row in rows)


def main() -> None:
    try:
        from ropewalk.testing.display import any_display, missing
    except ModuleNotFoundError as error:
        sys.exit(f"the demo needs {error.name}: run it by `make demo`, which installs the package")
    print(f"Files through a forwarder: {', '.join(SMALL)} over {CONNECTIONS} connections (requests/s, CPU of the")
    print(f"forwarder), then {', '.join(LARGE)} over one (MB/s); (direct) is without a forwarder.\n")
    try:
        with contextlib.nullcontext() if missing() else any_display():
            head, *lines = reactors()
            print("\n".join(["$ ropewalk --help-reactors", head, *lines]), end="\n\n", flush=True)
            here = [line.split()[0] for line in lines if ": " not in line[head.index("HERE"):]]
            reasons = {name: why_not(name) for name in here}
            total = run([name for name, reason in reasons.items() if reason is None])
    except (DemoFailed, OSError, http.client.HTTPException) as error:
        sys.exit(f"\nthe demo failed: {type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit("\nthe demo was interrupted")
    print(f"\nAll {total:,} files arrived with the right digest.")
    for name, reason in reasons.items():
        if reason is not None:
            print(f"{name} does not start here: {reason}")


if __name__ == "__main__":
    main()
