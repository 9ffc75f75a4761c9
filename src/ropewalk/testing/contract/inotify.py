"""inotify: what a program is told of real directories."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import SkipTest

from ropewalk.internet.error import ConnectionDone, ConnectionLost
from ropewalk.internet.inotify import (
    IN_ATTRIB,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_MODIFY,
    IN_ONESHOT,
    IN_Q_OVERFLOW,
    IN_WATCH_MASK,
    INotify,
    INotifyError,
    humanReadableMask,
)
from ropewalk.testing.contract import behaviour
from ropewalk.testing.features import require
from ropewalk.testing.peers import Witness, in_reactor, log_records, passes
from ropewalk.testing.rig import Rig, raises

_TREE: dict[str, Any] = {"autoAdd": True, "recursive": True}
_END = "the-end"


class _Folder(Witness):
    """A new directory, an INotify, and a callback that notes "create+is_dir name", with names as seen from here."""

    def __init__(self, rig: Rig, make: Callable[[Any], INotify] = INotify) -> None:
        super().__init__()
        require("inotify")
        try:
            self.notifier = make(rig.reactor)
        except INotifyError as error:
            raise SkipTest(str(error)) from None
        self.path = Path(rig.keep(tempfile.TemporaryDirectory())).resolve()
        self.on_event: Callable[[str], object] = lambda _: None
        self.notifier.startReading()

    def notify(self, _: Any, path: Path, mask: int) -> None:
        """The callback."""
        name = os.path.relpath(path, self.path)
        event = f"{'+'.join(humanReadableMask(mask))} {name}"
        self.note(event)
        self.on_event(event)

    def watch(self, name: str = "", mask: int = IN_WATCH_MASK, **how: Any) -> int:
        """Watch what has that name here."""
        return self.notifier.watch(self.path / name, mask, callbacks=[self.notify], **how)

    def make(self, *names: str) -> None:
        """Make directories (names that end in /) and files, of one byte."""
        for name in names:
            if name.endswith("/"):
                (self.path / name).mkdir()
            else:
                (self.path / name).write_bytes(b"x")

    async def told(self, events: str = "") -> list[str]:
        """Everything that was told by now, without what is about the directory's own times.

        events: words such as "create"; only such events are returned.
        """
        watch = [self.notifier.watch(self.path, IN_CREATE, callbacks=[self._end])]
        (self.path / _END).mkdir()
        await self.happens(_END)
        assert watch
        (self.path / _END).rmdir()
        told = [event for event in self.events if not event.endswith(_END)]
        self.events.clear()
        return [event for event in told if not events or event.split()[0].split("+")[0] in events.split()]

    def _end(self, _: Any, path: Path, mask: int) -> None:
        if path.name == _END:
            self.note(_END)


@behaviour
@in_reactor
async def what_happens_in_a_watched_directory_is_told_with_its_path(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.watch()
    folder.make("a")
    (folder.path / "a").rename(folder.path / "b")
    (folder.path / "b").unlink()
    assert await folder.told() == ["create a", "modify a", "moved_from a", "moved_to b", "delete b"]


@behaviour
@in_reactor
async def only_what_the_mask_asks_for_is_told(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.watch(mask=IN_DELETE | IN_CLOSE_WRITE, autoAdd=True)
    folder.make("a", "d/")
    (folder.path / "a").unlink()
    assert await folder.told() == ["close_write a", "delete a"]


@behaviour
@in_reactor
async def a_path_may_be_str_bytes_or_path_and_callbacks_get_an_absolute_path(rig: Rig) -> None:
    folder = _Folder(rig)
    seen: list[Any] = []
    folder.make("a/", "b/", "c/")
    for path in (folder.path / "a", str(folder.path / "b"), os.fsencode(folder.path / "c")):
        folder.notifier.watch(path, callbacks=[lambda *told: seen.append(told[1])])
    folder.make("a/1", "b/2", "c/3")
    folder.watch()
    await folder.told()
    assert list(dict.fromkeys(seen)) == [folder.path / "a/1", folder.path / "b/2", folder.path / "c/3"]


@behaviour
@in_reactor
async def a_name_that_is_not_utf_8_is_told_as_the_path_that_opens_it(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.watch(**_TREE)
    raw = os.fsencode(folder.path) + b"/\xff\xfe"
    try:
        os.mkdir(raw)
    except OSError as error:
        raise SkipTest(f"the file system takes no such name: {error}") from None
    with open(raw + b"/\xfd", "xb"):
        pass
    told = await folder.told("create")
    assert [os.fsencode(event) for event in told] == [b"create+is_dir \xff\xfe", b"create \xff\xfe/\xfd"]


@behaviour
@in_reactor
async def what_was_put_into_a_new_directory_before_it_could_be_watched_is_told_once(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.watch(mask=IN_CREATE | IN_CLOSE_WRITE, autoAdd=True)
    folder.make("d/", "d/f", "d/e/", "d/e/g")
    await folder.happens("close_write d/e/g")
    told = await folder.told()
    assert sorted(told) == [
        "close_write d/e/g",
        "close_write d/f",
        "create d/e/g",
        "create d/f",
        "create+is_dir d",
        "create+is_dir d/e",
    ]
    assert told.index("create+is_dir d/e") < told.index("create d/e/g") < told.index("close_write d/e/g")


@behaviour
@in_reactor
async def what_is_put_into_a_new_directory_while_it_is_looked_into_is_told_once(rig: Rig) -> None:
    """The callback comes between the watch and the look, so the kernel tells of the same file."""
    folder = _Folder(rig)

    def put(event: str) -> None:
        if event == "create+is_dir d":
            folder.make("d/f", "d/e/", "d/e/g")

    folder.on_event = put
    folder.watch(autoAdd=True)
    folder.make("d/")
    await folder.happens("create d/e/g")
    told = await folder.told("create")
    assert sorted(told) == ["create d/e/g", "create d/f", "create+is_dir d", "create+is_dir d/e"]


@behaviour
@in_reactor
async def what_was_found_and_then_made_again_is_told_again(rig: Rig) -> None:
    folder = _Folder(rig)

    def put(event: str) -> None:
        if event == "create+is_dir d":
            folder.make("d/f")
            (folder.path / "d/f").unlink()
            folder.make("d/f")

    folder.on_event = put
    folder.watch(autoAdd=True)
    folder.make("d/")
    await folder.happens("create d/f", 2)
    told = await folder.told("create delete")
    assert told == ["create+is_dir d", "create d/f", "delete d/f", "create d/f"]


@behaviour
@in_reactor
async def a_new_directory_is_watched_from_then_on_and_without_auto_add_it_is_not(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.make("auto/", "plain/", "plain/old/")
    folder.watch("auto", autoAdd=True)
    folder.watch("plain", recursive=True)
    folder.make("auto/d/", "plain/d/")
    folder.watch(mask=IN_ATTRIB)
    await folder.told()
    folder.make("auto/d/f", "plain/d/f", "plain/old/f")
    assert await folder.told("create") == ["create auto/d/f", "create plain/old/f"]


@behaviour
@in_reactor
async def a_recursive_watch_tells_of_every_level_but_not_of_what_was_there(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.make("a/", "a/b/", "a/b/c/", "a/old")
    folder.watch(**_TREE)
    folder.make("a/b/c/f")
    assert await folder.told("create") == ["create a/b/c/f"]


@behaviour
@in_reactor
async def symbolic_links_below_a_watch_are_not_followed_even_in_a_circle(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.make("a/", "a/b/", "away/")
    (folder.path / "a/b/up").symlink_to(folder.path / "a")
    (folder.path / "a/out").symlink_to(folder.path / "away")
    folder.watch("a", **_TREE)
    (folder.path / "a/again").symlink_to(folder.path / "a")
    folder.make("away/f", "a/b/f")
    folder.watch(mask=IN_ATTRIB)
    assert await folder.told("create") == ["create a/again", "create a/b/f"]


@behaviour
@in_reactor
async def a_directory_moved_out_of_a_tree_is_not_watched_any_more(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.make("tree/", "tree/d/", "tree/d/e/")
    folder.watch("tree", **_TREE)
    (folder.path / "tree/d").rename(folder.path / "away")
    folder.watch(mask=IN_ATTRIB)
    await folder.told()
    folder.make("away/f", "away/e/f", "tree/f")
    assert await folder.told() == ["create tree/f", "modify tree/f"]
    with raises(KeyError):
        folder.notifier.ignore(folder.path / "tree/d/e")


@behaviour
@in_reactor
async def a_directory_moved_into_a_tree_is_watched_and_what_is_in_it_is_told(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.make("tree/", "away/", "away/f")
    folder.watch("tree", **_TREE)
    (folder.path / "away").rename(folder.path / "tree/d")
    folder.watch(mask=IN_ATTRIB)
    assert await folder.told() == ["moved_to+is_dir tree/d", "create tree/d/f"]
    folder.make("tree/d/g")
    assert await folder.told("create") == ["create tree/d/g"]


@behaviour
@in_reactor
async def a_directory_renamed_within_a_tree_goes_on_under_its_new_name(rig: Rig) -> None:
    ways: list[dict[str, Any]] = [_TREE, {"recursive": True}]
    for how in ways:
        folder = _Folder(rig)
        folder.make("a/", "a/b/", "c/")
        folder.watch(**how)
        (folder.path / "a").rename(folder.path / "c/d")
        await folder.told()
        folder.make("c/d/f", "c/d/b/g")
        assert await folder.told("create") == ["create c/d/f", "create c/d/b/g"]


@behaviour
@in_reactor
async def two_directories_that_take_each_others_names_are_told_under_the_new_ones(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.make("a/", "b/")
    folder.watch(**_TREE)
    for old, new in (("a", "x"), ("b", "a"), ("x", "b")):
        (folder.path / old).rename(folder.path / new)
    await folder.told()
    folder.make("a/1", "b/2")
    assert await folder.told("create") == ["create a/1", "create b/2"]


@behaviour
@in_reactor
async def the_end_of_a_watched_directory_is_told_and_ends_no_other_watch(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.make("a/", "b/")
    folder.watch("a", mask=0)
    folder.watch("b")
    (folder.path / "a").rmdir()
    folder.make("b/f")
    folder.watch(mask=IN_ATTRIB)
    assert await folder.told() == ["delete_self a", "create b/f", "modify b/f"]
    with raises(KeyError):
        folder.notifier.ignore(folder.path / "a")


@behaviour
@in_reactor
async def a_file_that_is_replaced_can_be_watched_again_in_the_callback(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.make("conf", "new")
    folder.watch("conf", mask=IN_MODIFY)

    def watch_again(event: str) -> None:
        if event == "delete_self conf":
            folder.watch("conf", mask=IN_MODIFY)

    folder.on_event = watch_again
    (folder.path / "new").replace(folder.path / "conf")
    await folder.happens("delete_self conf")
    folder.make("conf")
    await folder.happens("modify conf")


@behaviour
@in_reactor
async def the_root_of_a_tree_that_moves_away_ends_the_tree_and_a_plain_watch_goes_on(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.make("tree/", "tree/d/", "plain/")
    folder.watch("tree", **_TREE)
    folder.watch("plain")
    (folder.path / "tree").rename(folder.path / "t")
    (folder.path / "plain").rename(folder.path / "p")
    folder.make("t/f", "t/d/f", "p/f")
    folder.watch(mask=IN_ATTRIB)
    told = await folder.told()
    assert told == ["move_self tree", "ignored tree", "move_self plain", "create plain/f", "modify plain/f"]


@behaviour
@in_reactor
async def a_one_shot_watch_tells_one_event_and_that_it_ended(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.make("d/")
    folder.watch("d", mask=IN_CREATE | IN_ONESHOT)
    folder.make("d/a", "d/b")
    folder.watch(mask=IN_ATTRIB)
    assert await folder.told() == ["create d/a", "ignored d"]


@behaviour
@in_reactor
async def a_callback_that_raises_is_logged_and_the_others_go_on(rig: Rig) -> None:
    folder = _Folder(rig)

    def fail(*_: Any) -> None:
        raise ZeroDivisionError("made to fail")

    folder.notifier.watch(folder.path, IN_CREATE, callbacks=[fail, folder.notify])
    folder.make("a", "b")
    await folder.happens("create b")
    assert folder.events == ["create a", "create b"]
    for error in rig.expect_errors(ZeroDivisionError, ZeroDivisionError):
        assert error.__traceback__ is not None


@behaviour
@in_reactor
async def ignore_ends_a_watch_and_what_followed_it_at_once(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.make("tree/", "tree/d/")
    folder.watch("tree", **_TREE)
    folder.make("tree/a", "tree/d/b")
    folder.notifier.ignore(folder.path / "tree")
    folder.watch(mask=IN_ATTRIB)
    assert await folder.told() == []
    with raises(KeyError):
        folder.notifier.ignore(folder.path / "tree/d")


@behaviour
@in_reactor
async def ignore_in_a_callback_ends_the_watch_at_once(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.make("d/")

    def ignore(event: str) -> None:
        if event in ("create d/a", "create+is_dir modules"):
            folder.notifier.ignore(folder.path / event.split()[1].removesuffix("/a"))

    folder.on_event = ignore
    folder.notifier.watch(folder.path / "d", IN_CREATE, callbacks=[folder.notify, folder.notify])
    folder.watch(mask=IN_CREATE, autoAdd=True)
    folder.make("d/a", "d/b", "modules/", "modules/1", "modules/2")
    assert await folder.told() == ["create d/a", "create+is_dir modules"]


@behaviour
@in_reactor
async def a_path_that_was_ignored_can_be_watched_again_and_old_events_are_not_told(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.make("d/")
    folder.watch("d")
    folder.make("d/old")
    folder.notifier.ignore(folder.path / "d")
    folder.watch("d")
    folder.make("d/new")
    folder.watch(mask=IN_ATTRIB)
    assert await folder.told("create") == ["create d/new"]


@behaviour
@in_reactor
async def watching_a_path_twice_widens_the_watch_and_calls_nobody_twice(rig: Rig) -> None:
    folder = _Folder(rig)
    seen: list[Any] = []
    first = folder.watch(mask=IN_CREATE)
    assert folder.watch(mask=IN_DELETE) == first
    assert folder.notifier.watch(folder.path, IN_DELETE, callbacks=[lambda *told: seen.append(told[1].name)]) == first
    folder.make("a")
    (folder.path / "a").unlink()
    assert await folder.told() == ["create a", "delete a"]
    assert seen == ["a"]


@behaviour
@in_reactor
async def one_directory_by_two_names_is_told_by_both(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.make("d/")
    (folder.path / "link").symlink_to("d")
    assert folder.watch("d", mask=IN_CREATE) == folder.watch("link", mask=IN_CREATE)
    folder.make("d/f")
    folder.notifier.ignore(folder.path / "d")
    folder.make("d/g")
    folder.watch(mask=IN_ATTRIB)
    assert await folder.told() == ["create link/f", "create link/g"]


@behaviour
@in_reactor
async def lose_connection_in_a_callback_ends_everything_at_once(rig: Rig) -> None:
    lost: list[Any] = []

    class Told(INotify):
        def connectionLost(self, reason: Any) -> None:
            super().connectionLost(reason)
            lost.append(reason)

    folder = _Folder(rig, Told)
    folder.on_event = lambda _: folder.notifier.loseConnection()
    folder.watch(mask=IN_CREATE)
    folder.make("a", "b")
    await folder.happens("create a")
    folder.notifier.loseConnection()
    assert [reason.check(ConnectionDone) for reason in lost] == [ConnectionDone]
    assert not folder.notifier.connected
    assert folder.notifier.fileno() == -1
    assert folder.notifier not in rig.reactor.getReaders()
    await passes(rig, 0.01)
    assert folder.events == ["create a"]
    with raises(INotifyError):
        folder.watch()


@behaviour
def the_end_of_the_run_ends_an_inotify(rig: Rig) -> None:
    folder = _Folder(rig)
    lost: list[Any] = []
    close = folder.notifier.connectionLost
    folder.notifier.connectionLost = lambda reason: (lost.append(reason), close(reason))   # type: ignore
    folder.watch()
    rig.in_run(lambda: None)
    assert [reason.check(ConnectionLost) for reason in lost] == [ConnectionLost]
    assert not folder.notifier.connected


@behaviour
@in_reactor
async def nothing_is_told_between_stop_reading_and_start_reading(rig: Rig) -> None:
    folder = _Folder(rig)

    def stop(event: str) -> None:
        if event == "create a":
            folder.notifier.stopReading()

    folder.on_event = stop
    folder.watch(mask=IN_CREATE)
    folder.make("a", "b")
    await folder.happens("create a")
    folder.make("c")
    await passes(rig, 0.01)
    assert folder.events == ["create a"]
    folder.notifier.startReading()
    await folder.happens("create c")
    assert folder.events == ["create a", "create b", "create c"]


@behaviour
@in_reactor
async def a_directory_that_is_never_quiet_starves_nobody(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.on_event = lambda _: folder.make("f")
    folder.watch(mask=IN_MODIFY)
    folder.make("f")
    await folder.happens("modify f", 3)
    await passes(rig, 0.01)
    folder.notifier.loseConnection()


@behaviour
@in_reactor
async def looking_into_many_new_files_takes_many_turns(rig: Rig) -> None:
    folder = _Folder(rig)
    folder.make("away/", "tree/")
    names = [f"away/{number}" for number in range(800)]
    folder.make(*names)
    folder.watch("tree", mask=IN_CREATE, autoAdd=True)
    (folder.path / "away").rename(folder.path / "tree/d")
    await folder.until(lambda: len(folder.events) > 0)
    assert len(folder.events) < 800
    folder.make("tree/last")
    await folder.happens("create tree/last")
    assert len(folder.events) == 801 == len(set(folder.events))


@behaviour
@in_reactor
async def an_overflow_is_told_and_logged_and_directories_that_it_hid_are_found(rig: Rig) -> None:
    folder = _Folder(rig)
    size = _queue_size()
    folder.make("gone/", "a", "b")
    folder.watch(mask=IN_CREATE, **_TREE)
    folder.notifier.watch(folder.path, IN_MODIFY, callbacks=[lambda *_: None])
    folder.notifier.stopReading()
    with open(folder.path / "a", "ab", 0) as a, open(folder.path / "b", "ab", 0) as b:
        for _ in range(size // 2 + 1):
            a.write(b"x")
            b.write(b"x")
    (folder.path / "gone").rename(folder.path / "found")
    folder.make("found/f")
    with log_records(logging.WARNING) as records:
        folder.notifier.startReading()
        await folder.happens(f"{humanReadableMask(IN_Q_OVERFLOW)[0]} .")
    assert ["fs.inotify.max_queued_events" in record.getMessage() for record in records] == [True]
    await folder.happens("create found/f")
    await folder.told()
    folder.make("found/g")
    assert await folder.told("create") == ["create found/g"]
    with raises(KeyError):
        folder.notifier.ignore(folder.path / "gone")


def _queue_size() -> int:
    """How many events the kernel's queue holds; skips where that is too many for a test."""
    size = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if size > 200_000:
        raise SkipTest(f"fs.inotify.max_queued_events is {size}")
    return size


@behaviour
@in_reactor
async def what_cannot_be_watched_is_an_error_that_names_it(rig: Rig) -> None:
    folder = _Folder(rig)
    with raises(INotifyError) as errors:
        folder.watch("nothing")
    assert str(folder.path / "nothing") in str(errors[0])
    with raises(ValueError):
        folder.watch("nul\0byte")
    with raises(TypeError):
        folder.notifier.watch(folder.path, callbacks=["no callable"])   # type: ignore[list-item]
    with raises(KeyError):
        folder.notifier.ignore(folder.path)
