"""Names: resolvers, what they are asked and may answer, and Happy Eyeballs over what they find."""

from __future__ import annotations

import socket
import unittest
from collections.abc import Sequence
from typing import Any

from ropewalk.errors import ConnectionRefusedError, DNSLookupError, TimeoutError
from ropewalk.internet.address import IPv4Address, IPv6Address
from ropewalk.internet.defer import CancelledError, Deferred, fail, succeed
from ropewalk.testing.contract import behaviour
from ropewalk.testing.contract.tcp_connecting import dead_address, silent_address
from ropewalk.testing.peers import (
    IPV4,
    IPV6,
    Client,
    Server,
    Witness,
    dial,
    in_reactor,
    listen,
    need_ipv6,
    passes,
)
from ropewalk.testing.rig import Rig, raises

_BESIDE = "127.0.0.2"


class Book:
    """An IHostnameResolver that finds the addresses `hosts`, whatever the name, at the next turn.

    asked: the names it was asked for; cancelled: how many resolutions were given up.
    """

    def __init__(self, rig: Rig, *hosts: str) -> None:
        self._reactor = rig.reactor
        self._hosts = hosts
        self.asked: list[str] = []
        self.cancelled = 0

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type] | None = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        self.asked.append(hostName)
        resolution = _Resolution(self, hostName, resolutionReceiver, portNumber)
        resolutionReceiver.resolutionBegan(resolution)
        self.answer(resolution)
        return resolution

    def answer(self, resolution: _Resolution) -> None:
        """When the answer comes."""
        self._reactor.callLater(0, resolution.complete, self._hosts)


class AtOnce(Book):
    """A resolver that answers before it returns."""

    def answer(self, resolution: _Resolution) -> None:
        resolution.complete(self._hosts)


class Silent(Book):
    """A resolver that never answers."""

    def answer(self, resolution: _Resolution) -> None:
        pass


class Deaf(Book):
    """A resolver that answers in spite of being cancelled, much later."""

    def answer(self, resolution: _Resolution) -> None:
        self._reactor.callLater(0.03, resolution.complete, self._hosts)


class _Resolution:
    """An IHostResolution."""

    def __init__(self, book: Book, name: str, receiver: Any, port: int) -> None:
        self.name = name
        self._book = book
        self._receiver = receiver
        self._port = port

    def cancel(self) -> None:
        self._book.cancelled += 1

    def complete(self, hosts: Sequence[str]) -> None:
        for host in hosts:
            kind: Any = IPv6Address if ":" in host else IPv4Address
            self._receiver.addressResolved(kind("TCP", host, self._port))
        self._receiver.resolutionComplete()


class Simple:
    """An IResolverSimple that gives `answer`, a Deferred."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def getHostByName(self, name: str, timeout: Sequence[int] = ()) -> Any:
        self.asked.append(name)
        return self.answer


async def error_of(deferred: Any) -> BaseException:
    """The exception that `deferred` fails with."""
    with raises(Exception) as raised:
        await deferred
    return raised[0]


def connect(rig: Rig, name: str, port: int, timeout: float = 5.0) -> Client:
    """The factory of a connection to a name."""
    factory = Client()
    rig.reactor.connectTCP(name, port, factory, timeout)
    return factory


# -- resolvers


@behaviour
@in_reactor
async def a_literal_address_is_not_looked_up(rig: Rig) -> None:
    book = Book(rig)
    rig.reactor.installNameResolver(book)
    await dial(rig, listen(rig).getHost()).connects()
    assert await rig.reactor.resolve(IPV4) == IPV4
    assert await rig.reactor.resolve("") == "0.0.0.0"
    assert book.asked == []


@behaviour
@in_reactor
async def a_literal_ipv6_address_is_not_looked_up(rig: Rig) -> None:
    need_ipv6()
    book = Book(rig)
    rig.reactor.installNameResolver(book)
    await dial(rig, listen(rig, interface=IPV6).getHost()).connects()
    assert book.asked == []


@behaviour
@in_reactor
async def a_name_is_looked_up_by_the_resolver_that_is_installed(rig: Rig) -> None:
    port = listen(rig)
    book = Book(rig, IPV4)
    before = rig.reactor.nameResolver
    assert rig.reactor.installNameResolver(book) is before
    await connect(rig, "ropewalk.test", port.getHost().port).connects()
    assert await rig.reactor.resolve("other.test") == IPV4
    assert book.asked == ["ropewalk.test", "other.test"]
    assert rig.reactor.installNameResolver(before) is book


@behaviour
@in_reactor
async def a_resolver_may_answer_at_once(rig: Rig) -> None:
    port = listen(rig)
    rig.reactor.installNameResolver(AtOnce(rig, IPV4))
    await connect(rig, "ropewalk.test", port.getHost().port).connects()
    assert await rig.reactor.resolve("ropewalk.test") == IPV4


@behaviour
@in_reactor
async def a_resolver_that_finds_nothing_at_once_fails_the_attempt_after_it_has_started(rig: Rig) -> None:
    rig.reactor.installNameResolver(AtOnce(rig))
    factory = connect(rig, "nobody.test", 9)
    await factory.fails()
    await factory.happens("started")
    assert factory.events == ["start", "started", "failed", "stop"]


@behaviour
@in_reactor
async def a_resolver_that_raises_fails_the_attempt(rig: Rig) -> None:
    class Broken(Book):
        def answer(self, resolution: _Resolution) -> None:
            raise ZeroDivisionError("the resolver is broken")

    rig.reactor.installNameResolver(Broken(rig))
    factory = connect(rig, "nobody.test", 9)
    await factory.fails()
    assert factory.events[:3] == ["start", "started", "failed"]
    waiting = rig.reactor.getDelayedCalls()
    assert isinstance(await error_of(rig.reactor.resolve("nobody.test")), DNSLookupError)
    assert rig.reactor.getDelayedCalls() == waiting


@behaviour
@in_reactor
async def a_name_that_nobody_knows_is_an_error_that_names_it(rig: Rig) -> None:
    rig.reactor.installNameResolver(Book(rig))
    error = await connect(rig, "nobody.test", 9).fails()
    assert isinstance(error, DNSLookupError)
    assert "nobody.test" in str(error)
    assert "nobody.test" in str(await error_of(rig.reactor.resolve("nobody.test")))


@behaviour
@in_reactor
async def the_resolver_of_the_system_says_that_an_invalid_name_is_unknown(rig: Rig) -> None:
    error = await connect(rig, "name.invalid", 9).fails()
    if isinstance(error, TimeoutError):
        raise unittest.SkipTest("the system's resolver does not answer")
    assert isinstance(error, DNSLookupError)
    assert "name.invalid" in str(error)


@behaviour
@in_reactor
async def the_resolver_of_the_system_knows_localhost(rig: Rig) -> None:
    port = listen(rig)
    await connect(rig, "localhost", port.getHost().port).connects()
    assert await rig.reactor.resolve("localhost") == IPV4


@behaviour
@in_reactor
async def a_resolver_that_never_answers_lets_the_attempt_time_out(rig: Rig) -> None:
    silent = Silent(rig)
    rig.reactor.installNameResolver(silent)
    factory = connect(rig, "ropewalk.test", 9, timeout=0.02)
    assert isinstance(await factory.fails(), TimeoutError)
    assert silent.cancelled == 1
    assert isinstance(await error_of(rig.reactor.resolve("ropewalk.test", (0, 0.02))), DNSLookupError)
    assert silent.cancelled == 2


@behaviour
@in_reactor
async def a_lookup_can_be_given_up(rig: Rig) -> None:
    silent = Silent(rig)
    rig.reactor.installNameResolver(silent)
    factory = connect(rig, "ropewalk.test", 9)
    factory.connector.stopConnecting()
    await factory.fails()
    assert silent.cancelled == 1
    looking = rig.reactor.resolve("ropewalk.test")
    rig.reactor.callLater(0, looking.cancel)
    assert isinstance(await error_of(looking), CancelledError)
    assert silent.cancelled == 2


@behaviour
@in_reactor
async def an_answer_that_comes_after_the_lookup_was_given_up_is_ignored(rig: Rig) -> None:
    rig.reactor.installNameResolver(Deaf(rig, IPV4))
    factory = connect(rig, "ropewalk.test", listen(rig).getHost().port)
    factory.connector.stopConnecting()
    looking = rig.reactor.resolve("ropewalk.test")
    rig.reactor.callLater(0, looking.cancel)
    assert isinstance(await error_of(looking), CancelledError)
    assert isinstance(await error_of(rig.reactor.resolve("ropewalk.test", (0, 0.01))), DNSLookupError)
    await passes(rig, 0.06)
    assert factory.events == ["start", "started", "failed", "stop"]


@behaviour
@in_reactor
async def a_simple_resolver_can_be_installed(rig: Rig) -> None:
    port = listen(rig)
    simple = Simple(succeed(IPV4))
    rig.reactor.installResolver(simple)
    assert await rig.reactor.resolve("other.test") == IPV4
    simple.answer = Deferred()
    rig.reactor.callLater(0, simple.answer.callback, IPV4)
    await connect(rig, "ropewalk.test", port.getHost().port).connects()
    assert simple.asked == ["other.test", "ropewalk.test"]


@behaviour
@in_reactor
async def a_simple_resolver_that_finds_nothing_fails_the_attempt(rig: Rig) -> None:
    rig.reactor.installResolver(Simple(fail(DNSLookupError("no such name"))))
    error = await connect(rig, "nobody.test", 9).fails()
    assert isinstance(error, DNSLookupError)
    assert "no such name" in str(error)


@behaviour
@in_reactor
async def a_simple_resolver_may_ask_the_one_that_was_there_before(rig: Rig) -> None:
    class Wrapping(Simple):
        def getHostByName(self, name: str, timeout: Sequence[int] = ()) -> Any:
            self.asked.append(name)
            return before.getHostByName("wrapped." + name, (1, 2))

    book = Book(rig, IPV6, IPV4)
    rig.reactor.installNameResolver(book)
    wrapping = Wrapping(None)
    before = rig.reactor.installResolver(wrapping)
    assert await rig.reactor.resolve("ropewalk.test") == IPV4
    assert wrapping.asked == ["ropewalk.test"]
    assert book.asked == ["wrapped.ropewalk.test"]


class Found(Witness):
    """An IResolutionReceiver: notes "began", "address" and "complete", and keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.resolution: Any = None
        self.addresses: list[Any] = []

    def resolutionBegan(self, resolutionInProgress: Any) -> None:
        self.resolution = resolutionInProgress
        self.note("began")

    def addressResolved(self, address: Any) -> None:
        self.addresses.append(address)
        self.note("address")

    def resolutionComplete(self) -> None:
        self.note("complete")


@behaviour
@in_reactor
async def the_resolver_of_the_system_reports_the_addresses_of_the_kinds_that_are_asked_for(rig: Rig) -> None:
    found = Found()
    resolution = rig.reactor.nameResolver.resolveHostName(found, "localhost", 8080, [IPv4Address], "UDP")
    assert found.events == ["began"]
    assert found.resolution is resolution
    assert resolution.name == "localhost"
    await found.happens("complete")
    assert set(found.addresses) == {IPv4Address("UDP", IPV4, 8080)}
    assert found.events == ["began"] + ["address"] * len(found.addresses) + ["complete"]


@behaviour
@in_reactor
async def a_lookup_by_the_resolver_of_the_system_that_is_cancelled_reports_nothing_more(rig: Rig) -> None:
    given_up, kept = Found(), Found()
    names = rig.reactor.nameResolver
    names.resolveHostName(given_up, "localhost").cancel()
    names.resolveHostName(kept, "localhost")
    await kept.happens("complete")
    await passes(rig, 0.02)
    assert given_up.events == ["began"]


@behaviour
@in_reactor
async def a_simple_resolver_serves_those_who_ask_for_every_address_too(rig: Rig) -> None:
    rig.reactor.installResolver(Simple(succeed(IPV4)))
    names = rig.reactor.nameResolver
    fitting, other = Found(), Found()
    assert names.resolveHostName(fitting, "ropewalk.test", 8080, [IPv4Address], "UDP").name == "ropewalk.test"
    names.resolveHostName(other, "ropewalk.test", addressTypes=[IPv6Address])
    await other.happens("complete")
    assert fitting.addresses == [IPv4Address("UDP", IPV4, 8080)]
    assert other.events == ["began", "complete"]


# -- Happy Eyeballs


def _need_a_second_address() -> None:
    try:
        with socket.socket() as probe:
            probe.bind((_BESIDE, 0))
    except OSError as error:
        raise unittest.SkipTest(f"{_BESIDE} cannot be used here: {error}") from None


@behaviour
@in_reactor
async def an_address_that_refuses_is_followed_by_the_next_at_once(rig: Rig) -> None:
    _need_a_second_address()
    port = listen(rig)
    rig.reactor.installNameResolver(Book(rig, _BESIDE, "127.0.0.3", IPV4))
    begun = rig.reactor.seconds()
    client = await connect(rig, "ropewalk.test", port.getHost().port).connects()
    assert rig.reactor.seconds() - begun < 0.2
    assert client.transport.getPeer().host == IPV4


@behaviour
@in_reactor
async def an_address_that_does_not_answer_is_overtaken_by_the_next(rig: Rig) -> None:
    _need_a_second_address()
    with silent_address(_BESIDE) as address:
        port = rig.reactor.listenTCP(address.port, Server(), interface=IPV4)
        rig.reactor.installNameResolver(Book(rig, _BESIDE, IPV4))
        begun = rig.reactor.seconds()
        factory = connect(rig, "ropewalk.test", address.port)
        client = await factory.connects()
        assert 0.1 <= rig.reactor.seconds() - begun < 1.0   # RFC 8305: 250 ms, at least 100
        assert client.transport.getPeer().host == IPV4
        await port.factory.accepts()


@behaviour
@in_reactor
async def the_time_that_an_attempt_has_before_the_next_begins_can_be_chosen(rig: Rig) -> None:
    _need_a_second_address()
    with silent_address(_BESIDE) as address:
        rig.reactor.listenTCP(address.port, Server(), interface=IPV4)
        rig.reactor.installNameResolver(Book(rig, _BESIDE, IPV4))
        for delay, longest in ((0.02, 0.2), (0.4, 1.4)):
            begun = rig.reactor.seconds()
            factory = Client()
            rig.reactor.connectTCP("ropewalk.test", address.port, factory, attemptDelay=delay)
            await factory.connects()
            assert delay <= rig.reactor.seconds() - begun < longest


@behaviour
@in_reactor
async def only_the_addresses_of_the_family_that_is_asked_for_are_tried(rig: Rig) -> None:
    need_ipv6()
    port = listen(rig)
    beside = rig.reactor.listenTCP(port.getHost().port, Server(), interface=IPV6)
    rig.reactor.installNameResolver(Book(rig, IPV6, IPV4))
    for family, host in ((socket.AF_INET, IPV4), (socket.AF_INET6, IPV6)):
        factory = Client()
        rig.reactor.connectTCP("ropewalk.test", port.getHost().port, factory, family=family)
        client = await factory.connects()
        assert client.transport.getPeer().host == host
    await port.factory.accepts()
    await beside.factory.accepts()
    rig.reactor.installNameResolver(Book(rig, IPV6))
    factory = Client()
    rig.reactor.connectTCP("ropewalk.test", port.getHost().port, factory, family=socket.AF_INET)
    assert isinstance(await factory.fails(), DNSLookupError)


@behaviour
@in_reactor
async def an_early_address_still_wins_if_it_answers_before_the_later_ones(rig: Rig) -> None:
    _need_a_second_address()
    with silent_address(_BESIDE) as address:
        rig.reactor.installNameResolver(Book(rig, IPV4, _BESIDE))
        port = rig.reactor.listenTCP(address.port, Server(), interface=IPV4)
        client = await connect(rig, "ropewalk.test", address.port).connects()
        assert client.transport.getPeer().host == IPV4
        assert len(port.factory.protocols) <= 1


@behaviour
@in_reactor
async def the_attempts_that_lose_are_closed(rig: Rig) -> None:
    _need_a_second_address()
    with silent_address(_BESIDE) as address:
        rig.reactor.listenTCP(address.port, Server(), interface=IPV4)
        rig.reactor.installNameResolver(Book(rig, _BESIDE, IPV4))
        client = await connect(rig, "ropewalk.test", address.port).connects()
        await passes(rig)
        assert rig.reactor.getWriters() == []
        watched = [rig.reactor.poller.handlers[fd] for fd in rig.reactor.poller.masks]
        assert client.transport in watched
        assert not [handler for handler in watched if type(handler).__name__ == "Attempt"]
        assert rig.reactor.getDelayedCalls() == []


@behaviour
@in_reactor
async def the_families_of_the_addresses_alternate(rig: Rig) -> None:
    need_ipv6()
    _need_a_second_address()
    with silent_address() as address, silent_address(_BESIDE, address.port):
        port = rig.reactor.listenTCP(address.port, Server(), interface=IPV6)
        rig.reactor.installNameResolver(Book(rig, IPV4, _BESIDE, IPV6))
        begun = rig.reactor.seconds()
        await connect(rig, "ropewalk.test", address.port).connects()
        assert rig.reactor.seconds() - begun < 0.45, "IPv6 should have been the second attempt"
        await port.factory.accepts()


@behaviour
@in_reactor
async def the_same_address_twice_is_tried_once(rig: Rig) -> None:
    _need_a_second_address()
    with silent_address(_BESIDE) as address:
        rig.reactor.listenTCP(address.port, Server(), interface=IPV4)
        rig.reactor.installNameResolver(Book(rig, _BESIDE, _BESIDE, _BESIDE, IPV4))
        begun = rig.reactor.seconds()
        await connect(rig, "ropewalk.test", address.port).connects()
        assert rig.reactor.seconds() - begun < 0.45


@behaviour
@in_reactor
async def if_every_address_fails_the_attempt_fails(rig: Rig) -> None:
    address = await dead_address(rig)
    rig.reactor.installNameResolver(Book(rig, IPV4, _BESIDE, IPV6))
    factory = connect(rig, "ropewalk.test", address.port)
    assert isinstance(await factory.fails(), ConnectionRefusedError)
    await factory.happens("stop")
    assert factory.events == ["start", "started", "failed", "stop"]


@behaviour
@in_reactor
async def a_race_can_be_given_up(rig: Rig) -> None:
    _need_a_second_address()
    with silent_address(_BESIDE) as address:
        rig.reactor.installNameResolver(Book(rig, _BESIDE, "127.0.0.3", IPV4))
        factory = connect(rig, "ropewalk.test", address.port)
        await passes(rig, 0.02)
        factory.connector.stopConnecting()
        await factory.fails()
        await passes(rig, 0.3)
        assert factory.events == ["start", "started", "failed", "stop"]
        assert rig.reactor.getDelayedCalls() == []
