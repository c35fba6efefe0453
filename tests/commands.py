"""The project's commands on a cloud that a test names, whatever the caller's settings are."""

import os
import subprocess
import sys
from pathlib import Path

from local_cloud.state import ROOT

THEIRS = ("RAW_PATH", "PIPELINE_USER", "PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS")


def run(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`python -m` with these words, for the cloud whose state is in `home`."""
    kept = {name: value for name, value in os.environ.items() if name not in THEIRS}
    environment = {**kept, "PIPELINE_TARGET": "local", "LOCAL_CLOUD_HOME": str(home)}
    call = [sys.executable, "-m", *words]
    return subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
