"""Every AWS call of the lessons, made under PIPELINE_TARGET=aws, passes the checks that AWS would make.

The lessons run on a fresh local cloud that only answers; `aws_watch` checks what AWS would have been asked.
Write the list of operations anew with: UPDATE_OPERATIONS=1 pytest -m soak tests/contract/test_aws_calls.py
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from dotenv import dotenv_values
from nbformat import NotebookNode

from helpers.names import Names
from images import network
from local_cloud.parts import databricks
from local_cloud.state import State
from runner.execute import execute
from tests import aws_rules
from tests.network import differences
from tests.operations import answered_by, lessons, table

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = ROOT / "local_cloud" / "operations.md"
USER = "0r0wan7"  # begins with a digit, as the default user does: names that need a letter add one
# Most of their time is Spark's, Airflow's or the posts', so `make soak` alone watches them. What they ask of
# AWS, other lessons ask, too, except for MWAA's calls and for the reboot of a broker.
LONG = (
    "07_post_a_batch",
    "08_read_from_s3",
    "09_clean_the_batch",
    "10_answer_questions",
    "11_schedule_with_mwaa",
    "14_stream_to_delta",
    "15_trust_the_numbers",
    "16_scale_and_cost",
)
# What lesson 17 asks only for what a lesson has made that is left out.
AFTERWARDS = {"11_schedule_with_mwaa": ("mwaa.DeleteEnvironment", "mwaa.GetEnvironment")}
SCHEDULED = ("09_clean_the_batch", "10_answer_questions")
DRAWN: dict[int, list[str]] = {}  # by lesson: where its drawing of the network and the cloud differ
# What lesson 09 leaves, which lesson 11 compares before and after, without showing anything.
CLEANING = """
from helpers import cleaning, config, delta, session
from helpers.stream_to_delta import CLEAN

cloud, spark = config.use_target(), session.spark()
for table, clean in CLEAN.items():
    lines = spark.read.option("lineSep", "\\n").text(cloud.raw_path(table))
    delta.overwrite(clean(cleaning.parse(lines, table)), cloud.table(table))
"""
pytestmark = pytest.mark.timeout(1800)  # the first test waits for all lessons
STARTUP = "from tests import aws_watch\naws_watch.install()\n"
# Wrong on purpose, shown to IAM's simulator only: how the complaints begin. One that never comes fails too.
SIMULATED = ("03_ec2_kafka_client", "iam.SimulateCustomPolicy")
MEANT = {
    (*SIMULATED, "PolicyInputList: statement 1: "),
    (*SIMULATED, "PolicyInputList: kafka-cluster:"),
}


def local_cloud(home: Path, word: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "local_cloud", word],
        cwd=ROOT,
        env={**os.environ, "LOCAL_CLOUD_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def surroundings(home: Path, folder: Path) -> dict[str, str]:
    """What a reader's .env would hold for AWS, the endpoints that answer, and the watch's own settings."""
    found = {key: value or "" for key, value in dotenv_values(home / "cloud.env").items()}
    # Read by helpers.config for the local target only; here they would hide what AWS gets.
    here = {name: found.pop(name) for name in ("CLIENT_HOME", "KAFKA_SECURITY_PROTOCOL", "REST_PROXY")}
    gateway = found.pop("API_INVOKE_BASE")
    words = {
        "/home/ec2-user": here["CLIENT_HOME"],
        "SASL_SSL": here["KAFKA_SECURITY_PROTOCOL"],
        "http://localhost:8082": here["REST_PROXY"],
    }
    watch = {
        "CALLS_WATCH_LOG": str(folder / "calls"),
        "LOCAL_WORDS": json.dumps(words),
        "LOCAL_GATEWAY": gateway,
    }
    user = {"PIPELINE_TARGET": "aws", "PIPELINE_USER": USER, "LOCAL_CLOUD_HOME": str(home)}
    user["KINESIS_CREDENTIAL"] = "asked for by lesson 00, used on Databricks alone"
    user |= {
        "CATALOG": "workspace",
        "SCHEMA": "default",
    }  # asked for in lesson 17
    unset = dict.fromkeys(("RAW_PATH", "TABLES_PATH"), "")
    return {**found, **unset, **watch, **user, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


def notebook(source: str) -> NotebookNode:
    """A notebook of one cell."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])


def small_notebooks(home: Path) -> str:
    """The workspace's folder with two small notebooks for the DAG of lesson 11: one cleans, one does nothing.

    What the real ones call is seen where they run as lessons; the job's kernel would not be watched.
    """
    folder = databricks.folders(State(home))[databricks.OWN_FOLDER]
    for name, source in zip(SCHEDULED, (CLEANING, "1"), strict=True):
        nbformat.write(notebook(source), folder / f"{name}.ipynb")
    return f"/Workspace{databricks.OWN_FOLDER}"


@pytest.fixture(
    scope="module",
    params=[LONG, pytest.param((), marks=pytest.mark.soak)],
    ids=["without long ones", "every lesson"],
)
def left_out(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The lessons that are not run."""
    return request.param


@pytest.fixture(scope="module")
def calls(
    left_out: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[dict[str, Any]]]:
    """Every call of every lesson but those left out, in order."""
    home, folder = tmp_path_factory.mktemp("cloud"), tmp_path_factory.mktemp("watch")
    (folder / "sitecustomize.py").write_text(STARTUP)
    (folder / "calls").touch()
    local_cloud(home, "up")
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)
            for name, value in surroundings(home, folder).items():
                patch.setenv(name, value)
            patch.setenv("DATABRICKS_NOTEBOOKS", small_notebooks(home))
            for path in lessons():
                if path.stem in left_out:
                    continue
                book = nbformat.read(path, as_version=4)
                patch.setenv("CALLS_WATCH_NOTEBOOK", path.stem)
                failure = execute(book, path.parent, folder / "kernel.log", lambda _: None)
                assert failure is None, f"{path.stem}, cell {failure.cell}: {failure.error}\n{failure.source}"
                if (lesson := int(path.stem[:2])) in network.LESSONS:
                    DRAWN[lesson] = differences(Names(USER), lesson)
        yield [json.loads(line) for line in (folder / "calls").read_text().splitlines()]
    finally:
        local_cloud(home, "down")


def test_every_call_is_one_that_aws_would_take(calls: list[dict[str, Any]]) -> None:
    found = {
        (call["notebook"], f"{call['service']}.{call['operation']}", complaint)
        for call in calls
        for complaint in call["complaints"]
    }
    meant = {(one, known) for one in found for known in MEANT if ": ".join(one).startswith(": ".join(known))}
    wrong = sorted(found - {one for one, _ in meant})
    assert not wrong, "\n".join(": ".join(one) for one in wrong)
    assert {known for _, known in meant} == MEANT, "a mistake shown on purpose is gone"


@pytest.mark.usefixtures("calls")
def test_the_network_is_as_it_is_drawn() -> None:
    assert {lesson: [] for lesson in network.LESSONS} == DRAWN


def test_calls_with_a_quota_are_repeated_no_faster_than_boto3_can_wait(calls: list[dict[str, Any]]) -> None:
    assert not list(aws_rules.paced(calls))


def test_the_policies_of_the_lessons_were_linted(calls: list[dict[str, Any]]) -> None:
    put = {call["operation"] for call in calls if call["policies"]}
    assert {"CreateRole", "PutRolePolicy", "SimulateCustomPolicy"} <= put


def test_every_lesson_with_a_client_was_seen_calling(
    calls: list[dict[str, Any]], left_out: tuple[str, ...]
) -> None:
    assert {call["notebook"] for call in calls} == {path.stem for path in lessons()} - set(left_out)


def test_every_operation_has_a_part_that_answers_it(calls: list[dict[str, Any]]) -> None:
    assert all(answered_by(call["service"], call["operation"]) for call in calls)


def test_the_list_of_operations_is_current(calls: list[dict[str, Any]], left_out: tuple[str, ...]) -> None:
    called = {(call["notebook"], call["service"], call["operation"]) for call in calls}
    if os.environ.get("UPDATE_OPERATIONS") and not left_out:
        OPERATIONS.write_text(table(called))
    lines = OPERATIONS.read_text().splitlines()
    unseen = [f"| {name} |" for name in left_out]
    unseen += [f"| 17_tear_down | {one} |" for name in left_out for one in AFTERWARDS.get(name, ())]
    kept = [line for line in lines if not line.startswith(tuple(unseen))]
    assert kept == table(called).splitlines(), "write it anew: UPDATE_OPERATIONS=1, see the top of this file"
