"""Twisted's interfaces, declared of our classes from outside: zope.interface finds them, ours know nothing of it."""

from __future__ import annotations

from typing import Any

from twisted.internet import interfaces
from zope.interface import classImplements

from ropewalk.core.reactor import Reactor
from ropewalk.core.timers import DelayedCall
from ropewalk.transports.connector import Connector
from ropewalk.transports.multicast import MulticastPort
from ropewalk.transports.port import ListeningPort
from ropewalk.transports.process import Process
from ropewalk.transports.resolver import FirstAddress, FromSimple, HostResolution, ThreadedResolver
from ropewalk.transports.stream import Stream
from ropewalk.transports.tcp import TCPStream
from ropewalk.transports.udp import UDPPort

_DECLARED: dict[type, tuple[Any, ...]] = {
    DelayedCall: (interfaces.IDelayedCall,),
    Connector: (interfaces.IConnector,),
    ListeningPort: (interfaces.IListeningPort, interfaces.ISystemHandle),
    UDPPort: (interfaces.IUDPTransport,),
    MulticastPort: (interfaces.IMulticastTransport,),
    Process: (interfaces.IProcessTransport, interfaces.IConsumer, interfaces.IPushProducer),
    Stream: (interfaces.ITransport, interfaces.IConsumer, interfaces.IPushProducer),
    TCPStream: (interfaces.ITLSTransport, interfaces.ITCPTransport, interfaces.ISystemHandle),
    HostResolution: (interfaces.IHostResolution,),
    ThreadedResolver: (interfaces.IHostnameResolver,),
    FromSimple: (interfaces.IHostnameResolver,),
    FirstAddress: (interfaces.IResolverSimple,),
}


REACTOR = (
    interfaces.IReactorCore,
    interfaces.IReactorTime,
    interfaces._ISupportsExitSignalCapturing,
    interfaces.IReactorThreads,
    interfaces.IReactorFDSet,
    getattr(interfaces, "IReactorTCP2", interfaces.IReactorTCP),   # since Twisted 26.10
    interfaces.IReactorSSL,
    interfaces.IReactorUDP,
    interfaces.IReactorMulticast,
    interfaces.IReactorSocket,
    interfaces.IReactorPluggableResolver,
    interfaces.IReactorPluggableNameResolver,
    *((interfaces.IReactorUNIX, interfaces.IReactorUNIXDatagram) if hasattr(Reactor, "listenUNIX") else ()),
    *((interfaces.IReactorWin32Events,) if hasattr(Reactor, "addEvent") else ()),
    interfaces.IReactorProcess,
)


def declare() -> None:
    for ours, theirs in _DECLARED.items():
        classImplements(ours, *theirs)
