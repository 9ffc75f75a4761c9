"""The module serialport without a port: what it has of pyserial, and what it says where that is missing."""

from __future__ import annotations

import sys

import pytest

from ropewalk.internet import serialport
from ropewalk.internet.protocol import Protocol
from ropewalk.internet.selectreactor import SelectReactor


def test_without_pyserial_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(ImportError, match=r"pip install 'ropewalk\[serial\]'"):
        serialport.SerialPort(Protocol(), "/dev/ttyS0", SelectReactor())


def test_it_has_the_constants_of_pyserial() -> None:
    serial = pytest.importorskip("serial")
    assert serialport.serial is serial
    assert serialport.PARITY_ODD == serial.PARITY_ODD
    assert {name: getattr(serialport, name) for name in serialport.__all__}.keys() == set(serialport.__all__)
    with pytest.raises(AttributeError, match="PARITY_STRANGE"):
        serialport.PARITY_STRANGE  # noqa: B018
