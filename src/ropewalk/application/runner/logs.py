"""Where the log goes, and what it looks like: text or JSON, to standard error, a file, syslog, or a handler of yours.

A service goes on when its log cannot be written, as on a full disk. What a handler of the standard library does then is
to print a traceback for each line, and to keep the lines in a buffer that fails again. So the file is written without a
buffer, lines that do not fit are counted, and the first line that fits again is preceded by how many are missing.

SIGUSR1 begins a new file. If something (logrotate) has moved the old one away, that is all; else it becomes FILE.1, and
that FILE.2, and so on, as with twistd. Nothing is ever deleted.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
import time
from typing import Any

from ropewalk.application.exits import CommandFailed, Exit
from ropewalk.application.runner.options import Settings

_LEVELS = {"critical": 50, "error": 40, "warning": 30, "info": 20, "debug": 10}
_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_SYSLOG = "%(levelname)s %(name)s: %(message)s"   # it has the time from the daemon
_DAEMONS_LOG = "ropewalk.log"
_KNOWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JSONFormatter(logging.Formatter):
    """One object a line: time (UTC), level, logger, message, exception, and what was passed as `extra`."""

    def __init__(self) -> None:
        super().__init__()
        from json import dumps  # text needs none; and after a chroot there may be none

        self._dumps = dumps

    def format(self, record: logging.LogRecord) -> str:
        """`record` as one line."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            entry["stack"] = record.stack_info
        entry.update((name, value) for name, value in vars(record).items() if name not in _KNOWN)
        return self._dumps(entry, default=repr, ensure_ascii=False)


class LogFile(logging.Handler):
    """Appends to the file `path`. Raises CommandFailed if it cannot be opened."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = os.path.abspath(path)
        self._missing = 0   # lines that could not be written since the last one that could
        self._torn = False   # whether the last one was written in part
        try:
            self._descriptor = self._open()
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise CommandFailed(f"the log {self._path} cannot be written: {why}", Exit.CANNOT_CREATE) from error

    def emit(self, record: logging.LogRecord) -> None:
        """Write `record`, or count it. Called with the handler's lock held."""
        try:
            line = self.format(record)
        except Exception:   # wrong arguments of the program's
            self.handleError(record)
            return
        if self._missing:
            told = logging.LogRecord(
                "ropewalk.log", logging.WARNING, "", 0, "%d lines could not be written before", (self._missing,), None
            )
            line = f"{self.format(told)}\n{line}"
        if self._write(("\n" * self._torn + line + "\n").encode(errors="backslashreplace")):
            self._missing = 0
            self._torn = False
        else:
            self._missing += 1

    def _write(self, line: bytes) -> bool:
        rest = memoryview(line)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest):]
            except OSError as error:
                self._torn |= len(rest) < len(line)
                self._say_once(error)
                return False
        return True

    def _say_once(self, error: OSError) -> None:
        if self._missing or sys.stderr is None:
            return
        why = (error.strerror or str(error)).lower()
        print(f"ropewalk: the log {self._path} cannot be written: {why}; the service goes on", file=sys.stderr)

    def rotate(self) -> None:
        """Begin a new file. Where that is impossible, say so in the old one, and go on with that."""
        self.acquire()
        try:
            if self._is_there():
                _make_room(self._path, 1)
                os.rename(self._path, f"{self._path}.1")
            before, self._descriptor = self._descriptor, self._open()
            os.close(before)
        except OSError as error:
            logging.getLogger("ropewalk.log").warning("the log cannot be rotated: %s", error)
        finally:
            self.release()

    def root_changed(self, folder: str) -> None:
        """The root of the file system is `folder` now: the same file has another path, if it has one at all."""
        folder = os.path.abspath(folder).rstrip("/") + "/"
        if self._path.startswith(folder):
            self._path = self._path[len(folder) - 1:]

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)

    def close(self) -> None:
        """Close the file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        super().close()


def _make_room(path: str, number: int) -> None:
    """Let `path`.`number` be free, and keep what has that name."""
    taken = f"{path}.{number}"
    if not os.path.exists(taken):
        return
    _make_room(path, number + 1)
    os.rename(taken, f"{path}.{number + 1}")


def to_file(path: str) -> logging.Handler:
    """The handler of --logfile: a file, or for '-' standard output. Raises CommandFailed."""
    return logging.StreamHandler(sys.stdout) if path == "-" else LogFile(path)


def to_syslog(prefix: str) -> logging.Handler:
    """The handler of --syslog: the system's log, each line preceded by `prefix`. Raises CommandFailed."""
    from logging.handlers import SysLogHandler  # a slow import

    for address in ("/dev/log", "/var/run/syslog", "/var/run/log"):
        if _is_socket(address):
            handler = SysLogHandler(address, SysLogHandler.LOG_DAEMON)   # it connects anew when the daemon is back
            handler.ident = f"{prefix}[{os.getpid()}]: "
            return handler
    raise CommandFailed("--syslog: no log daemon listens here (there is no /dev/log)", Exit.UNAVAILABLE)


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def to_handler(name: str) -> logging.Handler:
    """The handler of --logger: what the callable called `name` (package.module.callable) returns.

    Raises CommandFailed.
    """
    from importlib import import_module

    module, _, attribute = name.rpartition(".")
    try:
        made = getattr(import_module(module), attribute)()
    except Exception as error:
        raise CommandFailed(f"--logger {name}: {type(error).__name__}: {error}", Exit.USAGE) from error
    if not isinstance(made, logging.Handler):
        raise CommandFailed(f"--logger {name}: it returned {made!r}, which is no logging.Handler", Exit.USAGE)
    return made


def begin(settings: Settings) -> logging.Handler:
    """Log as `settings` say; a handler of the program's that has a formatter keeps it. Raises CommandFailed."""
    handler = _handler(settings)
    if handler.formatter is None:
        text = _SYSLOG if settings.syslog else _TEXT
        handler.setFormatter(JSONFormatter() if settings.log_format == "json" else logging.Formatter(text))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(_level(settings))
    logging.captureWarnings(True)
    return handler


def _handler(settings: Settings) -> logging.Handler:
    if settings.logger is not None:
        return to_handler(settings.logger)
    if settings.syslog:
        return to_syslog(settings.prefix)
    if settings.logfile is not None:
        return to_file(settings.logfile)
    if settings.daemon:
        return LogFile(os.path.join(settings.rundir or "", _DAEMONS_LOG))
    return logging.StreamHandler()


def _level(settings: Settings) -> int:
    if settings.log_level is not None:
        return _LEVELS[settings.log_level.lower()]
    least = 1 if settings.daemon else 0
    return (logging.WARNING, logging.INFO, logging.DEBUG)[min(max(settings.verbose, least), 2)]
