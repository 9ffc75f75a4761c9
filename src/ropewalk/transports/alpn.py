"""The protocols that a program's factory speaks, and how TLS comes to negotiate them (ALPN, RFC 7301).

What ssl is like decided this:
* The names belong to an ssl.SSLContext, and concern all of its connections. They can be set, but not asked for.
* A context cannot be copied. So one that is the program's own is changed: it can be for one list of names only, and
  what it was given before is replaced. Another list for the same context would be taken by connections that it is not
  meant for, which is refused.
* What makes contexts can make one more, with the names of both: that of ropewalk.internet.ssl has withProtocols().
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from ropewalk.transports.tls import context_of

_offered: WeakKeyDictionary[ssl.SSLContext, list[str]] = WeakKeyDictionary()


def negotiating(contextFactory: Any, factory: Any, server_side: bool) -> Any:
    """A context factory like `contextFactory` that negotiates what `factory` speaks, too: one for a port or connector.

    contextFactory: as start_tls() has it; factory: its acceptableProtocols(), if there is such a method, returns names
    as bytes, the preferred one first (Twisted's IProtocolNegotiationFactory). Raises ValueError if the context has got
    other names here already, or one of these cannot be offered; and as context_of().
    """
    names = list(factory.acceptableProtocols() or ()) if hasattr(factory, "acceptableProtocols") else []
    if names and hasattr(contextFactory, "withProtocols"):
        limit = getattr(contextFactory, "handshakeTimeout", None)
        contextFactory = contextFactory.withProtocols(names)
        if limit is not None:
            contextFactory.handshakeTimeout = limit
    elif names:
        contextFactory = _Offering(contextFactory, names, server_side)
    context_of(contextFactory, server_side)   # a mistake is told to who makes the port or connector
    return contextFactory


class _Offering:
    """Another's context factory, with names for the contexts that it returns."""

    def __init__(self, contextFactory: Any, names: Sequence[bytes | str], server_side: bool) -> None:
        self._wrapped = contextFactory
        self._names = [name if isinstance(name, str) else name.decode("ascii") for name in names]
        self._server_side = server_side

    def getContext(self) -> ssl.SSLContext:
        context = context_of(self._wrapped, self._server_side)
        before = _offered.get(context)
        if before is None:
            context.set_alpn_protocols(self._names)
            _offered[context] = self._names
        elif before != self._names:
            raise ValueError(
                f"this ssl.SSLContext negotiates {before} for another factory, so it cannot negotiate {self._names}: "
                "use one context for each list of protocols, or CertificateOptions"
            )
        return context

    getClientContext = getContext

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def __repr__(self) -> str:
        return f"<{self._wrapped!r}, negotiating {self._names}>"
