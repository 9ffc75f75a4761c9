"""Twisted's tests on its own reactors and on ours: run, and compared."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tools.conformance.bed import Bed, Outcome
from tools.conformance.results import Difference, Tests, module_of
from tools.conformance.suites import Pair


def run(bed: Bed, reactors: Iterable[str], modules: Sequence[str], jobs: int) -> dict[str, Tests]:
    """The outcomes of the tests of `modules`, by reactor; `jobs` child processes at a time."""

    def run_one(job: tuple[str, str]) -> tuple[str, Tests]:
        reactor, module = job
        print(f"{module} on {reactor} ...", file=sys.stderr, flush=True)
        return reactor, bed.run(reactor, module)

    found: dict[str, dict[str, Outcome]] = {reactor: {} for reactor in reactors}
    with ThreadPoolExecutor(jobs) as pool:
        for reactor, outcomes in pool.map(run_one, itertools.product(found, modules)):
            found[reactor].update(outcomes)
    return dict(found)


def differences(tests: Mapping[str, Tests], pairs: Sequence[Pair]) -> list[Difference]:
    """What ours do not pass, and Twisted's own do."""
    missing = Outcome("failed", "it was not run")
    found = [
        Difference(test, pair.ours, tests[pair.ours].get(test, missing))
        for pair in pairs
        for test in sorted(_expected(tests, pair, pairs))
    ]
    return [one for one in found if one.outcome.word != "passed"]


def confirmed(bed: Bed, doubtful: Sequence[Difference], pairs: Sequence[Pair], jobs: int) -> list[Difference]:
    """Those of `doubtful` that Twisted's own pass here and now: the stored results are another machine's."""
    concerned = {pair.ours: pair for pair in pairs if any(one.reactor == pair.ours for one in doubtful)}
    own = [pairs[0].own, *(pair.own for pair in concerned.values())]
    tests = run(bed, dict.fromkeys(own), sorted({module_of(one.test) for one in doubtful}), jobs)
    return [one for one in doubtful if one.test in _expected(tests, concerned[one.reactor], pairs)]


def _expected(tests: Mapping[str, Tests], pair: Pair, pairs: Sequence[Pair]) -> set[str]:
    """What Twisted's own of the same kind passes, or the first of Twisted's own: that one is the measure of all."""
    return {test for own in (pair.own, pairs[0].own) for test, one in tests[own].items() if one.word == "passed"}
