"""Endpoints: places to listen at and to connect to, as objects and as strings.

A string names the kind of endpoint and its arguments, each after a ':', in order or as key=value:

    tcp:8080:interface=127.0.0.1:backlog=50     to listen; tcp6 has '::' as its interface
    tcp:example.org:80:timeout=10               to connect; bindAddress= is the local address

A backslash takes the meaning from the character after it: interface=\\:\\:1. The table at the end has a parser for each
kind. Classes, names and strings are Twisted's.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from ropewalk.errors import ConnectingCancelledError, NoProtocol
from ropewalk.internet.defer import Deferred, execute, fail
from ropewalk.internet.failure import Failure
from ropewalk.internet.interfaces import (
    IConnector,
    IListeningPort,
    IProtocolFactory,
    IReactorTCP,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from ropewalk.internet.protocol import ClientFactory, Factory
from ropewalk.transports.race import ATTEMPT_DELAY

__all__ = [
    "HostnameEndpoint",
    "TCP4ClientEndpoint",
    "TCP4ServerEndpoint",
    "TCP6ClientEndpoint",
    "TCP6ServerEndpoint",
    "clientFromString",
    "connectProtocol",
    "quoteStringArgument",
    "serverFromString",
]

T = TypeVar("T")


# -- to listen


class _TCPServerEndpoint:
    """A TCP port of this machine."""

    def __init__(self, reactor: IReactorTCP, port: int, backlog: int, interface: str) -> None:
        self._reactor = reactor
        self._port = port
        self._backlog = backlog
        self._interface = interface

    def listen(self, protocolFactory: IProtocolFactory[Any]) -> Deferred[IListeningPort]:
        """Serve with the protocols of `protocolFactory`; a Deferred of the port, or of CannotListenError."""
        return execute(
            self._reactor.listenTCP, self._port, protocolFactory, backlog=self._backlog, interface=self._interface
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._interface or 'any'} port {self._port}>"


class TCP4ServerEndpoint(_TCPServerEndpoint):
    """A TCP port over IPv4.

    port: 0 for any free one; backlog: how many connections the system keeps waiting; interface: a literal address,
    '' for all.
    """

    def __init__(self, reactor: IReactorTCP, port: int, backlog: int = 50, interface: str = "") -> None:
        super().__init__(reactor, port, backlog, interface)


class TCP6ServerEndpoint(_TCPServerEndpoint):
    """A TCP port over IPv6; the arguments are those of TCP4ServerEndpoint."""

    def __init__(self, reactor: IReactorTCP, port: int, backlog: int = 50, interface: str = "::") -> None:
        super().__init__(reactor, port, backlog, interface)


# -- to connect


class _TCPClientEndpoint:
    """A TCP port of some host."""

    _family = socket.AF_UNSPEC
    _attempt_delay = ATTEMPT_DELAY

    def __init__(
        self,
        reactor: IReactorTCP,
        host: str,
        port: int,
        timeout: float = 30,
        bindAddress: tuple[str, int] | None = None,
    ) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._timeout = timeout
        self._bind_address = bindAddress

    def connect(self, protocolFactory: IProtocolFactory[T]) -> Deferred[T]:
        """Connect a protocol of `protocolFactory`; a Deferred of it, which fires after its connectionMade().

        It fails with the error of the attempt, with NoProtocol if the factory builds none, and with what
        buildProtocol() or connectionMade() raises. Cancelling it gives up: ConnectingCancelledError.
        """
        return _connect(
            protocolFactory,
            lambda factory: self._reactor.connectTCP(
                self._host,
                self._port,
                factory,
                timeout=self._timeout,
                bindAddress=self._bind_address,
                family=self._family,
                attemptDelay=self._attempt_delay,
            ),
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._host} port {self._port}>"


class TCP4ClientEndpoint(_TCPClientEndpoint):
    """A TCP port of a host with an IPv4 address.

    timeout: seconds for the whole attempt; bindAddress: the local (address, port).
    """

    _family = socket.AF_INET


class TCP6ClientEndpoint(_TCPClientEndpoint):
    """A TCP port of a host with an IPv6 address; the arguments are those of TCP4ClientEndpoint."""

    _family = socket.AF_INET6


class HostnameEndpoint(_TCPClientEndpoint):
    """A TCP port of a host by name, over whichever of its addresses answers first (RFC 8305).

    The arguments are those of TCP4ClientEndpoint. host: may be ASCII bytes. attemptDelay: seconds that the
    attempt at one address has before the next one starts; None for the RFC's quarter of a second.
    """

    def __init__(
        self,
        reactor: IReactorTCP,
        host: str | bytes,
        port: int,
        timeout: float = 30,
        bindAddress: tuple[str, int] | None = None,
        attemptDelay: float | None = None,
    ) -> None:
        name = host.decode("ascii") if isinstance(host, bytes) else host
        super().__init__(reactor, name, port, timeout, bindAddress)
        if attemptDelay is not None:
            self._attempt_delay = attemptDelay


def connectProtocol(endpoint: IStreamClientEndpoint, protocol: T) -> Deferred[T]:
    """Connect `protocol` itself to `endpoint`; a Deferred of it, as that of the endpoint's connect()."""
    factory = Factory()
    factory.noisy = False
    factory.buildProtocol = lambda addr: protocol  # type: ignore[method-assign]
    connected: Deferred[T] = endpoint.connect(factory)
    return connected


def _connect(factory: IProtocolFactory[T], start: Callable[[ClientFactory], IConnector]) -> Deferred[T]:
    """A Deferred of the protocol of `factory`, which `start` connects."""
    attempt = _Attempt(factory)
    try:
        start(attempt)
    except Exception:
        return fail()
    return attempt.connected


class _Attempt(ClientFactory, Generic[T]):
    """The client factory of a connect(): has the program's factory build, and tells the Deferred what comes of it."""

    noisy = False

    def __init__(self, factory: IProtocolFactory[T]) -> None:
        self.connected: Deferred[T] = Deferred(self._give_up)
        self._factory = factory
        self._connector: Any = None
        self._given_up = False

    def doStart(self) -> None:
        self._factory.doStart()

    def doStop(self) -> None:
        self._factory.doStop()

    def startedConnecting(self, connector: IConnector) -> None:
        self._connector = connector

    def buildProtocol(self, addr: Any) -> _Arriving[T] | None:
        try:
            protocol = self._factory.buildProtocol(addr)
            if protocol is None:
                raise NoProtocol(f"{self._factory!r} built none for the connection to {addr}")
        except Exception:
            self._fail(Failure())
            return None
        return None if self.connected.called else _Arriving(protocol, self.connected)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure[Any]) -> None:
        self._fail(reason)

    def clientConnectionLost(self, connector: IConnector, reason: Failure[Any]) -> None:
        # Of interest only if connectionMade() failed, so that nobody has the protocol yet.
        self._fail(reason)

    def _fail(self, reason: Failure[Any]) -> None:
        if not (self._given_up or self.connected.called):
            self.connected.errback(reason)

    def _give_up(self, connected: Deferred[Any]) -> None:
        self._given_up = True
        self._connector.disconnect()
        connected.errback(ConnectingCancelledError(self._connector.getDestination()))


class _Arriving(Generic[T]):
    """Stands in for a protocol until it has its transport, to learn when its connectionMade() has returned.

    For the transport it is the protocol from then on; who still holds this object reaches the protocol through it.
    """

    def __init__(self, protocol: T, connected: Deferred[T]) -> None:
        self._protocol: Any = protocol
        self._connected = connected

    def makeConnection(self, transport: Any) -> None:
        transport.protocol = self._protocol
        self._protocol.makeConnection(transport)
        if not self._connected.called:
            self._connected.callback(self._protocol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)


# -- strings


def serverFromString(reactor: Any, description: str) -> IStreamServerEndpoint:
    """The endpoint to listen at that `description` describes.

    Raises ValueError, which names the string, the place and the fault. Twisted's serverFromString.
    """
    return _parse(_SERVERS, reactor, description)


def clientFromString(reactor: Any, description: str) -> IStreamClientEndpoint:
    """The endpoint to connect to that `description` describes.

    Raises ValueError, which names the string, the place and the fault. Twisted's clientFromString.
    """
    return _parse(_CLIENTS, reactor, description)


def quoteStringArgument(argument: str) -> str:
    """`argument` so that it stands for itself in an endpoint string, whatever characters it has.

    Unlike Twisted's, it quotes '=' too, which would else make a positional argument one with a key.
    """
    return re.sub(r"([\\:=])", r"\\\1", argument)


class Argument(NamedTuple):
    """One argument of an endpoint string. at: where its value begins; key: None if it has none."""

    at: int
    key: str | None
    value: str


class Description:
    """An endpoint string, taken apart.

    text: the string; kind: the argument that names the kind; arguments: the others. Raises ValueError.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.kind, *self.arguments = self._split()

    def _split(self) -> list[Argument]:
        arguments = []
        at, key, value = 0, None, ""
        characters = iter(enumerate(self.text))
        for index, character in characters:
            if character == "\\":
                _, character = next(characters, (index, ""))
                if not character:
                    raise self.fault(index, "a backslash quotes the character after it, and there is none")
                value += character
            elif character == ":":
                arguments.append(Argument(at, key, value))
                at, key, value = index + 1, None, ""
            elif character == "=" and key is None:
                at, key, value = index + 1, value, ""
            else:
                value += character
        return [*arguments, Argument(at, key, value)]

    def fault(self, at: int, why: str) -> ValueError:
        """The error for a fault at the position `at`, counted from 0."""
        return ValueError(f"{self.text}: position {at}: {why}")

    def bind(self, *names: str) -> Values:
        """The values of the arguments `names`; one without a key takes the first name that is not taken yet."""
        values: dict[str, Argument] = {}
        for argument in self.arguments:
            name = argument.key
            if name is None:
                name = next((free for free in names if free not in values), None)
            if name is None:
                raise self.fault(argument.at, "one argument too many (a ':' that belongs to a value is written '\\:')")
            if name not in names:
                raise self.fault(argument.at, f"there is no argument {name!r}, but {', '.join(names)}")
            if name in values:
                raise self.fault(argument.at, f"{name} is given twice")
            values[name] = argument
        return Values(self, values)


class Values:
    """The values of a description's arguments by name; every method raises ValueError for one that is not right."""

    def __init__(self, description: Description, arguments: Mapping[str, Argument]) -> None:
        self._description = description
        self._arguments = arguments

    def text(self, name: str, default: str | None = None) -> str:
        """The text of `name`; `default` if it is not given, which is a fault without one."""
        argument = self._arguments.get(name)
        if argument is not None:
            return argument.value
        if default is None:
            raise self._description.fault(len(self._description.text), f"{name} is missing")
        return default

    def number(self, name: str, lowest: int, highest: int, default: int | None = None) -> int:
        """The number of `name`, from `lowest` to `highest`; `default` as for text()."""
        text = self.text(name, None if default is None else str(default))
        if re.fullmatch("[0-9]{1,20}", text) and lowest <= int(text) <= highest:
            return int(text)
        raise self.wrong(name, f"a number from {lowest} to {highest}")

    def seconds(self, name: str, default: float) -> float:
        """The seconds of `name`, decimals allowed."""
        text = self.text(name, str(default))
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
            return float(text)
        raise self.wrong(name, "a number of seconds")

    def wrong(self, name: str, wanted: str) -> ValueError:
        """The error for the value of `name`, which ought to be `wanted`."""
        argument = self._arguments[name]
        return self._description.fault(argument.at, f"{name} is to be {wanted}, not {argument.value!r}")


def _parse(parsers: Mapping[str, Callable[[Any, Description], T]], reactor: Any, text: str) -> T:
    description = Description(text)
    kind = description.kind
    if kind.key is not None or kind.value not in parsers:
        known = ", ".join(sorted(parsers))
        raise description.fault(
            0, f"this is no kind of endpoint that is known; there are: {known}{_tcp_forgotten(parsers, reactor, text)}"
        )
    return parsers[kind.value](reactor, description)


def _tcp_forgotten(parsers: Mapping[str, Callable[[Any, Description], T]], reactor: Any, text: str) -> str:
    """A hint, if `text` would be right with the kind before it; else ''."""
    meant = f"tcp:{text}"
    try:
        parsers["tcp"](reactor, Description(meant))
    except ValueError:
        return ""
    return f"; did you mean {meant}?"


def _tcp_server(reactor: Any, description: Description) -> IStreamServerEndpoint:
    values = description.bind("port", "interface", "backlog")
    interface = values.text("interface", "")
    endpoint = TCP6ServerEndpoint if ":" in interface else TCP4ServerEndpoint
    return endpoint(reactor, values.number("port", 0, 65535), values.number("backlog", 0, _LONGEST, 50), interface)


def _tcp6_server(reactor: Any, description: Description) -> IStreamServerEndpoint:
    values = description.bind("port", "interface", "backlog")
    return TCP6ServerEndpoint(
        reactor,
        values.number("port", 0, 65535),
        values.number("backlog", 0, _LONGEST, 50),
        values.text("interface", "::"),
    )


def _tcp_client(reactor: Any, description: Description) -> IStreamClientEndpoint:
    values = description.bind("host", "port", "timeout", "bindAddress")
    host = values.text("host")
    if not host:
        raise values.wrong("host", "a name or an address")
    port = values.number("port", 1, 65535)
    local = values.text("bindAddress", "")
    return HostnameEndpoint(reactor, host, port, values.seconds("timeout", 30.0), (local, 0) if local else None)


_LONGEST = 2**31 - 1   # listen(2) takes an int

_SERVERS: dict[str, Callable[[Any, Description], IStreamServerEndpoint]] = {
    "tcp": _tcp_server,
    "tcp6": _tcp6_server,
}
_CLIENTS: dict[str, Callable[[Any, Description], IStreamClientEndpoint]] = {
    "tcp": _tcp_client,
}
