"""What runs in a peer's own process: `python -m benchmarks.child PEER WORKLOAD [ARGUMENT ...]`; prints one line.

echo            prints the port it serves, and serves until it is killed
tls CERTIFICATE prints the port it serves over TLS, and serves until it is killed; the file has the key, too
udp SOCKETS     prints the ports it serves, and serves until it is killed
site            prints the port where it serves benchmarks.site by twisted.web, and serves until it is killed
files PORT PATH ...
                sends the files, one after another, to PORT; prints for each the CPU seconds, and the bytes by which
                its peak of memory has grown since the first began, as JSON
fire COUNT      schedules COUNT timers in one callback, due at random within 50 ms; prints CPU ns a timer
cancel COUNT    schedules COUNT timers of 10 to 60 s, cancels each a turn later; prints CPU ns a timer
post COUNT      posts COUNT calls from a thread to the sleeping loop; prints the latencies in ns, as JSON;
                the two run where the system puts them
cross COUNT     the same from another core
spawn COUNT     starts COUNT children, one after another; prints the CPU us of each, its own and ours
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.engines import BACKLOG, Engine, make_engine

FIRE_WITHIN = 0.050
CANCELLED_AFTER = (10.0, 60.0)
CANCEL_A_TURN = 1000
PAUSE = 0.0003
PROGRAM = "/bin/true"


def serve_echo(engine: Engine) -> None:
    engine.echo(lambda port: print(port, flush=True))


def serve_tls_echo(engine: Engine, certificate: str) -> None:
    engine.tls_echo(certificate, lambda port: print(port, flush=True))


def serve_udp_echo(engine: Engine, sockets: int) -> None:
    engine.udp_echo(sockets, lambda ports: print(*ports, flush=True))


def serve_site(engine: Engine) -> None:
    from benchmarks import site

    engine.run(lambda: print(site.listen(BACKLOG), flush=True))


def send_files(send_file: Callable[[str, int], None], port: int, paths: Sequence[str]) -> list[dict[str, float]]:
    """Return what sending each file cost: CPU seconds, and by how much memory's peak has grown by then, in bytes."""
    before = peak_of_memory()
    costs = []
    for path in paths:
        began = time.process_time()
        send_file(path, port)
        costs.append({"cpu_seconds": time.process_time() - began, "grown": peak_of_memory() - before})
    return costs


def peak_of_memory() -> int:
    """Return the most bytes of memory that this process has had resident (VmHWM in proc(5))."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")


def fire_ns(engine: Engine, count: int) -> float:
    """Return the CPU nanoseconds that scheduling a timer and running its function cost."""
    choose = random.Random(1).random
    delays = [choose() * FIRE_WITHIN for _ in range(count)]
    call_later, stop = engine.call_later, engine.stop
    left = count

    def fired() -> None:
        nonlocal left
        left -= 1
        if not left:
            stop()

    def schedule_all() -> None:
        for delay in delays:
            call_later(delay, fired)

    began = time.process_time_ns()
    engine.run(schedule_all)
    return (time.process_time_ns() - began) / count


def cancel_ns(engine: Engine, count: int) -> float:
    """Return the CPU nanoseconds that scheduling a timer and cancelling it cost.

    A timer lives for one turn of the loop, as a timeout does that guards a request: so each engine also
    pays for getting rid of what was cancelled.
    """
    choose = random.Random(2).uniform
    turns = [[choose(*CANCELLED_AFTER) for _ in range(CANCEL_A_TURN)] for _ in range(count // CANCEL_A_TURN)]
    call_later, stop = engine.call_later, engine.stop
    pending: list[Any] = []

    def never() -> None:
        raise AssertionError("a cancelled timer fired")

    def turn() -> None:
        nonlocal pending
        for call in pending:
            call.cancel()
        if not turns:
            stop()
            return
        pending = [call_later(delay, never) for delay in turns.pop()]
        call_later(0, turn)

    began = time.process_time_ns()
    engine.run(turn)
    return (time.process_time_ns() - began) / count


def post_latencies_ns(engine: Engine, count: int) -> list[int]:
    """As _latencies_ns, with the thread and the loop where the system puts them, as in any program."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    return _latencies_ns(engine, count, lambda: None)


def cross_latencies_ns(engine: Engine, count: int) -> list[int]:
    """As _latencies_ns, with a core each where there are two: the loop keeps the one it was pinned to.

    Waking a core that sleeps is most of it then, and that is the kernel's.
    """
    return _latencies_ns(engine, count, _move_to_another_core)


def _latencies_ns(engine: Engine, count: int, place: Callable[[], None]) -> list[int]:
    """Return, for each call posted from a thread, the nanoseconds until the sleeping loop ran it."""
    latencies: list[int] = []
    answered = threading.Semaphore(0)
    clock, post = time.perf_counter_ns, engine.post

    def answer(posted: int) -> None:
        latencies.append(clock() - posted)
        answered.release()

    def post_all() -> None:
        place()
        for _ in range(count):
            time.sleep(PAUSE)
            post(answer, clock())
            answered.acquire()
        post(engine.stop)

    engine.run(threading.Thread(target=post_all).start)
    return latencies


def _move_to_another_core() -> None:
    others = set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0)
    with contextlib.suppress(OSError):  # there is only one core, or only one that we may use
        os.sched_setaffinity(0, others)


def spawn_us(engine: Engine, count: int) -> float:
    """Return the CPU microseconds, ours and the child's, from starting a child to knowing its end and its pipes'."""
    left = count
    spawn, stop = engine.spawn, engine.stop

    def next_one() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            stop()
        else:
            spawn(PROGRAM, next_one)

    began = _cpu_seconds()
    engine.run(next_one)
    return (_cpu_seconds() - began) / count * 1e6


def _cpu_seconds() -> float:
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


WORKLOADS: dict[str, Callable[[Engine, int], object]] = {
    "fire": fire_ns,
    "cancel": cancel_ns,
    "post": post_latencies_ns,
    "cross": cross_latencies_ns,
    "spawn": spawn_us,
}


def main() -> None:
    engine = make_engine(sys.argv[1])
    workload, *arguments = sys.argv[2:]
    if workload == "echo":
        serve_echo(engine)
    elif workload == "tls":
        serve_tls_echo(engine, arguments[0])
    elif workload == "udp":
        serve_udp_echo(engine, int(arguments[0]))
    elif workload == "site":
        serve_site(engine)
    elif workload == "files":
        print(json.dumps(send_files(engine.send_file, int(arguments[0]), arguments[1:])))
    else:
        print(json.dumps(WORKLOADS[workload](engine, int(arguments[0]))))


if __name__ == "__main__":
    main()
