"""A cloud on which the lessons have made all that posts need, for the tests that break it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_cloud.state import ROOT

LESSONS = ("00", "01", "02", "03", "04", "05", "06", "12", "13")


def run(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """One command for the cloud in `home`, whatever the caller's settings are."""
    kept = {name: value for name, value in os.environ.items() if name not in ("RAW_PATH", "PIPELINE_USER")}
    environment = {**kept, "PIPELINE_TARGET": "local", "LOCAL_CLOUD_HOME": str(home)}
    call = [sys.executable, "-m", *words]
    return subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The function that runs `python -m ...` for a cloud."""
    return run


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state folder of a cloud on which posts can be sent both ways."""
    home = tmp_path_factory.mktemp("cloud")
    try:
        for words in (("local_cloud", "up"), *(("runner.lessons", "lesson", number) for number in LESSONS)):
            done = run(home, *words)
            assert done.returncode == 0, done.stdout + done.stderr
        yield home
    finally:
        run(home, "local_cloud", "down")
