"""The suites: which of Twisted's tests are run, and under which names they know the reactors."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Pair(NamedTuple):
    """The same kind of reactor, Twisted's own and ours, under the names that child.py takes."""

    own: str
    ours: str


class Suite(NamedTuple):
    """Test modules that contain a word, in packages; the reactors; what pair a reactor's name stands for."""

    packages: list[str]
    word: str
    reactors: list[str]
    pair: Callable[[str], Pair]


# Where Twisted has the reactors that both have; ours have the same class names.
_CLASSES = {
    "epoll": "twisted.internet.epollreactor.EPollReactor",
    "poll": "twisted.internet.pollreactor.PollReactor",
    "select": "twisted.internet.selectreactor.SelectReactor",
}


def _classes(name: str) -> Pair:
    if name not in _CLASSES:
        raise LookupError(f"there is no reactor of Twisted's called {name!r} here; there are: {', '.join(_CLASSES)}")
    return Pair(_CLASSES[name], "ropewalk.twisted." + _CLASSES[name].rpartition(".")[2])


def _installed(name: str) -> Pair:
    return Pair(name, f"ropewalk-{name}")


SUITES = {
    # What Twisted runs on every reactor that it has: the call makes a class of tests for each.
    "reactors": Suite(["twisted.internet.test"], "makeTestCaseClasses()", list(_CLASSES), _classes),
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
