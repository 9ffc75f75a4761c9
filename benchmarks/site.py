"""A site of twisted.web: a plain page, and 500 more, each of which links to five."""

from __future__ import annotations

from typing import Any

PAGES = 500
LINKS = 5
TEXT = b"Hello, world! " * 10


def listen(backlog: int) -> int:
    """Serve the site on the reactor that Twisted has installed; return the port."""
    from twisted.internet import reactor
    from twisted.web.resource import Resource
    from twisted.web.server import Site
    from twisted.web.static import Data

    served: Any = reactor
    root = Resource()
    root.putChild(b"", Data(TEXT, "text/plain"))
    for number in range(PAGES):
        root.putChild(b"%d" % number, Data(_page(number), "text/html"))
    port = served.listenTCP(0, Site(root), backlog=backlog, interface="127.0.0.1")
    return int(port.getHost().port)


def _page(number: int) -> bytes:
    links = range(number * LINKS + 1, min((number + 1) * LINKS + 1, PAGES))
    anchors = "".join(f'<li><a href="/{link}">page {link}</a></li>' for link in links)
    return f"<html><title>Page {number}</title><ul>{anchors}</ul></html>".encode()
