"""Process 1 of a container: it starts the command in a child, passes signals on, and reaps what others leave behind.

* The kernel ignores a signal to process 1 that has no handler, and gives it every orphan to reap. A reactor waits for
  its own children one by one; only a parent that runs nothing else can wait for any child. So there are two.
* The signals are blocked, and taken one at a time by sigwaitinfo(2), which says where each came from. What a terminal
  sends (SI_KERNEL) the child has got as well, being in the same group: passed on, one Ctrl-C would be two.
* Process 1 cannot die by a signal that it sends itself: where the child did, the exit code is 128 + its number, as it
  is in shells.
"""

from __future__ import annotations

import os
import signal
import sys

assert sys.platform != "win32"

_FROM_KERNEL = 0x80   # SI_KERNEL
_NOT_PASSED_ON = {signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGTSTP}


def split() -> None:
    """Go on in a child; this process stays to look after it, and exits as that does."""
    signals = signal.valid_signals()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    child = os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    ended = None
    while ended is None:
        got = signal.sigwaitinfo(signals)
        if got.si_signo == signal.SIGCHLD:
            ended = _reap(child)
        elif got.si_signo not in _NOT_PASSED_ON and got.si_code != _FROM_KERNEL:
            os.kill(child, got.si_signo)
    os._exit(ended if ended >= 0 else 128 - ended)


def _reap(child: int) -> int | None:
    """Reap all that have ended; the exit code of `child` if that is one of them, as subprocess has it."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
