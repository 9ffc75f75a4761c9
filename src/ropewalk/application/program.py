"""Loading what the command runs: a Python file, or an object by its name; and loading it again."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from ropewalk.application import app
from ropewalk.application.exits import CommandFailed, Exit
from ropewalk.application.runner.naming import did_you_mean
from ropewalk.internet import main as installation


class Failed(Exception):
    """The program raised an exception, the cause, whose traceback begins in the program."""


class Bare:
    """A program without an application: what it has set up runs as it is."""


def from_file(path: str) -> Any:
    """The service that the file `path` leaves as `application`; Bare if it sets up something to do instead.

    Raises CommandFailed if it cannot be read, or does neither; Failed, and what app.execute_as_main() raises.
    """
    try:
        variables = app.execute_as_main(path)
    except app.CannotRead as error:
        raise CommandFailed(str(error), Exit.NO_INPUT) from error
    except app.ProgramFailed as error:
        raise Failed(str(error)) from error.__cause__
    if "application" in variables:
        return service(variables["application"], f"`application` of {path}")
    reactor = installation.installed()
    if reactor is None or not (reactor.runs or reactor.has_work()):
        raise CommandFailed(
            f"{path} left nothing to do: let it set `application` (ropewalk.application.service.Application), or "
            "listen, connect or schedule a call (from ropewalk.internet import reactor)", Exit.DATA
        )
    return Bare()


def from_name(name: str) -> Any:
    """The service `module:object`, or the one that this returns if it is a function.

    Modules are also found in the current folder. Raises CommandFailed if there is none; Failed if its code raises.
    """
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise CommandFailed(f"{name!r} names no object: write module:object, as in mysite.web:application", Exit.USAGE)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    found = _imported(module)
    for part in attribute.split("."):
        if not hasattr(found, part):
            where = getattr(found, "__name__", attribute)
            raise CommandFailed(f"{name}: {where} has no {part!r}{did_you_mean(part, vars(found))}", Exit.NO_INPUT)
        found = getattr(found, part)
    if isinstance(found, type) or (callable(found) and not hasattr(found, "startService")):
        found = _called(found, name)
    return service(found, name)


def _imported(module: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise CommandFailed(
                f"there is no module {error.name!r}; name one that is installed, or is in this folder", Exit.NO_INPUT
            ) from error
        raise Failed(module) from without_ours(error)
    except Exception as error:
        raise Failed(module) from without_ours(error)


def _called(make: Callable[[], Any], name: str) -> Any:
    try:
        return make()
    except Exception as error:
        raise Failed(name) from without_ours(error)


def without_ours(error: BaseException) -> BaseException:
    """`error`, its traceback beginning in the program: not in this package, nor in what imports modules."""
    tb = error.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith(_NOT_THE_PROGRAMS):
        tb = tb.tb_next
    error.__traceback__ = tb or error.__traceback__
    return error


_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_NOT_THE_PROGRAMS = (_PACKAGE, import_module.__code__.co_filename, "<frozen importlib")


def service(found: Any, what: str) -> Any:
    """`found`, if it is a service. Raises CommandFailed."""
    for method in ("privilegedStartService", "startService", "stopService"):
        if not hasattr(found, method):
            raise CommandFailed(
                f"{what} is no service, but {type(found).__name__}: it has no {method}(); "
                "make an Application, or a Service of ropewalk.application", Exit.DATA
            )
    return found


def forget(path: str | None) -> None:
    """Let the modules beside the file `path` (None: those of the current folder) be imported anew."""
    folder = os.getcwd() if path is None else os.path.dirname(os.path.abspath(path))
    roots = {name for name, module in sys.modules.items() if "." not in name and _is_in(folder, module)}
    for name in list(sys.modules):
        if name.partition(".")[0] in roots - {"ropewalk", "__main__"}:
            del sys.modules[name]
    sys.path[:] = dict.fromkeys(sys.path)


def _is_in(folder: str, module: Any) -> bool:
    file = getattr(module, "__file__", None)
    if file is None:
        return False
    with contextlib.suppress(OSError, ValueError):
        place = os.path.dirname(os.path.abspath(file))
        return folder == str(os.path.dirname(place) if hasattr(module, "__path__") else place)
    return False
