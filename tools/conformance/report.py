"""The report of a run, as Markdown: a table with a row for each module, and the tests by name that differ."""

from __future__ import annotations

import itertools
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter

from tools.conformance.results import Difference, Results, Tests, module_of

WORDS = ("passed", "failed", "skipped")


def table(results: Results, titles: Mapping[str, str]) -> Iterator[str]:
    """Lines: how many tests of each module passed, failed and were skipped. titles: by reactor."""
    counts = {reactor: _by_module(results.tests[reactor]) for reactor in titles}
    yield f"{'/'.join(WORDS)}, with Twisted {results.about['twisted']} on {results.about['python']}"
    yield ""
    yield _row("module", titles.values())
    yield _row("---", ["--:"] * len(titles))
    for module in sorted({module for found in counts.values() for module in found}):
        yield _row(module, [_cell(found[module]) for found in counts.values()])
    yield _row("all", [_cell(sum(found.values(), Counter())) for found in counts.values()])


def listing(differences: Sequence[Difference], tracebacks: bool) -> Iterator[str]:
    """Lines: each test, on which of our reactors, and what became of it there; none if there is none."""
    if differences:
        yield from ("", "Passed by Twisted's own reactor, and not by ours:", "")
    for test, group in itertools.groupby(sorted(differences), attrgetter("test")):
        yield f"* {test}"
        for one in group:
            yield f"    * {one.reactor} {one.outcome.word}: {one.outcome.why}"
            if tracebacks:
                yield textwrap.indent(one.outcome.traceback, "        ")


def exceptions(used: Mapping[str, str], needless: Iterable[str]) -> Iterator[str]:
    """Lines: the exceptions, those that explain a difference with the reason; and those that explain none any more."""
    if used:
        yield from ("", "Excepted, as they cannot judge a reactor that is not Twisted's:", "")
        yield from (f"* {name}: {reason}" for name, reason in used.items())
    for name in needless:
        yield f"No exception any more, since nothing of it differs: {name}"


def _by_module(tests: Tests) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for test, outcome in tests.items():
        found[module_of(test)][outcome.word] += 1
    return found


def _row(first: str, cells: Iterable[str]) -> str:
    return f"| {' | '.join([first, *cells])} |"


def _cell(count: Counter[str]) -> str:
    return "/".join(str(count[word]) for word in WORDS)
