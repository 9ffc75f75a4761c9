"""What a SOCKS client says before its connection is made, versions 4, 4a and 5, and what it is answered.

Specifications: https://www.openssh.com/txt/socks4.protocol, socks4a.protocol, RFC 1928 and RFC 1929. They say nothing
of limits: here a name has at most 255 bytes in version 4, as it has in version 5, so a client cannot fill the memory.
"""

from __future__ import annotations

import enum
import ipaddress
import struct
from collections.abc import Callable, Generator
from typing import NamedTuple, TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]

LONGEST = 255   # bytes, of a name in version 4
CONNECT, BIND, UDP_ASSOCIATE = 1, 2, 3

_IPV4, _NAME, _IPV6 = 1, 3, 4
_ANYBODY, _PASSWORD, _NO_METHOD = 0, 2, 0xFF


class Code(enum.IntEnum):
    """The outcomes that version 5 tells apart; version 4 knows whether it is GRANTED."""

    GRANTED = 0
    FAILED = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    REFUSED = 5
    COMMAND_UNKNOWN = 7
    ADDRESS_UNKNOWN = 8


class InvalidRequest(Exception):
    """What came cannot be served; the message says why. answer: what to send before the connection is closed."""

    def __init__(self, why: str, answer: bytes = b"") -> None:
        super().__init__(why)
        self.answer = answer


class Request(NamedTuple):
    """What a client asks for. host: a name, or an address as text; user: who it says it is."""

    version: int
    command: int
    host: str
    port: int
    user: str

    def answer(self, code: Code, host: str = "0.0.0.0", port: int = 0) -> bytes:
        """The answer `code`; host, port: the address that the connection to the destination has here."""
        return _answer_four(code, host, port) if self.version == 4 else _answer_five(code, host, port)


def _answer_four(code: Code, host: str, port: int) -> bytes:
    address = ipaddress.ip_address(host)
    packed = address.packed if address.version == 4 else bytes(4)   # it has no room for others
    return struct.pack("!BBH", 0, 90 if code is Code.GRANTED else 91, port) + packed


def _answer_five(code: Code, host: str, port: int) -> bytes:
    address = ipaddress.ip_address(host.partition("%")[0])
    kind = _IPV4 if address.version == 4 else _IPV6
    return bytes([5, code, 0, kind]) + address.packed + struct.pack("!H", port)


class Conversation:
    """Takes the beginning of one connection, cut anywhere, until the request is complete.

    authenticate: takes name and password, and says whether they are right; without it nobody is asked for them. With
    it, a client of version 4, which can give no password, is refused. request: None until it is complete; rest: what
    came after it.
    """

    def __init__(self, authenticate: Callable[[str, str], bool] | None = None) -> None:
        self.request: Request | None = None
        self._authenticate = authenticate
        self._received = bytearray()
        self._answers = bytearray()
        self._steps = self._converse()

    @property
    def rest(self) -> bytes:
        """What came and is no part of the request."""
        return bytes(self._received)

    def feed(self, data: bytes) -> bytes:
        """Take `data`; returns what is to be sent back. Raises InvalidRequest; then this is of no use any more."""
        self._received += data
        try:
            next(self._steps)
        except StopIteration as done:
            self.request = done.value
        except InvalidRequest as error:
            error.answer = bytes(self._answers) + error.answer
            raise
        answers = bytes(self._answers)
        self._answers.clear()
        return answers

    def _converse(self) -> Steps[Request]:
        (version,) = yield from self._take(1)
        if version == 4:
            return (yield from self._four())
        if version == 5:
            return (yield from self._five())
        raise InvalidRequest(f"the first byte is {version}; it is to be the version, 4 or 5")

    def _take(self, count: int) -> Steps[bytes]:
        while len(self._received) < count:
            yield
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def _take_text(self, what: str) -> Steps[bytes]:
        """What is before the next NUL, which is dropped."""
        while (end := self._received.find(0, 0, LONGEST + 1)) < 0:
            if len(self._received) > LONGEST:
                raise InvalidRequest(f"{what} is longer than {LONGEST} bytes", _answer_four(Code.FAILED, "0.0.0.0", 0))
            yield
        text = yield from self._take(end + 1)
        return text[:-1]

    # -- version 4

    def _four(self) -> Steps[Request]:
        command, port, address = struct.unpack("!BH4s", (yield from self._take(7)))
        user = (yield from self._take_text("the user's name")).decode("utf-8", "replace")
        name = b""
        if address[:3] == bytes(3) and address[3]:   # 4a
            name = yield from self._take_text("the destination's name")
        refusal = _answer_four(Code.FAILED, "0.0.0.0", 0)
        if self._authenticate is not None:
            raise InvalidRequest("a password is wanted, which version 4 cannot give", refusal)
        host = _name(name, refusal) if name else str(ipaddress.IPv4Address(address))
        if command not in (CONNECT, BIND):
            raise InvalidRequest(f"there is no command {command} in version 4", refusal)
        return Request(4, command, host, port, user)

    # -- version 5

    def _five(self) -> Steps[Request]:
        (count,) = yield from self._take(1)
        methods = yield from self._take(count)
        wanted = _ANYBODY if self._authenticate is None else _PASSWORD
        if wanted not in methods:
            what = "no password" if wanted == _ANYBODY else "name and password"
            raise InvalidRequest(f"it offers the methods {list(methods)}, not {wanted}: {what}", bytes([5, _NO_METHOD]))
        self._answers += bytes([5, wanted])
        user = "" if self._authenticate is None else (yield from self._login(self._authenticate))
        return (yield from self._asked(user))

    def _login(self, authenticate: Callable[[str, str], bool]) -> Steps[str]:
        version, size = yield from self._take(2)
        user = (yield from self._take(size)).decode("utf-8", "replace")
        (size,) = yield from self._take(1)
        password = (yield from self._take(size)).decode("utf-8", "replace")
        if version != 1 or not authenticate(user, password):
            raise InvalidRequest(f"{user!r} is not known, or the password is wrong", bytes([1, 1]))
        self._answers += bytes([1, 0])
        return user

    def _asked(self, user: str) -> Steps[Request]:
        version, command, _, kind = yield from self._take(4)
        if version != 5:
            raise InvalidRequest(f"the request has version {version} after a greeting of 5", _refusal(Code.FAILED))
        if kind == _IPV4:
            host = str(ipaddress.IPv4Address((yield from self._take(4))))
        elif kind == _IPV6:
            host = str(ipaddress.IPv6Address((yield from self._take(16))))
        elif kind == _NAME:
            (size,) = yield from self._take(1)
            host = _name((yield from self._take(size)), _refusal(Code.HOST_UNREACHABLE))
        else:
            raise InvalidRequest(f"there is no kind of address {kind}", _refusal(Code.ADDRESS_UNKNOWN))
        (port,) = struct.unpack("!H", (yield from self._take(2)))
        if command not in (CONNECT, BIND, UDP_ASSOCIATE):
            raise InvalidRequest(f"there is no command {command} in version 5", _refusal(Code.COMMAND_UNKNOWN))
        return Request(5, command, host, port, user)


def _refusal(code: Code) -> bytes:
    return _answer_five(code, "0.0.0.0", 0)


def _name(encoded: bytes, refusal: bytes) -> str:
    """A host's name: visible ASCII, which is what names on the wire are."""
    name = encoded.decode("latin-1")
    if not name or not all("!" <= character <= "~" for character in name):
        raise InvalidRequest(f"this is no name of a host: {encoded!r}", refusal)
    return name
