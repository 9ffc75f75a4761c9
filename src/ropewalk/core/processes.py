"""What a program starts: the reactor's spawnProcess."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ropewalk.core.loop import Loop
from ropewalk.transports.missing import missing

if TYPE_CHECKING:
    from ropewalk.transports.process import Process

_NOTHING: Mapping[Any, Any] = {}


class Processes(Loop):
    """Twisted's IReactorProcess."""

    transports: set[Any]
    nameResolver: Any

    def spawnProcess(
        self,
        processProtocol: Any,
        executable: str | bytes,
        args: Sequence[str | bytes] = (),
        env: Mapping[Any, Any] | None = _NOTHING,
        path: str | bytes | None = None,
        uid: int | None = None,
        gid: int | None = None,
        usePTY: bool | tuple[int, int, str] = False,
        childFDs: Mapping[int, int | str] | None = None,
    ) -> Process:
        """Start a program in a child process.

        processProtocol: an IProcessProtocol, which is told of everything that happens; may be None if there are no
        pipes and no terminal. executable: the program's path, or a name that is looked for in env's PATH; args: its
        arguments, its own name first (none: that alone); env: its environment (None: ours; {}, the default: empty;
        on Windows, where few programs work without SYSTEMROOT, it is added to ours); path: the folder that it
        starts in (None: ours); uid, gid: whom it runs as, which takes root (None: as we do).
        usePTY: whether to start it in a new pseudo terminal; or (master, slave, name) of one to start it in, which
        then belongs to the reactor. childFDs: what is open in the child, and nothing else is: by number 'r' (we
        read it from a pipe), 'w' (we write it) or a descriptor of ours that it gets; None: 0 is 'w', 1 and 2 are
        'r'.

        Returns the IProcessTransport, when the program has been started: makeConnection() has been called. Raises
        OSError if it could not, as FileNotFoundError, PermissionError (not executable, or a user that we may not
        become) or with EMFILE, where Twisted would start a child that exits with 1, which a program may do, too.
        Raises ValueError and TypeError for arguments that make no sense. Other exceptions of the protocol's are
        logged.
        """
        from ropewalk.transports.process import spawn

        if not usePTY:
            return spawn(self, processProtocol, executable, args, env, path, uid, gid, childFDs)
        if childFDs is not None:
            raise ValueError("a child in a terminal has that as 0, 1 and 2: usePTY and childFDs exclude each other")
        if not hasattr(os, "openpty"):
            raise ValueError(f"usePTY: {missing('pseudo terminals')}")
        from ropewalk.transports.terminal_process import spawn_in_terminal

        terminal = usePTY if isinstance(usePTY, tuple | list) else None
        return spawn_in_terminal(self, processProtocol, executable, args, env, path, uid, gid, terminal)
