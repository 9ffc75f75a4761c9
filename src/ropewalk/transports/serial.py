"""The channel of a serial line, over an open port of pyserial.

Facts, and what they mean for us:
* pyserial opens the device by itself, with O_NONBLOCK, so that the open file is ours alone. It sets VMIN to 0: a read
  when there is nothing returns nothing, instead of EAGAIN. Only together with POLLHUP is that the end.
* A line has no end of input: a device that was unplugged is read with EIO, or hangs up. That is an error.
* pyserial closes its descriptor with the port, so we watch and use a duplicate.
* A break (TIOCSBRK) holds the line until it is ended; what is sent meanwhile would be lost.
"""

from __future__ import annotations

import errno
import os
import select
from functools import partial
from typing import Any

from ropewalk.interfaces import WRITE
from ropewalk.transports.pipe import PipeChannel

_GONE = "the serial device has gone"


class SerialChannel(PipeChannel):
    """Both directions of `port`, an open serial.Serial, which it owns: it closes it."""

    __slots__ = ("_held", "_mask", "_port")

    def __init__(self, port: Any) -> None:
        descriptor = os.dup(port.fileno())
        super().__init__(descriptor, descriptor)
        self.recv = partial(_read, descriptor)
        self._port = port
        self._mask = 0
        self._held = False

    def want(self, mask: int) -> None:
        self._mask = mask
        super().want(mask & ~WRITE if self._held else mask)

    def hold(self) -> None:
        """Send nothing until let_go()."""
        self._held = True
        self.send = _send_nothing
        self.want(self._mask)

    def let_go(self) -> None:
        """Send again."""
        self._held = False
        self.send = partial(os.write, self.writer)
        self.want(self._mask)

    def shutdown(self, how: int) -> None:
        """A line has no end that the other side could be told of; it may still send."""

    def close(self) -> None:
        super().close()
        self._port.close()

    def leave(self) -> None:
        super().leave()
        self._port.close()

    def reset_on_close(self) -> None:
        """Let close() discard what the device has not sent."""
        self._port.reset_output_buffer()


def _send_nothing(data: Any) -> int:
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def _read(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size)
    if data:
        return data
    asking = select.poll()
    asking.register(descriptor, 0)   # errors are reported unasked
    if asking.poll(0):
        raise OSError(errno.EIO, _GONE)
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
