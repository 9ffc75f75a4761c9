"""inotify: whatever bytes come, and whatever happens to a tree, the program is told the truth.

The rule for programs that is checked: a name that arrives (IN_CREATE, IN_MOVED_TO) is there, one that leaves
(IN_DELETE, IN_MOVED_FROM) is gone with everything below it. Who keeps to it knows the tree.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ropewalk.internet.inotify import (
    IN_CREATE,
    IN_DELETE,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    INotify,
    INotifyError,
)
from ropewalk.internet.inotify_calls import LONGEST_NAME, Event, Records
from ropewalk.internet.selectreactor import SelectReactor

NAMES = st.binary(min_size=1, max_size=255).filter(lambda name: b"\0" not in name) | st.just(b"")
HEADS = st.tuples(st.integers(-1, 2**31 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))


def record(wd, mask, cookie, name):
    """As the kernel writes it: the name ends in a NUL at least, and the record is padded to 16 bytes."""
    padded = name + bytes(-len(name) % 16 or 16) if name else b""
    return struct.pack("=iIII", wd, mask, cookie, len(padded)) + padded


RECORDS = st.lists(st.tuples(HEADS, NAMES).map(lambda parts: (*parts[0], parts[1])), max_size=20)


def pieces(data, cuts):
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:end] for begin, end in itertools.pairwise(edges)]


@given(RECORDS, st.lists(st.integers(0)))
def test_records_come_out_as_they_went_in_wherever_they_are_cut(records, cuts):
    data = b"".join(record(*one) for one in records)
    expected = [Event(*one, len(record(*one))) for one in records]
    assert Records().feed(data) == expected
    for parts in (pieces(data, cuts), [bytes([byte]) for byte in data]):
        parser = Records()
        assert [event for part in parts for event in parser.feed(part)] == expected


@given(RECORDS, st.binary(max_size=15))
def test_what_is_left_over_waits_for_its_rest(records, rest):
    data = b"".join(record(*one) for one in records)
    parser = Records()
    assert len(parser.feed(data + rest)) == len(records)
    last = record(1, 2, 3, b"name")
    if rest == last[: len(rest)]:
        assert parser.feed(last[len(rest) :]) == [Event(1, 2, 3, b"name", len(last))]


@given(st.lists(st.binary(max_size=200)))
@example([struct.pack("=iIII", 1, 1, 0, 2**32 - 1)])
def test_any_bytes_are_records_or_a_value_error_and_little_is_kept(parts):
    parser = Records()
    with contextlib.suppress(ValueError):
        for part in parts:
            for event in parser.feed(part):
                assert event.size >= 16 + len(event.name)
            assert len(parser._rest) < 16 + LONGEST_NAME


class Tree:
    """A directory with a recursive watch, and what a program knows of it that keeps to the rule."""

    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        self.path = self.folder / "tree"
        self.outside = self.folder / "outside"
        self.path.mkdir()
        self.outside.mkdir()
        self.known = set()
        self.ends = 0
        self.reactor = SelectReactor()
        self.notifier = INotify(self.reactor)
        self.notifier.startReading()
        mask = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO
        self.notifier.watch(self.path, mask, autoAdd=True, recursive=True, callbacks=[self.notify])

    def notify(self, _, path, mask):
        if path.name.startswith("end"):
            self.ends += bool(mask & IN_CREATE)
        elif mask & (IN_CREATE | IN_MOVED_TO):
            self.known.add(path)
        else:
            self.known = {one for one in self.known if one != path and path not in one.parents}

    def catch_up(self):
        """Turn the reactor until everything that happened is told."""
        end = self.path / f"end{self.ends}"
        before = self.ends
        end.write_bytes(b"")
        while self.ends == before:
            assert self.notifier.connected, "it ended; the log says why"
            self.reactor.iterate(5)
        end.unlink()

    def there(self):
        return {one for one in self.path.rglob("*") if not one.name.startswith("end")}

    def close(self):
        self.notifier.loseConnection()
        for transport in self.reactor.removeAll():
            transport.connectionLost(None)
        self.reactor.poller.close()


PLACES = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(lambda names: "/".join(names))
STEPS = st.one_of(
    st.tuples(st.sampled_from(["mkdir", "write", "rmdir", "unlink", "out", "in"]), PLACES, st.none()),
    st.tuples(st.sampled_from(["rename"]), PLACES, PLACES),
    st.tuples(st.sampled_from(["turn", "catch up"]), st.none(), st.none()),
)


def do(tree, verb, first, second):
    one = tree.path / (first or "")
    if verb == "mkdir":
        one.mkdir()
    elif verb == "write":
        one.write_bytes(b"x")
    elif verb == "rmdir":
        one.rmdir()
    elif verb == "unlink":
        one.unlink()
    elif verb == "rename":
        os.rename(one, tree.path / second)
    elif verb == "out":
        os.rename(one, tree.outside / first.replace("/", "_"))
    elif verb == "in":
        os.rename(tree.outside / first.replace("/", "_"), one)
    elif verb == "turn":
        tree.reactor.iterate(0)
    else:
        tree.catch_up()
        assert tree.known == tree.there()


@given(st.lists(STEPS, min_size=5, max_size=40))
@example([("mkdir", "a", None), ("mkdir", "a/b", None), ("rename", "a", "c"), ("write", "c/b/c", None)])
@example([("mkdir", "a", None), ("turn", None, None), ("rename", "a", "b"), ("rename", "b", "a")])
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_program_that_follows_what_it_is_told_knows_the_tree(steps):
    with tempfile.TemporaryDirectory() as folder:
        try:
            tree = Tree(folder)
        except INotifyError as error:
            pytest.skip(str(error))
        try:
            for step in steps:
                with contextlib.suppress(OSError):
                    do(tree, *step)
            do(tree, "catch up", None, None)
            assert all(watch.path.is_dir() for watch in tree.notifier._watches)
        finally:
            tree.close()
