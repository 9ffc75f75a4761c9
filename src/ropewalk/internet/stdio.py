"""Standard input and output as a transport. Names and arguments are those of twisted.internet.stdio.

Each of the two may be a pipe, a terminal, a socket or a file. None is made non-blocking for the other processes that
use it. When the connection is over, both are closed, and lead to /dev/null then: print to standard error.
"""

from __future__ import annotations

import sys
from typing import Any

from ropewalk.internet.address import PipeAddress
from ropewalk.internet.base import current
from ropewalk.transports.stdio import StandardStream

__all__ = ["PipeAddress", "StandardIO"]


class StandardIO(StandardStream):
    """Connects `proto`, a protocol, to standard input and output; there is no factory and no port.

    stdin, stdout: the descriptors to read and to write instead, which belong to this object then; they may be the same.
    reactor: None for the one that runs in this thread, else the installed one. Raises OSError, for a descriptor that is
    not open.

    connectionLost() comes at the end of the input, unless the protocol is half-closeable (readConnectionLost,
    writeConnectionLost), and when nobody reads the output any more; see StandardStream.
    """

    __slots__ = ()

    def __init__(self, proto: Any, stdin: int = 0, stdout: int = 1, reactor: Any = None) -> None:
        if stdout == 1 and sys.__stdout__ is not None and not sys.__stdout__.closed:
            sys.__stdout__.flush()   # what was printed before comes before
        super().__init__(current() if reactor is None else reactor, stdin, stdout)
        self.start(proto)

    def getPeer(self) -> PipeAddress:
        """Nothing that could be told from another one. Twisted's ITransport, as the next one."""
        return PipeAddress()

    def getHost(self) -> PipeAddress:
        """As getPeer()."""
        return PipeAddress()
