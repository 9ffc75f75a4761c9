"""TLS handshakes in memory, to see what two context factories make of each other."""

from __future__ import annotations

import ssl
from typing import Any


class Side:
    """One side of a handshake.

    tls: its ssl.SSLObject; done: whether its handshake is; error: the ssl.SSLError that ended it, or None.
    """

    def __init__(self, tls: ssl.SSLObject) -> None:
        self.tls = tls
        self.done = False
        self.error: ssl.SSLError | None = None

    def step(self) -> None:
        """Go on with the handshake."""
        if self.done or self.error is not None:
            return
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            self.error = error
            return
        self.done = True


def handshake(client: Any, server: Any, hostname: str | None = None) -> tuple[Side, Side]:
    """The client's and the server's side of a handshake that has come to its end, in memory.

    client, server: context factories, or contexts; hostname: the name that the client asks for and verifies (None: the
    one that its factory has). A session that the client's factory has is resumed. What TLS 1.3 servers send after the
    handshake has been read by the client.
    """
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    name = getattr(client, "hostname", None) if hostname is None else hostname
    asking = _context(client, "getClientContext").wrap_bio(
        to_client, to_server, server_hostname=name, session=getattr(client, "session", None)
    )
    answering = _context(server, "getContext").wrap_bio(to_server, to_client, server_side=True)
    sides = Side(asking), Side(answering)
    for _ in range(5):   # no handshake has more flights
        for side in sides:
            side.step()
    _read_on(sides[0])
    return sides


def _context(factory: Any, preferred: str) -> ssl.SSLContext:
    if isinstance(factory, ssl.SSLContext):
        return factory
    context: ssl.SSLContext = getattr(factory, preferred, factory.getContext)()
    return context


def _read_on(side: Side) -> None:
    """A server's complaint about the client's certificate comes after the handshake of TLS 1.3, as its tickets do."""
    if not side.done:
        return
    try:
        side.tls.read(1)
    except ssl.SSLWantReadError:
        return
    except ssl.SSLError as error:
        side.error = error
