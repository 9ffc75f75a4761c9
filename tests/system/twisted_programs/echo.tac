"""An echo as a service: twistd -y echo.tac; it says in the log where it listens."""

from twisted.application.service import Application
from twisted.application.strports import service
from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo

application = Application("echo")
service("tcp:0:interface=127.0.0.1", Factory.forProtocol(Echo)).setServiceParent(application)
