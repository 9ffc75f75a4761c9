"""The command `python -m ropewalk.twisted REACTOR PROGRAM [ARGUMENT ...]`: a script for Twisted, unchanged, on ours."""

from __future__ import annotations

import os
import runpy
import sys

from ropewalk.errors import ReactorNotAvailableError
from ropewalk.twisted import install

USAGE = """\
usage: python -m ropewalk.twisted REACTOR PROGRAM [ARGUMENT ...]

Runs PROGRAM, a Python file, with REACTOR as twisted.internet.reactor. `ropewalk --help-reactors` lists the names."""
WRONG_USAGE = 2   # argparse's status, and so that of most Python commands


def main() -> None:
    """Install the reactor, and run the program as `python PROGRAM ARGUMENT ...` would."""
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(USAGE)
        return
    if len(sys.argv) < 3:
        _refuse(USAGE)
    _, reactor, *sys.argv = sys.argv
    try:
        install(reactor)
    except ReactorNotAvailableError as error:
        _refuse(str(error))
    _sign(f"python -m ropewalk.twisted {reactor}")
    program = sys.argv[0]
    if not os.path.exists(program):
        _refuse(f"cannot run {program}: there is no such file")
    if not sys.flags.safe_path:   # -P: not even python itself would
        sys.path[0] = os.path.dirname(os.path.abspath(program))
    runpy.run_path(program, run_name="__main__")


def _sign(who: str) -> None:
    """Have the error about a second reactor say that `who` installed the first: no line of a program did."""
    from twisted.internet import reactor

    reactor.installed_by = who


def _refuse(reason: str) -> None:
    print(reason, file=sys.stderr)
    sys.exit(WRONG_USAGE)


if __name__ == "__main__":
    main()
