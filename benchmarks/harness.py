"""Starting, pinning, measuring and stopping the processes of a benchmark (on Linux: /proc, and a core each).

Facts about the machine, and what they mean for us:
  - A shared machine drifts within seconds. So runs are short, peers take turns within a round, each round
    begins with another peer, and what is compared is the ratio within a round.
  - /proc/PID/schedstat counts nanoseconds on a processor, per thread; /proc/PID/stat counts ticks of 10 ms.
    The load generator reads the first, at the two ends of its measurement.
  - The server has one core and the load generator another: neither moves nor takes the other's time.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from benchmarks.results import Measure, Results

HERE = Path(__file__).parent
ROOT = HERE.parent
NATIVE = HERE / "native"
FLAGS = ["-O2", "-std=gnu11"]
PATIENCE = 30.0

C = "c"
BARE = "bare"
PEERS = (C, BARE, "uvloop", "asyncio", "twisted", "ropewalk")


class BenchmarkError(Exception):
    """A benchmark cannot run here; the text says why and what would help."""


class PeerError(Exception):
    """One peer cannot take part; the text is what it said last."""


@dataclass(frozen=True)
class Cores:
    """The core of the measured process and that of the load generator."""

    server: int
    load: int

    @classmethod
    def of_this_machine(cls) -> Cores:
        allowed = sorted(os.sched_getaffinity(0))
        return cls(allowed[0], allowed[-1])


@dataclass(frozen=True)
class Plan:
    """How this run was asked for: which peers, how many rounds, and whether to hurry."""

    peers: tuple[str, ...]
    rounds: int
    quick: bool
    cores: Cores = field(default_factory=Cores.of_this_machine)

    def without(self, *left_out: str) -> list[str]:
        """Return the peers but those that a benchmark does not have."""
        return [peer for peer in self.peers if peer not in left_out]

    def rounds_of(self, most: int) -> int:
        """Return the number of rounds of a case that needs no more than `most`."""
        return min(self.rounds, most)

    def turns(self, rounds: int, peers: Sequence[str]) -> Iterator[list[str]]:
        """Yield, for each round, the peers in their order of that round."""
        for turn in range(rounds if peers else 0):
            first = turn % len(peers)
            yield [*peers[first:], *peers[:first]]


def take_turns(
    results: Results,
    measures: Sequence[Measure],
    orders: Iterable[Sequence[str]],
    measure_one: Callable[[str], Mapping[str, float]],
) -> None:
    """Measure each peer once a round, in the round's order, and add to `results` what `measure_one` answers.

    `measure_one` takes a peer and returns a value for the quantity of each measure. A peer that raises
    PeerError is noted as failed and left out of the further rounds; the others go on.
    """
    results.measures.extend(measures)
    where = f"{measures[0].benchmark} {measures[0].case}".strip()
    failed: set[str] = set()
    for order in orders:
        values: dict[str, Mapping[str, float]] = {}
        for peer in order:
            if peer in failed:
                continue
            try:
                values[peer] = measure_one(peer)
            except PeerError as error:
                results.fail(where, peer, str(error))
                failed.add(peer)
        for measure in measures:
            for peer in order:
                value = values.get(peer, {}).get(measure.quantity)
                measure.rounds.setdefault(peer, []).append(value)


def compiled(source: str, *libraries: str) -> str:
    """Compile `native/SOURCE` unless that has been done; return the program's path. Raises BenchmarkError.

    libraries: those to link, as the compiler's -l takes them.
    """
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CC", ""), "cc", "gcc", "clang"))), None)
    if compiler is None:
        raise BenchmarkError(
            "no C compiler found (cc, gcc or clang; or name one in CC); on Debian: apt-get install gcc"
        )
    path = NATIVE / source
    sources = b"".join(part.read_bytes() for part in (path, *sorted(NATIVE.glob("*.h"))))
    links = [f"-l{library}" for library in libraries]
    key = hashlib.sha256(" ".join([compiler, *FLAGS, *links]).encode() + sources).hexdigest()[:12]
    program = _cache() / f"{path.stem}-{key}"
    if program.exists():
        return str(program)
    unfinished = program.with_suffix(f".{os.getpid()}")
    command = [compiler, *FLAGS, "-o", str(unfinished), source, *links]
    done = subprocess.run(command, cwd=NATIVE, capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError(f"{Path(compiler).name} cannot compile benchmarks/native/{source}: {done.stderr.strip()}")
    unfinished.rename(program)
    return str(program)


def _cache() -> Path:
    for folder in (
        ROOT / "build" / "benchmarks",
        Path(tempfile.gettempdir()) / f"ropewalk-benchmarks-{os.getuid()}",
    ):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise BenchmarkError("no folder to compile into: neither build/ nor the temporary folder can be written")


def child_command(peer: str, *workload: str) -> list[str]:
    """Return the command that runs a workload on `peer`, or on `peer@BED` in the Python of one of our testbeds.

    Raises PeerError when C cannot be compiled, or there is no such testbed.
    """
    if peer == C:
        return _native_command(*workload)
    if peer == BARE:
        return [sys.executable, "-m", "benchmarks.bare", *workload]
    name, _, bed = peer.partition("@")
    return [_python_of(bed) if bed else sys.executable, "-m", "benchmarks.child", name, *workload]


def _python_of(bed: str) -> str:
    python = ROOT / ".testbeds" / bed / "python"
    if not python.exists():
        raise PeerError(f"{python} is not there: make {bed}")
    return str(python)


def _native_command(workload: str, *arguments: str) -> list[str]:
    try:
        return [compiled({"echo": "echo_server.c", "udp": "udp_server.c"}[workload]), *arguments]
    except BenchmarkError as error:
        raise PeerError(str(error)) from None


def on_core(core: int, command: Sequence[str], errors: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
    """Start `command` pinned to `core`, with its output piped and its errors to `errors`."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
    with suppress(ProcessLookupError):  # it has ended already; whoever reads its output will see
        os.sched_setaffinity(process.pid, {core})
    return process


def output_of(core: int, command: Sequence[str]) -> str:
    """Run `command` on `core` and return what it prints. Raises PeerError with its last words."""
    process = on_core(core, command)
    try:
        output, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise PeerError(f"no answer within {PATIENCE:.0f} s") from None
    if process.returncode:
        raise PeerError(last_words(errors) or f"exit status {process.returncode}")
    return output


def answer_of(core: int, command: Sequence[str]) -> Any:
    """As output_of(), of a command that prints JSON."""
    output = output_of(core, command)
    try:
        return json.loads(output)
    except ValueError:
        raise PeerError(f"its answer is no number but {output[:80]!r}") from None


def last_words(errors: str) -> str:
    """Return the last line that says anything, without the path of this checkout."""
    lines = [line for line in errors.splitlines() if line.strip()]
    return lines[-1].strip().replace(f"{ROOT}{os.sep}", "") if lines else ""


@dataclass(frozen=True)
class Server:
    """A peer's server, running."""

    peer: str
    pid: int
    ports: tuple[int, ...]
    errors: IO[str]
    output: IO[str]

    @property
    def port(self) -> int:
        return self.ports[0]

    def last_words(self) -> str:
        self.errors.seek(0)
        return last_words(self.errors.read())


def echo_server(peer: str, core: int) -> AbstractContextManager[Server]:
    """Run the peer's TCP echo server on `core` while the block runs. Raises PeerError when it does not start."""
    return serving(peer, core, child_command(peer, "echo"))


@contextmanager
def serving(peer: str, core: int, command: Sequence[str]) -> Iterator[Server]:
    """Run a server, which prints its ports, on `core` while the block runs. Raises PeerError when it does not start."""
    with tempfile.TemporaryFile("w+") as errors:
        process = on_core(core, command, errors)
        assert process.stdout is not None
        try:
            server = Server(peer, process.pid, _announced_ports(process.stdout), errors, process.stdout)
            if not server.ports:
                raise PeerError(server.last_words() or f"it named no port within {PATIENCE:.0f} s")
            yield server
        finally:
            process.kill()
            process.communicate()


def _announced_ports(output: IO[str]) -> tuple[int, ...]:
    """Return the ports that a server prints; none when it ends, prints something else or takes too long."""
    words = line_of(output).split()
    return tuple(map(int, words)) if all(word.isdigit() for word in words) else ()


def line_of(output: IO[str]) -> str:
    """Return the next line of what a process prints; the empty string when it ends or takes too long."""
    readable, _, _ = select.select([output], [], [], PATIENCE)
    return output.readline().strip() if readable else ""


def load_on(peer: str, plan: Plan, mode: str, connections: int, size: int, seconds: float) -> Mapping[str, Any]:
    """Have the load generator work for `seconds` on a fresh server of `peer`; return what it counted.

    The server is fresh because how the heap of a process happens to lie can multiply the cost of a read
    (asyncio asks for 256 kB each time): a median over processes tells more than the luck of a single one.
    """
    with echo_server(peer, plan.cores.server) as server:
        return counted_by(compiled("load.c"), server, plan, mode, connections, size, seconds)


def counted_by(
    program: str, server: Server, plan: Plan, mode: str, connections: int, size: int, seconds: float
) -> Mapping[str, Any]:
    """Return what a load generator over TCP counts of `server` in `seconds`, after a warm-up."""
    arguments = (mode, server.port, connections, size, min(0.25, seconds / 3), seconds, server.pid)
    counted: Mapping[str, Any] = answer_beside(server, plan.cores.load, [program, *map(str, arguments)])
    return counted


def answer_beside(server: Server, core: int, command: Sequence[str]) -> Any:
    """As answer_of(), of a command that works with `server`, whose last words are told too."""
    try:
        return answer_of(core, command)
    except PeerError as error:
        raise PeerError(f"{error} {server.last_words()}".strip()) from None


def allow_descriptors(wanted: int) -> int:
    """Raise the limit of open descriptors towards `wanted`, for us and our children; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return soft
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    return reachable


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process, exactly (recent kernels update statm in batches)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise PeerError(f"/proc/{pid}/smaps_rollup has no Rss")


def cpu_seconds(pid: int) -> float:
    """Return how long the threads of a process have been on a processor."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def open_descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
