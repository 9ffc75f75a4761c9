"""The plot of a run: echo's CPU and throughput relative to C and uvloop, and every other benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot, rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchmarks import bridge, churn, echo, files, imports, memory, threads, timers, tls, udp
from benchmarks.harness import BARE, C, Plan
from benchmarks.report import ABSENT, TIMES, UNITS, label
from benchmarks.results import Measure, Results

COLOURS = {
    C: "#8c8c8c",
    BARE: "#c4c4c4",
    "uvloop": "#4c78a8",
    "asyncio": "#72b7b2",
    "twisted": "#e0a030",
    "ropewalk": "#c8323c",
}
MORE_COLOURS = ("#8e4585", "#5b8c3a", "#b07050", "#30508c")
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
}
SMALL = (
    (churn.NAME, churn.CPU, churn.CASE, "Churn: CPU a connection"),
    (tls.NAME, tls.CPU, tls.ECHOES[0].name, "TLS echo, 64 connections, 64 B: CPU a message"),
    (tls.NAME, tls.CPU, tls.ECHOES[1].name, "TLS echo, 16 connections, 64 kB: CPU a message"),
    (tls.NAME, tls.CPU, tls.HANDSHAKE.name, "TLS: CPU a handshake"),
    (udp.NAME, udp.CPU, udp.case_name(udp.MANY, 64), "UDP echo, 64 sockets, 64 B: CPU a datagram"),
    (files.NAME, files.THROUGHPUT, "", "Sending a file of 1 GB: throughput"),
    (timers.NAME, timers.CPU, timers.FIRE, "Timer, scheduled and fired: CPU"),
    (timers.NAME, timers.CPU, timers.CANCEL, "Timer, scheduled and cancelled: CPU"),
    (threads.NAME, threads.MEDIAN, threads.CASE, "Call from a thread: median latency"),
    (threads.NAME, threads.MEDIAN, threads.CROSS, "Call from a thread on another core: median latency"),
    (bridge.NAME, bridge.CPU, bridge.ECHO, "Inside Twisted: CPU of an echo"),
    (bridge.NAME, bridge.CPU, bridge.PAGE, "Inside Twisted: CPU of a web page"),
    (bridge.NAME, bridge.WALL_TIME, bridge.CRAWL, f"Inside Twisted: {bridge.CRAWL}"),
    (memory.NAME, memory.MEMORY, "", "Memory of an idle connection"),
    (imports.NAME, imports.TIME, imports.CASE, "Import time"),
)
TALLEST = 6.0


def draw(plan: Plan, results: Results, path: Path) -> None:
    """Write the plot of `results` as a PNG to `path`."""
    rcParams.update(STYLE)
    figure = pyplot.figure(figsize=(14, 23.5), layout="constrained")
    grid = figure.add_gridspec(7, 3, height_ratios=[1.5, 1.5, 1, 1, 1, 1, 1])
    colours = _colours(plan.peers)
    _draw_echo(figure.add_subplot(grid[0, :]), plan, results.cases(echo.NAME, echo.CPU), C, colours)
    _draw_echo(figure.add_subplot(grid[1, :]), plan, results.cases(echo.NAME, echo.THROUGHPUT), "uvloop", colours)
    for place, (benchmark, quantity, case, title) in enumerate(SMALL):
        measures = [m for m in results.cases(benchmark, quantity) if case in m.case]
        _draw_small(figure.add_subplot(grid[2 + place // 3, place % 3]), plan, measures, title, colours)
    _draw_legend(figure, plan.peers, colours)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _colours(peers: Sequence[str]) -> dict[str, str]:
    more = iter(MORE_COLOURS * len(peers))
    return {peer: COLOURS.get(peer) or next(more) for peer in peers}


def _draw_legend(figure: Figure, peers: Sequence[str], colours: dict[str, str]) -> None:
    handles = [Patch(color=colours[peer]) for peer in peers]
    figure.legend(handles, [label(peer) for peer in peers], loc="outside upper center", ncols=len(peers), frameon=False)


def _draw_echo(axes: Axes, plan: Plan, measures: Sequence[Measure], base: str, colours: dict[str, str]) -> None:
    """Draw a group of bars a case, each peer's ratio to `base`. A bar that is too tall is cut at TALLEST."""
    peers = [peer for peer in plan.peers if any(measure.of(peer) is not None for measure in measures)]
    if not peers:
        _draw_nothing(axes, "Echo")
        return
    what, better = measures[0].quantity, "lower" if measures[0].less_is_better else "higher"
    axes.set_title(f"Echo: {what}, relative to {label(base)} ({better} is better)")
    width = 0.84 / len(peers)
    for place, peer in enumerate(peers):
        for group, measure in enumerate(measures):
            ratio = 1.0 if peer == base and measure.of(base) is not None else measure.ratio(peer, base)
            if ratio is None:
                continue
            left = group - 0.42 + width * (place + 0.5)
            axes.bar(left, min(ratio, TALLEST), width * 0.92, color=colours[peer])
            axes.annotate(
                f"{ratio:.2f}" if ratio < 9.95 else f"{ratio:.0f}",
                (left, min(ratio, TALLEST)),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=8 if len(peers) <= 5 else 6,
            )
    axes.axhline(1.0, color="#404040", linewidth=0.8, linestyle="--")
    axes.set_xticks(range(len(measures)), [measure.case.replace(" x ", f" {TIMES} ") for measure in measures])
    axes.set_xlabel(f"connections {TIMES} size of a message")
    axes.grid(axis="x", visible=False)
    axes.margins(x=0.01, y=0.08)


def _draw_small(axes: Axes, plan: Plan, measures: Sequence[Measure], title: str, colours: dict[str, str]) -> None:
    """Draw one benchmark of one case as a bar a peer, with its value."""
    if not measures:
        _draw_nothing(axes, title)
        return
    measure = measures[0]
    peers = [peer for peer in reversed(plan.peers) if peer in measure.rounds]
    values = [measure.of(peer) for peer in peers]
    bars = axes.barh([label(peer) for peer in peers], [value or 0.0 for value in values], height=0.7)
    for bar, peer in zip(bars, peers, strict=True):
        bar.set_color(colours[peer])
    axes.bar_label(bars, [ABSENT if v is None else f"{v:,.0f}" if v >= 100 else f"{v:.3g}" for v in values], padding=4)
    axes.set_title(f"{title}, {UNITS.get(measure.unit, measure.unit)}", fontsize=11)
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.16)


def _draw_nothing(axes: Axes, title: str) -> None:
    axes.set_title(title)
    axes.set_axis_off()
    axes.text(0.5, 0.5, "not measured", ha="center", va="center", color="#808080", transform=axes.transAxes)
