"""`make book` as a reader gets it: every link holds, and the search finds a word in a browser."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.style.notebook_rules import ROOT

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def site() -> Path:
    done = subprocess.run(["make", "book"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / ".local" / "book" / "html"


def test_every_lesson_has_its_page(site: Path) -> None:
    lessons = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {path.stem for path in (site / "notebooks").glob("*.html")} == lessons


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not on PATH")
def test_the_search_finds_a_word_without_a_server(site: Path, tmp_path: Path) -> None:
    address = f"{(site / 'search.html').as_uri()}?q=quarantine"
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000")
    done = subprocess.run(
        ["chromium", *quiet, f"--user-data-dir={tmp_path}", "--dump-dom", address],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "notebooks/09_clean_the_batch.html" in done.stdout
