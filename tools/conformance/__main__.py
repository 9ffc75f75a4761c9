"""The command: `python -m tools.conformance [SUITE]` judges our reactors by Twisted's own tests.

Each module is run on each reactor in a process of its own. It prints a table, and by name each test that Twisted's own
reactor passes and ours does not. The exit status is 1 if there is one that exceptions.txt does not explain.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.conformance.bed import Bed, BedError
from tools.conformance.comparison import confirmed, differences, run
from tools.conformance.report import exceptions, listing, table
from tools.conformance.results import Results, Tests, covers, load, load_exceptions, module_of, save
from tools.conformance.suites import SUITES


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.conformance", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("suite", nargs="?", choices=SUITES, default="reactors", help="which tests (%(default)s)")
    add("--reactors", nargs="+", metavar="NAME", help="such as epoll; Twisted's own of the first is the measure of all")
    add("--modules", nargs="+", metavar="NAME", help="test modules or packages of them, instead of the suite's")
    add("--own", action="store_true", help="run Twisted's own reactors only")
    add("--baseline", type=Path, metavar="FILE", help="a run of Twisted's own that was kept, instead of a new one")
    add("--json", type=Path, metavar="FILE", help="keep the results there")
    add("--tracebacks", action="store_true", help="print those of the tests that differ")
    add("--exceptions", type=Path, metavar="FILE", help="tests that can judge Twisted alone, instead of the suite's")
    add("--python", type=shlex.split, metavar="COMMAND", help="what runs the tests' Python, instead of the suite's")
    add("--seconds", type=float, default=30, help="what one test may take (%(default)s)")
    add("--jobs", type=int, default=os.cpu_count(), help="how many processes at a time (%(default)s)")
    options = parser.parse_args(arguments)
    options.suite = SUITES[options.suite]
    try:
        options.pairs = [options.suite.pair(name) for name in options.reactors or options.suite.reactors]
    except LookupError as error:
        parser.error(str(error))
    return options


def main(arguments: Sequence[str]) -> int:
    options = parsed(arguments)
    bed = Bed(options.python or options.suite.python, options.suite.environment, options.seconds)
    try:
        about, modules = bed.find(options.suite.word, options.modules or options.suite.packages)
    except BedError as error:
        print(error, file=sys.stderr)
        return 2
    kept = of_modules(load(options.baseline).tests, modules) if options.baseline else {}
    own, ours = [pair.own for pair in options.pairs], [pair.ours for pair in options.pairs]
    reactors = own if options.own else [*own, *ours]
    tests = kept | run(bed, [reactor for reactor in reactors if reactor not in kept], modules, options.jobs)
    results = Results(about, tests)
    if options.json:
        save(results, options.json)
    titles = {name: f"{'Twisted' if name in own else 'Ropewalk'} {name.rpartition('.')[2]}" for name in reactors}
    print(*table(results, titles), sep="\n")
    if options.own:
        return 0
    found = differences(tests, options.pairs)
    file = options.exceptions or Path(__file__).with_name(options.suite.exceptions)
    excepted = {name: reason for name, reason in load_exceptions(file).items() if module_of(name) in modules}
    needless = [name for name in excepted if not any(covers(name, one.test) for one in found)]
    used = {name: reason for name, reason in excepted.items() if name not in needless}
    unexplained = [one for one in found if not any(covers(name, one.test) for name in used)]
    if kept and unexplained:
        unexplained = confirmed(bed, unexplained, options.pairs, options.jobs)
    for line in (*listing(unexplained, options.tracebacks), *exceptions(used, needless)):
        print(line)
    return 1 if unexplained or needless else 0


def of_modules(tests: Mapping[str, Tests], modules: Sequence[str]) -> dict[str, Tests]:
    """Of the outcomes by reactor, those of the tests in `modules`."""
    return {
        name: {test: one for test, one in found.items() if module_of(test) in modules} for name, found in tests.items()
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
