"""What the command runs: files, objects of modules, plugins; on every reactor; and what is wrong with them."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from runner_children import (
    LINES,
    LOCAL,
    PATIENCE,
    ROPEWALK,
    STOPPED,
    answer,
    application,
    environment,
    one_line,
    run,
    running,
    with_modules,
)

from ropewalk.internet.main import reactors

PLUGIN = """
import click
from ropewalk.application import strports
from ropewalk.internet.protocol import Factory, Protocol

class Greeter(Protocol):
    def connectionMade(self):
        self.transport.write(b"first " + self.factory.word.encode() + b"\\n")
        self.transport.loseConnection()

@click.command()
@click.option("--word", default="hello")
@click.argument("listen")
def greet(word, listen):
    "Greet whoever connects to LISTEN."
    factory = Factory.forProtocol(Greeter)
    factory.word = word
    return strports.service(listen, factory)

not_a_command = 5
"""


def plugins(folder: Path) -> dict[str, str]:
    """The environment in which a package with plugins is installed: one that works, and others that do not."""
    (folder / "greetings.py").write_text(PLUGIN)
    (folder / "broken.py").write_text("import a_module_that_nobody_has\n")
    metadata = folder / "greetings-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: greetings\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(textwrap.dedent("""
        [ropewalk.services]
        greet = greetings:greet
        number = greetings:not_a_command
        wrecked = broken:command
    """))
    return with_modules(folder)


# -- every reactor: the howto's promise


@pytest.mark.usefixtures("display")
@pytest.mark.parametrize("row", reactors(), ids=lambda row: row.name)
def test_one_tac_that_mentions_no_reactor_runs_on_each(row: Any, tmp_path: Path) -> None:
    if row.why_not is not None:
        pytest.skip(row.why_not)
    with running("-r", row.name, "-y", application(tmp_path)) as app:
        with app.connect() as client:
            assert answer(client) == b"first hello"
        assert app.end() == (STOPPED, "")


@pytest.mark.usefixtures("display")
@pytest.mark.parametrize("row", reactors(), ids=lambda row: row.name)
def test_one_plugin_that_mentions_no_reactor_runs_on_each(row: Any, tmp_path: Path) -> None:
    if row.why_not is not None:
        pytest.skip(row.why_not)
    with running("-r", row.name, "greet", "--word", "there", LOCAL, env=plugins(tmp_path)) as app:
        with app.connect() as client, client.makefile("rb") as file:
            assert file.read() == b"first there\n"
        assert app.end() == (STOPPED, "")


# -- plugins


def test_plugins_are_listed_with_those_that_do_not_work_and_why(tmp_path: Path) -> None:
    ended = run("--help", env=plugins(tmp_path) | {"COLUMNS": "200"})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "greet    Greet whoever connects to LISTEN." in ended.stdout
    assert "No module named 'a_module_that_nobody_has'" in " ".join(ended.stdout.split())
    assert "(not usable: " in ended.stdout


@pytest.mark.parametrize(
    ("name", "why"), [("wrecked", "a_module_that_nobody_has"), ("number", "no click command, but int")]
)
def test_a_plugin_that_does_not_work_says_why_when_it_is_named(name: str, why: str, tmp_path: Path) -> None:
    ended = run(name, env=plugins(tmp_path))
    assert ended.returncode == 69
    assert why in one_line(ended.stderr)


def test_a_wrong_option_of_a_plugin_is_a_usage_error(tmp_path: Path) -> None:
    ended = run("greet", "--wrod", "x", LOCAL, env=plugins(tmp_path))
    assert ended.returncode == 64
    assert "--word" in one_line(ended.stderr)


def test_an_unknown_command_is_told_the_nearest_one(tmp_path: Path) -> None:
    ended = run("gret", env=plugins(tmp_path))
    assert ended.returncode == 64
    assert "there is no command 'gret'; did you mean greet?" in one_line(ended.stderr)


def test_an_unknown_option_or_reactor_is_told_the_nearest_one() -> None:
    ended = run("--pidfle", "x", "echo", "tcp:0")
    assert ended.returncode == 64
    assert "--pidfile" in one_line(ended.stderr)
    ended = run("-r", "slect", "echo", "tcp:0")
    assert ended.returncode == 64
    assert "did you mean select?" in one_line(ended.stderr)


# -- module:object


@pytest.mark.parametrize("name", ["mysite:application", "mysite:made", "mysite:Made", "mysite:here.inside"])
def test_an_object_of_a_module_is_run_or_what_it_makes(name: str, tmp_path: Path) -> None:
    more = """
def made():
    return application
class Made(service.MultiService):
    def __init__(self):
        super().__init__()
        application.setServiceParent(self)
class here:
    inside = application
"""
    application(tmp_path, LINES + more, name="mysite.py")
    with running("run", name, cwd=tmp_path) as app:
        with app.connect() as client:
            assert answer(client) == b"first hello"
        assert app.end() == (STOPPED, "")


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("mysite", 64, "module:object"),
        ("nosite:application", 66, "no module 'nosite'"),
        ("mysite.deeper:application", 66, "no module 'mysite.deeper'"),
        ("mysite:aplication", 66, "did you mean application?"),
        ("mysite:WORD", 65, "is no service, but bytes"),
    ],
)
def test_a_name_that_leads_to_no_service_is_one_line(name: str, code: int, said: str, tmp_path: Path) -> None:
    application(tmp_path, name="mysite.py")
    ended = run("run", name, cwd=tmp_path)
    assert ended.returncode == code
    assert said in one_line(ended.stderr)


@pytest.mark.parametrize("text", ["1 / 0", "import no_such_module_of_mine", "def application():\n    1 / 0"])
def test_a_module_that_raises_prints_its_own_traceback(text: str, tmp_path: Path) -> None:
    path = application(tmp_path, text, name="mysite.py")
    ended = run("run", "mysite:application", cwd=tmp_path)
    assert ended.returncode == 70
    assert "Error" in ended.stderr.splitlines()[-1]
    frames = [line for line in ended.stderr.splitlines() if line.strip().startswith("File ")]
    assert frames
    assert [line for line in frames if path not in line] == []


# -- files


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "left nothing to do: let it set `application`"),
        ("application = 5", "is no service, but int: it has no privilegedStartService()"),
    ],
)
def test_a_file_without_anything_to_run_is_an_error_that_says_what_to_do(text: str, said: str, tmp_path: Path) -> None:
    ended = run("-y", application(tmp_path, text))
    assert ended.returncode == 65
    assert said in one_line(ended.stderr)


def test_a_port_that_is_taken_is_one_line_for_an_application_too(tmp_path: Path) -> None:
    with running("-y", application(tmp_path)) as app:
        ended = run("-y", application(tmp_path, endpoint=f"tcp:{app.port}:interface=127.0.0.1", name="other.tac"))
        app.end()
    assert ended.returncode == 74
    assert f"cannot listen on 127.0.0.1:{app.port}: " in one_line(ended.stderr)
    assert "(another socket listens there;" in ended.stderr


# -- looking into it


def test_check_starts_binds_says_where_and_exits(tmp_path: Path) -> None:
    ended = run("--check", "--pidfile", str(tmp_path / "pid"), "-y", application(tmp_path))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("listening on tcp:127.0.0.1:")
    assert not (tmp_path / "pid").exists()
    with running("-y", application(tmp_path)) as app:
        taken = application(tmp_path, endpoint=f"tcp:{app.port}:interface=127.0.0.1", name="taken.tac")
        ended = run("--check", "-y", taken)
        assert ended.returncode == 74
        app.end()


@pytest.mark.parametrize("profiler", ["cprofile", "profile"])
def test_a_profile_is_written_as_text_or_for_pstats(profiler: str, tmp_path: Path) -> None:
    text = LINES + "from ropewalk.internet import reactor\n"
    text += "def my_work():\n    reactor.stop()\nreactor.callLater(0, my_work)"
    file, out = application(tmp_path, text), tmp_path / "stats"
    assert run("-p", str(out), "--profiler", profiler, "-y", file).returncode == 0
    assert "cumulative" in out.read_text()
    assert "my_work" in out.read_text()
    assert run("--profile", str(out), "--profiler", profiler, "--savestats", "-y", file).returncode == 0
    import pstats

    assert any(name == "my_work" for _, _, name in pstats.Stats(str(out)).stats)   # type: ignore[attr-defined]


def test_a_profile_that_cannot_be_written_is_an_error_at_once(tmp_path: Path) -> None:
    ended = run("-p", str(tmp_path / "nowhere" / "x"), "-y", application(tmp_path))
    assert ended.returncode == 73
    assert "--profile" in one_line(ended.stderr)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="there is no SIGUSR2 here")
def test_the_debugger_has_a_prompt_before_the_program_and_when_it_is_asked(tmp_path: Path) -> None:
    text = LINES + textwrap.dedent("""
        import signal
        from ropewalk.internet import reactor
        def in_the_program():
            os.kill(os.getpid(), signal.SIGUSR2)
            print("went on")
            reactor.stop()
        reactor.callLater(0, in_the_program)
    """)
    ended = subprocess.run(
        [*ROPEWALK, "--debug", "-y", application(tmp_path, text)], input="continue\nwhere\ncontinue\n",
        capture_output=True, text=True, timeout=PATIENCE, env=environment(),
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.count("(Pdb)") == 3
    assert "in_the_program()" in ended.stdout
    assert "went on" in ended.stdout


def test_spew_prints_what_is_called_and_that_it_is_deprecated(tmp_path: Path) -> None:
    ended = run("--spew", "--check", "-y", application(tmp_path))
    assert ended.returncode == 0
    assert "deprecated" in ended.stderr.lower()
    assert "app.tac:" in ended.stderr


# -- start-up


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["--version"], ["ropewalk.internet", "ropewalk.core", "logging", "socket"]),
        (["--check", "echo", LOCAL], ["asyncio", "ssl", "importlib.metadata", "json", "difflib"]),
    ],
    ids=["version", "echo"],
)
def test_nothing_is_imported_that_is_not_needed(arguments: list[str], unneeded: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "ropewalk", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment())
    assert ended.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "click" in imported
    assert imported & set(unneeded) == set()


# -- what twistd's users type


@pytest.mark.parametrize(
    "arguments", [["-f", "x.tap"], ["-s", "x.tas"], ["-e", "-y", "x"], ["-noy", "x"], ["--no_save"]]
)
def test_what_is_gone_is_a_usage_error_that_says_what_to_do_instead(arguments: list[str]) -> None:
    ended = run(*arguments)
    assert ended.returncode == 64
    assert "of twistd is not supported" in one_line(ended.stderr)


def test_nodaemon_is_the_default_and_may_be_said(tmp_path: Path) -> None:
    assert run("-n", "--check", "-y", application(tmp_path)).returncode == 0


# -- completion


@pytest.mark.parametrize(
    ("words", "expected"),
    [("ropewalk ec", "echo"), ("ropewalk --pid", "--pidfile"), ("ropewalk -r epo", "epoll"), ("ropewalk gre", "greet")],
)
def test_the_shell_completes_commands_options_and_reactors(words: str, expected: str, tmp_path: Path) -> None:
    variables = {"_ROPEWALK_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    ended = run(env=plugins(tmp_path) | variables)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert expected in [line.partition(",")[2] for line in ended.stdout.splitlines()]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_completion_of_a_shell_is_printed(shell: str) -> None:
    ended = run("--completion", shell)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "_ROPEWALK_COMPLETE" in ended.stdout
