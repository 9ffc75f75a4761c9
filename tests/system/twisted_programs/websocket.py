"""A WebSocket echo of Autobahn, and its client: python websocket.py serve ENDPOINT, python websocket.py ask PORT."""

import sys

from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.python import log

SMALL = [f"message {number}".encode() for number in range(100)]
LARGE = bytes(range(256)) * 8192


class Echo(WebSocketServerProtocol):
    def onMessage(self, payload, isBinary):
        self.sendMessage(payload, isBinary)


class Asks(WebSocketClientProtocol):
    """Sends each message when the one before has come back."""

    def onOpen(self):
        self.left = [*SMALL, LARGE]
        self.sendMessage(self.left[0], isBinary=True)

    def onMessage(self, payload, isBinary):
        assert payload == self.left.pop(0), "another message came back"
        if self.left:
            self.sendMessage(self.left[0], isBinary=True)
        else:
            self.sendClose(1000, "that was all")

    def onClose(self, wasClean, code, reason):
        print("clean" if wasClean else "not clean", code, reason, len(self.left), "left", flush=True)
        reactor.stop()


def factory(made, protocol):
    made.protocol = protocol
    made.setProtocolOptions(openHandshakeTimeout=10, closeHandshakeTimeout=10)
    return made


if __name__ == "__main__":
    what, where = sys.argv[1:]
    if what == "serve":
        log.startLogging(sys.stdout)
        serverFromString(reactor, where).listen(factory(WebSocketServerFactory(), Echo)).addErrback(log.err)
    else:
        asks = factory(WebSocketClientFactory(f"ws://127.0.0.1:{where}"), Asks)
        clientFromString(reactor, f"tcp:127.0.0.1:{where}").connect(asks).addErrback(log.err)
    reactor.run()
