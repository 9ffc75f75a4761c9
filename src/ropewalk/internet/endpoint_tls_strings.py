"""The endpoint strings of TLS: ssl: and tls:, to listen and to connect. Kinds, arguments and their order are Twisted's.

The files that a string names are read when it is parsed, so what is wrong with them is a fault of the string, too.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Iterator
from typing import Any

from ropewalk.internet.endpoint_classes import HostnameEndpoint, TCP4ServerEndpoint, TCP6ServerEndpoint
from ropewalk.internet.endpoint_strings import Description, Values
from ropewalk.internet.endpoint_tls import SSL4ClientEndpoint, SSL4ServerEndpoint, wrapClientTLS, wrapServerTLS
from ropewalk.internet.endpoints import clientFromString
from ropewalk.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from ropewalk.internet.ssl import (
    CertificateOptions,
    ClientTLSOptions,
    DiffieHellmanParameters,
    PEMFolder,
    PrivateCertificate,
    TLSVersion,
    optionsForClientTLS,
)
from ropewalk.internet.ssl_files import private_certificate
from ropewalk.internet.ssl_names import server_name
from ropewalk.internet.ssl_trust import trust_root

_log = logging.getLogger("ropewalk.internet")

_KEY = "server.pem"   # in the working directory, as Twisted has it
# OpenSSL's names, which Twisted's strings have: the newest version that each of them allows.
_METHODS = {"TLS_METHOD": None, "SSLv23_METHOD": None, "TLSv1_2_METHOD": TLSVersion.TLSv1_2}
_PATHS = ("privateKey", "certKey", "extraCertChain", "dhParameters", "certificate", "trustRoots", "caCertsDir", "path")


@contextlib.contextmanager
def _faults(values: Values) -> Iterator[None]:
    """What is wrong with a file is a fault of the argument that names it."""
    try:
        yield
    except (OSError, ValueError) as error:   # CertificateError is one
        text = _said(error)
        named = [name for name in _PATHS if name in values and values.text(name) and values.text(name) in text]
        if not named:
            raise values.missing(f"a privateKey that can be used ({text})") from error
        raise values.fault(max(named, key=lambda name: len(values.text(name))), text) from error


def _said(error: Exception) -> str:
    """What `error` says; one of the system, with the file first."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {(error.strerror or str(error)).lower()}"
    return str(error)


# -- to listen


def ssl_server(reactor: Any, description: Description) -> IStreamServerEndpoint:
    """ssl:port:privateKey=...: by one certificate, over IPv4 unless `interface` is of IPv6."""
    values = description.bind(
        "port", "privateKey", "certKey", "sslmethod", "interface", "backlog", "extraCertChain", "dhParameters"
    )
    port, backlog = values.number("port", 0, 65535), values.backlog()
    options = _server_options(values)
    return SSL4ServerEndpoint(reactor, port, options, backlog, values.text("interface", ""))


def _server_options(values: Values) -> CertificateOptions:
    method = values.text("sslmethod", "TLS_METHOD")
    if method not in _METHODS:
        raise values.wrong("sslmethod", f"one of {', '.join(_METHODS)} (nothing below TLS 1.2 is spoken)")
    key = values.text("privateKey", _KEY)
    parameters = values.text("dhParameters", "")
    with _faults(values):
        shown = private_certificate(values.text("certKey", key), key, chain=values.text("extraCertChain", "") or None)
        options = CertificateOptions(
            shown.privateKey,
            shown,
            extraCertChain=shown.chain,
            dhParameters=DiffieHellmanParameters(parameters) if parameters else None,
            lowerMaximumSecurityTo=_METHODS[method],
        )
    try:
        options.getContext()
    except (OSError, ValueError) as error:   # the rest was good before
        raise values.fault("dhParameters", f"{parameters}: no parameters for Diffie-Hellman: {_said(error)}") from error
    return options


def tls_server(reactor: Any, description: Description) -> IStreamServerEndpoint:
    """tls:folder:port=443: by the PEM files of a folder, over IPv6, and IPv4 where the system says so."""
    values = description.bind("path", "port", "backlog", "interface")
    path = values.filled("path", "a folder of PEM files")
    port = values.number("port", 0, 65535, 443)
    interface = values.text("interface", "::")
    endpoint = TCP6ServerEndpoint if ":" in interface else TCP4ServerEndpoint
    with _faults(values):
        folder = PEMFolder(path)
    return wrapServerTLS(folder, endpoint(reactor, port, values.backlog(), interface))


# -- to connect


def tls_client(reactor: Any, description: Description) -> IStreamClientEndpoint:
    """tls:host:port: verifies that it is `host`; `endpoint` is the way there, if that is not TCP to host and port."""
    values = description.bind(
        "host", "port", "timeout", "bindAddress", "certificate", "privateKey", "trustRoots", "endpoint"
    )
    host = _host(values, "host")
    way = _way_there(reactor, values, host)
    if "privateKey" in values and "certificate" not in values:
        raise values.fault("privateKey", "a privateKey belongs to a certificate: give that, too")
    return wrapClientTLS(_client_options(values, host, "certificate", "trustRoots"), way)


def _way_there(reactor: Any, values: Values, host: str) -> IStreamClientEndpoint:
    if "endpoint" not in values:
        port = values.number("port", 1, 65535)
        return HostnameEndpoint(reactor, host, port, values.seconds("timeout", 30.0), _local(values))
    for name in ("timeout", "bindAddress"):
        if name in values:
            raise values.fault(name, f"{name} belongs to the endpoint that is given: write it there")
    if "port" in values:   # Twisted's strings need one, and make no use of it
        values.number("port", 1, 65535)
    try:
        return clientFromString(reactor, values.text("endpoint"))
    except ValueError as error:
        raise values.fault("endpoint", str(error)) from error


def ssl_client(reactor: Any, description: Description) -> IStreamClientEndpoint:
    """ssl:host:port: Twisted's older kind. Unlike there, it verifies that it is `hostname`, or else `host`."""
    values = description.bind(
        "host", "port", "timeout", "bindAddress", "hostname", "caCertsDir", "privateKey", "certKey"
    )
    host = values.filled("host", "a name or an address")
    port, timeout = values.number("port", 1, 65535), values.seconds("timeout", 30.0)
    if "privateKey" in values and "certKey" not in values:
        raise values.fault("privateKey", "a privateKey belongs to a certificate: give its certKey, too")
    name = _host(values, "hostname" if "hostname" in values else "host")
    options = _client_options(values, name, "certKey", "caCertsDir")
    _advise()
    return SSL4ClientEndpoint(reactor, host, port, options, timeout, _local(values))


@functools.cache
def _advise() -> None:
    """Say, once in a process, what is better than ssl:."""
    _log.warning(
        "the endpoint ssl:host:port is Twisted's older one: write tls:host:port, with certificate= for certKey=, and "
        "trustRoots= for caCertsDir=. The name of the server is verified in both"
    )


def _host(values: Values, name: str) -> str:
    """The name or address that the server has to prove."""
    host = values.filled(name, "a name or an address")
    try:
        server_name(host)
    except ValueError as error:
        raise values.fault(name, str(error)) from error
    return host


def _local(values: Values) -> tuple[str, int] | None:
    local = values.text("bindAddress", "")
    return (local, 0) if local else None


def _client_options(values: Values, host: str, certificate: str, roots: str) -> ClientTLSOptions:
    """certificate, roots: the arguments that name our certificate, and whom to trust."""
    mine: PrivateCertificate | None = None
    with _faults(values):
        if certificate in values:
            mine = private_certificate(values.text(certificate), values.text("privateKey", "") or None)
        trusted = trust_root(values.text(roots)) if roots in values else None
        return optionsForClientTLS(host, trusted, mine)
