"""The emulated MSK refuses what AWS refuses at CreateCluster, and a body that is none."""

import json

import pytest

from local_cloud.stand_ins.aws import msk
from local_cloud.stand_ins.http import AwsError


def request(version: object, size: object) -> bytes:
    return json.dumps({"kafkaVersion": version, "brokerNodeGroupInfo": {"instanceType": size}}).encode()


@pytest.mark.parametrize(
    ("version", "size"),
    [("3.9.x", "kafka.t3.small"), ("4.1.x.kraft", "kafka.m7g.large"), ("4.2.x.kraft", "express.m7g.large")],
)
def test_pairs_that_fit(version: str, size: str) -> None:
    msk.check_cluster(request(version, size))


@pytest.mark.parametrize(
    ("version", "size"),
    [("4.1.x.kraft", "kafka.t3.small"), ("4.2.x.kraft", "kafka.m7g.large"), ("3.6.0", "kafka.m7g.large")],
)
def test_pairs_that_do_not(version: str, size: str) -> None:
    with pytest.raises(AwsError, match="Unsupported"):
        msk.check_cluster(request(version, size))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b"\xff", b'{"kafkaVersion": "3.9.x", "brokerNodeGroupInfo": null}']
)
def test_a_body_that_is_no_cluster_is_refused(body: bytes) -> None:
    with pytest.raises(AwsError, match="not valid JSON"):
        msk.check_cluster(body)


def test_values_of_other_types_are_refused_by_name() -> None:
    with pytest.raises(AwsError, match="Unsupported KafkaVersion"):
        msk.check_cluster(request({"a": 1}, ["b"]))


@pytest.mark.parametrize("path", ["/v1/clusters", "/v1/clusters/a/reboot-broker"])
def test_other_paths_are_no_reboot(path: str) -> None:
    assert not msk.REBOOT.fullmatch(path)
