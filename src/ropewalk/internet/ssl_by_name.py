"""Servers with several names: the client says which one it wants (SNI, RFC 6066), and gets that one's certificate.

What OpenSSL does when a connection changes its context, SSL_set_SSL_CTX(3), decided this:
* Certificates, ciphers, ALPN and trusted authorities are the new context's from then on. So the protocols that are
  negotiated are those of the context that was changed to; a map can give the same ones to all of its contexts.
* Versions, options, and whether a client's certificate is asked for are settled before the name is known. Contexts that
  do not agree on these are refused, or else a map would not ask for the certificates that one of them demands.
* A session is one of the first context, so one that was made under one name can be resumed under another. So contexts
  that verify clients have to trust the same authorities (what came of that elsewhere is CVE-2025-23419).
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from ropewalk.internet import ssl_policy
from ropewalk.internet.ssl_names import pattern, patterns_for

_log = logging.getLogger("ropewalk.internet")

Chooser = Callable[[str | None], ssl.SSLContext | None]


class SNIMap:
    """The context factory of a server with several names.

    contexts: for each name, or '*.' and one, a context factory or an ssl.SSLContext; default: the one for clients that
    say no name, or one that is not there. Without it these are told unrecognized_name, which ends the handshake. An
    exact name goes before a '*', which stands for one label (RFC 6125). acceptableProtocols: names for ALPN that all of
    them are to negotiate, before their own if they are factories of ours; else instead.

    Raises ValueError for a name that is none, and for contexts that do not agree on what a map has to have once.
    """

    def __init__(
        self, contexts: Mapping[str, Any], default: Any = None, acceptableProtocols: Iterable[str | bytes] | None = None
    ) -> None:
        self.acceptableProtocols = ssl_policy.alpn(acceptableProtocols)
        self._factories = {pattern(name): factory for name, factory in contexts.items()}
        self._default_factory = default
        self._contexts = {name: self._context_of(factory) for name, factory in self._factories.items()}
        self._default = None if default is None else self._context_of(default)
        self._context = self._agreed()
        choose_by_name(self._context, self._choose)

    def getContext(self) -> ssl.SSLContext:
        """The context that every connection begins with."""
        return self._context

    def withProtocols(self, protocols: Iterable[str | bytes]) -> Self:
        """A map like this one that negotiates `protocols`, before its own; itself if they are its own."""
        merged = ssl_policy.alpn([*protocols, *self.acceptableProtocols])
        if merged == self.acceptableProtocols:
            return self
        return type(self)(self._factories, self._default_factory, merged)

    def _context_of(self, factory: Any) -> ssl.SSLContext:
        if self.acceptableProtocols and hasattr(factory, "withProtocols"):
            factory = factory.withProtocols(self.acceptableProtocols)
        if not isinstance(factory, ssl.SSLContext):
            context: ssl.SSLContext = factory.getContext()
            return context
        ssl_policy.offer(factory, self.acceptableProtocols)
        return factory

    def _agreed(self) -> ssl.SSLContext:
        """A context with what those of the map have in common."""
        named = [*self._contexts.items()] + ([("the default", self._default)] if self._default is not None else [])
        context = ssl_policy.server_context()
        if not named:
            return context
        first, model = named[0]
        for name, other in named[1:]:
            if _settled(other) != _settled(model):
                raise ValueError(
                    f"the contexts of {first} and {name} differ in versions, options or how clients are verified, "
                    "which is settled before a client says the name: use one policy, or two ports"
                )
        context.options = model.options
        context.minimum_version = model.minimum_version
        context.maximum_version = model.maximum_version
        context.verify_mode = model.verify_mode
        context.verify_flags = model.verify_flags
        authorities = b"".join(model.get_ca_certs(binary_form=True))
        if authorities:
            context.load_verify_locations(cadata=authorities)
        return context

    def _choose(self, name: str | None) -> ssl.SSLContext | None:
        if name is not None:
            for candidate in patterns_for(name):
                if candidate in self._contexts:
                    return self._contexts[candidate]
        return self._default

    def __repr__(self) -> str:
        return f"<SNIMap of {', '.join(self._contexts)}>"


def _settled(context: ssl.SSLContext) -> tuple[Any, ...]:
    policy = (context.options, context.minimum_version, context.maximum_version, context.verify_mode)
    if context.verify_mode == ssl.CERT_NONE:
        return policy
    return (*policy, context.verify_flags, sorted(context.get_ca_certs(binary_form=True)))


def choose_by_name(context: ssl.SSLContext, choose: Chooser) -> None:
    """Let the connections of `context` go on with the context that `choose` returns for the name that a client says.

    It is called with None for a client that says none; where it returns None, the client is told unrecognized_name.
    """

    def switch(connection: Any, name: str | None, _: ssl.SSLContext) -> int | None:
        try:
            found = choose(None if name is None else name.lower().removesuffix("."))
        except Exception:
            _log.exception("no context could be found for %r", name)
            return int(ssl.ALERT_DESCRIPTION_INTERNAL_ERROR)
        if found is None:
            _log.debug("a client has asked for %r, which is not here", name)
            return int(ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)
        connection.context = found
        return None

    context.sni_callback = switch
