"""Descriptors: what addReader and addWriter watch for the program."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from typing import Any

from ropewalk.internet.error import ConnectionDone, ConnectionFdescWentAway, ConnectionLost
from ropewalk.testing.contract import behaviour
from ropewalk.testing.features import needs
from ropewalk.testing.peers import log_records
from ropewalk.testing.rig import Rig, raises
from ropewalk.testing.watched import Watched


class _Pipe:
    """One end of a pipe, with the verbs of a socket that a behaviour needs."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number

    def close(self) -> None:
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)


def _end(rig: Rig) -> Any:
    """Stop, after some more turns in which nothing should come."""
    return rig.reactor.callLater(0.02, rig.reactor.stop)


@behaviour
def a_reader_is_called_while_there_is_something_to_read(rig: Rig) -> None:
    """Also for what it left unread."""
    reactor = rig.reactor
    here, there = rig.socket_pair()
    seen: list[bytes] = []

    def read(channel: Any) -> None:
        seen.append(channel.recv(1))
        if len(seen) == 3:
            _end(rig)

    reactor.addReader(Watched(here, read))
    there.send(b"abc")
    rig.run()
    assert seen == [b"a", b"b", b"c"]


@behaviour
def a_writer_is_called_while_there_is_room_and_again_when_there_is(rig: Rig) -> None:
    reactor = rig.reactor
    here, there = rig.socket_pair()
    calls: list[int] = []
    rests: list[int] = []

    def write(channel: Any) -> None:
        calls.append(channel.send(b"x" * 65536))
        if rests:
            reactor.removeWriter(writer)
            reactor.stop()

    def drain_once_it_rests(before: int) -> None:
        if len(calls) != before:
            reactor.callLater(0.02, drain_once_it_rests, len(calls))
            return
        rests.append(before)
        for _ in range(before):
            there.recv(65536)

    writer = Watched(here, None, write)
    reactor.addWriter(writer)
    reactor.callLater(0, drain_once_it_rests, -1)
    rig.run()
    assert len(calls) == rests[0] + 1


@behaviour
@needs("descriptor table")
def pipes_are_watched(rig: Rig) -> None:
    reactor = rig.reactor
    reading, writing = map(_Pipe, os.pipe())
    seen: list[bytes] = []

    def write(pipe: Any) -> None:
        os.write(pipe.fileno(), b"through the pipe")
        reactor.removeWriter(writer)

    def read(pipe: Any) -> None:
        seen.append(os.read(pipe.fileno(), 64))
        reactor.removeReader(reader)
        reactor.stop()

    reader, writer = Watched(reading, read), Watched(writing, None, write)
    try:
        reactor.addReader(reader)
        reactor.addWriter(writer)
        rig.run()
    finally:
        reading.close()
        writing.close()
    assert seen == [b"through the pipe"]


@behaviour
def the_reader_and_the_writer_of_a_descriptor_may_be_different_objects(rig: Rig) -> None:
    reactor = rig.reactor
    here, there = rig.socket_pair()
    seen: list[str] = []

    def write(_: Any) -> None:
        seen.append("write")
        reactor.removeWriter(writer)
        there.send(b"x")

    def read(channel: Any) -> None:
        channel.recv(8)
        seen.append("read")
        assert reactor.getReaders() == [reader]
        assert reactor.getWriters() == []
        reactor.removeReader(reader)
        _end(rig)

    reader, writer = Watched(here, read), Watched(here, None, write)
    reactor.addReader(reader)
    reactor.addWriter(writer)
    assert reactor.getReaders() == [reader]
    assert reactor.getWriters() == [writer]
    rig.run()
    assert seen == ["write", "read"]
    assert reader.lost == writer.lost == []


@behaviour
def adding_twice_counts_once_and_removing_what_is_not_there_does_nothing(rig: Rig) -> None:
    reactor = rig.reactor
    here, _there = rig.socket_pair()
    both = Watched(here, lambda _: None, lambda _: None)
    reactor.removeReader(both)
    reactor.removeWriter(both)
    for _ in range(2):
        reactor.addReader(both)
        reactor.addWriter(both)
    assert reactor.getReaders() == reactor.getWriters() == [both]
    reactor.removeReader(both)
    assert reactor.getReaders() == []
    assert reactor.getWriters() == [both]
    assert reactor.removeAll() == [both]
    assert reactor.getReaders() == reactor.getWriters() == reactor.removeAll() == []


@behaviour
def a_descriptor_removed_in_a_callback_is_silent_at_once(rig: Rig) -> None:
    """Two are ready in one batch; whichever comes first removes the other."""
    reactor = rig.reactor
    seen: list[Any] = []

    def read(channel: Any) -> None:
        seen.append(channel)
        for reader in readers:
            reactor.removeReader(reader)
        _end(rig)

    readers = []
    for _ in range(2):
        here, there = rig.socket_pair()
        there.send(b"x")
        readers.append(Watched(here, read))
        reactor.addReader(readers[-1])
    rig.run()
    assert len(seen) == 1


@behaviour
def a_writer_that_its_reader_removed_is_not_written(rig: Rig) -> None:
    reactor = rig.reactor
    here, there = rig.socket_pair()

    def read(channel: Any) -> None:
        channel.recv(8)
        reactor.removeWriter(both)
        _end(rig)

    both = Watched(here, read)
    reactor.addReader(both)
    reactor.addWriter(both)
    there.send(b"x")
    rig.run()
    assert [reason.check(ConnectionLost) for reason in both.lost] == [ConnectionLost]


@behaviour
def what_do_read_returns_ends_the_descriptor(rig: Rig) -> None:
    reactor = rig.reactor
    here, there = rig.socket_pair()
    there.close()
    reader = Watched(here, lambda _: ConnectionDone())
    reactor.addReader(reader)
    reactor.addWriter(Watched(rig.socket_pair()[0], None, lambda _: None))
    _end(rig)
    rig.run()
    assert [reason.check(ConnectionDone) for reason in reader.lost] == [ConnectionDone]


@behaviour
def what_do_read_and_do_write_raise_is_logged_and_ends_the_descriptor(rig: Rig) -> None:
    reactor = rig.reactor

    def fail(_: Any) -> None:
        raise ZeroDivisionError("made to fail")

    (here, there), (writing, _peer) = rig.socket_pair(), rig.socket_pair()
    there.send(b"x")
    reader, writer = Watched(here, fail), Watched(writing, None, fail)
    reactor.addReader(reader)
    reactor.addWriter(writer)
    _end(rig)
    with log_records(logging.ERROR) as records:
        rig.run()
    for watched in (reader, writer):
        assert [reason.check(ZeroDivisionError) for reason in watched.lost] == [ZeroDivisionError]
    assert all(f"{reader.logPrefix()}: " in record.getMessage() for record in records)
    rig.expect_errors(ZeroDivisionError, ZeroDivisionError)


@behaviour
def what_connection_lost_raises_is_logged_and_the_others_go_on(rig: Rig) -> None:
    reactor = rig.reactor

    class Broken(Watched):
        def connectionLost(self, reason: Any) -> None:
            raise ZeroDivisionError("made to fail")

    for _ in range(2):
        here, there = rig.socket_pair()
        there.send(b"x")
        reactor.addReader(Broken(here, lambda _: ConnectionDone()))
    left = Watched(rig.socket_pair()[0])
    reactor.addReader(left)
    _end(rig)
    rig.run()
    rig.expect_errors(ZeroDivisionError, ZeroDivisionError)
    assert len(left.lost) == 1


@behaviour
def a_descriptor_closed_in_its_own_callback_went_away(rig: Rig) -> None:
    reactor = rig.reactor
    here, there = rig.socket_pair()
    reader = Watched(here, lambda channel: channel.close())
    reactor.addReader(reader)
    there.send(b"x")
    _end(rig)
    rig.run()
    assert [reason.check(ConnectionFdescWentAway) for reason in reader.lost] == [ConnectionFdescWentAway]
    assert reactor.getReaders() == []


@behaviour
def a_descriptor_that_is_removed_before_it_closes_is_told_nothing(rig: Rig) -> None:
    reactor = rig.reactor
    here, there = rig.socket_pair()

    def leave(channel: Any) -> None:
        reactor.removeReader(reader)
        channel.close()

    reader = Watched(here, leave)
    reactor.addReader(reader)
    there.send(b"x")
    _end(rig)
    rig.run()
    assert reader.lost == []


@behaviour
def shutdown_tells_every_descriptor_once(rig: Rig) -> None:
    reactor = rig.reactor
    here, _there = rig.socket_pair()
    both = Watched(here, lambda _: None, lambda _: None)
    reader = Watched(rig.socket_pair()[0])
    reactor.addReader(both)
    reactor.addWriter(both)
    reactor.addReader(reader)
    rig.in_run(lambda: None)
    for watched in (both, reader):
        assert [reason.check(ConnectionLost) for reason in watched.lost] == [ConnectionLost]
    assert reactor.getReaders() == reactor.getWriters() == []


@behaviour
@needs("descriptor table")
def a_number_closed_behind_its_back_belongs_to_the_reader_that_has_it_now(rig: Rig) -> None:
    reactor = rig.reactor
    here, there = rig.socket_pair()
    old = Watched(here)
    seen: list[bytes] = []

    def read(channel: Any) -> None:
        seen.append(channel.recv(8))
        _end(rig)

    def reuse() -> None:
        number = here.fileno()
        here.close()
        new, peer = rig.socket_pair_at(number)
        reader = Watched(new, read)
        reactor.addReader(reader)
        assert reactor.getReaders() == [reader]
        peer.send(b"new")
        there.close()

    reactor.addReader(old)
    reactor.callWhenRunning(reuse)
    rig.run()
    assert seen == [b"new"]
    assert [reason.check(ConnectionFdescWentAway) for reason in old.lost] == [ConnectionFdescWentAway]


@behaviour
def a_descriptor_closed_behind_the_reactors_back_harms_nobody_else(rig: Rig) -> None:
    """Select and poll can tell; epoll says nothing about it."""
    reactor = rig.reactor
    gone = Watched(rig.socket_pair()[0])
    here, there = rig.socket_pair()
    seen: list[bytes] = []

    def read(channel: Any) -> None:
        seen.append(channel.recv(8))
        _end(rig)

    def close() -> None:
        gone.channel.close()
        there.send(b"x")

    reactor.addReader(gone)
    reactor.addReader(Watched(here, read))
    reactor.callWhenRunning(close)
    rig.run()
    assert seen == [b"x"]
    assert len(gone.lost) == 1


@behaviour
@needs("descriptor table")
def an_event_of_a_closed_descriptor_is_not_told_to_the_next_owner_of_its_number(rig: Rig) -> None:
    """Two are ready in one batch; whichever comes first closes both, and the new ones have nothing to read."""
    reactor = rig.reactor
    told: list[str] = []

    def replace(_: Any) -> None:
        told.append("old")
        for reader in readers:
            number = reader.fileno()
            reactor.removeReader(reader)
            reader.channel.close()
            new, _peer = rig.socket_pair_at(number)
            reactor.addReader(Watched(new, lambda _: told.append("new")))
        _end(rig)

    readers = []
    for _ in range(2):
        here, there = rig.socket_pair()
        there.send(b"x")
        readers.append(Watched(here, replace))
        reactor.addReader(readers[-1])
    rig.run()
    assert told == ["old"]


@behaviour
@needs("descriptor table")
def a_regular_file_is_always_ready(rig: Rig) -> None:
    reactor = rig.reactor
    with tempfile.TemporaryFile() as file:
        file.write(b"abc")
        file.seek(0)
        seen: list[bytes] = []

        def read(channel: Any) -> Any:
            seen.append(os.read(channel.fileno(), 1))
            if seen[-1]:
                return None
            _end(rig)
            return ConnectionDone()

        reader = Watched(file, read)
        reactor.addReader(reader)
        timers: list[int] = []
        reactor.callLater(0, timers.append, 1)
        rig.run()
    assert seen == [b"a", b"b", b"c", b""]
    assert timers == [1]
    assert [reason.check(ConnectionDone) for reason in reader.lost] == [ConnectionDone]


@behaviour
def what_has_no_descriptor_is_refused(rig: Rig) -> None:
    here, _there = rig.socket_pair()
    here.close()
    for add in (rig.reactor.addReader, rig.reactor.addWriter):
        with raises(ValueError):
            add(Watched(here))
    assert rig.reactor.getReaders() == rig.reactor.getWriters() == []


@behaviour
def a_descriptor_that_is_not_open_is_refused_or_lost_and_nothing_stays(rig: Rig) -> None:
    """Epoll refuses it where it is added, the others find out when they wait."""
    reactor = rig.reactor
    bad = Watched(_Pipe(-1))
    refused: list[BaseException] = []

    def add() -> None:
        with socket.socket() as closed:   # by now the reactor has opened what it needs
            bad.channel = _Pipe(closed.fileno())
        try:
            reactor.addReader(bad)
        except OSError as error:
            refused.append(error)

    reactor.callWhenRunning(add)
    reactor.callLater(0.02, lambda: readers.extend(reactor.getReaders()))
    readers: list[Any] = []
    reactor.callLater(0.03, reactor.stop)
    rig.run(installSignalHandlers=False)
    assert readers == []
    assert len(refused) + len(bad.lost) == 1
    assert all(reason.check(ConnectionFdescWentAway) for reason in bad.lost)


@behaviour
def a_half_closeable_descriptor_keeps_its_other_half(rig: Rig) -> None:
    reactor = rig.reactor
    here, there = rig.socket_pair()
    seen: list[str] = []

    class Half(Watched):
        def readConnectionLost(self, reason: Any) -> None:
            seen.append("input ended")
            assert reason.check(ConnectionDone)
            reactor.addWriter(self)

        def writeConnectionLost(self, reason: Any) -> None:
            raise AssertionError("no reactor tells a descriptor of the program's so")

    def write(_: Any) -> Any:
        seen.append("written")
        reactor.stop()
        return ConnectionDone()

    half = Half(here, lambda _: ConnectionDone(), write)
    reactor.addReader(half)
    there.send(b"x")
    rig.run()
    assert seen == ["input ended", "written"]
    assert len(half.lost) == 1
