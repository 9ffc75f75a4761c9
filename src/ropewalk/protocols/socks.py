"""A SOCKS server, versions 4, 4a and 5: connects its clients to the places that they name, unless a rule refuses these.

A server that connects wherever it is told to lets its clients reach what only this machine can. So Rules looks at the
addresses that a name has, and these are connected to: a name whose addresses change in between gains nothing.

Of what the specifications have, there is CONNECT. BIND and UDP ASSOCIATE are refused, in the words of the protocol, as
most servers do; of the methods of version 5 there are none (0) and name and password (2). A connection goes on as that
of ropewalk.protocols.portforward. Twisted's socks has version 4 alone, and no rules.
"""

from __future__ import annotations

import enum
import ipaddress
import logging
from collections.abc import Callable, Iterable
from typing import Any

from ropewalk.internet.defer import Deferred, ensureDeferred
from ropewalk.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from ropewalk.internet.error import ConnectError, ConnectionRefusedError, DNSLookupError, NoRouteError, TimeoutError
from ropewalk.internet.failure import Failure
from ropewalk.internet.protocol import Factory
from ropewalk.protocols.portforward import Proxy, ProxyClient, ProxyClientFactory
from ropewalk.protocols.socksparsing import CONNECT, Code, Conversation, InvalidRequest, Request

__all__ = ["SOCKS", "DestinationRefused", "Rules", "SOCKSFactory"]

_log = logging.getLogger("ropewalk.protocols")

OWN = (
    "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3",
    "::/128", "::1/128", "fe80::/10", "ff00::/8",
)  # fmt: skip
"""What is refused unless a rule allows it: this machine, its link (where clouds keep their keys), groups, what is
reserved."""


class DestinationRefused(Exception):
    """The rules refuse a destination."""


class Rules:
    """Which destinations a server connects to.

    allow, refuse: networks such as 192.0.2.0/24, or addresses, as text; refusePorts: port numbers. An address in one of
    `allow` may be connected to; else one in `refuse`, in OWN, or with a port of `refusePorts` may not; all others may.
    Raises ValueError for what is no network.
    """

    def __init__(
        self, allow: Iterable[str] = (), refuse: Iterable[str] = (), refusePorts: Iterable[int] = ()
    ) -> None:
        self._allowed = [ipaddress.ip_network(network) for network in allow]
        self._refused = [ipaddress.ip_network(network) for network in (*refuse, *OWN)]
        self._refused_ports = frozenset(refusePorts)

    def allows(self, host: str, port: int) -> bool:
        """Whether `port` of the literal address `host` may be connected to."""
        address: Any = ipaddress.ip_address(host.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        if any(address in network for network in self._allowed):
            return True
        return port not in self._refused_ports and not any(address in network for network in self._refused)


class _State(enum.Enum):
    ASKED = "the client says what it wants"
    CONNECTING = "the destination is looked up and connected"
    FORWARDING = "client and destination are connected"
    REFUSED = "the client has been refused, and is to close"


class SOCKS(Proxy):
    """A client's connection."""

    _state = _State.ASKED
    _timer: Any = None
    _connecting: Any = None
    _conversation: Conversation

    def connectionMade(self) -> None:
        self._conversation = Conversation(self.factory.authenticate)
        self._limit_time()

    def dataReceived(self, data: bytes) -> None:
        if self._state is _State.FORWARDING:
            self.peer.transport.write(data)
        elif self._state is _State.ASKED:
            self._converse(data)

    def granted(self, transport: Any) -> None:
        """The destination is connected by `transport`: say so, and send it what the client has sent already."""
        self._state = _State.FORWARDING
        here = transport.getHost()
        self.transport.write(self._request.answer(Code.GRANTED, here.host, here.port))
        if self._conversation.rest:
            transport.write(self._conversation.rest)

    def readConnectionLost(self) -> None:
        if self._state is _State.FORWARDING:
            super().readConnectionLost()
        else:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure[Any]) -> None:
        self._stop_timer()
        if self._connecting is not None:
            self._connecting.cancel()
        super().connectionLost(reason)

    @property
    def _request(self) -> Request:
        request = self._conversation.request
        assert request is not None, "asked for before it has come"
        return request

    def _converse(self, data: bytes) -> None:
        try:
            answers = self._conversation.feed(data)
        except InvalidRequest as error:
            self._refuse(error.answer, str(error))
            return
        if answers:
            self.transport.write(answers)
        if self._conversation.request is not None:
            self._stop_timer()
            self._serve(self._conversation.request)

    def _serve(self, request: Request) -> None:
        if request.command != CONNECT:
            self._refuse(request.answer(Code.COMMAND_UNKNOWN), f"the command {request.command} is not supported")
            return
        self._state = _State.CONNECTING
        self.transport.pauseProducing()   # what comes now is the destination's
        self._connecting = ensureDeferred(self._connect(request)).addErrback(self._failed)

    async def _connect(self, request: Request) -> None:
        """Connect to the first of the destination's addresses that is allowed and answers."""
        reactor = self.transport.reactor
        addresses = await _addresses(reactor, request.host)
        allowed = [address for address in addresses if self.factory.rules.allows(address, request.port)]
        if not allowed:
            raise DestinationRefused(f"the rules refuse {', '.join(addresses)} port {request.port}")
        onward = _OnwardFactory()
        onward.setServer(self)
        for address in allowed:
            kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
            try:
                await kind(reactor, address, request.port, self.factory.timeLimit).connect(onward)
                return
            except ConnectError:
                if address is allowed[-1]:
                    raise

    def _failed(self, failure: Failure[Any]) -> None:
        if self.transport.connected:   # else it was given up
            self._refuse(self._request.answer(_code(failure.value)), str(failure.value))

    def _refuse(self, answer: bytes, why: str) -> None:
        """Answer, and wait for the client to close: to close on what it still sends would destroy the answer."""
        request = self._conversation.request
        wanted = f", who wants {request.host} port {request.port}," if request is not None else ""
        _log.warning("the SOCKS client %s%s is refused: %s", self.transport.getPeer(), wanted, why)
        self._state = _State.REFUSED
        self.transport.write(answer)
        self.transport.loseWriteConnection()
        self.transport.resumeProducing()
        self._limit_time()

    def _limit_time(self) -> None:
        self._stop_timer()
        self._timer = self.transport.reactor.callLater(self.factory.timeLimit, self._too_late)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _too_late(self) -> None:
        self._timer = None
        self.transport.abortConnection()


class _Onward(ProxyClient):
    """The connection to the destination."""

    def connectionMade(self) -> None:
        self.peer.granted(self.transport)
        super().connectionMade()


class _OnwardFactory(ProxyClientFactory):
    protocol = _Onward


class SOCKSFactory(Factory):
    """Serves SOCKS clients.

    rules: which destinations it connects to; None for Rules(). authenticate: takes the name and the password that a
    client of version 5 gives, and says whether they are right; None: everybody is served. timeLimit: seconds that a
    client has for its request, and that a destination's address has to answer.
    """

    protocol = SOCKS
    timeLimit = 30.0

    def __init__(self, rules: Rules | None = None, authenticate: Callable[[str, str], bool] | None = None) -> None:
        self.rules = Rules() if rules is None else rules
        self.authenticate = authenticate


def _code(error: BaseException) -> Code:
    if isinstance(error, DestinationRefused):
        return Code.NOT_ALLOWED
    if isinstance(error, ConnectionRefusedError):
        return Code.REFUSED
    if isinstance(error, NoRouteError):
        return Code.NETWORK_UNREACHABLE
    if isinstance(error, DNSLookupError | TimeoutError):
        return Code.HOST_UNREACHABLE
    return Code.FAILED


def _addresses(reactor: Any, host: str) -> Deferred[list[str]]:
    """The addresses of `host`, at least one, as text; DNSLookupError if there is none."""
    looked_up = _LookUp(host)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        reactor.nameResolver.resolveHostName(looked_up, host)
    else:
        looked_up.found.callback([host])
    return looked_up.found


class _LookUp:
    """What a resolver reports to."""

    def __init__(self, host: str) -> None:
        self.found: Deferred[list[str]] = Deferred(lambda _: self._resolution.cancel())
        self._host = host
        self._addresses: list[str] = []
        self._resolution: Any = None

    def resolutionBegan(self, resolution: Any) -> None:
        self._resolution = resolution

    def addressResolved(self, address: Any) -> None:
        self._addresses.append(address.host)

    def resolutionComplete(self) -> None:
        if self._addresses:
            self.found.callback(self._addresses)
        else:
            why = getattr(self._resolution, "error", None) or "it has no address"
            self.found.errback(DNSLookupError(f"{self._host}: {why}"))
