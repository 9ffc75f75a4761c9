"""Starting a program on Windows, with no handles but those that are asked for.

Facts, and what they mean for us:
* A child inherits every inheritable handle, unless it is started with a list of handles: so the three that it gets are
  duplicated for it, and nothing else goes along. Only 0, 1 and 2 can be given: other numbers are the private business
  of a C library.
* A program gets one text, which it takes apart itself; most of them, and Python, by the rules of the C library:
  subprocess.list2cmdline.
* Without SYSTEMROOT few programs work, Python among them. So what is asked for is added to our environment, as Twisted
  does on Windows; names are the same in upper and lower case.
* It knows nothing of scripts: what is no program (ERROR_BAD_EXE_FORMAT) may name in its first line one that reads it.
* CTRL_BREAK can be sent to one child only if that is the head of a process group. Ctrl-C, typed by the user, does not
  reach such a child.
* A process's number is its own while somebody has a handle of it open. Ours is kept until its end has been told.
"""

from __future__ import annotations

import sys

assert sys.platform == "win32"   # type checkers pass over the rest on other systems

import _winapi
import errno
import msvcrt
import os
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack

from ropewalk.transports.order import Order

KILLED = 1   # the exit code of what is ended by force
_STANDARD = {0: "hStdInput", 1: "hStdOutput", 2: "hStdError"}
_LONGEST_LINE = 1024
_ENDINGS = ("", ".exe", ".com")

handles: dict[int, int] = {}
"""The handles of the children that were started and are not watched yet, by number."""


def identity(uid: int | None, gid: int | None) -> object:
    """Whom a child runs as: as we do. Raises ValueError if it is to be somebody else."""
    if uid is not None or gid is not None:
        raise ValueError(
            f"Windows has no uid and gid, so a child cannot run as {uid}, {gid}: start it by runas.exe, or as a service"
        )
    return None


def launch(order: Order) -> int:
    """Start what is ordered; the number of the child, whose handle is in `handles`.

    Raises OSError, with the name of the file that is at fault; ValueError for a descriptor that no child can get.
    """
    for number in order.descriptors:
        if number not in _STANDARD:
            raise ValueError(f"on Windows a child can be given the descriptors 0, 1 and 2, not {number}")
    env = _environment(order.env or {})
    program = _program(os.fsdecode(order.executable), env)
    folder = None if order.path is None else os.fsdecode(order.path)
    if folder is not None:
        os.scandir(folder).close()   # else the error would not say that it is the folder
    args = [os.fsdecode(arg) for arg in order.args]
    with ExitStack() as given:
        how = env, folder, _startup(order.descriptors, given)
        try:
            return _started(program, args, *how)
        except OSError as error:
            interpreter = _interpreter(program) if error.errno == errno.ENOEXEC else None
            if interpreter is None:
                raise
        return _started(interpreter, [interpreter, program, *args[1:]], *how)


def _started(
    program: str, args: list[str], env: dict[str, str], folder: str | None, startup: subprocess.STARTUPINFO
) -> int:
    command = subprocess.list2cmdline(args)
    inherits = bool(startup.lpAttributeList)
    flags = subprocess.CREATE_NEW_PROCESS_GROUP
    try:
        made = _winapi.CreateProcess(program, command, None, None, inherits, flags, env, folder, startup)
    except OSError as error:
        error.filename = program
        raise
    handle, thread, pid, _ = made
    _winapi.CloseHandle(thread)
    handles[pid] = handle
    return pid


def _interpreter(script: str) -> str | None:
    """The program that the first line of `script` names after #!, as Twisted has it on Windows; None if none does."""
    with open(script, "rb") as file:
        first = file.readline(_LONGEST_LINE)
    return os.fsdecode(first[2:].strip()) if first.startswith(b"#!") else None


def kill(pid: int) -> None:
    """End a child that was started, and of which nobody will hear."""
    handle = handles.pop(pid)
    _winapi.TerminateProcess(handle, KILLED)
    _winapi.CloseHandle(handle)


def _startup(descriptors: Mapping[int, int], given: ExitStack) -> subprocess.STARTUPINFO:
    """What the child gets as its standard handles: duplicates, which `given` closes."""
    startup = subprocess.STARTUPINFO(dwFlags=_winapi.STARTF_USESTDHANDLES)
    inherited = []
    for number, ours in descriptors.items():
        handle = _inheritable(msvcrt.get_osfhandle(ours))
        given.callback(_winapi.CloseHandle, handle)
        setattr(startup, _STANDARD[number], handle)
        inherited.append(handle)
    if inherited:
        startup.lpAttributeList = {"handle_list": inherited}
    return startup


def _inheritable(handle: int) -> int:
    us = _winapi.GetCurrentProcess()
    return _winapi.DuplicateHandle(us, handle, us, 0, True, _winapi.DUPLICATE_SAME_ACCESS)


def _environment(asked: Mapping[bytes, bytes]) -> dict[str, str]:
    return {**os.environ, **{os.fsdecode(name).upper(): os.fsdecode(value) for name, value in asked.items()}}


def _program(name: str, env: Mapping[str, str]) -> str:
    """The file to start; one without a folder is looked for in the child's PATH. Raises FileNotFoundError."""
    folders = [""] if os.path.basename(name) != name else env.get("PATH", "").split(os.pathsep)
    for folder in folders:
        for ending in _ENDINGS:
            path = os.path.join(folder, name) + ending
            if os.path.exists(path):
                return path
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
