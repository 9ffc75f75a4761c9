"""PEM (RFC 7468): the blocks of a file, and how a private key with its certificates gets into an ssl.SSLContext.

The standard library loads these from files alone, says "PEM lib" for whatever is wrong with one, and lets OpenSSL ask
the terminal for the password of a key, which stops the whole process. So everything is looked at here before, and a
password is asked of nobody.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----[ \t]*\r?\n(.*?)-----END \1-----", re.DOTALL)
_MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


class CertificateError(ValueError):
    """A certificate, a private key or a file of them cannot be used; the message says which, and why."""


@contextlib.contextmanager
def naming(source: str) -> Iterator[None]:
    """Every CertificateError that leaves this says that it is about `source`."""
    try:
        yield
    except CertificateError as error:
        raise CertificateError(f"{source}: {error}") from error


class Block(NamedTuple):
    """One block. label: what stands after BEGIN; text: all of it, as PEM has it; body: what is between the lines."""

    label: str
    text: bytes
    body: bytes

    @property
    def der(self) -> bytes:
        """The bytes that it stands for. Raises ValueError (binascii.Error) if it is no base64."""
        return base64.b64decode(b"".join(self.body.split()), validate=True)

    @property
    def encrypted(self) -> bool:
        """Whether it is a private key that needs a password."""
        return self.label.startswith("ENCRYPTED ") or b"ENCRYPTED" in self.body


def blocks(data: bytes) -> list[Block]:
    """The blocks in `data`; what stands between them is a comment. Raises CertificateError if one has no end."""
    found = [Block(match[1].decode("ascii"), match[0] + b"\n", match[2]) for match in _BLOCK.finditer(data)]
    if data.count(b"-----BEGIN ") != len(found):
        raise CertificateError("it is cut off: a -----BEGIN ...----- has no -----END ...----- of its own")
    return found


def block(label: str, der: bytes) -> Block:
    """The block with that label for the bytes `der`."""
    body = b"".join(base64.b64encode(der[at : at + 48]) + b"\n" for at in range(0, len(der), 48))
    name = label.encode("ascii")
    return Block(label, b"-----BEGIN %b-----\n%b-----END %b-----\n" % (name, body, name), body)


class Pieces(NamedTuple):
    """What a PEM file has of what we need: private keys, and certificates as DER."""

    keys: list[Block]
    certificates: list[bytes]


def pieces(data: bytes) -> Pieces:
    """The keys and certificates in `data`. Raises CertificateError if there are none."""
    found = blocks(data)
    keys = [one for one in found if one.label.endswith("PRIVATE KEY")]
    try:
        certificates = [one.der for one in found if one.label in ("CERTIFICATE", "X509 CERTIFICATE")]
    except binascii.Error as error:
        raise CertificateError(f"a certificate in it is damaged: {error}") from error
    if keys or certificates:
        return Pieces(keys, certificates)
    if found:
        raise CertificateError(f"there is no certificate and no private key, but {found[0].label}")
    raise CertificateError("this is no PEM: there is no -----BEGIN ...----- in it")


def load(context: ssl.SSLContext, key: Block, chain: Sequence[bytes], password: str | bytes | None) -> None:
    """Let `context` show the certificates `chain`, whose first one belongs to the private key `key`.

    password: of an encrypted key. Raises CertificateError.
    """
    if key.encrypted and password is None:
        raise CertificateError("the private key is encrypted, and no password is given")
    text = b"".join([key.text, *(block("CERTIFICATE", der).text for der in chain)])
    with _file_of(text) as path:
        try:
            context.load_cert_chain(path, password=password)
        except ssl.SSLError as error:
            raise CertificateError(_why(error, key)) from error


def _why(error: ssl.SSLError, key: Block) -> str:
    if error.reason in _MISMATCHES:
        return "the private key does not belong to the certificate"
    if error.reason is not None:
        return f"OpenSSL does not take it: {error.reason.lower().replace('_', ' ')}"
    if key.encrypted:
        return "the password does not open the private key"
    return "the private key or a certificate is damaged"


@contextlib.contextmanager
def _file_of(data: bytes) -> Iterator[str]:
    """The path of a file with `data`: one in memory, if the system has such files, for a private key is in it."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        with open(os.memfd_create("pem"), "wb") as file:
            file.write(data)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.TemporaryDirectory() as folder:   # for the owner alone
            path = os.path.join(folder, "pem")
            with open(path, "wb") as file:
                file.write(data)
            yield path
