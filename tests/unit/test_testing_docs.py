"""The examples of docs/testing.md: each is a module of tests, and passes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ropewalk.testing

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_examples_pass(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(**{f"test_example_{number}": text for number, text in enumerate(EXAMPLES)})
    strict = ["-W", "error", "--strict-markers", "--import-mode=importlib", "-p", "no:cacheprovider"]
    result = pytester.runpytest_subprocess("-p", "ropewalk.testing.pytest_plugin", *strict)
    assert result.ret == 0
    assert result.parseoutcomes()["passed"] >= len(EXAMPLES) > 5


def test_the_page_names_everything_that_the_kit_has() -> None:
    text = PAGE.read_text(encoding="utf-8")
    internal = {"ConnectedPair", "Pump", "StringIOWithoutClosing"}
    assert [name for name in ropewalk.testing._HOMES if name not in internal and name not in text] == []
