"""The examples of docs/twisted.md, as they stand: programs and command lines."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path

import pytest

from ropewalk.core import choose

from .conftest import PATIENCE, environment
from .twisted_children import LOCAL, needs, run, running, tool

pytest.importorskip("twisted", reason="Twisted is not installed")
pytestmark = pytest.mark.skipif(choose.default_name() != "epoll", reason="the examples name epoll")

PAGE = (Path(__file__).parents[2] / "docs" / "twisted.md").read_text(encoding="utf-8")
INSTALLATION = "pip install 'ropewalk[twisted]'"
SETTING = 'TWISTED_REACTOR = "ropewalk.twisted.EPollReactor"\n'
FILES = {
    "public/index.html": "Hello!",
    "tests/test_shop.py": """
        from twisted.internet import reactor
        from twisted.trial.unittest import TestCase

        class Shop(TestCase):
            def test_reactor(self):
                self.assertEqual(type(reactor).__module__, "ropewalk.twisted")
    """,
    "script.py": """
        import sys
        from twisted.internet import reactor
        import neighbour

        print(type(reactor).__module__, sys.argv, __name__)
    """,
    "neighbour.py": "",
    "spider.py": """
        import scrapy

        class Looks(scrapy.Spider):
            name = "looks"

            async def start(self):
                from twisted.internet import reactor
                print("spider on", type(reactor).__module__)
                return
                yield
    """,
}


def examples(language: str) -> list[str]:
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return found


PROGRAMS = examples("python")
LINES = [line for example in examples("sh") for line in example.splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the command lines speak of."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    return tmp_path


def command(start: str) -> list[str]:
    """The command line of the page that begins so, for this Python and a port that is free."""
    (line,) = [line for line in LINES if line.startswith(start)]
    words = shlex.split(line.replace("tcp:8080", LOCAL))
    return [sys.executable, *words[1:]] if words[0] == "python" else tool(*words)


def test_there_is_a_test_for_each_example() -> None:
    tested = [INSTALLATION, "twistd -r", "trial --reactor", "twistd --help-reactors", "python -m", "scrapy runspider"]
    assert len(LINES) == len(tested)
    assert all(line.startswith(start) for line, start in zip(LINES, tested, strict=True))
    assert [program == SETTING for program in PROGRAMS] == [False, False, True]


def test_twistd_serves_a_folder(folder: Path) -> None:
    with running(command("twistd -r"), folder, -signal.SIGTERM) as site:
        assert urllib.request.urlopen(f"http://127.0.0.1:{site.port}/", timeout=PATIENCE).read() == b"Hello!"


def test_trial_runs_tests(folder: Path) -> None:
    assert "PASSED (successes=1)" in run(command("trial --reactor"), folder)


def test_twistd_lists_our_reactors(folder: Path) -> None:
    listed = run(command("twistd --help-reactors"), folder)
    available = {line.split()[0] for line in listed.splitlines() if line.strip()}
    assert available >= {f"ropewalk-{name}" for name in choose.names() if choose.why_not(name) is None}


def test_a_script_runs_as_if_python_had_started_it(folder: Path) -> None:
    assert run(command("python -m"), folder) == "ropewalk.twisted ['script.py', '3'] __main__\n"


def test_scrapy_is_given_the_reactor_by_its_setting(folder: Path) -> None:
    needs("scrapy")
    ended = subprocess.run(
        command("scrapy runspider"), capture_output=True, text=True, timeout=PATIENCE, env=environment(), cwd=folder
    )
    assert (ended.returncode, ended.stdout) == (0, "spider on ropewalk.twisted\n"), ended.stderr
    assert command("scrapy runspider")[-1].replace("=", ' = "') + '"\n' == SETTING


@pytest.mark.parametrize(
    ("program", "said"), [*zip(PROGRAMS, ["back: hello\n", "SelectReactor has stopped\n"], strict=False)]
)
def test_a_program_says_itself_what_it_runs_on(program: str, said: str, folder: Path) -> None:
    (folder / "example.py").write_text(program)
    assert run([sys.executable, "example.py"], folder) == said
