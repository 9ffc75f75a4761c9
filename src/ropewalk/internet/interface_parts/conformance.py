"""For type checkers alone: that the engine's classes have the interfaces, signatures included. Nothing imports it.

A function here returns an object as one that has these interfaces; where its class has not, mypy says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ropewalk.core.reactor import Reactor
    from ropewalk.core.timers import DelayedCall
    from ropewalk.internet import interfaces
    from ropewalk.internet.endpoints import (
        AdoptedStreamServerEndpoint,
        HostnameEndpoint,
        ProcessEndpoint,
        SSL4ClientEndpoint,
        SSL4ServerEndpoint,
        StandardIOEndpoint,
        TCP4ClientEndpoint,
        TCP4ServerEndpoint,
        TCP6ClientEndpoint,
        TCP6ServerEndpoint,
        UNIXClientEndpoint,
        UNIXServerEndpoint,
    )
    from ropewalk.internet.protocol import DatagramProtocol, Factory, ProcessProtocol, Protocol
    from ropewalk.internet.serialport import SerialPort
    from ropewalk.internet.ssl import CertificateOptions, ClientTLSOptions, ContextFactory, PEMFolder, SNIMap
    from ropewalk.internet.stdio import StandardIO
    from ropewalk.internet.task import Clock
    from ropewalk.transports.connector import Connector
    from ropewalk.transports.multicast import MulticastPort
    from ropewalk.transports.port import ListeningPort
    from ropewalk.transports.process import Process
    from ropewalk.transports.resolver import FirstAddress, FromSimple, HostResolution, ThreadedResolver
    from ropewalk.transports.stream import Stream
    from ropewalk.transports.tcp import TCPStream
    from ropewalk.transports.udp import UDPPort
    from ropewalk.transports.unix import UNIXStream
    from ropewalk.transports.unix_datagram import ConnectedUNIXDatagramPort, UNIXDatagramPort


def reactor(
    its: Reactor,
) -> tuple[
    interfaces.IReactorCore,
    interfaces.IReactorTime,
    interfaces.IReactorThreads,
    interfaces.IReactorFDSet,
    interfaces.IReactorPluggableResolver,
    interfaces.IReactorPluggableNameResolver,
]:
    return its, its, its, its, its, its


def reactor_on_the_network(
    its: Reactor,
) -> tuple[
    interfaces.IReactorTCP,
    interfaces.IReactorTCP2,
    interfaces.IReactorUDP,
    interfaces.IReactorMulticast,
    interfaces.IReactorUNIX,
    interfaces.IReactorUNIXDatagram,
    interfaces.IReactorSocket,
]:
    return its, its, its, its, its, its, its


def reactor_with_children(its: Reactor) -> interfaces.IReactorProcess:
    return its


def clock(its: Clock) -> interfaces.IReactorTime:
    return its


def delayed_call(its: DelayedCall) -> interfaces.IDelayedCall:
    return its


def resolver_of_one_address(its: FirstAddress) -> interfaces.IResolverSimple:
    return its


def resolver(its: ThreadedResolver | FromSimple) -> interfaces.IHostnameResolver:
    return its


def resolution(its: HostResolution) -> interfaces.IHostResolution:
    return its


def connection(its: Stream) -> tuple[interfaces.IConsumer, interfaces.IPushProducer]:
    return its, its


def tcp_connection(its: TCPStream) -> tuple[interfaces.ITransport, interfaces.ITCPTransport, interfaces.ISystemHandle]:
    return its, its, its


def unix_connection(
    its: UNIXStream,
) -> tuple[
    interfaces.ITransport,
    interfaces.IUNIXTransport,
    interfaces.ISystemHandle,
]:
    return its, its, its


def standard_io(its: StandardIO | SerialPort) -> interfaces.ITransport:
    return its


def port(its: ListeningPort) -> tuple[interfaces.IListeningPort, interfaces.ISystemHandle]:
    return its, its


def connector(its: Connector) -> interfaces.IConnector:
    return its


def udp_port(its: UDPPort) -> interfaces.IUDPTransport:
    return its


def multicast_port(its: MulticastPort) -> interfaces.IMulticastTransport:
    return its


def unix_datagram_port(its: UNIXDatagramPort) -> interfaces.IUNIXDatagramTransport:
    return its


def connected_unix_datagram_port(its: ConnectedUNIXDatagramPort) -> interfaces.IUNIXDatagramConnectedTransport:
    return its


def process(
    its: Process,
) -> tuple[interfaces.IProcessTransport, interfaces.ITransport, interfaces.IConsumer, interfaces.IPushProducer]:
    return its, its, its, its


def process_protocol(its: ProcessProtocol) -> tuple[interfaces.IProcessProtocol, interfaces.ILoggingContext]:
    return its, its


def protocol(its: Protocol) -> tuple[interfaces.IProtocol, interfaces.ILoggingContext]:
    return its, its


def factory(its: Factory) -> tuple[interfaces.IProtocolFactory[Any], interfaces.ILoggingContext]:
    return its, its


def datagram_protocol(its: DatagramProtocol) -> interfaces.ILoggingContext:
    return its


def server_endpoint(
    its: TCP4ServerEndpoint
    | TCP6ServerEndpoint
    | UNIXServerEndpoint
    | AdoptedStreamServerEndpoint
    | StandardIOEndpoint,
) -> interfaces.IStreamServerEndpoint:
    return its


def client_endpoint(
    its: TCP4ClientEndpoint | TCP6ClientEndpoint | HostnameEndpoint | UNIXClientEndpoint | ProcessEndpoint,
) -> interfaces.IStreamClientEndpoint:
    return its


def reactor_with_tls(its: Reactor) -> interfaces.IReactorSSL:
    return its


def secured_tcp_connection(its: TCPStream) -> tuple[interfaces.ITLSTransport, interfaces.INegotiated]:
    return its, its


def secured_unix_connection(its: UNIXStream) -> tuple[interfaces.ISSLTransport, interfaces.INegotiated]:
    return its, its


def context_factory(
    its: CertificateOptions | ClientTLSOptions | ContextFactory | SNIMap | PEMFolder,
) -> interfaces.IOpenSSLContextFactory:
    return its


def server_endpoint_of_tls(its: SSL4ServerEndpoint) -> interfaces.IStreamServerEndpoint:
    return its


def client_endpoint_of_tls(its: SSL4ClientEndpoint) -> interfaces.IStreamClientEndpoint:
    return its
