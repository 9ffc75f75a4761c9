"""The command `ropewalk procmon`: a program that is kept running."""

from __future__ import annotations

import os
from typing import Any

import click

_SECONDS = click.FloatRange(min=0)


@click.command(
    name="procmon",
    short_help="Keep a program running.",
    context_settings={"allow_interspersed_args": False},
)
@click.option(
    "-t", "--threshold", type=_SECONDS, default=1.0, show_default=True, metavar="SECONDS",
    help="A program that ends sooner is started again with a delay.",
)
@click.option(
    "-k", "--killtime", type=_SECONDS, default=5.0, show_default=True, metavar="SECONDS",
    help="How long it has to end by itself, when this command ends, before it is killed.",
)
@click.option(
    "-m", "--minrestartdelay", type=_SECONDS, default=1.0, show_default=True, metavar="SECONDS",
    help="The first delay; it is doubled each time.",
)
@click.option(
    "-M", "--maxrestartdelay", type=_SECONDS, default=3600.0, show_default=True, metavar="SECONDS",
    help="The longest delay.",
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    threshold: float, killtime: float, minrestartdelay: float, maxrestartdelay: float, program: tuple[str, ...]
) -> Any:
    """Run PROGRAM, with the arguments after it, and start it again whenever it ends.

    What it writes is logged.
    """
    if minrestartdelay > maxrestartdelay:
        raise click.UsageError(
            f"--minrestartdelay {minrestartdelay:g} is longer than --maxrestartdelay {maxrestartdelay:g}",
            click.get_current_context(),
        )
    from ropewalk.application.procmon import ProcessMonitor

    monitor = ProcessMonitor()
    monitor.threshold = threshold
    monitor.killTime = killtime
    monitor.minRestartDelay = minrestartdelay
    monitor.maxRestartDelay = maxrestartdelay
    monitor.addProcess(" ".join(program), program, env=os.environ)
    return monitor
