"""ropewalk.twisted.install(): which reactor Twisted has then, and what is told where it cannot be ours.

Each case is a program of its own, since a process has one reactor.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ropewalk
from ropewalk.twisted import OLDEST

OURS = Path(ropewalk.__file__).parent.parent


def outcome(program: str, *options: str, path: Path | None = None) -> str:
    """What `program` prints, and its last line of errors. path: a folder to import from before all others."""
    folders = [str(folder) for folder in (path, OURS) if folder is not None]
    done = subprocess.run(
        [sys.executable, *options, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.strip() + done.stderr.strip().rpartition("\n")[2]


@pytest.mark.parametrize(
    ("name", "cls"), [("epoll", "EPollReactor"), ("poll", "PollReactor"), ("select", "SelectReactor")]
)
def test_the_installed_reactor_is_twisteds_and_has_twisteds_class_name(name: str, cls: str) -> None:
    program = f"""
import ropewalk.twisted
ropewalk.twisted.install("{name}")
from twisted.internet import reactor
print(type(reactor).__module__, type(reactor).__name__)
reactor.callWhenRunning(reactor.stop)
reactor.run()
"""
    assert outcome(program) == f"ropewalk.twisted {cls}"


def test_a_class_can_be_asked_for_by_name_and_installs_itself() -> None:
    program = """
from ropewalk.twisted import SelectReactor
SelectReactor.install()
from twisted.internet import reactor
print(type(reactor) is SelectReactor)
"""
    assert outcome(program) == "True"


def test_a_reactor_is_made_without_being_installed() -> None:
    program = """
import sys
from ropewalk.twisted import EPollReactor
EPollReactor()
print("twisted.internet.reactor" in sys.modules)
"""
    assert outcome(program) == "False"


def test_importing_the_bridge_imports_no_twisted() -> None:
    program = """
import sys, ropewalk.twisted
print("EPollReactor" in dir(ropewalk.twisted), "twisted" in sys.modules)
"""
    assert outcome(program) == "True False"


def test_without_twisted_the_error_says_what_to_install() -> None:
    told = outcome('import ropewalk.twisted; ropewalk.twisted.install("epoll")', "-S")
    assert "ReactorNotAvailableError: Twisted is not installed" in told
    assert "pip install 'ropewalk[twisted]'" in told


def test_a_twisted_that_is_too_old_is_named_with_the_oldest_that_will_do(tmp_path: Path) -> None:
    package = tmp_path / "twisted"
    package.mkdir()
    (package / "__init__.py").write_text('__version__ = "16.7.0rc1"\n', encoding="utf-8")
    told = outcome("from ropewalk.twisted import EPollReactor", path=tmp_path)
    assert "ReactorNotAvailableError: Twisted 16.7.0rc1 is too old" in told
    assert f"needs {OLDEST} or newer" in told
    assert "pip install 'ropewalk[twisted]'" in told


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    told = outcome('import ropewalk.twisted; ropewalk.twisted.install("epol")')
    assert "ReactorNotAvailableError: there is no reactor called 'epol'" in told
    assert "there are: default, select, poll, epoll" in told


def test_an_attribute_that_is_no_reactor_is_missed_as_in_every_module() -> None:
    told = outcome("import ropewalk.twisted; ropewalk.twisted.GopherReactor")
    assert told == "AttributeError: module 'ropewalk.twisted' has no attribute 'GopherReactor'"


def test_another_reactor_is_named_with_who_has_imported_it(tmp_path: Path) -> None:
    (tmp_path / "early.py").write_text("from twisted.internet import reactor\n", encoding="utf-8")
    program = """
from twisted.internet import pollreactor
pollreactor.install()
import early, ropewalk.twisted
ropewalk.twisted.install("epoll")
"""
    told = outcome(program, path=tmp_path)
    assert "ReactorAlreadyInstalledError: EPollReactor of ropewalk.twisted cannot be installed" in told
    assert "is PollReactor of twisted.internet.pollreactor already" in told
    assert f"imported by early ({tmp_path / 'early.py'})" in told
    assert "before anything imports twisted.internet.reactor" in told


def test_twisteds_reactor_that_was_imported_before_is_an_error_that_names_the_importer() -> None:
    program = """
from twisted.internet import reactor
import ropewalk.twisted
ropewalk.twisted.install()
"""
    told = outcome(program)
    assert "ReactorAlreadyInstalledError" in told
    assert "imported by __main__" in told


def test_a_second_reactor_of_ours_is_an_error_too() -> None:
    program = """
import ropewalk.twisted
ropewalk.twisted.install("epoll")
ropewalk.twisted.install("epoll")
"""
    told = outcome(program)
    assert "is EPollReactor of ropewalk.twisted already, installed by <string>, line 3" in told
    assert "install a reactor once" in told


def test_twistd_lists_our_reactors() -> None:
    program = """
import sys
from twisted.scripts.twistd import run
sys.argv = ["twistd", "--help-reactors"]
run()
"""
    listed = outcome(program)
    for name in ("ropewalk-epoll", "ropewalk-poll", "ropewalk-select"):
        assert any(line.split()[:1] == [name] for line in listed.splitlines())
