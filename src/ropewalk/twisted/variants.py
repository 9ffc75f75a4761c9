"""Which class of Twisted's stands in for which of ours: see ropewalk.interfaces.Kit.variant()."""

from __future__ import annotations

from typing import Any

from ropewalk.transports.multicast import MulticastPort
from ropewalk.transports.tcp import Client, Port, Server, TCPConnector
from ropewalk.transports.tls_tcp import TLSConnector, TLSPort
from ropewalk.transports.udp import UDPPort
from ropewalk.transports.unix import UNIXClient, UNIXPort, UNIXServer
from ropewalk.transports.unix_datagram import ConnectedUNIXDatagramPort, UNIXDatagramPort
from ropewalk.twisted import ports, streams

VARIANTS: dict[type, Any] = {
    Server: streams.TwistedServer,
    Client: streams.TwistedClient,
    UNIXServer: streams.TwistedUNIXServer,
    UNIXClient: streams.TwistedUNIXClient,
    Port: ports.TwistedPort,
    TLSPort: ports.TwistedTLSPort,
    UDPPort: ports.TwistedUDPPort,
    MulticastPort: ports.TwistedMulticastPort,
    UNIXPort: ports.TwistedUNIXPort,
    UNIXDatagramPort: ports.TwistedUNIXDatagramPort,
    ConnectedUNIXDatagramPort: ports.TwistedConnectedUNIXDatagramPort,
    TCPConnector: ports.TwistedTCPConnector,
    TLSConnector: ports.TwistedTLSConnector,
}
