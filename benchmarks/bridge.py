"""Programs of Twisted's, on Twisted's own reactor and on ours: a TCP echo, a page of twisted.web, a crawl by Scrapy.

Here the peer `ropewalk` is Twisted with our reactor (ropewalk.twisted), not Ropewalk alone: the program, its protocols
and all that is not the reactor are Twisted's for both. wrk asks for the page over 64 connections that stay. The crawl
follows the links of a site on the other core, and lasts from the making of the spider to its end.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.engines import DEFAULT_REACTOR
from benchmarks.harness import (
    HERE,
    BenchmarkError,
    PeerError,
    Plan,
    answer_of,
    child_command,
    cpu_seconds,
    load_on,
    output_of,
    serving,
    take_turns,
)
from benchmarks.results import Measure, Results
from benchmarks.site import PAGES

NAME = "bridge"
ECHO = "TCP echo, 64 x 64 B"
PAGE = "twisted.web page, 64 connections"
CRAWL = f"Scrapy, {PAGES} pages"
CONNECTIONS = 64
SIZE = 64
CPU = "server CPU a request"
THROUGHPUT = "throughput"
WALL_TIME = "wall time"
CLASSES = {"select": "SelectReactor", "poll": "PollReactor", "epoll": "EPollReactor"}   # under the same names in both


def run(plan: Plan, results: Results) -> None:
    peers = [peer for peer in plan.peers if peer.partition("-")[0] in ("twisted", "ropewalk")]

    def case(name: str, measures: Mapping[str, str], measure_one: Callable[[str], Mapping[str, float]]) -> None:
        made = [Measure(NAME, name, quantity, unit, unit != "1/s") for quantity, unit in measures.items()]
        take_turns(results, made, plan.turns(plan.rounds, peers), measure_one)

    case(ECHO, {CPU: "us", THROUGHPUT: "1/s"}, lambda peer: _echo(plan, peer))
    with serving("twisted", plan.cores.load, child_command("twisted", "site")) as site:
        case(CRAWL, {WALL_TIME: "s", "CPU": "s"}, lambda peer: _crawl(plan, peer, site.port))
    if shutil.which("wrk") is None:
        raise BenchmarkError("the load generator wrk is missing; on Debian: apt-get install wrk")
    case(PAGE, {CPU: "us", THROUGHPUT: "1/s"}, lambda peer: _page(plan, peer))


def _engine(peer: str) -> str:
    """The engine that is Twisted with the reactor of `peer`."""
    return peer.replace("ropewalk", "bridge")


def _echo(plan: Plan, peer: str) -> Mapping[str, float]:
    counted = load_on(_engine(peer), plan, "echo", CONNECTIONS, SIZE, 0.2 if plan.quick else 1.0)
    return {
        CPU: counted["server_cpu_seconds"] / counted["completed"] * 1e6,
        THROUGHPUT: counted["completed"] / counted["seconds"],
    }


def _page(plan: Plan, peer: str) -> Mapping[str, float]:
    seconds = 1 if plan.quick else 2   # wrk takes whole ones
    with serving(peer, plan.cores.server, child_command(_engine(peer), "site")) as server:
        url = f"http://127.0.0.1:{server.port}/"
        before = cpu_seconds(server.pid)
        said = output_of(plan.cores.load, ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url])
        used = cpu_seconds(server.pid) - before
    counted = re.search(r"(\d+) requests in ([\d.]+)s", said)
    if counted is None or "Non-2xx" in said or "Socket errors" in said:
        raise PeerError(f"wrk says: {' '.join(said.split())}")
    return {CPU: used / int(counted[1]) * 1e6, THROUGHPUT: int(counted[1]) / float(counted[2])}


def _crawl(plan: Plan, peer: str, port: int) -> Mapping[str, float]:
    family, _, variant = peer.partition("-")
    name = variant or DEFAULT_REACTOR
    scrapy = str(Path(sys.executable).with_name("scrapy"))
    if family == "twisted":
        command, reactor = [sys.executable, scrapy], f"twisted.internet.{name}reactor.{CLASSES[name]}"
    else:
        command, reactor = [sys.executable, "-m", "ropewalk.twisted", name, scrapy], f"ropewalk.twisted.{CLASSES[name]}"
    spider = ["runspider", str(HERE / "spider.py"), "-a", f"start=http://127.0.0.1:{port}/0"]
    counted = answer_of(plan.cores.server, [*command, *spider, "-s", f"TWISTED_REACTOR={reactor}"])
    if counted["pages"] != PAGES:
        raise PeerError(f"it crawled {counted['pages']} of {PAGES} pages")
    return {WALL_TIME: counted["seconds"], "CPU": counted["cpu_seconds"]}
