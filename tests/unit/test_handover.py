"""A port that takes the place of another shares its socket; no two take the place of one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ropewalk.application.runner.handover import handing_over
from ropewalk.internet.protocol import ConnectedDatagramProtocol, DatagramProtocol, Factory, Protocol
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.testing.rig import Rig

with_unix_sockets = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no UNIX sockets here")


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(SelectReactor) as made:
        yield made
        stop_listening(made)


def stop_listening(rig: Rig) -> None:
    for port in list(rig.reactor.transports):
        port.stopListening()
    rig.reactor.iterate(0)


def listen(rig: Rig) -> Any:
    return rig.reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")


def number(port: Any) -> int:
    found: int = port.getHost().port
    return found


def test_each_port_of_whatever_number_has_a_successor_of_its_own(rig: Rig) -> None:
    old = [listen(rig), listen(rig)]
    with handing_over(rig.reactor):
        new = [listen(rig), listen(rig), listen(rig)]
    numbers = {number(port) for port in new}
    assert {number(port) for port in old} < numbers
    assert len(numbers) == 3


def test_afterwards_a_port_is_refused_again(rig: Rig) -> None:
    old = listen(rig)
    with handing_over(rig.reactor):
        assert number(rig.reactor.listenTCP(0, Factory.forProtocol(Protocol))) != number(old), "on every interface"
    with pytest.raises(Exception, match=f"127.0.0.1:{number(old)}"):
        rig.reactor.listenTCP(number(old), Factory.forProtocol(Protocol), interface="127.0.0.1")


def test_datagrams_keep_the_port_that_was_asked_for_and_no_other(rig: Rig) -> None:
    chosen = rig.reactor.listenUDP(0, DatagramProtocol(), interface="127.0.0.1")
    wanted = number(chosen)
    chosen.stopListening()
    named = rig.reactor.listenUDP(wanted, DatagramProtocol(), interface="127.0.0.1")
    anywhere = rig.reactor.listenUDP(0, DatagramProtocol(), interface="127.0.0.1")
    with handing_over(rig.reactor):
        assert number(rig.reactor.listenUDP(wanted, DatagramProtocol(), interface="127.0.0.1")) == number(named)
        assert number(rig.reactor.listenUDP(0, DatagramProtocol(), interface="127.0.0.1")) != number(anywhere)


@with_unix_sockets
def test_the_file_of_datagrams_goes_with_who_is_there_last(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "s"
    old = rig.reactor.listenUNIXDatagram(str(path), DatagramProtocol())
    with handing_over(rig.reactor):
        new = rig.reactor.listenUNIXDatagram(str(path), DatagramProtocol())
    old.stopListening()
    assert path.exists()
    new.stopListening()
    assert not path.exists()


@with_unix_sockets
def test_connected_datagrams_go_on_to_the_same_peer(rig: Rig, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.bind(str(tmp_path / "peer"))
        peer.settimeout(10)
        where = str(tmp_path / "peer"), str(tmp_path / "own")
        old = rig.reactor.connectUNIXDatagram(where[0], ConnectedDatagramProtocol(), bindAddress=where[1])
        with handing_over(rig.reactor):
            new = rig.reactor.connectUNIXDatagram(where[0], ConnectedDatagramProtocol(), bindAddress=where[1])
        old.stopListening()
        new.write(b"still here")
        assert peer.recvfrom(100) == (b"still here", where[1])
        new.stopListening()
