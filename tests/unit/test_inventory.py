"""What lesson 17 finds and in which order it deletes, without a server."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from helpers import inventory, removal
from helpers.config import ConfigError
from helpers.inventory import Thing
from helpers.names import Names

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
    ("subnet", "cluster"),
    ("subnet", "connector"),
    ("subnet", "environment"),
    ("security group", "environment"),
    ("log group", "environment"),  # it would come back
    ("security group", "rule"),
    ("security group", "cluster"),
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


def test_every_kind_can_be_found_ordered_and_deleted() -> None:
    assert set(inventory.FIND) == set(removal.DELETE) == set(removal.NEEDS) == set(removal.order())
    assert set(inventory.HOURLY) | set(removal.MINUTES) <= set(inventory.FIND)


@pytest.mark.parametrize(("later", "first"), REFUSED_BY_AWS, ids=lambda kind: kind.replace(" ", "_"))
def test_order_is_one_that_aws_accepts(later: str, first: str) -> None:
    order = removal.order()
    assert order.index(first) < order.index(later)


def answers(monkeypatch: pytest.MonkeyPatch, items: list[dict[str, Any]]) -> None:
    monkeypatch.setattr(inventory, "listed", lambda *call, **asked: items)


def test_by_tag_leaves_what_others_made(monkeypatch: pytest.MonkeyPatch) -> None:
    other = [{"Key": "project", "Value": "pinterest-pipeline-abc1234"}, OURS[1]]
    answers(
        monkeypatch, [{"VpcId": "vpc-1", "Tags": OURS}, {"VpcId": "vpc-2", "Tags": other}, {"VpcId": "vpc-3"}]
    )
    assert [thing.id for thing in inventory.FIND["VPC"](MINE)] == ["vpc-1"]
    assert inventory.FIND["VPC"](MINE)[0].name == "p-abc123-vpc"


def test_terminated_instances_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"i-1": "terminated", "i-2": "shutting-down", "i-3": "running"}
    machines = [{"InstanceId": i, "State": {"Name": state}, "Tags": OURS} for i, state in states.items()]
    answers(monkeypatch, [{"Instances": machines}])
    assert [thing.id for thing in inventory.FIND["instance"](MINE)] == ["i-2", "i-3"]


@pytest.mark.parametrize(
    ("name", "ours"), [("abc123-connector", True), ("abc123-trial-1", True), ("abc1234-connector", False)]
)
def test_connectors_are_ours_by_the_whole_id(monkeypatch: pytest.MonkeyPatch, name: str, ours: bool) -> None:
    answers(monkeypatch, [{"connectorName": name, "connectorArn": "arn", "connectorState": "RUNNING"}])
    assert bool(inventory.FIND["connector"](MINE)) is ours


@pytest.mark.parametrize("name", ["p-abc123-airflow", "p-abc1234-airflow", "p-abc123-airflow-2"])
def test_an_environment_is_ours_by_its_whole_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(inventory, "listed", lambda *call, **asked: [name])
    monkeypatch.setattr(
        inventory, "aws", lambda _: Cloud(get_environment={"Environment": {"Status": "DELETING"}})
    )
    ours = [Thing("mwaa", "environment", name, name, "deleting")] if name == MINE.environment else []
    assert inventory.find_environments(MINE) == ours
    assert all(thing.state in removal.LEAVING for thing in ours)


def test_an_environment_that_goes_meanwhile_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(**asked: str) -> None:
        raise error("ResourceNotFoundException")

    monkeypatch.setattr(inventory, "listed", lambda *call, **asked: [MINE.environment])
    monkeypatch.setattr(inventory, "aws", lambda _: SimpleNamespace(get_environment=gone))
    assert inventory.find_environments(MINE) == []


def test_log_groups_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}

    def listing(*call: str, **asked: str) -> list[dict[str, str]]:
        seen.update(asked)
        return [{"logGroupName": "airflow-p-abc123-airflow-Task"}]

    monkeypatch.setattr(inventory, "listed", listing)
    assert [thing.id for thing in inventory.find_log_groups(MINE)] == ["airflow-p-abc123-airflow-Task"]
    assert seen == {"logGroupNamePrefix": "airflow-p-abc123-airflow-"}


def test_only_a_group_that_lets_somebody_in_has_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = [
        {"GroupId": "sg-1", "Tags": OURS, "IpPermissions": [{"IpProtocol": "tcp"}]},
        {"GroupId": "sg-2", "Tags": OURS, "IpPermissions": []},
        {"GroupId": "sg-3", "IpPermissions": [{"IpProtocol": "tcp"}]},
    ]
    answers(monkeypatch, groups)
    assert [thing.id for thing in inventory.find_rules(MINE)] == ["sg-1"]


def test_topics_out_of_reach_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> str:
        raise RuntimeError("There is no running client machine")

    monkeypatch.setattr(inventory, "topics_tool", away)
    assert inventory.find_topics(MINE) == []


def test_topics_are_ours_by_the_whole_id(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = "abc123.pin\nabc1234.pin\nabc123-dead-letter\n__consumer_offsets"
    monkeypatch.setattr(inventory, "topics_tool", lambda: "tool")
    monkeypatch.setattr(inventory.client, "run", lambda command: listing)
    assert [topic.name for topic in inventory.find_topics(MINE)] == ["abc123.pin", "abc123-dead-letter"]


def test_table_prices_each_thing() -> None:
    found = inventory.table(
        [Thing("kafka", "cluster", "p-abc123-cluster", "arn"), Thing("s3", "bucket", "b", "b")]
    )
    assert list(found["$ an hour"]) == [0.0912, 0.0]
    assert list(inventory.table([]).columns) == ["service", "kind", "name", "$ an hour"]


def test_a_cloud_that_is_away_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(names: Names) -> list[Thing]:
        raise EndpointConnectionError(endpoint_url="there")

    monkeypatch.setitem(inventory.FIND, "VPC", away)
    for kind in set(inventory.FIND) - {"VPC"}:
        monkeypatch.setitem(inventory.FIND, kind, lambda names: [])
    with pytest.raises(ConfigError, match="make up"):
        inventory.everything(MINE)


def one_vpc(monkeypatch: pytest.MonkeyPatch, delete: Callable[[str], object], state: str = "") -> list[Thing]:
    """The account holds one network; the list is what is left of it."""
    left = [Thing("ec2", "VPC", "p-abc123-vpc", "vpc-1", state)]
    monkeypatch.setitem(inventory.FIND, "VPC", lambda names: list(left))
    monkeypatch.setitem(removal.DELETE, "VPC", delete)
    monkeypatch.setattr(removal.wait.time, "sleep", lambda seconds: None)
    return left


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "DeleteVpc")


def test_remove_tries_again_while_it_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = ["DependencyViolation", "BucketNotEmpty"]

    def delete(identity: str) -> None:
        if codes:
            raise error(codes.pop())
        left.clear()

    left = one_vpc(monkeypatch, delete)
    assert [thing.id for thing in removal.remove("VPC", MINE)] == ["vpc-1"]
    assert left == [] and codes == []


def test_remove_takes_what_is_gone_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    def delete(identity: str) -> None:
        left.clear()
        raise error("InvalidVpcID.NotFound")

    left = one_vpc(monkeypatch, delete)
    removal.remove("VPC", MINE)
    assert left == []


def test_remove_raises_a_refusal_that_will_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def delete(identity: str) -> None:
        tries.append(identity)
        raise error("UnauthorizedOperation")

    one_vpc(monkeypatch, delete)
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        removal.remove("VPC", MINE)
    assert tries == ["vpc-1"]


def test_remove_waits_for_what_is_on_its_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    left = one_vpc(monkeypatch, lambda identity: pytest.fail("deleted twice"), state="deleting")
    looks = iter([left.copy(), left.copy(), []])
    monkeypatch.setitem(inventory.FIND, "VPC", lambda names: next(looks))
    assert len(removal.remove("VPC", MINE)) == 1


class Cloud:
    """Records the calls of a deletion; `answers` holds what a call returns."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**asked: Any) -> Any:
            self.calls.append((operation, asked))
            return self.answers.get(operation, {})

        return call


def test_plan_is_taken_off_its_stages_first(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud(get_usage_plan={"apiStages": [{"apiId": "a1", "stage": "prod"}]})
    monkeypatch.setattr(removal, "aws", lambda service: cloud)
    removal.delete_plan("plan")
    assert [name for name, _ in cloud.calls] == ["get_usage_plan", "update_usage_plan", "delete_usage_plan"]
    off = [{"op": "remove", "path": "/apiStages", "value": "a1:prod"}]
    assert cloud.calls[1][1]["patchOperations"] == off


def test_rule_is_revoked_as_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 9098, "ToPort": 9098, "IpRanges": []}
    rule["UserIdGroupPairs"] = [{"UserId": "1", "GroupId": "sg-2"}]
    cloud = Cloud(describe_security_groups={"SecurityGroups": [{"IpPermissions": [rule]}]})
    monkeypatch.setattr(removal, "aws", lambda service: cloud)
    removal.close_group("sg-1")
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
    monkeypatch.setattr(removal, "aws", lambda service: cloud)
    removal.delete_bucket("bucket")
    assert [name for name, _ in cloud.calls] == ["delete_objects", "delete_bucket"]
    doomed = cloud.calls[0][1]["Delete"]["Objects"]
    assert doomed == [{"Key": "a", "VersionId": "1"}, {"Key": "a", "VersionId": "2"}]


def test_bucket_with_a_refused_object_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud(delete_objects={"Errors": [{"Key": "a", "Message": "Access Denied"}]})
    paginator = Cloud(paginate=[{"Versions": [{"Key": "a", "VersionId": "1"}]}])
    monkeypatch.setattr(cloud, "get_paginator", lambda operation: paginator, raising=False)
    monkeypatch.setattr(removal, "aws", lambda service: cloud)
    with pytest.raises(RuntimeError, match="S3 keeps a: Access Denied"):
        removal.delete_bucket("bucket")
    assert "delete_bucket" not in [name for name, _ in cloud.calls]
