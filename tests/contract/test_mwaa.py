"""boto3.client("mwaa") drives the real Airflow, whose DAG drives the Databricks stand-in.

The first part makes calls that AWS refuses and starts nothing; the second runs the project's own DAG.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import nbformat
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_cloud import supervise
from local_cloud.cloud import bring_up
from local_cloud.parts import airflow, all_parts, aws, databricks
from local_cloud.state import ROOT, State
from tests.jvm_servers import new_state

NAME, BUCKET, ROLE, USER = "p-1-airflow", "user-1-bucket", "1-mwaa-role", "1abc"
DAG = f"{USER}_dag"
SERVICES = ["airflow.amazonaws.com", "airflow-env.amazonaws.com"]
READS = {
    "Effect": "Allow",
    "Action": ["s3:GetObject*", "s3:GetBucket*", "s3:List*"],
    "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
}
OPTIONS = {"retries": "1", "retry_seconds": "1", "poll_seconds": "1", "user_id": USER}
OTHER = """
from datetime import datetime
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
with DAG("other", schedule=None, start_date=datetime(2026, 1, 1)):
    EmptyOperator(task_id="nothing")
"""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    """A supervised cloud with the parts that MWAA needs; Airflow itself is off."""
    state = new_state(tmp_path_factory.mktemp("mwaa"))
    parts = [part for part in all_parts(state) if part.name in ("aws", "kafka", "control", "databricks")]
    supervise.launch(state, [*parts, *airflow.parts(state)])
    try:
        for part in parts:
            bring_up(state, part)
        yield state
    finally:
        supervise.shut_down(state)


@pytest.fixture(scope="module")
def mwaa(state: State) -> Any:
    return boto3.client(
        "mwaa",
        endpoint_url=f"http://127.0.0.1:{state.port('control')}",
        region_name=aws.REGION,
        aws_access_key_id=state.secret("reader_key_id"),
        aws_secret_access_key=state.secret("reader_secret"),
        config=Config(retries={"total_max_attempts": 1}, inject_host_prefix=False),
    )


def make_role(state: State, name: str, services: list[str], *rights: dict[str, Any]) -> str:
    iam = aws.client(state, "iam")
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": services}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    if rights:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(rights)})
        iam.put_role_policy(RoleName=name, PolicyName="airflow", PolicyDocument=document)
    return str(role)


def make_bucket(state: State, name: str, versions: bool = True, private: bool = True) -> None:
    s3 = aws.client(state, "s3")
    s3.create_bucket(Bucket=name)
    if versions:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    if private is not None:
        names = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"]
        blocks = dict.fromkeys(names, True) | {"BlockPublicAcls": private}
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=blocks)
    s3.upload_file(str(ROOT / "dags" / "pinterest_dag.py"), name, "dags/pinterest_dag.py")
    s3.put_object(Bucket=name, Key="requirements.txt", Body=b"apache-airflow-providers-databricks\n")


@pytest.fixture(scope="module")
def asked(state: State) -> dict[str, Any]:
    """The parameters of a CreateEnvironment that works."""
    make_bucket(state, BUCKET)
    ec2 = aws.client(state, "ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{nth}.0/24", AvailabilityZone=f"us-east-1{zone}")
        for nth, zone in enumerate("aab")
    ]
    ids = [subnet["Subnet"]["SubnetId"] for subnet in subnets]
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    return {
        "Name": NAME,
        "SourceBucketArn": f"arn:aws:s3:::{BUCKET}",
        "DagS3Path": "dags",
        "RequirementsS3Path": "requirements.txt",
        "ExecutionRoleArn": make_role(state, ROLE, SERVICES, READS),
        "NetworkConfiguration": {"SubnetIds": ids[1:], "SecurityGroupIds": [group]},
        "AirflowVersion": "3.0.6",
        "EnvironmentClass": "mw1.small",
        "WebserverAccessMode": "PUBLIC_ONLY",
        "AirflowConfigurationOptions": {f"pipeline.{name}": value for name, value in OPTIONS.items()},
        "Tags": {"project": "p"},
        "_zone": ids[:2],
    }


def refusal(call: Callable[..., Any], **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def network(asked: dict[str, Any], *subnets: str) -> dict[str, Any]:
    return {"NetworkConfiguration": asked["NetworkConfiguration"] | {"SubnetIds": list(subnets)}}


def given(asked: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**asked, **changes}.items() if not name.startswith("_")}


def test_what_create_refuses_at_once(state, mwaa, asked):
    def create(**changes: Any) -> str:
        code, message = refusal(mwaa.create_environment, **given(asked, **changes))
        assert code == "ValidationException" and mwaa.list_environments()["Environments"] == []
        return message

    one, two = asked["NetworkConfiguration"]["SubnetIds"]
    assert "begins with a letter" in create(Name="1-airflow")
    assert "begins with a letter" in create(Name="a" * 81)
    assert "begins with a letter" in create(Name="caf\N{LATIN SMALL LETTER E WITH ACUTE}")
    assert "AirflowVersion" in create(AirflowVersion="9.9.9")
    assert "exactly two" in create(**network(asked, one, two, "subnet-3"))
    assert "subnet-none" in create(**network(asked, one, "subnet-none"))
    assert "two availability zones" in create(**network(asked, *asked["_zone"]))
    assert "two availability zones" in create(**network(asked, one, one))
    assert "does not trust" in create(ExecutionRoleArn=make_role(state, "other", SERVICES[:1], READS))
    assert "sufficient permissions" in create(ExecutionRoleArn=make_role(state, "weak", SERVICES))
    assert "NoSuchEntity" in create(ExecutionRoleArn="arn:aws:iam::000000000000:role/none")
    assert "NoSuchBucket" in create(SourceBucketArn="arn:aws:s3:::none")
    assert "nothing at s3 location" in create(DagS3Path="elsewhere")
    assert "nothing at s3 location" in create(RequirementsS3Path="none.txt")
    make_bucket(state, "plain", versions=False)
    assert "versioning" in create(SourceBucketArn="arn:aws:s3:::plain")
    make_bucket(state, "half-open", private=False)
    assert "BlockPublicAccess" in create(SourceBucketArn="arn:aws:s3:::half-open")
    aws.client(state, "s3").delete_public_access_block(Bucket="half-open")
    assert "BlockPublicAccess" in create(SourceBucketArn="arn:aws:s3:::half-open")


def test_unknown_environments_and_operations(state, mwaa):
    for call in (mwaa.get_environment, mwaa.delete_environment, mwaa.create_web_login_token):
        assert refusal(call, Name="none")[0] == "ResourceNotFoundException"
    asked = {"Name": "none", "Method": "GET", "Path": "/dags"}
    assert refusal(mwaa.invoke_rest_api, **asked)[0] == "ResourceNotFoundException"
    assert "does not do mwaa.CreateCliToken" in refusal(mwaa.create_cli_token, Name="none")[1]
    assert "does not do mwaa.UpdateEnvironment" in refusal(mwaa.update_environment, Name="none")[1]
    arn = f"arn:aws:airflow:us-east-1:000000000000:environment/{NAME}"
    assert "does not do mwaa.ListTags" in refusal(mwaa.list_tags_for_resource, ResourceArn=arn)[1]
    wrong = boto3.client(
        "mwaa",
        endpoint_url=f"http://127.0.0.1:{state.port('control')}",
        region_name=aws.REGION,
        aws_access_key_id=state.secret("reader_key_id"),
        aws_secret_access_key="0" * 40,
        config=Config(inject_host_prefix=False),
    )
    assert refusal(wrong.list_environments)[0] == "InvalidSignatureException"


def status(mwaa: Any, *wanted: str, seconds: float = 120) -> dict[str, Any]:
    until = time.monotonic() + seconds
    while (found := mwaa.get_environment(Name=NAME)["Environment"])["Status"] not in wanted:
        assert time.monotonic() < until, found
        time.sleep(0.3)
    return dict(found)


def deleted(mwaa: Any) -> None:
    mwaa.delete_environment(Name=NAME)
    until = time.monotonic() + 60
    while NAME in mwaa.list_environments()["Environments"]:
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_creation_that_fails_says_why(state, mwaa, asked):
    broken = {"AirflowConfigurationOptions": {"logging.logging_level": "nonsense"}}
    mwaa.create_environment(**given(asked, **broken))
    found = status(mwaa, "CREATE_FAILED")
    assert found["LastUpdate"]["Status"] == "FAILED" and found["LastUpdate"]["Error"]["ErrorMessage"]
    asked = {"Name": NAME, "Method": "GET", "Path": "/dags"}
    assert refusal(mwaa.invoke_rest_api, **asked)[0] == "AccessDeniedException"
    deleted(mwaa)
    assert not airflow.home(state).exists()


class Airflow:
    """The environment with its REST API, and the Databricks workspace beside it."""

    def __init__(self, state: State, mwaa: Any) -> None:
        self.state, self.mwaa = state, mwaa

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        asked = {"Name": NAME, "Method": method, "Path": path, "QueryParameters": query}
        return self.mwaa.invoke_rest_api(**asked, **({} if body is None else {"Body": body}))[
            "RestApiResponse"
        ]

    def trigger(self, run: str) -> None:
        self.call("POST", f"/dags/{DAG}/dagRuns", {"dag_run_id": run, "logical_date": None})

    def wait(self, run: str, *states: str, seconds: float = 60) -> dict[str, tuple[str, int]]:
        """Wait for a state of a DAG run; its tasks' states and tries."""
        until = time.monotonic() + seconds
        while True:
            runs = self.call("GET", f"/dags/{DAG}/dagRuns", order_by="-run_after")["dag_runs"]
            found = [one for one in runs if one["dag_run_id"].startswith(run)]
            if found and found[0]["state"] in states:
                break
            assert time.monotonic() < until, runs
            time.sleep(0.3)
        tasks = self.call("GET", f"/dags/{DAG}/dagRuns/~/taskInstances", limit=100)["task_instances"]
        ours = [task for task in tasks if task["dag_run_id"] == found[0]["dag_run_id"]]
        return {task["task_id"]: (task["state"], task["try_number"]) for task in ours}

    def databricks(self, most: int) -> list[tuple[str, str]]:
        """Task and result of the workspace's latest runs, the oldest of them first."""
        url = f"http://127.0.0.1:{self.state.port('databricks')}/api/2.2/jobs/runs/list?limit={most}"
        login = {"Authorization": f"Bearer {self.state.secret('databricks_token')}"}
        with urllib.request.urlopen(urllib.request.Request(url, headers=login), timeout=10) as answer:
            runs = json.load(answer)["runs"][::-1]
        return [(run["run_name"], run["state"].get("result_state", "")) for run in runs]

    def notebooks(self, clean: str, answer: str = "1 + 1") -> None:
        """What the two notebooks of the workspace do."""
        folder = databricks.folders(self.state)[databricks.OWN_FOLDER]
        for name, code in {"09_clean_the_batch": clean, "10_answer_questions": answer}.items():
            book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
            nbformat.write(book, folder / f"{name}.ipynb")


@pytest.fixture(scope="module")
def running(state: State, mwaa: Any, asked: dict[str, Any]) -> Iterator[Airflow]:
    made = mwaa.create_environment(**given(asked))
    assert made["Arn"].endswith(f"environment/{NAME}")
    assert status(mwaa, "CREATING")["LastUpdate"]["Status"] == "PENDING"
    began = time.monotonic()
    found = status(mwaa, "AVAILABLE", "CREATE_FAILED")
    assert found["Status"] == "AVAILABLE", found
    assert time.monotonic() - began < 120
    us = Airflow(state, mwaa)
    host, port = "127.0.0.1", state.port("databricks")
    connection = {"connection_id": "databricks_default", "conn_type": "databricks", "schema": "http"}
    connection |= {"host": host, "port": port, "password": state.secret("databricks_token")}
    folder = {"key": "pinterest_notebooks", "value": f"/Workspace{databricks.OWN_FOLDER}"}
    us.call("POST", "/connections", connection)
    us.call("POST", "/variables", folder)
    yield us
    deleted(mwaa)
    assert not any(supervise.status(state)[part]["pid"] for part in airflow.COMMANDS)
    assert not airflow.home(state).exists()


def test_an_environment_is_what_was_asked_for(running, mwaa, asked):
    found = mwaa.get_environment(Name=NAME)["Environment"]
    same = ("AirflowVersion", "NetworkConfiguration", "Tags", "ExecutionRoleArn", "DagS3Path")
    assert {name: found[name] for name in same} == {name: asked[name] for name in same}
    assert found["CreatedAt"].tzinfo is not None
    assert "runs one environment" in refusal(mwaa.create_environment, **given(asked, Name="second"))[1]


def test_airflow_says_what_it_refuses(running, mwaa):
    with pytest.raises(mwaa.exceptions.RestApiClientException) as caught:
        running.call("GET", "/dags/none")
    assert caught.value.response["RestApiStatusCode"] == 404
    assert "none" in caught.value.response["RestApiResponse"]["detail"]
    for path in ("dags", "/../auth/token", "/dags/" + "x" * 60):
        asked = {"Name": NAME, "Method": "GET", "Path": path}
        assert refusal(mwaa.invoke_rest_api, **asked)[0] == "ValidationException"


def test_a_stranger_gets_nothing_and_a_web_token_opens(running, state, mwaa):
    token = mwaa.create_web_login_token(Name=NAME)
    base = f"http://{token['WebServerHostname']}"
    with urllib.request.urlopen(f"{base}/aws_mwaa/aws-console-sso", timeout=10) as page:
        assert token["WebToken"] not in page.read().decode()
    for path, how in (("/auth/token", "GET"), ("/auth/token", "POST"), ("/api/v2/connections", "GET")):
        request = urllib.request.Request(f"{base}{path}", method=how, data=b"{}" if how == "POST" else None)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)
        assert caught.value.code in (400, 401, 403, 415, 422), path
    for path in ("/", "/api/v2/version", "/api/v2/monitor/health", "/aws_mwaa/aws-console-sso"):
        request = urllib.request.Request(f"{base}{path}", headers={"Host": "attacker.example"})
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)
        assert caught.value.code == 400, path
    cookie = {"Cookie": f"_token={token['WebToken']}"}
    request = urllib.request.Request(f"{base}/api/v2/connections", headers=cookie)
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read().decode()
    assert "databricks_default" in text and state.secret("databricks_token") not in text


def test_a_scheduled_run(running):
    running.notebooks("import os\nassert os.environ['PIPELINE_USER'] == '1abc'")
    assert running.call("GET", f"/dags/{DAG}")["is_paused"] is True
    running.call("PATCH", f"/dags/{DAG}", {"is_paused": False})
    tasks = running.wait("scheduled__", "success", "failed")
    assert tasks == {"clean": ("success", 1), "answer": ("success", 1)}
    [first, second] = running.databricks(2)
    assert first[0].startswith(f"{DAG}.clean scheduled__")
    assert second[0].startswith(f"{DAG}.answer scheduled__")
    assert (first[1], second[1]) == ("SUCCESS", "SUCCESS")


def test_a_run_that_is_retried(running, tmp_path):
    tried = f"import pathlib\ntried = pathlib.Path({str(tmp_path / 'tried')!r})\n"
    running.notebooks(f"{tried}if not tried.exists():\n    tried.touch()\n    raise ValueError('first time')")
    running.trigger("again")
    tasks = running.wait("again", "success", "failed")
    assert tasks == {"clean": ("success", 2), "answer": ("success", 1)}
    assert [result for _, result in running.databricks(3)] == ["FAILED", "SUCCESS", "SUCCESS"]


def test_a_run_that_fails_is_reported(running):
    running.notebooks("raise ValueError('no such column')")
    running.trigger("bad")
    tasks = running.wait("bad", "success", "failed")
    assert tasks == {"clean": ("failed", 2), "answer": ("upstream_failed", 0)}
    assert [result for _, result in running.databricks(2)] == ["FAILED", "FAILED"]
    log = running.call("GET", f"/dags/{DAG}/dagRuns/bad/taskInstances/clean/logs/2")["content"]
    said = [line["event"] for line in log if "gave up" in line["event"]]
    assert len(said) == 1 and said[0].startswith(f"{DAG}: clean gave up after 2 tries")
    assert "ValueError: no such column" in said[0]


def test_a_run_that_is_stopped_stops_the_notebook(running):
    running.notebooks("import time\ntime.sleep(600)")
    running.trigger("stop")
    until = time.monotonic() + 30
    while running.databricks(1)[0][1] != "":
        assert time.monotonic() < until
        time.sleep(0.3)
    running.call("PATCH", f"/dags/{DAG}/dagRuns/stop", {"state": "failed"})
    while running.databricks(1)[0][1] == "":
        assert time.monotonic() < until + 30
        time.sleep(0.3)
    assert running.databricks(1)[0][1] == "CANCELED"
    assert running.wait("stop", "failed")["clean"][0] in ("failed", "skipped")


def test_the_dag_folder_follows_the_bucket(running, state):
    s3 = aws.client(state, "s3")
    folder = airflow.home(state) / "dags"
    for key, body in (("dags/sub/other.py", OTHER), ("dags/../../escaped.py", OTHER)):
        s3.put_object(Bucket=BUCKET, Key=key, Body=body.encode())
    until = time.monotonic() + 60
    while True:
        try:
            assert running.call("GET", "/dags/other")["dag_id"] == "other"
            break
        except ClientError:
            assert time.monotonic() < until
            time.sleep(0.5)
    assert not (state.home / "escaped.py").exists() and not (folder.parent.parent / "escaped.py").exists()
    s3.delete_object(Bucket=BUCKET, Key="dags/sub/other.py")
    while (folder / "sub" / "other.py").exists():
        assert time.monotonic() < until
        time.sleep(0.2)
    s3.put_object(Bucket=BUCKET, Key="dags/sub/other.py", Body=OTHER.encode())  # the very same, back again
    while not (folder / "sub" / "other.py").exists():
        assert time.monotonic() < until
        time.sleep(0.2)
    assert (folder / "pinterest_dag.py").read_text() == (ROOT / "dags" / "pinterest_dag.py").read_text()


def test_up_starts_it_again_and_control_remembers_it(running, state, mwaa):
    assert all(part.autostart for part in airflow.parts(state))
    supervise.stop(state, "control")
    [control] = [part for part in all_parts(state) if part.name == "control"]
    bring_up(state, control)
    assert mwaa.get_environment(Name=NAME)["Environment"]["Status"] == "AVAILABLE"
    assert running.call("GET", f"/dags/{DAG}")["dag_id"] == DAG
