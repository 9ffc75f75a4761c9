"""Which reactor is installed, by whom, and what happens to the second one: programs in child processes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ropewalk
from ropewalk.core import choose

HERE = [   # those with a loop of their own; a toolkit's has its tests in tests/gui
    name for name, row in choose.CHOICES.items() if row.host == "own:OwnHost" and choose.why_not(name) is None
]
PATIENCE = 60   # seconds that a child may take

on_every_reactor = pytest.mark.parametrize("name", HERE)
needs_epoll = pytest.mark.skipif("epoll" not in HERE, reason="epoll is Linux's")

Succeeds = Callable[..., str]


@on_every_reactor
def test_installing_works_as_in_the_howto(name: str, succeeds: Succeeds) -> None:
    row = choose.choice(name)
    succeeds(f"""
        import sys
        from ropewalk.internet import {row.module}
        {row.module}.install()
        from ropewalk.internet import reactor
        assert type(reactor) is {row.module}.{row.reactor}
        assert sys.modules["ropewalk.internet.reactor"] is reactor
        import ropewalk.internet.reactor
        assert ropewalk.internet.reactor is reactor
        from ropewalk import reactor as other
        assert other is reactor
        reactor.callLater(0, reactor.stop)
        reactor.run()
    """)


@on_every_reactor
def test_the_class_makes_reactors_without_installing_one(name: str, succeeds: Succeeds) -> None:
    row = choose.choice(name)
    succeeds(f"""
        import sys
        from ropewalk.internet.{row.module} import {row.reactor}
        for reactor in ({row.reactor}(), {row.reactor}()):
            reactor.callLater(0, reactor.stop)
            reactor.run()
        assert "ropewalk.internet.reactor" not in sys.modules
    """)


@pytest.mark.parametrize("statement", ["from ropewalk.internet import reactor", "from ropewalk import reactor"])
def test_importing_the_reactor_first_installs_the_default(statement: str, succeeds: Succeeds) -> None:
    assert succeeds(f"""
        import sys
        {statement}
        assert sys.modules["ropewalk.internet.reactor"] is reactor
        print(reactor.name)
    """) == choose.default_name()


@on_every_reactor
def test_the_environment_names_the_default(name: str, succeeds: Succeeds) -> None:
    program = "from ropewalk.internet import reactor; print(reactor.name)"
    assert succeeds(program, ROPEWALK_REACTOR=name) == name


def test_the_environment_may_say_default_or_nothing(succeeds: Succeeds) -> None:
    program = "from ropewalk.internet import reactor; print(reactor.name)"
    for value in ("default", ""):
        assert succeeds(program, ROPEWALK_REACTOR=value) == choose.default_name()


def test_an_unknown_name_in_the_environment_is_answered_with_the_known_ones(child: Any) -> None:
    ended = child("from ropewalk.internet import reactor", ROPEWALK_REACTOR="libevent")
    assert ended.returncode == 1
    message = ended.stderr.strip().splitlines()[-1]
    for word in ("ReactorNotAvailableError", "'libevent'", *choose.names()):
        assert word in message


def test_a_reactor_that_could_not_be_installed_is_not_in_the_way_of_another(succeeds: Succeeds) -> None:
    assert succeeds("""
        try:
            from ropewalk.internet import reactor
        except ImportError:
            pass
        from ropewalk.internet import selectreactor
        selectreactor.install()
        from ropewalk.internet import reactor
        print(reactor.name)
    """, ROPEWALK_REACTOR="libevent") == "select"


def test_an_explicit_choice_goes_before_the_environment(succeeds: Succeeds) -> None:
    assert succeeds("""
        from ropewalk.internet import selectreactor
        selectreactor.install()
        from ropewalk.internet import reactor
        print(reactor.name)
    """, ROPEWALK_REACTOR="poll") == "select"


def test_a_second_reactor_is_refused_with_the_first_one_and_the_line_that_installed_it(
    child: Any, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere.py").write_text("from ropewalk.internet import pollreactor\n\n\npollreactor.install()\n")
    ended = child("""
        import elsewhere
        from ropewalk.internet import selectreactor
        selectreactor.install()
    """)
    assert ended.returncode == 1
    message = ended.stderr.strip().splitlines()[-1]
    assert "ReactorAlreadyInstalledError" in message
    assert "SelectReactor" in message
    assert "PollReactor" in message
    assert f"{tmp_path / 'elsewhere.py'}, line 4" in message


def test_the_line_that_installed_the_default_by_importing_the_reactor_is_told(child: Any, tmp_path: Path) -> None:
    for statement in ("from ropewalk.internet import reactor", "from ropewalk import reactor"):
        (tmp_path / "elsewhere.py").write_text(f"\n{statement}\n")
        ended = child("""
            import elsewhere
            from ropewalk.internet import selectreactor
            selectreactor.install()
        """, ROPEWALK_REACTOR="poll")
        assert f"{tmp_path / 'elsewhere.py'}, line 2" in ended.stderr


@on_every_reactor
def test_installing_the_same_reactor_again_does_nothing(name: str, succeeds: Succeeds) -> None:
    row = choose.choice(name)
    succeeds(f"""
        from ropewalk.internet import {row.module}, main
        {row.module}.install()
        from ropewalk.internet import reactor
        {row.module}.install()
        main.installReactor(reactor)
        from ropewalk.internet import reactor as again
        assert again is reactor
    """)


@needs_epoll
def test_a_missing_kernel_interface_is_an_error_that_names_what_to_do(child: Any) -> None:
    for use in ("install()", "EPollReactor()"):
        ended = child(f"""
            import select
            del select.epoll
            from ropewalk.internet import epollreactor
            epollreactor.{use}
        """)
        message = ended.stderr.strip().splitlines()[-1]
        assert "ReactorNotAvailableError" in message
        assert "select.epoll" in message
        assert re.search(r"use .*\bdefault\b.*\bpoll\b", message)


@needs_epoll
def test_the_default_is_another_where_the_best_is_missing(succeeds: Succeeds) -> None:
    assert succeeds("""
        import select
        del select.epoll
        from ropewalk.internet import reactor
        print(reactor.name)
    """) == "poll"


def test_importing_everything_needs_only_the_standard_library_and_installs_nothing(tmp_path: Path) -> None:
    """From a plain copy of the package, without site-packages, environment or current directory."""
    shutil.copytree(Path(ropewalk.__file__).parent, tmp_path / "ropewalk")
    program = f"""
import importlib, pkgutil, sys
sys.path.insert(0, {str(tmp_path)!r})
import ropewalk.internet
for module in pkgutil.iter_modules(ropewalk.internet.__path__):
    if module.name != "reactor":
        importlib.import_module("ropewalk.internet." + module.name)
assert "ropewalk.internet.reactor" not in sys.modules
strangers = {{name.partition(".")[0] for name in sys.modules}} - {{"ropewalk", "__main__", *sys.stdlib_module_names}}
assert not [name for name in strangers if not name.startswith("_")], strangers
from ropewalk.internet import reactor
reactor.callLater(0, print, "works")
reactor.callLater(0, reactor.stop)
reactor.run()
"""
    command = [sys.executable, "-S", "-I", "-W", "error", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=tmp_path)
    assert (ended.stderr, ended.stdout) == ("", f"works{os.linesep}" if os.name == "nt" else "works\n")
