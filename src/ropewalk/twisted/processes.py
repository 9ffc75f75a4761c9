"""Child processes: Twisted's own objects, since its programs know what these do when a program cannot be started.

Their pipes are readers and writers of our reactor. Twisted learns of the end of children by SIGCHLD, in the main thread
alone and only while its handlers are installed; here each child is watched as ours are (see transports.reaper).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet import process

from ropewalk.transports.reaper import watch

_WARNING = 30   # logging's level


def spawn(reactor: Any, proto: Any, executable: Any, args: Any, env: Any, path: Any, uid: Any, gid: Any,
          usePTY: Any, childFDs: Any) -> Any:   # fmt: skip
    """Start a program; the arguments are those of spawnProcess(). Raises what Twisted's does."""
    if usePTY:
        if childFDs is not None:
            raise ValueError("a child in a terminal has that as 0, 1 and 2: usePTY and childFDs exclude each other")
        child = process.PTYProcess(reactor, executable, args, env, path, proto, uid, gid, usePTY)
    else:
        child = process.Process(reactor, executable, args, env, path, proto, uid, gid, childFDs)
    pid = child.pid
    if process.reapProcessHandlers.get(pid) is child:   # else it has ended already
        watch(reactor, pid, partial(_exited, reactor, pid, child))
    return child


def _exited(reactor: Any, pid: int, child: Any, status: int | None) -> None:
    if process.reapProcessHandlers.get(pid) is not child:   # Twisted has seen it itself, when its pipes were closed
        return
    if status is None:
        reactor.kit.log(_WARNING, f"{child!r}: somebody else has reaped it; how it ended is not known")
        return
    process.unregisterReapProcessHandler(pid, child)
    child.processEnded(status)
