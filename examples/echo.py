"""An echo server. Run it (python examples/echo.py), then talk to it: nc 127.0.0.1 8007"""

from ropewalk.internet import protocol, reactor


class Echo(protocol.Protocol):
    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


port = reactor.listenTCP(8007, protocol.Factory.forProtocol(Echo), interface="127.0.0.1")
print("listening on", port.getHost(), flush=True)
reactor.run()
