"""The basic protocols: lines, strings with their length in front, and sending a file; Twisted's names."""

from ropewalk.protocols.files import FileSender, TransferStopped
from ropewalk.protocols.lines import LineOnlyReceiver, LineReceiver
from ropewalk.protocols.strings import (
    Int8StringReceiver,
    Int16StringReceiver,
    Int32StringReceiver,
    IntNStringReceiver,
    NetstringParseError,
    NetstringReceiver,
    StatefulStringProtocol,
    StringTooLongError,
)

__all__ = [
    "FileSender",
    "Int8StringReceiver",
    "Int16StringReceiver",
    "Int32StringReceiver",
    "IntNStringReceiver",
    "LineOnlyReceiver",
    "LineReceiver",
    "NetstringParseError",
    "NetstringReceiver",
    "StatefulStringProtocol",
    "StringTooLongError",
    "TransferStopped",
]
