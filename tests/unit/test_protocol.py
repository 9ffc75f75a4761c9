"""Protocols and factories: what the base classes do by themselves."""

from __future__ import annotations

import io
import sys

import pytest

from ropewalk.internet import defer, protocol
from ropewalk.internet.error import ConnectionDone
from ropewalk.internet.failure import Failure
from ropewalk.internet.interfaces import ITransport


def test_a_protocol_may_be_told_of_its_end_without_a_reason() -> None:
    reasons: list[object] = []

    class Overriding(protocol.Protocol):
        def connectionLost(self, reason: Failure[ConnectionDone] = protocol.connectionDone) -> None:
            super().connectionLost()
            reasons.append(reason)

    Overriding().connectionLost()
    assert reasons == [protocol.connectionDone]
    assert protocol.connectionDone.check(ConnectionDone) is ConnectionDone


def test_a_factory_builds_its_protocol_and_is_known_to_it() -> None:
    factory = protocol.Factory.forProtocol(protocol.Protocol)
    built = factory.buildProtocol(None)
    assert type(built) is protocol.Protocol
    assert built.factory is factory


def test_a_factory_without_a_protocol_says_what_to_set() -> None:
    with pytest.raises(TypeError, match=r"has no protocol to build: set Factory\.protocol, or override buildProtocol"):
        protocol.Factory().buildProtocol(None)


def test_the_outcomes_in_a_deferred_list_have_names() -> None:
    outcomes: list[object] = []
    boom = defer.fail(LookupError())
    defer.DeferredList([defer.succeed(None), boom], consumeErrors=True).addCallback(outcomes.extend)
    assert [success for success, _ in outcomes] == [defer.SUCCESS, defer.FAILURE]  # type: ignore[misc]


class Producer:
    asked = 0

    def resumeProducing(self) -> None:
        self.asked += 1


def test_a_file_wrapper_writes_to_its_file_and_closes_it() -> None:
    written = []

    class File(io.BytesIO):
        def close(self) -> None:
            written.append(self.getvalue())
            super().close()

    file = File()
    transport = protocol.FileWrapper(file)
    assert isinstance(transport, ITransport)
    transport.write(b"a")
    transport.writeSequence([b"b", b"c"])
    assert (transport.closed, transport.getPeer(), transport.getHost()) == (0, ("file", "file"), "file")
    transport.stopProducing()
    assert (transport.closed, written, file.closed) == (1, [b"abc"], True)


def test_a_file_wrapper_asks_a_pull_producer_once_and_a_push_producer_never() -> None:
    transport, pull, push = protocol.FileWrapper(io.BytesIO()), Producer(), Producer()
    transport.registerProducer(pull, False)
    assert (transport.producer, transport.streamingProducer, pull.asked) == (pull, False, 1)
    transport.unregisterProducer()
    transport.registerProducer(push, True)
    assert (transport.producer, transport.streamingProducer, push.asked) == (push, True, 0)
    transport.stopConsuming()
    assert (transport.producer, transport.closed, transport.file.closed) == (None, 1, True)


def test_an_error_of_a_file_wrappers_file_is_its_exception_handlers() -> None:
    class Wrapper(protocol.FileWrapper):
        def handleException(self) -> None:
            errors.append(str(sys.exception()))

    class Stuck:
        def close(self) -> None:
            raise OSError("stuck")

    errors: list[str] = []
    closed = io.BytesIO()
    closed.close()
    protocol.FileWrapper(closed).write(b"dropped")
    Wrapper(closed).write(b"dropped")
    Wrapper(Stuck()).loseConnection()
    assert errors == ["I/O operation on closed file.", "stuck"]
