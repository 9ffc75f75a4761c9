"""What is said of processes where none is started: errors, the protocol's methods, orders, interfaces."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from ropewalk import errors
from ropewalk.internet import endpoints, interfaces
from ropewalk.internet import error as names
from ropewalk.internet.protocol import ProcessProtocol
from ropewalk.internet.selectreactor import SelectReactor

posix = pytest.mark.skipif(os.name != "posix", reason="processes of POSIX")


def test_the_errors_of_processes_are_those_of_connections_too() -> None:
    assert names.ProcessDone is errors.ProcessDone
    assert issubclass(names.ProcessDone, names.ConnectionDone)
    assert issubclass(names.ProcessTerminated, names.ConnectionLost)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.ProcessDone(0), "the process ended with exit code 0"),
        (errors.ProcessTerminated(3, None, 768), "the process ended with exit code 3"),
        (errors.ProcessTerminated(signal=9, status=9), "the process was ended by signal 9"),
        (errors.ProcessTerminated(), "the process ended in a way that is not known"),
    ],
)
def test_the_end_of_a_process_says_how_it_was(error: Exception, text: str) -> None:
    assert str(error) == text


def test_a_protocol_hears_of_each_standard_descriptor_by_its_name() -> None:
    told: list[Any] = []

    class Named(ProcessProtocol):
        def outReceived(self, data: bytes) -> None:
            told.append(("out", data))

        def errReceived(self, data: bytes) -> None:
            told.append(("err", data))

        def inConnectionLost(self) -> None:
            told.append("in lost")

        def outConnectionLost(self) -> None:
            told.append("out lost")

        def errConnectionLost(self) -> None:
            told.append("err lost")

    protocol = Named()
    for number in (1, 2, 3):
        protocol.childDataReceived(number, b"%d" % number)
    for number in (0, 1, 2, 3):
        protocol.childConnectionLost(number)
    assert told == [("out", b"1"), ("err", b"2"), "in lost", "out lost", "err lost"]
    assert protocol.logPrefix() == "Named"


def test_a_protocol_has_the_interface_and_needs_to_override_nothing() -> None:
    protocol = ProcessProtocol()
    assert isinstance(protocol, interfaces.IProcessProtocol)
    protocol.makeConnection(None)
    protocol.childDataReceived(1, b"")
    protocol.childDataReceived(2, b"")
    for number in (0, 1, 2):
        protocol.childConnectionLost(number)
    reason: Any = None
    protocol.processExited(reason)
    protocol.processEnded(reason)


@posix
def test_a_reactor_and_an_endpoint_have_their_interfaces() -> None:
    reactor = SelectReactor()
    assert isinstance(reactor, interfaces.IReactorProcess)
    endpoint = endpoints.ProcessEndpoint(reactor, "/bin/cat")
    assert isinstance(endpoint, interfaces.IStreamClientEndpoint)
    assert repr(endpoint) == "<ProcessEndpoint '/bin/cat'>"


def test_importing_a_reactor_or_endpoints_imports_nothing_of_processes() -> None:
    program = (
        "import sys, ropewalk.internet.reactor, ropewalk.internet.endpoints\n"
        "assert not {'subprocess', 'ropewalk.transports.process'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-S", "-c", program], check=True, timeout=60, env={"PYTHONPATH": _source()})


def _source() -> str:
    import ropewalk

    return os.path.dirname(os.path.dirname(ropewalk.__file__))
