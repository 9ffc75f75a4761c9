"""Looking into a running program: profilers, the debugger, and a trace of every line."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from ropewalk.application.exits import CommandFailed, Exit

Run = Callable[[], object]


def profiled(run: Run, path: str, profiler: str, raw: bool) -> Run:
    """`run`, under a profiler, whose findings go to the file `path`.

    profiler: "cprofile" or "profile"; raw: whether as pstats reads them, else as text.
    """

    def work() -> None:
        profile: Any
        if profiler == "profile":
            import profile as slow

            profile = slow.Profile()
        else:
            import cProfile

            profile = cProfile.Profile()
        try:
            profile.runcall(run)
        finally:
            _save(profile, path, raw)

    return work


def check(path: str) -> None:
    """Raises CommandFailed if the file `path` could not be written at the end."""
    try:
        open(path, "ab").close()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise CommandFailed(f"--profile {path}: it cannot be written: {why}", Exit.CANNOT_CREATE) from error


def _save(profile: Any, path: str, raw: bool) -> None:
    if raw:
        profile.dump_stats(path)
        return
    import pstats

    with open(path, "w", encoding="utf-8") as file:
        pstats.Stats(profile, stream=file).sort_stats("cumulative").print_stats()


def debugged(run: Run) -> Run:
    """`run`, under pdb; SIGUSR2, and Ctrl-C, lead back to its prompt."""
    import pdb

    from ropewalk.internet.defer import setDebugging

    def prompt(number: int, frame: FrameType | None) -> None:
        pdb.Pdb().set_trace(frame)

    def work() -> None:
        setDebugging(True)
        for name in ("SIGUSR2", "SIGINT"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), prompt)
        pdb.runcall(run)

    return work


def spew() -> None:
    """Print each function that is called, and where it is, to standard error from now on."""

    def say(frame: FrameType, event: str, arg: object) -> None:
        code = frame.f_code
        print(f"{code.co_filename}:{frame.f_lineno}: {code.co_qualname}", file=sys.stderr)

    sys.setprofile(lambda frame, event, arg: say(frame, event, arg) if event == "call" else None)
