"""Twisted's own tests judge our reactors; and the runner that has them do it tells what differs, hangs or crashes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("twisted")
ROOT = Path(__file__).parents[2]
BASELINE = ROOT / "tools" / "conformance" / "baseline.json"

# What Twisted's reactors pass and ours do not is made by the name of the module that the reactor's class is in.
SAMPLE = """
import os
from twisted.internet.test.reactormixins import ReactorBuilder

class Sample(ReactorBuilder):
    def ours(self):
        return self.buildReactor().__class__.__module__.startswith("ropewalk")

    def test_a_passes(self):
        reactor = self.buildReactor()
        reactor.callLater(0, reactor.stop)
        self.runReactor(reactor)

    def test_b_differs(self):
        self.assertFalse(self.ours())

    def test_c_skips(self):
        self.skipTest("not here")

    {last}

globals().update(Sample.makeTestCaseClasses())
"""


def conformance(*arguments: str, timeout: float = 110) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.conformance", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=timeout)


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of tests that the children can import; its exceptions file is beside it, and empty."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "exceptions.txt").write_text("# none\n")
    return tmp_path / "test_sample.py"


def judged(sample: Path, last: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    sample.write_text(SAMPLE.replace("{last}", last))
    exceptions = str(sample.with_name("exceptions.txt"))
    return conformance("--reactors", "poll", "--modules", "test_sample", "--exceptions", exceptions, *arguments)


@pytest.mark.timeout(900)
def test_ours_pass_what_twisteds_own_reactors_pass() -> None:
    ended = conformance("--baseline", str(BASELINE), "--seconds", "10", "--tracebacks", timeout=880)
    assert ended.returncode == 0, ended.stdout or ended.stderr
    assert "test_tcp" in ended.stdout


# Wine takes minutes for what takes seconds elsewhere: `make conformance ARGS=windows` judges ours there.
BEDS = {"cf": ROOT / ".testbeds" / "corefoundation" / "python", "kqueue": ROOT / "tools" / "testbeds" / "kqueue.py"}


@pytest.mark.skipif(sys.platform != "linux", reason="the test beds are made of Linux")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("bed", BEDS)
def test_ours_pass_what_twisteds_own_reactors_pass_on_the_bed(bed: str) -> None:
    if not BEDS[bed].exists():
        pytest.skip(f"{BEDS[bed]} is not there: make corefoundation")
    kept = str(BASELINE.with_name(f"baseline-{bed}.json"))
    ended = conformance(bed, "--baseline", kept, "--seconds", "10", "--tracebacks", timeout=580)
    assert ended.returncode == 0, ended.stdout or ended.stderr
    assert "test_tcp" in ended.stdout


def test_the_baseline_has_hundreds_of_tests_for_each_reactor() -> None:
    for tests in json.loads(BASELINE.read_text())["tests"].values():
        assert sum(outcome == "passed" for outcome in tests.values()) >= 293


def test_a_test_that_only_twisteds_own_passes_is_named_and_fails_the_run(sample: Path, tmp_path: Path) -> None:
    kept = tmp_path / "results.json"
    ended = judged(sample, "", "--json", str(kept))
    assert ended.returncode == 1, ended.stderr
    assert "| test_sample | 2/0/1 | 1/1/1 |" in ended.stdout
    assert "* test_sample.Sample.test_b_differs\n    * ropewalk.twisted.PollReactor failed: FailTest" in ended.stdout
    assert "test_a_passes" not in ended.stdout
    tests = json.loads(kept.read_text())["tests"]
    assert tests["twisted.internet.pollreactor.PollReactor"]["test_sample.Sample.test_b_differs"] == "passed"
    assert tests["ropewalk.twisted.PollReactor"]["test_sample.Sample.test_c_skips"] == "skipped: not here"


def test_stored_results_stand_for_twisteds_own_where_it_still_passes_the_test(sample: Path, tmp_path: Path) -> None:
    kept = tmp_path / "baseline.json"
    assert judged(sample, "", "--own", "--json", str(kept)).returncode == 0
    assert "test_b_differs" in judged(sample, "", "--baseline", str(kept)).stdout
    stored = kept.read_text().replace("test_c_skips\": \"skipped: not here", "test_c_skips\": \"passed")
    kept.write_text(stored)
    ended = judged(sample, "", "--baseline", str(kept))
    assert "test_b_differs" in ended.stdout
    assert "test_c_skips" not in ended.stdout


def test_an_exception_explains_a_difference_and_a_needless_one_fails_the_run(sample: Path) -> None:
    exceptions = sample.with_name("exceptions.txt")
    exceptions.write_text("# why\ntest_sample.Sample.test_b_differs: it is about Twisted's own\n")
    ended = judged(sample, "")
    assert ended.returncode == 0, ended.stdout
    assert "* test_sample.Sample.test_b_differs: it is about Twisted's own" in ended.stdout
    exceptions.write_text(exceptions.read_text() + "test_sample.Sample.test_a_passes: it did not\n")
    ended = judged(sample, "")
    assert ended.returncode == 1
    assert "No exception any more, since nothing of it differs: test_sample.Sample.test_a_passes" in ended.stdout


def test_a_crash_costs_one_module_and_names_the_test(sample: Path) -> None:
    ended = judged(sample, "def test_d_crashes(self):\n        self.ours() and os.abort()")
    assert ended.returncode == 1
    expected = "ropewalk.twisted.PollReactor failed: the child process was killed by SIGABRT"
    assert f"* test_sample.Sample.test_d_crashes\n    * {expected}" in ended.stdout
    assert "| test_sample | 3/0/1 | 1/2/1 |" in ended.stdout


def test_a_hang_is_ended_and_shown_where_it_hung(sample: Path) -> None:
    hang = "def test_d_hangs(self):\n        import threading\n        self.ours() and threading.Event().wait()"
    ended = judged(sample, hang, "--seconds", "0.5", "--tracebacks")
    assert ended.returncode == 1
    expected = "ropewalk.twisted.PollReactor failed: the child process hung, and was ended"
    assert f"* test_sample.Sample.test_d_hangs\n    * {expected}" in ended.stdout
    assert "in test_d_hangs" in ended.stdout


def test_a_python_without_twisted_is_an_error_that_names_it(tmp_path: Path) -> None:
    ended = conformance("--python", f"{sys.executable} -S")
    assert ended.returncode == 2
    assert "-S cannot look for Twisted's tests" in ended.stderr
    assert "No module named 'twisted'" in ended.stderr


def test_trial_runs_whole_modules_on_the_installed_reactor() -> None:
    modules = ["twisted.test.test_udp", "twisted.test.test_internet"]
    ended = conformance("programs", "--modules", *modules, "--seconds", "10")
    assert ended.returncode == 0, ended.stdout or ended.stderr
    assert "| Twisted epoll | Ropewalk ropewalk-epoll |" in ended.stdout


def test_a_reactor_that_twisted_has_not_is_an_error_that_names_those_there_are() -> None:
    ended = conformance("--reactors", "nonesuch")
    assert ended.returncode == 2
    assert "'nonesuch'" in ended.stderr
    assert "epoll, poll, select" in ended.stderr
