"""What programs, reactors, transports and endpoints expect of one another, as typing.Protocol.

Names and signatures are those of twisted.internet.interfaces. An object needs not say that it has an interface: it has
it if it has the methods, and isinstance() tells (by their names; a type checker looks at the signatures too).
"""

from __future__ import annotations

from ropewalk.internet.interface_parts.datagrams import (
    IMulticastTransport,
    IUDPTransport,
    IUNIXDatagramConnectedTransport,
    IUNIXDatagramTransport,
)
from ropewalk.internet.interface_parts.descriptors import (
    IFileDescriptor,
    IHalfCloseableDescriptor,
    ILoggingContext,
    IReactorWin32Events,
    IReadDescriptor,
    IReadWriteDescriptor,
    ISystemHandle,
    IWriteDescriptor,
)
from ropewalk.internet.interface_parts.endpoints import (
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from ropewalk.internet.interface_parts.names import (
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IReactorPluggableResolver,
    IResolutionReceiver,
    IResolverSimple,
)
from ropewalk.internet.interface_parts.networking import (
    IReactorMulticast,
    IReactorSocket,
    IReactorTCP,
    IReactorTCP2,
    IReactorUDP,
    IReactorUNIX,
    IReactorUNIXDatagram,
)
from ropewalk.internet.interface_parts.processes import IProcessProtocol, IProcessTransport, IReactorProcess
from ropewalk.internet.interface_parts.protocols import (
    IAddress,
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
)
from ropewalk.internet.interface_parts.reactors import (
    IDelayedCall,
    IReactorCore,
    IReactorFDSet,
    IReactorFromThreads,
    IReactorInThreads,
    IReactorThreads,
    IReactorTime,
)
from ropewalk.internet.interface_parts.streams import (
    IConnector,
    IConsumer,
    IListeningPort,
    IProducer,
    IPullProducer,
    IPushProducer,
    ITCPTransport,
    ITransport,
    IUNIXTransport,
)
from ropewalk.internet.interface_parts.tls import (
    IHandshakeListener,
    INegotiated,
    IOpenSSLContextFactory,
    IProtocolNegotiationFactory,
    IReactorSSL,
    ISSLTransport,
    ITLSTransport,
)

__all__ = [
    "IAddress",
    "IConnector",
    "IConsumer",
    "IDelayedCall",
    "IFileDescriptor",
    "IFileDescriptorReceiver",
    "IHalfCloseableDescriptor",
    "IHalfCloseableProtocol",
    "IHandshakeListener",
    "IHostResolution",
    "IHostnameResolver",
    "IListeningPort",
    "ILoggingContext",
    "IMulticastTransport",
    "INegotiated",
    "IOpenSSLContextFactory",
    "IProcessProtocol",
    "IProcessTransport",
    "IProducer",
    "IProtocol",
    "IProtocolFactory",
    "IProtocolNegotiationFactory",
    "IPullProducer",
    "IPushProducer",
    "IReactorCore",
    "IReactorFDSet",
    "IReactorFromThreads",
    "IReactorInThreads",
    "IReactorMulticast",
    "IReactorPluggableNameResolver",
    "IReactorPluggableResolver",
    "IReactorProcess",
    "IReactorSSL",
    "IReactorSocket",
    "IReactorTCP",
    "IReactorTCP2",
    "IReactorThreads",
    "IReactorTime",
    "IReactorUDP",
    "IReactorUNIX",
    "IReactorUNIXDatagram",
    "IReactorWin32Events",
    "IReadDescriptor",
    "IReadWriteDescriptor",
    "IResolutionReceiver",
    "IResolverSimple",
    "ISSLTransport",
    "IStreamClientEndpoint",
    "IStreamClientEndpointStringParserWithReactor",
    "IStreamServerEndpoint",
    "IStreamServerEndpointStringParser",
    "ISystemHandle",
    "ITCPTransport",
    "ITLSTransport",
    "ITransport",
    "IUDPTransport",
    "IUNIXDatagramConnectedTransport",
    "IUNIXDatagramTransport",
    "IUNIXTransport",
    "IWriteDescriptor",
]
