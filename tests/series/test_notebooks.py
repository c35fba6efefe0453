"""The notebooks one after the other on a fresh cloud, as a reader runs them: committed outputs come again.

A file of its own, which `make test` plays beside the other tests; its log is `.local/test/notebooks.log`.
"""

import re

import pytest

from local_cloud.state import ROOT
from tests.commands import run

HOME = ROOT / ".local" / "test"
pytestmark = pytest.mark.timeout(3600)


def test_every_committed_output_comes_again() -> None:
    for word in ("reset", "up"):
        done = run(HOME, "local_cloud", word)
        assert done.returncode == 0, done.stdout + done.stderr
    try:
        done = run(HOME, "pytest", "--nbval", "notebooks", "-p", "no:cacheprovider", "--durations=15")
    finally:
        run(HOME, "local_cloud", "down")
    log = HOME / "notebooks.log"
    log.write_text(done.stdout + done.stderr)
    wrong = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    first = done.stdout.partition("= FAILURES =")[2][:9000]  # what comes after often only follows from it
    assert done.returncode == 0, "\n".join([*wrong[:20], f"the rest: {log}", first or done.stdout[-6000:]])
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) > 300, done.stdout[-500:]
