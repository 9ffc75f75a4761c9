"""Memory of an idle connection: how much the server's resident memory grows by 9,000 of them.

What the kernel keeps for a socket is not in it; it is the same for every peer.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping

from benchmarks.harness import (
    BARE,
    PeerError,
    Plan,
    Server,
    allow_descriptors,
    echo_server,
    open_descriptors,
    resident_bytes,
    take_turns,
)
from benchmarks.results import Measure, Results

NAME = "memory"
MEMORY = "memory a connection"
CONNECTIONS = 9000
SPARE_DESCRIPTORS = 100
FIRST = 50
AT_ONCE = 250
PATIENCE = 20.0


def run(plan: Plan, results: Results) -> None:
    count = 1000 if plan.quick else CONNECTIONS
    limit = allow_descriptors(count + SPARE_DESCRIPTORS)
    if limit < count + SPARE_DESCRIPTORS:
        count = limit - SPARE_DESCRIPTORS
        results.notes.append(
            f"memory: {count} connections, because a process may have only {limit} open files (ulimit -Hn)"
        )

    def measure_one(peer: str) -> Mapping[str, float]:
        with echo_server(peer, plan.cores.server) as server:
            try:
                return {MEMORY: growth(server, count) / count}
            except OSError as error:
                raise PeerError(f"{error} {server.last_words()}".strip()) from None

    measures = [Measure(NAME, f"{count:,} idle", MEMORY, "B")]
    take_turns(results, measures, plan.turns(plan.rounds_of(3), plan.without(BARE)), measure_one)


def growth(server: Server, count: int) -> int:
    """Return by how many bytes `count` idle connections make the server grow, once it has served a few."""
    fewest = open_descriptors(server.pid)
    for first in connect(server, FIRST, fewest):
        first.close()
    await_descriptors(server, fewest)
    before = resident_bytes(server.pid)
    held = connect(server, count, fewest)
    try:
        return resident_bytes(server.pid) - before
    finally:
        for connection in held:
            connection.close()


def connect(server: Server, count: int, before: int) -> list[socket.socket]:
    """Open `count` connections, no more at once than the backlog holds; return when all are accepted."""
    held: list[socket.socket] = []
    while len(held) < count:
        portion = min(AT_ONCE, count - len(held))
        held.extend(socket.create_connection(("127.0.0.1", server.port)) for _ in range(portion))
        await_descriptors(server, before + len(held))
    return held


def await_descriptors(server: Server, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while open_descriptors(server.pid) != count:
        if time.monotonic() > deadline:
            has = open_descriptors(server.pid)
            words = server.last_words()
            raise PeerError(f"has {has} descriptors, not {count}, after {PATIENCE:.0f} s {words}".strip())
        time.sleep(0.005)
