"""Starting a program in a child process, with exactly the descriptors that are asked for.

Two ways, and launch() decides:
* subprocess.Popen, wherever it can say what is wanted: it leaves the parent by vfork and its child runs no Python.
* One os.fork of ours, for what Popen has no words for: a descriptor under another number than 0, 1 and 2, one of these
  closed, a controlling terminal, signals that are blocked here, or ignored where handled() cannot help.

A program inherits what its parent ignores (nohup and a shell's & ignore some signals), but not what its parent handles;
so the main thread, which alone may, handles those signals, by doing nothing, while Popen is at work. SIGCHLD is left
alone: whether it is ignored decides who reaps.

What our child may do between fork and exec. Of the threads only the one that forked is there, and the locks that
others held stay locked for ever. So it imports, logs and allocates nothing on purpose, runs no finalizer (the garbage
collector is off) and no signal handler (every signal is blocked before the fork, and their handlers are gone before
they are let in). What can be prepared is prepared before; what is left is system calls, in this order: a session and
its terminal, descriptors, folder, groups and user, signals, exec.

A failure of any of these is the parent's OSError: the child sends it over a pipe that exec closes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import os
import pwd
import signal
import subprocess
import termios
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, NoReturn

from ropewalk.transports.order import Order

_NOBODY = 2**32 - 1   # as (uid_t)-1, which means "leave it"
_HANDLEABLE = [int(number) for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}]
# Those that shells (nohup, &) and programs ignore, but for SIGPIPE and SIGXFSZ, which Popen restores; to ask for every
# signal would cost a fifth of a spawn.
_MAY_BE_IGNORED = [
    int(getattr(signal, f"SIG{name}"))
    for name in ("HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM", "CHLD", "TSTP", "TTIN", "TTOU")
]
_TO_HANDLE = set(_MAY_BE_IGNORED) - {int(signal.SIGCHLD)}


class Identity(NamedTuple):
    """Whom the program runs as."""

    uid: int
    gid: int
    groups: list[int]

    @classmethod
    def of(cls, uid: int | None, gid: int | None) -> Identity | None:
        """What is asked for; None if that is what we are. A user has the further groups that the system says.

        Raises TypeError for what is no number, ValueError for a number that can be nobody's.
        """
        for number in (uid, gid):
            if not isinstance(number, int | None):
                raise TypeError(f"a uid or gid is a number, not {number!r}: see pwd.getpwnam and grp.getgrnam")
        wanted = os.geteuid() if uid is None else uid, os.getegid() if gid is None else gid
        if not all(0 <= number < _NOBODY for number in wanted):
            raise ValueError(f"a uid or gid is a number from 0 to {_NOBODY - 1}: not {uid}, {gid}")
        if wanted == (os.geteuid(), os.getegid()):
            return None
        try:
            name = pwd.getpwuid(wanted[0]).pw_name
        except KeyError:   # a number without a name has no groups but its own
            return cls(*wanted, [wanted[1]])
        return cls(*wanted, os.getgrouplist(name, wanted[1]))


identity = Identity.of


def launch(order: Order) -> int:
    """Start what is ordered; the number of the child, which is the caller's to wait for.

    Returns when the program has replaced the child. Raises OSError, whose errno, and file name where one is at fault,
    say why it could not.
    """
    with _one_at_a_time:   # the signals and the collector, changed and put back on the way, are the whole process's
        return _launch(order)


def _launch(order: Order) -> int:
    if not _popen_can(order):
        return _fork(order)
    ignored = [number for number in _MAY_BE_IGNORED if signal.getsignal(number) is signal.SIG_IGN]
    if not ignored:
        return _popen(order)
    if threading.current_thread() is not threading.main_thread() or not _TO_HANDLE.issuperset(ignored):
        return _fork(order)
    with _handled(ignored):
        return _popen(order)


@contextlib.contextmanager
def _handled(ignored: Iterable[int]) -> Iterator[None]:
    """These signals, which are ignored, are handled by doing nothing, meanwhile."""
    try:
        for number in ignored:
            signal.signal(number, lambda number, frame: None)
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


def _popen_can(order: Order) -> bool:
    given = order.descriptors
    return (
        not order.terminal
        and {0, 1, 2} <= given.keys()
        and all(number == ours for number, ours in given.items() if number > 2)
        and not signal.pthread_sigmask(signal.SIG_BLOCK, ())
    )


def _popen(order: Order) -> int:
    given = order.descriptors
    uid, gid, groups = order.identity or (None, None, None)
    try:
        started = _Started(
            order.args,
            executable=order.executable,
            stdin=given[0],
            stdout=given[1],
            stderr=given[2],
            pass_fds=[number for number in given if number > 2],
            env=order.env,
            cwd=order.path,
            user=uid,
            group=gid,
            extra_groups=groups,
        )
    except OSError as error:
        if error.errno == errno.EPERM and order.identity is not None:
            raise _identity_error(error.errno, order.identity) from None
        raise _with_text(error) from None
    return started.pid


class _Started(subprocess.Popen[bytes]):
    """A child that subprocess starts, and never waits for: its number may be another's by then."""

    def __del__(self, *_: object) -> None:
        pass


def _with_text(error: OSError) -> OSError:
    """`error` with the name of its file as text."""
    if isinstance(error.filename, bytes):
        error.filename = os.fsdecode(error.filename)
    return error


def _identity_error(number: int, identity: Identity) -> OSError:
    text = f"{os.strerror(number)}: to run as user {identity.uid} and group {identity.gid} needs root"
    return OSError(number, text)


# -- a fork of ours


def _fork(order: Order) -> int:
    heard, told = os.pipe()
    try:
        try:
            far = fcntl.fcntl(told, fcntl.F_DUPFD_CLOEXEC, max(order.descriptors, default=2) + 1)
        finally:
            os.close(told)
        try:
            pid = _forked(order, _programs(order), far)
        finally:
            os.close(far)
        answer = os.read(heard, 64)
    finally:
        os.close(heard)
    if answer:
        _wait_for(pid)
        raise _failed(order, *map(int, answer.split()))
    return pid


def kill(pid: int) -> None:
    """End a child that was started, and of which nobody will hear."""
    os.kill(pid, signal.SIGKILL)
    _wait_for(pid)


def _wait_for(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):   # somebody else has reaped it, or the system (SIGCHLD is ignored)
        os.waitpid(pid, 0)


def _programs(order: Order) -> list[bytes]:
    """The files to try."""
    if b"/" in order.executable:
        return [order.executable]
    folders = os.get_exec_path(order.env)  # type: ignore[arg-type]   # it takes bytes, too
    return [os.path.join(os.fsencode(folder), order.executable) for folder in folders]


def _failed(order: Order, step: int, number: int) -> OSError:
    if step == _IDENTITY and order.identity is not None:
        return _identity_error(number, order.identity)
    culprit = {_FOLDER: order.path, _EXEC: order.executable}.get(step)
    if culprit is None:
        return OSError(number, os.strerror(number))
    return OSError(number, os.strerror(number), os.fsdecode(culprit))


def _forked(order: Order, programs: list[bytes], told: int) -> int:
    env = dict(os.environb) if order.env is None else order.env
    reset = [number for number in _HANDLEABLE if signal.getsignal(number) is not signal.SIG_DFL]
    with _fit_to_fork():
        pid = os.fork()
        if pid == 0:
            _child(order, programs, env, reset, told)
    return pid


@contextlib.contextmanager
def _fit_to_fork() -> Iterator[None]:
    """Nothing but what the caller does can happen in the child: no finalizer, no handler, no warning."""
    collects = gc.isenabled()
    gc.disable()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        with warnings.catch_warnings():
            # Python warns of a fork beside other threads; this file opens with why it may.
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if collects:
            gc.enable()


_one_at_a_time = threading.Lock()


def _after_fork_in_child() -> None:
    """The program forked, while another thread may have held the lock."""
    global _one_at_a_time
    _one_at_a_time = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)


_SESSION, _DESCRIPTORS, _FOLDER, _IDENTITY, _SIGNALS, _EXEC = range(6)


def _child(order: Order, programs: list[bytes], env: dict[bytes, bytes], reset: Iterable[int], told: int) -> NoReturn:
    step = _SESSION
    number = 0
    try:
        if order.terminal:
            os.setsid()
            fcntl.ioctl(order.descriptors[0], termios.TIOCSCTTY, 0)
        step = _DESCRIPTORS
        _place(order.descriptors, told)
        step = _FOLDER
        if order.path is not None:
            os.chdir(order.path)
        step = _IDENTITY
        if order.identity is not None:
            os.setgroups(order.identity.groups)
            os.setregid(order.identity.gid, order.identity.gid)
            os.setreuid(order.identity.uid, order.identity.uid)
        step = _SIGNALS
        for one in reset:
            signal.signal(one, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        step = _EXEC
        number = _exec(programs, order.args, env)
    except OSError as error:
        number = error.errno or errno.EIO
    except BaseException:
        number = errno.EINVAL
    finally:
        try:
            os.write(told, b"%d %d" % (step, number))
        finally:
            os._exit(127)


def _place(descriptors: Mapping[int, int], told: int) -> None:
    """Put each where it belongs, and close every other but `told`, which is above them all."""
    apart = {number: fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, told) for number, ours in descriptors.items()}
    begin = 0
    for number in sorted(descriptors):
        os.dup2(apart[number], number, inheritable=True)
        _close_from(begin, number)
        begin = number + 1
    _close_from(begin, told)
    _close_from(told + 1, os.sysconf("SC_OPEN_MAX"))


def _close_from(begin: int, end: int) -> None:
    if begin < end:   # os.closerange(0, 0) is close_range(0, -1): it closes everything
        os.closerange(begin, end)


def _exec(programs: list[bytes], args: list[bytes], env: dict[bytes, bytes]) -> int:
    """Become the first of `programs` that is there; why not, as an errno."""
    found = 0
    for program in programs:
        try:
            os.execve(program, args, env)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                found = found or error.errno or errno.EIO
    return found or errno.ENOENT
