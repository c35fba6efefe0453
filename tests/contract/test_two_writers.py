"""Two notebooks write one Delta table on S3 at once, as a scheduled one and a reader's own may."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud.parts import aws, spark
from local_cloud.state import ROOT, State
from tests.jvm_servers import new_state, running, s3_emulator

MERGES = 3  # of each writer
BUCKET = "two-writers"
# Starts a session, waits for the other one, merges a row of its own again and again, waits, counts.
WRITER = """
import sys, time
from pathlib import Path
from helpers import delta, session
folder, me, merges, target = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]

def both(word):
    (folder / f"{word}{me}").touch()
    until = time.monotonic() + 120
    while len(list(folder.glob(f"{word}*"))) < 2:
        assert time.monotonic() < until, f"the other writer does not get to {word}"
        time.sleep(0.05)

spark = session.spark()
one = lambda nth: spark.createDataFrame([(nth, me, "0")], "ind BIGINT, who STRING, _position STRING")
delta.create_table(one(0), target)
both("ready")
for nth in range(merges):
    delta.merge(one(2 * nth + int(me)), target)
both("done")
print(spark.read.table(target).count())
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[State]:
    state = new_state(tmp_path / "cloud")
    with s3_emulator(state), running(spark.part(state), state):
        aws.client(state, "s3").create_bucket(Bucket=BUCKET)
        yield state


def test_two_writers_lose_nothing(cloud: State, tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SPARK_"))}
    env |= {**spark.remote(cloud), "PYTHONPATH": str(ROOT)}
    target = f"delta.`s3://{BUCKET}/tables/t`"
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [
        subprocess.Popen(
            [*command, me, str(MERGES), target],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for me in ("0", "1")
    ]
    said = [writer.communicate(timeout=240) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], [
        [line for line in error.splitlines() if "rror" in line or "xception" in line][:6] for _, error in said
    ]
    assert [out.split()[-1] for out, _ in said] == [str(2 * MERGES)] * 2
