"""Serial ports, with a pseudo terminal as the device and its cable; only where pyserial is installed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import unittest
from collections.abc import Iterator
from typing import Any

from ropewalk.internet import serialport
from ropewalk.internet.defer import Deferred
from ropewalk.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from ropewalk.internet.interfaces import IConsumer, IPushProducer, ITransport
from ropewalk.internet.serialport import SerialPort
from ropewalk.testing.contract import behaviour
from ropewalk.testing.contract.standard_io import Recorder
from ropewalk.testing.features import require
from ropewalk.testing.rig import LIMIT, Rig, raises

BINARY = bytes(range(256))
XOFF, XON = b"\x13", b"\x11"


class Cable:
    """The other end of a serial line. device: the path of our end."""

    def __init__(self) -> None:
        self.end, self._slave = os.openpty()
        self.device = os.ttyname(self._slave)
        os.set_blocking(self.end, False)

    def send(self, data: bytes) -> None:
        assert os.write(self.end, data) == len(data)

    def receive(self, size: int) -> bytes:
        """The next `size` bytes that were sent."""
        received = b""
        while len(received) < size:
            assert select.select([self.end], [], [], LIMIT)[0], f"only {len(received)} of {size} bytes came"
            received += os.read(self.end, size - len(received))
        return received

    def is_silent(self) -> bool:
        """Whether nothing has come that was not received."""
        return not select.select([self.end], [], [], 0)[0]

    def settings(self) -> list[Any]:
        """The settings of the line; see termios.tcgetattr()."""
        import termios

        return termios.tcgetattr(self._slave)

    def vanish(self) -> None:
        """The device is unplugged."""
        if self.end >= 0:
            os.close(self._slave)
            os.close(self.end)
            self.end = -1


@contextlib.contextmanager
def a_cable() -> Iterator[Cable]:
    if importlib.util.find_spec("serial") is None:
        raise unittest.SkipTest("pyserial is not installed")
    require("terminals")
    cable = Cable()
    try:
        yield cable
    finally:
        cable.vanish()


def soon(rig: Rig, seconds: float) -> Deferred[None]:
    fired: Deferred[None] = Deferred()
    rig.reactor.callLater(seconds, fired.callback, None)
    return fired


async def received(rig: Rig, cable: Cable, protocol: Recorder, size: int) -> bytes:
    """The `size` bytes that are sent before the port, that of `protocol`, is closed."""
    data = b""
    while not protocol.lost.called:
        await soon(rig, 0)
        if not cable.is_silent():
            data += os.read(cable.end, 65536)
    return data + cable.receive(size - len(data))


# -- data


@behaviour
def a_serial_port_carries_every_byte_both_ways(rig: Rig) -> None:
    async def scenario() -> None:
        with a_cable() as cable:
            protocol = Recorder()
            port = SerialPort(protocol, cable.device, rig.reactor)
            assert protocol.transport is port
            cable.send(BINARY)
            await protocol.has(256)
            assert protocol.data == BINARY
            port.write(BINARY[:100])
            port.writeSequence([BINARY[100:200], BINARY[200:]])
            await soon(rig, 0)
            assert cable.receive(256) == BINARY
            port.loseConnection()
            assert isinstance(await protocol.lost, ConnectionDone)

    rig.play(scenario)


@behaviour
def a_serial_port_sends_more_than_the_device_takes_at_once_in_order(rig: Rig) -> None:
    sent = BINARY * 400

    async def scenario() -> None:
        with a_cable() as cable:
            protocol = Recorder()
            port = SerialPort(protocol, cable.device, rig.reactor)
            port.write(sent)
            port.loseConnection()
            assert await received(rig, cable, protocol, len(sent)) == sent

    rig.play(scenario)


@behaviour
def a_serial_port_that_is_paused_is_not_read(rig: Rig) -> None:
    async def scenario() -> None:
        with a_cable() as cable:
            protocol = Recorder()
            port = SerialPort(protocol, cable.device, rig.reactor)
            port.pauseProducing()
            cable.send(BINARY)
            await soon(rig, 0.01)
            assert protocol.data == b""
            assert port.inWaiting() == 256
            port.resumeProducing()
            await protocol.has(256)
            assert port.inWaiting() == 0
            port.loseConnection()
            await protocol.lost

    rig.play(scenario)


@behaviour
def a_peer_that_says_xoff_pauses_the_producer_until_it_says_xon(rig: Rig) -> None:
    told: list[str] = []

    class Producer:
        def pauseProducing(self) -> None:
            told.append("pause")

        def resumeProducing(self) -> None:
            told.append("resume")
            port.unregisterProducer()
            port.loseConnection()

        def stopProducing(self) -> None:
            told.append("stop")

    async def scenario() -> None:
        cable.send(XOFF)
        await soon(rig, 0.01)
        port.registerProducer(Producer(), True)
        port.write(bytes(100_000))
        await soon(rig, 0.02)
        assert told == ["pause"]
        assert cable.is_silent()
        cable.send(XON)
        assert await received(rig, cable, protocol, 100_000) == bytes(100_000)
        assert told == ["pause", "resume"]
        assert protocol.data == b""

    with a_cable() as cable:
        protocol = Recorder()
        port = SerialPort(protocol, cable.device, rig.reactor, xonxoff=1)
        rig.play(scenario)


@behaviour
def what_a_device_had_received_before_is_thrown_away(rig: Rig) -> None:
    async def scenario() -> None:
        with a_cable() as cable:
            cable.send(b"stale\n")
            protocol = Recorder()
            port = SerialPort(protocol, cable.device, rig.reactor)
            cable.send(b"fresh")
            await protocol.has(5)
            assert protocol.data == b"fresh"
            port.pauseProducing()
            cable.send(b"unwanted")
            await soon(rig, 0.01)
            port.flushInput()
            assert port.inWaiting() == 0
            port.resumeProducing()
            await soon(rig, 0.01)
            assert protocol.data == b"fresh"
            assert not protocol.lost.called
            port.loseConnection()
            await protocol.lost

    rig.play(scenario)


# -- the ends


@behaviour
def a_serial_device_that_vanishes_is_a_connection_that_is_lost(rig: Rig) -> None:
    async def scenario() -> None:
        with a_cable() as cable:
            protocol = Recorder()
            SerialPort(protocol, cable.device, rig.reactor)
            cable.vanish()
            reason = await protocol.lost
            assert isinstance(reason, ConnectionLost)
            assert "gone" in str(reason)

    rig.play(scenario)


@behaviour
def to_write_to_a_serial_device_that_has_vanished_is_no_error_of_the_program(rig: Rig) -> None:
    async def scenario() -> None:
        with a_cable() as cable:
            protocol = Recorder()
            port = SerialPort(protocol, cable.device, rig.reactor)
            cable.vanish()
            port.write(BINARY)
            assert isinstance(await protocol.lost, ConnectionLost)
            port.write(BINARY)

    rig.play(scenario)


@behaviour
def a_serial_port_is_still_read_when_no_more_is_written(rig: Rig) -> None:
    async def scenario() -> None:
        with a_cable() as cable:
            protocol = Recorder()
            port = SerialPort(protocol, cable.device, rig.reactor)
            port.write(BINARY)
            port.loseWriteConnection()
            await soon(rig, 0)
            cable.send(BINARY)
            await protocol.has(256)
            assert cable.receive(256) == BINARY
            port.loseConnection()
            assert isinstance(await protocol.lost, ConnectionDone)

    rig.play(scenario)


@behaviour
def a_serial_port_can_be_opened_again_after_it_was_aborted(rig: Rig) -> None:
    async def scenario() -> None:
        with a_cable() as cable:
            for _ in range(2):
                protocol = Recorder()
                port = SerialPort(protocol, cable.device, rig.reactor, xonxoff=1)
                cable.send(XOFF)
                await soon(rig, 0.01)
                port.write(bytes(100_000))
                port.abortConnection()
                assert isinstance(await protocol.lost, ConnectionAborted)
                cable.send(XON)
                with raises(OSError):
                    port.fileno()

    rig.play(scenario)


@behaviour
def a_serial_device_that_does_not_exist_is_an_error_that_names_it(rig: Rig) -> None:
    with a_cable() as cable:
        absent = f"{cable.device}-absent"
        with raises(OSError) as error:
            SerialPort(Recorder(), absent, rig.reactor)
        assert absent in str(error[0])
        assert isinstance(error[0], serialport.serial.SerialException)


@behaviour
def settings_that_are_not_possible_leave_nothing_open(rig: Rig) -> None:
    with a_cable() as cable, raises(ValueError):
        SerialPort(Recorder(), cable.device, rig.reactor, bytesize=9)


# -- the line


@behaviour
def the_settings_of_a_serial_line_are_those_that_are_asked_for(rig: Rig) -> None:
    async def scenario() -> None:
        with a_cable() as cable:
            protocol = Recorder()
            port = SerialPort(
                protocol,
                deviceNameOrPortNumber=cable.device,
                reactor=rig.reactor,
                baudrate=19200,
                bytesize=serialport.SEVENBITS,
                parity=serialport.PARITY_NONE,
                stopbits=serialport.STOPBITS_TWO,
                timeout=0,
                xonxoff=1,
                rtscts=1,
            )
            import termios

            incoming, _, control, _, speed, _, _ = cable.settings()
            assert speed == termios.B19200
            assert incoming & termios.IXON
            assert control & termios.CSTOPB
            assert control & termios.CRTSCTS
            port.setBaudRate(115200)
            assert cable.settings()[4] == termios.B115200
            port.loseConnection()
            await protocol.lost

    rig.play(scenario)


@behaviour
def what_is_written_during_a_break_is_sent_after_it(rig: Rig) -> None:
    async def scenario() -> None:
        with a_cable() as cable:
            protocol = Recorder()
            port = SerialPort(protocol, cable.device, rig.reactor)
            begin = rig.reactor.seconds()
            port.sendBreak()
            port.write(BINARY)
            assert rig.reactor.seconds() - begin < 0.2
            await soon(rig, 0.05)
            assert cable.is_silent()
            port.sendBreak()   # goes on, for a quarter of a second from now
            cable.send(BINARY)
            await protocol.has(256)
            port.loseConnection()
            await protocol.lost
            assert cable.receive(256) == BINARY
            assert rig.reactor.seconds() - begin >= 0.29

    rig.play(scenario)


@behaviour
def a_serial_port_that_is_lost_during_a_break_leaves_no_call_behind(rig: Rig) -> None:
    async def scenario() -> None:
        with a_cable() as cable:
            protocol = Recorder()
            SerialPort(protocol, cable.device, rig.reactor).sendBreak()
            cable.vanish()
            await protocol.lost
            assert not rig.reactor.getDelayedCalls()

    rig.play(scenario)


@behaviour
def the_signals_of_a_serial_line_are_those_of_pyserial(rig: Rig) -> None:
    async def scenario() -> None:
        with a_cable() as cable:
            protocol = Recorder()
            port = _with_signals()(protocol, cable.device, rig.reactor)
            assert (port.getDSR(), port.getCD(), port.getRI(), port.getCTS()) == (True, False, False, True)
            port.setDTR(0)
            port.setRTS(0)
            assert (port.getDSR(), port.getCTS()) == (False, False)
            port.setDTR()
            assert port.getDSR()
            port.setRTS()
            assert port.getCTS()
            port.flushOutput()
            port.loseConnection()
            await protocol.lost

    rig.play(scenario)


def _with_signals() -> Any:
    """A SerialPort whose line has signals, which a pseudo terminal has not: a null modem, plugged into itself."""

    class NullModem(serialport.serial.Serial):  # type: ignore[misc]
        @property
        def dsr(self) -> bool:
            return bool(self.dtr)

        @property
        def cts(self) -> bool:
            return bool(self.rts)

        cd = ri = False

        def _update_dtr_state(self) -> None:
            """There is no such line."""

        def _update_rts_state(self) -> None:
            """There is no such line."""

    class WithSignals(SerialPort):
        _serialFactory = NullModem

    return WithSignals


@behaviour
def a_serial_port_is_a_transport_whose_address_is_the_device(rig: Rig) -> None:
    async def scenario() -> None:
        with a_cable() as cable:
            protocol = Recorder()
            port = SerialPort(protocol, cable.device, rig.reactor)
            for interface in (ITransport, IConsumer, IPushProducer):
                assert isinstance(port, interface)
            assert port.getHost() == port.getPeer() == serialport.SerialAddress(cable.device)
            assert os.ttyname(port.fileno()) == cable.device
            port.loseConnection()
            await protocol.lost

    rig.play(scenario)
