"""What lesson 17 finds, in which order it deletes and what it charges, without a server."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from helpers.client import CommandError
from helpers.config import ConfigError
from helpers.names import Names
from tear_down import deleting, finding, kinds
from tear_down.finding import Thing

MINE = Names("abc123")
OURS = [{"Key": "project", "Value": "pinterest-pipeline-abc123"}, {"Key": "Name", "Value": "p-abc123-vpc"}]
# What AWS itself refuses, from its documentation: the first cannot go while the second is there.
REFUSED_BY_AWS = [
    ("VPC", "subnet"),
    ("VPC", "security group"),
    ("VPC", "internet gateway"),
    ("VPC", "route table"),
    ("VPC", "VPC endpoint"),
    ("subnet", "instance"),
    ("subnet", "NAT gateway"),
    ("subnet", "load balancer"),
    ("subnet", "VPC link"),
    ("security group", "load balancer"),
    ("bucket", "Delta table"),
    ("Delta table", "job"),
    ("job", "environment"),
    ("subnet", "cluster"),
    ("subnet", "connector"),
    ("subnet", "environment"),
    ("security group", "environment"),
    ("log group", "environment"),  # it would come back
    ("security group", "rule"),
    ("security group", "cluster"),
    ("security group", "load balancer"),
    ("security group", "connector"),
    ("internet gateway", "elastic IP"),
    ("internet gateway", "NAT gateway"),
    ("elastic IP", "NAT gateway"),
    ("target group", "load balancer"),
    ("role", "instance profile"),
    ("role", "connector"),
    ("plugin", "connector"),
    ("worker configuration", "connector"),
    ("REST API", "usage plan"),
    ("VPC link", "REST API"),
    ("instance", "topic"),
    ("cluster", "topic"),
    ("topic", "connector"),
]


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "DeleteVpc")


def test_what_a_kind_needs_is_a_kind() -> None:
    assert {need for needed in kinds.needs().values() for need in needed} <= set(kinds.KINDS)
    assert set(kinds.order()) == set(kinds.KINDS)


@pytest.mark.parametrize(("later", "first"), REFUSED_BY_AWS, ids=lambda kind: kind.replace(" ", "_"))
def test_order_is_one_that_aws_accepts(later: str, first: str) -> None:
    order = kinds.order()
    assert order.index(first) < order.index(later)


def answers(monkeypatch: pytest.MonkeyPatch, items: list[dict[str, Any]]) -> None:
    monkeypatch.setattr(finding, "listed", lambda *call, **params: items)


def test_by_tag_leaves_what_others_made(monkeypatch: pytest.MonkeyPatch) -> None:
    other = [{"Key": "project", "Value": "pinterest-pipeline-abc1234"}, OURS[1]]
    answers(
        monkeypatch, [{"VpcId": "vpc-1", "Tags": OURS}, {"VpcId": "vpc-2", "Tags": other}, {"VpcId": "vpc-3"}]
    )
    assert [thing.id for thing in kinds.find("VPC", MINE)] == ["vpc-1"]
    assert kinds.find("VPC", MINE)[0].name == "p-abc123-vpc"


def test_terminated_instances_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"i-1": "terminated", "i-2": "shutting-down", "i-3": "running"}
    machines = [{"InstanceId": i, "State": {"Name": state}, "Tags": OURS} for i, state in states.items()]
    answers(monkeypatch, [{"Instances": machines}])
    assert [thing.id for thing in kinds.find("instance", MINE)] == ["i-2", "i-3"]


@pytest.mark.parametrize(
    ("name", "ours"), [("abc123-connector", True), ("abc123-trial-1", True), ("abc1234-connector", False)]
)
def test_connectors_are_ours_by_the_whole_id(monkeypatch: pytest.MonkeyPatch, name: str, ours: bool) -> None:
    answers(monkeypatch, [{"connectorName": name, "connectorArn": "arn", "connectorState": "RUNNING"}])
    assert bool(kinds.find("connector", MINE)) is ours


@pytest.mark.parametrize("name", ["p-abc123-airflow", "p-abc1234-airflow", "p-abc123-airflow-2"])
def test_an_environment_is_ours_by_its_whole_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    answers(monkeypatch, [name])
    cloud = Cloud(get_environment={"Environment": {"Status": "DELETING"}})
    monkeypatch.setattr(finding, "aws", lambda service: cloud)
    ours = [Thing(name, name, "deleting")] if name == MINE.environment else []
    assert kinds.find("environment", MINE) == ours
    assert all(thing.state in kinds.LEAVING for thing in ours)


def test_an_environment_that_goes_meanwhile_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, [MINE.environment])
    monkeypatch.setattr(
        finding, "aws", lambda service: Cloud(get_environment=error("ResourceNotFoundException"))
    )
    assert kinds.find("environment", MINE) == []


def test_log_groups_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["airflow-p-abc123-airflow-Task", "airflow-p-abc1234-airflow-Task", "/aws/lambda/other"]
    answers(monkeypatch, [{"logGroupName": name} for name in names])
    assert [thing.id for thing in kinds.find("log group", MINE)] == names[:1]


def test_only_a_group_that_lets_somebody_in_has_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = [
        {"GroupId": "sg-1", "Tags": OURS, "IpPermissions": [{"IpProtocol": "tcp"}]},
        {"GroupId": "sg-2", "Tags": OURS, "IpPermissions": []},
        {"GroupId": "sg-3", "IpPermissions": [{"IpProtocol": "tcp"}]},
    ]
    answers(monkeypatch, groups)
    assert [thing.id for thing in kinds.find("rule", MINE)] == ["sg-1"]


@pytest.mark.parametrize("reason", [ConfigError("no machine"), CommandError(1, "Failed", "no brokers")])
def test_topics_out_of_reach_are_none(monkeypatch: pytest.MonkeyPatch, reason: Exception) -> None:
    def away(name: str) -> str:
        raise reason

    monkeypatch.setattr(finding.lookup, "kafka_tool", away)
    assert kinds.find("topic", MINE) == []


def test_topics_are_ours_by_the_whole_id(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = "abc123.pin\nabc1234.pin\nabc123-dead-letter\n__consumer_offsets"
    monkeypatch.setattr(finding.lookup, "kafka_tool", lambda name: "tool")
    monkeypatch.setattr(finding.client, "run", lambda command: listing)
    assert [topic.name for topic in kinds.find("topic", MINE)] == ["abc123.pin", "abc123-dead-letter"]


def test_table_counts_and_prices_each_kind() -> None:
    streams = [Thing(name, name) for name in ("pin", "geo", "user")]
    found = kinds.table({"stream": streams, "bucket": [Thing("b", "b")]})
    assert found.to_dict("records") == [
        {"service": "kinesis", "kind": "stream", "things": 3, "$ an hour": 0.09},
        {"service": "s3", "kind": "bucket", "things": 1, "$ an hour": 0.0},
    ]
    assert list(kinds.table({}).columns) == ["service", "kind", "things", "$ an hour"]


def test_a_cloud_that_is_away_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(name: str, names: Names) -> list[Thing]:
        raise EndpointConnectionError(endpoint_url="there")

    monkeypatch.setattr(kinds, "find", away)
    with pytest.raises(ConfigError, match="make up"):
        kinds.everything(MINE)


class Workspace:
    """A Databricks workspace that answers with its pages, and notes what it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, target: str = "aws") -> None:
        self.told: list[tuple[str, str, dict[str, Any]]] = []
        self.pages: dict[tuple[str, str], dict[str, Any]] = {}
        settings = {"PIPELINE_TARGET": target, "PIPELINE_USER": "abc123", "AWS_REGION": "us-east-1"}
        settings |= {"DATABRICKS_HOST": "https://work", "DATABRICKS_TOKEN": "t"}
        settings |= {
            "CATALOG": "main",
            "SCHEMA": "pins",
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(finding.requests, "request", self.request)

    def request(self, method: str, url: str, **sent: Any) -> Any:
        answer = finding.requests.Response()
        params = sent.get("params") or sent.get("json") or {}
        page = self.pages.get((url.removeprefix("https://work/api/"), params.get("page_token", "")))
        self.told.append((method, url, params))
        answer.status_code, answer._content = (
            (404, b"{}") if page is None else (200, json.dumps(page).encode())
        )
        assert sent["headers"] == {"Authorization": "Bearer t"}
        return answer


def test_things_in_the_workspace_are_found_on_every_page(monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, tables = Workspace(monkeypatch), "2.1/unity-catalog/tables"
    one, other = "abc123_pin_table", "abc1234_pin_table"
    rows = [{"name": name, "full_name": f"main.pins.{name}"} for name in (one, other)]
    workspace.pages = {
        (tables, ""): {"tables": rows[1:], "next_page_token": "2"},
        (tables, "2"): {"tables": rows[:1]},
        ("2.2/jobs/list", ""): {
            "jobs": [
                {"job_id": 7, "settings": {"name": "daily", "tags": MINE.tags}},
                {"job_id": 8, "settings": {"name": "daily"}},
            ]
        },
    }
    assert kinds.find("Delta table", MINE) == [Thing(one, f"main.pins.{one}")]
    assert workspace.told[0][2] == {"catalog_name": "main", "schema_name": "pins"}
    assert kinds.find("job", MINE) == [Thing("daily", "7")]
    assert kinds.find("volume", MINE) == []  # no such schema


def test_things_in_the_workspace_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(monkeypatch)
    for kind in ("job", "Delta table", "volume"):
        assert kinds.delete(kind, Thing("x", "7"))
    assert workspace.told == [
        ("POST", "https://work/api/2.2/jobs/delete", {"job_id": 7}),
        ("DELETE", "https://work/api/2.1/unity-catalog/tables/7", {}),
        ("DELETE", "https://work/api/2.1/unity-catalog/volumes/7", {}),
    ]


def test_without_a_workspace_nothing_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(monkeypatch)
    monkeypatch.setenv("DATABRICKS_HOST", "")
    assert kinds.find("Delta table", MINE) == kinds.find("job", MINE) == workspace.told == []


def test_a_workspace_without_a_catalog_in_the_settings_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    Workspace(monkeypatch)
    monkeypatch.setenv("CATALOG", "")
    with pytest.raises(ConfigError, match="CATALOG"):
        kinds.find("Delta table", MINE)


def one_vpc(monkeypatch: pytest.MonkeyPatch, delete: Callable[[str], object], state: str = "") -> list[Thing]:
    """The account holds one network; the list is what is left of it."""
    left = [Thing("p-abc123-vpc", "vpc-1", state)]
    monkeypatch.setitem(kinds.KINDS, "VPC", kinds.Kind("ec2", lambda names: list(left), delete))
    monkeypatch.setattr(kinds.wait.time, "sleep", lambda seconds: None)
    return left


def test_remove_tries_again_while_it_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = ["DependencyViolation", "BucketNotEmpty"]

    def delete(identity: str) -> None:
        if codes:
            raise error(codes.pop())
        left.clear()

    left = one_vpc(monkeypatch, delete)
    assert [thing.id for thing in kinds.remove("VPC", MINE)] == ["vpc-1"]
    assert left == [] and codes == []


def test_remove_takes_what_is_gone_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    def delete(identity: str) -> None:
        left.clear()
        raise error("InvalidVpcID.NotFound")

    left = one_vpc(monkeypatch, delete)
    kinds.remove("VPC", MINE)
    assert left == []


@pytest.mark.parametrize(
    "reason", [error("UnauthorizedOperation"), RuntimeError("S3 keeps a"), ConfigError("no region")], ids=repr
)
def test_remove_raises_at_once_what_will_not_pass(monkeypatch: pytest.MonkeyPatch, reason: Exception) -> None:
    tries = []

    def delete(identity: str) -> None:
        tries.append(identity)
        raise reason

    one_vpc(monkeypatch, delete)
    with pytest.raises(type(reason), match=re.escape(str(reason))):
        kinds.remove("VPC", MINE)
    assert tries == ["vpc-1"]


def test_remove_waits_for_what_is_on_its_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    left = one_vpc(monkeypatch, lambda identity: pytest.fail("deleted twice"), state="deleting")
    looks = iter([left.copy(), left.copy(), []])
    monkeypatch.setitem(kinds.KINDS, "VPC", kinds.Kind("ec2", lambda names: next(looks), pytest.fail))
    assert len(kinds.remove("VPC", MINE)) == 1


class Cloud:
    """Records the calls of a deletion; `answers` holds what a call returns."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**params: Any) -> Any:
            self.calls.append((operation, params))
            answer = self.answers.get(operation, {})
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def test_plan_is_taken_off_its_stages_first(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud(get_usage_plan={"apiStages": [{"apiId": "a1", "stage": "prod"}]})
    monkeypatch.setattr(deleting, "aws", lambda service: cloud)
    deleting.usage_plan("plan")
    assert [name for name, _ in cloud.calls] == ["get_usage_plan", "update_usage_plan", "delete_usage_plan"]
    off = [{"op": "remove", "path": "/apiStages", "value": "a1:prod"}]
    assert cloud.calls[1][1]["patchOperations"] == off


def test_rule_is_revoked_as_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 9098, "ToPort": 9098, "IpRanges": []}
    rule["UserIdGroupPairs"] = [{"UserId": "1", "GroupId": "sg-2"}]
    cloud = Cloud(describe_security_groups={"SecurityGroups": [{"IpPermissions": [rule]}]})
    monkeypatch.setattr(deleting, "aws", lambda service: cloud)
    deleting.rule("sg-1")
    made = {"IpProtocol": "tcp", "FromPort": 9098, "ToPort": 9098, "UserIdGroupPairs": [{"GroupId": "sg-2"}]}
    assert cloud.calls[-1] == ("revoke_security_group_ingress", {"GroupId": "sg-1", "IpPermissions": [made]})


def test_bucket_loses_versions_and_markers(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [
        {"Versions": [{"Key": "a", "VersionId": "1"}], "DeleteMarkers": [{"Key": "a", "VersionId": "2"}]},
        {},
    ]
    cloud = Cloud()
    paginator = Cloud(paginate=pages)
    monkeypatch.setattr(cloud, "get_paginator", lambda operation: paginator, raising=False)
    monkeypatch.setattr(deleting, "aws", lambda service: cloud)
    deleting.bucket("bucket")
    assert [name for name, _ in cloud.calls] == ["delete_objects", "delete_bucket"]
    doomed = cloud.calls[0][1]["Delete"]["Objects"]
    assert doomed == [{"Key": "a", "VersionId": "1"}, {"Key": "a", "VersionId": "2"}]


def test_bucket_with_a_refused_object_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud(delete_objects={"Errors": [{"Key": "a", "Message": "Access Denied"}]})
    paginator = Cloud(paginate=[{"Versions": [{"Key": "a", "VersionId": "1"}]}])
    monkeypatch.setattr(cloud, "get_paginator", lambda operation: paginator, raising=False)
    monkeypatch.setattr(deleting, "aws", lambda service: cloud)
    with pytest.raises(RuntimeError, match="S3 keeps a: Access Denied"):
        deleting.bucket("bucket")
    assert "delete_bucket" not in [name for name, _ in cloud.calls]
