"""The files that hold applications: what executing one gives, and how one that cannot be executed is told of."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ropewalk.application import app
from ropewalk.application.service import Application, Service, loadApplication
from ropewalk.internet.base import current
from ropewalk.internet.defer import Deferred
from ropewalk.internet.selectreactor import SelectReactor
from ropewalk.testing.rig import Rig

HELLO = """
from ropewalk.application import service
application = service.Application("hello")
"""


@pytest.fixture(autouse=True)
def interpreter() -> Iterator[None]:
    """Executing a main program changes what belongs to the interpreter."""
    before = sys.modules["__main__"], sys.argv, list(sys.path)
    yield
    sys.modules["__main__"], sys.argv, sys.path[:] = before


def file(folder: Path, source: str) -> str:
    path = folder / "hello.tac"
    path.write_text(source)
    return str(path)


def test_the_application_of_a_file_is_its_variable_of_that_name(tmp_path: Path) -> None:
    loaded = loadApplication(file(tmp_path, HELLO))
    assert isinstance(loaded, Application)
    assert loaded.name == "hello"


def test_a_file_without_an_application_has_none_to_load(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="application"):
        loadApplication(file(tmp_path, "x = 1"))


def test_pickled_applications_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="kind='python'"):
        loadApplication(file(tmp_path, HELLO), "pickle")


def test_a_file_that_is_loaded_is_not_the_main_program(tmp_path: Path) -> None:
    path = file(tmp_path, "found = __name__, __file__")
    assert app.execute(path)["found"] == ("hello", path)
    assert sys.modules["__main__"].__dict__.get("found") is None


def test_a_main_program_finds_itself_and_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_hello.py").write_text("here = True")
    path = file(tmp_path, "import sys, neighbour_of_hello\nfound = __name__, __file__, sys.argv")
    assert app.execute_as_main(path)["found"] == ("__main__", path, [path])
    del sys.modules["neighbour_of_hello"]


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(app.CannotRead, match=r"none\.tac cannot be read: no such file"):
        app.execute(str(tmp_path / "none.tac"))


@pytest.mark.parametrize("execute", [app.execute, app.execute_as_main])
def test_the_traceback_of_a_file_that_raises_begins_in_the_file(tmp_path: Path, execute: Any) -> None:
    with pytest.raises(app.ProgramFailed, match="ZeroDivisionError") as caught:
        execute(file(tmp_path, "def fail():\n    1 / 0\n\nfail()"))
    frames = traceback.extract_tb(caught.value.__cause__.__traceback__)
    assert [(Path(frame.filename).name, frame.lineno) for frame in frames] == [("hello.tac", 4), ("hello.tac", 2)]


def test_a_file_with_a_syntax_error_has_failed(tmp_path: Path) -> None:
    with pytest.raises(app.ProgramFailed, match="SyntaxError"):
        app.execute(file(tmp_path, "def"))


def test_a_file_may_exit(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        app.execute(file(tmp_path, "raise SystemExit(3)"))


class Slow(Service):
    """Is stopped in a moment."""

    stopped = False

    def stopService(self) -> Any:
        super().stopService()
        later: Deferred[None] = Deferred()
        current().callLater(0.01, later.callback, None)
        return later.addCallback(self._note)

    def _note(self, _: None) -> None:
        self.stopped = True


def test_an_application_that_is_started_is_stopped_before_the_reactor_is() -> None:
    with Rig(SelectReactor) as rig:
        application = Application("slow")
        service = Slow()
        service.setServiceParent(application)
        rig.in_run(lambda: app.startApplication(application))
        assert service.stopped
        assert not service.running


def test_an_application_cannot_be_saved() -> None:
    with pytest.raises(ValueError, match="save=False"):
        app.startApplication(Application("never"), True)
