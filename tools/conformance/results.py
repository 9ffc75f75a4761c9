"""Results: what became of each test on each reactor; stored as JSON, and compared test by test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tools.conformance.bed import Outcome

Tests = Mapping[str, Outcome]   # by the test's name, which has no reactor's class in it


class Results(NamedTuple):
    """about: what Twisted and Python it was; tests: by reactor."""

    about: Mapping[str, str]
    tests: Mapping[str, Tests]


class Difference(NamedTuple):
    """A test that Twisted's own reactor passes, and `reactor`, which is ours, does not."""

    test: str
    reactor: str
    outcome: Outcome


def module_of(test: str) -> str:
    """The module that `test` is in; they are all called test_something."""
    parts = test.split(".")
    module = next((place for place, part in enumerate(parts) if part.startswith("test_")), len(parts))
    return ".".join(parts[: module + 1])


def save(results: Results, file: Path) -> None:
    """Write `results`, the tracebacks aside: they name places on this machine."""
    tests = {
        reactor: {test: f"{one.word}: {one.why}".rstrip(": ") for test, one in found.items()}
        for reactor, found in results.tests.items()
    }
    text = json.dumps({"about": results.about, "tests": tests}, indent=1, sort_keys=True)
    file.write_text(text + "\n", encoding="utf-8")


def load(file: Path) -> Results:
    """What save() wrote."""
    stored = json.loads(file.read_text(encoding="utf-8"))
    tests = {
        reactor: {test: _outcome(text) for test, text in found.items()} for reactor, found in stored["tests"].items()
    }
    return Results(stored["about"], tests)


def _outcome(text: str) -> Outcome:
    word, _, why = text.partition(": ")
    return Outcome(word, why)


def load_exceptions(file: Path) -> dict[str, str]:
    """Tests, classes of them or modules that can judge no reactor but Twisted's, with the reasons.

    The file has a line `NAME: REASON` for each, and comments (#).
    """
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    pairs = [line.partition(":") for line in lines if line and not line.startswith("#")]
    return {name.strip(): reason.strip() for name, _, reason in pairs}


def covers(name: str, test: str) -> bool:
    """Whether `name` is that of the test, of its class or of its module."""
    return test == name or test.startswith(name + ".")
