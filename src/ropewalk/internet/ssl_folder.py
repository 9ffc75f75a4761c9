"""A folder of PEM files as the context factory of a server: one file, or two, for each certificate.

The files are looked at when a client comes, at most once a second: a folder that nobody asks for costs nothing, and one
that many ask for costs a stat(2) a file and second. Only what has changed is read again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import ssl
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple, Self

from ropewalk.internet import ssl_pem, ssl_policy
from ropewalk.internet.ssl_by_name import choose_by_name
from ropewalk.internet.ssl_certificates import PrivateCertificate
from ropewalk.internet.ssl_contexts import CertificateOptions
from ropewalk.internet.ssl_files import assembled, out_of_date
from ropewalk.internet.ssl_names import pattern, patterns_for
from ropewalk.internet.ssl_pem import CertificateError

_log = logging.getLogger("ropewalk.internet")

_LOOK_EVERY = 1.0   # seconds
_DEFAULT = "DEFAULT"

Stamp = tuple[int, int, int]


class _File(NamedTuple):
    """A file as it was read. pieces: None if it could not be."""

    stamp: Stamp
    pieces: ssl_pem.Pieces | None


class _Served(NamedTuple):
    """A certificate that is served.

    stamps: of the files that it is of, or might have been; called: its file, without .pem; names: what it is for.
    """

    stamps: tuple[Stamp, ...]
    context: ssl.SSLContext
    called: str
    names: tuple[str, ...]
    until: datetime


class PEMFolder:
    """The context factory of a server whose certificates are the files NAME.pem of a folder and of those in it.

    path: the folder. A file has a private key, then its certificate and those that lead from it to a root. A key may
    also stand alone: then it belongs to the certificates of another file beside it, as certbot lays them out. A
    certificate serves the host that its file is called after, and those that it is itself for, also with '*' as their
    first label; of several for one host, the one that is valid longest. DEFAULT.pem serves clients that ask for a host
    which is not there; without it they are told unrecognized_name. Clients that ask for none get it, too, or the first
    certificate. acceptableProtocols and options: as for CertificateOptions, for all of them.

    Changes are noticed while it is in use. A file that cannot be used is logged as an error, and what it had before
    goes on being served. seconds: the clock. Raises OSError if there is no such folder. Twisted's endpoint tls: has it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        acceptableProtocols: Iterable[str | bytes] | None = None,
        *,
        seconds: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        self.path = os.fspath(path)
        self._options = {**options, "acceptableProtocols": acceptableProtocols}
        self._seconds = seconds
        policy = CertificateOptions(**self._options)
        self.acceptableProtocols = policy.acceptableProtocols
        self._files: dict[str, _File] = {}
        self._served: dict[str, _Served] = {}
        self._contexts: dict[str | None, ssl.SSLContext] = {}
        self._trouble = ""
        self._read(_stamps(self.path))
        self._next_look = seconds() + _LOOK_EVERY
        if not self._served:
            _log.warning("%s: there is no certificate with its key in this folder", self.path)
        self._context = policy.newServerContext()
        choose_by_name(self._context, self._choose)

    def getContext(self) -> ssl.SSLContext:
        """The context that every connection begins with."""
        return self._context

    def withProtocols(self, protocols: Iterable[str | bytes]) -> Self:
        """A folder like this one that negotiates `protocols`, before its own; itself if they are its own."""
        merged = ssl_policy.alpn([*protocols, *self.acceptableProtocols])
        if merged == self.acceptableProtocols:
            return self
        return type(self)(self.path, seconds=self._seconds, **{**self._options, "acceptableProtocols": merged})

    # -- choosing

    def _choose(self, name: str | None) -> ssl.SSLContext | None:
        self._look()
        candidates = (name,) if name is None else (*patterns_for(name), _DEFAULT)
        for candidate in candidates:
            if candidate in self._contexts:
                return self._contexts[candidate]
        return None

    # -- reading

    def _look(self) -> None:
        now = self._seconds()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY
        try:
            stamps = _stamps(self.path)
        except OSError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                _log.error("%s: cannot be looked at, what was there goes on being served: %s", self.path, error)
            return
        self._trouble = ""
        if stamps != {path: file.stamp for path, file in self._files.items()}:
            self._read(stamps)

    def _read(self, stamps: dict[str, Stamp]) -> None:
        files = {}
        for path, stamp in stamps.items():
            known = self._files.get(path)
            files[path] = known if known is not None and known.stamp == stamp else _File(stamp, _pieces(path))
        served = {path: self._serve(path, files) for path in files}
        self._files = files
        self._served = {path: found for path, found in served.items() if found is not None}
        self._contexts = _by_name([*self._served.values()])

    def _serve(self, path: str, files: dict[str, _File]) -> _Served | None:
        """What is to be served of `path`: what was before if it is of no use now, nothing if it never had a key."""
        file, known = files[path], self._served.get(path)
        if file.pieces is None or (known is None and not file.pieces.keys):
            return known
        sources = {path: file} if file.pieces.certificates else {path: file, **_certificates_beside(path, files)}
        stamps = tuple(source.stamp for source in sources.values())
        if known is not None and known.stamps == stamps:
            return known
        try:
            return self._made(path, sources, stamps)
        except (OSError, CertificateError) as error:   # a file that the options name may have gone
            _log.error("%s: %s", path, error)
            return known and known._replace(stamps=stamps)

    def _made(self, path: str, sources: dict[str, _File], stamps: tuple[Stamp, ...]) -> _Served:
        source, shown = _assembled(path, sources)
        problem = out_of_date(shown)
        if problem is not None and path in self._served:
            raise CertificateError(problem)
        if problem is not None:
            _log.warning("%s: %s", source, problem)
        options = CertificateOptions(shown.privateKey, shown, extraCertChain=shown.chain, **self._options)
        called = os.path.basename(source).removesuffix(".pem")
        return _Served(stamps, options.getContext(), called, shown.alternativeNames()[0], shown.validity()[1])

    def __repr__(self) -> str:
        return f"<PEMFolder {self.path}>"


def _stamps(folder: str) -> dict[str, Stamp]:
    """The *.pem files in `folder` and those below it, with what changes when a file does; hidden ones do not count."""
    found: dict[str, Stamp] = {}
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                found |= _stamps(entry.path)
            elif entry.name.endswith(".pem"):
                with contextlib.suppress(FileNotFoundError):   # a link to nowhere, or it has just been removed
                    about = os.stat(entry.path)
                    found[entry.path] = (about.st_mtime_ns, about.st_ino, about.st_size)
    return found


def _pieces(path: str) -> ssl_pem.Pieces | None:
    """What is in a file; None, and a line in the log, if it is of no use."""
    try:
        with open(path, "rb") as file:
            return ssl_pem.pieces(file.read())
    except (OSError, CertificateError) as error:
        _log.error("%s: %s", path, error)
        return None


def _certificates_beside(path: str, files: dict[str, _File]) -> dict[str, _File]:
    """The files in the folder of `path` that have certificates and no key, the longest chain first."""
    folder = os.path.dirname(path)
    found = [
        (len(file.pieces.certificates), other)
        for other, file in files.items()
        if os.path.dirname(other) == folder and file.pieces is not None and not file.pieces.keys
    ]
    return {other: files[other] for _, other in sorted(found, reverse=True)}


def _assembled(path: str, sources: dict[str, _File]) -> tuple[str, PrivateCertificate]:
    """The key in `path` with its certificates, and the one of `sources` that has them. Raises CertificateError."""
    found = {source: file.pieces for source, file in sources.items() if file.pieces is not None}
    if not found[path].keys:
        raise CertificateError("there is a certificate, but no private key")
    key = found[path].keys[0]
    error = CertificateError("there is a private key, but no certificate, nor any in a file beside it")
    for source, pieces in found.items():
        if pieces.certificates:
            try:
                return source, assembled(key, pieces.certificates)
            except CertificateError as unfit:
                error = unfit
    raise error


def _usable(names: Iterable[str]) -> tuple[str, ...]:
    """Those that can be matched: the certificate of a stranger may be for 'f*.example.org'."""
    found = []
    for name in names:
        with contextlib.suppress(ValueError):
            found.append(pattern(name))
    return tuple(found)


def _by_name(served: list[_Served]) -> dict[str | None, ssl.SSLContext]:
    """The context for each name, and for none."""
    contexts: dict[str | None, ssl.SSLContext] = {}
    for one in sorted(served, key=lambda one: one.until):
        contexts |= dict.fromkeys(_usable(one.names), one.context)
    for one in served:
        contexts |= dict.fromkeys([_DEFAULT] if one.called == _DEFAULT else _usable([one.called]), one.context)
    if served:
        contexts[None] = contexts.get(_DEFAULT, served[0].context)
    return contexts
