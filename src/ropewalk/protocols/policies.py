"""Policies: wrapping protocols, limits, throttling, timeouts and traffic logs, under Twisted's names."""

from ropewalk.protocols.limits import LimitConnectionsByPeer, LimitTotalConnectionsFactory
from ropewalk.protocols.throttling import ThrottlingFactory, ThrottlingProtocol
from ropewalk.protocols.timeouts import TimeoutFactory, TimeoutMixin, TimeoutProtocol
from ropewalk.protocols.traffic import (
    SpewingFactory,
    SpewingProtocol,
    TrafficLoggingFactory,
    TrafficLoggingProtocol,
)
from ropewalk.protocols.wrapping import ProtocolWrapper, WrappingFactory

__all__ = [
    "LimitConnectionsByPeer",
    "LimitTotalConnectionsFactory",
    "ProtocolWrapper",
    "SpewingFactory",
    "SpewingProtocol",
    "ThrottlingFactory",
    "ThrottlingProtocol",
    "TimeoutFactory",
    "TimeoutMixin",
    "TimeoutProtocol",
    "TrafficLoggingFactory",
    "TrafficLoggingProtocol",
    "WrappingFactory",
]
