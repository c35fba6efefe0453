"""What is looked up is found on every page of a listing, and what is being deleted is not found."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from helpers import lookup
from helpers.config import ConfigError
from helpers.names import Names

ARN = "arn:aws:kafka:us-east-1:123456789012:cluster"
KEYS = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}


def cluster(name: str, number: int, state: str = "ACTIVE") -> dict[str, Any]:
    return {"ClusterName": name, "ClusterArn": f"{ARN}/{name}/{number}", "State": state}


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """MSK with answers of our choice, for the user bob42."""
    client = boto3.client("kafka", **KEYS)

    class Cloud:
        names = Names("bob42")

    monkeypatch.setattr(lookup.boto3, "client", lambda service: client)
    monkeypatch.setattr(lookup.config, "use_target", Cloud)
    with Stubber(client) as stubber:
        yield stubber


def pages(kafka: Stubber, *clusters: list[dict[str, Any]]) -> None:
    """Answer a listing of clusters with these pages."""
    for number, page in enumerate(clusters, 1):
        more = {"NextToken": str(number)} if number < len(clusters) else {}
        kafka.add_response("list_clusters", {"ClusterInfoList": page, **more})


def test_a_listing_is_read_to_its_last_page(kafka: Stubber) -> None:
    pages(kafka, [cluster("a", 1)], [], [cluster("b", 2)])
    found = lookup.listed(lookup.boto3.client("kafka"), "list_clusters", "ClusterInfoList")
    assert [one["ClusterName"] for one in found] == ["a", "b"]
    kafka.assert_no_pending_responses()


def test_needed_says_what_is_missing() -> None:
    assert lookup.needed([3, 4], "the cluster (lesson 02)") == 3
    with pytest.raises(ConfigError, match=r"Missing: the cluster \(lesson 02\)\."):
        lookup.needed([], "the cluster (lesson 02)")


def test_the_cluster_is_ours_and_stays(kafka: Stubber) -> None:
    name = Names("bob42").cluster
    pages(kafka, [cluster(f"{name}-2", 1), cluster(name, 2, "DELETING")], [cluster(name, 3)])
    kafka.add_response("get_bootstrap_brokers", {"BootstrapBrokerStringSaslIam": "b-1:9098"})
    assert lookup.cluster() == (f"{ARN}/{name}/3", "b-1:9098")


def test_a_cluster_that_is_being_deleted_is_none(kafka: Stubber) -> None:
    pages(kafka, [cluster(Names("bob42").cluster, 1, "DELETING")])
    with pytest.raises(ConfigError, match=r"MSK cluster \(lesson 02\)"):
        lookup.cluster()
