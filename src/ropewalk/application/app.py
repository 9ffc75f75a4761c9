"""The files that hold applications: executed, and what they left started.

A file whose name ends in .tac is a Python file like any other: whoever runs it looks for its variable `application`.
"""

from __future__ import annotations

import os
import sys
import types
from typing import Any

from ropewalk.application.service import Eventually, all_up
from ropewalk.internet.base import current
from ropewalk.internet.error import ReactorAlreadyInstalledError, ReactorNotAvailableError

_ABOUT_REACTORS = (ReactorAlreadyInstalledError, ReactorNotAvailableError)   # these say all there is to say


class CannotRead(Exception):
    """The file cannot be read; the cause is the OSError."""


class ProgramFailed(Exception):
    """The file raised an exception, which is the cause; the traceback of that begins in the file."""


def execute(path: str) -> dict[str, Any]:
    """Execute the file `path` in a module of its own; returns the variables that it left.

    Raises CannotRead; ProgramFailed; ReactorAlreadyInstalledError if the file installs another reactor than the one
    that is installed, ReactorNotAvailableError if it asks for one that cannot be used here; and SystemExit if the file
    does.
    """
    module = types.ModuleType(os.path.splitext(os.path.basename(path))[0])
    return _run_in(module, path, _read(path))


def execute_as_main(path: str) -> dict[str, Any]:
    """Do as `python path` does: the file is __main__, and finds its neighbours.

    Returns and raises what execute() does.
    """
    source = _read(path)
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv = [path]
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    return _run_in(module, path, source)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise CannotRead(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error


def _run_in(module: types.ModuleType, path: str, source: bytes) -> dict[str, Any]:
    module.__file__ = path
    try:
        exec(compile(source, path, "exec"), module.__dict__)
    except _ABOUT_REACTORS:
        raise
    except Exception as error:
        own_frame = error.__traceback__
        error.__traceback__ = own_frame.tb_next if own_frame is not None else None
        raise ProgramFailed(f"{path} raised {type(error).__name__}: {error}") from error
    return module.__dict__


def startApplication(application: Any, save: bool = False) -> Eventually:
    """Start the service `application` now, and stop it before the reactor's shutdown; for programs without the command.

    save: nothing is ever saved, so it has to be false. Returns a Deferred if a service is up only later. Raises what a
    service raises that cannot be started, and ValueError for `save`. Twisted's startApplication.
    """
    if save:
        raise ValueError(f"{application!r} cannot be saved: applications are files of Python; pass save=False")
    begun = [application.privilegedStartService(), application.startService()]
    current().addSystemEventTrigger("before", "shutdown", application.stopService)
    return all_up(begun)
