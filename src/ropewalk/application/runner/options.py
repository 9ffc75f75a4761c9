"""The options of the command, as click parameters, and the values they leave.

Names are twistd's. What twistd does by default and this command does not (daemonizing, a pidfile) is said where the
option is. Options that need something that a system lacks are not there on that system.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from ropewalk.application.runner.naming import did_you_mean

_LEVELS = ("critical", "error", "warning", "info", "debug")
_GRACE = 3.0   # seconds


class Settings(NamedTuple):
    """What the command line asks for: one attribute an option."""

    reactor: str | None = None
    python: str | None = None
    check: bool = False
    nodaemon: bool = False
    daemon: bool = False
    logfile: str | None = None
    log_format: str = "text"
    log_level: str | None = None
    verbose: int = 0
    logger: str | None = None
    syslog: bool = False
    prefix: str = "ropewalk"
    pidfile: str | None = None
    rundir: str | None = None
    chroot: str | None = None
    uid: str | None = None
    gid: str | None = None
    euid: bool = False
    umask: int | None = None
    grace: float = _GRACE
    profile: str | None = None
    profiler: str = "cprofile"
    savestats: bool = False
    debug: bool = False
    spew: bool = False
    originalname: bool = False


def _octal(context: click.Context, option: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        number = int(text, 8)
    except ValueError:
        number = -1
    if not 0 <= number <= 0o777:
        raise click.BadParameter(f"{text!r} is no octal number from 0 to 777", context, option)
    return number


def _known_reactor(context: click.Context, option: click.Parameter, name: str | None) -> str | None:
    if name is None or context.resilient_parsing:
        return None
    known = _reactor_names()
    if name in known:
        return name
    from ropewalk.application.runner.reactors import what_there_is

    raise click.UsageError(f"there is no reactor {name!r}{did_you_mean(name, known)}; {what_there_is()}", context)


def _complete_reactor(context: click.Context, option: click.Parameter, begun: str) -> list[str]:
    return [name for name in _reactor_names() if name.startswith(begun)]


def _reactor_names() -> list[str]:
    from ropewalk.internet.main import names

    return ["default", *(row.name for row in names())]


def _help_reactors(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from ropewalk.application.runner.reactors import table

    for line in table():
        click.echo(line)
    context.exit()


def _print_completion(context: click.Context, option: click.Parameter, shell: str | None) -> None:
    if shell is None or context.resilient_parsing:
        return
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.command, {}, "ropewalk", "_ROPEWALK_COMPLETE").source())
    context.exit()


def _dropped(why: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def refuse(context: click.Context, option: click.Parameter, value: Any) -> None:
        if value:
            raise click.UsageError(f"{max(option.opts, key=len)} of twistd is not supported: {why}", context)

    return refuse


_NO_PICKLES = "an application is a Python file, not a pickle; write one that sets `application`, and run it by -y"
_NO_SAVING = "nothing is saved on shutdown, so leave it out: -noy FILE is -y FILE here"

_ON_EVERY_SYSTEM = [
    click.Option(
        ["--help-reactors"], is_flag=True, is_eager=True, expose_value=False, callback=_help_reactors,
        help="List the reactors: what each is, whether it works here, which is the default.",
    ),
    click.Option(
        ["-r", "--reactor"], metavar="NAME", callback=_known_reactor, shell_complete=_complete_reactor,
        help="Run on this reactor instead of the default one, which the variable ROPEWALK_REACTOR may name.",
    ),
    click.Option(
        ["-y", "--python"], metavar="FILE", type=click.Path(),
        help="Run a Python file (.tac) that sets `application`, or sets up listeners.",
    ),
    click.Option(
        ["--check"], is_flag=True, help="Load, start and bind as asked, say what is wrong, and exit.",
    ),
    click.Option(["-n", "--nodaemon"], is_flag=True, help="Stay in the foreground: the default."),
    click.Option(
        ["-l", "--logfile"], metavar="FILE", type=click.Path(),
        help="Log to this file ('-': standard output) instead of standard error; a daemon logs to ropewalk.log.",
    ),
    click.Option(
        ["--log-format"], type=click.Choice(["text", "json"]), default="text", help="How log lines look.",
    ),
    click.Option(
        ["--log-level"], type=click.Choice(_LEVELS, case_sensitive=False),
        help="Log this, and what is more important; warning, unless -v or --daemon ask for more.",
    ),
    click.Option(["-v", "--verbose"], count=True, help="Log more: -v what happens, -vv every detail."),
    click.Option(
        ["--logger"], metavar="NAME",
        help="Log to the logging.Handler that this callable (package.module.callable) returns.",
    ),
    click.Option(["-d", "--rundir"], metavar="FOLDER", type=click.Path(), help="Change to this folder before running."),
    click.Option(
        ["--pidfile"], metavar="FILE", type=click.Path(), help="Write the process number here; by default nowhere.",
    ),
    click.Option(
        ["--grace"], metavar="SECONDS", type=click.FloatRange(min=0), default=_GRACE, show_default=True,
        help="When stopped, let connections finish for so long, then close them. A second signal ends it at once.",
    ),
    click.Option(["-p", "--profile"], metavar="FILE", type=click.Path(), help="Run under a profiler, and write here."),
    click.Option(
        ["--profiler"], type=click.Choice(["cprofile", "profile"]), default="cprofile", help="Which one.",
    ),
    click.Option(["--savestats"], is_flag=True, help="Write the profile for pstats, not as text."),
    click.Option(
        ["-b", "--debug"], is_flag=True, help="Run under pdb, with debugging of Deferreds; SIGUSR2 gives a prompt.",
    ),
    click.Option(["--spew"], is_flag=True, deprecated=True, help="Print every function that is called."),
    click.Option(
        ["--completion"], type=click.Choice(["bash", "zsh", "fish"]), is_eager=True, expose_value=False,
        callback=_print_completion, help='Print a script for completion: eval "$(ropewalk --completion bash)".',
    ),
    *[
        click.Option(names, hidden=True, expose_value=False, callback=_dropped(why), **how)   # type: ignore[arg-type]
        for names, why, how in (
            (["-f", "--file"], _NO_PICKLES, {}),
            (["-s", "--source"], _NO_PICKLES, {}),
            (["-e", "--encrypted"], _NO_PICKLES, {"is_flag": True}),
            (["-o", "--no_save"], _NO_SAVING, {"is_flag": True}),
        )
    ],
]
_OF_UNIX = [
    click.Option(
        ["--daemon"], is_flag=True, help="Go to the background once the service is up; the umask is then 077.",
    ),
    click.Option(["--syslog"], is_flag=True, help="Log to syslog."),
    click.Option(["--prefix"], metavar="TEXT", default="ropewalk", help="What syslog's lines begin with."),
    click.Option(["--chroot"], metavar="FOLDER", type=click.Path(), help="Make this folder the root."),
    click.Option(["-u", "--uid"], metavar="USER", help="Become this user (name or number) once ports are bound."),
    click.Option(["-g", "--gid"], metavar="GROUP", help="Become this group; that of the user by default."),
    click.Option(["--euid"], is_flag=True, help="Change the effective ids alone."),
    click.Option(["--umask"], metavar="OCTAL", callback=_octal, help="The umask."),
    click.Option(
        ["--originalname"], is_flag=True, deprecated=True,
        help="Do not call the process as the application is called.",
    ),
]


def options() -> list[click.Parameter]:
    """The options that this system has."""
    return [*_ON_EVERY_SYSTEM, *(_OF_UNIX if hasattr(os, "fork") else [])]


def settings(values: dict[str, Any], context: click.Context) -> Settings:
    """What click has parsed. Raises click.UsageError for what excludes each other."""
    made = Settings(**values)
    if made.daemon and made.nodaemon:
        raise click.UsageError("--daemon and --nodaemon exclude each other", context)
    if made.daemon and made.debug:
        raise click.UsageError("--debug needs a terminal, which --daemon gives up", context)
    if made.daemon and made.check:
        raise click.UsageError("--check says what it finds in the foreground: leave --daemon out", context)
    if made.daemon and made.logfile == "-":
        raise click.UsageError("--logfile - is standard output, which --daemon gives up: name a file", context)
    if made.daemon and os.getpid() == 1:
        raise click.UsageError("process 1 of a container has to stay: leave --daemon out", context)
    if sum(map(bool, (made.logfile, made.syslog, made.logger))) > 1:
        raise click.UsageError("--logfile, --syslog and --logger exclude each other", context)
    return made
