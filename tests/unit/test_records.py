"""Counting what has landed: in S3, where a record in two objects is one, and among the dead letters."""

import io
from types import SimpleNamespace

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from helpers import records
from helpers.names import Names


def test_a_record_in_two_objects_has_landed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = {"topics/u.pin/a": b'{"_offset": 0}\n{"_offset": 1}\n', "topics/u.pin/b": b'{"_offset": 1}\n'}
    s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s")
    monkeypatch.setattr(records.boto3, "client", lambda _: s3)
    with Stubber(s3) as stub:
        for _ in range(2):
            stub.add_response("list_objects_v2", {"Contents": [{"Key": key} for key in objects]})
            for body in objects.values():
                stub.add_response("get_object", {"Body": StreamingBody(io.BytesIO(body), len(body))})
        assert records.landed("bucket", ["u.pin"]) == {"u.pin": 2}
        assert len(records.in_s3("bucket", "topics/u.pin")) == 3


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> dict:
    """What S3, the topics and the client machine's commands say."""
    said: dict = {"in S3": {"u.pin": 3}, "in topics": {"u.pin": 5, "u-dead-letter": 0}, "commands": []}

    def run(command: str) -> str:
        said["commands"].append(command)
        return "      1 u.pin \n      1 u.pin Skipping\n"

    monkeypatch.setattr(records, "landed", lambda bucket, topics: said["in S3"])
    monkeypatch.setattr(
        records, "in_topics", lambda topics: {topic: said["in topics"][topic] for topic in topics}
    )
    monkeypatch.setattr(records.lookup, "cluster", lambda: ("arn", "broker:9098"))
    monkeypatch.setattr(records.client, "run", run)
    monkeypatch.setattr(records.config, "use_target", lambda: SimpleNamespace(names=Names("u")))
    return said


def test_without_dead_letters_the_client_machine_is_not_asked_for_any(stages: dict) -> None:
    stages["in topics"]["u.pin"] = 3
    row = {"in topic": 3, "in S3": 3, "unreadable": 0, "without a value": 0, "missing": 0}
    assert records.wait_landed("bucket", ["u.pin"], seconds=0) == {"u.pin": row}
    assert stages["commands"] == []


def test_a_dead_letter_has_arrived_too(stages: dict) -> None:
    stages["in topics"]["u-dead-letter"] = 2
    row = {"in topic": 5, "in S3": 3, "unreadable": 1, "without a value": 1, "missing": 0}
    assert records.wait_landed("bucket", iter(["u.pin"]), seconds=0) == {"u.pin": row}
    assert "--max-messages 2 " in stages["commands"][0]


def test_what_is_in_neither_is_said_with_the_dead_letter_topics_name(stages: dict) -> None:
    with pytest.raises(TimeoutError, match=r"dead-letter topic u-dead-letter: .*'u\.pin'.*'missing': 2"):
        records.wait_landed("bucket", ["u.pin"], seconds=0)


def test_in_a_workspace_streams_are_read_under_the_service_credential(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    kinesis = boto3.client(
        "kinesis", region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    cloud = SimpleNamespace(kinesis_credential="pins", region="us-east-1")
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "16.4")
    monkeypatch.setattr(records.config, "use_target", lambda: cloud)
    monkeypatch.setattr(
        records.databricks,
        "aws_session",
        lambda *given: asked.extend(given) or SimpleNamespace(client=lambda _: kinesis),
    )
    with Stubber(kinesis) as stub:
        stub.add_response("list_shards", {"Shards": []})
        assert records.in_stream("s") == [] and asked == ["pins", "us-east-1"]
