"""Protocols and factories: what the base classes do by themselves."""

from __future__ import annotations

import pytest

from ropewalk.internet import defer, protocol
from ropewalk.internet.error import ConnectionDone
from ropewalk.internet.failure import Failure


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
