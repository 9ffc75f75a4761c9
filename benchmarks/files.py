"""Sending a file: throughput, the sender's CPU, and whether its memory grows with the file.

Each sender sends a file of 100 MB, every byte of which the receiver compares, and then one of 1 GB, which counts.
Both lie in memory (tmpfs, else the page cache). Ropewalk and Twisted send by their FileSender, asyncio and uvloop by
loop.sendfile, bare Python by os.sendfile in a loop.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness import (
    BenchmarkError,
    C,
    PeerError,
    Plan,
    Server,
    answer_beside,
    child_command,
    compiled,
    line_of,
    serving,
    take_turns,
)
from benchmarks.results import Measure, Results

NAME = "file"
CASE = "of 1 GB"
QUICK_CASE = "of 200 MB"
THROUGHPUT = "throughput"
CPU = "sender CPU a GB"
GROWTH = "memory, more than for 100 MB"
SMALL = 100_000_000
LARGE = 1_000_000_000
QUICK_LARGE = 200_000_000
BLOCK = 1_000_003


def run(plan: Plan, results: Results) -> None:
    size = QUICK_LARGE if plan.quick else LARGE
    case = QUICK_CASE if plan.quick else CASE
    measures = [
        Measure(NAME, case, THROUGHPUT, "GB/s", less_is_better=False),
        Measure(NAME, case, CPU, "s"),
        Measure(NAME, case, GROWTH, "MB"),
        Measure(NAME, case, "memory grown by 100 MB", "MB", detail=True),
        Measure(NAME, case, "time", "s", detail=True),
    ]
    peers = plan.without(C)
    with _files(SMALL, size) as paths:

        def measure_one(peer: str) -> Mapping[str, float]:
            with serving(peer, plan.cores.load, [compiled("discard.c"), paths[0], "2"]) as receiver:
                command = child_command(peer, "files", str(receiver.port), *paths)
                small, large = answer_beside(receiver, plan.cores.server, command)
                seconds = _seconds_of_last(receiver, SMALL, size)
            return {
                THROUGHPUT: size / seconds / 1e9,
                CPU: large["cpu_seconds"] / (size / 1e9),
                GROWTH: (large["grown"] - small["grown"]) / 1e6,
                "memory grown by 100 MB": small["grown"] / 1e6,
                "time": seconds,
            }

        take_turns(results, measures, plan.turns(plan.rounds_of(3), peers), measure_one)


def _seconds_of_last(receiver: Server, *sizes: int) -> float:
    """Return the seconds in which the last file came. Raises PeerError unless files of `sizes` bytes have come."""
    words = line_of(receiver.output).split()
    if not words:
        raise PeerError(receiver.last_words() or "the receiver says nothing")
    arrived = tuple(map(int, words[::2]))
    if arrived != sizes:
        raise PeerError(f"files of {arrived} bytes arrived, not of {sizes}")
    return float(words[-1])


@contextmanager
def _files(*sizes: int) -> Iterator[list[str]]:
    """Keep files of `sizes` bytes in memory while the block runs; return their paths."""
    with tempfile.TemporaryDirectory(prefix="ropewalk-benchmark-", dir=_folder(sum(sizes))) as folder:
        yield [_file(Path(folder) / str(size), size) for size in sizes]


def _folder(size: int) -> str:
    """Return a folder with room for `size` bytes, in tmpfs if there is one."""
    for folder in ("/dev/shm", tempfile.gettempdir()):
        if os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > size * 1.2:
            return folder
    raise BenchmarkError(f"no room for files of {size / 1e9:.1f} GB: neither in /dev/shm nor in the temporary folder")


def _file(path: Path, size: int) -> str:
    """Write `size` bytes that repeat in no power of two, so that a piece at the wrong place is seen."""
    block = os.urandom(BLOCK)
    with path.open("wb") as file:
        left = size
        while left:
            left -= file.write(block[:left])
    return str(path)
