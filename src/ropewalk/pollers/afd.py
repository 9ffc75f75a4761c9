"""What the pollers of Windows share: readiness of sockets, asked of their driver (AFD), reported to a completion port.

Facts of AFD_POLL, on which WSAPoll and select stand, and what they mean for us:
* One request asks for one socket, and ends when the socket is ready: its packet lies in the port then. If the socket is
  ready already, the packet is there at once. So a request is made again before the next wait, when its handler has had
  its turn: that is level-triggered, and costs a call an event and nothing for who is silent.
* A request cannot be changed. Reading and writing are requests of their own, so neither has to be withdrawn for the
  other; whoever writes seldom seldom has the second.
* A withdrawn request ends, too, and only then its memory is free. Its address tells it from a later one for the same
  number.
* The end of a connection, its reset and a failed connect are told to who asks for them; a socket that is closed while a
  request waits ends it with LOCAL_CLOSE. The next request, which is refused, tells whether the number is somebody
  else's by now.
* Withdrawing takes the longer the more requests a handle of the driver has; so it is opened once for 32 of them.
* Nothing but sockets can be asked for. Pipes, consoles and processes report by other means.
"""

from __future__ import annotations

import ctypes
import math
import struct
import time
from collections import deque

from ropewalk.interfaces import INVALID, READ, WRITE
from ropewalk.pollers.table import Table
from ropewalk.pollers.windows import NO_TIMEOUT, PENDING, SUCCESS, Api, Packets, load

_POLL = 0x12024   # IOCTL_AFD_POLL
_RECEIVE, _SEND, _DISCONNECT, _ABORT, _LOCAL_CLOSE, _ACCEPT, _CONNECT_FAIL = 1, 4, 8, 16, 32, 128, 256
_ASKED = {
    READ: _RECEIVE | _DISCONNECT | _ABORT | _LOCAL_CLOSE | _ACCEPT | _CONNECT_FAIL,
    WRITE: _SEND | _ABORT | _LOCAL_CLOSE | _CONNECT_FAIL,
}
_FOR_EVER = (1 << 63) - 1
# IO_STATUS_BLOCK, then AFD_POLL_INFO with one AFD_POLL_HANDLE_INFO.
_LAYOUT = struct.Struct("iPqIIPIi")
_BLOCK = 2 * struct.calcsize("P")
_INFO = _LAYOUT.size - _BLOCK
_A_DEVICE = 32   # requests
_MOST = 512      # packets at a time
_ENDING = 1.0    # seconds that withdrawn requests may take when all is closed


class Request:
    """The question whether a socket is ready for one thing; asked again and again.

    fd: its number; bit: READ or WRITE; handle: as the driver knows it; device: the driver; event: set when it is.
    """

    __slots__ = ("address", "arguments", "bit", "block", "device", "fd", "memory", "pending", "question", "wanted")

    def __init__(self, fd: int, bit: int, handle: int, device: ctypes.c_void_p, event: ctypes.c_void_p | None) -> None:
        self.fd = fd
        self.bit = bit
        self.device = device
        self.wanted = True
        self.pending = False   # the kernel has it, and will write to its memory
        self.question = _LAYOUT.pack(PENDING, 0, _FOR_EVER, 1, 0, handle, _ASKED[bit], 0)
        self.memory = bytearray(self.question)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.block = ctypes.c_void_p(self.address)
        info = ctypes.c_void_p(self.address + _BLOCK)
        self.arguments = (device, event, None, self.block, self.block, _POLL, info, _INFO, info, _INFO)

    def answered(self) -> bool:
        """Whether the socket is ready; else there was an error, or it was closed."""
        status, _, _, _, _, _, events, _ = _LAYOUT.unpack(self.memory)
        return status == SUCCESS and not events & _LOCAL_CLOSE


class Afd(Table):
    """Base of the pollers that ask AFD; a subclass waits for the port, or for `event`, which every answer sets."""

    def __init__(self, event: ctypes.c_void_p | None = None) -> None:
        super().__init__()
        self.api: Api = load()
        self.event = event
        self.port = self.api.new_port()
        self.packets = Packets(self.api, self.port, _MOST)
        self.woken = False
        self.taken: deque[int] = deque()   # packets that a helper thread has found
        self._requests: tuple[tuple[int, dict[int, Request]], ...] = ((READ, {}), (WRITE, {}))
        self._due: list[Request] = []
        self._pending: dict[int, Request] = {}
        self._dead: list[int] = []
        self._at_once = False   # somebody else waits now: a request that is made later would not be seen
        self._devices: list[ctypes.c_void_p] = []
        self._places: list[ctypes.c_void_p] = []   # a device as often as it has room

    # -- interest

    def change(self, fd: int, old: int, new: int) -> None:
        for bit, requests in self._requests:
            if not new & bit:
                if fd in requests:
                    self._withdraw(requests.pop(fd))
            elif fd not in requests:
                handle = self.api.base_handle(fd)
                requests[fd] = request = Request(fd, bit, handle, self._place(), self.event)
                if self._at_once:
                    self._ask(request)
                else:
                    self._due.append(request)

    def _place(self) -> ctypes.c_void_p:
        if not self._places:
            self._devices.append(self.api.new_device(self.port))
            self._places = [self._devices[-1]] * _A_DEVICE
        return self._places.pop()

    def _ask(self, request: Request) -> None:
        request.memory[:] = request.question
        status = self.api.control(*request.arguments)
        if status >= 0:
            request.pending = True
            self._pending[request.address] = request
        else:   # closed behind our back
            self._dead.append(request.fd)
            self.wake()

    def _withdraw(self, request: Request) -> None:
        request.wanted = False
        if request.pending:
            self.api.cancel(request.device, request.block)
        else:
            self._places.append(request.device)

    def apply(self) -> None:
        self.ask()
        self._at_once = True

    def ask(self) -> None:
        """Make the requests that are due."""
        due, self._due = self._due, []
        for request in due:
            if request.wanted:
                self._ask(request)

    # -- answers

    def begin(self, timeout: float | None) -> int:
        """What a wait begins with: requests reach the kernel; how many milliseconds there are to wait."""
        self.stale.clear()
        self._at_once = False
        if self._due:
            self.ask()
        if self.woken or self.taken:
            self.woken = False
            return 0
        return milliseconds(timeout)

    def ready(self, packets: list[int]) -> list[tuple[int, int]]:
        """The descriptors that these packets, and those that a helper thread has found, tell of."""
        while self.taken:
            packets.append(self.taken.popleft())
        ready: dict[int, int] = {}
        for address in packets:
            request = self._pending.pop(address, None)
            if request is None:   # a wake
                self.woken = False
                continue
            request.pending = False
            if not request.wanted:
                self._places.append(request.device)
                continue
            if request.answered():
                ready[request.fd] = ready.get(request.fd, 0) | request.bit
            elif not self._is_socket(request.fd):
                self._dead.append(request.fd)
                continue
            self._due.append(request)
        if self._dead:
            ready.update(dict.fromkeys(self._dead, INVALID))
            self._dead.clear()
        return list(ready.items())

    def _is_socket(self, fd: int) -> bool:
        try:
            self.api.base_handle(fd)
        except OSError:
            return False
        return True

    # -- what all Windows pollers are to hosts

    def fileno(self) -> int | None:
        return None

    def alarm(self, seconds: float | None) -> None:
        """There is no descriptor that could tell; park() is given its limit."""

    def wake(self) -> None:
        if not self.woken:
            self.woken = True
            self.api.post(self.port)

    def calm(self) -> None:
        self.woken = False

    def park(self, timeout: float | None) -> None:
        packets = Packets(self.api, self.port, _MOST)
        until = None if timeout is None else time.perf_counter() + timeout
        while not (self.taken or self.woken):   # a packet alone may be a wake that was taken back
            left = None if until is None else until - time.perf_counter()
            if left is not None and left <= 0:
                return
            self.taken.extend(address for address in packets.take(milliseconds(left)) if address)

    def close(self) -> None:
        if self.port.value is None:
            return
        for request in self._pending.values():
            self.api.cancel(request.device, request.block)
        until = time.perf_counter() + _ENDING
        while self._pending and time.perf_counter() < until:
            self.ready(self.packets.take(int(_ENDING * 1000)))
        for handle in (*self._devices, self.port):
            self.api.close(handle)
        self.port.value = None

    __del__ = close


def milliseconds(timeout: float | None) -> int:
    """`timeout`, in seconds, as Windows has it; a wait is never shorter than asked for."""
    return NO_TIMEOUT if timeout is None else math.ceil(timeout * 1000)
