"""The notebooks one after the other on a fresh cloud, as a reader runs them: committed outputs come again.

A file of its own, which `make test` plays beside the other tests; its log is `.local/test/notebooks.log`.
"""

import os
import re
import subprocess
import sys

import pytest

from local_cloud.state import ROOT

HOME = ROOT / ".local" / "test"
pytestmark = pytest.mark.timeout(3600)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """One command for the test cloud, whatever the caller's settings are."""
    theirs = ("RAW_PATH", "PIPELINE_USER", "PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS")
    kept = {name: value for name, value in os.environ.items() if name not in theirs}
    environment = {**kept, "PIPELINE_TARGET": "local", "LOCAL_CLOUD_HOME": str(HOME)}
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_every_committed_output_comes_again() -> None:
    for word in ("reset", "up"):
        done = run("local_cloud", word)
        assert done.returncode == 0, done.stdout + done.stderr
    try:
        done = run("pytest", "--nbval", "notebooks", "-p", "no:cacheprovider", "--durations=15")
    finally:
        run("local_cloud", "down")
    log = HOME / "notebooks.log"
    log.write_text(done.stdout + done.stderr)
    wrong = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    assert done.returncode == 0, "\n".join([*wrong[:20], f"the rest: {log}", done.stdout[-6000:]])
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) > 300, done.stdout[-500:]
