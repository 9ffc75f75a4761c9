"""The log of Twisted while one of our reactors runs: who is being handled, and whose an error is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("twisted", reason="Twisted is not installed")

from twisted.internet import protocol
from twisted.python import log

from ropewalk.twisted import SelectReactor


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    """What a log observer of the older kind is told."""
    told: list[dict[str, Any]] = []
    log.addObserver(told.append)
    yield told
    log.removeObserver(told.append)


def systems(events: list[dict[str, Any]]) -> dict[str, str]:
    """By what the program said: who was being handled then."""
    return {event["message"][0]: event["system"] for event in events if event["message"]}


class Speaks(protocol.Protocol):
    """Says in the log what happens to it."""

    def connectionLost(self, reason: Any = None) -> None:
        log.msg(f"{type(self).__name__} lost")


class Fails(Speaks):
    def dataReceived(self, data: bytes) -> None:
        log.msg("received")
        raise ValueError(data)


class Asks(Speaks):
    def connectionMade(self) -> None:
        self.transport.own = "a program may keep something on a transport"
        self.transport.write(b"?")

    def connectionLost(self, reason: Any = None) -> None:
        super().connectionLost(reason)
        self.factory.reactor.stop()


def ask_one_that_fails() -> None:
    reactor = SelectReactor()
    port = reactor.listenTCP(0, protocol.Factory.forProtocol(Fails), interface="127.0.0.1")
    factory = protocol.ClientFactory.forProtocol(Asks)
    factory.reactor = reactor
    reactor.connectTCP("127.0.0.1", port.getHost().port, factory)
    reactor.run(installSignalHandlers=False)


def test_what_a_protocol_says_bears_its_name_until_its_connection_is_lost(events: list[dict[str, Any]]) -> None:
    ask_one_that_fails()
    said = systems(events)
    assert (said["received"], said["Fails lost"]) == ("Fails,0,127.0.0.1", "Fails,0,127.0.0.1")
    assert said["Asks lost"] == "Asks,client"


def test_an_error_is_told_with_whose_it_is_and_its_traceback(events: list[dict[str, Any]]) -> None:
    ask_one_that_fails()
    [error] = [event for event in events if event["isError"]]
    text = log.textFromEventDict(error)
    assert text is not None
    assert text.startswith("dataReceived failed; the connection is closed: Fails,0,127.0.0.1")
    assert "in dataReceived" in text
    assert "ValueError: b'?'" in text


def test_what_a_reader_says_bears_its_name_even_when_it_has_removed_itself(events: list[dict[str, Any]]) -> None:
    reactor = SelectReactor()
    ours, theirs = os.pipe()

    class Reader:
        def fileno(self) -> int:
            return ours

        def logPrefix(self) -> str:
            return "the reader"

        def doRead(self) -> None:
            reactor.removeReader(self)
            log.msg("read")
            reactor.stop()

    os.write(theirs, b"!")
    reactor.addReader(Reader())
    reactor.run(installSignalHandlers=False)
    os.close(ours)
    os.close(theirs)
    assert systems(events)["read"] == "the reader"
