"""The feature table: what behaviours of the contract may need."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

import pytest

from ropewalk.testing import features

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "reactors.md").read_text(encoding="utf-8")
NAMED = re.compile(r'\b(?:needs|require|why_missing)\(((?:"[^"]+"(?:, )?)+)\)')


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of one feature that is there, and one that is not."""
    monkeypatch.setattr(
        features,
        "FEATURES",
        {"air": features.Feature(lambda: True, ""), "wings": features.Feature(lambda: False, "people have none")},
    )


def test_the_document_shows_the_table() -> None:
    assert features.table() in DOCUMENT


def named(folder: str) -> set[str]:
    """The features that the sources in `folder` name."""
    sources = [file.read_text(encoding="utf-8") for file in (ROOT / folder).rglob("*.py")]
    return {name for source in sources for names in NAMED.findall(source) for name in re.findall(r'"([^"]+)"', names)}


def test_what_a_behaviour_names_has_a_row() -> None:
    assert named("src/ropewalk/testing") <= set(features.FEATURES)


def test_every_row_is_needed_by_something() -> None:
    assert set(features.FEATURES) <= named("src/ropewalk/testing") | named("tests")


@pytest.mark.usefixtures("table")
def test_what_is_there_is_not_missing() -> None:
    assert features.why_missing("air") is None
    features.require("air")


@pytest.mark.usefixtures("table")
def test_a_behaviour_is_skipped_with_the_reason_of_the_table() -> None:
    flights: list[str] = []
    flies = features.needs("air", "wings")(flights.append)
    with pytest.raises(unittest.SkipTest, match="wings: people have none"):
        flies("up")
    assert flights == []


@pytest.mark.usefixtures("table")
def test_a_behaviour_runs_where_all_is_there_that_it_needs() -> None:
    breaths: list[str] = []
    features.needs("air")(breaths.append)("in")
    assert breaths == ["in"]


def test_a_feature_that_the_table_has_not_is_an_error() -> None:
    with pytest.raises(KeyError):
        features.why_missing("nonesuch")
