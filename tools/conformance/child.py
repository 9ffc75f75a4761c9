"""What runs in the Python under test: finds modules of Twisted's tests, or runs one of them on one reactor.

    PYTHON child.py RESULTS find WORD NAME...              the test modules in the packages NAME that contain WORD
    PYTHON child.py RESULTS run REACTOR MODULE SECONDS     no test may take longer than SECONDS

It needs that Python's Twisted and nothing else, so that it can be any: one under Wine, one of another system. RESULTS
is written a line of JSON at a time: what a killed or crashed child did until then is there.

A REACTOR with a dot is a class: the tests are run that Twisted's ReactorBuilder makes of the module for each reactor.
One without is a name as `trial --reactor` knows it: it is installed, and the whole module is run.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import json
import os
import pkgutil
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import twisted
from twisted.trial import reporter
from twisted.trial.runner import TestLoader, TrialRunner, isTestCase
from twisted.trial.unittest import TestSuite

# A test that outlives its time by this factor has a reactor that does not even time out: the process is ended.
_PATIENCE = 2


class Recorder(reporter.TestResult):
    """Writes what becomes of each test as it comes; where one hangs, ends the process with the threads' stacks."""

    def __init__(self, out: TextIO, label: str, seconds: float) -> None:
        super().__init__()
        self._out = out
        self._label = label
        self._seconds = seconds
        self._stderr = os.dup(2)   # some tests leave sys.stderr closed

    def startTest(self, test: Any) -> None:
        super().startTest(test)
        self._write(test, "began")
        faulthandler.dump_traceback_later(self._seconds * _PATIENCE, exit=True, file=self._stderr)

    def stopTest(self, test: Any) -> None:
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)

    def addSuccess(self, test: Any) -> None:
        self._write(test, "passed")

    def addUnexpectedSuccess(self, test: Any, todo: Any = None) -> None:
        self._write(test, "passed")

    def addSkip(self, test: Any, reason: Any) -> None:
        self._write(test, "skipped", str(reason))

    def addExpectedFailure(self, test: Any, error: Any, todo: Any = None) -> None:
        self._write(test, "skipped", "expected to fail by Twisted itself")

    def addFailure(self, test: Any, fail: Any) -> None:
        failure = self._getFailure(fail)
        why = f"{failure.type.__name__}: {failure.getErrorMessage()}"
        self._write(test, "failed", why.partition("\n")[0], failure.getTraceback())

    addError = addFailure

    def _write(self, test: Any, outcome: str, why: str = "", traceback: str = "") -> None:
        """The name without the reactor's class, which the names of the tests of ReactorBuilder have in them."""
        name = test.id().replace(self._label, "")
        write(self._out, test=name, outcome=outcome, why=why, traceback=traceback)


def write(out: TextIO, **what: Any) -> None:
    out.write(json.dumps(what) + "\n")
    out.flush()


def find(out: TextIO, word: str, *names: str) -> None:
    """Write what this Python and its Twisted are, and the names of the modules."""
    python = f"{platform.python_implementation()} {platform.python_version()}, {platform.system()}"
    write(out, about={"twisted": twisted.__version__, "python": python})
    for name in names:
        for module, source in test_modules(name):
            if word in source.read_text(encoding="utf-8"):
                write(out, module=module)


def test_modules(name: str) -> Iterator[tuple[str, Path]]:
    """The module `name`, or the test modules in that package, each with its source."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"there is no module {name}")
    if spec.submodule_search_locations is None:
        yield name, Path(spec.origin)
        return
    for found in pkgutil.iter_modules(spec.submodule_search_locations, name + "."):
        if found.ispkg or found.name.rpartition(".")[2].startswith("test_"):
            yield from test_modules(found.name)


def run(out: TextIO, reactor: str, module: str, seconds: str) -> None:
    """Run the tests of `module` that are for `reactor`."""
    label, suite = suite_of_class(reactor, module) if "." in reactor else suite_of_name(reactor, module)
    sys.modules[module].timeout = float(seconds)   # type: ignore[attr-defined]   # trial's default is 120
    TrialRunner(lambda *_: Recorder(out, label, float(seconds))).run(suite)


def suite_of_class(reactor: str, module: str) -> tuple[str, TestSuite]:
    """What ReactorBuilder makes for the reactor, and what it puts into their names."""
    from twisted.internet.test.reactormixins import ReactorBuilder
    from twisted.python.reflect import namedAny

    namedAny(reactor)   # ReactorBuilder would skip the tests of one that is not there
    ReactorBuilder._reactors = [reactor]
    label = f"_{reactor.rpartition('.')[2]}Tests"
    made = [cls for name, cls in vars(importlib.import_module(module)).items() if name.endswith(label)]
    return label, TestSuite(map(TestLoader().loadClass, filter(isTestCase, made)))


def suite_of_name(reactor: str, module: str) -> tuple[str, TestSuite]:
    from twisted.scripts.trial import Options

    Options().parseOptions(["--reactor", reactor, module])
    return "", TestLoader().loadModule(importlib.import_module(module))


def main(results: str, command: str, *arguments: str) -> None:
    commands = {"find": find, "run": run}
    # Some tests start ckeygen and the like, which are beside their Python.
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    with open(results, "w", encoding="utf-8") as out:
        commands[command](out, *arguments)
        write(out, ended=True)


main(*sys.argv[1:])
