"""Strings with their length in front: netstrings, and 8, 16 or 32 bits of length. Twisted's names and behaviour.

Beyond Twisted: a string that is too long, or not valid, is the last thing that is looked at; a string that comes in
many pieces is put together once; `recvd` may be read and set at any time.
"""

from __future__ import annotations

import logging
import re
from struct import calcsize, pack, unpack_from
from typing import Any

from ropewalk.protocols.parsing import Pausable, SizedParser

_log = logging.getLogger("ropewalk.protocols")
_LENGTH = re.compile(rb"(0|[1-9][0-9]{0,18}):")   # of a netstring; any longer could not be a length
_BEGUN = re.compile(rb"0|[1-9][0-9]{0,18}")
_COMMA = ord(",")


class NetstringParseError(ValueError):
    """What came is not a netstring, or one that is too long."""


class StringTooLongError(AssertionError):
    """A string to send is longer than its prefix can say."""


class _Strings(SizedParser):
    """Delivers strings."""

    MAX_LENGTH = 99999

    def stringReceived(self, string: bytes) -> None:
        """A string came; `string` is without its framing. For the program to override."""
        raise NotImplementedError


class NetstringReceiver(_Strings):
    """Sends and receives netstrings, such as b"5:hello,".

    MAX_LENGTH: bytes that a string may have; brokenPeer: 1 when something else than a netstring came, or one that is
    too long: the connection is closed, and the reason logged. D. J. Bernstein, "Netstrings", 1997; Twisted's
    NetstringReceiver.
    """

    brokenPeer = 0

    def makeConnection(self, transport: Any) -> None:
        self.brokenPeer = 0
        super().makeConnection(transport)

    def sendString(self, string: bytes) -> None:
        """Send `string` as a netstring."""
        self.transport.write(b"%d:%b," % (len(string), string))

    def _deliver(self) -> bool:
        whole, at = self._whole, self._at
        size = len(whole)
        while at < size:
            try:
                start, length = _netstring(whole, at, self.MAX_LENGTH)
            except NetstringParseError as error:
                return self._refuse(error)
            end = start + length
            if end >= size:
                self._needed = end + 1 - at
                return True
            if whole[end] != _COMMA:
                return self._refuse(NetstringParseError(f"no comma after the {length} bytes of a netstring"))
            if self._over():
                return False
            at = self._at = end + 1
            self.stringReceived(whole[start:end])
        self._needed = 1
        return True

    def _refuse(self, error: NetstringParseError) -> bool:
        if self._over():
            return False
        _log.info("%r closes its connection: %s", self, error)
        self.brokenPeer = 1
        self._deaf = True
        self._take()
        self.transport.loseConnection()
        return False


def _netstring(data: bytes, at: int, limit: int) -> tuple[int, int]:
    """Where the bytes of the netstring at `at` begin, and how many they are; (len(data), 0) if that is not known yet.

    Raises NetstringParseError.
    """
    found = _LENGTH.match(data, at)
    digits = found[1] if found else data[at:]
    if found is None and not _BEGUN.fullmatch(digits):
        raise NetstringParseError(f"a netstring begins with its length and a colon, not with {digits[:20]!r}")
    if int(digits) > limit:
        raise NetstringParseError(f"a netstring of {digits.decode()} bytes is longer than {limit}")
    return (found.end(), int(digits)) if found else (len(data), 0)


class IntNStringReceiver(_Strings, Pausable):
    """Sends and receives strings with a binary number in front: their length.

    structFormat: that number, as the module struct describes it; prefixLength: its size in bytes; MAX_LENGTH: bytes
    that a string may have. recvd: what has come and is not delivered; set it, and that is parsed instead. Twisted's
    IntNStringReceiver.
    """

    structFormat: str
    prefixLength: int

    @property
    def recvd(self) -> bytes:
        """What has come and is not delivered."""
        return self._rest()

    @recvd.setter
    def recvd(self, data: bytes) -> None:
        self._replace(data)
        self._deaf = False

    def lengthLimitExceeded(self, length: int) -> None:
        """A string of `length` bytes is announced: more than MAX_LENGTH, or less than 0. It closes the connection.

        The program may override it. What has come, from that length on, is in `recvd`. Nothing is delivered any more
        unless the program sets `recvd`.
        """
        self.transport.loseConnection()

    def sendString(self, string: bytes) -> None:
        """Send `string` and its length. Raises StringTooLongError if the prefix has no room for that."""
        limit = 1 << 8 * self.prefixLength
        if len(string) >= limit:
            raise StringTooLongError(
                f"{len(string)} bytes cannot be sent: the {self.prefixLength} bytes of the length can say {limit - 1}"
            )
        self.transport.write(pack(self.structFormat, len(string)) + string)

    def _deliver(self) -> bool:
        number, width = self.structFormat, self.prefixLength
        whole, at = self._whole, self._at
        size = len(whole)
        while at + width <= size:
            (length,) = unpack_from(number, whole, at)
            if not 0 <= length <= self.MAX_LENGTH:
                return self._refuse(length)
            start = at + width
            end = start + length
            if end > size:
                self._needed = width + length
                return True
            if self._over():
                return False
            at = self._at = end
            self.stringReceived(whole[start:end])
            if self._at != at or self.paused:   # `recvd` was set, or it wants no more for now
                return not self.paused
        self._needed = width
        return True

    def _refuse(self, length: int) -> bool:
        if self._over():
            return False
        self._deaf = True
        self.lengthLimitExceeded(length)
        if self._deaf:
            self._take()
        return not (self._deaf or self.paused)


class Int32StringReceiver(IntNStringReceiver):
    """Strings with 32 bits of length, in network byte order, in front."""

    structFormat = "!I"
    prefixLength = calcsize(structFormat)


class Int16StringReceiver(IntNStringReceiver):
    """Strings with 16 bits of length, in network byte order, in front."""

    structFormat = "!H"
    prefixLength = calcsize(structFormat)


class Int8StringReceiver(IntNStringReceiver):
    """Strings with 8 bits of length in front."""

    structFormat = "!B"
    prefixLength = calcsize(structFormat)


class StatefulStringProtocol:
    """Mixed into a receiver of strings: each string goes to the method that the one before chose.

    state: the next string goes to the method `proto_` and this; what that returns is the next state. "done" closes
    the connection. Twisted's StatefulStringProtocol.
    """

    state = "init"
    transport: Any

    def stringReceived(self, string: bytes) -> None:
        """Give `string` to the method of the state; a state without one is logged, and the string dropped."""
        method = getattr(self, f"proto_{self.state}", None)
        if method is None:
            _log.error("%r dropped a string: there is no method proto_%s", self, self.state)
            return
        self.state = method(string)
        if self.state == "done":
            self.transport.loseConnection()
