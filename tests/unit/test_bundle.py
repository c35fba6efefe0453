"""databricks.yml against what Databricks documents of bundles, as far as no workspace is needed."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers import config, databricks
from helpers.names import Names
from runner import wheel
from tests.bare import nothing_set
from tests.databricks import inside
from tests.style.notebook_rules import ROOT

FILE = ROOT / "databricks.yml"
TEXT = FILE.read_text(encoding="utf-8")
BUNDLE = yaml.safe_load(TEXT)
JOB = BUNDLE["resources"]["jobs"]["clean_and_answer"]
TASKS = JOB["tasks"]
# Fields of the configuration reference and of the Jobs API that this bundle could use. `*` is any name.
TASK = {
    "task_key": str,
    "description": str,
    "depends_on": [{"task_key": str, "outcome": str}],
    "run_if": str,
    "notebook_task": {
        "notebook_path": str,
        "base_parameters": {"*": str},
        "source": str,
        "warehouse_id": str,
    },
    "environment_key": str,
    "timeout_seconds": int,
    "max_retries": int,
    "min_retry_interval_millis": int,
    "retry_on_timeout": bool,
    "disable_auto_optimization": bool,
}
FIELDS = {
    "bundle": {"name": str, "databricks_cli_version": str},
    "variables": {"*": {"description": str, "default": str}},
    "sync": {"paths": [str], "include": [str], "exclude": [str]},
    "artifacts": {
        "*": {
            "type": str,
            "build": str,
            "path": str,
            "executable": str,
            "dynamic_version": bool,
            "files": [{"source": str}],
        }
    },
    "resources": {
        "jobs": {
            "*": {
                "name": str,
                "description": str,
                "tags": {"*": str},
                "max_concurrent_runs": int,
                "timeout_seconds": int,
                "schedule": {"quartz_cron_expression": str, "timezone_id": str, "pause_status": str},
                "email_notifications": {
                    "on_start": [str],
                    "on_success": [str],
                    "on_failure": [str],
                    "on_duration_warning_threshold_exceeded": [str],
                },
                "parameters": [{"name": str, "default": str}],
                "environments": [
                    {"environment_key": str, "spec": {"environment_version": str, "dependencies": [str]}}
                ],
                "tasks": [TASK],
                "performance_target": str,
                "queue": {"enabled": bool},
            }
        }
    },
    "targets": {
        "*": {
            "mode": str,
            "default": bool,
            "workspace": {"root_path": str, "file_path": str},
            "variables": {"*": str},
            "run_as": {"user_name": str, "service_principal_name": str},
        }
    },
}
# What the command line of Databricks puts in by itself.
KNOWN = {
    "workspace.file_path": "/Workspace/Users/reader/.bundle/pinterest_pipeline/dev/files",
    "workspace.current_user.userName": "reader",
}


def misfits(value: Any, shape: Any, path: str = "") -> list[str]:
    """Where a value differs from the documented shape: unknown fields, wrong types."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{path}: no mapping"]
        known = {key: shape.get(key, shape.get("*")) for key in value}
        wrong = [f"{path}.{key}: no such field" for key, inner in known.items() if inner is None]
        return wrong + [
            m for key, inner in known.items() if inner for m in misfits(value[key], inner, f"{path}.{key}")
        ]
    if isinstance(shape, list):
        if not isinstance(value, list) or not value:
            return [f"{path}: no list, or an empty one"]
        return [m for number, one in enumerate(value) for m in misfits(one, shape[0], f"{path}[{number}]")]
    return [] if type(value) is shape else [f"{path}: {value!r} is no {shape.__name__}"]


def leaves(value: Any) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from leaves(one)
    elif isinstance(value, str):
        yield value


def resolved(value: str, target: str, rounds: int = 5) -> str:
    """The text with its references filled in, as for one target; KeyError for an unknown one."""
    own = BUNDLE["targets"][target].get("variables", {})
    variables = {
        f"var.{name}": own.get(name, given["default"]) for name, given in BUNDLE["variables"].items()
    }
    known = {**KNOWN, **variables, "bundle.name": BUNDLE["bundle"]["name"], "bundle.target": target}
    for _ in range(rounds):
        value = re.sub(r"\$\{([^}]*)\}", lambda found: known[found[1]], value)
    assert "${" not in value, value
    return value


def test_every_field_is_documented_and_of_its_type() -> None:
    assert misfits(BUNDLE, FIELDS) == []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda job: job.update(retries=2), ".retries: no such field"),
        (lambda job: job.update(new_cluster={}), ".new_cluster: no such field"),
        (lambda job: job.update(max_concurrent_runs="1"), "'1' is no int"),
        (lambda job: job["environments"][0]["spec"].update(environment_version=4), "4 is no str"),
        (lambda job: job.update(tasks=[]), ".tasks: no list, or an empty one"),
        (lambda job: job.update(tags="x"), ".tags: no mapping"),
    ],
)
def test_a_field_that_is_not_documented_is_seen(spoil: Any, said: str) -> None:
    spoiled = yaml.safe_load(TEXT)
    spoil(spoiled["resources"]["jobs"]["clean_and_answer"])
    assert [line for line in misfits(spoiled, FIELDS) if said in line] != []


def test_two_notebooks_one_after_the_other() -> None:
    paths = [task["notebook_task"]["notebook_path"] for task in TASKS]
    assert paths == ["./notebooks/09_clean_the_batch.ipynb", "./notebooks/10_answer_questions.ipynb"]
    assert all((ROOT / path).is_file() for path in paths)


def test_every_key_that_is_named_exists_and_comes_before() -> None:
    keys = [task["task_key"] for task in TASKS]
    assert len(set(keys)) == len(keys)
    for number, task in enumerate(TASKS):
        assert {one["task_key"] for one in task.get("depends_on", [])} <= set(keys[:number])
    assert TASKS[1]["depends_on"] == [{"task_key": keys[0]}]
    environments = [one["environment_key"] for one in JOB["environments"]]
    assert {task["environment_key"] for task in TASKS} == set(environments)


def test_it_runs_daily_once_at_a_time_and_not_before_it_is_told_to() -> None:
    # A deployment sets the pause status anew, so one that is changed in the workspace does not last.
    status = {target: resolved(JOB["schedule"]["pause_status"], target) for target in BUNDLE["targets"]}
    assert status == {"dev": "PAUSED", "prod": "UNPAUSED"}
    assert re.fullmatch(r"0 \d{1,2} \d{1,2} \* \* \?", JOB["schedule"]["quartz_cron_expression"])
    assert (JOB["schedule"]["timezone_id"], JOB["max_concurrent_runs"]) == ("UTC", 1)
    for task in TASKS:
        assert 0 < task["timeout_seconds"] < JOB["timeout_seconds"]
        assert 1 <= task["max_retries"] <= 3 and task["min_retry_interval_millis"] >= 10_000


def test_targets_are_the_documented_modes_and_one_is_the_default() -> None:
    targets = BUNDLE["targets"]
    assert {name: target["mode"] for name, target in targets.items()} == {
        "dev": "development",
        "prod": "production",
    }
    assert [name for name, target in targets.items() if target.get("default")] == ["dev"]
    # In production mode the root must be of one owner and one target, or a deployment is refused.
    root = targets["prod"]["workspace"]["root_path"]
    assert "${workspace.current_user.userName}" in root and "${bundle.target}" in root


def test_in_production_it_runs_as_somebody_and_somebody_hears_of_a_failure() -> None:
    assert resolved(BUNDLE["targets"]["prod"]["run_as"]["user_name"], "prod") == "reader"
    assert [resolved(one, "prod") for one in JOB["email_notifications"]["on_failure"]] == ["reader"]
    assert "run_as" not in BUNDLE["targets"]["dev"]  # there it runs as the one who deploys it


def test_the_oldest_command_line_knows_what_is_used() -> None:
    (oldest,) = re.findall(r"^>= (\d+)\.(\d+)\.(\d+)$", BUNDLE["bundle"]["databricks_cli_version"])
    assert tuple(map(int, oldest)) >= (0, 260, 0)  # dynamic_version came with 0.245, the glob later
    assert BUNDLE["artifacts"]["helpers"]["dynamic_version"] is True


def test_the_environment_is_one_that_the_lessons_take(tmp_path: Path) -> None:
    version = JOB["environments"][0]["spec"]["environment_version"]
    assert int(version) >= databricks.ENVIRONMENT
    with nothing_set(tmp_path) as patch:
        patch.setenv("DATABRICKS_RUNTIME_VERSION", f"client.{version}.1")
        assert databricks.too_old() == ""


def test_the_fallback_stands_beside_what_is_not_settled() -> None:
    before = TEXT.partition("      environments:")[0].rpartition("      parameters:")[2]
    assert "environment_key" in before and "%pip install" in before and "runner.single" in before


@pytest.mark.parametrize("target", ["dev", "prod"])
def test_every_reference_resolves(target: str) -> None:
    assert not [text for text in leaves(BUNDLE) if "${" in resolved(text, target)]
    used = set(re.findall(r"\$\{var\.(\w+)\}", TEXT))
    assert used == set(BUNDLE["variables"])


def test_the_last_lesson_finds_the_job_by_its_tag() -> None:
    tag = {key: value.replace("${var.user_id}", "bob42") for key, value in JOB["tags"].items()}
    assert tag == Names("bob42").tags


def test_an_unknown_reference_is_seen() -> None:
    with pytest.raises(KeyError):
        resolved("${var.no_such_variable}", "dev")


def test_no_host_account_person_or_path_of_a_computer() -> None:
    assert (
        re.findall(r"https?:|\.databricks\.com|azuredatabricks|\d{12,}|\S@\S|/home/|/Users/(?!\$)", TEXT)
        == []
    )
    assert not {"host", "profile", "account_id"} & set(re.findall(r"(\w+):", TEXT))
    given = re.findall(r"^ *(?:run_as|user_name|notify|default): *(\S*@\S*|\w+\.\w+)$", TEXT, re.MULTILINE)
    assert given == []  # people are variables


def test_parameters_are_settings_and_the_samples_reach_spark(tmp_path: Path) -> None:
    given = {one["name"]: resolved(one["default"], "dev") for one in JOB["parameters"]}
    assert set(given) <= set(config.PARAMETERS)
    deployed = tmp_path / "files"
    (deployed / "data_samples").mkdir(parents=True)
    (deployed / "data_samples" / "topics").symlink_to(ROOT / "data_samples" / "topics")
    given["RAW_PATH"] = given["RAW_PATH"].replace(KNOWN["workspace.file_path"], str(deployed))
    with nothing_set(tmp_path), inside(tmp_path, given) as session:
        cloud = config.use_target()
        copy = Path(cloud.raw_path("pin"))
        assert cloud.user_id.startswith("annabee")  # a colleague has other tables
        assert (cloud.catalog, cloud.schema) == ("workspace", "default")
        assert sorted(file.name for file in copy.rglob("*.gz")) == sorted(
            file.name for file in (ROOT / "data_samples/topics/pin").rglob("*.gz")
        )
    assert session.said == [
        "SELECT current_user()",
        f"CREATE VOLUME IF NOT EXISTS `workspace`.`default`.`{cloud.user_id}_files`",
    ]


def test_without_a_raw_path_the_job_reads_the_bucket(tmp_path: Path) -> None:
    given = {one["name"]: resolved(one["default"], "dev") for one in JOB["parameters"]}
    given |= {"RAW_PATH": "", "PIPELINE_USER": "bob42"}
    with nothing_set(tmp_path), inside(tmp_path, given):
        assert config.use_target().raw_path("pin") == "s3://user-bob42-bucket/topics/bob42.pin"


def test_only_notebooks_and_samples_go_up() -> None:
    paths = BUNDLE["sync"]["paths"]
    assert paths == ["./notebooks", "./data_samples/topics"]
    assert all((ROOT / path).is_dir() for path in paths)
    assert "/data_samples/topics" in BUNDLE["variables"]["raw_path"]["default"]


def built(folder: Path) -> Path:
    """The wheel, built by the bundle's own command into a folder, by a Python without any package."""
    command = BUNDLE["artifacts"]["helpers"]["build"].split()
    assert command[0] == "python3" and command[-1] == "dist"
    bare = {**os.environ, "PYTHONPATH": ""}
    subprocess.run(
        [sys.executable, "-S", *command[1:-1], str(folder)],
        cwd=ROOT,
        env=bare,
        check=True,
        capture_output=True,
    )
    (file,) = folder.glob("*.whl")
    return file


def test_the_wheel_installs_and_the_helpers_import_from_it(tmp_path: Path) -> None:
    file = built(tmp_path / "dist")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target"]
    subprocess.run([*install, str(tmp_path / "there"), str(file)], check=True, capture_output=True)
    names = sorted(path.name for path in (tmp_path / "there" / "helpers").glob("*.py"))
    assert names == sorted(path.name for path in (ROOT / "helpers").glob("*.py"))
    found = subprocess.run(
        [sys.executable, "-S", "-c", "from helpers import config; print(config.ROOT)"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "there")},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert found.stdout.strip() == str(tmp_path / "there")


def test_the_job_installs_the_wheel_that_is_built(tmp_path: Path) -> None:
    artifact = BUNDLE["artifacts"]["helpers"]
    assert (artifact["type"], artifact["path"]) == ("whl", ".")
    assert [one["source"] for one in artifact["files"]] == ["./dist/*.whl"]
    assert JOB["environments"][0]["spec"]["dependencies"] == ["./dist/*.whl"]
    assert re.search(r"^dist/$", (ROOT / ".gitignore").read_text(), flags=re.MULTILINE)
    wheel.main([str(tmp_path)])
    assert re.fullmatch(r"pinterest_helpers-\d+\.\d+\.\d+-py3-none-any\.whl", next(tmp_path.iterdir()).name)
