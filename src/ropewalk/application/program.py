"""Running a Python file that sets up listeners, connections or calls: what `ropewalk -y FILE` does."""

from __future__ import annotations

import os
import sys
import traceback
import types
from typing import Any

from ropewalk.internet import main
from ropewalk.internet.error import ReactorNotAvailableError


class CannotRead(Exception):
    """The file cannot be read; the cause is the OSError."""


class ProgramFailed(Exception):
    """The file raised an exception; its traceback has been printed."""


class NothingToDo(Exception):
    """The file left the reactor nothing to do or to wait for."""


def run(path: str) -> Any:
    """Run the file `path` as the main program, then the installed reactor, unless the file ran it; returns that.

    Raises CannotRead, ProgramFailed, NothingToDo, ReactorNotAvailableError if the reactor that the environment or
    the file asks for cannot be used, and SystemExit if the file does.
    """
    _execute(path, _read(path))
    reactor = main.installed()
    if reactor is None or not (reactor.runs or reactor.has_work()):
        raise NothingToDo(f"{path} left nothing to do")
    if not reactor.runs:
        reactor.run()
    return reactor


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise CannotRead(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error


def _execute(path: str, source: bytes) -> None:
    """Do what `python path` would do: the file is __main__, and finds its neighbours."""
    module = types.ModuleType("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module
    sys.argv = [path]
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    try:
        exec(compile(source, path, "exec"), module.__dict__)
    except ReactorNotAvailableError:   # says all there is to say, and mostly the file is not to blame
        raise
    except Exception as error:
        own_frame = error.__traceback__
        traceback.print_exception(type(error), error, own_frame.tb_next if own_frame is not None else None)
        raise ProgramFailed(path) from error
