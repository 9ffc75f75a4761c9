"""inotify beneath its callbacks: records, masks, the system's limits, and systems without it."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import socket
import struct
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ropewalk.internet import inotify
from ropewalk.internet.inotify import (
    IN_CREATE,
    IN_IGNORED,
    IN_ISDIR,
    IN_MODIFY,
    IN_Q_OVERFLOW,
    INotify,
    INotifyError,
    humanReadableMask,
)
from ropewalk.internet.inotify_calls import LONGEST_NAME, Event, Records
from ropewalk.internet.interfaces import IReadDescriptor
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.testing.rig import Rig, open_descriptors


def record(wd: int, mask: int, name: bytes = b"") -> bytes:
    padded = name + bytes(-len(name) % 16 or 16) if name else b""
    return struct.pack("=iIII", wd, mask, 0, len(padded)) + padded


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(SelectReactor) as made:
        yield made


def make_notifier(rig: Rig) -> INotify:
    """It is closed with the rig; no fixture, because pytest would keep it, and it the reactor, for too long."""
    try:
        return closed_with(rig, INotify(rig.reactor))
    except INotifyError as error:
        pytest.skip(str(error))


def closed_with(rig: Rig, notifier: INotify) -> Any:
    @contextlib.contextmanager
    def closing() -> Iterator[INotify]:
        yield notifier
        notifier.loseConnection()

    return rig.keep(closing())


# -- masks


def test_every_bit_has_a_name_and_masks_have_those_of_their_bits() -> None:
    composed = {"IN_CLOSE", "IN_MOVED", "IN_CHANGED", "IN_WATCH_MASK"}
    names = {name: getattr(inotify, name) for name in inotify.__all__ if name.startswith("IN_")}
    for name in names.keys() - composed:
        readable = humanReadableMask(names[name])
        assert len(readable) == 1, name
    assert humanReadableMask(IN_CREATE | IN_ISDIR) == ["create", "is_dir"]
    assert humanReadableMask(inotify.IN_Q_OVERFLOW) == ["queue_overflow"]
    assert humanReadableMask(inotify.IN_CLOSE) == ["close_write", "close_nowrite"]
    assert humanReadableMask(0) == []


def test_the_default_mask_is_changes_of_content_and_of_names() -> None:
    assert humanReadableMask(inotify.IN_WATCH_MASK) == [
        "modify", "attrib", "moved_from", "moved_to", "create", "delete", "delete_self", "move_self", "unmount",
    ]  # fmt: skip


# -- records


def test_a_record_has_its_watch_its_mask_and_its_name_without_padding() -> None:
    data = record(7, IN_CREATE, b"caf\xe9") + record(-1, IN_Q_OVERFLOW)
    assert Records().feed(data) == [Event(7, IN_CREATE, 0, b"caf\xe9", 32), Event(-1, IN_Q_OVERFLOW, 0, b"", 16)]


def test_a_record_that_is_cut_anywhere_comes_when_it_is_whole() -> None:
    data = record(1, IN_CREATE, b"name")
    for cut in range(1, len(data)):
        parser = Records()
        assert parser.feed(data[:cut]) == []
        assert [event.name for event in parser.feed(data[cut:])] == [b"name"]


def test_a_name_longer_than_any_is_refused_and_not_waited_for() -> None:
    with pytest.raises(ValueError, match="4097 bytes"):
        Records().feed(struct.pack("=iIII", 1, IN_CREATE, 0, LONGEST_NAME + 1))


# -- the descriptor


def test_it_is_a_reader_with_a_descriptor_that_children_do_not_get(rig: Rig) -> None:
    notifier = make_notifier(rig)
    assert isinstance(notifier, IReadDescriptor)
    assert notifier.connected
    assert not os.get_inheritable(notifier.fileno())
    assert not os.get_blocking(notifier.fileno())
    assert notifier.logPrefix() == "inotify"
    notifier.loseConnection()
    assert notifier.fileno() == -1


def test_one_that_is_left_open_is_closed_with_a_warning_when_nobody_has_it(rig: Rig) -> None:
    make_notifier(rig)
    before = open_descriptors()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        INotify(rig.reactor)
        gc.collect()
    assert [warning.category for warning in caught] == [ResourceWarning]
    assert open_descriptors() == before


def test_a_descriptor_closed_behind_its_back_is_logged_when_it_is_closed(rig: Rig) -> None:
    notifier = make_notifier(rig)
    os.close(notifier.fileno())
    notifier.loseConnection()
    rig.expect_errors(OSError)
    assert notifier.fileno() == -1


def test_without_a_reactor_it_uses_the_one_that_runs(rig: Rig) -> None:
    make_notifier(rig)
    made: list[INotify] = []
    rig.in_run(lambda: made.append(INotify()))
    made[0].loseConnection()
    assert made[0].reactor is rig.reactor


def test_an_exception_that_leaves_the_run_leaves_the_other_events_for_the_next(rig: Rig, tmp_path: Path) -> None:
    notifier = make_notifier(rig)
    seen: list[str] = []

    def notify(_: Any, path: Path, mask: int) -> None:
        seen.append(path.name)
        if path.name == "a":
            raise SystemExit
        rig.reactor.stop()

    notifier.watch(tmp_path, IN_CREATE, callbacks=[notify])
    notifier.startReading()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(SystemExit):
        rig.run()
    assert seen == ["a"]
    rig.run()
    assert seen == ["a", "b"]


# -- numbers of watches that are used again, which Linux does once in two thousand million


class ScriptedInstance:
    """An inotify instance that gives the numbers and records that a test wants."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.numbers: list[int] = []
        self.records = b""
        self.removed: list[int] = []

    def fileno(self) -> int:
        return self.ours.fileno()

    def add(self, path: Path, mask: int) -> int:
        return self.numbers.pop(0)

    def remove(self, wd: int) -> None:
        self.removed.append(wd)

    def read(self) -> bytes:
        data, self.records = self.records, b""
        return data

    def waiting(self) -> int:
        return len(self.records)

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


class Scripted(INotify):
    _open = ScriptedInstance   # type: ignore[assignment]


def make_scripted(rig: Rig) -> Any:
    made = closed_with(rig, Scripted(rig.reactor))
    made.startReading()
    return made


def test_events_of_the_watch_that_had_a_number_before_are_not_told_to_the_next(rig: Rig) -> None:
    scripted = make_scripted(rig)
    seen: list[Path] = []
    scripted._instance.numbers = [1, 1]
    scripted.watch("/old", callbacks=[lambda *told: seen.append(told[1])])
    scripted.ignore("/old")
    scripted.watch("/new", callbacks=[lambda *told: seen.append(told[1])])
    assert scripted._instance.removed == [1]
    scripted._instance.records = record(1, IN_MODIFY, b"old") + record(1, IN_IGNORED) + record(1, IN_MODIFY, b"new")
    scripted.doRead()
    assert seen == [Path("/new/new")]


def test_an_event_of_a_watch_that_nobody_knows_is_dropped(rig: Rig) -> None:
    scripted = make_scripted(rig)
    scripted._instance.records = record(5, IN_MODIFY, b"x") + record(5, IN_IGNORED)
    scripted.doRead()
    assert scripted.connected


def test_what_is_no_record_ends_it_and_is_logged(rig: Rig) -> None:
    scripted = make_scripted(rig)
    scripted._instance.records = struct.pack("=iIII", 1, IN_CREATE, 0, 2**32 - 1)
    scripted._instance.theirs.send(b"x")
    rig.reactor.iterate(1)
    rig.expect_errors(ValueError)
    assert not scripted.connected


# -- limits, in a user namespace that has few


def within_limits(program: str, tmp_path: Path, watches: int = 3, instances: int = 9) -> str:
    """What `program` prints; it may have so many watches and instances, and `folder` is a Path."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no unshare(1) here")
    limit = f"echo {watches} > /proc/sys/user/max_inotify_watches && echo {instances} > "
    limit += '/proc/sys/user/max_inotify_instances && echo "limited" && exec "$@"'
    source = f"""
from pathlib import Path
from ropewalk.internet import reactor
from ropewalk.internet.inotify import *
folder = Path({str(tmp_path)!r})
{textwrap.dedent(program)}
"""
    command = [unshare, "--user", "--map-root-user", "sh", "-c", limit, "sh", sys.executable, "-c", source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if not done.stdout.startswith("limited"):
        pytest.skip(f"no user namespace with limits of its own here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout.removeprefix("limited\n") + done.stderr


def test_too_many_watches_is_an_error_that_names_the_limit_and_watches_nothing(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / str(number)).mkdir()
    printed = within_limits(
        """
        notifier = INotify()
        try:
            notifier.watch(folder, recursive=True)
        except INotifyError as error:
            print(error)
        for name in "123":   # as many as there may be
            notifier.watch(folder / name)
        """,
        tmp_path,
    )
    assert "raise fs.inotify.max_user_watches = " in printed
    assert str(tmp_path) in printed


def test_a_new_directory_for_which_no_watch_is_left_is_logged_and_the_others_go_on(tmp_path: Path) -> None:
    printed = within_limits(
        """
        import logging
        logging.basicConfig(format="%(levelname)s %(message)s")

        def notify(_, path, mask):
            print("told", path.name)
            if path.name == "last":
                reactor.stop()

        notifier = INotify()
        notifier.startReading()
        notifier.watch(folder, IN_CREATE, autoAdd=True, callbacks=[notify])
        for name in ("a", "b", "c", "last"):
            (folder / name).mkdir()
        reactor.run()
        """,
        tmp_path,
    )
    lines = printed.splitlines()
    assert lines[:4] == ["told a", "told b", "told c", "told last"]
    assert all(line.startswith("ERROR") and "fs.inotify.max_user_watches" in line for line in lines[4:])
    assert len(lines) == 6


def test_too_many_instances_is_an_error_that_names_the_limit(tmp_path: Path) -> None:
    printed = within_limits(
        """
        first = INotify()
        try:
            INotify()
        except INotifyError as error:
            print(error)
        first.loseConnection()
        """,
        tmp_path,
        instances=1,
    )
    assert "raise fs.inotify.max_user_instances = " in printed


# -- systems without inotify


def test_the_module_can_be_imported_anywhere_and_an_inotify_says_what_is_missing() -> None:
    program = textwrap.dedent(
        """
        import sys
        sys.modules.update(dict.fromkeys(["ctypes", "fcntl", "termios"]))
        from ropewalk.internet.inotify import INotify, INotifyError, humanReadableMask
        try:
            INotify(object())
        except INotifyError as error:
            print(error)
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "this system has no inotify" in done.stdout
