"""Names that no file and no program can have are refused, and what comes after them goes on."""

import asyncio
from typing import Any

import pytest

from local_cloud.stand_ins.databricks.jobs import Refusal, Workspace
from local_cloud.stand_ins.databricks.runs import Runs
from local_cloud.stand_ins.http import AwsError
from local_cloud.stand_ins.mwaa import airflow_runtime
from local_cloud.stand_ins.ssm.service import Invocation, RunCommand
from local_cloud.state import State
from tests.jvm_servers import new_state


class Bucket:
    """An S3 client of one bucket with odd keys."""

    def __init__(self, keys: list[str]) -> None:
        self.keys, self.got = keys, list[str]()

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: str) -> Any:
        return [{"Contents": [{"Key": key, "ETag": "1"} for key in self.keys]}]

    def download_file(self, _: str, key: str, file: str) -> None:
        with open(file, "w") as written:
            written.write(key)
        self.got.append(key)


def test_the_dag_sync_goes_on_after_a_key_that_cannot_be_a_file(tmp_path, monkeypatch, capsys):
    odd = ["dags/", "dags/a\0b.py", "dags/folder/", f"dags/{'n' * 300}.py", "dags/../../out.py"]
    bucket = Bucket([*odd, "dags/good.py", "dags/folder/good.py"])
    monkeypatch.setattr(airflow_runtime, "client", lambda *_: bucket)
    runtime = airflow_runtime.Runtime(State(tmp_path))
    for _ in range(2):
        runtime.sync("bucket", "dags/")
    assert bucket.got == ["dags/good.py", "dags/folder/good.py"]
    found = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.py"))
    assert found == ["airflow/dags/folder/good.py", "airflow/dags/good.py"]
    assert capsys.readouterr().out.count("cannot be a file here") == 2  # said once each


@pytest.mark.parametrize(
    "given", [{"commands": ["echo a\0b"]}, {"commands": ["ls"], "workingDirectory": ["/\0"]}]
)
def test_run_command_refuses_a_nul(tmp_path, given):
    asked = {"DocumentName": "AWS-RunShellScript", "InstanceIds": ["i-1"], "Parameters": given}
    with pytest.raises(AwsError, match="NUL"):
        RunCommand(State(tmp_path)).handle("SendCommand", asked)


def test_a_notebook_path_with_a_nul_is_refused():
    task = {"task_key": "a", "notebook_task": {"notebook_path": "/Shared/a\0b"}}
    with pytest.raises(Refusal, match="NUL"):
        Workspace.submit(None, {"tasks": [task]})  # type: ignore[arg-type]  # refused before anything is kept


def test_a_command_that_no_program_can_be_given_has_failed(tmp_path):
    one = Invocation("c", "i-1", "", "role", "echo \ud800", str(tmp_path), 10)
    RunCommand(new_state(tmp_path / "state"))._run(one)
    assert one.status == "Failed" and one.ended and "surrogates" in one.err


def test_a_run_of_a_path_that_no_file_can_have_has_failed(tmp_path):
    runs = Runs(tmp_path / "runs", {"/Shared": tmp_path})

    async def ended(path: str) -> Any:
        wanted = {"name": "a run", "key": "a", "path": path, "parameters": {}, "seconds": 0, "token": ""}
        run = runs.submit(wanted)
        await runs.tasks[run["run_id"]]
        return run

    for path in (f"/Shared/{'a' * 300}", "/Shared/a\ud800"):
        assert asyncio.run(ended(path))["result"] == "FAILED"
