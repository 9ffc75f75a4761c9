"""What behaviours of datagrams need: a protocol that keeps them, plain UDP sockets, and interfaces that serve here."""

from __future__ import annotations

import functools
import os
import select
import socket
import struct
import unittest
from collections.abc import Callable
from typing import Any

from ropewalk.internet.protocol import DatagramProtocol
from ropewalk.testing.peers import IPV4, PATIENCE, Witness
from ropewalk.testing.rig import Rig

_IPV6_ONLY_HERE = "ff12::%x:%x"   # transient, of link scope: RFC 4291
_IPV4_ONLY_HERE = "239.255.%d.%d"   # of local scope: RFC 2365


class Datagrams(Witness, DatagramProtocol):
    """Keeps what comes, in `came`, as pairs of datagram and sender. It notes "start", "refused" and "stop"."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[tuple[bytes, Any]] = []

    def startProtocol(self) -> None:
        self.note("start")

    def stopProtocol(self) -> None:
        self.note("stop")

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.came.append((datagram, addr))
        self.stir()

    def connectionRefused(self) -> None:
        self.note("refused")

    async def gets(self, *datagrams: bytes) -> list[Any]:
        """Wait until so many have come and take them; AssertionError if they are others. Returns their senders."""
        await self.until(lambda: len(self.came) >= len(datagrams))
        came, self.came = self.came, []
        received = [datagram for datagram, _ in came]
        assert received == list(datagrams), f"{received!r} came, {datagrams!r} were expected"
        return [sender for _, sender in came]


class Answering(Datagrams):
    """Answers in capitals."""

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        super().datagramReceived(datagram, addr)
        self.transport.write(datagram.upper(), addr)


def hear(rig: Rig, make: Callable[[], Any] = Datagrams, interface: str = IPV4, maxPacketSize: int = 8192) -> Any:
    """The protocol, made by `make`, of a UDP port on a free number."""
    protocol = make()
    rig.reactor.listenUDP(0, protocol, interface, maxPacketSize)
    return protocol


def address(protocol: Any) -> tuple[str, int]:
    """Where to send what `protocol` is to receive."""
    host = protocol.transport.getHost()
    return host.host, host.port


def plain_udp(rig: Rig, host: str = IPV4) -> socket.socket:
    """A plain blocking socket on a free number of `host`; closed when the behaviour is over."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    plain: socket.socket = rig.keep(socket.socket(family, socket.SOCK_DGRAM))
    plain.settimeout(PATIENCE)
    plain.bind((host, 0))
    return plain


def deaf_udp(rig: Rig) -> socket.socket:
    """A plain socket whose number is taken and refuses every datagram: it receives from itself alone."""
    deaf = plain_udp(rig)
    deaf.connect(deaf.getsockname())
    return deaf


def unreachable(code: int, sender: tuple[str, int], receiver: tuple[str, int]) -> None:
    """Tell `sender` by ICMP that a datagram of its to `receiver` has not arrived; `code` says why: RFC 792, RFC 1812.

    Skips the behaviour where a program may not do that.
    """
    addresses = [socket.inet_aton(host) for host, _ in (sender, receiver)]
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, socket.IPPROTO_UDP, 0, *addresses)
    lost = header + struct.pack("!HHHH", sender[1], receiver[1], 8, 0)
    link = 1000   # bytes; with code 4, how long a datagram may be
    message = struct.pack("!BBHHH28s", 3, code, 0, 0, link, lost)
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    checksum = 0xFFFF - total % 0xFFFF
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            raw.sendto(message[:2] + checksum.to_bytes(2, "big") + message[4:], (sender[0], 0))
    except OSError as error:
        raise unittest.SkipTest(f"ICMP messages cannot be sent here: {error}") from None


def link_local() -> str:
    """A link-local address of this machine with its zone, as fe80::1%eth0; skips the behaviour if there is none."""
    for number, name in socket.if_nameindex():
        host = _link_local_of(number)
        if host is not None:
            return f"{host}%{name if _is_zone(name) else number}"
    raise unittest.SkipTest("no interface here has a link-local IPv6 address")


def _is_zone(name: str) -> bool:
    """Whether the system takes the name of an interface after the % of an address: Windows takes numbers alone."""
    try:
        socket.getaddrinfo(f"fe80::1%{name}", 0, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return False
    return True


def _link_local_of(number: int) -> str | None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("ff02::1", 9, 0, number))   # this sends nothing
        except OSError:
            return None
        host: str = probe.getsockname()[0]
        return host if host.startswith("fe80:") else None


# -- multicast


def group(family: int) -> str:
    """A multicast group that no other process uses."""
    process = os.getpid()
    if family == socket.AF_INET6:
        return _IPV6_ONLY_HERE % (process >> 16, process & 0xFFFF)
    return _IPV4_ONLY_HERE % (process >> 8 & 255, process & 255)


def loopback_interface() -> tuple[int, str]:
    """The number and the name of the interface that has 127.0.0.1; skips the behaviour if groups are not sent there."""
    by_loopback = [(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(IPV4))]
    for number, name in socket.if_nameindex():
        if _hears_itself(socket.AF_INET, number, by_loopback):
            return number, name
    raise unittest.SkipTest(f"no interface here brings back what is sent to a group by {IPV4}")


@functools.cache
def multicast_interface(family: int) -> tuple[int, str]:
    """The number and the name of an interface that groups of `family` are sent by, and come back by unless that is off.

    Skips the behaviour on a machine that has none.
    """
    for number, name in socket.if_nameindex():
        on, off = (_by(family, number, loopback) for loopback in (1, 0))
        if _hears_itself(family, number, on) and not _hears_itself(family, number, off):
            return number, name
    version = "IPv6" if family == socket.AF_INET6 else "IPv4"
    raise unittest.SkipTest(f"no interface here sends to {version} groups, apart from loopback")


def address_of_interface(number: int) -> str:
    """The IPv4 address that what is sent to a group by the interface `number` comes from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(*_by(socket.AF_INET, number, 1)[0])
        probe.connect((group(socket.AF_INET), 9))
        host: str = probe.getsockname()[0]
        return host


_Options = list[tuple[int, int, Any]]


def _by(family: int, number: int, loopback: int) -> _Options:
    """What lets a plain socket send to groups by the interface `number`."""
    if family == socket.AF_INET6:
        level = socket.IPPROTO_IPV6
        return [(level, socket.IPV6_MULTICAST_IF, number), (level, socket.IPV6_MULTICAST_LOOP, loopback)]
    level = socket.IPPROTO_IP
    chosen = struct.pack("@8xi", number)
    return [(level, socket.IP_MULTICAST_IF, chosen), (level, socket.IP_MULTICAST_LOOP, loopback)]


def _hears_itself(family: int, number: int, options: _Options) -> bool:
    """Whether a plain socket that has joined at the interface `number` receives what it sends with `options`."""
    name = group(family)
    packed = socket.inet_pton(family, name)
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            if family == socket.AF_INET6:
                member = packed + struct.pack("@i", number)
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
            else:
                member = packed + struct.pack("@4xi", number)
                probe.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            for option in options:
                probe.setsockopt(*option)
            probe.bind(("", 0))
            probe.sendto(b"x", (name, probe.getsockname()[1]))
        except OSError:
            return False
        return bool(select.select([probe], [], [], 0.05)[0])
