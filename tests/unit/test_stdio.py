"""Standard input and output as an endpoint; what it does with them is the contract's and the system tests'."""

from __future__ import annotations

from typing import Any

import pytest

from ropewalk.internet.address import PipeAddress
from ropewalk.internet.endpoints import StandardIOEndpoint, serverFromString
from ropewalk.internet.error import NoProtocol
from ropewalk.internet.protocol import Factory
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.transports.stdio import StandardStream


@pytest.mark.parametrize("description", ["stdio:", "stdio"])
def test_the_string_stands_for_the_endpoint(description: str) -> None:
    assert isinstance(serverFromString(SelectReactor(), description), StandardIOEndpoint)


@pytest.mark.parametrize(("description", "at"), [("stdio:0", 6), ("stdio:stdin=0", 6), ("stdio::", 6)])
def test_the_string_has_no_arguments(description: str, at: int) -> None:
    with pytest.raises(ValueError, match=rf"{description}: position {at}: stdio takes no arguments"):
        serverFromString(SelectReactor(), description)


def test_a_factory_that_builds_no_protocol_is_an_error_and_takes_nothing() -> None:
    asked: list[Any] = []

    class Refusing(Factory):
        def buildProtocol(self, addr: Any) -> None:
            asked.append(addr)

    reactor = SelectReactor()
    listening = StandardIOEndpoint(reactor).listen(Refusing())
    failures: list[Any] = []
    listening.addErrback(failures.append)
    assert isinstance(failures[0].value, NoProtocol)
    assert asked == [PipeAddress()]
    assert not reactor.transports


def test_the_addresses_of_pipes_are_all_the_same() -> None:
    assert PipeAddress() == PipeAddress()
    assert len({PipeAddress(), PipeAddress()}) == 1
    assert PipeAddress() != ()
    assert repr(PipeAddress()) == "PipeAddress()"


def test_a_descriptor_number_that_python_took_for_itself_is_not_standard_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """As in a process that was started without one."""
    monkeypatch.setattr("sys.__stdin__", None)
    monkeypatch.setattr("os.get_inheritable", lambda descriptor: False)
    with pytest.raises(OSError, match="descriptor 0, standard input, was closed"):
        StandardStream(SelectReactor(), 0, 1)
