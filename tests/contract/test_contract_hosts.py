"""The whole contract on every reactor whose loop is a toolkit's, or another system's, each in a process of its own.

Each toolkit has a display of its own. Other systems are tested on the beds of tools/testbeds: Windows' own Python under
Wine, Apple's CoreFoundation, and an emulation of kqueue. As many run at a time as there are cores. One alone, with
pytest's options: `make test-hosts ARGS=gtk3`, or ARGS="gtk3 -x -k tcp"; a bed's: `make test-windows`, `make test-cf`.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ropewalk.core import choose

ROOT = Path(__file__).parents[2]
GIVEN_UP = 50   # failures after which the rest tells nothing more
LIMIT = 400   # seconds for one reactor
OF_ONE = 60   # seconds for one behaviour; the rig gives it 20, but cannot end a toolkit that is stuck in its own code
SHOWN = 20_000   # characters of a failed run's output


@dataclass(frozen=True)
class Run:
    """A run of the contract on a reactor.

    python: the command that runs the tests' Python; needs: the file or folder that it takes (None: the reactor itself
    tells), and made_by: what makes that.
    """

    reactor: str
    python: tuple[str, ...] = (sys.executable,)
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    needs: Path | None = None
    made_by: str = "make gui"

    def why_not(self) -> str | None:
        """Why it cannot be tried here; None if it can."""
        return None if self.needs is None or self.needs.exists() else f"{self.needs} is not there: {self.made_by}"


_PYQT = Path(sysconfig.get_path("platlib"), "PyQt6")
_PYGAME = Path(sys.prefix, "pygame")
_WINDOWS = ROOT / ".testbeds" / "windows" / "python"
_COREFOUNDATION = ROOT / ".testbeds" / "corefoundation" / "python"
_KQUEUE = ("-p", "tools.testbeds.kqueue")


def _on_windows(reactor: str) -> Run:
    """Under Wine, whose drive Z: is this system's root."""
    sources = f"Z:{ROOT / 'src'}".replace("/", "\\")
    return Run(
        reactor, python=(str(_WINDOWS),), options=("-p", "ropewalk.testing.pytest_plugin"),
        environment={"PYTHONPATH": sources}, needs=_WINDOWS, made_by="make windows",
    )  # fmt: skip


def _on_corefoundation(reactor: str, *options: str) -> Run:
    """With Apple's library, and the C library that this takes."""
    made_by = "make corefoundation"
    return Run(reactor, python=(str(_COREFOUNDATION),), options=options, needs=_COREFOUNDATION, made_by=made_by)


_HOSTS = {row.host: name for name, row in choose.CHOICES.items() if row.host != "own:OwnHost"}   # each host once
RUNS = {name: Run(name) for name in _HOSTS.values()} | {
    **{f"windows-{name}": _on_windows(name) for name in ("iocp", "wfmo", "select", "tk")},
    **{f"corefoundation-{name}": _on_corefoundation(name) for name in ("cf", "select", "poll", "epoll")},
    "corefoundation-cf-on-kqueue": _on_corefoundation("cf", *_KQUEUE),   # as on macOS
    "qt-on-pyqt6": Run("qt", options=("-p", "PyQt6.QtCore"), needs=_PYQT),   # the binding that is imported first
    "pygame-classic": Run("pygame", environment={"PYTHONPATH": str(_PYGAME)}, needs=_PYGAME),   # else pygame-ce
}
if hasattr(os, "pidfd_open"):   # of Linux, which the emulation is made of
    RUNS["kqueue"] = Run("kqueue", options=_KQUEUE)


@dataclass
class Outcome:
    """How a run of the contract ended.

    code: the process's, negative for a signal; results: PASSED, FAILED, ERROR or SKIPPED by behaviour, "" for the one
    that the process ended in; reasons: of what was skipped, by behaviour.
    """

    name: str
    code: int
    output: str
    results: dict[str, str]
    reasons: dict[str, str]

    def those(self, *results: str) -> list[str]:
        return [behaviour for behaviour, result in self.results.items() if result in results]

    def failed(self) -> str:
        """What went wrong, for who reads the test's failure."""
        said = [f"{self.name} fails {behaviour}" for behaviour in self.those("FAILED", "ERROR")]
        said += [f"{self.name} ended the process (code {self.code}) in {behaviour}" for behaviour in self.those("")]
        said += [f"{self.name} ended (code {self.code}) before a behaviour passed"] * (not self.those("PASSED"))
        alone = f"alone: make test ARGS='tests/contract/test_contract_hosts.py -k {self.name}'"
        lines = self.output.splitlines()
        told = "\n".join(line for line in lines if " PASSED " not in line and "SKIPPED" not in line)
        return "\n".join([*said, alone, "", "... " + told[-SHOWN:]])


def read(name: str, code: int, output: str) -> Outcome:
    """The outcome that pytest's output, verbose and with a summary of what was skipped, tells."""
    behaviour = rf"\S*::test\[(\w+)-{RUNS[name].reactor}\]"
    results = re.findall(rf"^{behaviour}(?: (PASSED|FAILED|ERROR|SKIPPED))?", output, re.MULTILINE)
    reasons = re.findall(rf"^SKIPPED {behaviour} - (?:Skipped: )?(.*)", output, re.MULTILINE)
    return Outcome(name, code, output, dict(results), dict(reasons))


class Children:
    """Runs the contract, a process a reactor; end() kills those that still run, with all that they started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: set[subprocess.Popen[bytes]] = set()

    def run(self, name: str) -> Outcome:
        file, wanted = self._folder / name, RUNS[name]
        tests = ["tests/contract/test_contract.py", f"--ropewalk-reactor={wanted.reactor}"]
        options = ["-v", "-rs", "--no-fold-skipped", "--tb=short", "--color=no", "-p", "no:cacheprovider"]
        limits = [f"--maxfail={GIVEN_UP}", f"--timeout={OF_ONE}"]
        limits += ["--timeout-method=thread"]   # a signal's handler would wait for the toolkit
        command = [*wanted.python, "-m", "pytest", *tests, *wanted.options, *options, *limits]
        with file.open("wb") as output, subprocess.Popen(
            command, cwd=ROOT, env=os.environ | wanted.environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        ) as process:  # fmt: skip
            self._running.add(process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LIMIT)
            self._running.discard(process)
            self._kill(process)
        return read(name, process.returncode, file.read_text(encoding="utf-8", errors="replace"))

    def end(self) -> None:
        for process in list(self._running):
            self._kill(process)

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        if not hasattr(os, "killpg"):
            process.kill()
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, display: None
) -> Iterator[dict[str, Future[Outcome]]]:
    """The outcomes of the reactors that are asked for; each has begun, or will when another has ended.

    The display is for the runs under Wine, which have no other.
    """
    asked = [item.callspec.params["name"] for item in request.session.items if item.path == request.path]
    asked = [name for name in asked if RUNS[name].why_not() is None]
    children = Children(tmp_path_factory.mktemp("contract"))
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        yield {name: threads.submit(children.run, name) for name in asked}
        threads.shutdown(wait=False, cancel_futures=True)
        children.end()


@pytest.mark.timeout(len(RUNS) * LIMIT)
@pytest.mark.parametrize("name", RUNS)
def test_the_whole_contract_holds_on(name: str, outcomes: dict[str, Future[Outcome]]) -> None:
    reason = RUNS[name].why_not()
    if reason is not None:
        pytest.skip(reason)
    outcome = outcomes[name].result()
    skipped = outcome.reasons
    if skipped and len(skipped) == len(outcome.results):
        pytest.skip(next(iter(skipped.values())))
    print(f"{name}: {len(outcome.those('PASSED'))} behaviours hold, {len(skipped)} skipped")
    print(*(f"  {behaviour}: {reason}" for behaviour, reason in skipped.items()), sep="\n")
    if outcome.code != 0 or not outcome.those("PASSED"):
        pytest.fail(outcome.failed(), pytrace=False)
