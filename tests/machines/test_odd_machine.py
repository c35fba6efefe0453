"""A machine with every oddity at once: a hard path, no programs from /tmp, strangers in the environment.

The checkout is copied, its packages and programs are reached by links, so nothing is fetched again.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud.state import PORTS, ROOT, free_port, write_private

FOLDER = "it's a Käfer's folder"
ODD = {
    "LC_ALL": "C",
    "JAVA_HOME": "/nowhere/java/bin",
    "MPLBACKEND": "Agg",
    "PYTHONDONTWRITEBYTECODE": "1",
    "AWS_PROFILE": "of-another-account",
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
}
# A new mount namespace: the /tmp of the machine itself stays as it is. All programs of a test share one
# folder as their /tmp, as a server and a lesson do.
MOUNT = "mkdir -p .local/tmp && mount --bind .local/tmp /tmp && mount -o remount,bind,noexec /tmp"
NOEXEC_TMP = ["unshare", "--mount", "sh", "-c", f'{MOUNT} && exec "$0" "$@"']
SPARK_ON_FILES = """
from helpers import cleaning, config, delta, session

cloud, spark = config.use_target(), session.spark()
raw = cleaning.parse(spark.read.text(cloud.raw_path("pin")), "pin")
delta.overwrite(cleaning.clean_pins(raw), cloud.table("pin"))
assert "data" in spark.readStream.format("kinesis").option("streamName", "x").load().columns
print(cloud.table("pin"), spark.read.table(cloud.table("pin")).count())
"""
SPARK_ON_S3 = """
import boto3
from helpers import config, session, delta

cloud = config.use_target()
boto3.client("s3").create_bucket(Bucket=cloud.names.bucket)  # the same answer if it is there
table, other = cloud.table("pin", "odd"), cloud.table("geo", "odd")
spark = session.spark()
rows = spark.createDataFrame([(1, "Käfer 🪲", "0")], "ind BIGINT, title STRING, _position STRING")
delta.create_table(rows, table)
delta.merge(rows, table)
delta.overwrite(spark.read.table(table), other)
print([row["title"] for row in spark.read.table(other).collect()])
"""


@pytest.fixture
def checkout() -> Iterator[Path]:
    """A copy in a folder with a blank, an apostrophe and an umlaut; not below /tmp, which is covered."""
    copy = ROOT / ".local" / "machines" / FOLDER
    shutil.rmtree(copy.parent, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    (copy / ".local").mkdir()
    (copy / ".local" / "tools").symlink_to(ROOT / ".local" / "tools")
    # Not the preferred ports: a reader's cloud may run beside the tests.
    ports: dict[str, int] = {}
    for name in PORTS:
        ports[name] = free_port(set(ports.values()))
    lines = ", ".join(f'"{name}": {port}' for name, port in ports.items())
    write_private(copy / ".local" / "ports.json", f"{{{lines}}}")
    yield copy
    shutil.rmtree(copy.parent)


def can_mount() -> bool:
    """True where this user may have a /tmp of its own, and this checkout is not in the machine's."""
    if Path("/tmp") in ROOT.parents:
        return False
    try:
        return (
            subprocess.run([*NOEXEC_TMP, "true"], cwd=ROOT, capture_output=True, check=False).returncode == 0
        )
    except FileNotFoundError:
        return False


class Machine:
    """Runs Python in the copy, as on an odd machine."""

    def __init__(self, checkout: Path) -> None:
        self.checkout, self.inside = checkout, NOEXEC_TMP if can_mount() else []
        ours = ("LOCAL_CLOUD_HOME", "RAW_PATH")
        kept = {name: value for name, value in os.environ.items() if name not in ours}
        self.environment = {**kept, **ODD, "PYTHONPATH": str(checkout)}

    def run(self, *words: str, **settings: str) -> str:
        """What the program printed; it must have ended well."""
        done = subprocess.run(
            [*self.inside, sys.executable, *words],
            cwd=self.checkout, env=self.environment | settings, capture_output=True, text=True, umask=0o077,
            check=False, encoding="utf-8",
        )  # fmt: skip
        assert done.returncode == 0, f"{words[:3]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def said(self) -> str:
        """One line: what was odd."""
        return f"{FOLDER!r}, umask 077, {', '.join(ODD)}; noexec /tmp: {bool(self.inside)}"


def test_the_samples_are_cleaned_without_a_cloud_on_an_odd_machine(checkout: Path) -> None:
    machine = Machine(checkout)
    printed = machine.run("-X", "utf8", "-c", SPARK_ON_FILES, RAW_PATH="data_samples/topics")
    assert printed.endswith(" 11154\n") and FOLDER in printed, printed
    print(f"odd machine, files: {machine.said()}: works")


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_cloud_and_its_lessons_work_on_an_odd_machine(checkout: Path) -> None:
    machine = Machine(checkout)
    try:
        machine.run("-m", "local_cloud", "up")
        for lesson in ("00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10"):
            machine.run("-m", "runner.lessons", "lesson", lesson)
            print(f"odd machine: lesson {lesson} ran")
        assert "Käfer 🪲" in machine.run("-X", "utf8", "-c", SPARK_ON_S3)
        machine.run("-m", "local_cloud", "status")
    finally:
        down = machine.run("-m", "local_cloud", "down")
    assert down.split() == ["stopped;", "the", "data", "is", "kept"]
    print(f"odd machine, cloud: {machine.said()}: works")
