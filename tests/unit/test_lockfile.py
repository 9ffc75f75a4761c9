"""FilesystemLock, among real processes, and DeferredFilesystemLock on a clock that is moved by hand."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ropewalk.internet.defer import (
    AlreadyTryingToLockError,
    CancelledError,
    Deferred,
    DeferredFilesystemLock,
    TimeoutError,
)
from ropewalk.internet.failure import Failure
from ropewalk.internet.task import Clock
from ropewalk.transports import lockfile
from ropewalk.transports.lockfile import FilesystemLock, isLocked

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="the lock is no symbolic link here")


@pytest.fixture(params=["with links", "without links"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where a lock can be made; and once in a file system that has no symbolic links, such as FAT."""
    if request.param == "without links":
        monkeypatch.setattr(os, "symlink", refuse_links)
    return str(tmp_path / "lock")


def refuse_links(target: str, path: str) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM), path)


def child(program: str, *arguments: str) -> subprocess.Popen[str]:
    """A process that runs `program`, which gets `arguments` as argv[1:]."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


HOLD = """
import sys
from ropewalk.transports.lockfile import FilesystemLock
print(FilesystemLock(sys.argv[1]).lock(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Calls with a path: a process that holds that lock."""
    started: list[subprocess.Popen[str]] = []

    def hold(path: str) -> subprocess.Popen[str]:
        holder = child(HOLD, path)
        started.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        return holder

    yield hold
    for holder in started:
        end(holder)


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that is no more."""
    process = child("")
    process.communicate()
    return process.pid


# -- One process


def test_a_lock_is_held_until_it_is_given_back_and_leaves_nothing(path: str) -> None:
    lock = FilesystemLock(path)
    assert (lock.name, lock.locked, lock.clean) == (path, False, None)
    assert lock.lock()
    assert (lock.locked, lock.clean) == (True, True)
    assert isLocked(path)
    lock.unlock()
    assert not lock.locked
    assert not isLocked(path)
    assert os.listdir(os.path.dirname(path)) == []


def test_a_lock_that_is_held_is_refused_also_to_its_own_process(path: str) -> None:
    FilesystemLock(path).lock()
    second = FilesystemLock(path)
    assert not second.lock()
    assert (second.locked, second.clean) == (False, None)


@needs_links
def test_the_lock_is_a_link_to_the_number_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    FilesystemLock(path).lock()
    assert os.readlink(path) == str(os.getpid())


@pytest.mark.parametrize("kind", [os.fsencode, str, Path])
def test_a_name_may_be_bytes_text_or_a_path(kind: Callable[[str], Any], path: str) -> None:
    lock = FilesystemLock(kind(path))
    assert lock.lock()
    assert isLocked(kind(path))
    lock.unlock()


def test_a_lock_that_is_not_held_cannot_be_given_back(path: str) -> None:
    with pytest.raises(FileNotFoundError, match="nobody holds this lock"):
        FilesystemLock(path).unlock()


@pytest.mark.parametrize("text", ["", "nobody", "-1", "0", "12 34", "\N{SUPERSCRIPT TWO}"])
def test_something_else_by_that_name_is_left_alone(text: str, tmp_path: Path) -> None:
    plain, folder, link = (tmp_path / name for name in ("file", "folder", "link"))
    plain.write_text(text, encoding="utf-8")
    folder.mkdir()
    others = [plain, folder]
    if text:
        with contextlib.suppress(OSError):   # not every system lets everybody make one
            link.symlink_to(text)
        others += [link] * link.is_symlink()
    for path in others:
        before = path.lstat().st_mtime_ns
        for attempt in (FilesystemLock(path).lock, lambda path=path: isLocked(path), FilesystemLock(path).unlock):
            with pytest.raises(FileExistsError, match="this is not a lock"):
                attempt()
        assert path.lstat().st_mtime_ns == before


def test_a_lock_that_cannot_be_made_is_an_error(path: str) -> None:
    with pytest.raises(FileNotFoundError):
        FilesystemLock(os.path.join(path, "missing", "lock")).lock()


# -- Several


def test_a_lock_of_a_living_process_is_refused(path: str, held: Callable[[str], Any]) -> None:
    held(path)
    assert isLocked(path)
    lock = FilesystemLock(path)
    assert not lock.lock()
    with pytest.raises(ValueError, match=r"process [0-9]+ holds it"):
        lock.unlock()
    assert isLocked(path)


def test_a_lock_of_a_process_that_was_killed_is_taken_over(tmp_path: Path, held: Callable[[str], Any]) -> None:
    path = str(tmp_path / "lock")
    end(held(path))
    assert not isLocked(path)
    assert os.path.lexists(path)
    lock = FilesystemLock(path)
    assert lock.lock()
    assert (lock.locked, lock.clean) == (True, False)
    assert isLocked(path)
    lock.unlock()
    assert os.listdir(os.path.dirname(path)) == []


def test_a_lock_of_a_dead_process_is_taken_over_where_links_cannot_be_made(path: str, dead: int) -> None:
    os.mkdir(path)
    Path(path, "symlink").write_text(str(dead), encoding="ascii")
    lock = FilesystemLock(path)
    assert lock.lock()
    assert lock.clean is False
    lock.unlock()
    assert os.listdir(os.path.dirname(path)) == []


@needs_links
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may be someone else")
def test_a_lock_of_somebody_else_s_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.symlink_to(str(os.getpid()))
    program = "import os, sys; from ropewalk.transports.lockfile import isLocked; os.setuid(65534); "
    asking = child(program + "print(isLocked(sys.argv[1]))", str(path))
    tmp_path.chmod(0o755)
    for folder in list(tmp_path.parents)[:2]:
        folder.chmod(0o755)
    assert asking.communicate()[0] == "True\n"


@needs_links
def test_a_number_that_no_process_can_have_is_that_of_a_dead_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.symlink_to("9" * 30)
    assert not isLocked(path)
    lock = FilesystemLock(path)
    assert lock.lock()
    assert lock.clean is False


@needs_links
def test_who_guards_a_dead_lock_keeps_others_from_taking_it_over(tmp_path: Path, dead: int) -> None:
    path = tmp_path / "lock"
    path.symlink_to(str(dead))
    lock = FilesystemLock(path)
    with lockfile._guard(f"{path}.guard") as alone:
        assert alone
        assert not lock.lock()
        assert os.readlink(path) == str(dead)
    assert lock.lock()


@needs_links
def test_a_guard_that_a_killed_process_left_is_in_nobody_s_way(tmp_path: Path, dead: int) -> None:
    path = tmp_path / "lock"
    path.symlink_to(str(dead))
    Path(f"{path}.guard").touch()
    assert FilesystemLock(path).lock()
    assert os.listdir(tmp_path) == ["lock"]


CONTEND = """
import os, sys
from ropewalk.transports.lockfile import FilesystemLock

path, dead, wins = sys.argv[1], sys.argv[2], int(sys.argv[3])
lock = FilesystemLock(path)
sys.stdin.readline()
unclean = 0
while wins:
    if not lock.lock():
        continue
    os.close(os.open(path + ".inside", os.O_CREAT | os.O_EXCL))   # fails if somebody else is inside
    os.unlink(path + ".inside")
    wins -= 1
    unclean += not lock.clean
    if wins % 3:
        left = f"{path}.{os.getpid()}"
        os.symlink(dead, left)
        os.rename(left, path)   # as if this process had died here
    else:
        lock.unlock()
print(unclean)
"""


@needs_links
def test_never_do_two_processes_hold_it_however_many_find_a_dead_one_s_at_once(tmp_path: Path, dead: int) -> None:
    path = tmp_path / "lock"
    path.symlink_to(str(dead))
    contenders = [child(CONTEND, str(path), str(dead), "300") for _ in range(4)]
    for contender in contenders:
        assert contender.stdin is not None
        contender.stdin.write("go\n")
        contender.stdin.flush()
    unclean = [int(contender.communicate(timeout=60)[0]) for contender in contenders]
    assert [contender.returncode for contender in contenders] == [0] * 4
    # There was one, and each left 200 of its 300 as a dead process does; all were taken over, and told so.
    assert sum(unclean) == 801
    assert os.listdir(tmp_path) == []


@needs_links
def test_never_do_two_processes_hold_it_where_links_cannot_be_made(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    refusing = (
        "import errno, os\ndef refuse(*_): raise OSError(errno.EPERM, 'no links')\nos.symlink = refuse\n"
        + CONTEND.replace("if wins % 3:", "if False:")
    )
    contenders = [child(refusing, str(path), "1", "100") for _ in range(3)]
    for contender in contenders:
        assert contender.stdin is not None
        contender.stdin.write("go\n")
        contender.stdin.flush()
    for contender in contenders:
        contender.communicate(timeout=60)
    assert [contender.returncode for contender in contenders] == [0] * 3
    assert os.listdir(tmp_path) == []


# -- Waiting for it


def waiting(path: str, **options: Any) -> tuple[DeferredFilesystemLock, Clock, list[Any]]:
    """A lock to wait for, its clock, and what comes of waiting."""
    clock = Clock()
    lock = DeferredFilesystemLock(path, clock)
    return lock, clock, outcomes(lock.deferUntilLocked(**options))


def outcomes(deferred: Deferred[Any]) -> list[Any]:
    """What has come of `deferred`; empty if nothing yet. An error is its exception."""
    seen: list[Any] = []
    deferred.addBoth(lambda outcome: seen.append(outcome.value if isinstance(outcome, Failure) else outcome))
    return seen


def test_waiting_for_a_lock_that_is_free_is_over_at_once(path: str) -> None:
    lock, clock, waited = waiting(path, timeout=1)
    assert (waited, lock.locked, lock.clean) == ([None], True, True)
    assert clock.getDelayedCalls() == []


def test_a_lock_that_is_given_back_is_taken_within_a_second(path: str) -> None:
    other = FilesystemLock(path)
    other.lock()
    lock, clock, waited = waiting(path)
    clock.pump([0.5] * 10)
    assert (waited, lock.locked) == ([], False)
    other.unlock()
    clock.advance(1)
    assert (waited, lock.locked) == ([None], True)
    assert clock.getDelayedCalls() == []


def test_waiting_longer_than_the_timeout_fails(path: str) -> None:
    FilesystemLock(path).lock()
    lock, clock, waited = waiting(path, timeout=5.5)
    clock.pump([0.5] * 10)
    assert waited == []
    clock.advance(0.5)
    assert isinstance(waited[0], TimeoutError)
    assert f"{path}: another process did not give the lock back within 5.5 seconds" in str(waited[0])
    assert not lock.locked
    assert clock.getDelayedCalls() == []


def test_the_last_try_is_made_when_the_time_is_over(path: str) -> None:
    other = FilesystemLock(path)
    other.lock()
    lock, clock, waited = waiting(path, timeout=0.5)
    other.unlock()
    clock.advance(0.5)
    assert (waited, lock.locked) == ([None], True)


def test_a_lock_in_time_takes_the_timeout_away(path: str) -> None:
    other = FilesystemLock(path)
    other.lock()
    _, clock, waited = waiting(path, timeout=10)
    other.unlock()
    clock.advance(1)
    assert waited == [None]
    assert clock.getDelayedCalls() == []


def test_cancelling_ends_the_wait_and_takes_nothing(path: str) -> None:
    other = FilesystemLock(path)
    other.lock()
    clock = Clock()
    lock = DeferredFilesystemLock(path, scheduler=clock)
    wanted = lock.deferUntilLocked(timeout=10)
    other.unlock()
    wanted.cancel()
    assert isinstance(outcomes(wanted)[0], CancelledError)
    assert clock.getDelayedCalls() == []
    assert not isLocked(path)


def test_one_object_waits_once_at_a_time(path: str) -> None:
    other = FilesystemLock(path)
    other.lock()
    lock, clock, waited = waiting(path)
    assert isinstance(outcomes(lock.deferUntilLocked())[0], AlreadyTryingToLockError)
    other.unlock()
    clock.advance(1)
    assert waited == [None]
    again = outcomes(lock.deferUntilLocked())
    lock.unlock()
    clock.advance(1)
    assert again == [None]


def test_a_lock_that_cannot_be_made_fails_the_wait(path: str, tmp_path: Path) -> None:
    _, clock, waited = waiting(os.path.join(path, "missing"))
    assert isinstance(waited[0], OSError)
    assert clock.getDelayedCalls() == []
    other = FilesystemLock(path)
    other.lock()
    lock, clock, waited = waiting(path, timeout=10)
    other.unlock()
    Path(path).touch()
    clock.advance(1)
    assert isinstance(waited[0], FileExistsError)
    assert clock.getDelayedCalls() == []
    os.unlink(path)
    assert outcomes(lock.deferUntilLocked()) == [None]
