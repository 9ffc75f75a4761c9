"""The suites: which of Twisted's tests are run, and under which names they know the reactors."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_BEDS = ROOT / ".testbeds"
_TESTBEDS = ROOT / "tools" / "testbeds"


class Pair(NamedTuple):
    """The same kind of reactor, Twisted's own and ours, under the names that child.py takes."""

    own: str
    ours: str


class Suite(NamedTuple):
    """Test modules that contain a word, in packages; the reactors; what pair a reactor's name stands for.

    python, environment: what runs the tests' Python; exceptions: the file beside this one that has those of this suite.
    """

    packages: list[str]
    word: str
    reactors: list[str]
    pair: Callable[[str], Pair]
    python: list[str] = [sys.executable]
    environment: Mapping[str, str] = {}
    exceptions: str = "exceptions.txt"


# Where Twisted has the reactors that both have, the measure of all first; ours have the same class names.
_HERE = {
    "epoll": "twisted.internet.epollreactor.EPollReactor",
    "poll": "twisted.internet.pollreactor.PollReactor",
    "select": "twisted.internet.selectreactor.SelectReactor",
}
_WINDOWS = {
    "select": "twisted.internet.selectreactor.SelectReactor",
    "wfmo": "twisted.internet.win32eventreactor.Win32Reactor",
    "iocp": "twisted.internet.iocpreactor.reactor.IOCPReactor",
}
_KQUEUE = {"select": _HERE["select"], "kqueue": "twisted.internet.kqreactor.KQueueReactor"}
_COREFOUNDATION = {"epoll": _HERE["epoll"], "cf": "twisted.internet.cfreactor.CFReactor"}


def _class_of(classes: Mapping[str, str], name: str) -> Pair:
    if name not in classes:
        raise LookupError(f"there is no reactor of Twisted's called {name!r} here; there are: {', '.join(classes)}")
    return Pair(classes[name], "ropewalk.twisted." + classes[name].rpartition(".")[2])


def _installed(name: str) -> Pair:
    return Pair(name, f"ropewalk-{name}")


def _every_reactor(classes: Mapping[str, str]) -> Suite:
    """What Twisted runs on every reactor that it has: the call makes a class of tests for each."""
    pair = functools.partial(_class_of, classes)
    return Suite(["twisted.internet.test"], "makeTestCaseClasses()", list(classes), pair)


SUITES = {
    "reactors": _every_reactor(_HERE),
    # The same on the test beds; see tools/testbeds.
    "windows": _every_reactor(_WINDOWS)._replace(
        python=[str(_BEDS / "windows" / "python")],
        environment={"PYTHONPATH": f"Z:{ROOT / 'src'}"},
        exceptions="exceptions-windows.txt",
    ),
    "kqueue": _every_reactor(_KQUEUE)._replace(
        python=[sys.executable, str(_TESTBEDS / "kqueue.py")], exceptions="exceptions-kqueue.txt"
    ),
    "cf": _every_reactor(_COREFOUNDATION)._replace(
        python=[str(_BEDS / "corefoundation" / "python")], environment={"PYTHONPATH": str(_TESTBEDS / "pyobjc")}
    ),
    # What it runs under trial, on the one reactor that is installed.
    "programs": Suite(
        [
            "twisted.test.test_tcp",
            "twisted.test.test_tcp_internals",
            "twisted.test.test_udp",
            "twisted.test.test_internet",
            "twisted.test.test_ssl",
            "twisted.test.test_sslverify",
            "twisted.test.test_process",
            "twisted.test.test_stdio",
            "twisted.test.test_unix",
            "twisted.test.test_threads",
            "twisted.internet.test.test_endpoints",
            "twisted.protocols.test.test_tls",
            "twisted.web.test",
            "twisted.conch",
        ],
        "",
        ["epoll"],
        _installed,
    ),
}
