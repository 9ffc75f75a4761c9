"""Two hosts: what happens to connections and datagrams when the link between them is cut, lossy, slow or gone.

Here the hosts are network namespaces (netns.py), and what runs on them are real programs (network_programs.py).
docs/network.md tells programs what follows.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ropewalk.core import choose

from .netns import Host, Network, Program, Unavailable, namespaces, remove_left_behind

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are part of Linux alone")

HERE = [   # those with a loop of their own; a toolkit's has its tests in tests/gui
    name for name, row in choose.CHOICES.items() if row.host == "own:OwnHost" and choose.why_not(name) is None
]
ATTEMPT_DELAY = 0.25   # seconds, as connectTCP and HostnameEndpoint document it
LATE = 5.0   # seconds that a busy machine may be behind its timers
MIB = 1 << 20

on_every_reactor = pytest.mark.parametrize("reactor", HERE)

Fault = Callable[[Network], object]


@pytest.fixture
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    """Two hosts; a test that did not fail fails if a program of them does not end well."""
    failed = request.session.testsfailed
    with ExitStack() as stack:
        try:
            made = stack.enter_context(Network())
        except Unavailable as error:
            pytest.skip(str(error))
        yield made
        if request.session.testsfailed == failed:
            made.end_programs()


def within(seconds: str, least: float, most: float) -> None:
    """What a program measured is in this range."""
    assert least <= float(seconds) < most


def unless_unavailable(call: Callable[..., object], *arguments: object) -> None:
    """Skip the test if the kernel lacks what `call` needs."""
    try:
        call(*arguments)
    except Unavailable as error:
        pytest.skip(str(error))


# -- faults


def take_the_link_down(network: Network) -> None:
    network.right.cut()


def take_our_link_down(network: Network) -> None:
    network.left.cut()


def lose_everything(network: Network) -> None:
    for host, other in network.both_ways():
        for address in (other.ipv4, other.ipv6):
            host.lose(address)


def heal(network: Network) -> None:
    for host, other in network.both_ways():
        host.mend()
        for address in (other.ipv4, other.ipv6):
            host.find(address)


def echo(host: Host, interface: str) -> tuple[Program, str]:
    """An echo server, and its port."""
    server = host.start("echo", interface)
    return server, server.says("listening")[0]


# -- a link that is cut


@pytest.mark.parametrize(
    ("reactor", "family", "fault"),
    [
        ("default", "ipv4", take_the_link_down),
        ("select", "ipv6", take_the_link_down),
        ("poll", "ipv4", lose_everything),
        ("epoll", "ipv6", lose_everything),
    ],
)
def test_a_connection_outlives_a_cut_and_brings_what_was_written_meanwhile(
    network: Network, reactor: str, family: str, fault: Fault
) -> None:
    address = getattr(network.right, family)
    answering = network.right.start("answer", address, reactor=reactor)
    (port,) = answering.says("listening")
    ends = (answering, network.left.start("call", address, port, reactor=reactor))
    for end in ends:
        end.says("connected")
    fault(network)
    for end in ends:
        end.tell("write")
    for end in ends:
        assert end.says("waiting") == ["0"], "something has come through"
    heal(network)
    for end in ends:
        within(*end.says("received"), 0, LATE)


@pytest.mark.parametrize(
    ("care", "text", "seconds", "fault", "causes"),
    [
        ("probe", "", 3.0, lose_everything, {"ETIMEDOUT"}),
        ("limit", "hello", 1.0, lose_everything, {"ETIMEDOUT"}),
        # The system gives its last error, not the timeout, as the cause, if it had one.
        ("limit", "hello", 1.0, take_our_link_down, {"ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH"}),
    ],
    ids=["keep-alive", "user timeout", "user timeout, own link"],
)
def test_a_connection_that_stays_cut_ends_when_it_was_told_to_and_another_stays(
    network: Network, care: str, text: str, seconds: float, fault: Fault, causes: set[str]
) -> None:
    callers = []
    for address in (network.right.ipv4, network.right.ipv6):
        server, port = echo(network.right, address)
        caller = network.left.start("endure", address, port, care, text)
        caller.says("connected")
        server.says("accepted")
        server.says("accepted")
        callers.append(caller)
    fault(network)
    for caller in callers:
        caller.tell("write")
    for caller in callers:
        reason, cause, waited = caller.says("lost")
        assert (reason, cause in causes) == ("ConnectionLost", True), cause
        within(waited, seconds - 0.5, seconds + LATE)
        assert caller.says("plain") == ["True"]
    heal(network)
    for caller in callers:
        caller.tell("write")
        caller.says("echoed")


def test_what_was_written_before_an_orderly_close_arrives_though_the_link_was_cut(network: Network) -> None:
    server = network.right.start("consume", network.right.ipv4)
    client = network.left.start("last_words", network.right.ipv4, *server.says("listening"))
    client.says("connected")
    lose_everything(network)
    client.tell("write", "farewell")
    client.tell("close")
    assert client.says("lost")[0] == "ConnectionDone"
    heal(network)
    assert server.says("counted") == ["8", "ConnectionDone"]


# -- connections that cannot be made


def test_an_attempt_at_a_black_hole_fails_when_its_time_is_over(network: Network) -> None:
    lose_everything(network)
    for address in (network.right.ipv4, network.right.ipv6):
        reason, _, seconds = network.left.start("attempt", address, 9, 0.3).says("failed")
        assert reason == "TimeoutError"
        within(seconds, 0.3, 0.3 + LATE)


def test_an_attempt_without_a_limit_fails_when_the_system_gives_up(network: Network) -> None:
    unless_unavailable(network.left.set, "net/ipv4/tcp_syn_retries", 1)   # of IPv6, too
    lose_everything(network)
    attempts = [network.left.start("attempt", host, 9, 0) for host in (network.right.ipv4, network.right.ipv6)]
    for attempt in attempts:
        assert attempt.says("failed")[:2] == ["TCPTimedOutError", "ETIMEDOUT"]


@pytest.mark.parametrize("hosts", [("10.99.0.1", "fd99::1"), ("10.98.0.1", "fd98::1"), ("10.77.0.77", "fd77::77")],
                         ids=["no route", "unreachable", "nobody there"])  # fmt: skip
def test_an_attempt_at_a_host_without_a_route_fails_with_no_route_error(
    network: Network, hosts: tuple[str, str]
) -> None:
    left = network.left
    left.ip("route add unreachable 10.98.0.0/24")
    left.ip("-6 route add unreachable fd98::/64")
    for table in ("arp_cache", "ndisc_cache"):   # where the system asks three times, at intervals of a second
        left.ip(f"ntable change name {table} dev {left.device} retrans 50")
    for host in hosts:
        reason, cause, seconds = left.start("attempt", host, 9, 30).says("failed")
        assert (reason, cause) == ("NoRouteError", "ENETUNREACH" if hosts[0] == "10.99.0.1" else "EHOSTUNREACH")
        within(seconds, 0, LATE)


def test_an_attempt_at_a_port_where_nobody_listens_is_refused_by_the_other_host(network: Network) -> None:
    right = network.right
    for host in (right.ipv4, right.ipv6, f"{right.local}%{network.left.device}"):
        reason, cause, seconds = network.left.start("attempt", host, 9, 30).says("failed")
        assert (reason, cause) == ("ConnectionRefusedError", "ECONNREFUSED")
        within(seconds, 0, LATE)


# -- names with several addresses


def test_a_name_whose_first_address_is_a_black_hole_is_reached_by_the_second_after_the_attempt_delay(
    network: Network,
) -> None:
    server, port = echo(network.right, "::")
    network.left.lose(network.right.ipv6)
    client = network.left.start("call_by_name", "default", port, network.right.ipv6, network.right.ipv4)
    for _ in ("connectTCP", "HostnameEndpoint"):
        host, seconds = client.says("connected")
        assert host == network.right.ipv4
        within(seconds, ATTEMPT_DELAY, ATTEMPT_DELAY + LATE)
        assert server.says("accepted") == [f"::ffff:{network.left.ipv4}"]


def test_a_name_whose_first_address_has_no_route_is_reached_by_the_second_at_once(network: Network) -> None:
    server, port = echo(network.right, "::")
    client = network.left.start("call_by_name", 2 * LATE, port, "fd99::1", network.right.ipv4)
    for _ in ("connectTCP", "HostnameEndpoint"):
        host, seconds = client.says("connected")
        assert host == network.right.ipv4
        within(seconds, 0, LATE)
        server.says("accepted")


def test_a_link_local_address_of_a_name_keeps_its_zone(network: Network) -> None:
    server, port = echo(network.right, f"{network.right.local}%{network.right.device}")
    client = network.left.start("call_by_name", "default", port, f"{network.right.local}%{network.left.device}")
    for _ in ("connectTCP", "HostnameEndpoint"):
        assert client.says("connected")[0] == network.right.local
        assert server.says("accepted") == [network.left.local]


# -- resets


@pytest.fixture
def conversation(network: Network) -> tuple[Program, Program]:
    """A server that reads nothing, and a client that is connected to it."""
    server = network.right.start("ignore", network.right.ipv4)
    client = network.left.start("last_words", network.right.ipv4, *server.says("listening"))
    client.says("connected")
    server.says("accepted")
    return server, client


def leave_unread(server: Program, client: Program) -> None:
    server.tell("6")
    client.tell("write", "unread")
    server.says("unread")


def test_a_peer_that_is_killed_with_unread_data_resets_the_connection(
    conversation: tuple[Program, Program],
) -> None:
    server, client = conversation
    leave_unread(server, client)
    server.kill()
    assert client.says("lost")[:2] == ["ConnectionLost", "ECONNRESET"]


def test_a_host_that_is_removed_resets_the_connections_of_its_programs(
    network: Network, conversation: tuple[Program, Program]
) -> None:
    server, client = conversation
    leave_unread(server, client)
    network.right.remove()
    assert client.says("lost")[:2] == ["ConnectionLost", "ECONNRESET"]


def test_a_peer_that_has_forgotten_the_connection_resets_it_when_it_is_written_to(
    network: Network, conversation: tuple[Program, Program]
) -> None:
    server, client = conversation
    leave_unread(server, client)
    lose_everything(network)
    server.kill()   # its reset is lost
    heal(network)
    client.tell("write", "more")
    assert client.says("lost")[:2] == ["ConnectionLost", "ECONNRESET"]


# -- a link that is slow


def test_a_delay_of_the_link_is_all_that_an_echo_suffers(network: Network) -> None:
    server, port = echo(network.right, network.right.ipv4)
    unless_unavailable(network.left.delay, 50)
    client = network.left.start("ask", network.right.ipv4, port, 10, 1000)
    within(*client.says("echoed"), 0.5, 0.5 + LATE)
    assert client.says("closed") == ["ConnectionDone"]
    server.says("accepted")


def test_an_echo_over_a_slow_link_takes_the_time_of_its_bytes(network: Network) -> None:
    server, port = echo(network.right, network.right.ipv6)
    unless_unavailable(network.left.slow, "400kbit", 1600)
    client = network.left.start("ask", network.right.ipv6, port, 20, 1250)
    within(*client.says("echoed"), 0.4, 0.6 + LATE)
    assert client.says("closed") == ["ConnectionDone"]
    server.says("accepted")


@on_every_reactor
def test_a_producer_is_paused_by_a_slow_link_and_memory_does_not_grow_with_what_it_sends(
    network: Network, reactor: str
) -> None:
    unless_unavailable(network.left.slow, "200mbit")
    server = network.right.start("consume", network.right.ipv4, reactor=reactor)
    client = network.left.start(
        "produce", network.right.ipv4, *server.says("listening"), 16 * MIB, reactor=reactor
    )
    reason, pauses, grown, seconds = client.says("sent")
    assert reason == "ConnectionDone"
    assert int(pauses) > 10
    assert int(grown) < 4 * MIB
    assert float(seconds) > 0.4, "the link was not slow"
    assert server.says("counted") == [str(16 * MIB), "ConnectionDone"]


# -- datagrams


@on_every_reactor
@pytest.mark.parametrize(("any_address", "group", "family"), [("", "239.77.0.1", "ipv4"), ("::", "ff02::77", "ipv6")])
def test_a_group_is_heard_on_the_other_host_however_its_interface_is_named_until_it_is_left(
    network: Network, reactor: str, any_address: str, group: str, family: str
) -> None:
    left, right = network.left, network.right
    address = getattr(right, family)
    names = [right.device, right.index, address]
    receiver = right.start("receive", any_address, 0, group, *names, reactor=reactor)
    (port,) = receiver.says("listening")
    sender = left.start("send", any_address, reactor=reactor)
    sender.says("sending")
    sender.tell("by", left.ipv4 if family == "ipv4" else left.device)
    source = left.ipv4 if family == "ipv4" else f"{left.local}%{right.device}"
    for _ in names:
        receiver.tell("join")
        receiver.says("joined")
        sender.tell("to", group, port, "joined?")
        assert receiver.says("received")[:2] == ["joined?", source]
        assert sender.says("received")[0] == "yes"
        receiver.tell("leave")
        receiver.says("left")
        sender.tell("to", group, port, "left")
        sender.tell("to", address, port, "after")
        assert receiver.says("received")[0] == "after"


@pytest.mark.parametrize(("any_address", "group"), [("", "239.77.0.1"), ("::", "ff02::77")])
def test_a_time_to_live_of_0_keeps_a_datagram_on_its_host_and_the_loopback_mode_off_keeps_it_from_there(
    network: Network, any_address: str, group: str
) -> None:
    left, right = network.left, network.right
    hearing = [right.start("receive", any_address, 0, group, right.device)]
    (port,) = hearing[0].says("listening")
    hearing += [left.start("receive", any_address, port, group, left.device)]
    hearing[1].says("listening")
    for each in hearing:
        each.tell("join")
        each.says("joined")
    sender = left.start("send", any_address)
    sender.says("sending")
    sender.tell("by", left.ipv4 if any_address == "" else left.device)
    sender.tell("to", group, port, "both")
    sender.tell("ttl", 0)
    sender.tell("to", group, port, "own")
    sender.tell("ttl", 1)
    sender.tell("loopback", "off")
    sender.tell("to", group, port, "other")
    sender.tell("loopback", "on")
    sender.tell("to", group, port, "again")
    for each, heard in zip(hearing, (["both", "other", "again"], ["both", "own", "again"]), strict=True):
        assert [each.says("received")[0] for _ in heard] == heard


def test_a_group_that_no_interface_or_route_leads_to_cannot_be_joined(network: Network) -> None:
    four, six = network.left.start("send", ""), network.left.start("send", "::")
    for program, group, interface in (
        (four, "239.77.0.1", ""),   # no route leads there
        (four, "239.77.0.1", network.right.device),
        (four, "239.77.0.1", network.right.ipv4),
        (six, "ff02::77", network.right.device),
        (six, "ff02::77", network.right.index),
        (six, "ff02::77", network.right.ipv6),
    ):
        program.tell("join", group, interface)
    for program in (four, six):
        program.says("sending")
        for _ in range(3):
            assert program.says("failed")[:2] == ["the", "group"]


def test_a_connected_port_learns_that_nobody_listens_on_the_other_host(network: Network) -> None:
    right = network.right
    for any_address, host in (("", right.ipv4), ("::", right.ipv6), ("::", f"{right.local}%{network.left.device}")):
        sender = network.left.start("send", any_address)
        sender.says("sending")
        sender.tell("connect", host, 9)
        for _ in range(2):
            sender.tell("write", "hello")
            sender.says("refused")


@on_every_reactor
@pytest.mark.parametrize(("here", "there"), [("::", "::"), ("fe80::1%left0", "fe80::2%right0")])
def test_a_datagram_from_a_link_local_address_can_be_answered(
    network: Network, reactor: str, here: str, there: str
) -> None:
    left, right = network.left, network.right
    receiver = right.start("receive", there, 0, reactor=reactor)
    (port,) = receiver.says("listening")
    sender = left.start("send", here, reactor=reactor)
    sender.says("sending")
    sender.tell("to", f"{right.local}%{left.device}", port, "question?")
    assert receiver.says("received")[:2] == ["question?", f"{left.local}%{right.device}"]
    assert sender.says("received") == ["yes", f"{right.local}%{left.device}", port]


def test_a_broadcast_needs_permission_and_can_be_answered(network: Network) -> None:
    receiver = network.right.start("receive", "", 0)
    (port,) = receiver.says("listening")
    sender = network.left.start("send", "")
    sender.says("sending")
    sender.tell("to", "10.77.0.255", port, "denied?")
    assert sender.says("denied") == ["EACCES"]
    sender.tell("broadcast")
    network.left.ip(f"route add default dev {network.left.device}")   # for what is to all the world
    for host in ("10.77.0.255", "255.255.255.255", "<broadcast>"):
        sender.tell("to", host, port, "anybody?")
        assert receiver.says("received")[:2] == ["anybody?", network.left.ipv4]
        assert sender.says("received") == ["yes", network.right.ipv4, port]


# -- the hosts themselves


def test_hosts_that_a_crash_has_left_behind_are_removed_by_who_comes_next(network: Network) -> None:
    crash = "import netns, os; print(netns.Network().__enter__().left.name, flush=True); os._exit(1)"
    folder = Path(__file__).parent
    name = subprocess.run([sys.executable, "-c", crash], cwd=folder, capture_output=True, text=True).stdout.strip()
    assert name in namespaces()
    remove_left_behind()
    assert name not in namespaces()
    assert network.left.name in namespaces()
