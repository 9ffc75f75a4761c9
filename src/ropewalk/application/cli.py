"""The command `ropewalk`: runs services, on the reactor that is asked for.

Without a subcommand it runs a file (-y). What can go wrong is said in one line on standard error; the exit codes are
those of ropewalk.application.exits. An exception of the program is printed with its own traceback.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any, NoReturn

import click

import ropewalk
from ropewalk.application.exits import CommandFailed, Exit
from ropewalk.application.runner import options, plugins

_EPILOG = """LISTEN and DEST are endpoints: tcp:8080, tcp:0:interface=127.0.0.1, tcp:localhost:80, unix:/run/x.sock,
systemd:name=http. LISTEN may be stdio:, the one connection of standard input and output; the command ends with it.

Signals: SIGTERM and SIGINT stop it, SIGHUP loads the service anew, SIGUSR1 begins a new log file.

Exit codes: 64 the command line is wrong or the reactor cannot be used here, 65 the file left nothing to do, 66 it
cannot be read, 69 a plugin does not import, 70 it raised an exception, 73 the pidfile or the log cannot be written, 74
cannot listen there, 77 not permitted, 78 it runs already. A command that a signal stops dies by that signal.
"""


def main() -> NoReturn:
    """Run the command line of this process, and exit."""
    code = _main()
    if sys.platform != "win32":
        from ropewalk.application.runner import daemon

        daemon.tell(code)
    sys.exit(code)


def _main() -> int:
    try:
        launch = command.main(prog_name="ropewalk", standalone_mode=False)
        if isinstance(launch, int):
            return launch
        if launch is not None:
            launch()
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "ropewalk"
        return _complain(f"{error.format_message()} (see {path} --help)", Exit.USAGE)
    except CommandFailed as error:
        return _complain(error.message, error.code)
    except click.Abort:
        raise KeyboardInterrupt from None
    except SystemExit as error:   # of the program
        return _code_of(error)
    except Exception as error:
        return _crashed(error)
    return Exit.OK


def _complain(message: str, code: Exit) -> int:
    click.echo(f"ropewalk: {message}", err=True)
    return code


def _code_of(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    click.echo(error.code, err=True)
    return 1


def _crashed(error: Exception) -> int:
    import traceback

    from ropewalk.application.program import Failed
    from ropewalk.errors import ReactorAlreadyInstalledError, ReactorNotAvailableError

    if isinstance(error, ReactorNotAvailableError):   # the one of ROPEWALK_REACTOR, or one that the file of -y installs
        return _complain(str(error), Exit.USAGE)
    if isinstance(error, ReactorAlreadyInstalledError):
        return _complain(str(error), Exit.SOFTWARE)
    traceback.print_exception(error.__cause__ if isinstance(error, Failed) else error)
    return Exit.SOFTWARE


class Command(click.Group):
    """A group whose commands return services, which it runs; they are looked up when they are named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["arguments"] = list(args)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return plugins.names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if ctx.invoked_subcommand is None and ctx.meta.get("listing"):
            return plugins.listed(cmd_name)
        return plugins.find(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        ctx.meta["listing"] = True
        super().format_commands(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        found = self.get_command(ctx, args[0])
        if found is None:
            ctx.fail(plugins.unknown(args[0]))
        return args[0], found, args[1:]

    def invoke(self, ctx: click.Context) -> Any:
        """Load the service; returns what runs it."""
        from ropewalk.application.runner.run import Runner

        arguments = ctx.meta["arguments"]
        runner = Runner(options.settings(ctx.params, ctx), partial(self._load_again, arguments))
        runner.begin()
        return partial(runner.run, super().invoke(ctx))

    def _load_again(self, arguments: list[str]) -> Any:
        """The service that the same command line makes now."""
        from ropewalk.application import program

        context = self.make_context("ropewalk", list(arguments))
        program.forget(context.params["python"])
        return super().invoke(context)


def _run(python: str | None, **others: Any) -> Any:
    """Run a service: a port forwarder, a program of yours ... on every native event loop."""
    from ropewalk.application import program

    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        if python is not None:
            raise click.UsageError(f"-y FILE and the command {context.invoked_subcommand} exclude each other", context)
        return None
    if python is None:
        raise click.UsageError("nothing to do: name a command (forward, echo) or a file (-y FILE)", context)
    return program.from_file(python)


command = Command(
    callback=_run,
    params=options.options(),
    help=_run.__doc__,
    epilog=_EPILOG,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
command = click.version_option(ropewalk.__version__, prog_name="ropewalk")(command)
