"""Serial ports as transports, through pyserial. Names and arguments are those of twisted.internet.serialport.

It needs the package pyserial, the extra `serial`; nothing is imported of it before a port, or one of its constants
(PARITY_ODD, STOPBITS_TWO, ...), is used.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, NamedTuple

from ropewalk.transports.stream import Stream

_CONSTANTS = (
    "EIGHTBITS",
    "FIVEBITS",
    "PARITY_EVEN",
    "PARITY_NONE",
    "PARITY_ODD",
    "SEVENBITS",
    "SIXBITS",
    "STOPBITS_ONE",
    "STOPBITS_TWO",
)
__all__ = ["SerialAddress", "SerialPort", *_CONSTANTS]

_BREAK = 0.25   # seconds


class SerialAddress(NamedTuple):
    """One end of a serial line. device: the path or name of the port."""

    device: str


class SerialPort(Stream):
    """Connects `protocol` to a serial port, at once; there is no factory.

    deviceNameOrPortNumber: the path or name of the device, as '/dev/ttyUSB0' (pyserial 3 takes no numbers); reactor:
    what watches it; baudrate: bits a second; bytesize, parity, stopbits: as pyserial's constants; timeout: of the
    pyserial object, which this one never lets wait, in seconds; xonxoff, rtscts: flow control by XON and XOFF, by RTS
    and CTS.

    What the device had received or has yet to send is thrown away first. A device that vanishes is a ConnectionLost.
    loseConnection() waits until the device has taken everything, and closing it lets the system wait for the line, as
    long as the driver says; abortConnection() throws away what has not been sent.
    Raises serial.SerialException, an OSError, if the device cannot be opened, ValueError for settings that are not
    possible, ImportError without pyserial, NotImplementedError on Windows.
    """

    __slots__ = ("_break_call", "_serial")

    _serialFactory: Any = None   # makes the object of pyserial; None for serial.Serial

    def __init__(
        self,
        protocol: Any,
        deviceNameOrPortNumber: str,
        reactor: Any,
        baudrate: int = 9600,
        bytesize: int = 8,
        parity: str = "N",
        stopbits: float = 1,
        timeout: float | None = 0,
        xonxoff: int = 0,
        rtscts: int = 0,
    ) -> None:
        make_channel = _channel()
        make = self._serialFactory or _pyserial().Serial
        self._serial = make(
            deviceNameOrPortNumber,
            baudrate=baudrate,
            bytesize=bytesize,
            parity=parity,
            stopbits=stopbits,
            timeout=timeout,
            xonxoff=xonxoff,
            rtscts=rtscts,
        )
        try:
            self.flushInput()
            self.flushOutput()
            channel = make_channel(self._serial)
        except BaseException:
            self._serial.close()
            raise
        super().__init__(reactor, channel)
        channel.attach(reactor, self)
        self._break_call: Any = None
        self.start(protocol)

    def getPeer(self) -> SerialAddress:
        """The device. Twisted's ITransport, as the next one."""
        return SerialAddress(self._serial.port)

    def getHost(self) -> SerialAddress:
        """As getPeer()."""
        return self.getPeer()

    def fileno(self) -> int:
        """The descriptor of the device. Raises serial.SerialException when it is closed."""
        descriptor: int = self._serial.fileno()
        return descriptor

    # -- the line; each raises OSError where the device has no such thing, or is closed

    def setBaudRate(self, baudrate: int) -> None:
        """Go on at `baudrate` bits a second. Raises ValueError for what the system cannot set, too."""
        self._serial.baudrate = baudrate

    def inWaiting(self) -> int:
        """How many bytes have arrived that the protocol has not got yet."""
        waiting: int = self._serial.in_waiting
        return waiting

    def flushInput(self) -> None:
        """Throw away what has arrived that the protocol has not got yet."""
        self._serial.reset_input_buffer()

    def flushOutput(self) -> None:
        """Throw away what the device has yet to send; what is queued here, since the device takes no more, is not."""
        self._serial.reset_output_buffer()

    def sendBreak(self) -> None:
        """Hold the line in the break condition for a quarter of a second; what is written meanwhile is sent then.

        Returns at once, unlike Twisted's.
        """
        if self._break_call is not None:
            self._break_call.reset(_BREAK)
            return
        self._serial.break_condition = True
        self.channel.hold()
        self._break_call = self.reactor.callLater(_BREAK, self._end_break)

    def _end_break(self) -> None:
        self._break_call = None
        try:
            self._serial.break_condition = False
            self.channel.let_go()
        except OSError as error:
            self._break_with(error)

    def _before_close(self) -> None:
        if self._break_call is not None:
            self._break_call.cancel()
            self._break_call = None

    def getDSR(self) -> bool:
        """Whether the other side is there (data set ready)."""
        return bool(self._serial.dsr)

    def getCD(self) -> bool:
        """Whether there is a carrier (carrier detect)."""
        return bool(self._serial.cd)

    def getRI(self) -> bool:
        """Whether it rings (ring indicator)."""
        return bool(self._serial.ri)

    def getCTS(self) -> bool:
        """Whether the other side takes data (clear to send)."""
        return bool(self._serial.cts)

    def setDTR(self, on: int = 1) -> None:
        """Say, or not, that we are there (data terminal ready)."""
        self._serial.dtr = bool(on)

    def setRTS(self, on: int = 1) -> None:
        """Say, or not, that we take data (request to send)."""
        self._serial.rts = bool(on)


def _channel() -> Any:
    """The class of the channel."""
    if importlib.util.find_spec("termios") is None:
        raise NotImplementedError(
            "no reactor can watch a serial port on Windows: read and write pyserial's port in threads (deferToThread)"
        )
    return importlib.import_module("ropewalk.transports.serial").SerialChannel


def _pyserial() -> Any:
    try:
        return importlib.import_module("serial")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "serial ports need the package pyserial: pip install 'ropewalk[serial]'", name=error.name
        ) from error


def __getattr__(name: str) -> Any:
    """The constants of pyserial, which programs take from here, and the module itself."""
    if name == "serial":
        return _pyserial()
    if name in _CONSTANTS:
        return getattr(_pyserial(), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
