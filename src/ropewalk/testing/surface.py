"""The surface: every method, argument and attribute of the interfaces, and which behaviours of the contract use it.

    python -m ropewalk.testing.surface [--reactor NAME] [--output FILE]

runs the contract on one reactor, measures what crosses the border between the engine and the program (see
ropewalk.testing.border), and writes the table as Markdown. An optional argument counts as used when it is given a value
other than its default. The exit status is 1 if a behaviour failed or something is used by none.
"""

from __future__ import annotations

import argparse
import inspect
import pkgutil
import sys
import unittest
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ropewalk.internet import interfaces, protocol
from ropewalk.internet import main as installation
from ropewalk.internet.base import ReactorBase
from ropewalk.testing import contract
from ropewalk.testing.border import Part, Row, Watch, programs_own
from ropewalk.testing.rig import Rig

_NAMED = 2   # behaviours that a row of the table names
_PROGRAM = "the program"
_NO_INTERFACE = "(none)"

_REACTOR = ["ropewalk.core.reactor:Reactor"]
_TCP = ["ropewalk.transports.tcp:TCPStream"]
_UNIX = ["ropewalk.transports.unix:UNIXStream"]
_STREAM = ["ropewalk.transports.stream:Stream"]
_UDP_PORT = ["ropewalk.transports.udp:UDPPort"]
_PROCESS = ["ropewalk.transports.process:Process"]
_DATAGRAMS = "ropewalk.transports.unix_datagram"
_ENDPOINTS = "ropewalk.internet.endpoints"

# What programs call: each interface, what has it, and the classes of the engine's that those objects are of.
PROVIDED = [
    ("IReactorCore", "the reactor", _REACTOR),
    ("IReactorTime", "the reactor", [*_REACTOR, "ropewalk.core.timers:Timers"]),
    ("IReactorThreads", "the reactor", _REACTOR),
    ("IReactorFDSet", "the reactor", _REACTOR),
    ("IReactorPluggableResolver", "the reactor", _REACTOR),
    ("IReactorPluggableNameResolver", "the reactor", _REACTOR),
    ("IReactorTCP2", "the reactor", _REACTOR),
    ("IReactorSSL", "the reactor", _REACTOR),
    ("IReactorUDP", "the reactor", _REACTOR),
    ("IReactorMulticast", "the reactor", _REACTOR),
    ("IReactorUNIX", "the reactor", _REACTOR),
    ("IReactorUNIXDatagram", "the reactor", _REACTOR),
    ("IReactorSocket", "the reactor", _REACTOR),
    ("IReactorProcess", "the reactor", _REACTOR),
    ("IDelayedCall", "a delayed call", ["ropewalk.core.timers:DelayedCall"]),
    ("IResolverSimple", "the resolver", ["ropewalk.transports.resolver:FirstAddress"]),
    (
        "IHostnameResolver",
        "the resolver",
        ["ropewalk.transports.resolver:ThreadedResolver", "ropewalk.transports.resolver:FromSimple"],
    ),
    ("IHostResolution", "the resolver", ["ropewalk.transports.resolver:HostResolution"]),
    (
        "IResolutionReceiver",
        "who asks a resolver",
        ["ropewalk.transports.tcp:_Lookup", "ropewalk.transports.resolver:_Waiting"],
    ),
    ("ITLSTransport", "a TCP connection", _TCP),
    ("INegotiated", "a TCP connection", _TCP),
    ("ISystemHandle", "a TCP connection", _TCP),
    ("IUNIXTransport", "a UNIX connection", _UNIX),
    ("ISystemHandle", "a UNIX connection", _UNIX),
    ("IProcessTransport", "a process", _PROCESS),
    ("IConsumer", "a process", _PROCESS),
    ("IPushProducer", "a process", _PROCESS),
    ("IConsumer", "a connection", _STREAM),
    ("IPushProducer", "a connection", _STREAM),
    ("IListeningPort", "a TCP port", ["ropewalk.transports.tcp:Port"]),
    ("IListeningPort", "a UNIX port", ["ropewalk.transports.unix:UNIXPort"]),
    ("IListeningPort", "a UDP port", _UDP_PORT),
    ("IListeningPort", "a UNIX datagram port", [f"{_DATAGRAMS}:UNIXDatagramPort"]),
    ("ISystemHandle", "a port", ["ropewalk.transports.port:ListeningPort"]),
    ("IConnector", "a TCP connector", ["ropewalk.transports.tcp:TCPConnector"]),
    ("IConnector", "a UNIX connector", ["ropewalk.transports.unix:UNIXConnector"]),
    ("IUDPTransport", "a UDP port", _UDP_PORT),
    ("IMulticastTransport", "a multicast port", ["ropewalk.transports.multicast:MulticastPort"]),
    ("IUNIXDatagramTransport", "a UNIX datagram port", [f"{_DATAGRAMS}:UNIXDatagramPort"]),
    ("IUNIXDatagramConnectedTransport", "a connected one", [f"{_DATAGRAMS}:ConnectedUNIXDatagramPort"]),
    ("IStreamServerEndpoint", "a TCP endpoint", [f"{_ENDPOINTS}:TCP4ServerEndpoint"]),
    ("IStreamServerEndpoint", "a UNIX endpoint", [f"{_ENDPOINTS}:UNIXServerEndpoint"]),
    ("IStreamServerEndpoint", "an endpoint over a socket", [f"{_ENDPOINTS}:AdoptedStreamServerEndpoint"]),
    ("IStreamServerEndpoint", "an endpoint of TLS", [f"{_ENDPOINTS}:SSL4ServerEndpoint"]),
    ("IStreamClientEndpoint", "a TCP endpoint", [f"{_ENDPOINTS}:TCP4ClientEndpoint"]),
    ("IStreamClientEndpoint", "an endpoint by name", [f"{_ENDPOINTS}:HostnameEndpoint"]),
    ("IStreamClientEndpoint", "a UNIX endpoint", [f"{_ENDPOINTS}:UNIXClientEndpoint"]),
    ("IStreamClientEndpoint", "an endpoint of TLS", [f"{_ENDPOINTS}:SSL4ClientEndpoint"]),
    ("IStreamClientEndpoint", "an endpoint of a process", [f"{_ENDPOINTS}:ProcessEndpoint"]),
]
# The same for what no interface has: functions of a class or of a module.
ALSO_PROVIDED: list[tuple[str, list[str]]] = [
    ("ropewalk.core.threads:ThreadPool", ["adjustPoolsize", "callInThread", "callInThreadWithCallback"]),
    ("ropewalk.internet.tcp", ["makeBinding"]),
    (_ENDPOINTS, ["serverFromString", "clientFromString", "connectProtocol", "wrapClientTLS", "wrapServerTLS"]),
    (_STREAM[0], ["sendfile"]),
    ("ropewalk.internet.utils", ["getProcessOutput", "getProcessValue", "getProcessOutputAndValue"]),
    (_UNIX[0], ["getPeerCredentials"]),
    (_UDP_PORT[0], ["writeSequence"]),
]
# What programs have and the engine calls: interfaces, and the methods that a class of ours has for them to override.
ASKED = [
    "IProtocol",
    "IHalfCloseableProtocol",
    "IFileDescriptorReceiver",
    "IHandshakeListener",
    "IProcessProtocol",
    "IProtocolFactory",
    "IProtocolNegotiationFactory",
    "IOpenSSLContextFactory",
    "IPushProducer",
    "IPullProducer",
    "IReadDescriptor",
    "IWriteDescriptor",
    "IHalfCloseableDescriptor",
    "IResolverSimple",
    "IHostnameResolver",
    "IHostResolution",
    "IResolutionReceiver",
    "IStreamServerEndpointStringParser",
    "IStreamClientEndpointStringParserWithReactor",
]
NEVER_CALLED = ("IHalfCloseableDescriptor", "writeConnectionLost")   # not by Twisted's reactors either
ALSO_ASKED = [
    "ClientFactory",
    "ProcessProtocol",
    "AbstractDatagramProtocol",
    "DatagramProtocol",
    "ConnectedDatagramProtocol",
]

_TITLE = """# The surface, and the behaviours that use it

Measured on the {reactor} reactor by `python -m ropewalk.testing.surface`, which runs the contract
(`ropewalk.testing.contract`) and sees which calls cross the border between the engine and the program. An optional
argument counts where it is given a value other than its default. Those of a program's methods are not listed: it is
the engine's choice whether to pass them. Nor is `IHalfCloseableDescriptor.writeConnectionLost`, which no reactor
calls, Twisted's included. What an interface inherits is listed with it: IReactorTCP with IReactorTCP2, ITCPTransport
with ITLSTransport, ITransport with that and IUNIXTransport, ISSLTransport with INegotiated, IReactorFromThreads and
IReactorInThreads with IReactorThreads."""


def parts() -> list[Part]:
    """Every interface, with each kind of object that has it."""
    return [
        *(_provided(name, of, _named(paths)) for name, of, paths in PROVIDED),
        *(_functions(pkgutil.resolve_name(path), names) for path, names in ALSO_PROVIDED),
        *(_asked(name) for name in ASKED),
        *(_overridden(getattr(protocol, name)) for name in ALSO_ASKED),
    ]


def _named(paths: list[str]) -> list[type]:
    return [pkgutil.resolve_name(path) for path in paths]


def _provided(name: str, of: str, classes: list[type]) -> Part:
    """The engine's methods may take more than the interface says, so it is their signatures that count."""
    members: dict[str, Any] = dict.fromkeys(_members(getattr(interfaces, name)))
    for member in members:
        candidates = [inspect.getattr_static(cls, member, None) for cls in classes]
        members[member] = next((one for one in candidates if inspect.isfunction(one)), None)
    return Part(name, of, False, members, lambda thing: isinstance(thing, tuple(classes)))


def _functions(place: Any, names: list[str]) -> Part:
    functions = {name: getattr(place, name) for name in names}
    if inspect.ismodule(place):
        return Part(_NO_INTERFACE, place.__name__, False, functions, lambda _: True)
    return Part(_NO_INTERFACE, place.__name__, False, functions, lambda thing: isinstance(thing, place))


def _asked(name: str) -> Part:
    """An object that has a richer interface, too, counts for that one: what can be paused is no pull producer."""
    members = _members(getattr(interfaces, name))
    others = [_members(getattr(interfaces, other)) for other in ASKED]
    richer = [other for other in others if other.keys() > members.keys()]
    methods = {method: value for method, value in _methods(members).items() if (name, method) != NEVER_CALLED}

    def is_one(thing: Any) -> bool:
        return _has(thing, members) and not any(_has(thing, other) for other in richer)

    return Part(name, _PROGRAM, True, methods, programs_own(is_one, methods))


def _has(thing: Any, members: Iterable[str]) -> bool:
    """What isinstance() says, which keeps the class alive for ever in Python 3.12.0 to 3.12.3 (gh-118013)."""
    return all(hasattr(thing, member) for member in members)


def _overridden(cls: type) -> Part:
    """Without logPrefix(), an interface of its own."""
    methods = _methods(vars(cls))
    methods.pop("logPrefix", None)
    return Part(cls.__name__, _PROGRAM, True, methods, programs_own(lambda thing: isinstance(thing, cls), methods))


def _members(interface: type) -> dict[str, Any]:
    """The methods and properties of an interface, those that it inherits too."""
    found: dict[str, Any] = {}
    for cls in reversed(interface.__mro__):
        if cls.__module__.startswith("ropewalk."):
            found |= {name: value for name, value in vars(cls).items() if name[0] != "_"}
    return found


def _methods(members: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    return {name: value for name, value in members.items() if inspect.isfunction(value) and name[0] != "_"}


def attributes() -> list[tuple[type, str]]:
    """The attributes that the engine's objects keep in their __dict__."""
    found = []
    for name, _, paths in PROVIDED:
        classes = _named(paths)
        for member in _members(getattr(interfaces, name)):
            if not any(hasattr(cls, member) for cls in classes):
                found.append((classes[0], member))
    return found


class Measurement:
    """What a run of the contract showed.

    users: for each row, the names of the behaviours that use it; failed, skipped: a line for each that was.
    """

    def __init__(self) -> None:
        self.parts = parts()
        self.users: dict[Row, list[str]] = {row: [] for part in self.parts for row in part.rows()}
        self.failed: list[str] = []
        self.skipped: list[str] = []
        self._attributes = attributes()

    def run(self, make_reactor: Callable[[], Any], behaviour: contract.Behaviour) -> None:
        """Run `behaviour` on a reactor that `make_reactor` makes.

        What it used counts if it passed; what its rig does before and after does not.
        """
        watch = Watch(self.parts, self._attributes)
        name = behaviour.__name__
        try:
            with Rig(make_reactor) as rig, watch:
                behaviour(rig)
        except unittest.SkipTest as reason:
            self.skipped.append(f"{name}: {reason}")
        except Exception as error:
            self.failed.append(f"{name}: {type(error).__name__}: {error}")
        else:
            for row in watch.used & self.users.keys():
                self.users[row].append(name)

    def unused(self) -> list[Row]:
        """What no behaviour uses."""
        return [row for row, names in self.users.items() if not names]


def table(measured: Measurement, reactor: str) -> str:
    """The Markdown of docs/surface.md."""
    lines = [_TITLE.format(reactor=reactor)]
    for asked, title in ((False, "What programs call"), (True, "What programs have, and the engine calls")):
        lines += ["", f"## {title}", "", "| interface | of | method | argument | behaviours | such as |"]
        lines += ["|---|---|---|---|---|---|"]
        lines += [_line(row, names) for row, names in measured.users.items() if row.asked is asked]
    return "\n".join(lines) + "\n"


def _line(row: Row, names: list[str]) -> str:
    examples = ", ".join(f"`{name}`" for name in names[:_NAMED])
    argument = f"`{row.argument}`" if row.argument else ""
    return f"| {row.interface} | {row.of} | `{row.member}` | {argument} | {len(names)} | {examples} |"


def _preset(name: str) -> type[ReactorBase]:
    return type("Measured", (ReactorBase,), {"name": name})


def _default() -> str:
    return next(reactor.name for reactor in installation.reactors() if reactor.default)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    about = "Measure what the contract uses of the interfaces."
    parser = argparse.ArgumentParser(prog="python -m ropewalk.testing.surface", description=about)
    names = [reactor.name for reactor in installation.reactors() if reactor.why_not is None]
    parser.add_argument("--reactor", choices=names, default=_default(), help="what to run on (%(default)s)")
    parser.add_argument("--output", type=Path, help="the file to write the table to (standard output)")
    options = parser.parse_args(arguments)
    measured = Measurement()
    for behaviour in contract.behaviours():
        measured.run(_preset(options.reactor), behaviour)
    written = table(measured, options.reactor)
    if options.output is None:
        print(written, end="")
    else:
        options.output.write_text(written, encoding="utf-8")
    for line in measured.skipped:
        print(f"skipped: {line}", file=sys.stderr)
    for line in measured.failed:
        print(f"failed: {line}", file=sys.stderr)
    for row in measured.unused():
        argument = f", argument {row.argument}" if row.argument else ""
        print(f"used by no behaviour: {row.interface} of {row.of}: {row.member}{argument}", file=sys.stderr)
    return 1 if measured.failed or measured.unused() else 0


if __name__ == "__main__":
    sys.exit(main())
