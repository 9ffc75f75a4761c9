"""Context factories, after Twisted's, over the standard library's ssl: what listenSSL, connectSSL and startTLS take.

A context of the standard library is for one side of a connection. So a factory that serves both has getContext() for
servers and getClientContext() for clients; whoever starts TLS as a client asks for the latter where there is one.
"""

from __future__ import annotations

import copy
import os
import ssl
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, Self, cast

from ropewalk.internet import ssl_policy
from ropewalk.internet.ssl_certificates import Certificate, KeyPair, PrivateCertificate, load_key, trust
from ropewalk.internet.ssl_files import private_certificate
from ropewalk.internet.ssl_names import is_address, server_name
from ropewalk.internet.ssl_policy import TLSVersion


class TrustRoot(Protocol):
    """Whom to trust. A Certificate is one; so is what platformTrust() and trustRootFromCertificates() return."""

    def addTo(self, context: ssl.SSLContext) -> None:
        """Let `context` trust them."""


class OpenSSLDefaultPaths:
    """Trusts the authorities that this system trusts: see ssl.SSLContext.load_default_certs()."""

    def addTo(self, context: ssl.SSLContext) -> None:
        """Let `context` trust them."""
        is_client = context.protocol == ssl.PROTOCOL_TLS_CLIENT
        context.load_default_certs(ssl.Purpose.SERVER_AUTH if is_client else ssl.Purpose.CLIENT_AUTH)


def platformTrust() -> TrustRoot:
    """The authorities that this system trusts; SSL_CERT_FILE and SSL_CERT_DIR name others, as OpenSSL has it."""
    return OpenSSLDefaultPaths()


class _Certificates:
    def __init__(self, certificates: Iterable[Certificate]) -> None:
        self._certificates = tuple(certificates)
        for certificate in self._certificates:
            if not isinstance(certificate, Certificate):
                raise TypeError(f"a trust root is made of objects of Certificate, not {certificate!r}")

    def addTo(self, context: ssl.SSLContext) -> None:
        trust(context, self._certificates)


def trustRootFromCertificates(certificates: Iterable[Certificate]) -> TrustRoot:
    """Those certificates, and what they have signed; an intermediate or a server's own will do, too.

    Raises TypeError for what is no Certificate. With none at all, nobody is trusted.
    """
    return _Certificates(certificates)


class AcceptableCiphers:
    """The ciphers of TLS 1.2 that are acceptable; those of 1.3 cannot be chosen. ciphers: OpenSSL's cipher string."""

    def __init__(self, ciphers: str) -> None:
        self.ciphers = ciphers

    @classmethod
    def fromOpenSSLCipherString(cls, cipherString: str) -> AcceptableCiphers:
        """Those of an OpenSSL cipher string. Raises ValueError if there are none, or it is none."""
        try:
            ssl_policy.server_context().set_ciphers(cipherString)
        except ssl.SSLError as error:
            raise ValueError(f"no cipher of this OpenSSL goes by {cipherString!r}") from error
        return cls(cipherString)


class DiffieHellmanParameters:
    """Parameters for the key exchange of the DHE ciphers of TLS 1.2. path: the PEM file that has them."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    @classmethod
    def fromFile(cls, filePath: Any) -> DiffieHellmanParameters:
        """Those of a file, a path or an object with one as its `path`; `openssl dhparam` makes such files."""
        return cls(getattr(filePath, "path", filePath))


# What Twisted's CertificateOptions has and the standard library has not: the values that say what is so anyway, and
# what there is instead.
_UNSUPPORTED: dict[str, tuple[tuple[Any, ...], str]] = {
    "method": ((None,), "CertificateOptions has raiseMinimumTo, insecurelyLowerMinimumTo and lowerMaximumSecurityTo"),
    "verifyDepth": ((None, 9), "OpenSSL's own limit holds; a trustRoot that has signed the certificate limits it, too"),
    "verifyOnce": ((True,), "a certificate is verified in a full handshake, and there is no renegotiation"),
    "enableSingleUseKeys": ((True,), "OpenSSL makes a new key for every connection"),
    "enableSessions": ((True,), "sessions cannot be turned off but with enableSessionTickets=False (TLS 1.3)"),
    "fixBrokenPeers": ((True,), "the standard library turns these on"),
    "contextForServerName": ((None,), "use SNIMap or PEMFolder"),
}


class CertificateOptions:
    """A context factory for either side, by Twisted's name and arguments.

    privateKey, certificate: what to show (both or neither), as KeyPair and Certificate; extraCertChain: the
    certificates that lead from it to a root. trustRoot: whom the peer's certificate must be of: there must be one then.
    Without it nobody is verified; verify, caCerts and requireCertificate (False: it may be missing) are its older way.
    A client's peer is verified, but not its name: for that there is optionsForClientTLS. acceptableProtocols: names for
    ALPN, the preferred one first; with none in common a connection has none. raiseMinimumTo, insecurelyLowerMinimumTo,
    lowerMaximumSecurityTo: a TLSVersion; TLS 1.2 is the lowest unless these say otherwise. acceptableCiphers: for TLS
    1.2. dhParameters: a DiffieHellmanParameters. enableSessionTickets: whether a server's clients may resume.

    Raises TypeError or ValueError for arguments that do not go together or that there are not, and says what there is
    instead. A key that does not fit its certificate is found when the context is made (CertificateError).
    """

    def __init__(
        self,
        privateKey: KeyPair | None = None,
        certificate: Certificate | None = None,
        *,
        verify: bool = False,
        caCerts: Sequence[Certificate] | None = None,
        requireCertificate: bool | None = None,
        enableSessionTickets: bool = True,
        extraCertChain: Sequence[Certificate] | None = None,
        acceptableCiphers: AcceptableCiphers | None = None,
        dhParameters: DiffieHellmanParameters | None = None,
        trustRoot: TrustRoot | None = None,
        acceptableProtocols: Iterable[str | bytes] | None = None,
        raiseMinimumTo: TLSVersion | None = None,
        insecurelyLowerMinimumTo: TLSVersion | None = None,
        lowerMaximumSecurityTo: TLSVersion | None = None,
        **others: Any,
    ) -> None:
        for name, value in others.items():
            _refuse(name, value)
        if (privateKey is None) != (certificate is None):
            raise ValueError("privateKey and certificate belong together: give both or neither")
        if extraCertChain and certificate is None:
            raise ValueError("extraCertChain belongs to a certificate: give it, and its privateKey")
        if trustRoot is not None and (verify or caCerts or requireCertificate is not None):
            raise TypeError("trustRoot says what verify, caCerts and requireCertificate do: give it alone")
        if verify and not caCerts:
            raise ValueError("verify needs caCerts; or say trustRoot instead of both")
        self.privateKey = privateKey
        self.certificate = certificate
        self.extraCertChain = tuple(extraCertChain or ())
        self.trustRoot = trustRootFromCertificates(caCerts or ()) if verify else trustRoot
        self.requireCertificate = requireCertificate is not False
        self.enableSessionTickets = enableSessionTickets
        self.acceptableProtocols = ssl_policy.alpn(acceptableProtocols)
        self.acceptableCiphers = acceptableCiphers
        self.dhParameters = dhParameters
        self._versions = ssl_policy.version_range(raiseMinimumTo, insecurelyLowerMinimumTo, lowerMaximumSecurityTo)
        self._server: ssl.SSLContext | None = None
        self._client: ssl.SSLContext | None = None
        self._others: dict[tuple[bytes, ...], Self] = {}

    def getContext(self) -> ssl.SSLContext:
        """The context for servers, always the same. Raises CertificateError if key and certificate do not fit."""
        if self._server is None:
            self._server = self.newServerContext()
        return self._server

    def getClientContext(self) -> ssl.SSLContext:
        """The context for clients, always the same, which verifies no name. Raises as getContext() does."""
        if self._client is None:
            self._client = self.newClientContext()
        return self._client

    def newServerContext(self) -> ssl.SSLContext:
        """A context for servers that is the caller's own."""
        context = ssl_policy.server_context()
        if not self.enableSessionTickets:
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
        if self.dhParameters is not None:
            context.load_dh_params(os.fspath(self.dhParameters.path))
        return self._fill(context)

    def newClientContext(self) -> ssl.SSLContext:
        """A context for clients that is the caller's own."""
        context = ssl_policy.client_context()
        context.check_hostname = False
        return self._fill(context)

    def withProtocols(self, protocols: Iterable[str | bytes]) -> Self:
        """A factory like this one that negotiates `protocols`, before those of its own; itself if they are its own.

        It is the same for the same protocols, since contexts are dear.
        """
        merged = ssl_policy.alpn([*protocols, *self.acceptableProtocols])
        if merged == self.acceptableProtocols:
            return self
        if merged not in self._others:
            self._others[merged] = other = copy.copy(self)
            other.acceptableProtocols = merged
            other._server = other._client = None
            other._others = {}
        return self._others[merged]

    def _fill(self, context: ssl.SSLContext) -> ssl.SSLContext:
        ssl_policy.set_versions(context, self._versions)
        ssl_policy.offer(context, self.acceptableProtocols)
        if self.acceptableCiphers is not None:
            context.set_ciphers(self.acceptableCiphers.ciphers)
        if self.certificate is not None:
            load_key(context, self.certificate, cast(KeyPair, self.privateKey), self.extraCertChain)
        if self.trustRoot is None:
            context.verify_mode = ssl.CERT_NONE
        else:
            context.verify_mode = ssl.CERT_REQUIRED if self.requireCertificate else ssl.CERT_OPTIONAL
            self.trustRoot.addTo(context)
        return context


def _refuse(name: str, value: Any) -> None:
    if name not in _UNSUPPORTED:
        raise TypeError(f"CertificateOptions has no argument {name!r}")
    accepted, instead = _UNSUPPORTED[name]
    if value not in accepted:
        raise TypeError(f"{name}={value!r} is not supported over the standard library's ssl: {instead}")


class ClientTLSOptions:
    """What optionsForClientTLS() returns: a context factory for connections to one host.

    hostname: the host, as ssl wants it (see ssl_names.server_name); context: its ssl.SSLContext, always the same.
    """

    def __init__(self, hostname: str, options: CertificateOptions) -> None:
        self.hostname = server_name(hostname)
        self._options = options
        self.context = options.newClientContext()
        self.context.check_hostname = True
        self._session: ssl.SSLSession | None = None
        self._others: dict[tuple[bytes, ...], Self] = {}

    @property
    def acceptableProtocols(self) -> tuple[bytes, ...]:
        """The names that it offers for ALPN."""
        return self._options.acceptableProtocols

    def getContext(self) -> ssl.SSLContext:
        """Its context."""
        return self.context

    def withProtocols(self, protocols: Iterable[str | bytes]) -> Self:
        """See CertificateOptions.withProtocols(); one that is not itself has a context and sessions of its own."""
        options = self._options.withProtocols(protocols)
        if options is self._options:
            return self
        if options.acceptableProtocols not in self._others:
            self._others[options.acceptableProtocols] = type(self)(self.hostname, options)
        return self._others[options.acceptableProtocols]

    @property
    def session(self) -> ssl.SSLSession | None:
        """The session that the next connection may resume; None if there is none, or it is too old by now."""
        session = self._session
        if session is not None and session.time + session.timeout <= time.time():
            session = self._session = None
        return session

    def remember(self, session: ssl.SSLSession | None) -> None:
        """Keep `session`, that of a connection which was made by this object and is verified, for the next one.

        A connection that resumes it is not verified again (RFC 8446, 2.2): one of another host must never come here.
        In TLS 1.3 there is nothing to resume before the server has sent a ticket, with or after its first data; what
        cannot be resumed is not kept.
        """
        if session is not None and session.id:
            self._session = session

    def __repr__(self) -> str:
        return f"<TLS to {self.hostname}>"


def optionsForClientTLS(
    hostname: str,
    trustRoot: TrustRoot | None = None,
    clientCertificate: PrivateCertificate | None = None,
    acceptableProtocols: Iterable[str | bytes] | None = None,
    *,
    extraCertificateOptions: dict[str, Any] | None = None,
    sendServerName: bool | None = None,
) -> ClientTLSOptions:
    """The context factory for connections to `hostname`, which verifies that it is that host that answers.

    hostname: a name, also an international one, or an IP address; trustRoot: whom to believe it (None: whom this system
    trusts); clientCertificate: what to show if the server asks; acceptableProtocols: names for ALPN, the preferred one
    first; extraCertificateOptions: further arguments of CertificateOptions. A name is always sent to the server and an
    address never (RFC 6066): sendServerName may say just that. Raises ValueError for what is no host, else what
    CertificateOptions raises. Twisted's optionsForClientTLS.
    """
    name = server_name(hostname)
    if sendServerName is not None and sendServerName is is_address(name):
        raise ValueError("sendServerName: the standard library's ssl sends the name of a host, and no address")
    further = dict(extraCertificateOptions or {})
    if clientCertificate is not None:
        further |= {"privateKey": clientCertificate.privateKey, "certificate": clientCertificate}
        further.setdefault("extraCertChain", clientCertificate.chain)
    trusted = platformTrust() if trustRoot is None else trustRoot
    return ClientTLSOptions(
        name, CertificateOptions(trustRoot=trusted, acceptableProtocols=acceptableProtocols, **further)
    )


class ContextFactory:
    """The base of context factories that a program writes."""

    isClient = 0

    def getContext(self) -> ssl.SSLContext:
        """The context of the next connection."""
        raise NotImplementedError(f"{type(self).__name__} has no getContext()")


class DefaultOpenSSLContextFactory(ContextFactory):
    """The context factory of a server whose private key and certificates are in PEM files, which are read at once.

    privateKeyFileName, certificateFileName: the files; the latter has the server's certificate first, then those that
    lead from it to a root. password: of an encrypted key. sslmethod is not supported but as None. Raises OSError or
    CertificateError, which names the file. Twisted's.
    """

    def __init__(
        self,
        privateKeyFileName: str | os.PathLike[str],
        certificateFileName: str | os.PathLike[str],
        sslmethod: None = None,
        *,
        password: str | bytes | None = None,
    ) -> None:
        _refuse("method", sslmethod)
        self.privateKeyFileName = privateKeyFileName
        self.certificateFileName = certificateFileName
        shown = private_certificate(certificateFileName, privateKeyFileName, password=password)
        self._options = shown.options()

    def getContext(self) -> ssl.SSLContext:
        """Its context, always the same."""
        return self._options.getContext()

    def withProtocols(self, protocols: Iterable[str | bytes]) -> CertificateOptions:
        """A context factory with the same key and certificates that negotiates `protocols`."""
        return self._options.withProtocols(protocols)


class ClientContextFactory(ContextFactory):
    """A context factory of clients that VERIFIES NOTHING: whoever answers is believed to be the server.

    It is here for programs that have it from Twisted. Use optionsForClientTLS().
    """

    isClient = 1

    def getContext(self) -> ssl.SSLContext:
        """A new context, which verifies nothing."""
        return CertificateOptions().newClientContext()
