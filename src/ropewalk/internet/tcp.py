"""TCP: what programs name themselves of it."""

from ropewalk.transports.tcp import Binding, Client, Port, Server, TCPConnector, makeBinding

Connector = TCPConnector

__all__ = ["Binding", "Client", "Connector", "Port", "Server", "makeBinding"]
