"""A cloud on which the lessons have made all that posts need, for the tests that break it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import run

LESSONS = ("00", "01", "02", "03", "04", "05", "06", "12", "13")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state folder of a cloud on which posts can be sent both ways; what one file sends no other sees."""
    home = tmp_path_factory.mktemp("cloud")
    try:
        for words in (("local_cloud", "up"), *(("runner.lessons", "lesson", number) for number in LESSONS)):
            done = run(home, *words)
            assert done.returncode == 0, done.stdout + done.stderr
        yield home
    finally:
        run(home, "local_cloud", "down")
