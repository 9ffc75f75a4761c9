"""A bed: the Python that the tests run in, and its limits; each call of it is one child process (see child.py)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

CHILD = Path(__file__).with_name("child.py")
HUNG = "Timeout ("   # what faulthandler says before the stacks of the threads


class BedError(Exception):
    """The bed cannot even say which tests there are."""


class Outcome(NamedTuple):
    """What became of a test. word: 'passed', 'failed' or 'skipped'; why: one line; traceback: or what was printed."""

    word: str
    why: str = ""
    traceback: str = ""


class Bed(NamedTuple):
    """python: the command that runs it; environment: what it finds there besides ours; seconds: what a test may take;
    limit: what a module may, in seconds."""

    python: list[str]
    environment: Mapping[str, str] = {}
    seconds: float = 30
    limit: float = 600

    def find(self, word: str, names: list[str]) -> tuple[dict[str, str], list[str]]:
        """What Twisted and Python these are, and the test modules in `names` that contain `word`. Raises BedError."""
        said, end, output = self._call("find", word, *names)
        if end:
            raise BedError(f"{' '.join(self.python)} cannot look for Twisted's tests: it {end}\n{output}")
        [about] = [line["about"] for line in said if "about" in line]
        return about, [line["module"] for line in said if "module" in line]

    def run(self, reactor: str, module: str) -> dict[str, Outcome]:
        """The outcome of each test of `module` on `reactor`; a child that did not get to its end is a failure, too."""
        said, end, output = self._call("run", reactor, module, str(self.seconds))
        outcomes: dict[str, Outcome] = {}
        running = module
        for line in said:
            if "test" not in line:
                continue
            running, outcome = line["test"], Outcome(line["outcome"], line["why"], line["traceback"])
            before = outcomes.get(running)
            if before is None or before.word != "failed":   # a test may pass, and fail as it is cleaned up
                outcomes[running] = outcome
        if end:
            outcomes[running] = Outcome("failed", f"the child process {end}; what would follow was not run", output)
        return outcomes

    def _call(self, *arguments: str) -> tuple[list[dict[str, Any]], str, str]:
        """What the child wrote, how it ended if not well, and what it printed last."""
        with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as place:
            results, printed = Path(place, "results"), Path(place, "printed")
            results.touch()
            with printed.open("wb") as out:
                settings = os.environ | {"PYTHONSAFEPATH": "1"} | self.environment   # it is not to find our modules
                child = subprocess.Popen(
                    [*self.python, str(CHILD), str(results), *arguments], cwd=place, env=settings,
                    stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                )  # fmt: skip
                end = self._wait(child)
            said = list(_lines(results))
            output = printed.read_text(encoding="utf-8", errors="replace")[-4000:]
            if end and HUNG in output:
                end = "hung, and was ended"
            elif not end and not (said and "ended" in said[-1]):
                end = "left without a word"
            return said, end, output

    def _wait(self, child: subprocess.Popen[bytes]) -> str:
        """Why the child is no success; and end what it leaves behind."""
        try:
            status = child.wait(self.limit)
        except subprocess.TimeoutExpired:
            return f"was ended after {self.limit:g} s"
        finally:
            _kill(child)
            child.wait()
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"exited with status {status}" if status else ""


def _kill(child: subprocess.Popen[bytes]) -> None:
    """With all that it started, where the system groups them."""
    if not hasattr(os, "killpg"):
        child.kill()
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _lines(results: Path) -> Iterator[dict[str, Any]]:
    """The last line may be half a one, if the child was killed."""
    for line in results.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):
            yield json.loads(line)
