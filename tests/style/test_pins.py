"""What is fetched is what was tried: packages by hash, CI's actions by commit, archives by sum."""

import os
import re
import subprocess
from pathlib import Path

import nbformat
import pytest

from local_cloud import java_runtime
from tests.style.notebook_rules import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTION = re.compile(r"uses:\s*([\w./-]+)@(\S+)\s*(#.*)?$")


def hashes(text: str) -> dict[str, list[str]]:
    """Requirement -> SHA-256 sums, of a requirements file with hashes."""
    found: dict[str, list[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            found[line.partition(" --hash")[0].strip()] = re.findall(r"--hash=sha256:([0-9a-f]{64})\b", line)
    return found


def test_lock_holds_every_pin_with_its_hashes() -> None:
    locked = hashes((ROOT / "requirements.lock").read_text())
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert set(locked) == {line.strip() for line in lines if line and not line.startswith("#")}
    assert [name for name, sums in locked.items() if not sums] == []


def test_the_lessons_lock_is_the_part_that_they_need() -> None:
    whole, part = (
        hashes((ROOT / name).read_text()) for name in ("requirements.lock", "requirements-lessons.lock")
    )
    assert part.items() <= whole.items()
    wanted = re.findall(r"^([\w.-]+==[^\s;#]+)", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE)
    assert {name.lower() for name in wanted} <= {name.lower() for name in part}
    assert len(part) < len(whole) / 1.8


def test_java_is_pinned_for_every_platform() -> None:
    [(wheel, sums)] = hashes(java_runtime.LOCK.read_text()).items()
    assert wheel == java_runtime.JAVA_WHEEL and len(sums) == len(("linux", "macos")) * len(("x86", "arm"))


def test_a_lesson_on_files_fetches_that_part_alone() -> None:
    make = ["make", "--dry-run", "--what-if=requirements.txt", "lesson", "N=09"]
    for raw, said in (("data_samples/topics", "requirements-lessons.lock"), ("", "requirements.lock")):
        env = os.environ | {"RAW_PATH": raw}
        done = subprocess.run(make, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        assert f"-r {said}" in done.stdout, done.stderr
        assert ("local_cloud setup" in done.stdout) == (not raw)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_with_their_version_beside(path: Path) -> None:
    used = [ACTION.search(line) for line in path.read_text().splitlines() if "uses:" in line]
    assert used
    for action in used:
        assert action, "an action that cannot be read"
        assert re.fullmatch(r"[0-9a-f]{40}", action[2]), action[0]
        assert re.match(r"# v\d+\.\d+\.\d+$", action[3] or ""), action[0]


def test_what_the_client_machine_downloads_from_apache_and_amazon_is_checked() -> None:
    notebook = nbformat.read(ROOT / "notebooks" / "03_ec2_kafka_client.ipynb", as_version=4)
    [cell] = [cell.source for cell in notebook.cells if "INSTALL = " in cell.source]
    archives = re.findall(r'^(\w+) = "https://archive\.apache\.org/\S+\.tgz"$', cell, flags=re.MULTILINE)
    assert archives
    assert all(f"{{{archive}}}.sha512" in cell for archive in archives)
    assert cell.count("sha512sum -c") == len(archives)
    assert re.search(r'^IAM_SUM = "[0-9a-f]{64}"$', cell, flags=re.MULTILINE)
    script = cell.partition("INSTALL = ")[2]
    assert (
        script.index("{IAM_JAR}") < script.index('echo "{IAM_SUM}  ') < script.index("cp kafka/libs/aws-msk")
    )
