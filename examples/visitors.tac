"""Greets visitors, and logs every ten minutes how many there were. It mentions no reactor: whoever runs it chooses one.

    ropewalk -v -y examples/visitors.tac
    ropewalk -v -r gtk3 -y examples/visitors.tac

Then: nc 127.0.0.1 8007. The variable VISITORS_AT may name another endpoint.
"""

import logging
import os

from ropewalk.application import internet, service, strports
from ropewalk.internet import protocol


class Greeting(protocol.Protocol):
    def connectionMade(self):
        self.factory.visitors += 1
        self.transport.write(b"you are visitor %d\n" % self.factory.visitors)
        self.transport.loseConnection()


class Visitors(protocol.Factory):
    protocol = Greeting
    visitors = 0

    def say(self):
        logging.getLogger("visitors").info("%d visitors so far", self.visitors)


visitors = Visitors()
application = service.Application("visitors")
strports.service(os.environ.get("VISITORS_AT", "tcp:8007:interface=127.0.0.1"), visitors).setServiceParent(application)
internet.TimerService(600, visitors.say).setServiceParent(application)
