"""Endpoints: places to listen at and to connect to, as objects and as strings.

A string names the kind of endpoint and its arguments, each after a ':', in order or as key=value. To listen:

    tcp:8080:interface=127.0.0.1:backlog=50     tcp6 has '::' as its interface
    unix:/run/my.sock:mode=660:backlog=50       with a lock file, unless lockfile=0
    fd:7                                        the listening socket that this process inherited as descriptor 7
    systemd:name=http                           one that systemd passed, by FileDescriptorName= or by index=0
    ssl:443:privateKey=key.pem:certKey=cert.pem TLS by one certificate
    tls:/etc/tls:port=443                       TLS by the PEM files of a folder, each for its own hosts
    haproxy:tcp:8080                            any other, behind a proxy that speaks PROXY (version 1 or 2)
    stdio:                                      standard input and output: one connection, there at once

The family of such a socket is found out; with domain=INET, INET6 or UNIX it has to be that one. To connect:

    tcp:example.org:80:timeout=10               by any address of the name; bindAddress= is the local address
    tls:example.org:443:trustRoots=/my/cas      TLS; endpoint= is the way there (tcp: to that host and port)
    unix:/run/my.sock:timeout=10                checkPID=1 (or lockfile=1) fails at once if nobody holds the lock file

A backslash takes the meaning from the character after it: interface=\\:\\:1. The tables at the end have a parser for
each kind; other distributions may add kinds (see endpoint_plugins). Classes, names and strings are Twisted's, but fd:.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from ropewalk.internet import descriptors, endpoint_plugins, systemd
from ropewalk.internet.endpoint_classes import (
    AdoptedStreamServerEndpoint,
    HostnameEndpoint,
    StandardIOEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    TCP6ClientEndpoint,
    TCP6ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    connectProtocol,
)
from ropewalk.internet.endpoint_processes import ProcessEndpoint, StandardErrorBehavior
from ropewalk.internet.endpoint_strings import INT_MAX, Description, Values, quoteStringArgument
from ropewalk.internet.endpoint_tls import SSL4ClientEndpoint, SSL4ServerEndpoint, wrapClientTLS, wrapServerTLS
from ropewalk.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

__all__ = [
    "AdoptedStreamServerEndpoint",
    "HostnameEndpoint",
    "ProcessEndpoint",
    "SSL4ClientEndpoint",
    "SSL4ServerEndpoint",
    "StandardErrorBehavior",
    "StandardIOEndpoint",
    "TCP4ClientEndpoint",
    "TCP4ServerEndpoint",
    "TCP6ClientEndpoint",
    "TCP6ServerEndpoint",
    "UNIXClientEndpoint",
    "UNIXServerEndpoint",
    "clientFromString",
    "connectProtocol",
    "quoteStringArgument",
    "serverFromString",
    "wrapClientTLS",
    "wrapServerTLS",
]


def serverFromString(reactor: Any, description: str) -> IStreamServerEndpoint:
    """The endpoint to listen at that `description` describes.

    Raises ValueError, which names the string, the place and the fault. Twisted's serverFromString.
    """
    return _server(reactor, Description.of(description))


def clientFromString(reactor: Any, description: str) -> IStreamClientEndpoint:
    """The endpoint to connect to that `description` describes.

    Raises ValueError, which names the string, the place and the fault. Twisted's clientFromString.
    """
    endpoint: IStreamClientEndpoint = _parse(_CLIENTS, endpoint_plugins.CLIENT, reactor, Description.of(description))
    return endpoint


def _server(reactor: Any, description: Description) -> IStreamServerEndpoint:
    endpoint: IStreamServerEndpoint = _parse(_SERVERS, endpoint_plugins.SERVER, reactor, description)
    return endpoint


_Parser = Callable[[Any, Description], Any]


def _parse(
    parsers: Mapping[str, _Parser], side: endpoint_plugins.Side, reactor: Any, description: Description
) -> Any:
    kind = description.kind
    if kind.key is None and kind.value in parsers:
        return parsers[kind.value](reactor, description)
    others = endpoint_plugins.entry_points()
    if kind.key is None and kind.value in others:
        return endpoint_plugins.parse(others[kind.value], side, reactor, description)
    known = ", ".join(sorted({*parsers, *others}))
    hint = _tcp_forgotten(parsers, reactor, description)
    raise description.fault(kind.start, f"this is no kind of endpoint that is known; there are: {known}{hint}")


def _tcp_forgotten(parsers: Mapping[str, _Parser], reactor: Any, description: Description) -> str:
    """A hint, if the description would be right with the kind before it; else ''."""
    meant = description.with_kind("tcp")
    try:
        parsers["tcp"](reactor, meant)
    except ValueError:
        return ""
    return f"; did you mean {meant.text}?"


# -- to listen


def _tcp_server(reactor: Any, description: Description) -> IStreamServerEndpoint:
    values = description.bind("port", "interface", "backlog")
    interface = values.text("interface", "")
    endpoint = TCP6ServerEndpoint if ":" in interface else TCP4ServerEndpoint
    return endpoint(reactor, values.number("port", 0, 65535), values.backlog(), interface)


def _tcp6_server(reactor: Any, description: Description) -> IStreamServerEndpoint:
    values = description.bind("port", "interface", "backlog")
    return TCP6ServerEndpoint(
        reactor, values.number("port", 0, 65535), values.backlog(), values.text("interface", "::")
    )


def _unix_server(reactor: Any, description: Description) -> IStreamServerEndpoint:
    values = description.bind("address", "mode", "backlog", "lockfile")
    return UNIXServerEndpoint(
        reactor,
        values.filled("address", "a path"),
        values.backlog(),
        values.mode("mode", 0o666),
        values.switch("lockfile", True),
    )


def _fd_server(reactor: Any, description: Description) -> IStreamServerEndpoint:
    values = description.bind("descriptor", "domain")
    return _adopted(reactor, values, "descriptor", descriptors.take(values.number("descriptor", 0, INT_MAX)))


def _systemd_server(reactor: Any, description: Description) -> IStreamServerEndpoint:
    values = description.bind("domain", "index", "name")
    if "index" in values and "name" in values:
        raise values.fault("name", "one of index and name is to be given, not both")
    passed = _passed(description)
    chosen_by, descriptor = _chosen(values, passed)
    if passed.is_gone(descriptor):
        raise values.fault(chosen_by, f"descriptor {descriptor}, which systemd passed, was adopted or closed since")
    return _adopted(reactor, values, chosen_by, descriptor)


def _chosen(values: Values, passed: systemd.ListenFDs) -> tuple[str, int]:
    """The argument that says which descriptor, and that."""
    if "index" in values:
        descriptors = passed.inheritedDescriptors()
        return "index", descriptors[values.number("index", 0, len(descriptors) - 1)]
    if "name" in values:
        return "name", _called(values, passed)
    raise values.missing("name (or index)")


def _called(values: Values, passed: systemd.ListenFDs) -> int:
    name = values.text("name")
    called = passed.named(name)
    if not called:
        names = ", ".join(sorted(passed.inheritedNamedDescriptors())) or "none with a name"
        raise values.fault("name", f"systemd passed no descriptor that is called {name!r}, but {names}")
    if len(called) > 1:
        raise values.fault("name", f"systemd passed {len(called)} descriptors that are called {name!r}; use index")
    return called[0]


def _passed(description: Description) -> systemd.ListenFDs:
    """What systemd passed to this process; at least one descriptor."""
    at = description.kind.at
    try:
        passed = systemd.inherited()
    except ValueError as error:
        raise description.fault(at, f"systemd's variables are not right: {error}") from error
    if passed.inheritedDescriptors():
        return passed
    variables = ", ".join(f"{name} is {os.environ.get(name, 'not set')}" for name in ("LISTEN_PID", "LISTEN_FDS"))
    raise description.fault(at, f"systemd passed no descriptor to this process, {os.getpid()}: {variables}")


def _adopted(reactor: Any, values: Values, chosen_by: str, descriptor: int) -> IStreamServerEndpoint:
    """The endpoint of the socket that this process inherited as `descriptor`; only looked at until it is listened at.

    chosen_by: the argument that a fault of the socket is reported at.
    """
    try:
        family, kind = _family_and_type(descriptor)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise values.fault(chosen_by, f"descriptor {descriptor} cannot be listened at: {why}") from error
    if kind != socket.SOCK_STREAM or family not in _DOMAINS.values():
        what = f"{getattr(family, 'name', family)}, {getattr(kind, 'name', kind)}"
        raise values.fault(chosen_by, f"descriptor {descriptor} is no stream socket of {_DOMAIN_NAMES}, but {what}")
    if "domain" in values and values.text("domain") not in _DOMAINS:
        raise values.wrong("domain", _DOMAIN_NAMES)
    if "domain" in values and _DOMAINS[values.text("domain")] != family:
        raise values.fault("domain", f"descriptor {descriptor} is a socket of {family.name.removeprefix('AF_')}")
    return AdoptedStreamServerEndpoint(reactor, descriptor, family)


def _family_and_type(descriptor: int) -> tuple[socket.AddressFamily, socket.SocketKind]:
    looked_at = socket.socket(fileno=descriptor)
    try:
        return looked_at.family, looked_at.type
    finally:
        looked_at.detach()


def _stdio_server(reactor: Any, description: Description) -> IStreamServerEndpoint:
    if [argument.value for argument in description.arguments] not in ([], [""]):
        raise description.fault(description.arguments[0].start, "stdio takes no arguments")
    return StandardIOEndpoint(reactor)


def _haproxy_server(reactor: Any, description: Description) -> IStreamServerEndpoint:
    inner = description.inner()
    if (inner.kind.key, inner.kind.value) == (None, description.kind.value):
        raise description.fault(inner.kind.at, "what is behind a proxy cannot be behind another one")
    wrapped = _server(reactor, inner)
    from ropewalk.protocols.haproxy import proxyEndpoint  # few programs need it

    endpoint: IStreamServerEndpoint = proxyEndpoint(wrapped)
    return endpoint


# -- to connect


def _tcp_client(reactor: Any, description: Description) -> IStreamClientEndpoint:
    values = description.bind("host", "port", "timeout", "bindAddress")
    host = values.filled("host", "a name or an address")
    port = values.number("port", 1, 65535)
    local = values.text("bindAddress", "")
    return HostnameEndpoint(reactor, host, port, values.seconds("timeout", 30.0), (local, 0) if local else None)


def _unix_client(reactor: Any, description: Description) -> IStreamClientEndpoint:
    values = description.bind("path", "timeout", "checkPID", "lockfile")
    if "checkPID" in values and "lockfile" in values:
        raise values.fault("lockfile", "lockfile is another word for checkPID, which is given too")
    path = values.filled("path", "a path")
    check = "lockfile" if "lockfile" in values else "checkPID"   # Twisted's strings say lockfile
    return UNIXClientEndpoint(reactor, path, values.seconds("timeout", 30.0), values.switch(check, False))


def _tls_parser(name: str) -> _Parser:
    """The parser of that name in a module that imports ssl and more, which few programs need."""

    def parse(reactor: Any, description: Description) -> Any:
        from ropewalk.internet import endpoint_tls_strings

        return getattr(endpoint_tls_strings, name)(reactor, description)

    return parse


_DOMAINS = {
    name: getattr(socket, f"AF_{name}") for name in ("INET", "INET6", "UNIX") if hasattr(socket, f"AF_{name}")
}
_DOMAIN_NAMES = " or ".join(_DOMAINS)

_SERVERS: dict[str, _Parser] = {
    "fd": _fd_server,
    "haproxy": _haproxy_server,
    "ssl": _tls_parser("ssl_server"),
    "stdio": _stdio_server,
    "systemd": _systemd_server,
    "tcp": _tcp_server,
    "tcp6": _tcp6_server,
    "tls": _tls_parser("tls_server"),
    "unix": _unix_server,
}
_CLIENTS: dict[str, _Parser] = {
    "ssl": _tls_parser("ssl_client"),
    "tcp": _tcp_client,
    "tls": _tls_parser("tls_client"),
    "unix": _unix_client,
}
