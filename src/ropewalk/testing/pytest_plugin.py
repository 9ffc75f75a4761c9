"""The pytest plugin: a reactor for each test that asks for one, and tests that run inside it.

pytest loads it in every session, so it imports nothing before a test uses it. docs/testing.md tells how to use it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ropewalk.testing import Clock, MemoryReactorClock
    from ropewalk.testing.runner import Runner

_runner: pytest.StashKey[Runner] = pytest.StashKey()
_raised: pytest.StashKey[bool] = pytest.StashKey()
_MARKER = "ropewalk"
_OPTION = "ropewalk_reactor"
_ABOUT = "names of the reactors to run tests with that use the fixture reactor, such as epoll,poll"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("ropewalk").addoption("--ropewalk-reactor", dest=_OPTION, metavar="NAMES", help=_ABOUT)
    parser.addini(_OPTION, _ABOUT, default="")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{_MARKER}(timeout=20): run this test inside its reactor; it may be async, or return a Deferred"
    )


# -- fixtures


@pytest.fixture
def reactor_name() -> str:
    """The name of the reactor that the fixture `reactor` makes; to be parametrised."""
    return "default"


@pytest.fixture
def reactor(reactor_name: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A fresh reactor, which is not installed. The test fails if it leaves a connection, a port, a descriptor or a
    thread open, or if an error was logged that `expect_errors` did not take.
    """
    from ropewalk.testing.runner import Runner

    runner = Runner(_reactor_class(reactor_name))
    with runner.test():
        request.node.stash[_runner] = runner
        yield runner.reactor
        runner.failed = request.node.stash.get(_raised, False)


@pytest.fixture
def run_until(reactor: Any, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """run_until(awaited, timeout=20): run the reactor until a Deferred or coroutine has its result, and return it."""
    return _runner_of(request.node).run_until


@pytest.fixture
def expect_errors(reactor: Any, request: pytest.FixtureRequest) -> Callable[..., list[BaseException]]:
    """expect_errors(*classes): take the errors that were logged; they must be of these classes, in this order."""
    return _runner_of(request.node).expect_errors


@pytest.fixture
def clock() -> Clock:
    """A task.Clock: time passes when the test says so."""
    from ropewalk.testing import Clock

    return Clock()


@pytest.fixture
def memory_reactor() -> MemoryReactorClock:
    """A MemoryReactorClock: touches no network, keeps what was asked of it."""
    from ropewalk.testing import MemoryReactorClock

    return MemoryReactorClock()


def _runner_of(item: pytest.Item) -> Runner:
    return item.stash[_runner]


# -- tests that run inside the reactor


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: Any) -> None:
    """A marked test has the reactor, whether it names the fixture or not."""
    marked = collector.get_closest_marker(_MARKER) or any(
        mark.name == _MARKER for mark in getattr(obj, "pytestmark", ())
    )
    if marked and collector.istestfunction(obj, name):
        pytest.mark.usefixtures("run_until")(obj)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a marked test in its reactor."""
    marker = pyfuncitem.get_closest_marker(_MARKER)
    if marker is None:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}

    async def play() -> None:
        result = pyfuncitem.obj(**arguments)
        if hasattr(result, "__await__"):
            await result
        elif result is not None:   # such as an async generator, in which nothing has run
            raise TypeError(f"a test inside the reactor is async, or returns a Deferred or None, not {result!r}")

    _runner_of(pyfuncitem).run_until(play(), *marker.args, **marker.kwargs)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note that a test failed: it is not asked then what it left behind."""
    if call.excinfo is not None:
        item.stash[_raised] = True
    return (yield)


# -- reactors by name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on all reactors that the command line or the configuration names."""
    if "reactor_name" not in metafunc.fixturenames or _is_parametrised(metafunc, "reactor_name"):
        return
    names = metafunc.config.getoption(_OPTION) or metafunc.config.getini(_OPTION)
    if names:
        metafunc.parametrize("reactor_name", [name.strip() for name in names.split(",")])


def _is_parametrised(metafunc: pytest.Metafunc, name: str) -> bool:
    """Whether a mark of the test says what `name` is to be."""
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs["argnames"]
        if name in (names.replace(",", " ").split() if isinstance(names, str) else names):
            return True
    return False


def _reactor_class(name: str) -> Callable[[], Any]:
    """The class of the reactor `name`; the test is skipped if it cannot be used here.

    Raises ReactorNotAvailableError if there is none of that name.
    """
    import importlib

    from ropewalk.core import choose

    row = choose.choice(name)
    if name != "default" and (reason := choose.why_not(name)) is not None:
        pytest.skip(f"{name}: {reason}")
    made: Callable[[], Any] = getattr(importlib.import_module(f"ropewalk.internet.{row.module}"), row.reactor)
    return made
