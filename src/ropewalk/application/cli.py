"""The command `ropewalk`: forward a port, echo, or run a file, on the reactor that is asked for.

What can go wrong is said in one line on stderr; the exit codes are those of ropewalk.application.exits.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

import ropewalk
from ropewalk.application import program
from ropewalk.application.exits import Exit
from ropewalk.internet import base, default
from ropewalk.internet import main as installation
from ropewalk.internet.address import UNIXAddress
from ropewalk.internet.endpoints import (
    StandardIOEndpoint,
    clientFromString,
    quoteStringArgument,
    serverFromString,
)
from ropewalk.internet.error import ConnectionDone, ReactorNotAvailableError, ReactorNotRunning
from ropewalk.internet.protocol import Factory, Protocol
from ropewalk.protocols.portforward import Forwarder
from ropewalk.protocols.wrapping import ProtocolWrapper, WrappingFactory

_LEVELS = [logging.WARNING, logging.INFO, logging.DEBUG]
_EPILOG = """LISTEN and DEST are endpoints: tcp:8080, tcp:0:interface=127.0.0.1, tcp:localhost:80, unix:/run/x.sock.
LISTEN may be stdio:, the one connection of standard input and output; the command ends with it.

Exit codes: 64 the command line is wrong or the reactor cannot be used here, 65 the file left nothing to do, 66 it
cannot be read, 70 it raised an exception, 74 cannot listen there. A command that a signal stops dies by that signal.
"""


class CommandFailed(click.ClickException):
    """The command cannot go on. message: one line for the user; code: how the process exits."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.code = code


def main() -> NoReturn:
    """Run the command line of this process, and exit."""
    try:
        code = command.main(prog_name="ropewalk", standalone_mode=False)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "ropewalk"
        _complain(f"{error.format_message()} (see {path} --help)")
        sys.exit(Exit.USAGE)
    except CommandFailed as error:
        _complain(error.format_message())
        sys.exit(error.code)
    except ReactorNotAvailableError as error:   # the one of ROPEWALK_REACTOR, or one that the file of -y installs
        _complain(str(error))
        sys.exit(Exit.USAGE)
    except click.Abort:
        raise KeyboardInterrupt from None
    sys.exit(code)


def _complain(message: str) -> None:
    click.echo(f"ropewalk: {message}", err=True)


# -- options of all subcommands


def _install(context: click.Context, option: click.Parameter, name: str | None) -> None:
    """Install the reactor that was asked for before anything can import another."""
    if name is None:   # the file of -y may install one; else ROPEWALK_REACTOR counts when a reactor is needed
        return
    try:
        default.install(name)
        installation.installed_by("the option -r")
    except ReactorNotAvailableError as error:
        raise CommandFailed(f"there is no reactor {name!r} here; {_what_there_is()}", Exit.USAGE) from error


def _what_there_is() -> str:
    rows = installation.reactors()
    here = ["default"] + [row.name for row in rows if row.why_not is None]
    missing = [f"{row.name} ({row.why_not})" for row in rows if row.why_not is not None]
    return f"available: {', '.join(here)}" + (f"; not available: {', '.join(missing)}" if missing else "")


def _help_reactors(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    rows = [[row.name, row.about, _state(row)] for row in installation.reactors()]
    for line in _aligned([["NAME", "WHAT IT IS", "HERE"], *rows]):
        click.echo(line)
    context.exit()


def _state(row: installation.Available) -> str:
    if row.why_not is not None:
        return f"not available: {row.why_not}"
    return "available, the default" if row.default else "available"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


@click.group(
    invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG
)
@click.version_option(ropewalk.__version__, prog_name="ropewalk")
@click.option(
    "--help-reactors", is_flag=True, is_eager=True, expose_value=False, callback=_help_reactors,
    help="List the reactors: what each is, whether it works here, which is the default.",
)
@click.option(
    "-r", "--reactor", metavar="NAME", expose_value=False, callback=_install,
    help="Run on this reactor instead of the default one, which the environment variable ROPEWALK_REACTOR may name.",
)
@click.option("-y", "--python", "file", metavar="FILE", help="Run a Python file that sets up listeners.")
@click.option("-v", "--verbose", count=True, help="Log more: -v what happens, -vv every detail.")
@click.pass_context
def command(context: click.Context, file: str | None, verbose: int) -> None:
    """Networking from the command line, on every native event loop."""
    logging.basicConfig(level=_LEVELS[min(verbose, 2)], format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if context.invoked_subcommand is None and file is None:
        raise click.UsageError("nothing to do: name a command (forward, echo) or a file (-y FILE)", context)
    if file is not None:
        if context.invoked_subcommand is not None:
            raise click.UsageError(f"-y FILE and the command {context.invoked_subcommand} exclude each other", context)
        _run_file(file)


def _run_file(path: str) -> None:
    try:
        reactor = program.run(path)
    except program.CannotRead as error:
        raise CommandFailed(str(error), Exit.NO_INPUT) from error
    except program.ProgramFailed:
        sys.exit(Exit.SOFTWARE)
    except program.NothingToDo as error:
        raise CommandFailed(
            f"{error}: let it listen, connect or schedule a call (from ropewalk.internet import reactor)", Exit.DATA
        ) from error
    installation.die_by_exit_signal(reactor)


# -- subcommands


@command.command()
@click.argument("listen")
@click.argument("dest")
def forward(listen: str, dest: str) -> None:
    """Forward each connection to LISTEN to DEST."""
    _serve(listen, Forwarder(_endpoint(clientFromString, dest)))


@command.command()
@click.argument("listen")
def echo(listen: str) -> None:
    """Send back what each connection to LISTEN sends."""
    _serve(listen, Factory.forProtocol(Echo))


class Echo(Protocol):
    """Sends back what it receives, as fast as the other side takes it, to the end."""

    def connectionMade(self) -> None:
        self.transport.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)

    def readConnectionLost(self) -> None:
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nobody takes what would be sent."""
        self.transport.loseConnection()


class _OnlyConnection(ProtocolWrapper):
    """The connection of standard input and output, with which the command ends."""

    def connectionLost(self, reason: Any) -> None:
        super().connectionLost(reason)
        self.factory.over(reason)


class _OnlyConnections(WrappingFactory):
    """Wraps the one protocol of `wrappedFactory`. over: called with the reason for which the connection is lost."""

    protocol = _OnlyConnection

    def __init__(self, wrappedFactory: Any, over: Callable[[Any], object]) -> None:
        super().__init__(wrappedFactory)
        self.over = over


def _serve(listen: str, factory: Any) -> None:
    """Listen until a signal comes; says where as soon as it does."""
    reactor = base.current()
    endpoint = _endpoint(serverFromString, listen)
    if isinstance(endpoint, StandardIOEndpoint):
        _serve_standard_io(reactor, endpoint, factory)
        return
    failures: list[Exception] = []

    def failed(reason: Any) -> None:
        failures.append(reason.value)
        reactor.stop()

    def start() -> None:
        endpoint.listen(factory).addCallbacks(_announce, failed)

    reactor.callWhenRunning(start)
    reactor.run()
    if failures:
        raise CommandFailed(f"cannot listen on {listen}: {failures[0]}", Exit.IO) from failures[0]
    installation.die_by_exit_signal(reactor)


def _serve_standard_io(reactor: Any, endpoint: StandardIOEndpoint, factory: Any) -> None:
    """Serve the one connection to its end; what is printed is its alone."""
    failures: list[Exception] = []

    def over(reason: Any) -> None:
        if not reason.check(ConnectionDone) and not isinstance(reason.value.__cause__, BrokenPipeError):
            failures.append(reason.value)
        with contextlib.suppress(ReactorNotRunning):   # it is lost because a signal has stopped the reactor
            reactor.stop()

    def start() -> None:
        endpoint.listen(_OnlyConnections(factory, over)).addErrback(over)

    reactor.callWhenRunning(start)
    reactor.run()
    installation.die_by_exit_signal(reactor)
    if failures:
        raise CommandFailed(f"standard input and output: {failures[0]}", Exit.IO) from failures[0]


def _announce(port: Any) -> None:
    click.echo(f"listening on {_described(port.getHost())}")


def _described(address: Any) -> str:
    """`address` as an endpoint string to connect to."""
    if isinstance(address, UNIXAddress):
        return f"unix:{quoteStringArgument(os.fsdecode(address.name or b''))}"
    return f"tcp:{quoteStringArgument(address.host)}:{address.port}"


def _endpoint(parse: Callable[[Any, str], Any], description: str) -> Any:
    try:
        return parse(base.current(), description)
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error
