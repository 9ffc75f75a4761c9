"""How a process with a reactor ends: by a signal, by sys.exit, and never not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

PATIENCE = 60   # seconds

pytestmark = pytest.mark.skipif(os.name != "posix", reason="it sends signals")

WAITING = """
from ropewalk.internet import reactor
reactor.callWhenRunning(print, "running", flush=True)
"""


def signalled(program: str, *numbers: int) -> int:
    """The exit code of `program` after it was sent `numbers`, one for each line it printed."""
    command = [sys.executable, "-W", "error", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for number in numbers:
            assert process.stdout.readline()
            process.send_signal(number)
        return process.wait(PATIENCE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_idle_reactor_and_the_program_goes_on(number: int) -> None:
    ended = signalled(WAITING + "reactor.run()\nraise SystemExit(reactor.exitSignal + 100)", number)
    assert ended == number + 100


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_die_by_ends_the_process_as_the_signal_would_have(number: int) -> None:
    ended = signalled(
        WAITING + "reactor.run()\nfrom ropewalk.core.signals import die_by\ndie_by(reactor.exitSignal)", number
    )
    assert ended == -number


def test_sigint_without_signal_handlers_is_a_keyboard_interrupt() -> None:
    ended = signalled(WAITING + """
try:
    reactor.run(installSignalHandlers=False)
except KeyboardInterrupt:
    assert not reactor.running
    raise SystemExit(5)
""", signal.SIGINT)
    assert ended == 5


def test_a_second_signal_ends_a_slow_shutdown_and_the_process() -> None:
    """Also when the thread pool was used, whose threads wait for work."""
    ended = signalled(WAITING + """
from ropewalk.internet.defer import Deferred

def slow():
    print("shutting down", flush=True)
    return Deferred()

reactor.callInThread(int)
reactor.addSystemEventTrigger("before", "shutdown", slow)
reactor.run()
raise SystemExit(5)
""", signal.SIGTERM, signal.SIGTERM)
    assert ended == 5


def test_sys_exit_in_a_callback_ends_the_process_with_its_code(child: Any) -> None:
    ended = child("""
        import sys
        from ropewalk.internet import reactor
        reactor.callInThread(reactor.callFromThread, sys.exit, 5)
        reactor.run()
    """)
    assert (ended.returncode, ended.stderr) == (5, "")


def test_work_given_to_threads_while_it_shuts_down_does_not_keep_the_process(child: Any) -> None:
    ended = child("""
        from ropewalk.internet import reactor
        for phase in ("before", "during", "after"):
            reactor.addSystemEventTrigger(phase, "shutdown", reactor.callInThread, int)
        reactor.callWhenRunning(reactor.stop)
        reactor.run()
        raise SystemExit(5)
    """)
    assert ended.returncode == 5


def test_a_reactor_that_found_no_descriptors_left_can_run_when_there_are_some(succeeds: Any) -> None:
    succeeds("""
        import os, resource
        from ropewalk.internet import reactor
        assert reactor.getReaders() == []
        lowest = os.dup(0)
        os.close(lowest)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            reactor.run()
        except OSError:
            pass
        else:
            raise AssertionError("it ran without descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        reactor.callLater(0, reactor.stop)
        reactor.run()
    """)
