"""What is Windows' alone, and programs that have to work there as well, tested by Windows' own Python, under Wine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".testbeds" / "windows" / "python"
LIMIT = 400   # seconds
OPTIONS = [
    "-p", "ropewalk.testing.pytest_plugin", "-p", "no:cacheprovider", "-q", "--tb=short", "--color=no",
    "--timeout=100", "--timeout-method=thread",
]  # fmt: skip
GROUPS = {
    "events": ["unit/test_win32_events.py", "unit/test_wfmo.py", "unit/test_message_window.py"],
    "modules": ["unit/test_importable.py", "unit/test_missing.py", "unit/test_posted.py", "unit/test_choose.py"],
    "sockets": ["system/test_many_windows.py", "system/test_left_children.py"],
    "runner": [f"system/test_runner_{part}.py" for part in ("programs", "logs")],
    "services": ["system/test_application_commands.py", "unit/test_handover.py"],
    "windows": ["gui/test_win32.py"],   # what tests/gui/test_tk.py asks takes minutes there: by hand
}

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason=f"{PYTHON} is not there: make windows")


@pytest.mark.timeout(LIMIT + 20)
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.usefixtures("display")
def test_its_own_tests_pass_under_wine(group: str) -> None:
    files = [str(ROOT / "tests" / file) for file in GROUPS[group]]
    environment = os.environ | {"PYTHONPATH": f"Z:{ROOT / 'src'}".replace("/", "\\")}
    with subprocess.Popen(
        [str(PYTHON), "-m", "pytest", *OPTIONS, *files], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
    ) as child:  # fmt: skip
        try:
            said, _ = child.communicate(timeout=LIMIT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
    print(said[-20_000:])
    assert child.returncode == 0
    assert " passed" in said
