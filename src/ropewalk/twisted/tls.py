"""TLS by twisted.protocols.tls, with pyOpenSSL's contexts, over our streams.

startTLS() puts Twisted's TLS protocol between a stream and its protocol. From then on the stream is of a class whose
write() and the like lead to that protocol, which itself writes by the methods that the stream's own class has.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

from ropewalk.transports.stream import Stream


def is_ours(contextFactory: Any) -> bool:
    """Whether `contextFactory` is for our TLS: an ssl.SSLContext, or of a class of ours, or derived from one."""
    if isinstance(contextFactory, ssl.SSLContext):
        return True
    return any(cls.__module__.startswith("ropewalk.") for cls in type(contextFactory).__mro__)


def wrapped(factory: Any, contextFactory: Any, client: bool) -> Any:
    """A factory for protocols of Twisted's TLS, over which `factory` makes its own."""
    from twisted.protocols.tls import TLSMemoryBIOFactory

    return TLSMemoryBIOFactory(contextFactory, client, factory)


def start(stream: Stream, contextFactory: Any, client: bool) -> None:
    """Begin TLS on a stream that is connected. Raises what `contextFactory` does."""
    factory = wrapped(None, contextFactory, client)
    producer, streaming = stream._producer, stream._streaming
    if producer is not None:
        stream.unregisterProducer()
    protocol = factory.protocol(factory, stream.protocol, False)
    below = _Below(type(stream), stream)
    stream.__class__ = _secured(type(stream))
    stream.protocol = protocol
    protocol.makeConnection(below)
    if producer is not None:
        stream.registerProducer(producer, streaming)


_classes: dict[type[Stream], type[Stream]] = {}


def _secured(plain: type[Stream]) -> type[Stream]:
    """The class of a stream that was of the class `plain`, once it has TLS."""
    if plain not in _classes:
        _classes[plain] = type(plain.__name__, (_Secured, plain), {"__slots__": (), "__module__": plain.__module__})
    return _classes[plain]


class _Secured(Stream):
    """What leads to the TLS protocol, which is the stream's protocol."""

    __slots__ = ()

    TLS = True

    def write(self, data: bytes) -> None:
        """Send `data` over TLS; nothing happens when the connection is lost."""
        if self.connected:
            self.protocol.write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send the pieces of `iovec` over TLS."""
        if self.connected:
            self.protocol.writeSequence(iovec)

    def loseConnection(self) -> None:
        """Close when everything that was written has been sent, with TLS's own end."""
        if self.connected and not self.disconnecting:
            self.protocol.loseConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """As TLSMemoryBIOProtocol has it."""
        self.protocol.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """As TLSMemoryBIOProtocol has it."""
        self.protocol.unregisterProducer()

    def getHandle(self) -> Any:
        """pyOpenSSL's connection. Twisted's ISystemHandle."""
        return self.protocol.getHandle()

    def getPeerCertificate(self) -> Any:   # type: ignore[override]
        """The peer's certificate, an object of pyOpenSSL's. Twisted's ISSLTransport."""
        return self.protocol.getPeerCertificate()

    @property
    def negotiatedProtocol(self) -> bytes | None:
        """The protocol that both sides chose by ALPN; None for none. Twisted's INegotiated."""
        chosen: bytes | None = self.protocol.negotiatedProtocol
        return chosen


class _Below:
    """The transport of the TLS protocol: the stream by the methods of the class that it had before."""

    def __init__(self, plain: type[Stream], stream: Stream) -> None:
        self._plain = plain
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, data: bytes) -> None:
        self._plain.write(self._stream, data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self._plain.write(self._stream, b"".join(iovec))

    def loseConnection(self) -> None:
        self._plain.loseConnection(self._stream)

    def abortConnection(self) -> None:
        """A turn later, as Twisted does it: whoever is connecting to us learns first that there was a connection."""
        self._stream.reactor.callLater(0, self._stream.abortConnection)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._plain.registerProducer(self._stream, producer, streaming)

    def unregisterProducer(self) -> None:
        self._plain.unregisterProducer(self._stream)
