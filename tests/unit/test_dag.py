"""The DAG that goes to MWAA: what it says, and that reading it connects to nothing.

Airflow is imported in another process: it sets up logging and files of its own.
"""

import json
import os
import re
import subprocess
import sys
import uuid
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from helpers import databricks
from local_cloud.stand_ins.mwaa.service import VERSIONS
from tests.style.notebook_rules import LONGEST_OUTPUT, load

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = {"USER_ID": "ann1", "RETRIES": "1", "RETRY_SECONDS": "2.5", "POLL_SECONDS": "2"}


@cache
def facts(home: Path, **options: str) -> dict[str, Any]:
    """What the file says with these options as MWAA would set them."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "AWS_"))}
    given = {f"AIRFLOW__PIPELINE__{name}": value for name, value in options.items()}
    clean |= {"AIRFLOW_HOME": str(home), "AWS_REGION": "eu-west-1", **given}
    command = [sys.executable, str(ROOT / "tests" / "dag_facts.py"), str(ROOT / "dags" / "pinterest_dag.py")]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="module")
def dag(home: Path) -> dict[str, Any]:
    return facts(home)


@pytest.fixture(scope="module")
def local(home: Path) -> dict[str, Any]:
    return facts(home, **OPTIONS)


def test_it_runs_once_a_day_and_catches_nothing_up(dag: dict[str, Any]) -> None:
    assert dag["schedule"] == "@daily" and dag["start"].startswith("2026-01-01T00:00:00")
    assert dag["catchup"] is False and dag["max_active_runs"] == 1


@pytest.mark.parametrize("options", [{}, OPTIONS, {"RETRIES": "5", "RETRY_SECONDS": "900"}], ids=str)
def test_its_time_limits_add_up(home: Path, options: dict[str, str]) -> None:
    """A run that exceeds its limit is ended without a report, so every task must have failed before that."""
    dag = facts(home, **options)
    last_report = 0.0
    for task in dag["tasks"]:
        # Airflow learns from Databricks that a notebook has ended, also when it waited for compute first.
        assert task["databricks_time_out"] + task["poll_seconds"] + 600 < task["time_out"]
        last_report += (task["retries"] + 1) * task["time_out"] + task["retries"] * task["retry_seconds"]
    assert last_report < dag["time_out"]


def test_its_notebooks_run_in_a_pinned_environment(dag: dict[str, Any]) -> None:
    for task in dag["tasks"]:
        [environment] = task["first"]["environments"]
        assert task["first"]["tasks"][0]["environment_key"] == environment["environment_key"]
        assert int(environment["spec"]["environment_version"]) >= databricks.ENVIRONMENT


def test_it_tells_its_reader_what_it_is(dag: dict[str, Any]) -> None:
    assert dag["tags"] == ["batch", "pinterest"] and "pipeline.retries" in dag["doc"]
    assert {task["owner"] for task in dag["tasks"]} == {"data-engineering"}


def test_two_notebooks_one_after_the_other(dag: dict[str, Any]) -> None:
    assert [(task["id"], task["after"]) for task in dag["tasks"]] == [("clean", []), ("answer", ["clean"])]
    paths = [task["first"]["tasks"][0]["notebook_task"]["notebook_path"] for task in dag["tasks"]]
    assert paths == [f"/Workspace/Shared/x/{name}" for name in ("09_clean_the_batch", "10_answer_questions")]
    for path in paths:
        assert (ROOT / "notebooks" / f"{path.rpartition('/')[2]}.ipynb").exists()


@pytest.mark.parametrize("nth", [0, 1])
def test_a_task_is_a_databricks_run_with_limits(dag: dict[str, Any], nth: int) -> None:
    task = dag["tasks"][nth]
    assert (task["type"], task["connection"]) == ("DatabricksSubmitRunOperator", "databricks_default")
    assert (task["retries"], task["retry_seconds"], task["poll_seconds"]) == (2, 300, 30)
    assert (task["time_out"], task["databricks_time_out"]) == (45 * 60, 30 * 60)
    assert task["callback"] is True
    assert task["first"]["tasks"][0]["task_key"] == task["id"]


def test_options_of_the_environment_reach_it(dag: dict[str, Any], local: dict[str, Any]) -> None:
    assert (dag["id"], local["id"]) == ("pinterest_dag", "ann1_dag")
    task = local["tasks"][0]
    assert (task["retries"], task["retry_seconds"], task["poll_seconds"]) == (1, 2.5, 2)
    given = [one["tasks"][0]["first"]["tasks"][0]["notebook_task"] for one in (dag, local)]
    assert given[0]["base_parameters"] == {"AWS_REGION": "eu-west-1"}
    assert given[1]["base_parameters"] == {"AWS_REGION": "eu-west-1", "PIPELINE_USER": "ann1"}


def test_a_run_is_named_by_the_run_that_it_belongs_to(local: dict[str, Any]) -> None:
    names = [[task[run]["run_name"] for run in ("first", "other")] for task in local["tasks"]]
    assert names == [["ann1_dag.clean r", "ann1_dag.clean s"], ["ann1_dag.answer r", "ann1_dag.answer s"]]


def test_each_try_of_each_task_has_a_token_of_its_own(local: dict[str, Any]) -> None:
    different = ("first", "second", "other", "made_again")
    tokens = [task[how]["idempotency_token"] for task in local["tasks"] for how in different]
    assert len(set(tokens)) == 8 and all(str(uuid.UUID(token)) == token for token in tokens)
    assert all(len(token) <= 64 for token in tokens)
    for task in local["tasks"]:
        assert task["sent_twice"]["idempotency_token"] == task["first"]["idempotency_token"]


def test_a_failure_is_reported_in_one_line(dag: dict[str, Any]) -> None:
    assert dag["reported"] == ["d: t gave up after 3 tries, somebody has to look: why"]


def test_the_file_needs_nothing_of_this_project() -> None:
    text = (ROOT / "dags" / "pinterest_dag.py").read_text()
    assert "helpers" not in text and "local_cloud" not in text


def test_lesson_11_shows_it_whole_in_three_parts() -> None:
    text = (ROOT / "dags" / "pinterest_dag.py").read_text()
    lesson = load(ROOT / "notebooks" / "11_schedule_with_mwaa.ipynb")
    code = "\n".join(cell.text for cell in lesson.code)
    marks = re.search(r'functions, plan = text.index\("(.+)"\), text.index\("(.+)"\)', code)
    assert marks and [text.count(mark) for mark in marks.groups()] == [1, 1]
    first, second = (text.index(mark) for mark in marks.groups())
    for part in (text[:first], text[first:second], text[second:]):
        assert part.count("\n") <= LONGEST_OUTPUT
    for shown in ("text[:functions]", "text[functions:plan]", "text[plan:]"):
        assert f"print({shown}.rstrip())" in code


def test_lesson_11_asks_mwaa_every_five_seconds_on_aws() -> None:
    lesson = load(ROOT / "notebooks" / "11_schedule_with_mwaa.ipynb")
    code = "\n".join(cell.text for cell in lesson.code)
    assert 'EVERY = 5 if cloud.target == "aws"' in code
    waits = re.findall(r"wait\.until\(.+", code)
    assert waits and all("EVERY" in call or "create_environment, " in call for call in waits)


def test_lesson_11_asks_for_the_newest_version_that_mwaa_names_and_says_when_that_was_looked_up() -> None:
    lesson = load(ROOT / "notebooks" / "11_schedule_with_mwaa.ipynb")
    code = "\n".join(cell.text for cell in lesson.code)
    version = re.search(r'AIRFLOW = "([\d.]+)"  # .* on \d+ \w+ 20\d\d', code)
    model = botocore.session.get_session().get_service_model("mwaa")
    told = model.operation_model("CreateEnvironment").input_shape.members["AirflowVersion"].documentation
    assert version and re.findall(r"<code>([\d.]+)</code>", told)[-1] == version[1] == VERSIONS[-1]
