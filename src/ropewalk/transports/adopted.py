"""Sockets that others have made: inherited from a parent or a service manager, or received over a UNIX socket.

The number is duplicated: who gave it closes its own. (O_NONBLOCK, which is set, belongs to the socket itself, so the
giver's copy gets it, too.)
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from ropewalk.interfaces import Kit, Loop
from ropewalk.transports.address import UNIX
from ropewalk.transports.channel import SocketChannel
from ropewalk.transports.listener import Listener
from ropewalk.transports.tcp import Port, Server
from ropewalk.transports.udp import UDPPort

_INTERNET = (socket.AF_INET, socket.AF_INET6)
_FAMILIES = {int(family): family.name for family in socket.AddressFamily if family in (*_INTERNET, UNIX)}
_TYPES = {int(kind): kind.name for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)}
_BACKLOG = 50   # of a socket that does not listen yet


def adopt_port(loop: Loop, fd: int, family: int, factory: Any) -> Listener:
    """The port, not started yet, of the listening socket `fd`. Raises as socket_of() does."""
    channel = socket_of(fd, family, socket.SOCK_STREAM, loop.kit)
    with _closed_on_error(channel):
        _listen(channel, fd)
        name = channel.getsockname()
        port: Listener
        if family == UNIX:
            from ropewalk.transports.unix import UNIXPort

            port = loop.kit.variant(UNIXPort)(loop, name, factory, _BACKLOG, _mode_of(name), False, channel)
        else:
            port = loop.kit.variant(Port)(loop, name[1], factory, _BACKLOG, name[0], channel)
    channel.attach(loop, port)
    return port


def adopt_connection(loop: Loop, fd: int, family: int, factory: Any) -> None:
    """Start the protocol that `factory` builds for the connected socket `fd`. Raises as socket_of() does."""
    channel = socket_of(fd, family, socket.SOCK_STREAM, loop.kit)
    with _closed_on_error(channel):
        peer = channel.getpeername()
        protocol = factory.buildProtocol(loop.kit.address("TCP" if family in _INTERNET else "STREAM", family, peer))
    if protocol is None:
        socket.socket.close(channel)
        return
    stream: Any
    if family == UNIX:
        from ropewalk.transports.unix import UNIXServer

        stream = loop.kit.variant(UNIXServer)(loop, channel, peer)
    else:
        stream = loop.kit.variant(Server)(loop, channel, family, peer)
    channel.attach(loop, stream)
    stream.start(protocol)


def adopt_datagram_port(loop: Loop, fd: int, family: int, protocol: Any, maxPacketSize: int) -> UDPPort:
    """The port, not started yet, of the bound UDP socket `fd`. Raises as socket_of() does."""
    if family not in _INTERNET:
        _unsupported(family, _INTERNET, loop.kit)
    channel = socket_of(fd, family, socket.SOCK_DGRAM, loop.kit)
    with _closed_on_error(channel):
        name = channel.getsockname()
        port = loop.kit.variant(UDPPort)(loop, name[1], protocol, name[0], maxPacketSize, channel)
        with contextlib.suppress(OSError):   # it is not connected
            port.peer = channel.getpeername()[:2]
    channel.attach(loop, port)
    return port


def socket_of(fd: int, family: int, kind: int, kit: Kit) -> SocketChannel:
    """A channel, not yet attached, over a duplicate of the socket `fd`.

    family, kind: AF_* and SOCK_*, what the socket must be. Raises UnsupportedAddressFamily or UnsupportedSocketType,
    OSError if `fd` is no open socket.
    """
    if family not in _FAMILIES:
        _unsupported(family, _FAMILIES, kit)
    copy = socket.dup(fd)
    try:
        channel = SocketChannel(fileno=copy)
    except BaseException:   # it is no socket
        socket.close(copy)
        raise
    with _closed_on_error(channel):
        _check(channel, fd, family, kind, kit)
        channel.setblocking(False)
    return channel


@contextlib.contextmanager
def _closed_on_error(channel: SocketChannel) -> Iterator[None]:
    try:
        yield
    except BaseException:
        socket.socket.close(channel)
        raise


def _mode_of(name: str | bytes) -> int:
    """The permissions of the socket `name`, which it has again if it is bound again; 0 if it is no file."""
    try:
        return stat.S_IMODE(os.stat(name).st_mode)
    except (OSError, ValueError):   # removed, or abstract
        return 0


def _listen(channel: SocketChannel, fd: int) -> None:
    """Whoever made the socket may have left that to us."""
    if hasattr(socket, "SO_ACCEPTCONN") and channel.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return
    try:
        channel.listen(_BACKLOG)
    except OSError as error:
        text = f"socket {fd} cannot listen: {error.strerror} (it may be a connection: see adoptStreamConnection)"
        raise OSError(error.errno, text) from error


def _check(channel: SocketChannel, fd: int, family: int, kind: int, kit: Kit) -> None:
    wrong: Exception
    if channel.family != family:
        text = f"socket {fd} is of the family {_FAMILIES.get(channel.family, channel.family)}, not {_FAMILIES[family]}"
        wrong = kit.error.UnsupportedAddressFamily(text)
        raise wrong
    if channel.type != kind:
        text = f"socket {fd} is of the type {_TYPES.get(channel.type, channel.type)}, not {_TYPES[kind]}"
        wrong = kit.error.UnsupportedSocketType(text)
        raise wrong


def _unsupported(family: Any, supported: Iterable[int], kit: Kit) -> NoReturn:
    names = ", ".join(_FAMILIES[int(one)] for one in supported)
    wrong: Exception = kit.error.UnsupportedAddressFamily(f"{family!r} is none of these families: {names}")
    raise wrong
