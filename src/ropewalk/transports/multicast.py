"""Multicast over IPv4 and IPv6.

IPv4 names an interface by its address, IPv6 by its number (RFC 3493). To join and leave, kernels take a number for IPv4
too (ip_mreqn), so there an interface may be given by address, name ("eth0") or number, whichever the family.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

from ropewalk.interfaces import Loop
from ropewalk.transports.address import literal_family
from ropewalk.transports.channel import SocketChannel
from ropewalk.transports.resolver import FirstAddress
from ropewalk.transports.udp import UDPPort

_INDEX = struct.Struct("@i")
_LAST_INDEX = 2**31 - 1


class MulticastPort(UDPPort):
    """A UDP port that may join groups: Twisted's IMulticastTransport.

    listenMultiple: whether other ports that ask for it, too, may listen on the same number. The other arguments are
    those of UDPPort.
    """

    def __init__(
        self, loop: Loop, port: int, protocol: Any, interface: str, maxPacketSize: int, listenMultiple: bool
    ) -> None:
        super().__init__(loop, port, protocol, interface, maxPacketSize)
        self.listenMultiple = listenMultiple
        self._six = six = self.addressFamily == socket.AF_INET6
        self._level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
        self._loopback = socket.IPV6_MULTICAST_LOOP if six else socket.IP_MULTICAST_LOOP
        self._hops = socket.IPV6_MULTICAST_HOPS if six else socket.IP_MULTICAST_TTL

    def set_options(self, channel: SocketChannel) -> None:
        if not self.listenMultiple:
            super().set_options(channel)
            return
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    # -- groups

    def joinGroup(self, addr: str, interface: str | int = "") -> Any:
        """Receive what is sent to the group `addr`.

        addr: an address or a name; interface: the address, the name or the number of the one to receive from, '' for
        the system's choice. Returns a Deferred that fires with None, or with MulticastJoinError, which names both.
        """
        option = socket.IPV6_JOIN_GROUP if self._six else socket.IP_ADD_MEMBERSHIP
        return self._change_membership("joined", option, addr, interface)

    def leaveGroup(self, addr: str, interface: str | int = "") -> Any:
        """Undo joinGroup(), with the same arguments; the Deferred is of the same kind."""
        option = socket.IPV6_LEAVE_GROUP if self._six else socket.IP_DROP_MEMBERSHIP
        return self._change_membership("left", option, addr, interface)

    def _change_membership(self, done: str, option: int, addr: str, interface: str | int) -> Any:
        def change(group: str) -> None:
            self.bound().setsockopt(self._level, option, self._membership(group, str(interface)))

        def failed(failure: Any) -> Any:
            if not isinstance(failure.value, OSError | ValueError | RuntimeError):   # it was cancelled
                return failure
            where = f"at the interface {interface}" if interface else "at the system's choice of interface"
            text = f"the group {addr} cannot be {done} {where} by {self!r}: {failure.value}"
            cannot: Exception = self.reactor.kit.error.MulticastJoinError(text)
            raise cannot from failure.value

        return self._address_of(addr).addCallback(change).addErrback(failed)

    def _address_of(self, host: str) -> Any:
        """A Deferred of the literal address of `host`."""
        if literal_family(host) == socket.AF_UNSPEC:
            return FirstAddress(self.reactor, self.reactor.nameResolver, self.addressFamily).getHostByName(host)
        return self._known(host)

    def _known(self, value: Any) -> Any:
        known = self.reactor.kit.deferred()
        known.callback(value)
        return known

    def _membership(self, group: str, interface: str) -> bytes:
        """The kernel's ip_mreqn or ipv6_mreq. Raises OSError for a bad group or interface."""
        packed = socket.inet_pton(self.addressFamily, group)
        if self._six:
            return packed + _INDEX.pack(interface_number(interface))
        if literal_family(interface) == socket.AF_INET6:
            raise ValueError("the group is of IPv4, the address of the interface is not")
        if not interface or literal_family(interface) == socket.AF_INET:
            return packed + socket.inet_aton(interface or "0.0.0.0")
        return packed + bytes(4) + _INDEX.pack(interface_number(interface))

    # -- what is sent

    def getOutgoingInterface(self) -> str | int:
        """The interface that groups are sent to by: its address with IPv4, its number with IPv6; 0.0.0.0, 0: any."""
        channel = self.bound()
        if self._six:
            return channel.getsockopt(self._level, socket.IPV6_MULTICAST_IF)
        return socket.inet_ntoa(channel.getsockopt(self._level, socket.IP_MULTICAST_IF, 4))

    def setOutgoingInterface(self, addr: str | int) -> Any:
        """Send to groups by the interface `addr`: its name or number, or with IPv4 its address, or a host name of it.

        Returns a Deferred of 1, or of the OSError or ValueError of an interface that there is not.
        """

        def choose(interface: str) -> int:
            if self._six:
                self.bound().setsockopt(self._level, socket.IPV6_MULTICAST_IF, interface_number(interface))
            elif literal_family(interface) == socket.AF_INET:
                self.bound().setsockopt(self._level, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
            else:
                number = _INDEX.pack(interface_number(interface))
                self.bound().setsockopt(self._level, socket.IP_MULTICAST_IF, bytes(8) + number)
            return 1

        interface = str(addr)
        itself = self._six or interface.isdecimal() or interface in dict(socket.if_nameindex()).values()
        return (self._known(interface) if itself else self._address_of(interface)).addCallback(choose)

    def getLoopbackMode(self) -> bool:
        """Whether this machine receives, too, what it sends to groups."""
        return bool(self.bound().getsockopt(self._level, self._loopback))

    def setLoopbackMode(self, mode: bool) -> None:
        """Let this machine receive what it sends to groups (the default), or not."""
        self.bound().setsockopt(self._level, self._loopback, bool(mode))

    def getTTL(self) -> int:
        """How many routers a packet to a group may pass, plus one: its time to live, or hop limit."""
        return self.bound().getsockopt(self._level, self._hops)

    def setTTL(self, ttl: int) -> None:
        """Set the time to live of packets to groups: 0 to 255, the default is 1. Raises ValueError."""
        if not 0 <= ttl <= 255:
            raise ValueError(f"a time to live is a number from 0 to 255, not {ttl}")
        self.bound().setsockopt(self._level, self._hops, ttl)


def interface_number(interface: str | int) -> int:
    """The number of an interface, given by number, name or IPv6 address; 0 for ''. Raises OSError, ValueError."""
    name = str(interface)
    if name in ("", "::"):
        return 0
    if ":" in name:
        address, _, zone = name.partition("%")
        return interface_number(zone) if zone else _number_of_address(address)
    if not name.isdecimal():
        return socket.if_nametoindex(name)
    if int(name) > _LAST_INDEX:
        raise ValueError(f"no interface has the number {name}")
    return int(name)


def _number_of_address(address: str) -> int:
    """The number of the interface that has the IPv6 `address`; Linux alone tells."""
    wanted = socket.inet_pton(socket.AF_INET6, address).hex()
    with contextlib.suppress(FileNotFoundError), open("/proc/net/if_inet6", encoding="ascii") as interfaces:
        for line in interfaces:
            known, number, *_ = line.split()
            if known == wanted:
                return int(number, 16)
    raise ValueError(f"no interface is known by the address {address}: give its name or number")
