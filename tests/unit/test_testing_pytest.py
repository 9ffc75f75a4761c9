"""The pytest plugin: sessions in which tests pass, fail, and leave things behind."""

from __future__ import annotations

import importlib.metadata
import textwrap

import pytest

# Else each session in this process would import its own.
import ropewalk.internet.endpoints
import ropewalk.internet.epollreactor
import ropewalk.internet.threads
import ropewalk.testing.reactors
import ropewalk.testing.runner  # noqa: F401

pytest_plugins = ["pytester"]
PLUGIN = "ropewalk.testing.pytest_plugin"

PRELUDE = """
import socket, sys, threading
import pytest
from ropewalk.internet.defer import Deferred, inlineCallbacks, succeed
from ropewalk.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from ropewalk.internet.protocol import Factory, Protocol
from ropewalk.internet.task import deferLater
kept = []
over = threading.Event()

@pytest.fixture(scope="module", autouse=True)
def end_what_was_left():
    yield
    over.set()
    for thing in kept:
        if isinstance(thing, socket.socket):
            thing.close()

def listen(reactor):
    return reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
def dial(reactor, port):
    return connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port), Protocol())
async def soon(reactor, result):
    return await deferLater(reactor, 0, lambda: result)
"""


@pytest.fixture(autouse=True)
def _no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some rewrite all their modules in each session."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def session(pytester: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(PRELUDE + textwrap.dedent(tests))
    strict = ["-W", "error", "--strict-markers", "--strict-config", "--import-mode=importlib"]
    return pytester.runpytest_inprocess(*strict, "-p", PLUGIN, "-p", "no:cacheprovider", *options)


def one_test(pytester: pytest.Pytester, body: str) -> pytest.RunResult:
    tests = "def test(reactor, run_until, expect_errors):\n" + textwrap.indent(textwrap.dedent(body), "    ")
    return session(pytester, tests)


def test_the_installed_package_has_the_plugin() -> None:
    found = importlib.metadata.entry_points(group="pytest11", name="ropewalk")
    assert [point.value for point in found] == [PLUGIN], "install it: pip install -e ."


PASSING = {
    "a Deferred": "assert run_until(deferLater(reactor, 0, lambda: 3)) == 3",
    "a coroutine": "assert run_until(soon(reactor, 3)) == 3",
    "a Deferred that has fired": "assert run_until(succeed(3)) == 3",
    "an error": """
        with pytest.raises(ZeroDivisionError):
            run_until(deferLater(reactor, 0, lambda: 1 / 0))
    """,
    "a reactor that is not used": "assert not reactor.running",
    "an error that was expected": """
        reactor.callLater(0, lambda: 1 / 0)
        run_until(soon(reactor, None))
        assert str(expect_errors(ZeroDivisionError)[0]) == "division by zero"
    """,
    "a connection that lasts from one run to the next": """
        port = listen(reactor)
        client = run_until(dial(reactor, port))
        run_until(soon(reactor, None))
        assert client.transport.connected
        client.transport.loseConnection()
        port.stopListening()
    """,
    "a thread of the pool": """
        from ropewalk.internet.threads import deferToThreadPool
        for _ in range(2):
            called = deferToThreadPool(reactor, reactor.getThreadPool(), threading.current_thread)
            assert run_until(called) is not threading.current_thread()
    """,
    "a trigger of the shutdown": "reactor.addSystemEventTrigger('after', 'shutdown', kept.append, 'fired')",
}


@pytest.mark.parametrize("body", PASSING.values(), ids=PASSING)
def test_a_test_passes_that_leaves_nothing(body: str, pytester: pytest.Pytester) -> None:
    one_test(pytester, body).assert_outcomes(passed=1)


LEAVING = {
    "a port": ("kept.append(listen(reactor))", "left open: <Port of Factory*"),
    "a connection": (
        """
        port = listen(reactor)
        kept.append(run_until(dial(reactor, port)))
        port.stopListening()
        """,
        "left open: <Client of *",
    ),
    "a descriptor": ("kept.append(socket.socket())", "left open: *socket:*"),
    "a thread": ("threading.Thread(target=over.wait).start()", "left alive: *Thread*"),
    "an error in the log": (
        "reactor.callLater(0, lambda: 1 / 0); run_until(soon(reactor, None))",
        "logged, and nobody expected it: *ZeroDivisionError*",
    ),
    "an error of a Deferred": (
        "Deferred().errback(LookupError('nobody looks'))",
        "logged, and nobody expected it: *LookupError('nobody looks')*",
    ),
    "a shutdown that does not end": (
        "reactor.addSystemEventTrigger('before', 'shutdown', Deferred)",
        "still running after * seconds",
    ),
}


@pytest.mark.parametrize(("body", "message"), LEAVING.values(), ids=LEAVING)
def test_a_test_that_leaves_something_is_an_error(
    body: str, message: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ropewalk.testing.runner._GRACE", 0.05)
    monkeypatch.setattr("ropewalk.testing.runner._MARGIN", 1)
    monkeypatch.setattr("ropewalk.testing.rig._THREAD_LIMIT", 0.1)
    result = one_test(pytester, body + "\n")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([f"E*{message}"])


FAILING = {
    "nothing fires": (
        "run_until(Deferred(), timeout=0.01)", "*there was no result after 0.01 seconds: <Deferred at *"
    ),
    "the reactor is stopped": (
        "reactor.callLater(0, reactor.stop); run_until(Deferred())", "*the reactor was stopped before there was a *"
    ),
    "a callback's assertion fails": (
        """
        def check():
            assert kept == ["something"]
        reactor.callLater(0, check)
        run_until(Deferred())
        """,
        "*assert [[]] == [[]'something']",
    ),
    "it is called inside the reactor": (
        """
        async def inside():
            run_until(soon(reactor, None))
        run_until(inside())
        """,
        "*run_until() is for the test, outside the reactor*",
    ),
    "what it is to wait for is nothing of that kind": (
        "run_until(lambda: soon(reactor, None))", "*run_until() waits for a Deferred or a coroutine, not for <function*"
    ),
    "no such error was logged": ("expect_errors(LookupError)", "*AssertionError: logged: [[][]]"),
    "it also leaves a port": ("kept.append(listen(reactor)); raise LookupError('the reason')", "*the reason"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "message"), FAILING.values(), ids=FAILING)
def test_a_test_fails_for_its_own_reason_alone(body: str, message: str, pytester: pytest.Pytester) -> None:
    result = one_test(pytester, body)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"E {message}"])


def test_what_takes_too_long_is_cancelled_and_may_clear_up(pytester: pytest.Pytester) -> None:
    result = one_test(
        pytester,
        """
        async def slow():
            try:
                await Deferred()
            finally:
                kept.append("cleared up")
        with pytest.raises(AssertionError, match="no result after 0.01 seconds: <coroutine object .*slow"):
            run_until(slow(), timeout=0.01)
        assert kept == ["cleared up"]
        """,
    )
    result.assert_outcomes(passed=1)


# -- tests that run inside


def test_marked_tests_run_inside_the_reactor(pytester: pytest.Pytester) -> None:
    result = session(
        pytester,
        """
        @pytest.mark.ropewalk
        async def test_a_coroutine(reactor):
            assert reactor.running
            assert await soon(reactor, 3) == 3

        @pytest.mark.ropewalk
        async def test_a_coroutine_that_names_no_fixture():
            assert await succeed(3) == 3

        @pytest.mark.ropewalk
        @inlineCallbacks
        def test_a_generator(reactor):
            assert (yield deferLater(reactor, 0, lambda: 3)) == 3

        @pytest.mark.ropewalk
        def test_a_function(reactor):
            assert reactor.running
            return deferLater(reactor, 0, lambda: None)

        @pytest.mark.ropewalk
        @pytest.mark.parametrize("number", [1, 2])
        async def test_with_arguments(number, reactor, tmp_path):
            assert number
            assert tmp_path.is_dir()

        @pytest.mark.ropewalk
        class TestClass:
            async def test_method(self, reactor):
                assert reactor.running
        """,
    )
    result.assert_outcomes(passed=7)


def test_a_module_can_be_marked(pytester: pytest.Pytester) -> None:
    tests = """
        pytestmark = pytest.mark.ropewalk
        async def test(reactor):
            assert reactor.running
    """
    session(pytester, tests).assert_outcomes(passed=1)


def test_marked_tests_fail_like_others(pytester: pytest.Pytester) -> None:
    result = session(
        pytester,
        """
        @pytest.mark.ropewalk
        async def test_wrong(reactor):
            assert await soon(reactor, 3) == 4

        @pytest.mark.ropewalk(timeout=0.01)
        async def test_slow():
            await Deferred()

        @pytest.mark.ropewalk(0.02)
        async def test_slow_by_position():
            await Deferred()

        @pytest.mark.ropewalk
        async def test_that_would_never_begin():
            yield

        @pytest.mark.ropewalk
        async def test_leaking(reactor):
            kept.append(listen(reactor))
        """,
    )
    result.assert_outcomes(failed=4, passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "E *assert 3 == 4",
            "E *no result after 0.01 seconds*",
            "E *no result after 0.02 seconds*",
            "E *a test inside the reactor is async, or returns a Deferred or None, not <async_generator*",
        ]
    )


def test_an_async_test_without_the_mark_is_left_to_others(pytester: pytest.Pytester) -> None:
    result = session(pytester, "async def test():\n    raise AssertionError('not run')\n")
    assert "not run" not in result.stdout.str().partition("= FAILURES")[2].partition("async def functions")[2]
    assert "async def functions are not natively supported" in result.stdout.str()


# -- which reactor


WHICH = """
def test_which(reactor):
    print("made:", type(reactor).__name__)
"""


def test_every_test_has_a_reactor_of_its_own_that_is_not_installed(pytester: pytest.Pytester) -> None:
    result = session(
        pytester,
        """
        from ropewalk.internet import main

        @pytest.mark.parametrize("number", [1, 2])
        def test_fresh(number, reactor):
            assert reactor not in kept
            assert main.installed() is not reactor
            kept.append(reactor)
        """,
    )
    result.assert_outcomes(passed=2)


def test_the_command_line_names_the_reactors(pytester: pytest.Pytester) -> None:
    result = session(pytester, WHICH, "--ropewalk-reactor=select, poll", "-v", "-s")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_which[[]select]*", "*test_which[[]poll]*"])
    assert [made in result.stdout.str() for made in ("made: SelectReactor", "made: PollReactor")] == [True, True]


def test_the_configuration_names_the_reactors(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nropewalk_reactor = select\n")
    result = session(pytester, WHICH, "-s")
    result.assert_outcomes(passed=1)
    assert "made: SelectReactor" in result.stdout.str()


@pytest.mark.parametrize("names", ['"reactor_name"', '["reactor_name"]', '"reactor_name,"'])
def test_a_test_that_names_its_reactors_has_these(names: str, pytester: pytest.Pytester) -> None:
    values = '[("poll",)]' if "," in names or "[" in names else '["poll"]'
    tests = f"@pytest.mark.parametrize({names}, {values})" + WHICH
    result = session(pytester, tests, "--ropewalk-reactor=select", "-s")
    result.assert_outcomes(passed=1)
    assert "made: PollReactor" in result.stdout.str()


def test_a_reactor_that_does_not_exist_is_an_error_that_names_those_that_do(pytester: pytest.Pytester) -> None:
    result = session(pytester, WHICH, "--ropewalk-reactor=libevent")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E *there is no reactor called 'libevent'; there are: default, *"])


def test_fixtures_of_the_program_come_first(pytester: pytest.Pytester) -> None:
    result = session(
        pytester,
        """
        @pytest.fixture
        def reactor():
            return "mine"

        def test_mine(reactor, clock, memory_reactor):
            assert reactor == "mine"
            clock.advance(3)
            memory_reactor.advance(2)
            assert (clock.seconds(), memory_reactor.seconds()) == (3, 2)
        """,
        "--ropewalk-reactor=select,poll",
    )
    result.assert_outcomes(passed=1)


def test_a_session_that_does_not_use_it_imports_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_imported():
            ours = {name for name in sys.modules if name.partition(".")[0] == "ropewalk"}
            assert ours == {"ropewalk", "ropewalk.testing", "ropewalk.testing.pytest_plugin"}
        """
    )
    pytester.runpytest_subprocess("-p", PLUGIN, "-p", "no:cacheprovider").assert_outcomes(passed=1)
