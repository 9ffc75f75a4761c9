"""TLS: contexts, certificates, trust; the names of twisted.internet.ssl, over the standard library's ssl.

    client = optionsForClientTLS("example.org")                                   # verifies that it is example.org
    server = DefaultOpenSSLContextFactory("key.pem", "certificates.pem")
    server = PrivateCertificate.loadPEM(text).options()
    server = SNIMap({"example.org": server, "*.example.net": other})              # by the name that a client asks for
    server = PEMFolder("/etc/letsencrypt/live")                                   # reads renewed files by itself

Wherever a context factory is asked for, there may stand
* an ssl.SSLContext of the program's own, or
* an object with getContext(), which returns one. What is optional: getClientContext() returns the one for clients, if
  getContext() is for servers; hostname is the name that a client verifies and sends; acceptableProtocols are the names
  that the context negotiates (ALPN), and withProtocols(names) is a factory that negotiates these, too; session is an
  ssl.SSLSession to resume or None, and remember(session) keeps one for the next connection.

All contexts that are made here speak TLS 1.2 and 1.3, without compression and renegotiation; a server's order of
ciphers and protocols counts; a client goes by the subjectAltName of a certificate alone. There is no pyOpenSSL beneath:
keys and certificates are objects of this module, which can be read only. To make some there are the command openssl,
the package cryptography, and for tests ropewalk.testing.certificates.
"""

from __future__ import annotations

from ssl import SSLCertVerificationError as VerificationError

from ropewalk.internet.ssl_by_name import SNIMap
from ropewalk.internet.ssl_certificates import (
    DN,
    FILETYPE_ASN1,
    FILETYPE_PEM,
    Certificate,
    DistinguishedName,
    KeyPair,
    PrivateCertificate,
    PublicKey,
)
from ropewalk.internet.ssl_contexts import (
    AcceptableCiphers,
    CertificateOptions,
    ClientContextFactory,
    ClientTLSOptions,
    ContextFactory,
    DefaultOpenSSLContextFactory,
    DiffieHellmanParameters,
    OpenSSLDefaultPaths,
    TrustRoot,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from ropewalk.internet.ssl_folder import PEMFolder
from ropewalk.internet.ssl_pem import CertificateError
from ropewalk.internet.ssl_policy import TLSVersion

__all__ = [
    "DN",
    "FILETYPE_ASN1",
    "FILETYPE_PEM",
    "AcceptableCiphers",
    "Certificate",
    "CertificateError",
    "CertificateOptions",
    "ClientContextFactory",
    "ClientTLSOptions",
    "ContextFactory",
    "DefaultOpenSSLContextFactory",
    "DiffieHellmanParameters",
    "DistinguishedName",
    "KeyPair",
    "OpenSSLDefaultPaths",
    "PEMFolder",
    "PrivateCertificate",
    "PublicKey",
    "SNIMap",
    "TLSVersion",
    "TrustRoot",
    "VerificationError",
    "optionsForClientTLS",
    "platformTrust",
    "trustRootFromCertificates",
]
