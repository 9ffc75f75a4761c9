"""What behaviours of UNIX sockets need: a folder with short paths, and pairs of connected protocols."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from ropewalk.testing.features import require
from ropewalk.testing.peers import Client, Recorder, Server
from ropewalk.testing.rig import Rig


def need_unix_sockets() -> None:
    """Skip the behaviour on a system without UNIX sockets."""
    require("UNIX sockets")


def folder(rig: Rig) -> str:
    """A new folder with a path that leaves room in a socket's name; removed when the behaviour is over."""
    need_unix_sockets()
    made: str = rig.keep(_folder())
    return made


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    path = tempfile.mkdtemp(prefix="rw")
    try:
        yield path
    finally:
        shutil.rmtree(path)


def listen_unix(rig: Rig, make: Callable[[], Any] = Recorder, **arguments: Any) -> Any:
    """A UNIX port in a folder of its own, with a Server as its factory."""
    path = os.path.join(folder(rig), "port")
    return rig.reactor.listenUNIX(path, Server(make), **arguments)


def dial_unix(rig: Rig, path: str | bytes, make: Callable[[], Any] = Recorder, **arguments: Any) -> Client:
    """The factory of a connection to `path`."""
    factory = Client(make)
    rig.reactor.connectUNIX(path, factory, **arguments)
    return factory


async def unix_pair(
    rig: Rig, client: Callable[[], Any] = Recorder, server: Callable[[], Any] = Recorder
) -> tuple[Any, Any]:
    """The protocols of the two ends of a new connection: the client's and the server's."""
    port = listen_unix(rig, server)
    connected = await dial_unix(rig, port.getHost().name, client).connects()
    accepted = await port.factory.accepts()
    await port.stopListening()
    return connected, accepted
