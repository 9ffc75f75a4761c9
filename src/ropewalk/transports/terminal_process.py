"""A child process in a pseudo terminal, on Unix."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from ropewalk.interfaces import READ, Loop
from ropewalk.transports.launch import identity, launch
from ropewalk.transports.order import Order, Text
from ropewalk.transports.pipe import PipeChannel
from ropewalk.transports.process import Process, needs_protocol, stream_over


class PTYProcess(Process):
    """A child process in a pseudo terminal, whose master is one stream for both directions, as descriptor 1.

    Only the whole terminal can be closed: loseConnection() does, and hangs the child up. What is unsent then is
    dropped when the child has exited.
    """

    input = 1

    def writeToChild(self, childFD: int, data: bytes) -> None:
        """Write to the terminal, which is the child's 0, 1 and 2. Raises KeyError for another one."""
        if childFD not in (0, 1, 2):
            raise KeyError(f"{self!r} has no descriptor {childFD}: it is in a terminal")
        self.write(data)

    def closeChildFD(self, descriptor: int) -> None:
        """A terminal has no single descriptors to close: nothing happens. As Twisted's."""

    def loseConnection(self) -> None:
        """Close the terminal, when what was written has been sent or the child has exited: it gets SIGHUP."""
        stream = self.pipes.get(self.input)
        if stream is None:
            return
        if self.pid is None:   # the end of who else may read it is nothing that select would tell
            stream.abortConnection()
        else:
            stream.loseConnection()

    def _exited(self, status: int | None) -> None:
        stream = self.pipes.get(self.input)
        super()._exited(status)
        if stream is not None and stream.disconnecting:
            stream.abortConnection()

    def fileno(self) -> int:
        """The descriptor of the terminal's master, by which its size can be set; -1 when it is closed."""
        stream = self.pipes.get(self.input)
        return -1 if stream is None else stream.channel.reader


def spawn_in_terminal(
    loop: Loop,
    proto: Any,
    executable: Text,
    args: Sequence[Text],
    env: Mapping[Text, Text] | None,
    path: Text | None,
    uid: int | None,
    gid: int | None,
    terminal: tuple[int, int, str] | None,
) -> PTYProcess:
    """Start a child process in a terminal, as spawn().

    terminal: master, slave and name of the one to use, which belong to the process then; None to open one.
    """
    needs_protocol(proto)
    with ExitStack() as ours:
        with ExitStack() as theirs:
            if terminal is None:
                master, slave = os.openpty()
                theirs.callback(os.close, slave)
                stream = stream_over(loop, PipeChannel(master, master))
                ours.callback(stream.channel.close)
            else:
                master, slave, _ = terminal
                stream = stream_over(loop, PipeChannel(master, master))
                ours.callback(stream.channel.leave)
            stream.channel.want(READ)
            given = dict.fromkeys((0, 1, 2), slave)
            order = Order.of(executable, args, env, path, identity(uid, gid), given, terminal=True)
            pid = launch(order)
        process = PTYProcess(loop, proto, order.executable, pid)
        ours.pop_all()
    if terminal is not None:
        os.close(slave)
    os.set_blocking(master, False)
    process.connect({process.input: stream})
    return process
