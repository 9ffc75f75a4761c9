"""What a system lacks: a program is told at once, and what to use instead."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from ropewalk.internet.endpoints import clientFromString, serverFromString
from ropewalk.internet.inotify import INotify, INotifyError
from ropewalk.internet.protocol import ClientFactory, ProcessProtocol, ServerFactory
from ropewalk.internet.selectreactor import SelectReactor

has_unix_sockets = hasattr(socket, "AF_UNIX")
PATH = "a-path"


@pytest.mark.skipif(has_unix_sockets, reason="this system has UNIX sockets")
@pytest.mark.parametrize("name", ["listenUNIX", "connectUNIX", "listenUNIXDatagram", "connectUNIXDatagram"])
def test_without_unix_sockets_a_reactor_names_what_to_use(name: str) -> None:
    reactor = SelectReactor()
    assert not hasattr(reactor, name)
    with pytest.raises(AttributeError, match=rf"{name}: .* UNIX sockets: use TCP on 127\.0\.0\.1"):
        getattr(reactor, name)(PATH, None)


@pytest.mark.skipif(has_unix_sockets, reason="this system has UNIX sockets")
@pytest.mark.parametrize(
    "begin",
    [
        lambda reactor: serverFromString(reactor, f"unix:{PATH}").listen(ServerFactory()),
        lambda reactor: clientFromString(reactor, f"unix:{PATH}").connect(ClientFactory()),
    ],
    ids=["server", "client"],
)
def test_without_unix_sockets_an_endpoint_fails_with_that(begin: Callable[[Any], Any]) -> None:
    errors: list[str] = []
    begin(SelectReactor()).addErrback(lambda failure: errors.append(failure.getErrorMessage()))
    assert "use TCP on 127.0.0.1" in errors[0]


def test_a_name_that_no_reactor_has_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match="'SelectReactor' object has no attribute 'listenCarrierPigeon'"):
        SelectReactor().listenCarrierPigeon   # type: ignore[attr-defined]  # noqa: B018


def test_an_attribute_error_within_a_property_is_not_hidden() -> None:
    class Careless(SelectReactor):
        @property
        def careless(self) -> Any:
            return self.never_set   # type: ignore[attr-defined]

    with pytest.raises(AttributeError, match="never_set"):
        Careless().careless   # noqa: B018


@pytest.mark.skipif(hasattr(os, "openpty"), reason="this system has pseudo terminals")
def test_without_pseudo_terminals_a_child_is_refused_one() -> None:
    with pytest.raises(ValueError, match="start the program with pipes"):
        SelectReactor().spawnProcess(ProcessProtocol(), "program", usePTY=True)


@pytest.mark.skipif(hasattr(os, "fork"), reason="this system has users' numbers")
def test_without_users_numbers_a_child_is_refused_one() -> None:
    with pytest.raises((ValueError, OSError), match=r"runas\.exe"):
        SelectReactor().spawnProcess(ProcessProtocol(), "program", uid=1000)


@pytest.mark.skipif(hasattr(os, "fork"), reason="only Windows lacks what it asks the C library for in this way")
def test_without_inotify_it_names_what_to_use() -> None:
    with pytest.raises(INotifyError, match=r"os\.scandir\(\)"):
        INotify(SelectReactor())


@pytest.mark.skipif(hasattr(socket, "CMSG_SPACE"), reason="this system has ancillary data")
def test_without_ancillary_data_the_import_says_what_to_use() -> None:
    with pytest.raises(ImportError, match=r"socket\.share\(\)"):
        importlib.import_module("ropewalk.internet.sendmsg")


@pytest.mark.skipif(hasattr(os, "set_blocking"), reason="this system has descriptors that do not block")
def test_where_descriptors_always_block_that_is_told() -> None:
    from ropewalk.internet.fdesc import setBlocking, setNonBlocking

    for change in (setBlocking, setNonBlocking):
        with pytest.raises(NotImplementedError, match=r"deferToThread\(\)"):
            change(0)
