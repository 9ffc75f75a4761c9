"""Nesting: a callback that turns the loop itself, as a modal dialog does."""

from __future__ import annotations

from typing import Any

from ropewalk.testing.contract import behaviour
from ropewalk.testing.features import needs
from ropewalk.testing.rig import Rig, raises
from ropewalk.testing.watched import Watched

_TURNS = 5


@behaviour
def a_nested_turn_serves_the_others_and_never_reenters_the_handler_on_the_stack(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[str] = []
    inside: list[bool] = []
    (opener_side, opener_peer), (other_side, other_peer) = rig.socket_pair(), rig.socket_pair()

    def open_loop(channel: Any) -> None:
        assert not any(inside), "the handler on the stack was entered again"
        seen.append(channel.recv(1).decode())
        if seen[-1] == "2":
            reactor.stop()
            return
        other_peer.send(b"o")
        reactor.callLater(0, seen.append, "timer")
        reactor.callFromThread(seen.append, "call")
        inside.append(True)
        for _ in range(_TURNS):
            reactor.iterate(0)
        inside.clear()
        seen.append("return")

    reactor.addReader(Watched(opener_side, open_loop))
    reactor.addReader(Watched(other_side, lambda channel: seen.append(channel.recv(1).decode())))
    opener_peer.send(b"12")
    rig.run()
    assert seen[0] == "1"
    assert sorted(seen[1:4]) == ["call", "o", "timer"]
    assert seen[4:] == ["return", "2"]


@behaviour
def a_nested_turn_loses_no_event_that_was_collected_before_it(rig: Rig) -> None:
    """All are ready at once; whichever comes first opens a nested loop, and each is told once."""
    reactor = rig.reactor
    seen: list[bytes] = []

    def read(channel: Any) -> None:
        seen.append(channel.recv(1))
        if len(seen) == 1:
            for _ in range(_TURNS):
                reactor.iterate(0)
            assert len(seen) == 8
            reactor.stop()

    for number in range(8):
        here, there = rig.socket_pair()
        there.send(bytes([number]))
        reactor.addReader(Watched(here, read))
    rig.run()
    assert sorted(seen) == [bytes([number]) for number in range(8)]


@behaviour
def a_handler_that_stopped_reading_in_a_nested_turn_stays_silent(rig: Rig) -> None:
    reactor = rig.reactor
    here, there = rig.socket_pair()
    times: list[int] = []

    def read(_: Any) -> None:
        times.append(1)
        reactor.callLater(0, reactor.removeReader, reader)
        reactor.iterate(0)
        reactor.callLater(0.01, reactor.stop)

    reader = Watched(here, read)
    reactor.addReader(reader)
    there.send(b"never read")
    rig.run()
    assert times == [1]


@behaviour
def a_handler_that_began_to_write_in_a_nested_turn_is_told_afterwards(rig: Rig) -> None:
    reactor = rig.reactor
    here, there = rig.socket_pair()
    seen: list[str] = []

    def read(channel: Any) -> None:
        seen.append(channel.recv(1).decode())
        reactor.callLater(0, reactor.addWriter, both)
        reactor.iterate(0)
        reactor.iterate(0)
        seen.append("return")

    def write(_: Any) -> None:
        seen.append("write")
        reactor.removeWriter(both)
        reactor.stop()

    both = Watched(here, read, write)
    reactor.addReader(both)
    there.send(b"r")
    rig.run()
    assert seen == ["r", "return", "write"]


@behaviour
@needs("descriptor table")
def a_number_reused_in_a_nested_turn_belongs_to_its_new_owner(rig: Rig) -> None:
    """The handler on the stack closes its descriptor; the next one to be opened has its number."""
    reactor = rig.reactor
    here, there = rig.socket_pair()
    seen: list[bytes] = []

    def read(channel: Any) -> None:
        number = channel.fileno()
        reactor.removeReader(reader)
        channel.close()
        new, peer = rig.socket_pair_at(number)
        reactor.addReader(Watched(new, new_read))
        peer.send(b"new")
        reactor.iterate(0)
        assert seen == [b"new"]
        peer.send(b"end")

    def new_read(channel: Any) -> None:
        seen.append(channel.recv(8))
        if seen[-1] == b"end":
            reactor.stop()

    reader = Watched(here, read)
    reactor.addReader(reader)
    there.send(b"old")
    rig.run()
    assert seen == [b"new", b"end"]
    assert reader.lost == []


@behaviour
def a_delayed_call_may_turn_the_loop_while_others_are_due(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[str] = []

    def turn() -> None:
        seen.append("begin")
        reactor.iterate(0)
        seen.append("end")

    reactor.callLater(0, turn)
    for name in ("a", "b"):
        reactor.callLater(0, seen.append, name)
    reactor.callLater(0.01, reactor.stop)
    rig.run()
    assert seen == ["begin", "a", "b", "end"]


@behaviour
def a_call_from_a_thread_may_turn_the_loop_while_others_wait(rig: Rig) -> None:
    reactor = rig.reactor
    seen: list[str] = []

    def turn() -> None:
        seen.append("begin")
        reactor.iterate(0)
        seen.append("end")

    reactor.callFromThread(turn)
    for name in ("a", "b"):
        reactor.callFromThread(seen.append, name)
    reactor.callLater(0.01, reactor.stop)
    rig.run()
    assert seen == ["begin", "a", "b", "end"]


@behaviour
def a_descriptor_that_is_closed_behind_our_back_in_a_nested_turn_is_lost(rig: Rig) -> None:
    reactor = rig.reactor
    here, there = rig.socket_pair()

    def read(channel: Any) -> None:
        channel.recv(8)
        reactor.callLater(0, channel.close)
        reactor.iterate(0)
        reactor.iterate(0)

    reader = Watched(here, read)
    reactor.addReader(reader)
    there.send(b"x")
    reactor.callLater(0.05, reactor.stop)
    rig.run()
    assert len(reader.lost) == 1


@behaviour
def a_handler_that_an_exception_left_is_not_left_out_of_later_nested_turns(rig: Rig) -> None:
    reactor = rig.reactor
    here, there = rig.socket_pair()
    seen: list[bytes] = []

    def read(channel: Any) -> None:
        seen.append(channel.recv(8))
        if seen == [b"first"]:
            raise KeyboardInterrupt

    reader = Watched(here, read)
    reactor.addReader(reader)
    there.send(b"first")
    with raises(KeyboardInterrupt):
        rig.run()

    def nested() -> None:
        there.send(b"second")
        reactor.iterate(1)
        assert seen == [b"first", b"second"]
        reactor.stop()

    reactor.callWhenRunning(reactor.callLater, 0, nested)
    rig.run()
