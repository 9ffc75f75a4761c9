"""A twisted.web site of 500 pages, each of which links to five more: python site.py ENDPOINT.

Page 0 leads to 1 ... 5, page 1 to 6 ... 10, and so on. `/form` answers what was posted to it, `/slow` answers later.
"""

import sys

from twisted.internet import endpoints, reactor
from twisted.internet.task import deferLater
from twisted.python import log
from twisted.web.resource import NoResource, Resource
from twisted.web.server import NOT_DONE_YET, Site

PAGES = 500
LINKS = 5


class Page(Resource):
    isLeaf = True

    def __init__(self, number):
        super().__init__()
        links = range(number * LINKS + 1, min((number + 1) * LINKS + 1, PAGES))
        anchors = "".join(f'<li><a href="/{link}">page {link}</a></li>' for link in links)
        self.page = f"<html><title>Page {number}</title><ul>{anchors}</ul></html>".encode()

    def render_GET(self, request):
        return self.page


class Form(Resource):
    isLeaf = True

    def render_POST(self, request):
        return request.content.read()


class Slow(Resource):
    isLeaf = True

    def render_GET(self, request):
        def answer():
            request.write(b"at last")
            request.finish()

        deferLater(reactor, 0.05, answer)
        return NOT_DONE_YET


class Root(Resource):
    def getChild(self, name, request):
        number = int(name) if name.isdigit() else PAGES
        return Page(number) if number < PAGES else NoResource()


root = Root()
root.putChild(b"form", Form())
root.putChild(b"slow", Slow())

if __name__ == "__main__":
    log.startLogging(sys.stdout)
    listening = endpoints.serverFromString(reactor, sys.argv[1]).listen(Site(root))
    listening.addErrback(log.err)
    reactor.run()
